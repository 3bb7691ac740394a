//! Playback tokens as the API hands them out.
//!
//! A viewer's session begins with a bootstrap token that the owner's server asked for, or for a public asset with none.
//! It gets short playback tokens, again and again, until it ends. What it asks again with is a session token: it fetches
//! nothing from any edge, and lives in a cookie that only the bootstrap route of its asset is sent, so that no script and
//! no URL holds it.

use std::fmt;

use rend_core::asset::Asset;
use rend_core::id::AssetId;
use rend_core::time::Timestamp;
use rend_token::transport::{CookieDomain, CookieSite, SetCookie};
use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Grant, KeyRingBuf, Org, Request, SessionId, SignError, Signer,
    TokenBuf, UnixSecs, Verifier,
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
        self.sign_bootstrap(asset, SessionId::new(rend_shell::entropy()), now)
    }

    /// The session that `token` begins or goes on with, if it is a token for `asset` that works at `now`: a bootstrap
    /// token begins one, a session token goes on.
    pub(crate) fn admit(&self, token: &[u8], asset: AssetId, now: Timestamp) -> Option<Admitted> {
        let reference = AssetRef::uuid(*asset.as_bytes());
        let request = |class, path| Request::new(&reference, Artifact::new(class, path), unix(now));
        let begins =
            Verifier::bootstrap(&self.ring).verify(token, &request(ArtifactClass::MasterManifest, "hls/master.m3u8"));
        if let Ok(verified) = begins {
            return Some(Admitted { session: verified.claims().session()?, ends_at: None });
        }
        let goes_on = Verifier::playback(&self.ring).verify(token, &request(ArtifactClass::App, "session")).ok()?;
        let claims = goes_on.claims();
        Some(Admitted { session: claims.session()?, ends_at: Some(claims.expires_at()) })
    }

    /// A session for somebody who needs no permission.
    ///
    /// # Errors
    ///
    /// When no key signs at `now`.
    pub(crate) fn open(&self, asset: &Asset, now: Timestamp) -> Result<Session, SignError> {
        self.resume(asset, &Admitted { session: SessionId::new(rend_shell::entropy()), ends_at: None }, now)
    }

    /// The tokens of an admitted session. One that begins gets a token to refresh with; one that goes on keeps its own,
    /// and no playback token outlives it, so that its end stays where it was.
    ///
    /// # Errors
    ///
    /// When no key signs at `now`.
    pub(crate) fn resume(&self, asset: &Asset, admitted: &Admitted, now: Timestamp) -> Result<Session, SignError> {
        let left = admitted.ends_at.map_or(u32::MAX, |end| end.since(unix(now)));
        let playback_secs = self.playback_ttl_secs.min(left);
        let reference = AssetRef::uuid(*asset.id.as_bytes());
        let playback = self.sign(Grant::playback(&reference, PLAYABLE, playback_secs), asset, admitted.session, now)?;
        let refresh = match admitted.ends_at {
            Some(_) => None,
            None => {
                Some(self.sign(Grant::playback(&reference, SESSION, SESSION_SECS), asset, admitted.session, now)?)
            }
        };
        Ok(Session { playback, playback_secs, refresh })
    }

    fn sign_bootstrap(&self, asset: &Asset, session: SessionId, now: Timestamp) -> Result<TokenBuf, SignError> {
        let reference = AssetRef::uuid(*asset.id.as_bytes());
        self.sign(Grant::bootstrap(&reference, PLAYABLE, BOOTSTRAP_TTL_SECS), asset, session, now)
    }

    fn sign(&self, grant: Grant<'_>, asset: &Asset, session: SessionId, now: Timestamp) -> Result<TokenBuf, SignError> {
        let grant = grant.org(Org::new(*asset.org.as_bytes())).session(session);
        // Grants of these fixed shapes can only contradict themselves when the clock stands past 2106.
        let claims = grant.build(unix(now)).map_err(|_| SignError::TtlPolicy)?;
        Signer::new(&self.ring).sign(&claims)
    }
}

/// A session whose token was good. Holding one proves that a verification passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    session: SessionId,
    ends_at: Option<UnixSecs>,
}

/// A viewer's tokens.
pub(crate) struct Session {
    /// What the edges check.
    pub playback: TokenBuf,
    /// For how many seconds they take it.
    pub playback_secs: u32,
    /// What the session refreshes with, when it has to be set.
    refresh: Option<TokenBuf>,
}

impl Session {
    /// The cookie that edges read, for `secs`.
    pub(crate) fn playback_cookie(&self, asset: AssetId, site: CookieSite, domain: Option<CookieDomain<'_>>) -> String {
        let reference = AssetRef::uuid(*asset.as_bytes());
        let cookie = SetCookie::new(site, &self.playback, &reference, self.playback_secs);
        match domain {
            Some(domain) => cookie.domain(domain).to_string(),
            None => cookie.to_string(),
        }
    }

    /// The cookie that the bootstrap route reads, when it has to be set.
    pub(crate) fn refresh_cookie(&self, asset: AssetId, secure: bool) -> Option<String> {
        let token = self.refresh.as_ref()?;
        let secure = if secure { "; Secure" } else { "" };
        Some(format!(
            "{SESSION_COOKIE}={}; Path=/api/player/{asset}; Max-Age={SESSION_SECS}; HttpOnly; SameSite=Lax{secure}",
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

/// What a session token is for: refreshing. No edge serves anything of this class.
const SESSION: ClassMask = ClassMask::of(&[ArtifactClass::App]);

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
        let refresh = session.refresh.as_ref().unwrap();
        let second = tickets.admit(refresh.as_bytes(), asset.id, at(800)).unwrap();
        assert_eq!(second.session, first.session);
        assert!(tickets.resume(&asset, &second, at(800)).unwrap().refresh.is_none(), "a refresh moves no end");
        let end = 60 + u64::from(SESSION_SECS);
        assert_eq!(
            tickets.resume(&asset, &second, at(end - 5)).unwrap().playback_secs,
            5,
            "no token outlives its session"
        );
        assert!(tickets.admit(refresh.as_bytes(), asset.id, at(end)).is_none());
        assert!(tickets.admit(handed.as_bytes(), asset.id, at(120)).is_none());
    }

    #[test]
    fn a_token_for_playback_or_for_another_asset_begins_nothing() {
        let (tickets, asset, now) = (tickets(), asset(1), Timestamp::from_secs(1_800_000_000));
        let session = tickets.open(&asset, now).unwrap();
        assert!(tickets.admit(session.playback.as_bytes(), asset.id, now).is_none());
        let refresh = session.refresh.unwrap();
        assert!(tickets.admit(refresh.as_bytes(), AssetId::from_bytes([2; 16]), now).is_none());
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
