//! Streams of requests: Zipf, sessions of HLS viewers, and recorded traces.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::path::Path;

use rend_cache::Class;
use rend_cache::policy::Traits;
use rend_core::prng::Prng;

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) size: u64,
    pub(crate) traits: Traits,
    /// Id and size of the segment after it, if it is a segment and there is one.
    pub(crate) next: Option<(u64, u64)>,
}

/// Requests in order, with a name.
pub(crate) struct Trace {
    pub(crate) name: String,
    pub(crate) requests: Vec<Request>,
    /// Whether it really happened somewhere.
    pub(crate) recorded: bool,
}

impl Trace {
    /// Bytes of all objects that occur.
    pub(crate) fn footprint(&self) -> u64 {
        let sizes: BTreeMap<u64, u64> = self.requests.iter().map(|request| (request.id, request.size)).collect();
        sizes.values().sum()
    }
}

/// Independent draws from `objects` objects with skew 0.85 and sizes from 4 KiB to 1 MiB.
pub(crate) fn zipf(seed: u64, objects: usize, requests: usize) -> Trace {
    let mut prng = Prng::seeded(seed);
    let ranks = Ranks::new(objects, 0.85);
    let sizes: Vec<u64> = (0..objects).map(|_| 4096 << prng.below(9)).collect();
    let requests = (0..requests)
        .map(|_| {
            let rank = ranks.draw(&mut prng);
            Request { id: spread(rank as u64), size: sizes[rank], traits: Traits::plain(), next: None }
        })
        .collect();
    Trace { name: "zipf".into(), requests, recorded: false }
}

/// What sets one population of viewers apart from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewers {
    pub(crate) seed: u64,
    pub(crate) titles: usize,
    pub(crate) sessions: usize,
    /// The skew of popularity.
    pub(crate) skew: f64,
    /// How often the ranking changes over the trace.
    pub(crate) generations: usize,
    /// Viewers lost after each segment, in thousandths, once they stayed beyond the hook.
    pub(crate) drop_permille: u64,
    /// Seeks after each segment, in thousandths.
    pub(crate) seek_permille: u64,
}

impl Viewers {
    /// 4,000 titles, 50,000 sessions.
    pub(crate) const fn usual(seed: u64) -> Self {
        Self { seed, titles: 4000, sessions: 50_000, skew: 0.85, generations: 8, drop_permille: 35, seek_permille: 12 }
    }
}

/// Sessions that overlap in time: master, variant, init, then segments of 4 s in one of four tiers until the viewer leaves.
pub(crate) fn hls(viewers: Viewers) -> Trace {
    let mut prng = Prng::seeded(viewers.seed);
    let ranks = Ranks::new(viewers.titles, viewers.skew);
    let titles: Vec<Title> = (0..viewers.titles)
        .map(|_| Title { segments: 15 + prng.below(435) as u32, hook_permille: 30 + prng.below(220) })
        .collect();
    // In each generation a part of the titles trade places: some sink for good, new ones rise.
    let mut order: Vec<usize> = (0..viewers.titles).collect();
    let mut waiting = BinaryHeap::new();
    let mut requests = Vec::new();
    // Sessions begin every 400 ms on average, and a segment is asked for every 4 s.
    for number in 0..viewers.sessions {
        if number > 0 && number % viewers.sessions.div_ceil(viewers.generations) == 0 {
            for _ in 0..viewers.titles / 4 {
                let (a, b) = (prng.below(viewers.titles as u64) as usize, prng.below(viewers.titles as u64) as usize);
                order.swap(a, b);
            }
        }
        let at = number as u64 * 400 + prng.below(400);
        while let Some(Reverse((due, _))) = waiting.peek() {
            if *due > at {
                break;
            }
            step(&mut waiting, &titles, &viewers, &mut prng, &mut requests);
        }
        let title = order[ranks.draw(&mut prng)];
        let tier = [0, 1, 1, 2, 2, 2, 3][prng.below(7) as usize];
        requests.push(control(title, 9, 900, Class::Control));
        requests.push(control(title, 8, 60_000, Class::Still));
        join(&mut requests, title, tier, titles[title].segments);
        waiting.push(Reverse((at, Session { title, tier, segment: 0, watched: 0 })));
    }
    while !waiting.is_empty() {
        step(&mut waiting, &titles, &viewers, &mut prng, &mut requests);
    }
    Trace { name: format!("hls/{}", viewers.seed), requests, recorded: false }
}

struct Title {
    segments: u32,
    hook_permille: u64,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Session {
    title: usize,
    tier: u8,
    segment: u32,
    watched: u32,
}

type Waiting = BinaryHeap<Reverse<(u64, Session)>>;

/// The next segment of the session that is due first.
fn step(waiting: &mut Waiting, titles: &[Title], viewers: &Viewers, prng: &mut Prng, requests: &mut Vec<Request>) {
    let Some(Reverse((due, mut session))) = waiting.pop() else { return };
    let title = &titles[session.title];
    requests.push(segment(session.title, session.tier, session.segment, title.segments));
    session.watched += 1;
    let leave = if session.watched <= HOOK_SEGMENTS { title.hook_permille } else { viewers.drop_permille };
    if prng.below(1000) < leave {
        return;
    }
    session.segment += 1;
    if prng.below(1000) < viewers.seek_permille {
        session.segment = prng.below(u64::from(title.segments)) as u32;
    }
    if session.segment >= title.segments {
        return;
    }
    if prng.below(1000) < TIER_SWITCH_PERMILLE {
        session.tier = if prng.below(2) == 0 { session.tier.saturating_sub(1) } else { (session.tier + 1).min(3) };
        join(requests, session.title, session.tier, title.segments);
    }
    waiting.push(Reverse((due + 4000, session)));
}

/// Playlist and initialisation segment of a rendition.
fn join(requests: &mut Vec<Request>, title: usize, tier: u8, segments: u32) {
    let mut playlist = control(title, 10 + u64::from(tier), 200 + 30 * u64::from(segments), Class::Control);
    let mut init = control(title, 20 + u64::from(tier), 1200, Class::Control);
    (playlist.traits.line, init.traits.line) = (line(title, tier), line(title, tier));
    requests.extend([playlist, init]);
}

fn control(title: usize, kind: u64, size: u64, class: Class) -> Request {
    let traits = Traits { class, line: line(title, u8::MAX), segment: None };
    Request { id: spread(title as u64 * 1_000_000 + kind), size, traits, next: None }
}

fn segment(title: usize, tier: u8, index: u32, segments: u32) -> Request {
    let (id, size) = segment_body(title, tier, index);
    let class = if index < 2 { Class::Startup } else { Class::Tail };
    let next = (index + 1 < segments).then(|| segment_body(title, tier, index + 1));
    Request { id, size, traits: Traits { class, line: line(title, tier), segment: Some(index) }, next }
}

/// Its id and its size: 4 s of 2.2, 4.5, 9 or 18 Mbit/s, give or take a quarter.
const fn segment_body(title: usize, tier: u8, index: u32) -> (u64, u64) {
    let id = spread(title as u64 * 1_000_000 + 1000 + tier as u64 * 100_000 + index as u64);
    let base = [1_100_000, 2_250_000, 4_500_000, 9_000_000][tier as usize];
    (id, base * 3 / 4 + id % (base / 2))
}

const fn line(title: usize, tier: u8) -> u64 {
    spread((title as u64) << 8 | tier as u64)
}

/// A recorded trace: `*.oracleGeneral.bin` (24-byte records, little-endian: u32 time, u64 id, u32 size, i64 next) or `*.trace`
/// (big-endian u32 ids; every object counts as 8 KiB).
pub(crate) fn recorded(path: &Path) -> io::Result<Trace> {
    let bytes = std::fs::read(path)?;
    let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let requests = if path.extension().is_some_and(|end| end == "bin") {
        let (records, _) = bytes.as_chunks::<24>();
        records.iter().map(|record| plain(number(&record[4..12]), number(&record[12..16]).max(1))).collect()
    } else {
        let (ids, _) = bytes.as_chunks::<4>();
        ids.iter().map(|id| plain(u64::from(u32::from_be_bytes(*id)), 8192)).collect()
    };
    Ok(Trace { name, requests, recorded: true })
}

fn plain(id: u64, size: u64) -> Request {
    Request { id: spread(id), size, traits: Traits::plain(), next: None }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// One number for another, without collisions, so that ids look like hashes.
const fn spread(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

/// Ranks drawn with probability proportional to rank^-skew.
struct Ranks {
    cumulative: Vec<f64>,
}

impl Ranks {
    fn new(count: usize, skew: f64) -> Self {
        let mut sum = 0.0;
        let cumulative = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-skew);
            sum
        });
        Self { cumulative: cumulative.collect() }
    }

    fn draw(&self, prng: &mut Prng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(1.0);
        let at = prng.below(1 << 53) as f64 / (1_u64 << 53) as f64 * total;
        self.cumulative.partition_point(|sum| *sum <= at).min(self.cumulative.len() - 1)
    }
}

const HOOK_SEGMENTS: u32 = 3;
const TIER_SWITCH_PERMILLE: u64 = 20;
