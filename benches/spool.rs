//! What the account of a response costs: `cargo bench --bench spool [-- DIR]`.
//!
//! For ten seconds one thread records 50,000 events a second while another takes them to disk with group syncs, on the disk of
//! `DIR` (a temporary folder without one). Shown are the request thread's cost of a record, the share of a core that the other
//! thread took, what was dropped, and how fast the spool is read back and decoded by the other side.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and waits")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rend_core::http::Response;
use rend_core::time::{Mono, Timestamp};
use rend_telemetry::fs::FsFiles;
use rend_telemetry::{CacheStatus, Destination, Pump, PumpConfig, Served, wire};

fn main() {
    let temp = tempfile::tempdir().unwrap();
    let dir = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    let dir = dir.map_or_else(|| temp.path().to_owned(), |dir| std::path::Path::new(&dir).join("spool-bench"));
    let start = Instant::now();
    let now = || Mono::after_start(start.elapsed());
    let destination = Destination { url: "http://127.0.0.1/".to_owned(), bearer: "none".to_owned() };
    let (recorder, mut pump) = Pump::open(
        PumpConfig::default(),
        FsFiles::open(&dir).unwrap(),
        destination,
        [1; 8],
        "ash-1".parse().unwrap(),
        now(),
    )
    .unwrap();

    let stop = AtomicBool::new(false);
    let mut costs = Vec::with_capacity(EVENTS as usize);
    let (mut busy, mut took) = (Duration::ZERO, Duration::ZERO);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                pump.step(now());
                busy += began.elapsed();
                thread::sleep(Duration::from_millis(5));
            }
        });
        let began = Instant::now();
        for n in 0..EVENTS {
            while began.elapsed() < Duration::from_micros(n * 1_000_000 / EVENTS_A_SECOND) {
                std::hint::spin_loop();
            }
            let served = served(n);
            let before = Instant::now();
            recorder.record(served);
            costs.push(before.elapsed());
        }
        took = began.elapsed();
        stop.store(true, Ordering::Relaxed);
    });
    pump.close(now());
    costs.sort_unstable();
    let share = |of_thousand: usize| costs[(costs.len() - 1) * of_thousand / 1000];
    println!("record      p50 {:?}, p99 {:?}, p99.9 {:?}", share(500), share(990), share(999));
    println!(
        "to disk     {EVENTS} events in {took:?}, {:.0} % of a core",
        100.0 * busy.as_secs_f64() / took.as_secs_f64()
    );
    println!("account     {:?}", pump.account());

    let (mut events, mut decoding, began) = (0, Duration::ZERO, Instant::now());
    while let Some(shipment) = pump.shipment(now()) {
        let before = Instant::now();
        events += wire::decode(&shipment.request.body).unwrap().batch.events.len();
        decoding += before.elapsed();
        pump.on_answer(shipment.ticket, Some(&Response { status: 200, body: Bytes::new() }), now());
        pump.step(now());
    }
    let rate = |took: Duration| events as f64 / took.as_secs_f64();
    println!("read back   {:.0} events/s; decode {:.0} events/s", rate(began.elapsed() - decoding), rate(decoding));
    assert!(pump.account().adds_up() && pump.account().spooled == 0);
}

fn served(n: u64) -> Served {
    Served {
        observed_at: Timestamp::from_millis(1_800_000_000_000 + n),
        org: Some("018f0000-0000-7000-8000-0000000000aa".parse().unwrap()),
        asset: "018f0000-0000-7000-8000-000000000001".parse().unwrap(),
        session: Some([1; 7]),
        path: format!("hls/720p/segment_{:05}.m4s", n % 1000).parse().unwrap(),
        object_bytes: Some(400_000),
        bytes_sent: 400_000,
        range_start: 0,
        status: 200,
        cache: CacheStatus::Hit,
        ttfb_us: 900,
        duration_ms: 40,
        aborted: false,
    }
}

const EVENTS: u64 = 500_000;
const EVENTS_A_SECOND: u64 = 50_000;
