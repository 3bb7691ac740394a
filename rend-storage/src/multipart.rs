//! Objects whose parts are put one by one, in any order, by whoever was told where.

use std::fmt;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use rend_core::artifact::ObjectKey;
use rend_core::id::UploadId;
use rend_core::time::Timestamp;
use rend_core::upload::parts::{Listed, Tag};

use crate::StoreError;
use crate::objects::{ObjectMeta, ObjectStore, Put};

/// A store that takes an object in parts: what [`ObjectStore::parts`] answers.
///
/// # Contract
///
/// An object in parts is begun under a key, and what lies under the key stays as it is until the parts are joined; then
/// the object is there as by one put. Parts may come in any order and at once, and one that comes again takes the place of
/// the one before. A part whose body breaks off, or is not as long as was said, leaves what was there. Joining names each
/// part by the tag that it was answered with, and the object has the bytes that were answered so, or is refused: then
/// nothing is lost. Once it is joined or dropped the object in parts is over: no part is taken any more, joining finds
/// nothing or what was made, and dropping it again is no mistake. One of which no part came yet may be found over too when
/// it is joined. Every part but the last has at least [`PART_BYTES_MIN`](rend_core::upload::parts::PART_BYTES_MIN). Every
/// adapter passes `conformance::multipart`.
#[async_trait]
pub trait PartStore: fmt::Debug + Send + Sync {
    /// Begins an object in parts for `upload`, which will lie under `key`, and answers the store's name for it. Who has
    /// the name can put parts: treat it as a secret.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadBody`] when the media type is not one, else [`StoreError::Unavailable`].
    async fn begin_parts(
        &self,
        key: &ObjectKey,
        upload: UploadId,
        content_type: &str,
        now: Timestamp,
    ) -> Result<String, StoreError>;

    /// A URL at which the store itself takes part `number` of `bytes` by PUT for `ttl_secs`, from whoever has it, or `None`
    /// when it has no server of its own: then whoever hands out URLs hands the part to [`PartStore::put_part`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when no such URL can be made.
    async fn part_address(
        &self,
        key: &ObjectKey,
        name: &str,
        number: u32,
        bytes: u64,
        ttl_secs: u32,
    ) -> Result<Option<String>, StoreError>;

    /// Puts part `number`, which has `bytes`, and answers its tag.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when the object in parts is over, [`StoreError::BadBody`] when the body breaks off or has
    /// another length, [`StoreError::NoSpace`], else [`StoreError::Unavailable`].
    async fn put_part(
        &self,
        key: &ObjectKey,
        name: &str,
        number: u32,
        bytes: u64,
        body: crate::objects::ObjectBody,
    ) -> Result<Tag, StoreError>;

    /// Makes one object of `parts`, which come in their order, and answers what is stored. `put` says what is known of the
    /// whole; a digest in it is checked where the store can.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when the object in parts is over, [`StoreError::BadBody`] when a part is not there under
    /// its tag, or the whole is not what `put` says; nothing has changed then. [`StoreError::NoSpace`], else
    /// [`StoreError::Unavailable`], after which it may have been joined.
    async fn join_parts(
        &self,
        key: &ObjectKey,
        name: &str,
        parts: &[Listed],
        put: Put,
    ) -> Result<ObjectMeta, StoreError>;

    /// Gives an object in parts up, with all its parts.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn drop_parts(&self, key: &ObjectKey, name: &str) -> Result<(), StoreError>;
}

/// A store that keeps the parts as objects of their own, among the pieces of their upload. Whoever says so of an adapter
/// gets [`PartStore`] for it.
pub trait PartsAsObjects: ObjectStore + Clone + 'static {}

#[async_trait]
impl<S: PartsAsObjects> PartStore for S {
    async fn begin_parts(
        &self,
        _key: &ObjectKey,
        upload: UploadId,
        content_type: &str,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        // What stands there says that parts may come, and goes first when they may no longer.
        self.put(&begun(upload)?, plain(content_type, Some(0), now), stream::empty().boxed()).await?;
        Ok(upload.to_string())
    }

    async fn part_address(
        &self,
        _key: &ObjectKey,
        _name: &str,
        _number: u32,
        _bytes: u64,
        _ttl_secs: u32,
    ) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn put_part(
        &self,
        _key: &ObjectKey,
        name: &str,
        number: u32,
        bytes: u64,
        body: crate::objects::ObjectBody,
    ) -> Result<Tag, StoreError> {
        let upload = named(name)?;
        let mark = self.head(&begun(upload)?).await.map_err(over)?;
        let key = part(upload, number);
        let put = plain(&mark.content_type, Some(bytes), mark.modified);
        tag_of(&self.put(&key, put, body).await?)
    }

    async fn join_parts(
        &self,
        key: &ObjectKey,
        name: &str,
        parts: &[Listed],
        put: Put,
    ) -> Result<ObjectMeta, StoreError> {
        let upload = named(name)?;
        self.head(&begun(upload)?).await.map_err(over)?;
        for listed in parts {
            let found = match self.head(&part(upload, listed.number)).await {
                Ok(meta) => Some(tag_of(&meta)?),
                Err(StoreError::NotFound { .. }) => None,
                Err(error) => return Err(error),
            };
            if found.as_ref() != Some(&listed.tag) {
                let reason = format!("part {} is not there as it was listed", listed.number);
                return Err(StoreError::BadBody { reason });
            }
        }
        let store = self.clone();
        let keys: Vec<_> = parts.iter().map(|listed| part(upload, listed.number)).collect();
        let bodies = stream::iter(keys.into_iter().map(Ok)).and_then(move |key| {
            let store = store.clone();
            async move { Ok::<_, StoreError>(store.get(&key, None).await?.body) }
        });
        let meta = self.put(key, put, bodies.try_flatten().boxed()).await?;
        // The whole is there; what is left of the parts is found by whoever sweeps pieces, should this fail.
        let _ = self.drop_parts(key, name).await;
        Ok(meta)
    }

    async fn drop_parts(&self, _key: &ObjectKey, name: &str) -> Result<(), StoreError> {
        let Ok(upload) = named(name) else { return Ok(()) };
        self.delete(&begun(upload)?).await?;
        let prefix = ObjectKey::upload_prefix(upload);
        loop {
            let keys = self.list(&prefix, None, KEYS_PAGE).await?;
            if keys.is_empty() {
                return Ok(());
            }
            for key in &keys {
                self.delete(key).await?;
            }
        }
    }
}

/// The upload that a name of ours stands for.
fn named(name: &str) -> Result<UploadId, StoreError> {
    name.parse().map_err(|_| StoreError::NotFound { what: "upload" })
}

/// What says that parts may come.
fn begun(upload: UploadId) -> Result<ObjectKey, StoreError> {
    let key = format!("{}begun", ObjectKey::upload_prefix(upload));
    key.parse().map_err(|bad| StoreError::Unavailable(Box::new(bad)))
}

fn part(upload: UploadId, number: u32) -> ObjectKey {
    ObjectKey::upload_part(upload, u64::from(number), 0)
}

fn plain(content_type: &str, len: Option<u64>, now: Timestamp) -> Put {
    Put { content_type: content_type.to_owned(), len, sha256: None, now }
}

/// A part is called by its digest.
fn tag_of(meta: &ObjectMeta) -> Result<Tag, StoreError> {
    let digest = meta.sha256.unwrap_or_default();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().map_err(|bad| StoreError::Unavailable(Box::new(bad)))
}

fn over(error: StoreError) -> StoreError {
    if matches!(error, StoreError::NotFound { .. }) { StoreError::NotFound { what: "upload" } } else { error }
}

/// Keys that are listed at a time.
const KEYS_PAGE: usize = 500;
