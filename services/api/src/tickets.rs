//! Playback tokens as the API hands them out.
//!
//! A viewer's session begins with a bootstrap token that the owner's server asked for, or for a public asset with none.
//! It gets short playback tokens, again and again, until it ends. What it asks again with is a session token: it fetches
//! nothing from any edge, and lives in a cookie that only the bootstrap route of its asset is sent, so that no script and
//! no URL holds it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rend_core::asset::Asset;
use rend_core::fleet::{RevocationSet, Revoked, TooManyRevoked};
use rend_core::id::AssetId;
use rend_core::time::Timestamp;
use rend_token::transport::{CookieDomain, CookieSite, SetCookie};
use rend_token::{
    Artifact, ArtifactClass, AssetRef, ClassMask, Grant, KeyLabel, KeyRingBuf, Keys, Org, Request, RevocationBuf,
    SessionId, SignError, Signer, TokenBuf, UnixSecs, Verifier,
};

/// Signs playback and bootstrap tokens with the active key, and reads bootstrap and session tokens back, as far as they
/// are not revoked.
pub struct Tickets {
    /// The keys as they were configured.
    ring: Arc<KeyRingBuf>,
    believed: RwLock<Arc<Believed>>,
    playback_ttl_secs: u32,
}

/// What was revoked, and the keys that are left.
struct Believed {
    set: RevocationSet,
    ring: Arc<KeyRingBuf>,
    revoked: RevocationBuf,
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
/// How long the URL of a download works, in seconds: as long as a session, since it is fetched in pieces and with pauses too.
pub(crate) const DOWNLOAD_TTL_SECS: u32 = SESSION_SECS;
/// The cookie that a running session refreshes with, sent to the bootstrap route of its asset alone.
const SESSION_COOKIE: &str = "rend_session";

impl Tickets {
    /// Tickets under `ring`, whose playback tokens last `playback_ttl_secs`.
    pub fn new(ring: KeyRingBuf, playback_ttl_secs: u32) -> Self {
        let ring = Arc::new(ring);
        let believed = RwLock::new(Arc::new(Believed::new(&ring, RevocationSet::new())));
        Self { ring, believed, playback_ttl_secs }
    }

    /// Changes what is revoked. From when this returns, tokens are judged by it.
    ///
    /// # Errors
    ///
    /// When `change` finds no room; then nothing changed.
    pub(crate) fn revoke(
        &self,
        change: impl FnOnce(&mut RevocationSet) -> Result<(), TooManyRevoked>,
    ) -> Result<(), TooManyRevoked> {
        let mut believed = self.believed.write().unwrap_or_else(PoisonError::into_inner);
        let mut set = believed.set.clone();
        change(&mut set)?;
        if set != believed.set {
            *believed = Arc::new(Believed::new(&self.ring, set));
        }
        Ok(())
    }

    /// What is revoked.
    pub(crate) fn revocations(&self) -> RevocationSet {
        self.believed().set.clone()
    }

    /// Whether the key called `label` signs at `now`, as configured.
    pub(crate) fn signs_with(&self, label: &str, now: Timestamp) -> bool {
        self.ring.entries().iter().any(|key| key.label().as_str() == label && key.signs_at(unix(now)))
    }

    fn believed(&self) -> Arc<Believed> {
        Arc::clone(&self.believed.read().unwrap_or_else(PoisonError::into_inner))
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

    /// A token that opens the downloads of `asset` and nothing else, for [`DOWNLOAD_TTL_SECS`].
    ///
    /// # Errors
    ///
    /// When no key signs at `now`.
    pub(crate) fn download(&self, asset: &Asset, now: Timestamp) -> Result<TokenBuf, SignError> {
        let reference = AssetRef::uuid(*asset.id.as_bytes());
        let grant = Grant::playback(&reference, DOWNLOADS, DOWNLOAD_TTL_SECS);
        self.sign(grant, asset, SessionId::new(rend_shell::entropy()), now)
    }

    /// The session that `token` begins or goes on with, if it is a token for `asset` that works at `now`: a bootstrap
    /// token begins one, a session token goes on.
    pub(crate) fn admit(&self, token: &[u8], asset: AssetId, now: Timestamp) -> Option<Admitted> {
        let reference = AssetRef::uuid(*asset.as_bytes());
        let request = |class, path| Request::new(&reference, Artifact::new(class, path), unix(now));
        let believed = self.believed();
        let bootstrap = Verifier::bootstrap(believed.ring.as_ref()).with_revocation(&believed.revoked);
        let begins = bootstrap.verify(token, &request(ArtifactClass::MasterManifest, "hls/master.m3u8"));
        if let Ok(verified) = begins {
            return Some(Admitted { session: verified.claims().session()?, ends_at: None });
        }
        let playback = Verifier::playback(believed.ring.as_ref()).with_revocation(&believed.revoked);
        let goes_on = playback.verify(token, &request(ArtifactClass::App, "session")).ok()?;
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
        let grant = Grant::playback(&reference, PLAYABLE, playback_secs);
        let playback = self.sign(grant, asset, admitted.session, now)?;
        // In a cookie it can be replaced by any edge that it passes, until the session ends. In a URL it can not.
        let (step, horizon) = (playback_secs.min(STEP_SECS_MAX), SESSION_SECS.min(left).max(playback_secs));
        let cookie = self.sign(grant.renewable(step, horizon), asset, admitted.session, now)?;
        let refresh = match admitted.ends_at {
            Some(_) => None,
            None => {
                Some(self.sign(Grant::playback(&reference, SESSION, SESSION_SECS), asset, admitted.session, now)?)
            }
        };
        Ok(Session { id: admitted.session, playback, cookie, playback_secs, refresh })
    }

    fn sign_bootstrap(&self, asset: &Asset, session: SessionId, now: Timestamp) -> Result<TokenBuf, SignError> {
        let reference = AssetRef::uuid(*asset.id.as_bytes());
        let step = self.playback_ttl_secs.min(STEP_SECS_MAX);
        let grant = Grant::bootstrap(&reference, PLAYABLE, BOOTSTRAP_TTL_SECS).renewable(step, SESSION_SECS);
        self.sign(grant, asset, session, now)
    }

    fn sign(&self, grant: Grant<'_>, asset: &Asset, session: SessionId, now: Timestamp) -> Result<TokenBuf, SignError> {
        let grant = grant.org(Org::new(*asset.org.as_bytes())).session(session);
        // Grants of these fixed shapes can only contradict themselves when the clock stands past 2106.
        let claims = grant.build(unix(now)).map_err(|_| SignError::TtlPolicy)?;
        Signer::new(self.believed().ring.as_ref()).sign(&claims)
    }
}

impl Believed {
    fn new(ring: &Arc<KeyRingBuf>, set: RevocationSet) -> Self {
        let (mut ring, mut revoked) = (Arc::clone(ring), RevocationBuf::new());
        for row in set.rows() {
            // The first second that begins at or after it: tokens from earlier in the same second are revoked too.
            let whole = |at: Timestamp| UnixSecs::try_from(at.as_millis().div_ceil(1000)).unwrap_or(UnixSecs::MAX);
            let cutoff = row.issued_before.map_or(UnixSecs::MAX, whole);
            // The set is not larger than what the list takes, so there is room.
            let _ = match &row.what {
                Revoked::Key(name) => {
                    let label = KeyLabel::new(name.as_str()).ok();
                    let changed = label.and_then(|label| match row.issued_before {
                        None => ring.revoke(&label),
                        Some(_) => ring.refuse_issued_before(&label, cutoff),
                    });
                    ring = changed.map_or(ring, Arc::new);
                    true
                }
                Revoked::Org(id) => revoked.revoke_org(Org::new(*id.as_bytes()), cutoff),
                Revoked::Asset(id) => revoked.revoke_asset(AssetRef::uuid(*id.as_bytes()).key(), cutoff),
                Revoked::Session(bytes) => revoked.end_session(SessionId::new(*bytes), cutoff),
            };
        }
        Self { set, ring, revoked }
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
    /// Which session it is.
    pub id: SessionId,
    /// What the edges check, in a URL.
    pub playback: TokenBuf,
    /// The same for a cookie: edges renew it.
    cookie: TokenBuf,
    /// For how many seconds they take it.
    pub playback_secs: u32,
    /// What the session refreshes with, when it has to be set.
    refresh: Option<TokenBuf>,
}

impl Session {
    /// The cookie that edges read, for `secs`.
    pub(crate) fn playback_cookie(&self, asset: AssetId, site: CookieSite, domain: Option<CookieDomain<'_>>) -> String {
        let reference = AssetRef::uuid(*asset.as_bytes());
        let cookie = SetCookie::new(site, &self.cookie, &reference, self.playback_secs);
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

/// The longest step that a token can hold, in seconds.
const STEP_SECS_MAX: u32 = 65_535;

/// What a session token is for: refreshing. No edge serves anything of this class.
const SESSION: ClassMask = ClassMask::of(&[ArtifactClass::App]);

/// What the URL of a download opens.
const DOWNLOADS: ClassMask = ClassMask::of(&[ArtifactClass::Progressive]);

/// Everything that plays. Not a download, which is a right of its own, nor the original, which is never behind an edge.
const PLAYABLE: ClassMask = ClassMask::of(&[
    ArtifactClass::MasterManifest,
    ArtifactClass::VariantManifest,
    ArtifactClass::Init,
    ArtifactClass::Segment,
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
    fn only_the_token_in_the_cookie_may_be_renewed_and_not_past_the_session() {
        let (tickets, asset) = (tickets(), asset(1));
        let at = |secs| Timestamp::from_secs(1_800_000_000 + secs);
        let reference = AssetRef::uuid(*asset.id.as_bytes());
        let deadline = |token: &TokenBuf, now| {
            let artifact = Artifact::new(ArtifactClass::Segment, "hls/720p/segment_00001.m4s");
            let request = Request::new(&reference, artifact, unix(now));
            let ring = tickets.ring.as_ref();
            *Verifier::playback(ring).verify(token.as_bytes(), &request).unwrap().claims()
        };
        let first = tickets.open(&asset, at(0)).unwrap();
        assert_eq!(deadline(&first.playback, at(0)).deadline(), None);
        let end = unix(at(u64::from(SESSION_SECS)));
        assert_eq!(deadline(&first.cookie, at(0)).deadline(), Some(end));
        let refresh = first.refresh.unwrap();
        for later in [1000, u64::from(SESSION_SECS) - 5] {
            let again = tickets.admit(refresh.as_bytes(), asset.id, at(later)).unwrap();
            let session = tickets.resume(&asset, &again, at(later)).unwrap();
            assert_eq!(deadline(&session.cookie, at(later)).deadline(), Some(end), "the end stays where it is");
        }
    }

    #[test]
    fn a_token_for_downloads_opens_them_alone_and_a_viewers_does_not() {
        let (tickets, asset, now) = (tickets(), asset(1), Timestamp::from_secs(1_800_000_000));
        let reference = AssetRef::uuid(*asset.id.as_bytes());
        let opens = |token: &TokenBuf, class, path: &str, at: Timestamp| {
            let request = Request::new(&reference, Artifact::new(class, path), unix(at));
            Verifier::playback(tickets.ring.as_ref()).verify(token.as_bytes(), &request).is_ok()
        };
        let download = |token: &TokenBuf, at| opens(token, ArtifactClass::Progressive, "downloads/720p.mp4", at);
        let master = |token: &TokenBuf| opens(token, ArtifactClass::MasterManifest, "hls/master.m3u8", now);
        let (own, viewers) = (tickets.download(&asset, now).unwrap(), tickets.open(&asset, now).unwrap().playback);
        let end = now + std::time::Duration::from_secs(DOWNLOAD_TTL_SECS.into());
        assert!(download(&own, now) && !download(&own, end) && !master(&own));
        assert!(master(&viewers) && !download(&viewers, now));
        assert!(tickets.admit(own.as_bytes(), asset.id, now).is_none(), "it begins no session");
    }

    #[test]
    fn what_was_revoked_begins_and_continues_nothing() {
        use rend_core::fleet::RevocationRow;

        let (asset, now) = (asset(1), Timestamp::from_secs(1_800_000_000));
        for (kind, subject, before, young) in [
            ("asset", asset.id.to_string(), Some(now + std::time::Duration::from_millis(1)), true),
            ("org", asset.org.to_string(), Some(now + std::time::Duration::from_millis(1)), true),
            ("key", "old".to_owned(), None, true),
        ] {
            let values = RingValues {
                signing_label: Some("old"),
                signing_secret: Some("a-secret-that-only-these-tests-use-0123456789"),
                ..RingValues::default()
            };
            let old = Tickets::new(KeyRingBuf::from_values(&values, Policy::new()).unwrap(), 900);
            let values = RingValues {
                signing_label: Some("new"),
                signing_secret: Some("another-secret-that-only-these-tests-use-01234"),
                verify_keys: Some("old=a-secret-that-only-these-tests-use-0123456789"),
                production: false,
            };
            let tickets = Tickets::new(KeyRingBuf::from_values(&values, Policy::new()).unwrap(), 900);
            let handed = old.bootstrap(&asset, now).unwrap();
            let refresh = old.open(&asset, now).unwrap().refresh.unwrap();
            for token in [&handed, &refresh] {
                assert!(tickets.admit(token.as_bytes(), asset.id, now).is_some());
            }
            let row = RevocationRow {
                seq: 1,
                what: Revoked::parse(kind, &subject).unwrap(),
                issued_before: before,
                at: now,
                expires_at: None,
            };
            tickets.revoke(|set| set.apply(&row)).unwrap();
            assert_eq!(tickets.revocations().seen(), 1);
            for token in [&handed, &refresh] {
                assert!(tickets.admit(token.as_bytes(), asset.id, now).is_none(), "{kind}");
            }
            let later = now + std::time::Duration::from_secs(1);
            let fresh = tickets.bootstrap(&asset, later).unwrap();
            assert_eq!(tickets.admit(fresh.as_bytes(), asset.id, later).is_some(), young, "{kind}");
        }
        let tickets = tickets();
        let handed = tickets.bootstrap(&asset, now).unwrap();
        let session = tickets.admit(handed.as_bytes(), asset.id, now).unwrap().session;
        let what = Revoked::Session(*session.as_bytes());
        let row = RevocationRow { seq: 1, what, issued_before: None, at: now, expires_at: None };
        tickets.revoke(|set| set.apply(&row)).unwrap();
        assert!(tickets.admit(handed.as_bytes(), asset.id, now).is_none(), "an ended session is not begun again");
        assert!(tickets.signs_with("test", now) && !tickets.signs_with("old", now));
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
