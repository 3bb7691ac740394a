//! The one who fills: it receives from the origin, and the readers follow.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::budget::charge;
use crate::cache::Inner;
use crate::error::FillError;
use crate::files::{Draft, FileName};
use crate::fill::{Fill, FillReader, Head, Permit};
use crate::footer::{self, Checksums, Footer};
use crate::key::{Generation, Key, KeyMeta};
use crate::negative::FailKind;

/// The right and duty to fill one key.
///
/// There is one at a time for a key. It is driven by the task that reads from the origin, which should not be the task of any client:
/// those come and go. Dropping it unfinished ends every reader with [`FillError::Abandoned`].
///
/// Storing is never a condition of streaming: when there is no room or the disk fails, the readers get their bytes all the same.
pub struct FillWriter {
    cache: Arc<Inner>,
    fill: Arc<Fill>,
    draft: Option<Box<dyn Draft>>,
    checksums: Checksums,
    written: u64,
    bypass: Option<Bypass>,
    announced: bool,
    ahead: bool,
}

/// Whether the body is stored while it streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Placement {
    /// It is written to disk.
    Storing,
    /// It only streams.
    Bypassed(Bypass),
}

/// Why a body is not stored.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Bypass {
    /// It is larger than the whole cache.
    TooLarge,
    /// What is here is in use and cannot go.
    NoRoom,
    /// The policy does not think it worth the write.
    NotAdmitted,
    /// As many bytes were written today as may be.
    OverBudget,
    /// There are as many fills as may write at once.
    Busy,
    /// Its name, tag or type is too long to be stored.
    Unstorable,
    /// The disk refused.
    Disk,
    /// It was purged meanwhile.
    Purged,
}

impl Bypass {
    /// One word, for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::NotAdmitted => "not_admitted",
            Self::OverBudget => "over_budget",
            Self::Busy => "busy",
            Self::Unstorable => "unstorable",
            Self::Disk => "disk",
            Self::Purged => "purged",
        }
    }
}

/// How a fill ended well: every reader gets every byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finished {
    /// The body is in the cache.
    Stored(Generation),
    /// The body was only streamed.
    Streamed(Bypass),
}

impl FillWriter {
    pub(crate) fn new(cache: Arc<Inner>, fill: Arc<Fill>) -> Self {
        let bypass = fill.bypass.then_some(Bypass::Busy);
        Self {
            cache,
            fill,
            draft: None,
            checksums: Checksums::default(),
            written: 0,
            bypass,
            announced: false,
            ahead: false,
        }
    }

    /// What is being filled.
    pub fn key(&self) -> &Key {
        &self.fill.key
    }

    /// What is known of the key.
    pub fn key_meta(&self) -> &KeyMeta {
        &self.fill.key_meta
    }

    /// Which fill this is.
    pub fn generation(&self) -> Generation {
        self.fill.generation
    }

    /// Says that nobody has asked for this body yet: it is fetched on a guess. [`crate::Stats`] tell what such guesses were worth.
    pub const fn mark_ahead(&mut self) {
        self.ahead = true;
    }

    /// A reader of this fill, from its first byte. `None` when there are as many readers as may be.
    pub fn reader(&self) -> Option<FillReader> {
        self.cache.permit().map(|permit: Permit| self.fill.follow(permit))
    }

    /// Says what the origin answered, before its first byte. Room is made and reserved now; may touch the disk.
    ///
    /// # Errors
    ///
    /// When the fill was ended by a purge or a shutdown.
    pub fn expect(&mut self, head: Head, now_ms: u64) -> Result<Placement, FillError> {
        self.still_open()?;
        if self.announced {
            return Ok(self.placement());
        }
        self.announced = true;
        if self.bypass.is_none() {
            match self.place(&head, now_ms) {
                Ok(draft) => self.draft = Some(draft),
                Err(bypass) => self.bypass = Some(bypass),
            }
        }
        self.fill.announce(head, self.draft.as_ref().map(|draft| draft.reader()));
        Ok(self.placement())
    }

    /// Whether the body is being stored, or why not.
    pub fn placement(&self) -> Placement {
        self.bypass.map_or(Placement::Storing, Placement::Bypassed)
    }

    /// Waits until more may be pushed. Without a file the fastest reader sets the pace.
    pub async fn ready(&mut self) {
        poll_fn(|cx| self.poll_ready(cx)).await;
    }

    /// Whether more may be pushed.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.fill.poll_ready(cx)
    }

    /// Hands on the next bytes of the body. They are written to disk first; that may block.
    ///
    /// # Errors
    ///
    /// [`FillError::Long`] when there are more than the head said, which ends the fill; or why it had ended before.
    pub fn push(&mut self, bytes: Bytes, now_ms: u64) -> Result<(), FillError> {
        if !self.announced {
            self.expect(Head::new("", "application/octet-stream"), now_ms)?;
        }
        self.still_open()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self.written.saturating_add(bytes.len() as u64);
        if self.fill.head().and_then(|head| head.len).is_some_and(|len| written > len) {
            self.fill.end(Err(FillError::Long));
            return Err(FillError::Long);
        }
        let stored = self.store(&bytes, written, now_ms);
        self.written = written;
        self.fill.publish(bytes, stored);
        Ok(())
    }

    /// Says that the body is complete. It becomes visible now, unless it was purged meanwhile or could not be stored.
    ///
    /// # Errors
    ///
    /// [`FillError::Short`] when there were fewer bytes than the head said; or why the fill had ended before. Readers get the same.
    pub fn finish(mut self, now_ms: u64) -> Result<Finished, FillError> {
        if !self.announced {
            self.expect(Head::new("", "application/octet-stream").with_len(0), now_ms)?;
        }
        self.still_open()?;
        let head = self.fill.head().map_or_else(|| Head::new("", ""), |head| (*head).clone());
        if head.len.is_some_and(|len| len != self.written) {
            self.fill.end(Err(FillError::Short));
            return Err(FillError::Short);
        }
        let finished = self.commit(head, now_ms);
        // A hard purge may have come in between; then readers were told so, and so is the caller.
        self.fill.end(Ok(self.written));
        self.still_ended_well()?;
        Ok(finished)
    }

    /// Says that the body cannot be had. Remembered for a moment, so that not everybody asks the origin again at once.
    pub fn fail(self, kind: FailKind, now_ms: u64) {
        let error = match kind {
            FailKind::NotFound => FillError::NotFound,
            FailKind::Origin => FillError::Origin,
            FailKind::Timeout => FillError::Timeout,
            FailKind::Corrupt => FillError::Corrupt,
            FailKind::Abandoned => FillError::Abandoned,
        };
        self.cache.remember_failure(&self.fill, kind, now_ms);
        self.fill.end(Err(error));
    }

    /// Says that the origin confirmed the stored body. Readers of this fill are told to look it up again.
    pub fn not_modified(self, now_ms: u64) {
        self.cache.confirm(&self.fill.key, self.fill.generation, now_ms);
        self.cache.release(&self.fill);
        self.fill.end(Err(FillError::Unchanged));
    }

    /// How many bytes were pushed: where to resume from when the origin breaks off.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// How many read along.
    pub fn readers(&self) -> usize {
        self.fill.readers()
    }

    /// Whether it is worth going on: somebody reads, or at least half is here, or at most 1 MiB is missing.
    pub fn is_wanted(&self) -> bool {
        if self.fill.readers() > 0 {
            return true;
        }
        let expected = self.fill.head().and_then(|head| head.len);
        expected.is_some_and(|len| self.written >= len / 2 || len - self.written <= NEARLY_BYTES)
            && self.bypass.is_none()
    }

    /// Whether a purge or a shutdown has ended the fill; then nothing more need be fetched.
    ///
    /// # Errors
    ///
    /// Why it ended.
    pub fn still_open(&self) -> Result<(), FillError> {
        match self.fill.ended() {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn still_ended_well(&self) -> Result<(), FillError> {
        self.still_open()
    }

    fn place(&self, head: &Head, now_ms: u64) -> Result<Box<dyn Draft>, Bypass> {
        let texts = [self.fill.key.name(), &head.etag, &head.content_type];
        if texts.iter().any(|text| text.len() > Key::NAME_BYTES_MAX) {
            return Err(Bypass::Unstorable);
        }
        let len = head.len.unwrap_or_else(|| self.cache.step_bytes());
        if len > BODY_BYTES_MAX {
            return Err(Bypass::TooLarge);
        }
        self.cache.place(&self.fill, self.file_charge(head, len), now_ms)
    }

    fn file_charge(&self, head: &Head, len: u64) -> u64 {
        let footer = footer::encoded_len(&self.fill.key, &head.etag, &head.content_type, len);
        charge(len.saturating_add(footer))
    }

    /// Writes to the draft. Whatever goes wrong there is the end of storing, never of streaming.
    fn store(&mut self, bytes: &Bytes, written: u64, now_ms: u64) -> bool {
        if self.draft.is_none() || self.bypass.is_some() {
            return false;
        }
        let head = self.fill.head();
        if let Some(head) = head.filter(|head| head.len.is_none()) {
            // In steps, so that the books are not asked at every chunk.
            let step = self.cache.step_bytes();
            let ahead = written.div_ceil(step).saturating_mul(step);
            if let Err(bypass) = self.cache.grow(&self.fill, self.file_charge(&head, ahead), now_ms) {
                self.stop_storing(bypass);
                return false;
            }
        }
        match self.write(self.written, bytes, now_ms) {
            Ok(()) => {
                self.checksums.push(bytes);
                true
            }
            Err(_) => {
                self.stop_storing(Bypass::Disk);
                false
            }
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8], now_ms: u64) -> io::Result<()> {
        let Some(draft) = &mut self.draft else { return Ok(()) };
        let Err(error) = draft.write_at(offset, bytes) else {
            self.cache.wrote(bytes.len() as u64);
            return Ok(());
        };
        // Perhaps another writer ate the disk: make room, and try once more.
        self.cache.disk_refused(&error, bytes.len() as u64, now_ms);
        draft.write_at(offset, bytes).inspect(|()| self.cache.wrote(bytes.len() as u64))
    }

    /// The draft stays, because readers may still need what it holds; it goes with the writer.
    fn stop_storing(&mut self, why: Bypass) {
        self.bypass = Some(why);
        self.fill.stop_storing();
        self.cache.count_bypass(&self.fill, why);
    }

    fn commit(&mut self, head: Head, now_ms: u64) -> Finished {
        let file_bytes = self.file_charge(&head, self.written);
        let meta = head.into_meta(self.written);
        if self.bypass.is_none() {
            let footer = Footer {
                key: self.fill.key.clone(),
                key_meta: self.fill.key_meta,
                meta: meta.clone(),
                generation: self.fill.generation,
                chunks: std::mem::take(&mut self.checksums).finish(),
            };
            if self.write(self.written, &footer.encode(), now_ms).is_err() {
                self.stop_storing(Bypass::Disk);
            }
        }
        let Some(mut draft) = self.draft.take().filter(|_| self.bypass.is_none()) else {
            return Finished::Streamed(self.bypass.unwrap_or(Bypass::Disk));
        };
        let name = FileName { hash: self.fill.key.hash(), len: self.written, generation: self.fill.generation };
        let published = if self.cache.syncs_bodies() { draft.sync() } else { Ok(()) };
        if published.and_then(|()| draft.publish(&name)).is_err() {
            self.cache.count_disk_error(now_ms);
            self.stop_storing(Bypass::Disk);
            return Finished::Streamed(Bypass::Disk);
        }
        let ahead = self.ahead && !self.fill.was_read();
        match self.cache.commit(&self.fill, name, &meta, file_bytes, ahead, now_ms) {
            Ok(()) => Finished::Stored(self.fill.generation),
            Err(bypass) => Finished::Streamed(bypass),
        }
    }
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        // The draft goes before its bytes are given back, so that the disk never holds more than the books say.
        self.draft = None;
        self.cache.release(&self.fill);
        self.fill.end(Err(FillError::Abandoned));
    }
}

impl fmt::Debug for FillWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FillWriter")
            .field("key", &self.fill.key)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

/// Longer bodies are not stored: the index has no room for what the footer of one costs.
const BODY_BYTES_MAX: u64 = 8 << 40;
/// A fill that misses no more than this is finished even if nobody waits.
const NEARLY_BYTES: u64 = 1 << 20;
