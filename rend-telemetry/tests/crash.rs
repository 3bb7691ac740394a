//! What a crash may take, and what it may not.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[expect(dead_code, reason = "this file uses a part of what the tests share")]
mod common;

use std::collections::BTreeSet;

use common::{Sink, at, open, segment};
use rend_core::prng::Prng;
use rend_telemetry::PumpConfig;
use rend_telemetry::files::SegmentFiles;
use rend_telemetry::memory::MemoryFiles;

#[test]
fn a_segment_cut_at_any_byte_delivers_every_whole_event_and_takes_new_ones() {
    let files = MemoryFiles::new();
    let (recorder, mut pump) = open(files.clone(), 1, PumpConfig::default());
    for n in 0..3 {
        recorder.record(segment(n));
    }
    pump.step(at(0));
    let (name, bytes) = files.list().unwrap().into_iter().next().unwrap();
    let whole = files.read(&name, 1 << 20).unwrap().unwrap();
    assert_eq!(whole.len() as u64, bytes);
    let mut seen = BTreeSet::new();
    for cut in 0..=whole.len() {
        let disk = files.copy();
        disk.overwrite(&name, &whole[..cut]);
        let (recorder, mut pump) = open(disk, 2, PumpConfig::default());
        recorder.record(segment(9));
        pump.close(at(0));
        let mut sink = Sink::default();
        sink.drain(&mut pump, at(0));
        let old = sink.seqs(1).len();
        assert_eq!(sink.seqs(1), (1..=old as u64).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!(sink.seqs(2), [1], "cut at {cut}");
        assert_eq!(pump.account().recovered, old as u64);
        seen.insert(old);
    }
    assert_eq!(seen, BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn a_ledger_cut_at_any_byte_never_loses_an_event_nor_stops_the_start() {
    let files = MemoryFiles::new();
    let (recorder, mut pump) = open(files.clone(), 1, PumpConfig::default());
    let mut sink = Sink::default();
    for n in 0..4 {
        recorder.record(segment(n));
        pump.close(at(n));
        if n < 3 {
            let shipment = pump.shipment(at(n)).unwrap();
            let answer = sink.take(&shipment.request.body);
            pump.on_answer(shipment.ticket, Some(&answer), at(n));
            pump.step(at(n));
        }
    }
    let ledgers: Vec<String> =
        files.list().unwrap().into_iter().map(|(n, _)| n).filter(|n| n.ends_with(".ledger")).collect();
    assert_eq!(ledgers.len(), 1);
    let whole = files.read(&ledgers[0], 1 << 20).unwrap().unwrap();
    for cut in 0..=whole.len() {
        let disk = files.copy();
        disk.overwrite(&ledgers[0], &whole[..cut]);
        let (_, mut pump) = open(disk, 2, PumpConfig::default());
        let mut after = Sink::default();
        after.drain(&mut pump, at(0));
        assert_eq!(after.seqs(1), [4], "cut at {cut}");
    }
}

#[test]
fn a_crash_between_the_ledger_and_the_unlink_redelivers_nothing() {
    let files = MemoryFiles::new();
    let (recorder, mut pump) = open(files.clone(), 1, PumpConfig::default());
    recorder.record(segment(1));
    pump.close(at(0));
    let (name, _) = files.list().unwrap().into_iter().next().unwrap();
    let bytes = files.read(&name, 1 << 20).unwrap().unwrap();
    let mut sink = Sink::default();
    sink.drain(&mut pump, at(0));
    assert!(files.read(&name, 10).unwrap().is_none(), "it was removed");
    files.overwrite(&name, &bytes);
    let (_, mut pump) = open(files.clone(), 2, PumpConfig::default());
    assert_eq!(pump.account().recovered, 0);
    pump.step(at(0));
    assert!(pump.shipment(at(0)).is_none());
    assert!(files.read(&name, 10).unwrap().is_none(), "it is removed again");
}

#[test]
fn what_was_synced_survives_any_crash_of_the_disk() {
    for seed in 0..300 {
        let mut prng = Prng::seeded(seed);
        let mut files = MemoryFiles::new();
        let mut sink = Sink::default();
        let mut synced = Vec::new();
        let mut recorded = Vec::new();
        for boot in 1..=4 {
            let (recorder, mut pump) = open(files.clone(), boot, PumpConfig::default());
            for round in 0..10 {
                for n in 0..prng.below(20) {
                    recorder.record(segment(n));
                }
                let now = at(round * 300);
                pump.step(now);
                if prng.below(2) == 0 {
                    // The sync interval has passed, so all that was recorded before is synced now.
                    pump.step(at(round * 300 + 60));
                    synced.retain(|(of, _)| *of != boot);
                    synced.push((boot, pump.account().recorded));
                }
                if prng.below(3) == 0
                    && let Some(shipment) = pump.shipment(now)
                {
                    let answer = sink.take(&shipment.request.body);
                    if prng.below(2) == 0 {
                        pump.on_answer(shipment.ticket, Some(&answer), now);
                    }
                }
                assert!(pump.account().adds_up(), "seed {seed}");
            }
            recorded.push((boot, pump.account().recorded));
            files = files.after_crash(&mut prng);
        }
        let (_, mut pump) = open(files, 9, PumpConfig::default());
        sink.drain(&mut pump, at(0));
        for (boot, upto) in &synced {
            let delivered: BTreeSet<u64> = sink.seqs(*boot).into_iter().collect();
            assert!((1..=*upto).all(|seq| delivered.contains(&seq)), "seed {seed} boot {boot}");
        }
        for (boot, upto) in &recorded {
            assert!(sink.seqs(*boot).iter().all(|seq| seq <= upto), "seed {seed} boot {boot}: nothing is invented");
        }
    }
}

#[test]
fn losses_are_told_even_by_the_run_after_the_crash() {
    let files = MemoryFiles::new();
    let config = PumpConfig { queue_events_max: 4, ..PumpConfig::default() };
    let (recorder, mut pump) = open(files.clone(), 1, config);
    for n in 0..10 {
        recorder.record(segment(n));
    }
    pump.close(at(0));
    assert_eq!(pump.account().dropped(), 6);
    drop((recorder, pump));
    let (_, mut pump) = open(files, 2, config);
    let mut sink = Sink::default();
    sink.drain(&mut pump, at(0));
    assert_eq!(sink.seqs(1).len(), 4);
    assert_eq!(sink.dropped[&[1; 8]], 6);
}

#[test]
fn losses_without_one_kept_event_are_told_alone_and_once() {
    let files = MemoryFiles::new();
    let config = PumpConfig { spool_bytes_max: 0, ..PumpConfig::default() };
    let (recorder, mut pump) = open(files.clone(), 1, config);
    for n in 0..7 {
        recorder.record(segment(n));
    }
    pump.close(at(0));
    let mut sink = Sink::default();
    sink.drain(&mut pump, at(0));
    assert_eq!((sink.dropped[&[1; 8]], sink.batches.len()), (7, 1));
    let (_, mut pump) = open(files, 2, config);
    sink.drain(&mut pump, at(0));
    assert_eq!(sink.batches.len(), 1, "the next run knows that it was told");
}

#[test]
fn foreign_and_missing_files_stop_nothing() {
    let mut files = MemoryFiles::new();
    files.append("readme.txt", b"not ours").unwrap();
    files.append("0000000000000005-0101010101010101.seg", &[0; 4096]).unwrap();
    files.append("0000000000000006-0101010101010101.seg", b"").unwrap();
    let (recorder, mut pump) = open(files.clone(), 2, PumpConfig::default());
    recorder.record(segment(1));
    pump.close(at(0));
    let sealed = files.list().unwrap().into_iter().find(|(n, _)| n.contains("0202020202020202.seg")).unwrap();
    files.remove(&sealed.0).unwrap();
    recorder.record(segment(2));
    pump.close(at(0));
    let mut sink = Sink::default();
    sink.drain(&mut pump, at(0));
    assert_eq!(sink.seqs(2), [2]);
    assert_eq!(sink.dropped[&[2; 8]], 1, "the event whose file was taken away is counted");
    assert!(pump.account().adds_up());
    assert!(files.read("readme.txt", 10).unwrap().is_some());
}

#[cfg(feature = "fs")]
mod process {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use rend_core::time::{Mono, Timestamp};
    use rend_telemetry::fs::FsFiles;

    use super::*;

    const DIR: &str = "REND_TELEMETRY_TEST_DIR";

    /// Not a test of its own: the process that is killed. It says which place is synced, line by line.
    #[test]
    #[ignore = "needs a parent that kills it: a_killed_process_loses_nothing_that_was_synced"]
    fn the_process_that_is_killed() {
        #[expect(clippy::disallowed_methods, reason = "the parent hands the directory over")]
        let Ok(dir) = std::env::var(DIR) else { return };
        let (recorder, mut pump) = open(FsFiles::open(dir).unwrap(), 1, PumpConfig::default());
        let mut out = std::io::stdout();
        for round in 0_u64.. {
            let mut served = segment(round);
            served.observed_at = Timestamp::from_millis(round);
            for _ in 0..20 {
                recorder.record(served.clone());
            }
            let now = Mono::after_start(std::time::Duration::from_millis(round * 60));
            pump.step(now);
            // What was appended one sync interval ago is synced by this call.
            pump.step(now + std::time::Duration::from_millis(55));
            writeln!(out, "synced {} recorded {}", pump.account().recorded, pump.account().recorded).unwrap();
        }
    }

    #[test]
    fn a_killed_process_loses_nothing_that_was_synced() {
        let mut prng = Prng::seeded(11);
        for _ in 0..8 {
            let dir = tempfile::tempdir().unwrap();
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "process::the_process_that_is_killed", "--ignored", "--nocapture"])
                .env(DIR, dir.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let wanted = 5 + prng.below(120);
            let mut synced = 0;
            for line in lines.map_while(Result::ok).filter(|line| line.starts_with("synced ")).take(wanted as usize) {
                synced = line.split(' ').nth(1).unwrap().parse().unwrap();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let (_, mut pump) = open(FsFiles::open(dir.path()).unwrap(), 2, PumpConfig::default());
            let mut sink = Sink::default();
            sink.drain(&mut pump, at(0));
            let delivered = sink.seqs(1);
            assert!(synced > 0 && delivered.len() as u64 >= synced, "{} delivered, {synced} synced", delivered.len());
            // One thread recorded, so what arrived is a run without a gap: the reported gap is the true one, none.
            assert_eq!(delivered, (1..=delivered.len() as u64).collect::<Vec<_>>());
            assert!(sink.events.values().all(|times| *times == 1));
            assert_eq!(sink.dropped[&[1; 8]], 0);
            let left = FsFiles::open(dir.path()).unwrap().list().unwrap();
            assert!(left.iter().all(|(name, _)| name.ends_with(".ledger")), "{left:?}");
        }
    }
}
