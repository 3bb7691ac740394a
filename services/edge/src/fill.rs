//! From the origin into the cache: one detached task an artifact, whoever asks and however many.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rend_cache::{
    Begin, Class, FailKind, FillError, FillReader, FillWriter, Finished, Freshness, Head, Hit, Key, KeyMeta,
};
use rend_cache::{Generation, Lookup, Mode, Negative, Scope};
use rend_core::analytics::CacheStatus;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition, Retention};
use rend_core::id::AssetId;
use rend_core::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::edge::Edge;
use crate::head::Life;
use crate::origin::{self, Fetch};
use crate::target::Target;

/// One artifact, as cache and origin name it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) asset: AssetId,
    pub(crate) path: ArtifactPath,
    pub(crate) key: Key,
}

impl Wanted {
    pub(crate) fn new(asset: AssetId, path: ArtifactPath) -> Self {
        Self { asset, path, key: Key::new(*asset.as_bytes(), &path.to_string()) }
    }

    /// What a request names.
    pub(crate) fn of(target: &Target<'_>) -> Self {
        Self { asset: target.asset, path: target.path, key: Key::new(*target.asset.as_bytes(), target.name) }
    }

    /// Where the origin has it.
    pub(crate) fn object_key(&self) -> ObjectKey {
        ObjectKey::artifact(self.asset, self.path)
    }

    fn key_meta(&self) -> KeyMeta {
        let class = match self.path.retention() {
            Retention::Control => Class::Control,
            Retention::Startup => Class::Startup,
            Retention::Still => Class::Still,
            Retention::Tail => Class::Tail,
        };
        let segment = if let ArtifactPath::Segment { index, .. } = self.path { Some(index) } else { None };
        KeyMeta { class, tier: self.path.rendition().map(tier), segment, immutable: self.path.is_immutable() }
    }

    /// The segment that a viewer of this one will ask for next.
    fn next(&self) -> Option<Self> {
        let ArtifactPath::Segment { rendition, index } = self.path else { return None };
        Some(Self::new(self.asset, ArtifactPath::Segment { rendition, index: index.checked_add(1)? }))
    }
}

/// Where the bytes for a viewer are.
#[derive(Debug)]
pub(crate) enum Got {
    /// In the cache.
    Stored(Hit, CacheStatus),
    /// Just read from the origin, all of it.
    Read(Bytes, Arc<Head>, CacheStatus),
    /// On their way from the origin.
    Along(FillReader, Arc<Head>, CacheStatus),
}

impl Got {
    /// Where the bytes come from, in the word for it.
    pub(crate) const fn status(&self) -> CacheStatus {
        match self {
            Self::Stored(_, status) | Self::Read(_, _, status) | Self::Along(_, _, status) => *status,
        }
    }
}

/// Why there are none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// The origin has no such artifact.
    Absent,
    /// The origin failed or sent something that is not what it announced.
    Origin,
    /// The origin took too long.
    Timeout,
    /// There are as many fills or readers as may be.
    Overloaded,
}

impl From<FailKind> for Refusal {
    fn from(kind: FailKind) -> Self {
        match kind {
            FailKind::NotFound => Self::Absent,
            FailKind::Timeout => Self::Timeout,
            FailKind::Origin | FailKind::Corrupt | FailKind::Abandoned => Self::Origin,
        }
    }
}

/// What a look into the cache shows.
pub(crate) enum Sight {
    /// What may be given out at once.
    Here(Got),
    /// What somebody has to be asked about: for [`find`].
    Else(Lookup),
}

/// Looks for `wanted` as of `now`, without waiting for anything.
pub(crate) fn look(edge: &Edge, wanted: &Wanted, now: Timestamp) -> Sight {
    let seen = edge.cache.lookup(&wanted.key, now.as_millis());
    if let Lookup::Hit(hit) = seen {
        if is_fresh(wanted, &hit, now) {
            return Sight::Here(Got::Stored(hit, CacheStatus::Hit));
        }
        return Sight::Else(Lookup::Hit(hit));
    }
    Sight::Else(seen)
}

fn is_fresh(wanted: &Wanted, hit: &Hit, now: Timestamp) -> bool {
    wanted.path.is_immutable() || {
        let life = Life::of(&wanted.path, hit.body(), Timestamp::from_millis(hit.meta().modified_ms), now);
        hit.freshness(life.fresh_ms(), now.as_millis()) == Freshness::Fresh
    }
}

/// Finds `wanted`, of which the cache showed `seen` as of `now`: there, in a fill under way, or in one that is begun now.
///
/// # Errors
///
/// [`Refusal`], which says whether asking again can help.
pub(crate) async fn find(edge: &Arc<Edge>, wanted: &Wanted, now: Timestamp, seen: Lookup) -> Result<Got, Refusal> {
    let (mut now_ms, mut seen) = (now.as_millis(), Some(seen));
    // Each round ends in an answer unless the world changed between two looks; a few changes are believable.
    for _ in 0..ROUNDS_MAX {
        let seen = seen.take().unwrap_or_else(|| {
            now_ms = edge.now_ms();
            edge.cache.lookup(&wanted.key, now_ms)
        });
        let (reader, status) = match seen {
            Lookup::Hit(hit) => match believe(edge, wanted, hit, Timestamp::from_millis(now_ms)).await {
                Some(got) => return Ok(got),
                None => continue,
            },
            Lookup::Filling(reader) => (reader, CacheStatus::Coalesced),
            Lookup::Absent => match edge.cache.begin(&wanted.key, &wanted.key_meta(), None, now_ms) {
                Begin::Lead(writer) => {
                    let reader = writer.reader();
                    start(edge, wanted.clone(), writer, None);
                    (reader.ok_or(Refusal::Overloaded)?, CacheStatus::Miss)
                }
                Begin::Follow(reader) => (reader, CacheStatus::Coalesced),
                Begin::Stored => continue,
                Begin::Negative(Negative { kind, .. }) => return Err(kind.into()),
                Begin::Overloaded => return Err(Refusal::Overloaded),
            },
            Lookup::Negative(Negative { kind, .. }) => return Err(kind.into()),
            Lookup::Overloaded => return Err(Refusal::Overloaded),
        };
        match along(wanted, reader, status).await {
            Ok(got) => return Ok(got),
            Err(FillError::NotFound) => return Err(Refusal::Absent),
            Err(FillError::Timeout) => return Err(Refusal::Timeout),
            Err(FillError::Origin | FillError::Corrupt | FillError::Short | FillError::Long | FillError::Closed) => {
                return Err(Refusal::Origin);
            }
            // The fill went away for a reason of its own: look again.
            Err(_) => {}
        }
    }
    Err(Refusal::Origin)
}

/// Waits for what the origin says of a fill.
///
/// A playlist is short, and its end says how long it may be believed, so it is waited for whole.
async fn along(wanted: &Wanted, mut reader: FillReader, status: CacheStatus) -> Result<Got, FillError> {
    let head = tokio::time::timeout(HEAD_PATIENCE, reader.head()).await.unwrap_or(Err(FillError::Timeout))?;
    let status = if reader.is_storing() { status } else { CacheStatus::Pass };
    if !wanted.path.is_immutable() && head.len.is_some_and(|len| len <= PLAYLIST_BYTES_MAX) {
        let mut body = BytesMut::new();
        while let Some(chunk) = reader.chunk().await {
            body.extend_from_slice(&chunk?);
        }
        return Ok(Got::Read(body.freeze(), head, status));
    }
    Ok(Got::Along(reader, head, status))
}

/// What to do with a stored body: most never change; a playlist that may have is confirmed by one request at a time.
///
/// `None` when the world changed meanwhile and is to be looked at again.
async fn believe(edge: &Arc<Edge>, wanted: &Wanted, hit: Hit, now: Timestamp) -> Option<Got> {
    if wanted.path.is_immutable() {
        return Some(Got::Stored(hit, CacheStatus::Hit));
    }
    let life = Life::of(&wanted.path, hit.body(), Timestamp::from_millis(hit.meta().modified_ms), now);
    let Freshness::Stale { for_ms, .. } = hit.freshness(life.fresh_ms(), now.as_millis()) else {
        return Some(Got::Stored(hit, CacheStatus::Hit));
    };
    let asked = edge.cache.begin(&wanted.key, &wanted.key_meta(), Some(hit.generation()), now.as_millis());
    let (reader, status) = match asked {
        Begin::Lead(writer) => {
            let reader = writer.reader();
            start(edge, wanted.clone(), writer, Some((hit.generation(), hit.meta().etag.clone())));
            (reader, CacheStatus::Miss)
        }
        // Somebody is asking the origin already; until it answers, what is here is good enough.
        Begin::Follow(_) if for_ms <= life.stale_ms() => return Some(Got::Stored(hit, CacheStatus::Hit)),
        Begin::Follow(reader) => (Some(reader), CacheStatus::Coalesced),
        Begin::Stored => return None,
        Begin::Negative(_) | Begin::Overloaded => return Some(Got::Stored(hit, CacheStatus::Hit)),
    };
    let Some(reader) = reader else { return Some(Got::Stored(hit, CacheStatus::Hit)) };
    let answer = tokio::time::timeout(CONFIRM_PATIENCE, along(wanted, reader, status)).await;
    match answer {
        Ok(Ok(got)) => Some(got),
        Ok(Err(FillError::Unchanged)) => Some(Got::Stored(hit, CacheStatus::Revalidated)),
        // It was taken down, or is gone at the origin: never give out what was.
        Ok(Err(FillError::NotFound | FillError::Purged)) => None,
        _ if hit.is_revoked() => None,
        // An origin that is away does not stop what is cached.
        Ok(Err(_)) | Err(_) => Some(Got::Stored(hit, CacheStatus::Hit)),
    }
}

/// Begins to fetch `wanted` ahead of viewers, unless it is there or being fetched.
///
/// Answers what became of it, once that is known.
pub(crate) async fn warm(edge: &Arc<Edge>, wanted: &Wanted) -> Warmed {
    edge.cache.forget_negative(&wanted.key);
    if edge.cache.contains(&wanted.key) {
        return Warmed::Cached;
    }
    match edge.cache.begin(&wanted.key, &wanted.key_meta(), None, edge.now_ms()) {
        Begin::Stored => Warmed::Cached,
        Begin::Lead(writer) => match run(Arc::clone(edge), wanted.clone(), writer, None, Purpose::Warm).await {
            Ok(Finished::Stored(_)) => Warmed::Filled,
            Ok(Finished::Streamed(why)) => Warmed::Skipped(why.name()),
            Err(error) => Warmed::Failed(word(error)),
        },
        Begin::Follow(mut reader) => loop {
            match reader.chunk().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Warmed::Failed(word(error)),
                None => return Warmed::Filled,
            }
        },
        Begin::Negative(negative) => Warmed::Failed(kind_word(negative.kind)),
        Begin::Overloaded => Warmed::Skipped("overloaded"),
    }
}

/// What became of an artifact that was to be fetched ahead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Warmed {
    Cached,
    Filled,
    Skipped(&'static str),
    Failed(&'static str),
}

/// Fetches the segment after `wanted`, if most viewers go on and few enough fills are under way. Nobody waits for it.
pub(crate) fn prefetch_next(edge: &Arc<Edge>, wanted: &Wanted, now: Timestamp) {
    let Some(next) = wanted.next().filter(|_| edge.config.prefetch) else { return };
    let now_ms = now.as_millis();
    if edge.cache.contains(&next.key) || edge.cache.negative(&next.key, now_ms).is_some() {
        return;
    }
    if !edge.cache.expects_next(&wanted.key_meta()) {
        edge.accounts.metrics.prefetches.get_or_create(&[("outcome", "not_expected")]).inc();
        return;
    }
    if !edge.allowance.may_guess(edge.accounts.clock.mono()) {
        edge.accounts.metrics.prefetches.get_or_create(&[("outcome", "over_budget")]).inc();
        return;
    }
    let open = edge.accounts.metrics.fills_open.get();
    if open >= i64::try_from(edge.config.fills_max / 2).unwrap_or(i64::MAX).max(1) {
        edge.accounts.metrics.prefetches.get_or_create(&[("outcome", "busy")]).inc();
        return;
    }
    if let Begin::Lead(writer) = edge.cache.begin(&next.key, &next.key_meta(), None, now_ms) {
        let edge = Arc::clone(edge);
        let fillers = edge.fillers.clone();
        rend_shell::spawn_on(&fillers, "prefetch", async move {
            let outcome = match run(Arc::clone(&edge), next, writer, None, Purpose::Guess).await {
                Ok(Finished::Stored(_)) => "stored",
                Ok(Finished::Streamed(_)) => "streamed",
                Err(_) => "failed",
            };
            edge.accounts.metrics.prefetches.get_or_create(&[("outcome", outcome)]).inc();
        });
    }
}

/// What is stored already: which fill it came from, and its tag.
type Known = (Generation, Box<str>);

fn start(edge: &Arc<Edge>, wanted: Wanted, writer: FillWriter, known: Option<Known>) {
    let edge = Arc::clone(edge);
    let fillers = edge.fillers.clone();
    rend_shell::spawn_on(&fillers, "fill", async move {
        // Its readers have been told how it ended, and so has the metric.
        let _ = run(edge, wanted, writer, known, Purpose::Viewer).await;
    });
}

/// Fills one artifact. Bytes are stored, and readers told of a good end, only if they have the announced length and
/// digest.
///
/// When no viewer has asked, an absence is not remembered, since it may only be early.
async fn run(
    edge: Arc<Edge>,
    wanted: Wanted,
    writer: FillWriter,
    known: Option<Known>,
    purpose: Purpose,
) -> Result<Finished, FillError> {
    let metrics = edge.accounts.metrics.clone();
    metrics.fills_open.inc();
    let ended = fill(&edge, &wanted, writer, known, purpose).await;
    metrics.fills_open.dec();
    let outcome = match &ended {
        Ok(Finished::Stored(_)) => "stored",
        Ok(Finished::Streamed(_)) => "streamed",
        Err(error) => word(*error),
    };
    metrics.fills.get_or_create(&[("outcome", outcome)]).inc();
    if ended == Err(FillError::Corrupt) {
        tracing::error!(asset = %wanted.asset, path = %wanted.path, "the origin's bytes are not what was stored");
    }
    ended
}

async fn fill(
    edge: &Arc<Edge>,
    wanted: &Wanted,
    mut writer: FillWriter,
    known: Option<Known>,
    purpose: Purpose,
) -> Result<Finished, FillError> {
    // A purge that came between is fenced off; one that came before has said so.
    if edge.gone.holds(wanted.asset) {
        writer.fail(if purpose == Purpose::Viewer { FailKind::NotFound } else { FailKind::Abandoned }, edge.now_ms());
        return Err(FillError::NotFound);
    }
    let object_key = wanted.object_key();
    if let Some((_, etag)) = &known {
        match origin::ask(edge, "head", edge.objects.head(&object_key)).await {
            Ok(meta) if *origin::tag(&meta) == **etag => {
                writer.not_modified(edge.now_ms());
                return Err(FillError::Unchanged);
            }
            Ok(_) => {}
            Err(FailKind::NotFound) => {
                // What the origin no longer has is not given out again, after a restart neither.
                let cache = edge.cache.clone();
                let scope = Scope::Key(wanted.key.clone());
                let _ = rend_shell::spawn_blocking(move || cache.purge(&scope, Mode::Soft, 0)).await;
                writer.fail(FailKind::NotFound, edge.now_ms());
                return Err(FillError::NotFound);
            }
            Err(kind) => {
                writer.fail(kind, edge.now_ms());
                return Err(error_of(kind));
            }
        }
    }
    let mut fetch = match Fetch::begin(edge, object_key).await {
        Ok(fetch) => fetch,
        Err(kind) => {
            writer.fail(if purpose == Purpose::Viewer { kind } else { FailKind::Abandoned }, edge.now_ms());
            return Err(error_of(kind));
        }
    };
    let meta = fetch.meta().clone();
    if meta.len > edge.config.origin_artifact_bytes_max {
        tracing::warn!(asset = %wanted.asset, path = %wanted.path, bytes = meta.len, "the artifact is larger than REND_EDGE_MAX_ORIGIN_ARTIFACT_BYTES");
        writer.fail(FailKind::Origin, edge.now_ms());
        return Err(FillError::Long);
    }
    if purpose == Purpose::Guess {
        edge.allowance.guessed(meta.len);
        writer.mark_ahead();
    }
    let head = Head::new(&origin::tag(&meta), wanted.path.content_type())
        .with_len(meta.len)
        .with_modified_ms(meta.modified.as_millis());
    writer.expect(head, edge.now_ms())?;
    let mut digest = meta.sha256.map(|_| Sha256::new());
    let mut unwanted_since = None;
    loop {
        let chunk = match fetch.chunk(edge).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(kind) => {
                writer.fail(kind, edge.now_ms());
                return Err(error_of(kind));
            }
        };
        if let Some(digest) = &mut digest {
            digest.update(&chunk);
        }
        writer.ready().await;
        writer.push(chunk, edge.now_ms())?;
        // Nobody reads any more, and most is still to come: perhaps somebody joins within the grace.
        if purpose != Purpose::Viewer || writer.is_wanted() {
            unwanted_since = None;
            continue;
        }
        let now = edge.accounts.clock.mono();
        if now.since(*unwanted_since.get_or_insert(now)) >= UNWANTED_GRACE {
            return Err(FillError::Abandoned);
        }
    }
    let seen: Option<[u8; 32]> = digest.map(|digest| digest.finalize().into());
    if writer.written() != meta.len || seen != meta.sha256 {
        writer.fail(FailKind::Corrupt, edge.now_ms());
        return Err(FillError::Corrupt);
    }
    writer.finish(edge.now_ms())
}

/// Why something is fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    /// A viewer asked for it.
    Viewer,
    /// The control plane wants it here.
    Warm,
    /// A viewer will probably ask for it next.
    Guess,
}

/// A number for a rendition, so that equal ones are watched one after the other.
fn tier(rendition: Rendition) -> u8 {
    if let Some(lang) = rendition.sound_lang() {
        return 64 + lang.as_str().bytes().fold(0_u8, u8::wrapping_add) % 128;
    }
    rendition.ladder_index()
}

const fn error_of(kind: FailKind) -> FillError {
    match kind {
        FailKind::NotFound => FillError::NotFound,
        FailKind::Origin => FillError::Origin,
        FailKind::Timeout => FillError::Timeout,
        FailKind::Corrupt => FillError::Corrupt,
        FailKind::Abandoned => FillError::Abandoned,
    }
}

pub(crate) const fn kind_word(kind: FailKind) -> &'static str {
    word(error_of(kind))
}

/// One word for metrics and answers.
const fn word(error: FillError) -> &'static str {
    match error {
        FillError::NotFound => "not_found",
        FillError::Origin => "origin_failed",
        FillError::Timeout => "origin_timeout",
        FillError::Short => "short",
        FillError::Long => "too_long",
        FillError::Corrupt => "corrupt",
        FillError::Unchanged => "unchanged",
        FillError::Purged => "purged",
        FillError::Abandoned => "abandoned",
        FillError::Lagged => "lagged",
        FillError::Disk => "disk",
        FillError::Closed => "closed",
        _ => "other",
    }
}

/// Longer playlists are streamed like everything else.
const PLAYLIST_BYTES_MAX: u64 = 1 << 20;
/// How often the world may change under one request.
const ROUNDS_MAX: usize = 6;
/// How long a viewer waits for the origin's answer; a little longer than the origin may take, so that its own verdict is heard.
const HEAD_PATIENCE: Duration = Duration::from_secs(12);
/// How long the first one to find a playlist stale waits before it gets it as it is.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(2);
/// How long a fill that nobody reads goes on when most of it is still to come.
const UNWANTED_GRACE: Duration = Duration::from_secs(2);
