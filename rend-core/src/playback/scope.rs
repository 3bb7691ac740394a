//! How far a playback cookie reaches, and when a token has to travel in the path because none would.

use crate::id::AssetId;
use crate::url::is_local_host;

/// How the right to fetch travels from the bootstrap to the edge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Transport {
    /// In a cookie of this scope.
    Cookie(CookieScope),
    /// In the path of each URL, for this reason.
    Path(PathReason),
}

/// Why a token travels in the path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathReason {
    /// The caller asked for it.
    Asked,
    /// A cookie set by the site's host would not reach the media host.
    HostsApart,
}

impl PathReason {
    /// The reason as a sentence for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "the caller asked for it",
            Self::HostsApart => "the page's host and the edge's do not share cookies",
        }
    }
}

/// Where a browser sends a playback cookie: to one asset, on one host or below one domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CookieScope {
    /// The path of the asset.
    pub path: String,
    /// The domain, or the host that set it alone.
    pub domain: Option<String>,
}

impl CookieScope {
    /// The scope of a cookie for `asset`.
    pub fn new(asset: AssetId, domain: Option<String>) -> Self {
        Self { path: format!("/v/{asset}/"), domain }
    }
}

/// How the right to play `asset` travels, when `site_host` answers the bootstrap and `media_host` has the media. Hosts
/// are without port: cookies do not tell ports apart.
///
/// A cookie is used on one host, or when `domain` is configured and both hosts lie below it. `domain` is never derived:
/// what two hosts share may be a public suffix.
pub fn transport(
    asset: AssetId,
    site_host: &str,
    media_host: &str,
    domain: Option<&str>,
    asked_for_path: bool,
) -> Transport {
    if asked_for_path {
        return Transport::Path(PathReason::Asked);
    }
    let (site, media) = (site_host.to_ascii_lowercase(), media_host.to_ascii_lowercase());
    if let Some(domain) = domain.map(|d| d.trim_start_matches('.').to_ascii_lowercase())
        && domain.contains('.')
        && !is_local_host(&domain)
        && below(&site, &domain)
        && below(&media, &domain)
    {
        return Transport::Cookie(CookieScope::new(asset, Some(domain)));
    }
    if !site.is_empty() && site == media {
        return Transport::Cookie(CookieScope::new(asset, None));
    }
    Transport::Path(PathReason::HostsApart)
}

fn below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ASSET: AssetId = AssetId::from_bytes([7; 16]);

    #[track_caller]
    fn check(site: &str, media: &str, domain: Option<&str>, expect: Option<Option<&str>>) {
        let found = match transport(ASSET, site, media, domain, false) {
            Transport::Cookie(scope) => Some(scope.domain),
            Transport::Path(reason) => {
                assert_eq!(reason, PathReason::HostsApart);
                None
            }
        };
        assert_eq!(found, expect.map(|d| d.map(str::to_owned)), "{site} {media} {domain:?}");
    }

    #[test]
    fn a_cookie_is_used_only_where_it_arrives_and_nowhere_further() {
        check("127.0.0.1", "127.0.0.1", None, Some(None));
        check("localhost", "127.0.0.1", None, None);
        check("www.a.example", "play.a.example", None, None);
        check("www.a.example", "play.a.example", Some("a.example"), Some(Some("a.example")));
        check("WWW.A.example", "a.example", Some(".A.Example"), Some(Some("a.example")));
        check("www.evila.example", "play.a.example", Some("a.example"), None);
        check("www.a.example", "play.b.example", Some("a.example"), None);
        check("www.a.example", "www.a.example", Some("b.example"), Some(None));
        check("www.a.example", "play.b.example", Some("example"), None);
        check("", "", None, None);
    }

    #[test]
    fn a_caller_who_asks_for_the_path_gets_it() {
        assert_eq!(transport(ASSET, "a", "a", None, true), Transport::Path(PathReason::Asked));
    }

    #[test]
    fn a_cookie_is_for_one_asset() {
        assert_eq!(CookieScope::new(ASSET, None).path, format!("/v/{ASSET}/"));
    }

    proptest! {
        #[test]
        fn a_cookie_with_a_domain_covers_both_hosts(
            site in "[ab]{1,2}(\\.[ab]{1,2}){0,3}", media in "[ab]{1,2}(\\.[ab]{1,2}){0,3}", domain in "[ab]{1,2}(\\.[ab]{1,2}){0,2}"
        ) {
            if let Transport::Cookie(CookieScope { domain: Some(d), .. }) = transport(ASSET, &site, &media, Some(&domain), false) {
                for host in [site, media] {
                    let suffix = format!(".{d}");
                    prop_assert!(host == d || host.ends_with(&suffix));
                }
            }
        }
    }
}
