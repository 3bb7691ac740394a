//! What the edge believes: the keys in force, and what was revoked since they were configured.
//!
//! Each request looks at one state of both, which is swapped whole. What was revoked lies on disk beside the cache, so that
//! a restart forgets nothing, also while the control plane is away.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use rend_core::fleet::wire::RevocationsAnswer;
use rend_core::fleet::{RevocationRow, RevocationSet, Revoked};
use rend_core::time::Timestamp;
use rend_token::{AssetRef, KeyLabel, KeyRingBuf, Org, RevocationBuf, SessionId, UnixSecs};
use thiserror::Error;
use tokio::sync::Mutex;

/// One state of what is believed.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// The keys, those that are revoked marked.
    pub(crate) ring: Arc<KeyRingBuf>,
    /// Cut-offs and ended sessions.
    pub(crate) revoked: RevocationBuf,
}

/// What the edge believes, as it changes.
#[derive(Debug)]
pub(crate) struct Trust {
    file: PathBuf,
    now: Arc<ArcSwap<Trusted>>,
    /// One change at a time.
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    /// The keys as they were configured.
    ring: Arc<KeyRingBuf>,
    set: RevocationSet,
    /// Whether the file says less than `set`.
    unwritten: bool,
}

/// What is believed, as one connection sees it.
pub(crate) type Watched = Cache<Arc<ArcSwap<Trusted>>, Arc<Trusted>>;

/// Why a revocation did not take its full effect. Asking again can help.
#[derive(Debug, Error)]
pub(crate) enum TrustError {
    /// It holds until the next restart, but could not be written down.
    #[error("a revocation could not be written down")]
    Unwritten(#[source] io::Error),
    /// There is no room for it.
    #[error(transparent)]
    Full(#[from] rend_core::fleet::TooManyRevoked),
}

impl Trust {
    /// Believes `ring`, less what the file in `folder` says was revoked. It blocks.
    ///
    /// A file that can not be read is as none: it is said in the log, and the control plane is asked for everything.
    pub(crate) fn open(folder: &Path, ring: Arc<KeyRingBuf>) -> Self {
        let file = folder.join(FILE);
        let set = match fs::read(&file) {
            Ok(bytes) => parse(&bytes).unwrap_or_else(|| {
                tracing::error!(file = %file.display(), "the revocations on disk can not be read; until the control plane answers none are known");
                RevocationSet::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => RevocationSet::new(),
            Err(error) => {
                tracing::error!(file = %file.display(), %error, "the revocations on disk can not be read; until the control plane answers none are known");
                RevocationSet::new()
            }
        };
        Self::with(file, ring, set)
    }

    /// Believes `ring` whole, as if the file in `folder` were not there.
    pub(crate) fn none(folder: &Path, ring: Arc<KeyRingBuf>) -> Self {
        Self::with(folder.join(FILE), ring, RevocationSet::new())
    }

    fn with(file: PathBuf, ring: Arc<KeyRingBuf>, set: RevocationSet) -> Self {
        let now = Arc::new(ArcSwap::from_pointee(trusted(&ring, &set)));
        Self { file, now, book: Mutex::new(Book { ring, set, unwritten: false }) }
    }

    /// What holds at this moment.
    pub(crate) fn now(&self) -> Arc<Trusted> {
        self.now.load_full()
    }

    /// The same for who asks often: an asking that finds no change touches nothing that threads share.
    pub(crate) fn watched(&self) -> Watched {
        Cache::new(Arc::clone(&self.now))
    }

    /// The place of the revocation log up to which everything is carried out.
    pub(crate) async fn seen(&self) -> u64 {
        self.book.lock().await.set.seen()
    }

    /// How many subjects are revoked.
    pub(crate) fn len(&self) -> usize {
        let now = self.now();
        now.revoked.len() + rend_token::Keys::entries(now.ring.as_ref()).iter().filter(|key| key.is_revoked()).count()
    }

    /// Believes other keys from here on. What was revoked stays so.
    pub(crate) async fn swap_keys(&self, ring: Arc<KeyRingBuf>) {
        let mut book = self.book.lock().await;
        book.ring = ring;
        self.publish(&book);
    }

    /// Carries out `rows`. With `upto`, they are all there is up to that place. When this returns, requests that come are
    /// answered by them, and no crash forgets them.
    ///
    /// # Errors
    ///
    /// [`TrustError`]; as many as there was room for hold nevertheless.
    pub(crate) async fn revoke(
        &self,
        rows: &[RevocationRow],
        upto: Option<u64>,
        now: Timestamp,
    ) -> Result<(), TrustError> {
        let mut book = self.book.lock().await;
        let before = book.set.clone();
        let applied = rows.iter().try_for_each(|row| book.set.apply(row));
        if let Some(upto) = upto.filter(|_| applied.is_ok()) {
            book.set.saw(upto);
        }
        book.set.forget_over(now);
        if book.set != before {
            book.unwritten = true;
            // In force before it is written: a full disk must not keep a leaked key alive.
            self.publish(&book);
        }
        if book.unwritten {
            let (file, text) = (self.file.clone(), text(&book.set));
            let written = rend_shell::spawn_blocking(move || write(&file, &text)).await;
            written.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(TrustError::Unwritten)?;
            book.unwritten = false;
        }
        Ok(applied?)
    }

    /// Begins to read the log anew when it ends before our place: it is another log.
    pub(crate) async fn follow_log(&self, head: u64) {
        let mut book = self.book.lock().await;
        if head < book.set.seen() {
            book.set.start_over();
        }
    }

    fn publish(&self, book: &Book) {
        self.now.store(Arc::new(trusted(&book.ring, &book.set)));
    }
}

/// `ring` and `set` as a verifier takes them.
fn trusted(ring: &Arc<KeyRingBuf>, set: &RevocationSet) -> Trusted {
    let mut ring = Arc::clone(ring);
    let mut revoked = RevocationBuf::new();
    for row in set.rows() {
        let cutoff = row.issued_before.map_or(UnixSecs::MAX, whole_secs);
        // The set is not larger than what the list takes, so there is room.
        let _ = match &row.what {
            Revoked::Key(name) => {
                let label = KeyLabel::new(name.as_str()).ok();
                let changed = label.and_then(|label| match row.issued_before {
                    None => ring.revoke(&label),
                    Some(_) => ring.refuse_issued_before(&label, cutoff),
                });
                // A key that is not in the ring opens nothing anyway.
                ring = changed.map_or(ring, Arc::new);
                true
            }
            Revoked::Org(id) => revoked.revoke_org(Org::new(*id.as_bytes()), cutoff),
            Revoked::Asset(id) => revoked.revoke_asset(AssetRef::uuid(*id.as_bytes()).key(), cutoff),
            Revoked::Session(bytes) => revoked.end_session(SessionId::new(*bytes), cutoff),
        };
    }
    Trusted { ring, revoked }
}

/// The first second that begins at or after `at`: a token from earlier in the same second as the order is revoked too.
fn whole_secs(at: Timestamp) -> UnixSecs {
    UnixSecs::try_from(at.as_millis().div_ceil(1000)).unwrap_or(UnixSecs::MAX)
}

fn text(set: &RevocationSet) -> Vec<u8> {
    // These values hold nothing that JSON can not say.
    serde_json::to_vec(&RevocationsAnswer::new(set.rows(), set.seen())).unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Option<RevocationSet> {
    let known: RevocationsAnswer = serde_json::from_slice(bytes).ok()?;
    let mut set = RevocationSet::new();
    for row in known.to_rows().ok()? {
        set.apply(&row).ok()?;
    }
    set.start_over();
    set.saw(known.head);
    Some(set)
}

/// Writes the file whole, or not at all.
fn write(file: &Path, text: &[u8]) -> io::Result<()> {
    let part = file.with_extension("part");
    let mut out = fs::File::create(&part)?;
    out.write_all(text)?;
    out.sync_all()?;
    fs::rename(&part, file)?;
    // The name is durable only with its folder.
    file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

/// The file in the cache's folder.
const FILE: &str = "revocations.json";

const _: () = assert!(RevocationSet::ROWS_MAX <= RevocationBuf::ENTRIES_MAX);

#[cfg(test)]
mod tests {
    use rend_core::id::AssetId;
    use rend_token::{
        Artifact, ArtifactClass, ClassMask, Grant, Policy, Reason, Request, RingValues, Signer, Verifier,
    };

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn ring() -> Arc<KeyRingBuf> {
        let values = RingValues {
            signing_label: Some("one"),
            signing_secret: Some("a-secret-that-only-these-tests-use-0123456789"),
            verify_keys: Some("two=another-secret-that-only-these-tests-use-01234"),
            production: false,
        };
        Arc::new(KeyRingBuf::from_values(&values, Policy::new()).unwrap())
    }

    fn row(seq: u64, kind: &str, subject: &str, before: Option<u64>) -> RevocationRow {
        RevocationRow {
            seq,
            what: Revoked::parse(kind, subject).unwrap(),
            issued_before: before.map(Timestamp::from_millis),
            at: Timestamp::from_secs(NOW),
            expires_at: (kind != "key").then(|| Timestamp::from_secs(NOW + 100)),
        }
    }

    const ASSET: &str = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";

    /// Why a token of session 1 for the asset, issued at `NOW`, opens nothing.
    fn refused(trust: &Trust) -> Option<Reason> {
        let asset: AssetId = ASSET.parse().unwrap();
        let asset = AssetRef::uuid(*asset.as_bytes());
        let claims = Grant::playback(&asset, ClassMask::HLS, 900)
            .org(Org::new([7; 16]))
            .session(SessionId::new([1; 7]))
            .build(UnixSecs::new(NOW as u32))
            .unwrap();
        let token = Signer::new(ring().as_ref()).sign(&claims).unwrap();
        let artifact = Artifact::new(ArtifactClass::Segment, "hls/720p/segment_00001.m4s");
        let request = Request::new(&asset, artifact, UnixSecs::new(NOW as u32 + 1));
        let now = trust.now();
        let verifier = Verifier::playback(now.ring.as_ref()).with_revocation(&now.revoked);
        verifier.verify(token.as_bytes(), &request).err().map(|denied| denied.reason())
    }

    async fn check(kind: &str, subject: &str, before: Option<u64>, expect: Option<Reason>) {
        let folder = tempfile::tempdir().unwrap();
        let trust = Trust::open(folder.path(), ring());
        assert_eq!(refused(&trust), None);
        trust.revoke(&[row(1, kind, subject, before)], None, Timestamp::from_secs(NOW)).await.unwrap();
        assert_eq!((refused(&trust), trust.seen().await), (expect, 1), "{kind} {subject}");
        drop(trust);
        let again = Trust::open(folder.path(), ring());
        assert_eq!((refused(&again), again.seen().await), (expect, 1), "{kind} {subject} after a restart");
    }

    #[tokio::test]
    async fn what_is_revoked_is_refused_also_after_a_restart() {
        let org = "07070707-0707-0707-0707-070707070707";
        let (at, later) = (Some(NOW * 1000), Some(NOW * 1000 + 1));
        check("asset", ASSET, later, Some(Reason::RevokedAsset)).await;
        check("asset", ASSET, at, None).await;
        check("asset", org, later, None).await;
        check("org", org, later, Some(Reason::RevokedOrg)).await;
        check("org", org, at, None).await;
        check("session", "01010101010101", None, Some(Reason::RevokedSession)).await;
        check("session", "01010101010102", None, None).await;
        check("key", "one", None, Some(Reason::RevokedKey)).await;
        check("key", "one", later, Some(Reason::RevokedKey)).await;
        check("key", "one", at, None).await;
        check("key", "two", None, None).await;
        check("key", "unheard-of", None, None).await;
    }

    #[tokio::test]
    async fn other_keys_bring_no_revoked_one_back() {
        let folder = tempfile::tempdir().unwrap();
        let trust = Trust::open(folder.path(), ring());
        trust.revoke(&[row(1, "key", "one", None)], None, Timestamp::from_secs(NOW)).await.unwrap();
        trust.swap_keys(ring()).await;
        assert_eq!(refused(&trust), Some(Reason::RevokedKey));
        assert_eq!(trust.len(), 1);
    }

    #[tokio::test]
    async fn what_could_not_be_written_holds_and_is_written_at_the_next_try() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("gone");
        let trust = Trust::open(&below, ring());
        let (rows, now) = ([row(1, "key", "one", None)], Timestamp::from_secs(NOW));
        assert!(matches!(trust.revoke(&rows, None, now).await, Err(TrustError::Unwritten(_))));
        assert_eq!(refused(&trust), Some(Reason::RevokedKey));
        fs::create_dir(&below).unwrap();
        trust.revoke(&rows, None, now).await.unwrap();
        assert_eq!(refused(&Trust::open(&below, ring())), Some(Reason::RevokedKey));
    }

    #[tokio::test]
    async fn what_has_run_out_is_forgotten_and_a_damaged_file_is_asked_for_anew() {
        let folder = tempfile::tempdir().unwrap();
        let trust = Trust::open(folder.path(), ring());
        trust.revoke(&[row(1, "session", "01010101010101", None)], Some(4), Timestamp::from_secs(NOW)).await.unwrap();
        assert_eq!((trust.len(), trust.seen().await), (1, 4));
        trust.revoke(&[], None, Timestamp::from_secs(NOW + 100)).await.unwrap();
        assert_eq!((trust.len(), trust.seen().await), (0, 4));
        trust.follow_log(9).await;
        assert_eq!(trust.seen().await, 4);
        trust.follow_log(3).await;
        assert_eq!(trust.seen().await, 0, "a log that ends before our place is another log");
        fs::write(folder.path().join(FILE), b"{").unwrap();
        assert_eq!(Trust::open(folder.path(), ring()).seen().await, 0);
    }
}
