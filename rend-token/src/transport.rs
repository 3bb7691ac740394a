//! How a token travels: cookie, query and path, over raw bytes; `Set-Cookie`; and how it is kept out of logs.

use core::fmt;

use crate::TOKEN_LEN_MAX;
use crate::asset::AssetRef;
use crate::issue::TokenBuf;

/// The name of the cookie over `http`, on one's own machine.
pub const COOKIE_LOCAL: &str = "rend_pb";
/// The name of the cookie over `https`. Browsers take a cookie of such a name only with `Secure`.
pub const COOKIE_SECURE: &str = "__Secure-rend_pb";
/// The most tokens of one request that are tried; any further are not looked at.
pub const CANDIDATES_MAX: usize = 4;

/// The tokens that a request carries, at most [`CANDIDATES_MAX`], in the order in which they are to be tried: query,
/// path, cookies. The first that verifies wins.
#[derive(Clone, Copy)]
pub struct Candidates<'a> {
    tokens: [&'a [u8]; CANDIDATES_MAX],
    len: usize,
}

impl<'a> Candidates<'a> {
    /// The tokens in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + '_ {
        self.tokens.iter().copied().take(self.len)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the request carries none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn push(&mut self, token: &'a [u8]) {
        if let Some(slot) = self.tokens.get_mut(self.len).filter(|_| !token.is_empty()) {
            *slot = token;
            self.len += 1;
        }
    }
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Candidates({})", self.len)
    }
}

/// The tokens of a request: of its query (without `?`), of its path (see [`split_path`]) and of the lines of its `Cookie`
/// header, of which HTTP/2 may send many, in cookies called `cookie_name`.
///
/// Names are compared byte for byte and values are not unescaped, as no token needs it. An empty value does not count.
///
/// ```
/// use rend_token::transport::{COOKIE_SECURE, candidates};
///
/// let cookies = [b"theme=dark; __Secure-rend_pb=rt1.abc".as_slice()];
/// let found = candidates(Some(b"x=1&token=rt1.def"), None, cookies, COOKIE_SECURE);
/// assert!(found.iter().eq([b"rt1.def".as_slice(), b"rt1.abc"]));
/// ```
pub fn candidates<'a>(
    query: Option<&'a [u8]>,
    path_token: Option<&'a [u8]>,
    cookie_lines: impl IntoIterator<Item = &'a [u8]>,
    cookie_name: &str,
) -> Candidates<'a> {
    let mut found = Candidates { tokens: [&[]; CANDIDATES_MAX], len: 0 };
    for pair in query.unwrap_or_default().split(|b| *b == b'&') {
        if let Some(token) = pair.strip_prefix(b"token=") {
            found.push(token);
        }
    }
    found.push(path_token.unwrap_or_default());
    for line in cookie_lines {
        for pair in line.split(|b| *b == b';') {
            if found.len == CANDIDATES_MAX {
                return found;
            }
            let value = pair.trim_ascii().strip_prefix(cookie_name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            found.push(value.unwrap_or_default());
        }
    }
    found
}

/// The token of an `Authorization: Bearer` header, between servers.
pub fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// A playback path, taken apart.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct PlaybackPath<'a> {
    /// The text that names the asset, not yet parsed.
    pub asset: &'a str,
    /// The token in the path, not yet verified.
    pub token: Option<&'a str>,
    /// The path of the artifact relative to its asset, not yet parsed. Cache keys, logs and origins see this alone.
    pub artifact: &'a str,
}

impl fmt::Debug for PlaybackPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaybackPath").field("has_token", &self.token.is_some()).finish_non_exhaustive()
    }
}

/// Takes `/v/{asset}/{artifact}` or `/v/{asset}/~{token}/{artifact}` apart. `None` for every other path. Nothing is
/// unescaped.
///
/// Relative addresses in a playlist inherit a token in the path, which makes this the one way for players that neither
/// keep cookies nor rewrite playlists.
pub fn split_path(path: &str) -> Option<PlaybackPath<'_>> {
    let path = path.strip_prefix("/v/")?;
    // Nearly every asset is a UUID, and looking where its slash must stand is cheaper than looking for it.
    let at_uuid_end = path.as_bytes().first_chunk::<{ UUID_LEN + 1 }>().is_some_and(|head| {
        // All at once, and not up to the first: it is not there.
        head[UUID_LEN] == b'/' && !head[..UUID_LEN].iter().fold(false, |found, byte| found | (*byte == b'/'))
    });
    let (asset, rest) = match path.split_at_checked(UUID_LEN) {
        Some((asset, rest)) if at_uuid_end => (asset, rest.get(1..)?),
        _ => path.split_once('/')?,
    };
    let (token, artifact) = match rest.strip_prefix('~') {
        Some(rest) => rest.split_once('/').map(|(token, artifact)| (Some(token), artifact))?,
        None => (None, rest),
    };
    (!asset.is_empty() && !artifact.is_empty()).then_some(PlaybackPath { asset, token, artifact })
}

/// Where a cookie is set, seen from the page that plays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CookieSite {
    /// Over `http` on one's own machine: [`COOKIE_LOCAL`], without `Secure`.
    Local,
    /// Page and edge share a registrable domain: `SameSite=Lax`.
    Same,
    /// The player is embedded in a stranger's page: `SameSite=None; Partitioned`.
    Cross,
}

impl CookieSite {
    /// The name of the cookie.
    pub const fn cookie_name(self) -> &'static str {
        match self {
            Self::Local => COOKIE_LOCAL,
            Self::Same | Self::Cross => COOKIE_SECURE,
        }
    }
}

/// A domain that page and edge share, so that one may set a cookie for the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CookieDomain<'a>(&'a str);

impl<'a> CookieDomain<'a> {
    /// The domain `domain`, when both hosts are it or lie under it and nobody else's can.
    ///
    /// Refused are single labels, addresses, and the best known suffixes under which strangers register names. The list
    /// of all such suffixes changes weekly and is not part of this crate: give a domain that you own.
    pub fn new(domain: &'a str, page_host: &str, edge_host: &str) -> Option<Self> {
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        let label = |part: &str| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let under = |host: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let last = domain.rsplit('.').next().unwrap_or_default();
        let named = domain.len() <= 253 && domain.contains('.') && !last.bytes().all(|b| b.is_ascii_digit());
        let owned = !SHARED_SUFFIXES.contains(&domain) && !is_second_level(domain);
        (named && owned && domain.split('.').all(label) && under(page_host) && under(edge_host)).then_some(Self(domain))
    }
}

/// A `Set-Cookie` header that hands a token to a browser, for one asset's paths alone. `Display` is the value.
///
/// The asset is printed from its parsed form, never from what a request said, and neither it nor the token can hold a
/// `;`, a space or the end of a line.
///
/// ```
/// # use rend_token::{AssetRef, ClassMask, Grant, KeyLabel, KeyRing, KeySpec, Policy, Secret, SecretPolicy, Signer, UnixSecs};
/// # let secret = Secret::from_bytes(b"Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE")?;
/// # let key = KeySpec::new(KeyLabel::new("2026-11")?, secret);
/// # let ring = KeyRing::<1>::build(&[key], Policy::new(), SecretPolicy::Production)?;
/// # let (asset, now) = (AssetRef::parse("my_video-42")?, UnixSecs::new(1_800_000_000));
/// # let token = Signer::new(&ring).sign(&Grant::playback(&asset, ClassMask::HLS, 900).build(now)?)?;
/// use rend_token::transport::{CookieSite, SetCookie};
///
/// let header = SetCookie::new(CookieSite::Same, &token, &asset, 900).to_string();
/// assert!(header.starts_with("__Secure-rend_pb=rt1."));
/// assert!(header.ends_with("; Path=/v/my_video-42/; Max-Age=900; HttpOnly; Secure; SameSite=Lax"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct SetCookie<'a> {
    site: CookieSite,
    token: Option<&'a TokenBuf>,
    asset: &'a AssetRef,
    max_age_secs: u32,
    domain: Option<CookieDomain<'a>>,
}

impl<'a> SetCookie<'a> {
    /// The cookie that carries `token` for `max_age_secs`: its expiry less the present.
    pub const fn new(site: CookieSite, token: &'a TokenBuf, asset: &'a AssetRef, max_age_secs: u32) -> Self {
        Self { site, token: Some(token), asset, max_age_secs, domain: None }
    }

    /// The cookie that takes the token away again.
    pub const fn clear(site: CookieSite, asset: &'a AssetRef) -> Self {
        Self { site, token: None, asset, max_age_secs: 0, domain: None }
    }

    /// Set for a domain that page and edge share, in place of the host that answers alone.
    pub const fn domain(mut self, domain: CookieDomain<'a>) -> Self {
        self.domain = Some(domain);
        self
    }
}

impl fmt::Display for SetCookie<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.map(TokenBuf::as_str).unwrap_or_default();
        write!(f, "{}={token}; Path=/v/{}/", self.site.cookie_name(), self.asset)?;
        if let Some(CookieDomain(domain)) = self.domain {
            write!(f, "; Domain={domain}")?;
        }
        write!(f, "; Max-Age={}; HttpOnly", self.max_age_secs)?;
        f.write_str(match self.site {
            CookieSite::Local => "; SameSite=Lax",
            CookieSite::Same => "; Secure; SameSite=Lax",
            CookieSite::Cross => "; Secure; SameSite=None; Partitioned",
        })
    }
}

impl fmt::Debug for SetCookie<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetCookie({:?})", self.site)
    }
}

/// `text` without tokens, for everything that is written down.
///
/// What follows `rt1.` is replaced as far as a token can reach, and what follows `token=` up to the next `&`, white space
/// or quotation mark.
///
/// ```
/// use rend_token::transport::redact;
///
/// let line = redact("GET /v/a/~rt1.EQAA8A/hls/x.m4s?token=abc&v=1").to_string();
/// assert_eq!(line, "GET /v/a/~rt1.[redacted]/hls/x.m4s?token=[redacted]&v=1");
/// ```
pub const fn redact(text: &str) -> Redacted<'_> {
    Redacted(text)
}

/// A text that shows no tokens; made by [`redact`].
#[derive(Clone, Copy)]
pub struct Redacted<'a>(&'a str);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut plain = 0;
        while plain < rest.len() {
            let here = &rest.as_bytes()[plain..];
            // With dots: of two tokens written without a space between, neither may survive.
            let in_token = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
            let in_value = |b: &u8| !b.is_ascii_whitespace() && !matches!(b, b'&' | b'"' | b'\'');
            let (mark, hidden) = if let Some(tail) = strip_word(here, b"rt1.") {
                (4, tail.iter().take_while(|b| in_token(b)).count())
            } else if let Some(tail) = strip_word(here, b"token=") {
                (6, tail.iter().take_while(|b| in_value(b)).count())
            } else {
                (0, 0)
            };
            if hidden == 0 {
                plain += 1;
                continue;
            }
            // The mark is ASCII, so it ends where a character does; what is hidden ends before an ASCII byte or at the end.
            let (shown, after) = rest.split_at_checked(plain + mark).unwrap_or((rest, ""));
            f.write_str(shown)?;
            f.write_str("[redacted]")?;
            rest = after.split_at_checked(hidden).map_or("", |(_, rest)| rest);
            plain = 0;
        }
        f.write_str(rest)
    }
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn strip_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

/// Whether `domain` has the shape `co.uk`: a generic second label under a country.
fn is_second_level(domain: &str) -> bool {
    matches!(domain.split_once('.'), Some((second, country)) if country.len() == 2 && SECOND_LEVELS.contains(&second))
}

/// The length of a UUID as text.
const UUID_LEN: usize = 36;
const SECOND_LEVELS: &[&str] = &["ac", "co", "com", "edu", "gov", "net", "ne", "or", "org"];
const SHARED_SUFFIXES: &[&str] = &[
    "github.io",
    "gitlab.io",
    "pages.dev",
    "workers.dev",
    "web.app",
    "firebaseapp.com",
    "herokuapp.com",
    "vercel.app",
    "netlify.app",
    "fly.dev",
    "cloudfront.net",
    "azurewebsites.net",
    "amazonaws.com",
    "onrender.com",
    "b-cdn.net",
];

const _: () = assert!(CANDIDATES_MAX * TOKEN_LEN_MAX < 1024);
