//! What an issuer states, and the checks before it becomes claims.

use core::fmt;

use crate::asset::{AssetKey, AssetRef, Org, SessionId};
use crate::claims::{
    COUNTRIES_MAX, Claims, Countries, Country, Network, ORIGIN_LEN_MAX, OriginKey, Prefix, Renewal, Use,
};
use crate::grammar::{ClassMask, Rung};
use crate::time::{BOOTSTRAP_TTL_SECS_MAX, TTL_SECS_CAP, UnixSecs};

/// What a viewer is to be allowed: one asset, some kinds of artifact, a time. The rest narrows it further.
///
/// ```
/// use rend_token::{AssetRef, ClassMask, Grant, Org, Rung, SessionId, UnixSecs};
///
/// let asset = AssetRef::parse("my_video-42")?;
/// let claims = Grant::playback(&asset, ClassMask::PLAYER, 900)
///     .org(Org::new([7; 16]))
///     .session(SessionId::new([1, 2, 3, 4, 5, 6, 7]))
///     .rung_max(Rung::new(3).ok_or("no such rung")?)
///     .renewable(900, 14_400)
///     .build(UnixSecs::new(1_800_000_000))?;
/// assert_eq!(claims.deadline(), Some(UnixSecs::new(1_800_014_400)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Grant<'a> {
    purpose: Use,
    asset: AssetKey,
    classes: ClassMask,
    ttl_secs: u32,
    rung_max: Option<Rung>,
    org: Option<Org>,
    session: Option<SessionId>,
    start_secs: u32,
    audience: u16,
    renewal: Option<(u32, u32)>,
    network: Option<Network>,
    countries: &'a [Country],
    origin: Option<&'a str>,
    prefix: Option<&'a str>,
}

impl<'a> Grant<'a> {
    /// The right to fetch artifacts of these classes of `asset`, for `ttl_secs` (1 to 2^24 − 1, and at most what the
    /// ring's [`Policy`](crate::Policy) allows).
    pub const fn playback(asset: &AssetRef, classes: ClassMask, ttl_secs: u32) -> Self {
        Self::new(Use::Playback, asset, classes, ttl_secs)
    }

    /// The right to exchange this, within `ttl_secs` (1 to 120), for a playback token of the same scope. It must include
    /// the class [`MasterManifest`](crate::ArtifactClass::MasterManifest), which is where it is exchanged.
    pub const fn bootstrap(asset: &AssetRef, classes: ClassMask, ttl_secs: u32) -> Self {
        Self::new(Use::Bootstrap, asset, classes, ttl_secs)
    }

    const fn new(purpose: Use, asset: &AssetRef, classes: ClassMask, ttl_secs: u32) -> Self {
        Self {
            purpose,
            asset: asset.key(),
            classes,
            ttl_secs,
            rung_max: None,
            org: None,
            session: None,
            start_secs: 0,
            audience: 0,
            renewal: None,
            network: None,
            countries: &[],
            origin: None,
            prefix: None,
        }
    }

    /// No rung above this one.
    pub const fn rung_max(mut self, rung: Rung) -> Self {
        self.rung_max = Some(rung);
        self
    }

    /// Whose asset it is, so that all tokens of an organisation can be revoked.
    pub const fn org(mut self, org: Org) -> Self {
        self.org = Some(org);
        self
    }

    /// The viewing session, so that it can be ended.
    pub const fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// It starts `secs` after it is issued, less than its life; 0 is at once.
    pub const fn starts_after(mut self, secs: u32) -> Self {
        self.start_secs = secs;
        self
    }

    /// Only for this audience or region; 0 is everybody.
    pub const fn audience(mut self, audience: u16) -> Self {
        self.audience = audience;
        self
    }

    /// It may be renewed for `step_secs` (1 to 65,535) at a time, until `horizon_secs` (at least its life) after the
    /// issue and no longer.
    pub const fn renewable(mut self, step_secs: u32, horizon_secs: u32) -> Self {
        self.renewal = Some((step_secs, horizon_secs));
        self
    }

    /// Only for viewers in this network.
    pub const fn network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// Only for viewers in these countries: at most eight, in any order, none twice; none at all is everywhere.
    pub const fn countries(mut self, countries: &'a [Country]) -> Self {
        self.countries = countries;
        self
    }

    /// Only for requests from this web origin, as browsers write it: `https://www.example.com`.
    pub const fn origin(mut self, origin: &'a str) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Only for paths that start so: relative to the asset, at most 64 characters, ending in `/`.
    pub const fn path_prefix(mut self, prefix: &'a str) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// The claims of a token issued at `now`.
    ///
    /// # Errors
    /// What of the grant cannot be.
    pub fn build(self, now: UnixSecs) -> Result<Claims, GrantError> {
        let bootstrap = self.purpose == Use::Bootstrap;
        let ttl_secs_max = if bootstrap { BOOTSTRAP_TTL_SECS_MAX } else { TTL_SECS_CAP };
        if self.ttl_secs == 0 || self.ttl_secs > ttl_secs_max || now.get().checked_add(self.ttl_secs).is_none() {
            return Err(GrantError::Ttl);
        }
        if self.classes == ClassMask::NONE {
            return Err(GrantError::Classes);
        }
        if self.start_secs >= self.ttl_secs {
            return Err(GrantError::Start);
        }
        let renewal = match self.renewal {
            None => None,
            Some((step_secs, horizon_secs)) => {
                let step_secs = u16::try_from(step_secs).ok().filter(|step| *step > 0).ok_or(GrantError::Renewal)?;
                let fits = (self.ttl_secs..=TTL_SECS_CAP).contains(&horizon_secs);
                if !fits || now.get().checked_add(horizon_secs).is_none() {
                    return Err(GrantError::Renewal);
                }
                Some(Renewal { step_secs, horizon_secs })
            }
        };
        let mut countries = Countries::NONE;
        if self.countries.len() > COUNTRIES_MAX {
            return Err(GrantError::Countries);
        }
        countries.len = u8::try_from(self.countries.len()).map_err(|_| GrantError::Countries)?;
        countries.codes[..self.countries.len()].copy_from_slice(self.countries);
        countries.codes[..self.countries.len()].sort_unstable();
        if !countries.as_slice().is_sorted_by(|a, b| a < b) {
            return Err(GrantError::Countries);
        }
        let origin = match self.origin {
            None => None,
            Some(text) if is_origin(text) => OriginKey::of(text.as_bytes()),
            Some(_) => return Err(GrantError::Origin),
        };
        let prefix = match self.prefix {
            None => Prefix::NONE,
            Some(text) => Prefix::new(text.as_bytes()).ok_or(GrantError::Prefix)?,
        };
        Ok(Claims {
            purpose: self.purpose,
            asset: self.asset,
            classes: self.classes,
            rung_max: self.rung_max,
            issued_at: now,
            ttl_secs: self.ttl_secs,
            org: self.org,
            session: self.session,
            start_secs: self.start_secs,
            audience: self.audience,
            renewal,
            network: self.network,
            countries,
            origin,
            prefix,
        })
    }
}

/// What of a grant cannot be. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GrantError {
    /// The life is 0, too long (16,777,215 s; for a bootstrap token 120 s), or ends after 2106.
    Ttl,
    /// No class is granted.
    Classes,
    /// It would start when it has already expired.
    Start,
    /// The step is not 1 to 65,535 s, or the horizon shorter than the life, over 16,777,215 s or after 2106.
    Renewal,
    /// More than eight countries, or one of them twice.
    Countries,
    /// Not an origin as browsers write it: scheme and host in lower case, a port only where it is not the default.
    Origin,
    /// Not a path prefix: relative, at most 64 characters, plain parts, ending in `/`.
    Prefix,
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ttl => "the life must be 1 to 16777215 seconds (a bootstrap token's 1 to 120) and end before 2106",
            Self::Classes => "at least one artifact class must be granted",
            Self::Start => "the start must come before the expiry",
            Self::Renewal => "the step must be 1 to 65535 seconds and the horizon the token's life to 16777215",
            Self::Countries => "at most eight countries, none of them twice",
            Self::Origin => "the origin must be written as browsers do, such as https://www.example.com",
            Self::Prefix => "the path prefix must be relative, at most 64 plain characters, and end in /",
        })
    }
}

impl core::error::Error for GrantError {}

/// Whether a browser would send `text` as an origin. A port that it would leave out makes a claim that nobody can meet.
fn is_origin(text: &str) -> bool {
    let (rest, default_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, "443"),
        (_, Some(rest)) => (rest, "80"),
        _ => return false,
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let good_port = port.is_none_or(|port| {
        port != default_port
            && !port.starts_with('0')
            && port.bytes().all(|b| b.is_ascii_digit())
            && port.parse::<u16>().is_ok()
    });
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good_host = match bracketed {
        Some(v6) => v6.parse::<core::net::Ipv6Addr>().is_ok() && !v6.bytes().any(|b| b.is_ascii_uppercase()),
        None => host.split('.').all(|part| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        }),
    };
    text.len() <= ORIGIN_LEN_MAX && good_port && good_host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant<'static> {
        Grant::playback(&AssetRef::uuid([1; 16]), ClassMask::HLS, 900)
    }

    #[track_caller]
    fn check(grant: Grant<'_>, expect: Option<GrantError>) {
        assert_eq!(grant.build(UnixSecs::new(1_800_000_000)).err(), expect);
    }

    #[test]
    fn a_grant_that_cannot_be_is_named() {
        let asset = AssetRef::uuid([1; 16]);
        let (de, us) = (Country::new("DE").unwrap(), Country::new("US").unwrap());
        check(grant(), None);
        check(Grant::playback(&asset, ClassMask::HLS, 0), Some(GrantError::Ttl));
        check(Grant::playback(&asset, ClassMask::HLS, 1 << 24), Some(GrantError::Ttl));
        check(Grant::bootstrap(&asset, ClassMask::HLS, 121), Some(GrantError::Ttl));
        check(Grant::bootstrap(&asset, ClassMask::HLS, 120), None);
        check(Grant::playback(&asset, ClassMask::NONE, 1), Some(GrantError::Classes));
        check(grant().starts_after(900), Some(GrantError::Start));
        check(grant().starts_after(899), None);
        check(grant().renewable(0, 900), Some(GrantError::Renewal));
        check(grant().renewable(65_536, 900), Some(GrantError::Renewal));
        check(grant().renewable(60, 899), Some(GrantError::Renewal));
        check(grant().renewable(60, 900), None);
        check(grant().countries(&[us, de]), None);
        check(grant().countries(&[us, us]), Some(GrantError::Countries));
        check(grant().countries(&[us; 9]), Some(GrantError::Countries));
        check(grant().path_prefix("hls/720p/"), None);
        let late = Grant::playback(&asset, ClassMask::HLS, 900).build(UnixSecs::MAX.saturating_sub(899));
        assert_eq!(late.err(), Some(GrantError::Ttl));
    }

    #[test]
    fn a_path_prefix_is_canonical() {
        for bad in ["", "/", "hls", "/hls/", "hls//", "../", "hls/../", "hls/./", "h%6cs/", "hls\\/", "h\0/", "\u{e9}/"]
        {
            check(grant().path_prefix(bad), Some(GrantError::Prefix));
        }
        check(grant().path_prefix(&std::format!("{}/", "x".repeat(63))), None);
        check(grant().path_prefix(&std::format!("{}/", "x".repeat(64))), Some(GrantError::Prefix));
    }

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for good in ["https://www.example.com", "http://localhost:4100", "http://[::1]:8080", "https://a.b:444"] {
            check(grant().origin(good), None);
        }
        for bad in [
            "",
            "null",
            "https://",
            "https://Example.com",
            "https://example.com/",
            "https://example.com:443",
            "http://example.com:80",
            "https://example.com.",
            "https://example.com:",
            "https://example.com:99999",
            "https://user@example.com",
            "ftp://example.com",
            "example.com",
        ] {
            check(grant().origin(bad), Some(GrantError::Origin));
        }
    }
}
