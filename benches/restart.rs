//! How soon a cache serves again after a restart: with a journal closed in good order, with one cut by a crash, and with none at all.
//!
//! `cargo bench --bench restart` takes a million entries of which a thousand have real files, so that it measures the index and not the
//! making of files; `-- --files N` makes N real files for the start without a journal (default 20,000).

#[path = "support/clock.rs"]
mod clock;
#[path = "support/memory.rs"]
mod memory;

use std::path::Path;

use bytes::Bytes;
use rend_cache::fs::FsFiles;
use rend_cache::journal::{FORMAT, Record};
use rend_cache::{Begin, Cache, Config, Generation, Head, Key, KeyMeta, Lookup, Meta};

use clock::timed;
use memory::{Counting, allocated};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() -> Outcome<()> {
    let mut args = std::env::args().skip_while(|arg| arg != "--files").skip(1);
    let real = args.next().map_or(Ok(20_000), |files| files.parse())?;
    println!("{:<52}{:>12}{:>16}{:>14}{:>14}", "", "open, ms", "first hit, ms", "entries", "bytes/entry");
    let folder = tempfile::tempdir()?;
    make(folder.path(), SERVED)?;
    journal(folder.path(), true)?;
    for round in ["closed in good order", "the same, pages warm"] {
        println!("{}", row(round, &start(folder.path(), SERVED)?));
        journal(folder.path(), true)?;
    }
    journal(folder.path(), false)?;
    println!("{}", row("cut by a crash", &start(folder.path(), SERVED)?));
    drop(folder);
    let folder = tempfile::tempdir()?;
    make(folder.path(), real)?;
    std::fs::remove_file(folder.path().join("v1/index/journal"))?;
    let begun = start(folder.path(), real)?;
    println!("{}", row(&format!("without a journal, {real} files"), &begun));
    let (cache, _) = Cache::open(limits(), FsFiles::open(folder.path())?, 0)?;
    let (took, ()) = timed(|| while cache.reconcile(usize::MAX) > 0 {});
    let entries = cache.stats().entries;
    println!("all {entries} of them in the index after another {:.0} ms of reading", took.as_secs_f64() * 1e3);
    Ok(())
}

struct Begun {
    open_ms: f64,
    hit_ms: f64,
    entries: usize,
    bytes_per_entry: f64,
}

/// Opens the cache and asks for one of the real files, which is spread among the others.
fn start(folder: &Path, files: u64) -> Outcome<Begun> {
    let before = allocated();
    let disk = FsFiles::open(folder)?;
    let (open, cache) = timed(|| Cache::open(limits(), disk, 0));
    let (cache, _) = cache?;
    let (hit, found) = timed(|| cache.lookup(&name(files / 2), 0));
    let Lookup::Hit(hit_body) = found else { return Err(format!("{found:?}").into()) };
    drop(hit_body);
    let entries = cache.stats().entries;
    let open_ms = open.as_secs_f64() * 1e3;
    Ok(Begun {
        open_ms,
        hit_ms: open_ms + hit.as_secs_f64() * 1e3,
        entries,
        bytes_per_entry: (allocated() - before) as f64 / entries.max(1) as f64,
    })
}

fn row(what: &str, begun: &Begun) -> String {
    let Begun { open_ms, hit_ms, entries, bytes_per_entry } = begun;
    format!("{what:<52}{open_ms:>12.1}{hit_ms:>16.1}{entries:>14}{bytes_per_entry:>14.0}")
}

fn limits() -> Config {
    let mut config = Config::new(1 << 50);
    config.ram_bytes_max = 1 << 20;
    config
}

/// Names as an edge gives them: some thousands of assets with some hundreds of segments.
fn name(n: u64) -> Key {
    let mut group = [0; 16];
    group[..8].copy_from_slice(&(n / 300).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    Key::new(group, &format!("hls/720p/segment_{:05}.m4s", n % 300))
}

/// Real files of some bytes, by way of the cache itself.
fn make(folder: &Path, files: u64) -> Outcome<()> {
    let (cache, _) = Cache::open(limits(), FsFiles::open(folder)?, 0)?;
    for n in 0..files {
        let meta = KeyMeta::segment(u32::try_from(n % 300)?, Some(2));
        let Begin::Lead(mut writer) = cache.begin(&name(n), &meta, None, 0) else { return Err("alone".into()) };
        writer.expect(Head::new(ETAG, "video/mp4").with_len(100), 0)?;
        writer.push(Bytes::from(vec![1; 100]), 0)?;
        writer.finish(0)?;
    }
    cache.shutdown()?;
    Ok(())
}

/// Writes a journal of a million entries, of which the first have files.
fn journal(folder: &Path, closed: bool) -> Outcome<()> {
    // Generations of the real files are as the first process gave them.
    let path = folder.join("v1/index/journal");
    let known = std::fs::read(&path)?;
    let real = rend_cache::journal::Records::new(&known)
        .filter(|record| matches!(record, Record::Stored { meta, .. } if meta.len == 100));
    let mut bytes = Vec::new();
    Record::Header { format: FORMAT }.encode(&mut bytes);
    Record::Opened { epoch: 1 }.encode(&mut bytes);
    real.for_each(|record| record.encode(&mut bytes));
    for n in SERVED..ENTRIES {
        let record = Record::Stored {
            key: name(n),
            key_meta: KeyMeta::segment(u32::try_from(n % 300)?, Some(2)),
            meta: Meta { len: 2_000_000, etag: ETAG.into(), content_type: "video/mp4".into(), modified_ms: n },
            generation: Generation(1 << 40 | n),
            checked_ms: n,
        };
        record.encode(&mut bytes);
    }
    if closed {
        Record::Complete.encode(&mut bytes);
        Record::Closed.encode(&mut bytes);
    }
    std::fs::write(path, bytes)?;
    Ok(())
}

const ENTRIES: u64 = 1_000_000;
const SERVED: u64 = 1000;
const ETAG: &str = "\"0f1e2d3c4b5a69788796a5b4c3d2e1f0\"";
