//! What several test files share: filling a key in one go, and reading a fill to its end without a runtime.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use rend_cache::memory::MemoryFiles;
use rend_cache::{Begin, Cache, Config, FillError, FillReader, FillWriter, Finished, Head, Key, KeyMeta, Lookup};

pub(crate) fn cache(max_bytes: u64) -> (Cache, Arc<MemoryFiles>) {
    let files = MemoryFiles::shared();
    (open(&files, max_bytes), files)
}

pub(crate) fn open(files: &Arc<MemoryFiles>, max_bytes: u64) -> Cache {
    Cache::open(Config::new(max_bytes), files.clone(), 0).unwrap().0
}

pub(crate) fn key(name: &str) -> Key {
    Key::new([1; 16], name)
}

pub(crate) fn body(len: usize) -> Bytes {
    (0..len).map(|n| (n % 251) as u8).collect()
}

#[track_caller]
pub(crate) fn lead(cache: &Cache, key: &Key) -> FillWriter {
    match cache.begin(key, &KeyMeta::segment(5, Some(1)), None, 0) {
        Begin::Lead(writer) => writer,
        other => panic!("expected to lead, got {other:?}"),
    }
}

/// Fills a key in one go.
#[track_caller]
pub(crate) fn fill(cache: &Cache, key: &Key, body: &Bytes) -> Finished {
    let mut writer = lead(cache, key);
    writer.expect(Head::new("\"e\"", "video/mp4").with_len(body.len() as u64), 0).unwrap();
    for at in (0..body.len()).step_by(64 << 10) {
        writer.push(body.slice(at..body.len().min(at + (64 << 10))), 0).unwrap();
    }
    writer.finish(0).unwrap()
}

/// The stored body.
pub(crate) fn get(cache: &Cache, key: &Key) -> Option<Bytes> {
    match cache.lookup(key, 0) {
        Lookup::Hit(hit) => Some(hit.body().clone()),
        _ => None,
    }
}

/// Reads what is there now: the bytes, and how it ended, if it did.
pub(crate) fn drain(reader: &mut FillReader) -> (Vec<u8>, Option<Result<(), FillError>>) {
    let mut bytes = Vec::new();
    loop {
        match reader.chunk().now_or_never() {
            None => return (bytes, None),
            Some(None) => return (bytes, Some(Ok(()))),
            Some(Some(Ok(chunk))) => bytes.extend_from_slice(&chunk),
            Some(Some(Err(error))) => return (bytes, Some(Err(error))),
        }
    }
}

/// Nothing is left under way, and the books are those of the disk.
#[track_caller]
pub(crate) fn at_rest(cache: &Cache, files: &MemoryFiles) {
    cache.reap(usize::MAX);
    let stats = cache.stats();
    assert_eq!((stats.fills, stats.readers, stats.doomed_bytes), (0, 0, 0), "{stats:?}");
    assert_eq!(files.drafts(), 0, "a draft is left");
    let disk: u64 = files.names().iter().map(|name| file_charge(files, name)).sum();
    assert_eq!(stats.used_bytes, disk + held(&stats), "books and disk differ: {stats:?}");
    assert!(stats.used_bytes <= stats.max_bytes);
}

fn held(stats: &rend_cache::Stats) -> u64 {
    stats.pending_bytes
}

fn file_charge(files: &MemoryFiles, name: &rend_cache::files::FileName) -> u64 {
    use rend_cache::files::CacheFiles;
    rend_cache::budget::charge(files.open(name).unwrap().bytes.len() as u64)
}
