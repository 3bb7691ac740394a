//! Asking the origin: an object from its first byte to its last, however often the way there breaks.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use rend_cache::{FailKind, FillReader, Head};
use rend_core::artifact::ObjectKey;
use rend_core::time::Mono;
use rend_storage::StoreError;
use rend_storage::objects::{Object, ObjectBody, ObjectMeta};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body::Cut;
use crate::conditional;
use crate::edge::Edge;
use crate::fill::kind_word;

/// One object on its way from the origin.
///
/// When the way breaks it is asked for the rest, and goes on only if it is still the same object: bytes of two versions are
/// never mixed.
pub(crate) struct Fetch {
    key: ObjectKey,
    meta: ObjectMeta,
    body: ObjectBody,
    at: u64,
    breaks: u32,
}

impl Fetch {
    /// Asks for all of the object.
    ///
    /// # Errors
    ///
    /// Why there is none, or none for now.
    pub(crate) async fn begin(edge: &Edge, key: ObjectKey) -> Result<Self, FailKind> {
        let Object { meta, body } = ask(edge, "get", edge.objects.get(&key, None)).await?;
        Ok(Self { key, meta, body, at: 0, breaks: 0 })
    }

    /// What is known of the whole object.
    pub(crate) const fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    ///
    /// The origin broke off too often, took too long, or has another object now.
    pub(crate) async fn chunk(&mut self, edge: &Edge) -> Result<Option<Bytes>, FailKind> {
        loop {
            let broken = match tokio::time::timeout(STALL_PATIENCE, self.body.next()).await {
                Ok(Some(Ok(chunk))) => {
                    self.at += chunk.len() as u64;
                    edge.accounts.metrics.origin_bytes.inc_by(chunk.len() as u64);
                    return Ok(Some(chunk));
                }
                Ok(None) if self.at >= self.meta.len => return Ok(None),
                Ok(None) => FailKind::Corrupt,
                Ok(Some(Err(_))) => FailKind::Origin,
                Err(_) => FailKind::Timeout,
            };
            self.resume(edge, broken).await?;
        }
    }

    async fn resume(&mut self, edge: &Edge, broken: FailKind) -> Result<(), FailKind> {
        loop {
            if self.breaks == BREAKS_MAX {
                return Err(broken);
            }
            tokio::time::sleep(BREAK_PAUSE * (1 << self.breaks)).await;
            self.breaks += 1;
            let rest = self.at..self.meta.len;
            match ask(edge, "resume", edge.objects.get(&self.key, Some(rest))).await {
                Ok(Object { meta, body }) if is_same(&meta, &self.meta) => {
                    self.body = body;
                    return Ok(());
                }
                // It was replaced meanwhile: what is here belongs to an object that is no more.
                Ok(_) | Err(FailKind::NotFound) => return Err(FailKind::Origin),
                Err(_) => {}
            }
        }
    }
}

/// Asks the origin, and counts what came of it.
///
/// # Errors
///
/// What kind of failure it was.
pub(crate) async fn ask<T>(
    edge: &Edge,
    kind: &'static str,
    question: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, FailKind> {
    let started = edge.accounts.clock.mono();
    let answer = match tokio::time::timeout(edge.config.origin_timeout, question).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(StoreError::NotFound { .. })) => Err(FailKind::NotFound),
        Ok(Err(_)) => Err(FailKind::Origin),
        Err(_) => Err(FailKind::Timeout),
    };
    let metrics = &edge.accounts.metrics;
    let outcome = answer.as_ref().err().map_or("ok", |kind| kind_word(*kind));
    metrics.origin.get_or_create(&[("kind", kind), ("outcome", outcome)]).inc();
    metrics.origin_first_byte.observe(edge.accounts.clock.mono().since(started).as_secs_f64());
    answer
}

/// The entity tag of an object: its digest, or what comes nearest where the store could not keep one.
pub(crate) fn tag(meta: &ObjectMeta) -> Box<str> {
    match &meta.sha256 {
        Some(digest) => conditional::tag(digest).into(),
        None => format!("\"{:x}-{:x}\"", meta.len, meta.modified.as_millis()).into(),
    }
}

fn is_same(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    one.len == other.len && tag(one) == tag(other)
}

/// What an edge allows itself at the origin beside its fills.
#[derive(Debug)]
pub(crate) struct Allowance {
    far: Arc<Semaphore>,
    guesses: Bucket,
}

impl Allowance {
    /// So many bytes per second may be fetched on a guess; 0 for none.
    pub(crate) fn new(guess_bytes_per_sec: u64) -> Self {
        Self { far: Arc::new(Semaphore::new(FAR_READS_MAX)), guesses: Bucket::new(guess_bytes_per_sec) }
    }

    /// Whether something may be fetched on a guess now.
    pub(crate) fn may_guess(&self, now: Mono) -> bool {
        self.guesses.has_some(now)
    }

    /// Counts what is fetched on a guess.
    pub(crate) fn guessed(&self, bytes: u64) {
        self.guesses.take(bytes);
    }
}

/// Bytes `part` of an object straight from the origin, for one viewer, while `reader` tells how the fill of it goes on.
///
/// That is for seeks far ahead in big objects: the fill would take long to get there. Gives the reader back when it is near enough,
/// or when as many viewers are served in this way as may be.
///
/// # Errors
///
/// The reader, which is to be read along as usual.
pub(crate) fn far(
    edge: &Arc<Edge>,
    key: &ObjectKey,
    reader: FillReader,
    head: &Arc<Head>,
    part: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes, Cut>>, FillReader> {
    let is_big = head.len.is_some_and(|len| len >= FAR_OBJECT_BYTES_MIN);
    if !is_big || !reader.is_storing() || part.start <= reader.written() + FAR_BYTES {
        return Err(reader);
    }
    let Ok(permit) = Arc::clone(&edge.allowance.far).try_acquire_owned() else { return Err(reader) };
    let far = Far {
        edge: Arc::clone(edge),
        key: key.clone(),
        head: Arc::clone(head),
        reader,
        part,
        body: None,
        _permit: permit,
    };
    Ok(futures::stream::unfold(Some(far), |far| async move {
        let mut far = far?;
        match far.chunk().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(far))),
            Ok(None) => None,
            Err(cut) => Some((Err(cut), None)),
        }
    })
    .boxed())
}

struct Far {
    edge: Arc<Edge>,
    key: ObjectKey,
    head: Arc<Head>,
    /// Stays with the fill, so that it is wanted and a take-down is heard of.
    reader: FillReader,
    part: Range<u64>,
    body: Option<ObjectBody>,
    _permit: OwnedSemaphorePermit,
}

impl Far {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Cut> {
        if self.part.is_empty() {
            return Ok(None);
        }
        let mut body = match self.body.take() {
            Some(body) => body,
            None => {
                let asked = ask(&self.edge, "range", self.edge.objects.get(&self.key, Some(self.part.clone()))).await;
                let Object { meta, body } = asked.map_err(|_| Cut)?;
                // The head has left: what follows must be of the same object.
                if tag(&meta) != self.head.etag {
                    return Err(Cut);
                }
                body
            }
        };
        let chunk = tokio::time::timeout(STALL_PATIENCE, body.next()).await;
        let Ok(Some(Ok(mut chunk))) = chunk else { return Err(Cut) };
        if futures::FutureExt::now_or_never(self.reader.head()).is_some_and(|head| head.is_err()) {
            return Err(Cut);
        }
        let left = usize::try_from(self.part.end - self.part.start).unwrap_or(usize::MAX);
        chunk.truncate(left.min(chunk.len()));
        self.part.start += chunk.len() as u64;
        self.edge.accounts.metrics.origin_bytes.inc_by(chunk.len() as u64);
        self.body = Some(body);
        Ok(Some(chunk))
    }
}

/// A rate with a little patience: it may be overdrawn by one object, and saves up for [`BUCKET_SECS`].
#[derive(Debug)]
struct Bucket {
    per_sec: u64,
    state: Mutex<(i128, Mono)>,
}

impl Bucket {
    fn new(per_sec: u64) -> Self {
        Self { per_sec, state: Mutex::new((i128::from(per_sec), Mono::START)) }
    }

    fn has_some(&self, now: Mono) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, at) = *state;
        let gained = now.since(at).as_micros().min(3_600_000_000) * u128::from(self.per_sec) / 1_000_000;
        let most = i128::from(self.per_sec) * BUCKET_SECS;
        let level = level.saturating_add(i128::try_from(gained).unwrap_or(most)).min(most);
        *state = (level, now);
        level > 0
    }

    fn take(&self, bytes: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 -= i128::from(bytes);
    }
}

/// How long the origin may be silent in the middle of a body.
const STALL_PATIENCE: Duration = Duration::from_secs(15);
/// How often the way may break in one fetch.
const BREAKS_MAX: u32 = 3;
/// How long to wait before the first resumption; twice as long before each further one.
const BREAK_PAUSE: Duration = Duration::from_millis(100);
/// Objects below this size are soon here, whatever part is asked for.
const FAR_OBJECT_BYTES_MIN: u64 = 16 << 20;
/// A part that begins no farther than this ahead of the fill is waited for.
const FAR_BYTES: u64 = 4 << 20;
/// Viewers at one time who are read to from the origin beside a fill. Further ones wait for the fill.
const FAR_READS_MAX: usize = 64;
/// For so many seconds an unused allowance is kept.
const BUCKET_SECS: i128 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_rate_and_is_overdrawn_by_one_object_at_most() {
        let bucket = Bucket::new(1000);
        let at = |ms| Mono::START + Duration::from_millis(ms);
        assert!(bucket.has_some(at(0)));
        bucket.take(5000);
        assert!(!bucket.has_some(at(3900)), "4,000 are owed");
        assert!(bucket.has_some(at(4100)));
        assert!(bucket.has_some(at(100_000)));
        bucket.take(2000);
        assert!(!bucket.has_some(at(100_000)), "no more than two seconds are saved");
    }

    #[test]
    fn a_rate_of_nothing_gives_nothing() {
        let bucket = Bucket::new(0);
        assert!(!bucket.has_some(Mono::START) && !bucket.has_some(Mono::START + Duration::from_secs(9)));
    }
}
