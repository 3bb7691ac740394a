//! The account adds up after every operation, whatever happens to the disk, the network and the process.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{Sink, at, open, playlist, segment, status};
use proptest::prelude::*;
use rend_core::prng::Prng;
use rend_telemetry::batch::Limits;
use rend_telemetry::memory::MemoryFiles;
use rend_telemetry::{Pump, PumpConfig, Recorder};

#[derive(Clone, Debug)]
enum Op {
    Record {
        segments: u16,
        playlists: u16,
    },
    Pass {
        millis: u64,
    },
    /// Deliver one shipment, answered so.
    Ship(Fate),
    DiskFails {
        calls: u32,
    },
    DiskHolds {
        bytes: Option<u64>,
    },
    Crash {
        chance: u64,
    },
    Close,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Taken,
    /// Taken, but the answer is lost: the worst case for duplicates.
    TakenUnheard,
    Refused(u16),
    Unanswered,
    Late,
}

fn op() -> impl Strategy<Value = Op> {
    let fate = prop_oneof![
        4 => Just(Fate::Taken),
        1 => Just(Fate::TakenUnheard),
        1 => prop::sample::select(vec![400, 401, 413, 422, 500, 503]).prop_map(Fate::Refused),
        1 => Just(Fate::Unanswered),
        1 => Just(Fate::Late),
    ];
    prop_oneof![
        4 => (0..40_u16, 0..20_u16).prop_map(|(segments, playlists)| Op::Record { segments, playlists }),
        6 => prop::sample::select(vec![0_u64, 10, 50, 700, 2000, 61_000]).prop_map(|millis| Op::Pass { millis }),
        6 => fate.prop_map(Op::Ship),
        1 => (1..6_u32).prop_map(|calls| Op::DiskFails { calls }),
        1 => prop::option::of(0..30_000_u64).prop_map(|bytes| Op::DiskHolds { bytes }),
        1 => any::<u64>().prop_map(|chance| Op::Crash { chance }),
        1 => Just(Op::Close),
    ]
}

fn config() -> PumpConfig {
    let limits = Limits { bytes_max: 8000, events_max: 30, ..Limits::default() };
    PumpConfig { queue_events_max: 64, spool_bytes_max: 20_000, limits }
}

struct World {
    files: MemoryFiles,
    boot: u8,
    recorder: Recorder,
    pump: Pump<MemoryFiles>,
    sink: Sink,
    now: u64,
    /// For each run, how many events were recorded in it.
    recorded: Vec<(u8, u64)>,
    late: Option<u64>,
    /// Quarantined in runs that ended.
    quarantined: u64,
}

impl World {
    fn new() -> Self {
        let files = MemoryFiles::new();
        let (recorder, pump) = open(files.clone(), 1, config());
        let sink = Sink::default();
        Self { files, boot: 1, recorder, pump, sink, now: 0, recorded: vec![], late: None, quarantined: 0 }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Record { segments, playlists } => {
                for n in 0..*segments {
                    self.recorder.record(segment(n.into()));
                }
                for n in 0..*playlists {
                    self.recorder.record(playlist(n.into()));
                }
            }
            Op::Pass { millis } => {
                self.now += millis;
                self.pump.step(at(self.now));
            }
            Op::Ship(fate) => self.ship(*fate),
            Op::DiskFails { calls } => self.files.fail_next(*calls),
            Op::DiskHolds { bytes } => self.files.limit(*bytes),
            Op::Crash { chance } => {
                let account = self.pump.account();
                self.recorded.push((self.boot, account.recorded));
                self.quarantined += account.quarantined;
                self.boot += 1;
                self.files = self.files.after_crash(&mut Prng::seeded(*chance));
                (self.recorder, self.pump) = open(self.files.clone(), self.boot, config());
                (self.now, self.late) = (0, None);
            }
            Op::Close => self.pump.close(at(self.now)),
        }
    }

    fn ship(&mut self, fate: Fate) {
        if let Some(ticket) = self.late.take() {
            self.pump.on_answer(ticket, Some(&status(200)), at(self.now));
        }
        let Some(shipment) = self.pump.shipment(at(self.now)) else { return };
        let ticket = shipment.ticket;
        let answer = match fate {
            Fate::Taken => Some(self.sink.take(&shipment.request.body)),
            Fate::TakenUnheard => {
                self.sink.take(&shipment.request.body);
                None
            }
            Fate::Refused(code) => Some(status(code)),
            Fate::Unanswered => None,
            Fate::Late => {
                self.late = Some(ticket);
                None
            }
        };
        self.pump.on_answer(ticket, answer.as_ref(), at(self.now));
        // An answer told twice is an answer told once.
        self.pump.on_answer(ticket, Some(&status(200)), at(self.now));
    }

    fn heal(&mut self) {
        self.files.fail_next(0);
        self.files.limit(None);
        self.now += 120_000;
        self.pump.close(at(self.now));
        self.sink.drain(&mut self.pump, at(self.now));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_somewhere_after_every_operation(ops in prop::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
            let account = world.pump.account();
            prop_assert!(account.adds_up(), "after {:?}: {:?}", op, account);
            // A crash may bring removed files back, which then are above the quota until they are removed again.
            prop_assert!(world.boot > 1 || account.spooled_bytes <= config().spool_bytes_max + 200, "over quota: {:?}", account);
        }
        world.heal();
        let account = world.pump.account();
        prop_assert!(account.adds_up());
        prop_assert_eq!((account.queued, account.spooled), (0, 0));
        // Nothing was invented, and what a run delivered is what it recorded, less what it says it lost.
        world.recorded.push((world.boot, account.recorded));
        for (boot, recorded) in &world.recorded {
            let delivered = world.sink.seqs(*boot);
            prop_assert!(delivered.iter().all(|seq| (1..=*recorded).contains(seq)));
        }
        let last = world.sink.seqs(world.boot).len() as u64;
        let told = world.sink.dropped.get(&[world.boot; 8]).copied().unwrap_or(0);
        prop_assert!(last + told <= account.recorded);
        // Events that a recovered segment lost belong to an earlier run; all else of this run is told.
        if world.boot == 1 {
            prop_assert_eq!(told, account.dropped());
            // A refused event may have been taken before in a batch whose answer was lost: then it is in both places.
            prop_assert!(last + told + account.quarantined >= account.recorded);
        }
    }
}

#[test]
fn without_refusals_delivered_and_dropped_are_all_that_was_recorded() {
    for seed in 0..60 {
        let mut prng = Prng::seeded(seed);
        let mut world = World::new();
        for _ in 0..80 {
            let op = match prng.below(8) {
                0..=2 => Op::Record { segments: prng.below(50) as u16, playlists: prng.below(30) as u16 },
                3 | 4 => Op::Pass { millis: prng.below(1500) },
                5 => Op::Ship(if prng.below(3) == 0 { Fate::TakenUnheard } else { Fate::Taken }),
                6 => Op::DiskHolds { bytes: (prng.below(2) == 0).then(|| prng.below(25_000)) },
                _ => Op::DiskFails { calls: prng.below(3) as u32 },
            };
            world.apply(&op);
        }
        world.heal();
        let account = world.pump.account();
        let delivered: BTreeSet<u64> = world.sink.seqs(1).into_iter().collect();
        let told = world.sink.dropped.get(&[1; 8]).copied().unwrap_or(0);
        assert_eq!(delivered.len() as u64 + told, account.recorded, "seed {seed}: {account:?}");
        assert_eq!(told, account.dropped(), "seed {seed}");
    }
}

#[test]
fn the_queue_keeps_its_last_quarter_for_events_that_bill() {
    let (recorder, pump) = open(MemoryFiles::new(), 1, config());
    let kept = (0..100).filter(|n| recorder.record(playlist(*n))).count();
    assert_eq!(kept, 48);
    let kept = (0..100).filter(|n| recorder.record(segment(*n))).count();
    assert_eq!(kept, 16);
    let account = pump.account();
    assert_eq!((account.dropped_other, account.dropped_billing, account.queued), (52, 84, 64));
    assert!(account.adds_up());
}

#[test]
fn a_spool_at_its_quota_drops_what_bills_last_and_says_so() {
    let (recorder, mut pump) = open(MemoryFiles::new(), 1, config());
    for round in 0..20 {
        for n in 0..10 {
            recorder.record(playlist(n));
        }
        pump.step(at(round * 100));
    }
    let before = pump.account();
    assert!(before.dropped_other > 0 && before.dropped_billing == 0, "{before:?}");
    for n in 0..5 {
        recorder.record(segment(n));
    }
    pump.step(at(2100));
    assert_eq!(pump.account().dropped_billing, 0, "the reserve is for these");
    for round in 0..20 {
        for n in 0..10 {
            recorder.record(segment(n));
        }
        pump.step(at(2200 + round * 100));
    }
    let full = pump.account();
    assert!(full.dropped_billing > 0 && full.spooled_bytes <= 20_000, "{full:?}");
    let mut sink = Sink::default();
    pump.close(at(10_000));
    sink.drain(&mut pump, at(10_000));
    assert_eq!(sink.dropped[&[1; 8]], full.dropped());
    assert_eq!(sink.seqs(1).len() as u64, full.recorded - full.dropped());
}

#[test]
fn a_full_disk_holds_events_in_memory_until_there_is_room() {
    let files = MemoryFiles::new();
    let (recorder, mut pump) = open(files.clone(), 1, PumpConfig::default());
    files.limit(Some(5000));
    for n in 0..2000 {
        recorder.record(segment(n));
    }
    pump.step(at(0));
    assert!(matches!(pump.trouble(), Some(rend_telemetry::files::FilesError::NoSpace)));
    let account = pump.account();
    assert!(account.adds_up() && account.dropped() == 0 && account.queued > 1900, "{account:?}");
    pump.step(at(500));
    assert_eq!(pump.account(), account, "the disk is left alone for a second");
    files.limit(None);
    pump.step(at(1001));
    pump.close(at(1001));
    let mut sink = Sink::default();
    sink.drain(&mut pump, at(1001));
    assert_eq!(sink.seqs(1), (1..=2000).collect::<Vec<_>>());
    assert!(sink.events.values().all(|times| *times == 1));
}

#[test]
fn a_jump_of_the_wall_clock_changes_nothing_but_what_is_written_down() {
    let (recorder, mut pump) = open(MemoryFiles::new(), 1, PumpConfig::default());
    let hour = Duration::from_secs(3600);
    for n in 0..30_u64 {
        let mut served = segment(n);
        served.observed_at = match n % 3 {
            0 => served.observed_at + hour,
            1 => served.observed_at - hour,
            _ => served.observed_at,
        };
        recorder.record(served);
    }
    pump.close(at(0));
    let mut sink = Sink::default();
    sink.drain(&mut pump, at(0));
    assert_eq!(sink.seqs(1), (1..=30).collect::<Vec<_>>());
    assert_eq!(sink.batches[0].batch.events[1].observed_at, segment(1).observed_at - hour);
}
