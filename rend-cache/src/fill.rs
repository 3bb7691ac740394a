//! One fetch a key: readers follow the writer.
//!
//! A fill is what its writer has received so far: the last bytes in a bounded window, the earlier ones in the half-written file. A
//! reader takes from the window while it keeps up and from the file when it does not, so the memory of a fill does not grow with the
//! number of its readers. Nobody polls for progress: readers leave a waker.
//!
//! A reader ends cleanly only after the last byte of a body that is complete, or of the part that it selected. Everything else ends
//! in an error, so that a cut body is never taken for a whole one.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::error::FillError;
use crate::files::ReadAt;
use crate::key::{Generation, Key, KeyMeta};
// Not named from `std`: the test that goes through every order of threads puts others in their place.
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// What is known of a stored body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Meta {
    /// Its length in bytes.
    pub len: u64,
    /// Its entity tag as it is sent, quotes included.
    pub etag: Box<str>,
    /// Its media type.
    pub content_type: Box<str>,
    /// When the origin changed it, in milliseconds since the Unix epoch; 0 when unknown.
    pub modified_ms: u64,
}

/// What the origin said of a body before its first byte.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// Its length, when the origin told it.
    pub len: Option<u64>,
    /// Its entity tag as it is sent, quotes included.
    pub etag: Box<str>,
    /// Its media type.
    pub content_type: Box<str>,
    /// When the origin changed it, in milliseconds since the Unix epoch; 0 when unknown.
    pub modified_ms: u64,
}

impl Head {
    /// A body of unknown length.
    pub fn new(etag: &str, content_type: &str) -> Self {
        Self { len: None, etag: etag.into(), content_type: content_type.into(), modified_ms: 0 }
    }

    /// The same with a length.
    #[must_use]
    pub fn with_len(mut self, len: u64) -> Self {
        self.len = Some(len);
        self
    }

    /// The same with the moment of its last change.
    #[must_use]
    pub fn with_modified_ms(mut self, modified_ms: u64) -> Self {
        self.modified_ms = modified_ms;
        self
    }

    pub(crate) fn into_meta(self, len: u64) -> Meta {
        Meta { len, etag: self.etag, content_type: self.content_type, modified_ms: self.modified_ms }
    }
}

/// One reader of a fill in progress. Dropping it leaves the fill.
pub struct FillReader {
    fill: Arc<Fill>,
    number: u64,
    position: u64,
    stop: u64,
    over: Option<Result<(), FillError>>,
    _permit: Permit,
}

impl FillReader {
    /// Waits for the head.
    ///
    /// # Errors
    ///
    /// When the fill ended before there was one: why.
    pub async fn head(&mut self) -> Result<Arc<Head>, FillError> {
        poll_fn(|cx| self.poll_head(cx)).await
    }

    /// The head, as soon as the origin has answered.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arc<Head>, FillError>> {
        let mut shared = self.fill.shared();
        match (&shared.head, shared.end) {
            (_, Some(Err(error))) => Poll::Ready(Err(error)),
            (Some(head), _) => Poll::Ready(Ok(Arc::clone(head))),
            (None, Some(Ok(_))) => Poll::Ready(Err(FillError::Origin)),
            (None, None) => {
                shared.park(self.number, cx);
                Poll::Pending
            }
        }
    }

    /// Restricts the reader, which has not read yet, to a part of the body.
    pub fn select(&mut self, part: Range<u64>) {
        (self.position, self.stop) = (part.start, part.end);
        self.fill.shared().note_position(self.number, part.start);
    }

    /// Waits for the next bytes. `None` only after the last one.
    ///
    /// # Errors
    ///
    /// Why the body cannot be read to its end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, FillError>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The next bytes. `None` only after the last one; after an error, that error again. May read the half-written file when this reader is behind.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FillError>>> {
        if let Some(over) = self.over {
            // An error stays one: asking again must not look like a clean end.
            return Poll::Ready(over.err().map(Err));
        }
        match self.next(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.position += bytes.len() as u64;
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(end) => {
                self.over =
                    Some(end.as_ref().map_or(Ok(()), |error| error.as_ref().map(|_| ()).map_err(|error| *error)));
                self.fill.leave(self.number);
                Poll::Ready(end)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Where the next byte will come from.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// How much of the body has come so far.
    pub fn written(&self) -> u64 {
        self.fill.written()
    }

    /// Whether what is read is being stored as well. Before the head is there nothing is.
    pub fn is_storing(&self) -> bool {
        self.fill.shared().storing
    }

    /// The generation of the fill that is read.
    pub fn generation(&self) -> Generation {
        self.fill.generation
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FillError>>> {
        let mut shared = self.fill.shared();
        if let Some(Err(error)) = shared.end {
            return Poll::Ready(Some(Err(error)));
        }
        let complete = matches!(shared.end, Some(Ok(_)));
        if self.position >= self.stop || (complete && self.position >= shared.written) {
            return Poll::Ready(None);
        }
        if self.position >= shared.written {
            shared.park(self.number, cx);
            return Poll::Pending;
        }
        if let Some(bytes) = shared.window_at(self.position, self.stop) {
            let writer = shared.note_position(self.number, self.position + bytes.len() as u64);
            drop(shared);
            writer.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(Ok(bytes)));
        }
        let Some(file) = shared.file.clone().filter(|_| self.position < shared.file_len) else {
            return Poll::Ready(Some(Err(FillError::Lagged)));
        };
        let end = shared.file_len.min(self.stop).min(self.position + READ_BYTES);
        shared.note_position(self.number, end);
        drop(shared);
        let read = file.read_at(self.position, (end - self.position) as usize);
        Poll::Ready(Some(read.map_err(|_| FillError::Disk)))
    }
}

#[cfg(feature = "stream")]
impl futures_core::Stream for FillReader {
    type Item = Result<Bytes, FillError>;

    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_chunk(cx)
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.fill.leave(self.number);
    }
}

impl fmt::Debug for FillReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FillReader")
            .field("key", &self.fill.key)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// One body on its way from the origin.
pub(crate) struct Fill {
    pub(crate) key: Key,
    pub(crate) key_meta: KeyMeta,
    pub(crate) generation: Generation,
    /// Whether there are so many fills already that this one is not to be stored.
    pub(crate) bypass: bool,
    window_bytes_max: usize,
    bypass_window_bytes_max: usize,
    shared: Mutex<Shared>,
}

pub(crate) struct Shared {
    head: Option<Arc<Head>>,
    window: VecDeque<(u64, Bytes)>,
    window_bytes: usize,
    written: u64,
    file: Option<Arc<dyn ReadAt>>,
    file_len: u64,
    storing: bool,
    end: Option<Result<u64, FillError>>,
    readers: BTreeMap<u64, Reader>,
    readers_ever: u64,
    writer: Option<Waker>,
}

#[derive(Default)]
struct Reader {
    position: u64,
    waker: Option<Waker>,
}

impl Fill {
    pub(crate) fn new(key: Key, key_meta: KeyMeta, generation: Generation, bypass: bool, windows: [usize; 2]) -> Self {
        let shared = Shared {
            head: None,
            window: VecDeque::new(),
            window_bytes: 0,
            written: 0,
            file: None,
            file_len: 0,
            storing: false,
            end: None,
            readers: BTreeMap::new(),
            readers_ever: 0,
            writer: None,
        };
        let [window_bytes_max, bypass_window_bytes_max] = windows;
        Self {
            key,
            key_meta,
            generation,
            bypass,
            window_bytes_max,
            bypass_window_bytes_max,
            shared: Mutex::new(shared),
        }
    }

    pub(crate) fn follow(self: &Arc<Self>, permit: Permit) -> FillReader {
        let mut shared = self.shared();
        let number = shared.readers_ever;
        shared.readers_ever += 1;
        shared.readers.insert(number, Reader::default());
        drop(shared);
        FillReader { fill: Arc::clone(self), number, position: 0, stop: u64::MAX, over: None, _permit: permit }
    }

    /// Announces the body, and the file that earlier bytes can be read from.
    pub(crate) fn announce(&self, head: Head, file: Option<Arc<dyn ReadAt>>) {
        let mut shared = self.shared();
        shared.head = Some(Arc::new(head));
        shared.storing = file.is_some();
        shared.file = file;
        shared.wake_all_after_unlock();
    }

    /// From now on nothing more is written to the file.
    pub(crate) fn stop_storing(&self) {
        self.shared().storing = false;
    }

    /// Hands bytes to the readers; `stored` when they are in the file as well.
    pub(crate) fn publish(&self, bytes: Bytes, stored: bool) {
        let mut shared = self.shared();
        let start = shared.written;
        shared.written += bytes.len() as u64;
        if stored {
            shared.file_len = shared.written;
        }
        shared.window_bytes += bytes.len();
        shared.window.push_back((start, bytes));
        while let Some((start, chunk)) = shared.window.front() {
            let (end, len) = (start + chunk.len() as u64, chunk.len());
            let bound = if end <= shared.file_len { self.window_bytes_max } else { self.bypass_window_bytes_max };
            if shared.window_bytes <= bound || shared.window.len() == 1 {
                break;
            }
            shared.window_bytes -= len;
            shared.window.pop_front();
        }
        shared.wake_all_after_unlock();
    }

    /// Ends the fill, unless it has ended.
    pub(crate) fn end(&self, end: Result<u64, FillError>) {
        let shared = self.shared();
        if shared.end.is_none() {
            shared.end_after_unlock(end);
        }
    }

    /// Cuts everybody off, even if the fill has ended well: a take-down does not wait for slow readers. Done in one turn of the lock,
    /// so that a writer who ends the fill at this moment does not undo it.
    pub(crate) fn revoke(&self, error: FillError) {
        self.shared().end_after_unlock(Err(error));
    }

    pub(crate) fn ended(&self) -> Option<Result<u64, FillError>> {
        self.shared().end
    }

    pub(crate) fn head(&self) -> Option<Arc<Head>> {
        self.shared().head.clone()
    }

    pub(crate) fn written(&self) -> u64 {
        self.shared().written
    }

    pub(crate) fn readers(&self) -> usize {
        self.shared().readers.len()
    }

    /// Whether anybody ever read along.
    pub(crate) fn was_read(&self) -> bool {
        self.shared().readers_ever > 0
    }

    /// Whether the writer may push more. With a file always; without one the fastest reader sets the pace.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.shared();
        let fastest = shared.readers.values().map(|reader| reader.position).max();
        let room = |fastest: u64| shared.written.saturating_sub(fastest) < self.window_bytes_max as u64;
        if shared.storing || shared.end.is_some() || fastest.is_none_or(room) {
            return Poll::Ready(());
        }
        shared.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn leave(&self, number: u64) {
        let mut shared = self.shared();
        shared.readers.remove(&number);
        let writer = shared.writer.take();
        drop(shared);
        writer.into_iter().for_each(Waker::wake);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn park(&mut self, number: u64, cx: &Context<'_>) {
        if let Some(reader) = self.readers.get_mut(&number) {
            match &mut reader.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
    }

    /// Notes how far a reader is, and gives the writer to wake.
    fn note_position(&mut self, number: u64, position: u64) -> Option<Waker> {
        if let Some(reader) = self.readers.get_mut(&number) {
            reader.position = position;
        }
        self.writer.take()
    }

    fn window_at(&self, position: u64, stop: u64) -> Option<Bytes> {
        let at = self.window.partition_point(|(start, _)| *start <= position).checked_sub(1)?;
        let (start, chunk) = self.window.get(at)?;
        let from = usize::try_from(position - start).ok().filter(|from| *from < chunk.len())?;
        let to = usize::try_from(stop - start).map_or(chunk.len(), |stop| stop.min(chunk.len()));
        Some(chunk.slice(from..to))
    }

    fn wakers(&mut self) -> Vec<Waker> {
        self.readers.values_mut().filter_map(|reader| reader.waker.take()).collect()
    }
}

/// Wakes readers once the lock is released, so that they do not wake into it.
trait WakeAll {
    fn wake_all_after_unlock(self);
    /// The same for the end, which the writer is woken for too.
    fn end_after_unlock(self, end: Result<u64, FillError>);
}

impl WakeAll for MutexGuard<'_, Shared> {
    fn wake_all_after_unlock(mut self) {
        let wakers = self.wakers();
        drop(self);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn end_after_unlock(mut self, end: Result<u64, FillError>) {
        self.end = Some(end);
        if end.is_err() {
            self.window.clear();
            self.window_bytes = 0;
        }
        let writer = self.writer.take();
        self.wake_all_after_unlock();
        writer.into_iter().for_each(Waker::wake);
    }
}

/// The right to be one of a bounded number of readers.
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Permit {
    pub(crate) fn take(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let more = |now: usize| (now < max).then_some(now + 1);
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Self(Arc::clone(count)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The most bytes that a reader behind the window takes from the file at once.
const READ_BYTES: u64 = 256 << 10;
