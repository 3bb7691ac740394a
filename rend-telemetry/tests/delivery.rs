//! What arrives, however often and in whatever pieces it is delivered.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeSet;

use common::{SECRET, Sink, URL, at, open, playlist, segment, status};
use futures::executor::block_on;
use proptest::prelude::*;
use rend_core::http::Response;
use rend_core::prng::Prng;
use rend_core::time::Timestamp;
use rend_storage::analytics::Analytics;
use rend_storage::memory::Memory;
use rend_telemetry::files::SegmentFiles;
use rend_telemetry::memory::MemoryFiles;
use rend_telemetry::wire::{self, Answer, Rejected};
use rend_telemetry::{PlaybackBatch, Pump, PumpConfig};

fn recorded(n: u64) -> (MemoryFiles, Pump<MemoryFiles>) {
    let files = MemoryFiles::new();
    let (recorder, mut pump) = open(files.clone(), 1, PumpConfig::default());
    for n in 0..n {
        recorder.record(segment(n));
    }
    pump.close(at(0));
    (files, pump)
}

#[test]
fn one_poison_event_among_a_thousand_is_quarantined_and_the_others_arrive() {
    let (files, mut pump) = recorded(1000);
    let mut sink = Sink::default();
    while let Some(shipment) = pump.shipment(at(0)) {
        let body = &shipment.request.body;
        let poisoned = wire::decode(body).unwrap().batch.events.iter().any(|event| event.seq == 617);
        let answer = if poisoned { status(422) } else { sink.take(body) };
        pump.on_answer(shipment.ticket, Some(&answer), at(0));
    }
    pump.step(at(0));
    let account = pump.account();
    assert_eq!((account.acked, account.quarantined, account.spooled), (999, 1, 0));
    assert_eq!(sink.seqs(1), (1..=1000).filter(|seq| *seq != 617).collect::<Vec<_>>());
    assert_eq!(quarantined(&files), 1);
    // It is kept over the next start, and not delivered by it.
    let (_, mut pump) = open(files.clone(), 2, PumpConfig::default());
    pump.step(at(0));
    assert!(pump.shipment(at(0)).is_none());
    assert_eq!(quarantined(&files), 1);
}

#[test]
fn an_event_that_the_answer_rejects_by_index_is_quarantined() {
    let (files, mut pump) = recorded(10);
    let shipment = pump.shipment(at(0)).unwrap();
    let rejected = [3, 7, 7, 99].map(|index| Rejected { index, reason: "path: an artifact's path".to_owned() });
    let answer = Answer { new: 8, repeated: 0, rejected: rejected.to_vec() };
    pump.on_answer(shipment.ticket, Some(&Response { status: 200, body: answer.to_json() }), at(0));
    pump.step(at(0));
    let account = pump.account();
    assert_eq!((account.acked, account.quarantined, account.spooled), (8, 2, 0));
    assert!(account.adds_up());
    assert_eq!(quarantined(&files), 2);
}

fn quarantined(files: &MemoryFiles) -> usize {
    let bad = files.list().unwrap().into_iter().filter(|(name, _)| name.ends_with(".bad"));
    bad.map(|(name, _)| {
        let bytes = files.read(&name, 1 << 20).unwrap().unwrap();
        let frames = rend_telemetry::spool::segment::read(&bytes).frames;
        frames.iter().filter(|frame| matches!(frame, rend_telemetry::spool::segment::Frame::Event(_))).count()
    })
    .sum()
}

#[test]
fn a_backlog_is_delivered_oldest_and_newest_in_turn() {
    let files = MemoryFiles::new();
    let (recorder, mut pump) = open(files, 1, PumpConfig::default());
    for n in 0..6 {
        recorder.record(segment(n));
        pump.close(at(n));
    }
    let mut sink = Sink::default();
    sink.drain(&mut pump, at(10));
    let order: Vec<u64> = sink.batches.iter().map(|decoded| decoded.batch.events[0].seq).collect();
    assert_eq!(order, [1, 6, 2, 5, 3, 4]);
}

#[test]
fn a_batch_that_always_fails_does_not_hold_up_the_others() {
    let files = MemoryFiles::new();
    let (recorder, mut pump) = open(files, 1, PumpConfig::default());
    for n in 0..5 {
        recorder.record(segment(n));
        pump.close(at(n));
    }
    let mut sink = Sink::default();
    let mut now = 10;
    for _ in 0..60 {
        now += 61_000;
        pump.step(at(now));
        while let Some(shipment) = pump.shipment(at(now)) {
            let body = &shipment.request.body;
            let cursed = wire::decode(body).unwrap().batch.events[0].seq == 1;
            let answer = if cursed { status(500) } else { sink.take(body) };
            pump.on_answer(shipment.ticket, Some(&answer), at(now));
        }
    }
    assert_eq!(sink.seqs(1), [2, 3, 4, 5]);
    assert_eq!(pump.account().spooled, 1);
}

#[test]
fn the_request_is_a_post_with_the_bearer_and_the_body_is_a_batch() {
    let (_, mut pump) = recorded(3);
    let shipment = pump.shipment(at(0)).unwrap();
    assert_eq!((shipment.events, shipment.request.url.as_str()), (3, URL));
    assert!(shipment.request.headers.contains(&("authorization", format!("Bearer {SECRET}"))));
    let decoded = wire::decode(&shipment.request.body).unwrap();
    assert_eq!(decoded.id, "0101010101010101:1");
    assert_eq!(wire::encode(&decoded.id, &decoded.batch).unwrap(), shipment.request.body);
    assert!(pump.shipment(at(0)).is_none(), "one request at a time");
}

#[test]
fn a_retry_sends_the_same_bytes() {
    let (_, mut pump) = recorded(100);
    let first = pump.shipment(at(0)).unwrap();
    pump.on_answer(first.ticket, None, at(0));
    pump.step(at(5000));
    let again = pump.shipment(at(5000)).unwrap();
    assert!(again.request.body == first.request.body && again.ticket != first.ticket);
}

#[test]
fn neither_token_nor_address_nor_url_can_be_found_on_disk_or_in_what_is_printed() {
    let (files, mut pump) = recorded(50);
    let shipment = pump.shipment(at(0)).unwrap();
    pump.on_answer(shipment.ticket, Some(&status(400)), at(0));
    let (recorder, other) = open(files.clone(), 2, PumpConfig::default());
    recorder.record(playlist(1));
    let mut seen = format!("{pump:?} {recorder:?} {other:?} {:?}", segment(1)).into_bytes();
    for (name, _) in files.list().unwrap() {
        seen.extend(files.read(&name, 1 << 20).unwrap().unwrap());
    }
    seen.extend_from_slice(&shipment.request.body);
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("hls/720p/segment_00001.m4s"), "the search would find what is there");
    for secret in [SECRET, URL, "198.51.100.7", "http:", "https:", "Bearer", "?token", "cookie", "rend_pb"] {
        assert!(!seen.contains(secret), "{secret}");
    }
}

#[test]
fn repeated_shuffled_and_rebatched_delivery_reports_the_same() {
    let (_, mut pump) = recorded(500);
    let mut sink = Sink::default();
    sink.drain(&mut pump, at(0));
    let whole = &sink.batches[0].batch;
    let once = report(std::slice::from_ref(whole));
    assert_eq!(once.0, 500);
    for seed in 0..20 {
        let mut prng = Prng::seeded(seed);
        let mut events: Vec<_> = (0..3).flat_map(|_| whole.events.clone()).collect();
        for n in (1..events.len()).rev() {
            events.swap(n, usize::try_from(prng.below(n as u64 + 1)).unwrap());
        }
        let size = 1 + usize::try_from(prng.below(200)).unwrap();
        let batches: Vec<PlaybackBatch> =
            events.chunks(size).map(|chunk| PlaybackBatch { events: chunk.to_vec(), ..whole.clone() }).collect();
        assert_eq!(report(&batches), once, "seed {seed}");
    }
}

/// Requests, bytes and sessions that the memory store reports after these batches, and how often it said "new".
fn report(batches: &[PlaybackBatch]) -> (u64, u64, u64, u64) {
    let store = Memory::default();
    let mut new = 0;
    for batch in batches {
        new += block_on(store.record(batch, Timestamp::from_secs(1_800_000_100))).unwrap().new;
    }
    let asset = segment(0).asset;
    let report = block_on(store.playback(asset, Timestamp::EPOCH, Timestamp::MAX)).unwrap();
    (new, report.requests, report.bytes, report.sessions)
}

#[test]
fn ids_of_two_runs_never_meet_though_their_clocks_agree() {
    let mut ids = BTreeSet::new();
    for boot in 1..=2 {
        let (recorder, mut pump) = open(MemoryFiles::new(), boot, PumpConfig::default());
        for _ in 0..100 {
            recorder.record(segment(0));
        }
        pump.close(at(0));
        let mut sink = Sink::default();
        sink.drain(&mut pump, at(0));
        ids.extend(sink.batches.iter().flat_map(|decoded| &decoded.batch.events).map(|event| event.id()));
    }
    assert_eq!(ids.len(), 200);
}

proptest! {
    #[test]
    fn the_account_never_depends_on_how_a_batch_is_split(refuse_above in 1_usize..60, n in 1_u64..300) {
        let (_, mut pump) = recorded(n);
        let mut sink = Sink::default();
        while let Some(shipment) = pump.shipment(at(0)) {
            let answer =
                if shipment.events > refuse_above { status(413) } else { sink.take(&shipment.request.body) };
            pump.on_answer(shipment.ticket, Some(&answer), at(0));
        }
        pump.step(at(0));
        prop_assert_eq!(pump.account().acked, n);
        prop_assert!(sink.events.values().all(|times| *times == 1));
    }
}
