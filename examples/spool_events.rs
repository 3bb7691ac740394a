//! Records what was served, crashes, starts again and delivers: nothing that reached the disk is lost.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use rend_core::http::Response;
use rend_core::time::{Mono, Timestamp};
use rend_telemetry::fs::FsFiles;
use rend_telemetry::{CacheStatus, Destination, Pump, PumpConfig, Recorder, Served, wire};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let now = Mono::START;

    // The first run records three responses, syncs them, and is gone before it could deliver one.
    let (recorder, mut pump) = open(dir.path(), [1; 8])?;
    for index in 0..3 {
        recorder.record(served(index)?);
    }
    pump.close(now);
    println!("first run   {:?}", pump.account());
    drop((recorder, pump));

    // The second finds them. A real service sends the request over HTTP; here the other side is ten lines away.
    let (recorder, mut pump) = open(dir.path(), [2; 8])?;
    recorder.record(served(3)?);
    pump.close(now);
    while let Some(shipment) = pump.shipment(now) {
        let answer = ingest(&shipment.request.body)?;
        pump.on_answer(shipment.ticket, Some(&answer), now);
    }
    pump.step(now);
    let account = pump.account();
    println!("second run  {account:?}");
    assert_eq!((account.recovered, account.acked, account.spooled), (3, 4, 0));
    assert!(account.adds_up());
    Ok(())
}

/// The other side: reads the batch, keeps the good events, and says what it did with each.
fn ingest(body: &[u8]) -> Result<Response, Failure> {
    let decoded = wire::decode(body)?;
    println!("received    batch {} with {} events", decoded.id, decoded.batch.events.len());
    let new = decoded.batch.events.len() as u64;
    let answer = wire::Answer { new, repeated: 0, rejected: decoded.rejected };
    Ok(Response { status: 200, body: answer.to_json() })
}

fn open(dir: &std::path::Path, boot: [u8; 8]) -> Result<(Recorder, Pump<FsFiles>), Failure> {
    let url = "http://127.0.0.1:4001/internal/telemetry/playback".to_owned();
    let destination = Destination { url, bearer: "a token that both sides know".to_owned() };
    Ok(Pump::open(PumpConfig::default(), FsFiles::open(dir)?, destination, boot, "ash-1".parse()?, Mono::START)?)
}

fn served(index: u32) -> Result<Served, Failure> {
    Ok(Served {
        observed_at: Timestamp::from_secs(1_800_000_000),
        org: None,
        asset: "018f0000-0000-7000-8000-000000000001".parse()?,
        session: Some([7; 7]),
        path: format!("hls/720p/segment_{index:05}.m4s").parse()?,
        object_bytes: Some(400_000),
        bytes_sent: 400_000,
        range_start: 0,
        status: 200,
        cache: CacheStatus::Hit,
        ttfb_us: 900,
        duration_ms: 40,
        aborted: false,
    })
}
