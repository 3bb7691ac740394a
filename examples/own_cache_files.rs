//! How to let the cache keep its bodies in something of your own, and how to know that it is right.
//!
//! The port is nine functions in three traits. The suite that Rend's own adapters pass is mounted at the end: `cargo test -p
//! rend-examples --example own_cache_files` runs each case as a test.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rend_cache::files::{CacheFiles, Draft, FileName, Journal, Opened, ReadAt, Space};
use rend_cache::{Begin, Cache, Config, Head, Key, KeyMeta, Lookup};

/// Bodies in a drawer: named sheets, and a notebook beside them.
#[derive(Debug, Default)]
struct Drawer {
    sheets: Arc<Mutex<BTreeMap<FileName, Bytes>>>,
    notebook: Mutex<Vec<u8>>,
}

impl CacheFiles for Drawer {
    fn create(&self) -> io::Result<Box<dyn Draft>> {
        Ok(Box::new(Sheet { drawer: Arc::clone(&self.sheets), ink: Ink::default() }))
    }
    fn open(&self, name: &FileName) -> io::Result<Opened> {
        let bytes = held(&self.sheets).get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Opened { bytes, file: None })
    }
    fn remove(&self, name: &FileName) -> io::Result<()> {
        // Whoever reads it still holds its bytes.
        held(&self.sheets).remove(name);
        Ok(())
    }
    fn scan(&self, leaf: u16) -> io::Result<Vec<FileName>> {
        Ok(held(&self.sheets).keys().filter(|name| name.leaf() == leaf).copied().collect())
    }
    fn space(&self) -> io::Result<Space> {
        Ok(Space { bytes: u64::MAX, files: u64::MAX })
    }
    fn journal(&self) -> &dyn Journal {
        self
    }
}

impl Journal for Drawer {
    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(held(&self.notebook).clone())
    }
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        held(&self.notebook).extend_from_slice(bytes);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        *held(&self.notebook) = bytes.to_vec();
        Ok(())
    }
}

/// A sheet that nobody sees until it is put into the drawer.
struct Sheet {
    drawer: Arc<Mutex<BTreeMap<FileName, Bytes>>>,
    ink: Ink,
}

impl Draft for Sheet {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut ink, start) = (held(&self.ink.0), offset as usize);
        let len = ink.len().max(start + bytes.len());
        ink.resize(len, 0);
        ink[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn reader(&self) -> Arc<dyn ReadAt> {
        Arc::new(self.ink.clone())
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn publish(self: Box<Self>, name: &FileName) -> io::Result<()> {
        held(&self.drawer).insert(*name, held(&self.ink.0).clone().into());
        Ok(())
    }
}

/// What was written so far. Readers of a body that is still coming share it.
#[derive(Clone, Default)]
struct Ink(Arc<Mutex<Vec<u8>>>);

impl ReadAt for Ink {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let start = offset as usize;
        held(&self.0)
            .get(start..start + len)
            .map(Bytes::copy_from_slice)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (cache, _) = Cache::open(Config::new(1 << 20), Arc::new(Drawer::default()), 0)?;
    let key = Key::new([7; 16], "hls/720p/segment_00000.m4s");
    if let Begin::Lead(mut writer) = cache.begin(&key, &KeyMeta::segment(0, Some(2)), None, 0) {
        writer.expect(Head::new("\"e1\"", "video/mp4").with_len(5), 0)?;
        writer.push("hello".into(), 0)?;
        writer.finish(0)?;
    }
    let hit = matches!(cache.lookup(&key, 1), Lookup::Hit(hit) if hit.body() == "hello");
    println!("the drawer gave it back: {hit}; `cargo test` runs every case of the suite");
    Ok(())
}

#[cfg(test)]
rend_cache::files_conformance!(drawer, || (Arc::new(Drawer::default()), ()));
