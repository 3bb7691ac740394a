//! What each policy decides on two streams, to the last miss. A figure that changed means that the policy did: change it on purpose,
//! beside the figures of `cargo bench --bench eviction`.
//!
//! The streams come from a generator of integers alone, so the same numbers hold on every machine and in every build.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use rend_cache::Class;
use rend_cache::policy::{Event, Id, Lru, Policy, S3Fifo, Traits, ValueWheel, Verdict, WheelConfig};

/// Requests of each stream.
const REQUESTS: usize = 100_000;

#[derive(Clone, Copy)]
struct Request {
    id: Id,
    size: u64,
    traits: Traits,
}

fn policies(limit: u64) -> [Box<dyn Policy>; 4] {
    let admitting = WheelConfig { admission: true, ..WheelConfig::default() };
    [
        Box::new(ValueWheel::new(limit)),
        Box::new(ValueWheel::with_config(limit, admitting)),
        Box::new(S3Fifo::new(limit)),
        Box::new(Lru::new(limit)),
    ]
}

/// Expects name, digest, misses, MiB missed, and misses of what starts playback, with a cache of some percent of all bytes.
#[track_caller]
fn check(stream: &[Request], percent: u64, expect: &[(&str, u64, u64, u64, u64)]) {
    let sizes: BTreeMap<Id, u64> = stream.iter().map(|request| (request.id, request.size)).collect();
    let limit = sizes.values().sum::<u64>() / 100 * percent;
    let is: Vec<_> = policies(limit)
        .into_iter()
        .map(|mut policy| {
            let (mut misses, mut missed, mut starts) = (0, 0, 0);
            for request in stream {
                if !ask(&mut policy, request) {
                    misses += 1;
                    missed += request.size;
                    starts += u64::from(request.traits.class != Class::Tail);
                }
            }
            assert!(policy.used() <= limit);
            (policy.name(), policy.digest(), misses, missed >> 20, starts)
        })
        .collect();
    assert_eq!(is, expect);
}

/// Says whether it was there, and stores it if it was not and may be.
fn ask(policy: &mut impl Policy, request: &Request) -> bool {
    let Request { id, size, traits } = *request;
    if policy.apply(Event::Hit { id }).verdict == Verdict::Granted {
        return true;
    }
    if policy.apply(Event::Reserve { id, size, traits }).verdict == Verdict::Granted {
        policy.apply(Event::Commit { id, size });
    }
    false
}

#[test]
fn on_sessions_of_viewers_each_policy_decides_as_written_down() {
    check(
        &hls(7),
        2,
        &[
            ("wheel", 4_303_258_941_594_717_239, 77_078, 222_631, 9_012),
            ("wheel", 12_962_753_334_107_457_804, 76_367, 220_772, 8_620),
            ("s3-fifo", 13_434_181_153_331_782_013, 81_049, 217_330, 13_834),
            ("lru", 17_986_584_426_791_940_460, 90_712, 243_489, 16_984),
        ],
    );
}

#[test]
fn on_independent_draws_each_policy_decides_as_written_down() {
    check(
        &zipf(7),
        5,
        &[
            ("wheel", 12_748_021_063_379_766_307, 41_158, 11_200, 0),
            ("wheel", 3_689_922_264_459_451_104, 39_861, 11_078, 0),
            ("s3-fifo", 3_709_654_933_607_762_864, 48_578, 10_875, 0),
            ("lru", 11_058_218_327_012_282_203, 58_187, 12_737, 0),
        ],
    );
}

/// P10, the half that needs no knowledge of the future. The other half is asserted by the bench.
#[test]
fn the_wheel_misses_no_more_than_first_in_first_out() {
    for (stream, percent) in [(hls(9), 1), (hls(9), 5), (zipf(9), 1), (zipf(9), 10)] {
        let sizes: BTreeMap<Id, u64> = stream.iter().map(|request| (request.id, request.size)).collect();
        let limit = sizes.values().sum::<u64>() / 100 * percent;
        let (mut queue, mut stored, mut used, mut fifo) = (VecDeque::new(), BTreeSet::new(), 0, 0_usize);
        for Request { id, size, .. } in stream.iter().filter(|request| request.size <= limit) {
            if stored.contains(id) {
                continue;
            }
            fifo += 1;
            while used + size > limit {
                let Some((oldest, size)) = queue.pop_front() else { break };
                stored.remove(&oldest);
                used -= size;
            }
            queue.push_back((*id, *size));
            stored.insert(*id);
            used += size;
        }
        let mut wheel = ValueWheel::new(limit);
        let misses = stream.iter().filter(|request| !ask(&mut wheel, request)).count();
        assert!(misses * 100 <= fifo * 105, "{misses} against {fifo} at {percent} %");
    }
}

#[test]
fn a_policy_that_was_written_down_and_read_back_goes_on_as_if_nothing_had_happened() {
    let stream = hls(8);
    let (before, after) = stream.split_at(REQUESTS / 2);
    let limit = 2 << 30;
    for (mut one, mut other) in policies(limit).into_iter().zip(policies(limit)) {
        before.iter().for_each(|request| _ = ask(&mut one, request));
        let snapshot = one.snapshot().expect("each of ours can be written down");
        assert_eq!(other.restore(&snapshot), Ok(()));
        assert_eq!(other.snapshot().as_ref(), Some(&snapshot), "{}", one.name());
        for request in after {
            assert_eq!(ask(&mut one, request), ask(&mut other, request));
            assert_eq!((one.digest(), one.used(), one.len()), (other.digest(), other.used(), other.len()));
        }
        let victims = |policy: &mut Box<dyn Policy>| policy.apply(Event::Shrink { bytes: u64::MAX }).victims;
        let next = victims(&mut one);
        assert!(next.len() > 500 && next == victims(&mut other), "{}: {} victims", one.name(), next.len());
    }
}

/// Viewers who come one after the other, begin at the first segment of a title, and mostly leave after some.
fn hls(seed: u64) -> Vec<Request> {
    let mut chance = Chance(seed);
    let ranks = ranks(800);
    let mut waiting: BinaryHeap<Reverse<(u64, u64, u32)>> = BinaryHeap::new();
    let (mut requests, mut arrival) = (Vec::with_capacity(REQUESTS), 0_u64);
    while requests.len() < REQUESTS {
        match waiting.peek() {
            Some(Reverse((due, _, _))) if *due <= arrival => {
                let Some(Reverse((due, line, index))) = waiting.pop() else { continue };
                requests.push(segment(line, index));
                let leaves = if index < 3 { 120 } else { 35 };
                if index < 40 + (line % 200) as u32 && chance.below(1000) >= leaves {
                    waiting.push(Reverse((due + 4000, line, index + 1)));
                }
            }
            _ => {
                let at = chance.below(ranks[ranks.len() - 1]);
                let title = ranks.partition_point(|sum| *sum <= at) as u64;
                let line = title * 4 + [0, 1, 1, 2, 2, 2, 3][chance.below(7) as usize];
                requests.push(control(line / 4, 1_000_000, 900));
                requests.push(control(line, 2_000_000, 6000));
                requests.push(control(line, 3_000_000, 1200));
                waiting.push(Reverse((arrival, line, 0)));
                arrival += 400 + chance.below(400);
            }
        }
    }
    requests.truncate(REQUESTS);
    requests
}

fn segment(line: u64, index: u32) -> Request {
    let id = Id((line * 1000 + u64::from(index)).wrapping_mul(SPREAD));
    let size = [1_100_000, 2_250_000, 4_500_000, 9_000_000][(line % 4) as usize] * 3 / 4 + id.0 % 500_000;
    let class = if index < 2 { Class::Startup } else { Class::Tail };
    Request { id, size, traits: Traits { class, line, segment: Some(index) } }
}

fn control(line: u64, kind: u64, size: u64) -> Request {
    let id = Id((kind + line).wrapping_mul(SPREAD) | 1 << 63);
    Request { id, size, traits: Traits { class: Class::Control, line, segment: None } }
}

/// Independent draws of objects from 4 KiB to 1 MiB.
fn zipf(seed: u64) -> Vec<Request> {
    let mut chance = Chance(seed);
    let ranks = ranks(20_000);
    let sizes: Vec<u64> = ranks.iter().map(|_| 4096 << chance.below(9)).collect();
    let draw = |chance: &mut Chance| {
        let at = chance.below(ranks[ranks.len() - 1]);
        let rank = ranks.partition_point(|sum| *sum <= at);
        Request { id: Id((rank as u64).wrapping_mul(SPREAD)), size: sizes[rank], traits: Traits::plain() }
    };
    (0..REQUESTS).map(|_| draw(&mut chance)).collect()
}

/// Sums of weights that fall with the rank to the power of 7/8.
fn ranks(count: u128) -> Vec<u64> {
    let mut sum = 0;
    let weights = (1..=count).map(|rank| {
        // The eighth root of rank^7, times 8.
        let root = (rank.pow(7) << 24).isqrt().isqrt().isqrt();
        sum += u64::try_from((1 << 40) / root).unwrap_or(1);
        sum
    });
    weights.collect()
}

/// A linear congruence: plain, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0 >> 1) * u128::from(bound)) >> 63) as u64
    }
}

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
