//! A body that comes, cut into parts that are durable one after another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use rend_core::time::{Clock, Mono};
use rend_core::upload::sweep::SESSION_KEPT;
use rend_core::upload::transfer::{PART_BYTES_MAX, Part, Step, Transfer};
use rend_core::upload::tus::{Algorithm, Checksum};
use rend_storage::StoreError;
use rend_storage::objects::{ObjectBody, Put};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, watch};

use crate::state::Stores;

/// How long a body may say nothing before it counts as broken.
pub(crate) const BODY_IDLE_MAX: Duration = Duration::from_secs(30);
/// How long a part may stay open: on a slow line a crash loses seconds, not megabytes that took minutes.
const PART_OPEN_MAX: Duration = Duration::from_secs(10);

/// A body on its way, with what bounds it.
pub(crate) struct Source {
    body: BoxStream<'static, Result<Bytes, ()>>,
    /// Bytes that it may still have.
    left: u64,
    /// The start of the next part, if some of it came already.
    waiting: Bytes,
    ended: Option<End>,
    hash: Option<Hash>,
    stop: watch::Receiver<bool>,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Where it should.
    Clean,
    /// Its connection broke.
    Cut,
    /// Nothing came for too long.
    Idle,
    /// Another request goes on with the upload.
    Stopped,
    /// It went past the bytes that it may have.
    Long,
}

impl Source {
    /// A body of at most `bytes_max` bytes that ends early when `stop` says so.
    pub(crate) fn new(
        body: BoxStream<'static, Result<Bytes, ()>>,
        bytes_max: u64,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { body, left: bytes_max, waiting: Bytes::new(), ended: None, hash: None, stop }
    }

    /// Waits until bytes are there, and answers whether any are.
    async fn fill(&mut self) -> bool {
        while self.waiting.is_empty() && self.ended.is_none() {
            let next = tokio::select! {
                next = tokio::time::timeout(BODY_IDLE_MAX, self.body.next()) => next,
                () = stopped(&mut self.stop) => {
                    self.ended = Some(End::Stopped);
                    break;
                }
            };
            match next {
                Ok(Some(Ok(chunk))) => match self.left.checked_sub(chunk.len() as u64) {
                    Some(left) => {
                        self.left = left;
                        if let Some(hash) = &mut self.hash {
                            hash.update(&chunk);
                        }
                        self.waiting = chunk;
                    }
                    None => self.ended = Some(End::Long),
                },
                Ok(Some(Err(()))) => self.ended = Some(End::Cut),
                Ok(None) => self.ended = Some(End::Clean),
                Err(_) => self.ended = Some(End::Idle),
            }
        }
        !self.waiting.is_empty()
    }

    async fn take(&mut self, bytes_max: u64) -> Option<Bytes> {
        if !self.fill().await {
            return None;
        }
        let len = self.waiting.len().min(usize::try_from(bytes_max).unwrap_or(usize::MAX));
        Some(self.waiting.split_to(len))
    }
}

/// Resolves when a stop is asked for. Nobody can ask any more once the other end is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        futures::future::pending::<()>().await;
    }
}

/// What came of a body.
#[derive(Debug)]
pub(crate) struct Received {
    /// The transfer with what counts.
    pub transfer: Transfer,
    /// How the body ended.
    pub end: End,
    /// Whether it had the digest it was announced with; yes when it was announced without one.
    pub is_right: bool,
}

/// Stores what comes of `source` as parts, and counts each as soon as it is durable, under the epoch of `transfer`.
///
/// With a checksum nothing counts before all has come and is right, since what can not be checked is not kept.
///
/// # Errors
///
/// What a store answers. [`StoreError::Conflict`] says that another writer has begun. What was counted before stays.
pub(crate) async fn receive(
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    mut transfer: Transfer,
    mut source: Source,
    checksum: Option<&Checksum>,
) -> Result<Received, StoreError> {
    source.hash = checksum.map(|checksum| Hash::new(checksum.algorithm));
    let (id, epoch) = (transfer.session.id, transfer.epoch);
    let source = Arc::new(Mutex::new(source));
    let mut held: Vec<Part> = Vec::new();
    let mut at = transfer.received;
    while source.lock().await.fill().await {
        let mut part = Part { start: at, bytes: 0, epoch };
        let put = Put { content_type: OCTETS.into(), len: None, sha256: None, now: clock.wall() };
        let stored = stores.objects.put(&part.key(id), put, part_of(Arc::clone(&source), Arc::clone(clock))).await;
        let stored = match stored {
            Ok(meta) => meta,
            Err(error) => {
                forget(stores, &transfer, &held).await;
                return Err(error);
            }
        };
        part.bytes = stored.len;
        at += stored.len;
        held.push(part);
        // A body that goes past its end is not what was announced: the part in which it does so is not kept.
        let is_long = source.lock().await.ended == Some(End::Long);
        if checksum.is_none() && !is_long {
            transfer = count(stores, clock, &transfer, std::mem::take(&mut held)).await?;
        }
    }
    let (end, hash) = {
        let mut source = source.lock().await;
        (source.ended.unwrap_or(End::Clean), source.hash.take())
    };
    let is_right = match (checksum, hash) {
        (Some(checksum), Some(hash)) => hash.finish() == checksum.digest,
        _ => true,
    };
    if end == End::Clean && is_right && !held.is_empty() {
        transfer = count(stores, clock, &transfer, std::mem::take(&mut held)).await?;
    }
    forget(stores, &transfer, &held).await;
    Ok(Received { transfer, end, is_right })
}

/// Writes parts down. Those that are not taken are removed again.
async fn count(
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    transfer: &Transfer,
    parts: Vec<Part>,
) -> Result<Transfer, StoreError> {
    let step = Step::Append { parts: parts.clone(), expires_at: clock.wall() + SESSION_KEPT };
    match stores.transfers.advance_transfer(transfer.session.id, transfer.epoch, &step).await {
        Ok(next) => Ok(next),
        // Only a refusal says for sure that the parts are not counted; after any other failure they may be.
        Err(refused @ (StoreError::Conflict { .. } | StoreError::NotFound { .. })) => {
            forget(stores, transfer, &parts).await;
            Err(refused)
        }
        Err(unknown) => Err(unknown),
    }
}

/// Removes parts that do not count. One that stays is found by the sweep when the session has ended.
async fn forget(stores: &Stores, transfer: &Transfer, parts: &[Part]) {
    for part in parts {
        let _ = stores.objects.delete(&part.key(transfer.session.id)).await;
    }
}

/// The body of the next part: it ends at its bounds, and also where `source` does, so that what came of a broken body is
/// stored all the same.
fn part_of(source: Arc<Mutex<Source>>, clock: Arc<dyn Clock>) -> ObjectBody {
    let until: Mono = clock.mono() + PART_OPEN_MAX;
    stream::unfold((source, PART_BYTES_MAX), move |(source, left)| {
        let is_late = clock.mono() >= until && left < PART_BYTES_MAX;
        async move {
            if left == 0 || is_late {
                return None;
            }
            let chunk = source.lock().await.take(left).await?;
            let left = left - chunk.len() as u64;
            Some((Ok(chunk), (source, left)))
        }
    })
    .boxed()
}

enum Hash {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hash {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, chunk: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(chunk),
            Self::Sha256(hash) => hash.update(chunk),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
        }
    }
}

/// The media type of bytes that nobody has looked into.
pub(crate) const OCTETS: &str = "application/octet-stream";
