//! What several tests share: events, an edge on a made-up clock, and the other side.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rend_core::http::Response;
use rend_core::time::{Mono, Timestamp};
use rend_telemetry::files::SegmentFiles;
use rend_telemetry::wire::{self, Answer, Decoded};
use rend_telemetry::{CacheStatus, Destination, Pump, PumpConfig, Recorder, Served};

pub(crate) const SECRET: &str = "secret-bearer-0123456789";
pub(crate) const URL: &str = "http://198.51.100.7:4001/internal/telemetry/playback";

pub(crate) fn at(millis: u64) -> Mono {
    Mono::after_start(Duration::from_millis(millis))
}

/// A response that bills.
pub(crate) fn segment(n: u64) -> Served {
    Served {
        observed_at: Timestamp::from_millis(1_800_000_000_000 + n),
        org: Some("018f0000-0000-7000-8000-0000000000aa".parse().unwrap()),
        asset: "018f0000-0000-7000-8000-000000000001".parse().unwrap(),
        session: Some([1, 2, 3, 4, 5, 6, 7]),
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

/// A response that does not bill.
pub(crate) fn playlist(n: u64) -> Served {
    Served { path: "hls/master.m3u8".parse().unwrap(), ..segment(n) }
}

pub(crate) fn destination() -> Destination {
    Destination { url: URL.to_owned(), bearer: SECRET.to_owned() }
}

pub(crate) fn open<F: SegmentFiles>(files: F, boot: u8, config: PumpConfig) -> (Recorder, Pump<F>) {
    Pump::open(config, files, destination(), [boot; 8], "ash-1".parse().unwrap(), Mono::START).unwrap()
}

/// The other side: what it received, each event once.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    pub(crate) events: BTreeMap<([u8; 8], u64), u64>,
    pub(crate) dropped: BTreeMap<[u8; 8], u64>,
    pub(crate) batches: Vec<Decoded>,
}

impl Sink {
    pub(crate) fn take(&mut self, body: &[u8]) -> Response {
        let decoded = wire::decode(body).unwrap();
        let mut answer = Answer { rejected: decoded.rejected.clone(), ..Answer::default() };
        for event in &decoded.batch.events {
            let times = self.events.entry((event.boot, event.seq)).or_default();
            *times += 1;
            if *times == 1 { answer.new += 1 } else { answer.repeated += 1 }
        }
        let dropped = self.dropped.entry(decoded.batch.boot).or_default();
        *dropped = decoded.batch.dropped_total.max(*dropped);
        self.batches.push(decoded);
        Response { status: 200, body: answer.to_json() }
    }

    /// Delivers everything that is sealed, and answers how many requests that took.
    pub(crate) fn drain<F: SegmentFiles>(&mut self, pump: &mut Pump<F>, mut now: Mono) -> usize {
        let mut requests = 0;
        for _ in 0..200 {
            pump.step(now);
            while let Some(shipment) = pump.shipment(now) {
                requests += 1;
                let answer = self.take(&shipment.request.body);
                pump.on_answer(shipment.ticket, Some(&answer), now);
            }
            pump.step(now);
            if pump.account().spooled == 0 && pump.account().queued == 0 {
                // Once more for losses that are told alone.
                now = now + Duration::from_secs(3);
                while let Some(shipment) = pump.shipment(now) {
                    let answer = self.take(&shipment.request.body);
                    pump.on_answer(shipment.ticket, Some(&answer), now);
                }
                pump.step(now);
                return requests;
            }
            now = now + Duration::from_secs(30);
        }
        panic!("not drained: {:?}", pump.account());
    }

    pub(crate) fn seqs(&self, boot: u8) -> Vec<u64> {
        self.events.keys().filter(|(of, _)| *of == [boot; 8]).map(|(_, seq)| *seq).collect()
    }
}

pub(crate) fn status(status: u16) -> Response {
    Response { status, body: Bytes::new() }
}
