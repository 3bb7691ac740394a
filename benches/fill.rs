//! A thousand followers of one cold body: how long after the leader's first byte the last follower has its own, how much memory they
//! take, and that the origin was asked once.

#[path = "support/clock.rs"]
mod clock;
#[path = "support/memory.rs"]
mod memory;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use rend_cache::fs::FsFiles;
use rend_cache::{Begin, Cache, Config, Finished, Head, Key, KeyMeta, Lookup, Mode, Scope};

use clock::timed;
use memory::{Counting, allocated};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (cache, _) = Cache::open(Config::new(1 << 30), FsFiles::open(folder.path())?, 0)?;
    println!("{FOLLOWERS} followers of one cold body of {} MiB", BODY_BYTES >> 20);
    println!("{:<44}{:>12}{:>12}", "", "best", "worst");
    let rounds: Vec<Round> = (0..ROUNDS).map(|round| measure(&cache, round)).collect::<Result<_, _>>()?;
    let show = |what: &str, of: &dyn Fn(&Round) -> f64| {
        let (best, worst) =
            rounds.iter().map(of).fold((f64::MAX, f64::MIN), |(best, worst), is| (best.min(is), worst.max(is)));
        println!("{what:<44}{best:>12.3}{worst:>12.3}");
    };
    show("last first byte after the leader's push, ms", &|round| round.last_first_byte_ms);
    show("everything read by everybody, ms", &|round| round.all_ms);
    show("memory at its peak, bytes a follower", &|round| round.peak_bytes / FOLLOWERS as f64);
    show("origin reads", &|round| round.origin_reads as f64);
    let best = |of: &dyn Fn(&Round) -> f64| rounds.iter().map(of).fold(f64::MAX, f64::min);
    println!(
        "goals (16): 1 origin read; {:.3} ms of 5; {:.0} bytes a follower of {:.0}",
        best(&|round| round.last_first_byte_ms),
        best(&|round| round.peak_bytes) / FOLLOWERS as f64,
        (4 << 20) as f64 / FOLLOWERS as f64 + 2048.0
    );
    // Once for nothing, so that the folders are there as they are in a cache that has run for a while.
    (0..COMMITS).try_for_each(|n| commit(&cache, n))?;
    cache.purge(&Scope::Group([3; 16]), Mode::Soft, 0)?;
    cache.reap(usize::MAX);
    // Turn about, so that both have their share of the machine's moods.
    let (mut ours, mut plain) = (Duration::ZERO, Duration::ZERO);
    for n in 0..COMMITS {
        let (took, committed) = timed(|| commit(&cache, n));
        committed?;
        ours += took;
        let (took, written) = timed(|| write_plainly(folder.path(), n));
        written?;
        plain += took;
    }
    let each_ms = |took: Duration| took.as_secs_f64() * 1e3 / f64::from(COMMITS);
    println!("{:<44}{:>12.3}", "fill of 1 MiB: write, footer, rename, ms", each_ms(ours));
    println!("{:<44}{:>12.3}", "the same as a plain write and rename, ms", each_ms(plain));
    println!("goal (15): {:.2} times the plain write of at most 1.3", ours.as_secs_f64() / plain.as_secs_f64());
    let hits = Key::new([3; 16], "0");
    let before = writes()?;
    let (took, ()) = timed(|| (0..HITS).for_each(|_| drop(cache.lookup(&hits, 0))));
    let written = writes()? - before;
    println!("{:<44}{:>12.3}", "hit on a mapped body, µs", took.as_secs_f64() * 1e6 / f64::from(HITS));
    println!("goal (14): {written} writes by {HITS} hits, of at most 0");
    assert_eq!(written, 0, "a hit wears no disk");
    Ok(())
}

struct Round {
    last_first_byte_ms: f64,
    all_ms: f64,
    peak_bytes: f64,
    origin_reads: usize,
}

/// Every follower waits for its first byte, the leader pushes, and all are polled as they are woken.
fn measure(cache: &Cache, round: u8) -> Result<Round, Box<dyn std::error::Error>> {
    let key = Key::new([round; 16], "hls/1080p/segment_00000.m4s");
    let before = allocated();
    let mut origin_reads = 0;
    let Begin::Lead(mut writer) = cache.begin(&key, &KeyMeta::segment(0, Some(3)), None, 0) else {
        return Err("cold".into());
    };
    origin_reads += 1;
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        match cache.lookup(&key, 0) {
            Lookup::Filling(reader) => followers.push(reader),
            Lookup::Hit(_) | Lookup::Absent | Lookup::Negative(_) | Lookup::Overloaded => origin_reads += 1,
        }
    }
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    for follower in &mut followers {
        assert!(follower.poll_chunk(&mut cx).is_pending(), "nothing is there yet");
    }
    writer.expect(Head::new("\"e\"", "video/mp4").with_len(BODY_BYTES as u64), 0)?;
    let chunk = Bytes::from(vec![7; CHUNK_BYTES]);
    let mut peak = 0;
    let mut read = vec![0_usize; followers.len()];
    let (first, pushed) = timed(|| {
        let pushed = writer.push(chunk.clone(), 0);
        for (follower, read) in followers.iter_mut().zip(&mut read) {
            if let Poll::Ready(Some(Ok(bytes))) = follower.poll_chunk(&mut cx) {
                *read += bytes.len();
            }
        }
        pushed
    });
    pushed?;
    assert!(read.iter().all(|read| *read > 0) && woken.0.load(Ordering::Relaxed) >= FOLLOWERS);
    let (rest, finished) = timed(|| -> Result<Finished, rend_cache::FillError> {
        for _ in 1..BODY_BYTES / CHUNK_BYTES {
            writer.push(Bytes::from(vec![7; CHUNK_BYTES]), 0)?;
            peak = peak.max(allocated() - before);
        }
        let finished = writer.finish(0)?;
        for (follower, read) in followers.iter_mut().zip(&mut read) {
            while let Poll::Ready(Some(Ok(bytes))) = follower.poll_chunk(&mut cx) {
                *read += bytes.len();
            }
        }
        Ok(finished)
    });
    assert!(matches!(finished?, Finished::Stored(_)));
    assert!(read.iter().all(|read| *read == BODY_BYTES), "each follower has each byte");
    Ok(Round {
        last_first_byte_ms: first.as_secs_f64() * 1e3,
        all_ms: (first + rest).as_secs_f64() * 1e3,
        peak_bytes: peak as f64,
        origin_reads,
    })
}

fn commit(cache: &Cache, n: u32) -> Result<(), rend_cache::FillError> {
    let key = Key::new([3; 16], &n.to_string());
    let Begin::Lead(mut writer) = cache.begin(&key, &KeyMeta::segment(9, None), None, 0) else { return Ok(()) };
    let body = Bytes::from(vec![1; 1 << 20]);
    writer.expect(Head::new("\"e\"", "video/mp4").with_len(1 << 20), 0)?;
    writer.push(body, 0)?;
    writer.finish(0).map(|_| ())
}

/// The yardstick of a fill: what any cache on disk has to do.
fn write_plainly(folder: &std::path::Path, n: u32) -> std::io::Result<()> {
    let aside = folder.join("aside");
    std::fs::write(&aside, vec![1; 1 << 20])?;
    std::fs::rename(aside, folder.join(format!("plain-{n}")))
}

/// How many calls of this process wrote anything so far. Where the system does not say, none.
fn writes() -> std::io::Result<u64> {
    let counted = match std::fs::read_to_string("/proc/self/io") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        counted => counted?,
    };
    let line = counted.lines().find_map(|line| line.strip_prefix("syscw: "));
    Ok(line.and_then(|count| count.parse().ok()).unwrap_or(0))
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

const FOLLOWERS: usize = 1000;
const BODY_BYTES: usize = 4 << 20;
const CHUNK_BYTES: usize = 64 << 10;
const ROUNDS: u8 = 2;
const COMMITS: u32 = 100;
const HITS: u32 = 200_000;
