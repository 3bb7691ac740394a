//! Fetching an original from a URL: what may be asked for, and what an answer means.

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use super::address::{Kind, is_public, kind};
use crate::time::Timestamp;

/// Redirects that are followed.
pub const REDIRECTS_MAX: usize = 5;
/// Characters that a URL may have.
pub const URL_CHARS_MAX: usize = 2048;
/// How long fetching one original may take in all, from when it was asked for.
pub const PULL_FOR_MAX: Duration = Duration::from_secs(6 * 3600);
/// Tries that bring nothing before fetching counts as failed. A try that brings bytes is not counted.
pub const ATTEMPTS_MAX: u32 = 8;

/// From where may be fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Guard {
    /// Whether `http` is allowed beside `https`.
    pub plain_http: bool,
    /// An address that is allowed though it is not public: for tests, and for webhooks on a developer's machine. Nothing in
    /// production sets it.
    pub also: Option<IpAddr>,
}

impl Guard {
    /// Public addresses by `https`.
    pub const STRICT: Self = Self { plain_http: false, also: None };

    /// Judges a URL by the parts that a URL parser found in it. `host` is a name, an IPv4 address, or an IPv6 address in
    /// brackets. An address in the URL is judged here; a name's addresses are judged by [`Guard::address`] once they are
    /// known.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn url(&self, scheme: &str, host: Option<&str>, has_credentials: bool) -> Result<(), Refused> {
        match scheme {
            "https" => {}
            "http" if self.plain_http => {}
            _ => return Err(Refused::Scheme),
        }
        if has_credentials {
            return Err(Refused::Credentials);
        }
        let host = host.filter(|host| !host.is_empty()).ok_or(Refused::Host)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(address) => self.address(address),
            Err(_) if host.starts_with('[') => Err(Refused::Host),
            Err(_) => Ok(()),
        }
    }

    /// Judges an address that a connection would be made to.
    ///
    /// # Errors
    ///
    /// [`Refused::Address`].
    pub fn address(&self, address: IpAddr) -> Result<(), Refused> {
        if self.also == Some(address) || is_public(address) { Ok(()) } else { Err(Refused::Address(kind(address))) }
    }
}

/// Why a URL is not fetched from. Trying again will not help. Its words name no address.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Refused {
    /// Not a URL, or one that is too long.
    #[error("a URL of at most 2048 characters, such as https://example.com/film.mp4")]
    Url,
    /// The scheme.
    #[error("a URL that begins with https://")]
    Scheme,
    /// There is a user name or a password in it.
    #[error("a URL without user name and password; a signed URL does the same without showing them")]
    Credentials,
    /// There is no host in it.
    #[error("a URL with a host")]
    Host,
    /// It leads to an address that is not public.
    #[error("a URL that leads to a public address")]
    Address(Kind),
    /// It leads on and on.
    #[error("a URL with at most 5 redirects")]
    Redirects,
}

/// What is known of a file that is fetched, before it is asked for again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Known<'a> {
    /// Bytes that are here already.
    pub received: u64,
    /// Its length, if known.
    pub bytes: Option<u64>,
    /// What the place calls its version.
    pub validator: Option<&'a str>,
}

/// The part of an answer that decides. Texts as the headers have them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Head<'a> {
    /// The status.
    pub status: u16,
    /// `Content-Length`.
    pub length: Option<u64>,
    /// `Content-Range`.
    pub range: Option<&'a str>,
    /// `ETag`.
    pub etag: Option<&'a str>,
    /// `Last-Modified`.
    pub modified: Option<&'a str>,
    /// `Content-Encoding`.
    pub encoding: Option<&'a str>,
    /// `Location`.
    pub location: Option<&'a str>,
}

/// What an answer means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Meaning {
    /// The bytes from `received` on come now.
    Take {
        /// The length of the whole file, if said.
        bytes: Option<u64>,
        /// What the place calls this version.
        validator: Option<String>,
    },
    /// Every byte is here already.
    Whole,
    /// It is another file by now, or nobody can say that it is the same: begin again.
    Changed,
    /// Ask there instead.
    Redirect(String),
    /// It does not come now. Trying again may help.
    Later,
    /// It does not come at all.
    Never(Never),
}

/// Why a file does not come. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Never {
    /// It is not there, or not for us.
    Missing,
    /// It has more bytes than an original may have.
    TooLarge,
    /// It has no bytes.
    Empty,
    /// The answer is compressed in a way that was not asked for, or says nothing that makes sense.
    Strange,
}

/// The headers that ask for the rest of a file. The first try asks for all of it and names no range.
pub fn ask(known: &Known<'_>) -> Vec<(&'static str, String)> {
    let mut headers = vec![("accept-encoding", "identity".to_owned())];
    if known.received > 0 {
        headers.push(("range", format!("bytes={}-", known.received)));
        if let Some(validator) = known.validator {
            let name = if validator.starts_with('"') { "if-match" } else { "if-unmodified-since" };
            headers.push((name, validator.to_owned()));
        }
    }
    headers
}

/// Reads an answer to [`ask`]. `bytes_max` is the most that an original may have.
pub fn read(known: &Known<'_>, head: &Head<'_>, bytes_max: u64) -> Meaning {
    let coded = head.encoding.is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity"));
    let validator = validator(head);
    match head.status {
        200 | 206 if coded => Meaning::Never(Never::Strange),
        200 if known.received > 0 => Meaning::Changed,
        // What a first answer said is settled though nothing of it came: another file is begun with nothing known.
        200 if known.bytes.is_some() && head.length != known.bytes => Meaning::Changed,
        200 => take(head.length, validator, bytes_max),
        206 if known.received == 0 => Meaning::Never(Never::Strange),
        206 => {
            // Without a name for the version nobody can say that the rest belongs to what is here.
            let same = known.validator.is_some() && validator.as_deref() == known.validator;
            match head.range.and_then(content_range) {
                Some((start, bytes)) if start == known.received && same => match (bytes, known.bytes) {
                    (Some(now), Some(then)) if now != then => Meaning::Changed,
                    (bytes, then) => take(bytes.or(then), validator, bytes_max),
                },
                Some(_) => Meaning::Changed,
                None => Meaning::Never(Never::Strange),
            }
        }
        301 | 302 | 303 | 307 | 308 => {
            head.location.map_or(Meaning::Never(Never::Strange), |to| Meaning::Redirect(to.to_owned()))
        }
        412 => Meaning::Changed,
        416 if known.bytes == Some(known.received) => Meaning::Whole,
        416 => Meaning::Changed,
        408 | 425 | 429 | 500..=599 => Meaning::Later,
        400..=499 => Meaning::Never(Never::Missing),
        _ => Meaning::Never(Never::Strange),
    }
}

fn take(bytes: Option<u64>, validator: Option<String>, bytes_max: u64) -> Meaning {
    match bytes {
        Some(0) => Meaning::Never(Never::Empty),
        Some(bytes) if bytes > bytes_max => Meaning::Never(Never::TooLarge),
        bytes => Meaning::Take { bytes, validator },
    }
}

/// A strong entity tag, or else when the file last changed. A weak tag names no bytes.
fn validator(head: &Head<'_>) -> Option<String> {
    let short = |text: &&str| text.len() <= VALIDATOR_BYTES_MAX;
    let etag = head.etag.map(str::trim).filter(|tag| tag.starts_with('"') && tag.len() > 2);
    etag.or_else(|| head.modified.map(str::trim)).filter(short).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Bytes that a validator may have; a longer one counts as none.
const VALIDATOR_BYTES_MAX: usize = 256;

/// The start and the whole length that `bytes 5-9/10` says.
fn content_range(header: &str) -> Option<(u64, Option<u64>)> {
    let (span, whole) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = span.split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    let whole = match whole {
        "*" => None,
        whole => Some(whole.parse().ok()?),
    };
    let fits = start <= end && whole.is_none_or(|whole| end < whole);
    fits.then_some((start, whole))
}

/// How long fetching what was asked for at `since` may still go on: the bound of a try that begins now. `None` once the time
/// is over.
pub fn time_left(since: Timestamp, now: Timestamp) -> Option<Duration> {
    PULL_FOR_MAX.checked_sub(now.since(since)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn url(guard: Guard, (scheme, host, credentials): (&str, &str, bool), expect: Result<(), Refused>) {
        assert_eq!(guard.url(scheme, Some(host), credentials), expect, "{scheme} {host}");
    }

    #[test]
    fn a_url_leads_to_a_public_address_by_https_and_shows_no_password() {
        let (strict, plain) = (Guard::STRICT, Guard { plain_http: true, also: None });
        url(strict, ("https", "example.com", false), Ok(()));
        url(strict, ("https", "1.1.1.1", false), Ok(()));
        url(strict, ("http", "example.com", false), Err(Refused::Scheme));
        url(plain, ("http", "example.com", false), Ok(()));
        url(plain, ("ftp", "example.com", false), Err(Refused::Scheme));
        url(plain, ("file", "", false), Err(Refused::Scheme));
        url(strict, ("https", "example.com", true), Err(Refused::Credentials));
        url(strict, ("https", "", false), Err(Refused::Host));
        url(strict, ("https", "[zz]", false), Err(Refused::Host));
        url(plain, ("http", "127.0.0.1", false), Err(Refused::Address(Kind::Loopback)));
        url(plain, ("http", "[::ffff:10.0.0.1]", false), Err(Refused::Address(Kind::Private)));
        url(plain, ("http", "169.254.169.254", false), Err(Refused::Address(Kind::LinkLocal)));
        let one = Guard { also: Some([127, 0, 0, 1].into()), ..plain };
        url(one, ("http", "127.0.0.1", false), Ok(()));
        url(one, ("http", "127.0.0.2", false), Err(Refused::Address(Kind::Loopback)));
        assert_eq!(strict.url("https", None, false), Err(Refused::Host));
    }

    const HALF: Known<'_> = Known { received: 5, bytes: Some(10), validator: Some("\"v1\"") };
    const NONE: Known<'_> = Known { received: 0, bytes: None, validator: None };

    #[track_caller]
    fn check(known: &Known<'_>, head: Head<'_>, expect: Meaning) {
        assert_eq!(read(known, &head, 100), expect, "{known:?} {head:?}");
    }

    fn taken(bytes: Option<u64>, validator: Option<&str>) -> Meaning {
        Meaning::Take { bytes, validator: validator.map(str::to_owned) }
    }

    #[test]
    fn a_first_answer_says_what_the_file_is() {
        let ok = Head { status: 200, length: Some(10), etag: Some("\"v1\""), modified: Some("Sat"), ..Head::default() };
        check(&NONE, ok, taken(Some(10), Some("\"v1\"")));
        check(&NONE, Head { etag: Some("W/\"v1\""), ..ok }, taken(Some(10), Some("Sat")));
        check(&NONE, Head { etag: None, modified: None, length: None, ..ok }, taken(None, None));
        check(&NONE, Head { length: Some(101), ..ok }, Meaning::Never(Never::TooLarge));
        check(&NONE, Head { length: Some(0), ..ok }, Meaning::Never(Never::Empty));
        check(&NONE, Head { encoding: Some("gzip"), ..ok }, Meaning::Never(Never::Strange));
        check(&NONE, Head { encoding: Some("identity"), ..ok }, taken(Some(10), Some("\"v1\"")));
        check(&NONE, Head { status: 206, ..ok }, Meaning::Never(Never::Strange));
    }

    #[test]
    fn a_length_of_which_nothing_came_may_still_change() {
        let told = Known { received: 0, bytes: Some(50), validator: Some("\"v1\"") };
        let ok = Head { status: 200, length: Some(50), etag: Some("\"v2\""), ..Head::default() };
        check(&told, ok, taken(Some(50), Some("\"v2\"")));
        check(&told, Head { length: Some(40), ..ok }, Meaning::Changed);
        check(&told, Head { length: None, ..ok }, Meaning::Changed);
        check(&NONE, Head { length: Some(40), ..ok }, taken(Some(40), Some("\"v2\"")));
    }

    #[test]
    fn the_rest_is_taken_only_of_the_same_file() {
        let part = Head { status: 206, range: Some("bytes 5-9/10"), etag: Some("\"v1\""), ..Head::default() };
        check(&HALF, part, taken(Some(10), Some("\"v1\"")));
        check(&HALF, Head { range: Some("bytes 5-9/*"), ..part }, taken(Some(10), Some("\"v1\"")));
        check(&HALF, Head { range: Some("bytes 5-10/11"), ..part }, Meaning::Changed);
        check(&HALF, Head { range: Some("bytes 4-9/10"), ..part }, Meaning::Changed);
        check(&HALF, Head { etag: Some("\"v2\""), ..part }, Meaning::Changed);
        check(&HALF, Head { etag: None, ..part }, Meaning::Changed);
        check(&Known { validator: None, ..HALF }, Head { etag: None, ..part }, Meaning::Changed);
        check(&HALF, Head { range: Some("bytes 9-5/10"), ..part }, Meaning::Never(Never::Strange));
        check(&HALF, Head { range: None, ..part }, Meaning::Never(Never::Strange));
        check(&HALF, Head { status: 200, length: Some(10), ..part }, Meaning::Changed);
        check(&HALF, Head { status: 412, ..Head::default() }, Meaning::Changed);
        check(&HALF, Head { status: 416, ..Head::default() }, Meaning::Changed);
        check(&Known { received: 10, ..HALF }, Head { status: 416, ..Head::default() }, Meaning::Whole);
    }

    #[test]
    fn a_place_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            check(&NONE, Head { status, ..Head::default() }, Meaning::Later);
        }
        for status in [400, 401, 403, 404, 410, 451] {
            check(&NONE, Head { status, ..Head::default() }, Meaning::Never(Never::Missing));
        }
        for status in [100, 204, 205, 300, 304] {
            check(&NONE, Head { status, ..Head::default() }, Meaning::Never(Never::Strange));
        }
        for status in [301, 302, 303, 307, 308] {
            let head = Head { status, location: Some("/b"), ..Head::default() };
            check(&HALF, head, Meaning::Redirect("/b".into()));
            check(&HALF, Head { location: None, ..head }, Meaning::Never(Never::Strange));
        }
    }

    #[test]
    fn the_rest_is_asked_for_by_its_version() {
        let all = ask(&NONE);
        assert!(all.iter().all(|(name, _)| *name == "accept-encoding"), "{all:?}");
        let rest = ask(&HALF);
        assert!(rest.contains(&("range", "bytes=5-".into())) && rest.contains(&("if-match", "\"v1\"".into())));
        let dated = ask(&Known { validator: Some("Sat, 01 Jan 2000 00:00:00 GMT"), ..HALF });
        assert!(dated.iter().any(|(name, _)| *name == "if-unmodified-since"));
    }

    #[test]
    fn a_try_may_last_as_long_as_there_is_time_left() {
        let left = |now| time_left(Timestamp::from_secs(10), Timestamp::from_secs(now));
        assert_eq!(left(10), Some(PULL_FOR_MAX));
        assert_eq!(left(5), Some(PULL_FOR_MAX), "a clock that was set back gives no more than there is");
        assert_eq!(left(10 + 6 * 3600 - 1), Some(Duration::from_secs(1)));
        assert_eq!(left(10 + 6 * 3600), None);
        assert_eq!(left(10 + 6 * 3600 + 1), None);
    }
}
