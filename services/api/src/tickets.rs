//! Playback tokens as the API hands them out.
//!
//! A viewer's session begins with a bootstrap token: one that the owner's server asked for, or for a public asset one
//! made on the spot. It is exchanged for a short playback token, again and again, until its session ends. The bootstrap
//! token of a running session lives in a cookie that only the bootstrap route is sent, so no script and no URL holds it.

use std::fmt;

use rend_core::asset::Asset;
use rend_core::id::AssetId;
use rend_core::time::Timestamp;
use rend_token::transport::{CookieDomain, CookieSite, SetCookie};
use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Grant, KeyRingBuf, Org, Request, SessionId, SignError, Signer,
    TokenBuf, UnixSecs, Verified, Verifier,
};

/// Signs playback and bootstrap tokens with the active key, and reads bootstrap tokens back.
pub struct Tickets {
    ring: KeyRingBuf,
    playback_ttl_secs: u32,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

/// How long a server has to hand a bootstrap token to its viewer, in seconds.
pub const BOOTSTRAP_TTL_SECS: u32 = 120;
/// How long a viewer may go on playing without asking the owner's server again, in seconds: four hours, a long film with
/// its pauses. It is the hard end of every chain of refreshes.
pub const SESSION_SECS: u32 = 4 * 3600;
/// The cookie that a running session refreshes with, sent to the bootstrap route of its asset alone.
const SESSION_COOKIE: &str = "rend_session";

impl Tickets {
    /// Tickets under `ring`, whose playback tokens last `playback_ttl_secs`.
    pub const fn new(ring: KeyRingBuf, playback_ttl_secs: u32) -> Self {
        Self { ring, playback_ttl_secs }
    }

    /// How long a playback token works, in seconds.
    pub(crate) const fn playback_ttl_secs(&self) -> u32 {
        self.playback_ttl_secs
    }

    /// A token that a server hands to one viewer.
    ///
    /// # Errors
    ///
    /// When no key signs at `now`.
    pub(crate) fn bootstrap(&self, asset: &Asset, now: Timestamp) -> Result<TokenBuf, SignError> {
        self.sign_bootstrap(asset, SessionId::new(rend_shell::entropy()), BOOTSTRAP_TTL_SECS, now)
    }

    /// What `token` says, if it is a bootstrap token for `asset` that works at `now`.
    pub(crate) fn admit(&self, token: &[u8], asset: AssetId, now: Timestamp) -> Option<Verified> {
        let reference = AssetRef::uuid(*asset.as_bytes());
        let master = Artifact::new(ArtifactClass::MasterManifest, "hls/master.m3u8");
        Verifier::bootstrap(&self.ring).verify(token, &Request::new(&reference, master, unix(now))).ok()
    }

    /// A new session for somebody who needs no permission.
    ///
    /// # Errors
    ///
    /// When no key signs at `now`.
    pub(crate) fn open(&self, asset: &Asset, now: Timestamp) -> Result<Session, SignError> {
        let token = self.sign_bootstrap(asset, SessionId::new(rend_shell::entropy()), SESSION_SECS, now)?;
        let verified = self.admit(token.as_bytes(), asset.id, now).ok_or(SignError::NoActiveKey)?;
        let playback = Signer::new(&self.ring).exchange(&verified, self.playback_ttl_secs, unix(now))?;
        Ok(Session { playback, refresh: Some((token, SESSION_SECS)) })
    }

    /// The session that `verified` begins or goes on with. One that begins gets a token to refresh with; one that goes on
    /// keeps its own, so that its end stays where it was.
    ///
    /// # Errors
    ///
    /// When no key signs at `now`.
    pub(crate) fn resume(&self, asset: &Asset, verified: &Verified, now: Timestamp) -> Result<Session, SignError> {
        let playback = Signer::new(&self.ring).exchange(verified, self.playback_ttl_secs, unix(now))?;
        let begins = verified.claims().ttl_secs() <= BOOTSTRAP_TTL_SECS;
        let refresh = match (begins, verified.claims().session()) {
            (true, Some(session)) => Some((self.sign_bootstrap(asset, session, SESSION_SECS, now)?, SESSION_SECS)),
            (true, None) | (false, _) => None,
        };
        Ok(Session { playback, refresh })
    }

    fn sign_bootstrap(
        &self,
        asset: &Asset,
        session: SessionId,
        ttl_secs: u32,
        now: Timestamp,
    ) -> Result<TokenBuf, SignError> {
        let reference = AssetRef::uuid(*asset.id.as_bytes());
        let grant =
            Grant::bootstrap(&reference, PLAYABLE, ttl_secs).org(Org::new(*asset.org.as_bytes())).session(session);
        // A grant of this fixed shape can only contradict itself when the clock stands past 2106.
        let claims = grant.build(unix(now)).map_err(|_| SignError::TtlPolicy)?;
        Signer::new(&self.ring).sign(&claims)
    }
}

/// A viewer's tokens.
#[expect(missing_debug_implementations, reason = "tokens are credentials")]
pub(crate) struct Session {
    /// What the edges check.
    pub playback: TokenBuf,
    /// What the session refreshes with, when it has to be set, and for how many seconds.
    refresh: Option<(TokenBuf, u32)>,
}

impl Session {
    /// The cookie that edges read, for `secs`.
    pub(crate) fn playback_cookie(
        &self,
        asset: AssetId,
        site: CookieSite,
        domain: Option<CookieDomain<'_>>,
        secs: u32,
    ) -> String {
        let reference = AssetRef::uuid(*asset.as_bytes());
        let cookie = SetCookie::new(site, &self.playback, &reference, secs);
        match domain {
            Some(domain) => cookie.domain(domain).to_string(),
            None => cookie.to_string(),
        }
    }

    /// The cookie that the bootstrap route reads, when it has to be set.
    pub(crate) fn refresh_cookie(&self, asset: AssetId, secure: bool) -> Option<String> {
        let (token, secs) = self.refresh.as_ref()?;
        let secure = if secure { "; Secure" } else { "" };
        Some(format!(
            "{SESSION_COOKIE}={}; Path=/api/player/{asset}; Max-Age={secs}; HttpOnly; SameSite=Lax{secure}",
            token.as_str()
        ))
    }
}

/// The session tokens among the `Cookie` header's lines: at most four are looked at.
pub(crate) fn session_cookies<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    lines
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(SESSION_COOKIE.as_bytes())?.strip_prefix(b"="))
        .take(4)
}

/// Everything that plays. Not the original: that is never behind an edge.
const PLAYABLE: ClassMask = ClassMask::of(&[
    ArtifactClass::MasterManifest,
    ArtifactClass::VariantManifest,
    ArtifactClass::Init,
    ArtifactClass::Segment,
    ArtifactClass::Progressive,
    ArtifactClass::Opener,
    ArtifactClass::Thumbnail,
    ArtifactClass::Storyboard,
    ArtifactClass::Captions,
    ArtifactClass::Audio,
]);

fn unix(now: Timestamp) -> UnixSecs {
    UnixSecs::new(u32::try_from(now.as_secs()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use rend_core::asset::PlaybackPolicy;
    use rend_core::id::OrgId;
    use rend_token::{Policy, RingValues};

    use super::*;

    fn tickets() -> Tickets {
        let values = RingValues {
            signing_label: Some("test"),
            signing_secret: Some("a-secret-that-only-these-tests-use-0123456789"),
            ..RingValues::default()
        };
        Tickets::new(KeyRingBuf::from_values(&values, Policy::new()).unwrap(), 900)
    }

    fn asset(byte: u8) -> Asset {
        let now = Timestamp::from_secs(1_800_000_000);
        Asset::new(AssetId::from_bytes([byte; 16]), OrgId::from_bytes([9; 16]), "t".into(), PlaybackPolicy::Signed, now)
    }

    #[test]
    fn a_session_keeps_its_name_through_refreshes_and_ends_where_it_ended() {
        let (tickets, asset) = (tickets(), asset(1));
        let at = |secs| Timestamp::from_secs(1_800_000_000 + secs);
        let handed = tickets.bootstrap(&asset, at(0)).unwrap();
        let first = tickets.admit(handed.as_bytes(), asset.id, at(60)).unwrap();
        let session = tickets.resume(&asset, &first, at(60)).unwrap();
        let (refresh, _) = session.refresh.as_ref().unwrap();
        let second = tickets.admit(refresh.as_bytes(), asset.id, at(800)).unwrap();
        assert_eq!(second.claims().session(), first.claims().session());
        assert!(tickets.resume(&asset, &second, at(800)).unwrap().refresh.is_none(), "a refresh moves no end");
        assert!(tickets.admit(refresh.as_bytes(), asset.id, at(60 + u64::from(SESSION_SECS))).is_none());
        assert!(tickets.admit(handed.as_bytes(), asset.id, at(120)).is_none());
    }

    #[test]
    fn a_token_for_playback_or_for_another_asset_begins_nothing() {
        let (tickets, asset, now) = (tickets(), asset(1), Timestamp::from_secs(1_800_000_000));
        let session = tickets.open(&asset, now).unwrap();
        assert!(tickets.admit(session.playback.as_bytes(), asset.id, now).is_none());
        let handed = tickets.bootstrap(&asset, now).unwrap();
        assert!(tickets.admit(handed.as_bytes(), AssetId::from_bytes([2; 16]), now).is_none());
        assert!(tickets.admit(b"", asset.id, now).is_none());
    }

    #[test]
    fn session_cookies_are_found_among_others() {
        let lines: [&[u8]; 2] = [b"a=1; rend_session=one;rend_sessions=x", b" rend_session=two"];
        let found: Vec<_> = session_cookies(lines.into_iter()).collect();
        assert_eq!(found, [b"one", b"two"]);
    }
}
