//! Objects: bytes under a key.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::StoreError;
use crate::multipart::PartStore;

/// A place for immutable objects.
///
/// # Contract
///
/// A put is atomic and durable: once it returns, a reader sees all of the object even after a crash, and until then all
/// of what was there before, or nothing. Length, digest and media type change with the bytes, never apart from them. A
/// put whose stream fails, or whose bytes are not what was announced, stores nothing, and so does one that is dropped
/// before it returns. An object that was opened reads to its end though it is replaced or deleted meanwhile. Keys are
/// listed in byte order.
/// Every adapter passes `conformance::objects` (feature `conformance`).
#[async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Stores `body` under `key`, over whatever was there, and answers what is stored.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadBody`] when the stream fails or does not match `put`, [`StoreError::NoSpace`] when there is no
    /// room, else [`StoreError::Unavailable`].
    async fn put(&self, key: &ObjectKey, put: Put, body: ObjectBody) -> Result<ObjectMeta, StoreError>;

    /// Opens the object at `key`, or the part of it in `range`. The end of a range past the object's end is cut to it;
    /// a start at or past the end gives an empty body.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object, StoreError>;

    /// What is known of the object at `key`, without its bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], else [`StoreError::Unavailable`].
    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError>;

    /// Removes the object at `key`. Removing nothing is not an error.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError>;

    /// Up to `limit` keys that begin with `prefix` and come after `after`, in byte order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Result<Vec<ObjectKey>, StoreError>;

    /// A file on this machine that holds exactly the object's bytes for as long as the object is not replaced or
    /// deleted, if the adapter has one. A hint that saves a copy: `None` is always right.
    async fn local(&self, key: &ObjectKey) -> Option<PathBuf>;

    /// The way in which this store takes an object in parts that are put one by one, if it has one.
    fn parts(&self) -> Option<&dyn PartStore> {
        None
    }
}

/// A body as it arrives. An error in it means that the rest will not come.
pub type ObjectBody = BoxStream<'static, Result<Bytes, StoreError>>;

/// Bytes that an adapter reads from an object at a time, and so about what one reader costs in memory.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes that a media type may have.
pub const CONTENT_TYPE_BYTES_MAX: usize = 100;

/// What is said of an object when it is put.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Put {
    /// Its media type: 1 to [`CONTENT_TYPE_BYTES_MAX`] printable ASCII characters, none of them `:`, with no space at
    /// either end. Anything else is a bad body.
    pub content_type: String,
    /// Its length, if known beforehand; checked.
    pub len: Option<u64>,
    /// Its SHA-256, if known beforehand; checked.
    pub sha256: Option<[u8; 32]>,
    /// The time of the put.
    pub now: Timestamp,
}

/// What is known of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectMeta {
    /// Its length in bytes.
    pub len: u64,
    /// Its SHA-256 as it was when it was put. Adapters that could not keep it answer `None` from `get` and `head`, never
    /// from `put`.
    pub sha256: Option<[u8; 32]>,
    /// Its media type.
    pub content_type: String,
    /// When it was put.
    pub modified: Timestamp,
}

/// An open object.
#[expect(missing_debug_implementations, reason = "a stream has no useful Debug")]
pub struct Object {
    /// What is known of the whole object.
    pub meta: ObjectMeta,
    /// The bytes asked for.
    pub body: ObjectBody,
}

/// Counts and digests a body while it arrives, and says whether it is what was announced.
///
/// Every adapter needs this, so it stands here once. Feed it each chunk, then ask for the [`ObjectMeta`]: whoever holds
/// one knows that length and digest are those of the bytes that were fed.
#[expect(missing_debug_implementations, reason = "half a digest has no useful Debug")]
pub struct Intake {
    put: Put,
    digest: Sha256,
    len: u64,
}

impl Intake {
    /// Nothing has arrived yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadBody`] when the media type is not one.
    pub fn new(put: Put) -> Result<Self, StoreError> {
        let media_type = put.content_type.as_str();
        let printable = media_type.bytes().all(|b| matches!(b, b' '..=b'~') && b != b':');
        if !printable || !(1..=CONTENT_TYPE_BYTES_MAX).contains(&media_type.len()) || media_type.trim() != media_type {
            return Err(StoreError::BadBody { reason: "its media type is not one, such as video/mp4".into() });
        }
        Ok(Self { put, digest: Sha256::new(), len: 0 })
    }

    /// Takes in the next bytes, or the stream's failure.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadBody`] when the stream failed, or when more arrived than was announced.
    pub fn take(&mut self, chunk: Result<Bytes, StoreError>) -> Result<Bytes, StoreError> {
        let chunk = chunk.map_err(|cause| {
            if matches!(cause, StoreError::BadBody { .. }) {
                return cause;
            }
            StoreError::BadBody { reason: format!("its stream broke off: {cause}") }
        })?;
        self.len = self.len.saturating_add(chunk.len() as u64);
        if let Some(announced) = self.put.len
            && self.len > announced
        {
            return Err(StoreError::BadBody { reason: format!("it is longer than the announced {announced} bytes") });
        }
        self.digest.update(&chunk);
        Ok(chunk)
    }

    /// The bytes taken in so far.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has been taken in so far.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The stream has ended: what is to be stored.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadBody`] when fewer bytes arrived than were announced, or others.
    pub fn finish(self) -> Result<ObjectMeta, StoreError> {
        if let Some(announced) = self.put.len
            && self.len != announced
        {
            let reason = format!("it has {} bytes, not the announced {announced}", self.len);
            return Err(StoreError::BadBody { reason });
        }
        let sha256: [u8; 32] = self.digest.finalize().into();
        if self.put.sha256.is_some_and(|announced| announced != sha256) {
            return Err(StoreError::BadBody { reason: "its SHA-256 is not the announced one".into() });
        }
        Ok(ObjectMeta {
            len: self.len,
            sha256: Some(sha256),
            content_type: self.put.content_type,
            modified: self.put.now,
        })
    }
}

/// The part of an object of `len` bytes that `range` asks for: the end is cut to the object's, and a start at or past it
/// gives an empty part.
pub fn part_of(len: u64, range: Option<Range<u64>>) -> Range<u64> {
    let range = range.unwrap_or(0..len);
    let start = range.start.min(len);
    start..range.end.clamp(start, len)
}
