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
use rend_cache::budget::charge;
use rend_cache::fs::FsFiles;
use rend_cache::journal::{FORMAT, Record};
use rend_cache::policy::ValueWheel;
use rend_cache::{Begin, Cache, Config, Generation, Head, Key, KeyMeta, Lookup};

use clock::timed;
use memory::{Counting, allocated};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() -> Outcome<()> {
    let mut args = std::env::args().skip_while(|arg| arg != "--files").skip(1);
    let real = args.next().map_or(Ok(20_000), |files| files.parse())?;
    println!("{:<40}{:>15}{:>15}{:>12}{:>13}", "", "first hit, ms", "all known, ms", "entries", "bytes/entry");
    let folder = tempfile::tempdir()?;
    make(folder.path(), SERVED)?;
    for (round, closed) in [("closed in good order", true), ("the same, pages warm", true), ("cut by a crash", false)] {
        journal(folder.path(), closed)?;
        // The yardstick is what nobody can do without: to read the bytes, and to build something that finds each body by its hash.
        let (plain, found) = timed(|| plainly(folder.path()));
        let begun = start(folder.path(), SERVED)?;
        let (plain_ms, found) = (plain.as_secs_f64() * 1e3, found?);
        println!("{}", row(round, &begun));
        let ratio = begun.all_ms / plain_ms;
        println!("{:<40}{:>15}{plain_ms:>15.1}{found:>12}   x {ratio:.2}", "  read and put into a map, plainly", "");
    }
    println!(
        "{:<40}{:>15}{:>15}{:>12}{:>13}",
        "goals for a million entries (11, 12)", "<= 200", "<= 1000", "", "<= 160"
    );
    drop(folder);
    let folder = tempfile::tempdir()?;
    make(folder.path(), real)?;
    std::fs::remove_file(folder.path().join("v1/index/journal"))?;
    println!("{}", row(&format!("without a journal, {real} files"), &start(folder.path(), real)?));
    println!("{:<40}{:>15}{:>15}", "goals for a million files (13)", "<= 200", "<= 5000");
    Ok(())
}

struct Begun {
    hit_ms: f64,
    all_ms: f64,
    entries: usize,
    bytes_per_entry: f64,
}

/// Opens the cache, asks for one of the real files, which is spread among the others, and then reads all there is to know.
fn start(folder: &Path, files: u64) -> Outcome<Begun> {
    let before = allocated();
    let (hit, opened) = timed(|| -> Outcome<Cache> {
        let (disk, wheel) = (FsFiles::open(folder)?, Box::new(ValueWheel::new(limits().max_bytes)));
        let (cache, _) = Cache::open_early(limits(), disk, wheel, 0)?;
        let found = cache.lookup(&name(files / 2), 0);
        if matches!(found, Lookup::Hit(_)) { Ok(cache) } else { Err(format!("{found:?}").into()) }
    });
    let cache = opened?;
    let without_folders = cache.stats().leaves_left > 0 && folder.join("v1/index/journal").metadata()?.len() > 1 << 20;
    let (rest, ()) = timed(|| {
        cache.load(usize::MAX);
        // A journal knows everything; without one, the folders do.
        while !without_folders && cache.reconcile(usize::MAX) > 0 {}
    });
    let entries = cache.stats().entries;
    let hit_ms = hit.as_secs_f64() * 1e3;
    Ok(Begun {
        hit_ms,
        all_ms: hit_ms + rest.as_secs_f64() * 1e3,
        entries,
        bytes_per_entry: (allocated() - before) as f64 / entries.max(1) as f64,
    })
}

fn row(what: &str, begun: &Begun) -> String {
    let Begun { hit_ms, all_ms, entries, bytes_per_entry } = begun;
    format!("{what:<40}{hit_ms:>15.1}{all_ms:>15.1}{entries:>12}{bytes_per_entry:>13.0}")
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

/// Reads the journal into a map, and says how many bodies it spoke of.
fn plainly(folder: &Path) -> Outcome<usize> {
    let bytes = std::fs::read(folder.join("v1/index/journal"))?;
    let mut map = std::collections::BTreeMap::new();
    for record in rend_cache::journal::Records::new(&bytes) {
        if let Record::Kept { key, len, charge, generation, .. } = record {
            map.insert(key, (len, charge, generation));
        }
    }
    Ok(map.len())
}

/// Writes a journal of a million entries, of which the first have files.
fn journal(folder: &Path, closed: bool) -> Outcome<()> {
    // Generations of the real files are as the first process gave them.
    let path = folder.join("v1/index/journal");
    let known = std::fs::read(&path)?;
    let real = rend_cache::journal::Records::new(&known)
        .filter(|record| matches!(record, Record::Kept { len: 100, .. }))
        .take(usize::try_from(SERVED)?);
    let mut bytes = Vec::new();
    Record::Header { format: FORMAT }.encode(&mut bytes);
    Record::Opened { epoch: 1 }.encode(&mut bytes);
    real.for_each(|record| record.encode(&mut bytes));
    for n in SERVED..ENTRIES {
        let record = Record::Kept {
            key: name(n),
            key_meta: KeyMeta::segment(u32::try_from(n % 300)?, Some(2)),
            len: 2_000_000,
            charge: charge(2_000_200),
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
