//! How to keep Rend's objects in something of your own, and how to know that it is right.
//!
//! The port is six functions. The suite that Rend's own adapters pass is mounted at the end: `cargo test -p rend-examples
//! --example own_object_store` runs each case as a test.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use rend_core::artifact::ObjectKey;
use rend_storage::StoreError;
use rend_storage::conformance::objects as suite;
use rend_storage::objects::{Intake, Object, ObjectBody, ObjectMeta, ObjectStore, Put, part_of};

/// Objects on a shelf: a list that is kept in the order of its keys.
#[derive(Debug, Default)]
struct Shelf(Mutex<Vec<(ObjectKey, ObjectMeta, Bytes)>>);

impl Shelf {
    fn with<T>(&self, f: impl FnOnce(&mut Vec<(ObjectKey, ObjectMeta, Bytes)>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl ObjectStore for Shelf {
    async fn put(&self, key: &ObjectKey, put: Put, mut body: ObjectBody) -> Result<ObjectMeta, StoreError> {
        // `Intake` checks what was announced, so nothing wrong ever reaches the shelf.
        let (mut intake, mut bytes) = (Intake::new(put)?, Vec::new());
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&intake.take(chunk)?);
        }
        let meta = intake.finish()?;
        self.with(|shelf| {
            shelf.retain(|(held, ..)| held != key);
            let place = shelf.partition_point(|(held, ..)| held < key);
            shelf.insert(place, (key.clone(), meta.clone(), bytes.into()));
        });
        Ok(meta)
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        let found = self.with(|shelf| shelf.iter().find(|(held, ..)| held == key).cloned());
        let (_, meta, bytes) = found.ok_or(StoreError::NotFound { what: "object" })?;
        let part = part_of(meta.len, range);
        let part = bytes.slice(part.start as usize..part.end as usize);
        Ok(Object { meta, body: futures::stream::iter([Ok(part)]).boxed() })
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        Ok(self.get(key, None).await?.meta)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.with(|shelf| shelf.retain(|(held, ..)| held != key));
        Ok(())
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: usize) -> Result<Vec<ObjectKey>, StoreError> {
        let wanted = |key: &&ObjectKey| key.as_str().starts_with(prefix) && after.is_none_or(|after| *key > after);
        Ok(self.with(|shelf| shelf.iter().map(|(key, ..)| key).filter(wanted).take(limit).cloned().collect()))
    }

    async fn local(&self, _key: &ObjectKey) -> Option<PathBuf> {
        None
    }
}

fn main() {
    futures::executor::block_on(suite::a_refused_put_keeps_what_was_there(&Shelf::default()));
    println!("a refused put kept what was there; `cargo test` runs the other cases too");
}

#[cfg(test)]
rend_storage::object_store_conformance!(futures::executor::block_on, (Shelf::default(), ()));
