//! What the policies keep, how fast they decide and what they cost: side by side, on the same streams, held against what nobody can
//! beat.
//!
//! `cargo bench --bench eviction` takes under a minute. `cargo bench --bench eviction -- --traces FOLDER` adds recorded traces
//! (`*.oracleGeneral.bin`, `*.trace`); `--full` adds more seeds and cache sizes; `--only wheel,lru` leaves out the others.
//!
//! OMR, BMR, SMR: share of requests, bytes, and requests for what starts playback, that missed. Every figure is checked against
//! PFOO-L, which is a bound, and every cache against its limit: a result that beats the bound is a bug of the bench and ends it.

#[path = "support/clock.rs"]
mod clock;
#[path = "support/memory.rs"]
mod memory;
mod support;

use std::path::PathBuf;

use rend_cache::policy::{Alpha, Lru, S3Fifo, ValueWheel, WheelConfig};

use clock::timed;
use memory::{Counting, allocated};
use support::bounds::{Misses, Ratios, belady_size, pfoo_l};
use support::peers::{LruCrate, Moka, Ours, Peer, QuickCache};
use support::trace::{Trace, Viewers, hls, recorded, zipf};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() {
    let options = Options::from_args(std::env::args().skip(1));
    println!("{HEADER}");
    for (trace, percents) in traces(&options) {
        let footprint = trace.footprint();
        for percent in percents {
            let limit = footprint / 100 * percent;
            let bound = pfoo_l(&trace, limit);
            println!("# {} at {percent} %: {} requests, {} MiB", trace.name, trace.requests.len(), limit >> 20);
            println!("{}", row("PFOO-L (bound)", &bound, None));
            println!("{}", row("Belady by size", &belady_size(&trace, limit), None));
            for (name, make) in PEERS {
                if options.wants(name) {
                    let result = run(&trace, limit, *make, if *name == "moka" { 1 } else { options.rounds });
                    check(&trace, name, &bound, &result, limit);
                    println!("{}", row(name, &result.ratios, Some(&result)));
                }
            }
        }
    }
}

struct Options {
    folder: Option<PathBuf>,
    full: bool,
    only: Option<String>,
    rounds: u32,
}

impl Options {
    fn from_args(mut args: impl Iterator<Item = String>) -> Self {
        let mut options = Self { folder: None, full: false, only: None, rounds: 2 };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--traces" => options.folder = args.next().map(PathBuf::from),
                "--full" => (options.full, options.rounds) = (true, 5),
                "--only" => options.only = args.next(),
                // What cargo and test runners pass is not for us.
                _ => {}
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|wanted| wanted == name))
    }
}

/// The streams, each with the sizes of cache in percent of all bytes that occur.
fn traces(options: &Options) -> Vec<(Trace, Vec<u64>)> {
    let mut traces = vec![(zipf(1, 100_000, 500_000), vec![5]), (hls(Viewers::usual(7)), vec![1, 5])];
    if options.full {
        traces[1].1 = vec![1, 2, 5, 10, 20];
        // Other audiences than the one that the weights were chosen on.
        traces.extend((11..14).map(|seed| (hls(Viewers::usual(seed)), vec![1, 5])));
        let flat = Viewers { skew: 0.6, ..Viewers::usual(21) };
        let short = Viewers { drop_permille: 80, seek_permille: 40, ..Viewers::usual(22) };
        traces.extend([(hls(flat), vec![1, 5]), (hls(short), vec![1, 5])]);
    }
    let folder = options.folder.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let mut paths: Vec<PathBuf> = folder.flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "bin" || end == "trace"));
    paths.sort();
    traces.extend(paths.iter().filter_map(|path| Some((recorded(path).ok()?, vec![1, 10]))));
    traces
}

/// One cache on one stream.
struct Outcome {
    ratios: Ratios,
    nanos_per_access: f64,
    /// The slowest of ten thousand accesses is about as slow as this, in microseconds.
    slowest_us: f64,
    bytes_per_entry: f64,
    used_max: u64,
}

type Make = fn(&Trace, u64) -> Box<dyn Peer>;

const PEERS: &[(&str, Make)] = &[
    ("wheel", |_, limit| Box::new(Ours::new(ValueWheel::new(limit)))),
    ("wheel a=0", |_, limit| {
        Box::new(Ours::new(ValueWheel::with_config(
            limit,
            WheelConfig { alpha: Alpha::Bytes, ..WheelConfig::default() },
        )))
    }),
    ("s3-fifo", |_, limit| Box::new(Ours::new(S3Fifo::new(limit)))),
    ("lru", |_, limit| Box::new(Ours::new(Lru::new(limit)))),
    ("lru crate", |_, limit| Box::new(LruCrate::new(limit))),
    ("quick_cache", |trace, limit| {
        // It wants to know how many objects there may be.
        let mean = trace.requests.iter().map(|request| request.size).sum::<u64>() / trace.requests.len() as u64;
        Box::new(QuickCache::new(limit, (limit / mean.max(1)) as usize + 1))
    }),
    ("moka", |_, limit| Box::new(Moka::new(limit))),
];

fn run(trace: &Trace, limit: u64, make: Make, rounds: u32) -> Outcome {
    let mut best: Option<Outcome> = None;
    for _ in 0..rounds {
        let before = allocated();
        let mut peer = make(trace, limit);
        let mut misses = Misses::default();
        let (took, ()) = timed(|| {
            for request in &trace.requests {
                let hit = peer.access(request);
                misses.count(request, hit);
            }
        });
        let used_max = peer.used();
        let outcome = Outcome {
            ratios: misses.ratios(),
            nanos_per_access: took.as_nanos() as f64 / trace.requests.len() as f64,
            slowest_us: 0.0,
            bytes_per_entry: (allocated() - before) as f64 / peer.len().max(1) as f64,
            used_max,
        };
        if best.as_ref().is_none_or(|best| outcome.nanos_per_access < best.nanos_per_access) {
            best = Some(outcome);
        }
    }
    let mut best = best.unwrap_or_else(|| unreachable!("there is at least one round"));
    best.slowest_us = slowest_us(trace, &mut *make(trace, limit));
    best
}

/// The 99.99th percentile of single accesses, on the second half of the stream, when the cache is full. The clock's own cost is in it.
fn slowest_us(trace: &Trace, peer: &mut dyn Peer) -> f64 {
    let (before, after) = trace.requests.split_at(trace.requests.len() / 2);
    before.iter().for_each(|request| _ = peer.access(request));
    let mut nanos: Vec<u128> = after.iter().map(|request| timed(|| peer.access(request)).0.as_nanos()).collect();
    nanos.sort_unstable();
    nanos[nanos.len() - 1 - nanos.len() / 10_000] as f64 / 1e3
}

/// A figure that cannot be is worse than none.
fn check(trace: &Trace, name: &str, bound: &Ratios, result: &Outcome, limit: u64) {
    let is = &result.ratios;
    for (what, is, bound) in
        [("OMR", is.objects, bound.objects), ("BMR", is.bytes, bound.bytes), ("SMR", is.startup, bound.startup)]
    {
        assert!(is >= bound - 1e-9, "{name} on {}: {what} {is:.4} beats the bound {bound:.4}", trace.name);
    }
    assert!(result.used_max <= limit, "{name} on {}: {} bytes of {limit}", trace.name, result.used_max);
}

fn row(name: &str, ratios: &Ratios, outcome: Option<&Outcome>) -> String {
    let Ratios { objects, bytes, startup } = ratios;
    let cost = outcome.map_or_else(String::new, |outcome| {
        let Outcome { nanos_per_access, slowest_us, bytes_per_entry, .. } = outcome;
        format!("{nanos_per_access:>10.0}{slowest_us:>12.1}{bytes_per_entry:>14.0}")
    });
    format!("{name:<16}{objects:>8.4}{bytes:>8.4}{startup:>8.4}{cost}")
}

const HEADER: &str = "cache                OMR     BMR     SMR ns/access  p99.99, µs   bytes/entry";
