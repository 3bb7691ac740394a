//! Where a service answers: base URLs and browser origins, as values that cannot hold a credential.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// An absolute `http` or `https` URL that other paths are appended to.
///
/// Holding one proves that it has a host and neither user name, password, query nor fragment. It is kept without a
/// trailing slash, with scheme and host in lower case and without the scheme's own port, so equal bases are equal values.
///
/// ```
/// use rend_core::url::BaseUrl;
///
/// let base: BaseUrl = "https://Ash-1.play.example.com:443/".parse()?;
/// assert_eq!(base.as_str(), "https://ash-1.play.example.com");
/// assert_eq!(base.join("v/x/poster.jpg"), "https://ash-1.play.example.com/v/x/poster.jpg");
/// assert!("https://user:pw@example.com".parse::<BaseUrl>().is_err());
/// # Ok::<(), rend_core::url::BadUrl>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BaseUrl {
    text: Box<str>,
    https: bool,
    /// Where the host ends in `text`; it begins after `://`.
    host_end: usize,
    /// Where the origin ends in `text`.
    origin_end: usize,
}

/// Characters that a base URL may have.
pub const URL_CHARS_MAX: usize = 2048;

impl BaseUrl {
    /// The URL as text, without a trailing slash.
    pub const fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the scheme is `https`.
    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// The host: a name in lower case, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.text[self.host_start()..self.host_end]
    }

    /// The scheme, host and port, as a browser's `Origin` header writes them.
    pub fn origin(&self) -> &str {
        &self.text[..self.origin_end]
    }

    /// The path below which things lie: empty, or beginning with `/`.
    pub fn path(&self) -> &str {
        &self.text[self.origin_end..]
    }

    /// The URL of `path` below this base. A slash at the path's start is not doubled.
    pub fn join(&self, path: &str) -> String {
        format!("{}/{}", self.text, path.trim_start_matches('/'))
    }

    /// Whether the host can only be meant on this machine or inside one compose network: `localhost`, a loopback or
    /// unspecified address, `*.local`, `*.localhost`, or a name without a dot.
    pub fn is_local(&self) -> bool {
        is_local_host(self.host())
    }

    /// Whether the host is an address or a name that only a private network knows (RFC 1918, RFC 4193, `*.internal`).
    pub fn is_private(&self) -> bool {
        let host = self.host();
        let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        match (host.parse::<Ipv4Addr>(), v6.and_then(|h| h.parse::<Ipv6Addr>().ok())) {
            (Ok(v4), _) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64),
            (Err(_), Some(v6)) => v6.octets()[0] & 0xfe == 0xfc,
            (Err(_), None) => host.ends_with(".internal"),
        }
    }

    const fn host_start(&self) -> usize {
        if self.https { "https://".len() } else { "http://".len() }
    }
}

/// Whether `host`, as [`BaseUrl::host`] gives it, can only be meant on this machine or inside one compose network.
pub fn is_local_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(v4) = bare.parse::<Ipv4Addr>() {
        return v4.is_loopback() || v4.is_unspecified();
    }
    if let Ok(v6) = bare.parse::<Ipv6Addr>() {
        let mapped = v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback() || v4.is_unspecified());
        return v6.is_loopback() || v6.is_unspecified() || mapped;
    }
    let host = host.trim_end_matches('.');
    host.ends_with(".local") || host.ends_with(".localhost") || !host.contains('.')
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for BaseUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        if text.len() > URL_CHARS_MAX {
            return Err(BadUrl::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadUrl::Scheme)?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(BadUrl::Scheme),
        };
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err(BadUrl::Credentials);
        }
        if path.contains('?') {
            return Err(BadUrl::Query);
        }
        if path.contains('#') {
            return Err(BadUrl::Fragment);
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%:@!$&'()*+,;=".contains(&b);
        let dotted = path.split('/').any(|part| matches!(part, "." | ".."));
        if !path.bytes().all(plain) || dotted || path.contains("//") {
            return Err(BadUrl::Path);
        }
        let (host, port) = host_and_port(authority)?;
        let port = port.filter(|port| *port != if https { 443 } else { 80 });
        let scheme = if https { "https" } else { "http" };
        let origin = match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        let host_end = scheme.len() + "://".len() + host.len();
        let origin_end = origin.len();
        Ok(Self { text: (origin + path.trim_end_matches('/')).into(), https, host_end, origin_end })
    }
}

/// The text is not a base URL. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BadUrl {
    /// It does not begin with `http://` or `https://`.
    #[error("it does not begin with http:// or https://")]
    Scheme,
    /// It holds a user name or a password.
    #[error("it holds credentials")]
    Credentials,
    /// It holds a query.
    #[error("it holds a query")]
    Query,
    /// It holds a fragment.
    #[error("it holds a fragment")]
    Fragment,
    /// The host is missing, or not a host name or address.
    #[error("its host is not a name or an address")]
    Host,
    /// The port is not 1 to 65535.
    #[error("its port is not 1 to 65535")]
    Port,
    /// The path has characters or parts that no base has.
    #[error("its path is not plain")]
    Path,
    /// It is longer than [`URL_CHARS_MAX`].
    #[error("it is longer than 2048 characters")]
    TooLong,
}

/// A browser origin, such as `https://www.example.com`: scheme, host and port, nothing behind it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Origin(BaseUrl);

impl Origin {
    /// The origin of a base URL.
    pub fn of(base: &BaseUrl) -> Self {
        let mut base = base.clone();
        base.text = base.origin().into();
        Self(base)
    }

    /// The origin exactly as a browser sends it.
    pub const fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The origin as a base URL.
    pub const fn base(&self) -> &BaseUrl {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Origin {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let base: BaseUrl = text.parse()?;
        if base.path().is_empty() { Ok(Self(base)) } else { Err(BadUrl::Path) }
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), BadUrl> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']').ok_or(BadUrl::Host)?;
            let v6: Ipv6Addr = inner.parse().map_err(|_| BadUrl::Host)?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(BadUrl::Host)?) };
            (format!("[{v6}]"), port)
        }
        None => {
            let (host, port) = authority.split_once(':').map_or((authority, None), |(h, p)| (h, Some(p)));
            let host = host.to_ascii_lowercase();
            if !is_host_name(&host) {
                return Err(BadUrl::Host);
            }
            (host, port)
        }
    };
    let Some(port) = port else { return Ok((host, None)) };
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|p| digits && *p != 0).ok_or(BadUrl::Port)?;
    Ok((host, Some(port)))
}

fn is_host_name(host: &str) -> bool {
    let label = |l: &str| {
        let inner = l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        (1..=63).contains(&l.len()) && inner && !l.starts_with('-') && !l.ends_with('-')
    };
    let dotted_digits = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if dotted_digits { host.parse::<Ipv4Addr>().is_ok() } else { host.len() <= 253 && host.split('.').all(label) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, BadUrl>) {
        assert_eq!(text.parse::<BaseUrl>().as_ref().map(BaseUrl::as_str), expect.as_ref().copied(), "{text}");
    }

    #[test]
    fn equal_bases_are_equal_values() {
        check("http://127.0.0.1:4100", Ok("http://127.0.0.1:4100"));
        check("HTTPS://Example.COM:443/", Ok("https://example.com"));
        check("http://example.com:80/base//", Err(BadUrl::Path));
        check("http://example.com/base/", Ok("http://example.com/base"));
        check("http://[::1]:4100/", Ok("http://[::1]:4100"));
        check("http://[0:0::1]", Ok("http://[::1]"));
    }

    #[test]
    fn what_is_no_base_is_refused_by_its_reason() {
        check("", Err(BadUrl::Scheme));
        check("example.com", Err(BadUrl::Scheme));
        check("ftp://example.com", Err(BadUrl::Scheme));
        check("http://", Err(BadUrl::Host));
        check("http:///x", Err(BadUrl::Host));
        check("http://a b", Err(BadUrl::Host));
        check("http://a..b", Err(BadUrl::Host));
        check("http://256.0.0.1", Err(BadUrl::Host));
        check("http://[::1", Err(BadUrl::Host));
        check("http://[::1]x", Err(BadUrl::Host));
        check("http://a:0", Err(BadUrl::Port));
        check("http://a:65536", Err(BadUrl::Port));
        check("http://a:+80", Err(BadUrl::Port));
        check("http://a:", Err(BadUrl::Port));
        check("http://u:p@a", Err(BadUrl::Credentials));
        check("http://u@a", Err(BadUrl::Credentials));
        check("http://a?x=1", Err(BadUrl::Query));
        check("http://a/b?x", Err(BadUrl::Query));
        check("http://a#x", Err(BadUrl::Fragment));
        check("http://a/../b", Err(BadUrl::Path));
        check("http://a/b\"c", Err(BadUrl::Path));
        check(&format!("http://a/{}", "x".repeat(3000)), Err(BadUrl::TooLong));
    }

    #[test]
    fn a_host_is_local_when_only_this_machine_or_its_compose_network_can_mean_it() {
        let local = |text: &str| text.parse::<BaseUrl>().unwrap().is_local();
        for here in
            ["localhost", "127.0.0.1", "127.9.9.9", "0.0.0.0", "[::1]", "[::]", "mac.local", "minio", "rend-edge"]
        {
            assert!(local(&format!("http://{here}:1")), "{here}");
        }
        for there in ["example.com", "10.0.0.1", "[fd00::1]", "203.0.113.7"] {
            assert!(!local(&format!("http://{there}")), "{there}");
        }
    }

    #[test]
    fn a_private_host_is_one_that_the_internet_does_not_know() {
        let private = |host: &str| format!("http://{host}").parse::<BaseUrl>().unwrap().is_private();
        for inside in ["10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "[fd12::1]", "edge.internal"] {
            assert!(private(inside), "{inside}");
        }
        for outside in ["example.com", "203.0.113.7", "172.32.0.1", "[2001:db8::1]"] {
            assert!(!private(outside), "{outside}");
        }
    }

    #[test]
    fn an_origin_has_nothing_behind_its_port() {
        assert_eq!("https://a.example:8443/".parse::<Origin>().unwrap().as_str(), "https://a.example:8443");
        assert_eq!("https://a.example/x".parse::<Origin>(), Err(BadUrl::Path));
        let base: BaseUrl = "https://a.example/x".parse().unwrap();
        assert_eq!(Origin::of(&base), "https://a.example".parse().unwrap());
    }

    proptest! {
        #[test]
        fn what_parses_prints_as_something_that_parses_to_the_same(
            text in "(?i)https?://[a-z0-9.:\\[\\]-]{1,20}(/[a-z0-9._%-]{0,5}){0,3}"
        ) {
            if let Ok(base) = text.parse::<BaseUrl>() {
                prop_assert_eq!(base.as_str().parse::<BaseUrl>(), Ok(base.clone()));
                prop_assert!(base.as_str().starts_with(base.origin()));
                prop_assert!(base.origin().contains(base.host()));
            }
        }

        #[test]
        fn any_text_is_a_base_or_refused(text in any::<String>()) {
            let _ = text.parse::<BaseUrl>();
        }
    }
}
