use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, Range};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use rend_core::artifact::ObjectKey;

use crate::StoreError;
use crate::multipart::{PartStore, PartsAsObjects};
use crate::objects::{CHUNK_BYTES, Intake, Object, ObjectBody, ObjectMeta, ObjectStore, Put, part_of};

/// Objects in a map. Clones share what they hold.
#[derive(Clone, Default)]
pub struct MemoryObjects {
    objects: Arc<Mutex<BTreeMap<String, Stored>>>,
    bytes_max: Option<u64>,
}

impl MemoryObjects {
    /// Objects with room for `bytes_max` bytes in all; a put that would need more fails with [`StoreError::NoSpace`], as
    /// on a disk that is full. The default has no bound.
    pub fn with_room(bytes_max: u64) -> Self {
        Self { bytes_max: Some(bytes_max), ..Self::default() }
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<String, Stored>) -> T) -> T {
        f(&mut self.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, key: &ObjectKey) -> Result<Stored, StoreError> {
        self.with(|objects| objects.get(key.as_str()).cloned()).ok_or(StoreError::NotFound { what: "object" })
    }
}

impl fmt::Debug for MemoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryObjects").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Stored {
    bytes: Bytes,
    meta: ObjectMeta,
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn put(&self, key: &ObjectKey, put: Put, mut body: ObjectBody) -> Result<ObjectMeta, StoreError> {
        let mut intake = Intake::new(put)?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&intake.take(chunk)?);
            if self.bytes_max.is_some_and(|max| intake.len() > max) {
                return Err(StoreError::NoSpace);
            }
        }
        let meta = intake.finish()?;
        let stored = Stored { bytes: bytes.freeze(), meta: meta.clone() };
        self.with(|objects| {
            // Like a file system, the old and the new are both there until the new one stands.
            let held: u64 = objects.values().map(|held| held.meta.len).sum();
            if self.bytes_max.is_some_and(|max| held.saturating_add(meta.len) > max) {
                return Err(StoreError::NoSpace);
            }
            objects.insert(key.as_str().to_owned(), stored);
            Ok(meta)
        })
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        let Stored { bytes, meta } = self.find(key)?;
        let part = part_of(meta.len, range);
        // Both ends lie within a buffer that is in memory, so they fit a usize.
        let mut rest = bytes.slice(part.start as usize..part.end as usize);
        let chunks = std::iter::from_fn(move || {
            let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
            (!chunk.is_empty()).then_some(Ok(chunk))
        });
        Ok(Object { meta, body: futures::stream::iter(chunks).boxed() })
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        self.find(key).map(|stored| stored.meta)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.with(|objects| objects.remove(key.as_str()));
        Ok(())
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Result<Vec<ObjectKey>, StoreError> {
        let start = match after.map(ObjectKey::as_str) {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        self.with(|objects| {
            objects
                .range::<str, _>((start, Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix))
                .take(limit)
                .map(|(key, _)| key.parse().map_err(|bad| StoreError::Unavailable(Box::new(bad))))
                .collect()
        })
    }

    async fn local(&self, _key: &ObjectKey) -> Option<PathBuf> {
        None
    }

    fn parts(&self) -> Option<&dyn PartStore> {
        Some(self)
    }
}

impl PartsAsObjects for MemoryObjects {}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use rend_core::time::Timestamp;

    use super::*;

    fn put(store: &MemoryObjects, name: &str, len: usize) -> Result<ObjectMeta, StoreError> {
        let put = Put { content_type: "video/mp4".into(), len: None, sha256: None, now: Timestamp::EPOCH };
        let body = futures::stream::iter([Ok(Bytes::from(vec![0; len]))]).boxed();
        let key = name.parse().unwrap();
        // Whoever steps through time polls once and takes waiting for a mistake.
        store.put(&key, put, body).now_or_never().expect("the memory adapter never waits")
    }

    #[test]
    fn a_put_past_the_room_is_no_space_and_room_can_be_made() {
        let store = MemoryObjects::with_room(10);
        put(&store, "a", 6).unwrap();
        put(&store, "b", 4).unwrap();
        for (name, len) in [("c", 1), ("c", 11), ("a", 6)] {
            assert!(matches!(put(&store, name, len), Err(StoreError::NoSpace)));
        }
        store.delete(&"b".parse().unwrap()).now_or_never().unwrap().unwrap();
        put(&store, "c", 4).unwrap();
    }
}
