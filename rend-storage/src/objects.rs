//! Objects: bytes under a key.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use rend_core::artifact::ObjectKey;
use rend_core::time::Timestamp;

use crate::StoreError;

/// A place for immutable objects.
///
/// # Contract
///
/// A put is atomic and durable: once it returns, a reader sees all of the object even after a crash, and until then all
/// of what was there before, or nothing. Length, digest and media type change with the bytes, never apart from them. A
/// put whose stream fails, or whose bytes are not what was announced, stores nothing. Keys are listed in byte order.
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
}

/// A body as it arrives. An error in it means that the rest will not come.
pub type ObjectBody = BoxStream<'static, Result<Bytes, StoreError>>;

/// What is said of an object when it is put.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Put {
    /// Its media type.
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
