//! The way of a served byte from an edge's batch to a sum in ClickHouse.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rend_core::analytics::{CacheStatus, NodeAccount, PlaybackBatch, PlaybackEvent};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::http::{Method, Request};
use rend_core::id::{AssetId, OrgId};
use rend_core::prng::Prng;
use rend_core::time::Timestamp;
use rend_shell::client::Client;
use rend_storage::analytics::Analytics;
use rend_telemetry::wire;

use crate::fleet::{Fleet, TELEMETRY_TOKEN, block_on};

#[test]
#[ignore = "needs S3 and ClickHouse: cargo xtask test starts them"]
fn sums_are_exact_to_the_byte_whatever_way_batches_take() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(folder.path());
    let mut prng = Prng::seeded(20_261_121);
    let mut truth = Truth::default();
    let mut batches = Vec::new();
    for run in 0..RUNS {
        let mut kept: Vec<_> = (1..=PLACES).map(|seq| event(run, seq, &mut prng)).collect();
        // Places that the edge lost before they could be kept: a gap shows, and their number is told.
        kept.retain(|_| prng.below(50) > 0);
        let lost = PLACES - kept.len() as u64;
        truth.add(&kept, lost, run);
        // Every event three times, in batches cut elsewhere each time, the losses told as they grew.
        for _ in 0..3 {
            let mut rest = kept.as_slice();
            while !rest.is_empty() {
                let size = usize::try_from(1 + prng.below(400)).unwrap().min(rest.len());
                let (some, others) = rest.split_at(size);
                rest = others;
                let dropped_total = if rest.is_empty() { lost } else { prng.below(lost + 1) };
                batches.push(PlaybackBatch { boot: boot(run), node: node(run), dropped_total, events: some.to_vec() });
            }
        }
    }
    for last in (1..batches.len()).rev() {
        batches.swap(last, usize::try_from(prng.below(last as u64 + 1)).unwrap());
    }
    block_on(async {
        let client = Client::new(Duration::from_secs(30)).unwrap();
        let mut new = 0;
        for (n, batch) in batches.iter().enumerate() {
            let answer = deliver(&fleet, &client, wire::encode(&format!("{n:x}"), batch).unwrap()).await;
            assert_eq!(answer.new + answer.repeated, batch.events.len() as u64);
            assert!(answer.rejected.is_empty());
            new += answer.new;
        }
        assert_eq!(new, truth.requests.values().sum::<u64>(), "each is new once");

        let served = fleet.served();
        for (asset, bytes) in &truth.bytes {
            let report = served.playback(*asset, Timestamp::EPOCH, Timestamp::MAX).await.unwrap();
            assert_eq!((report.bytes, report.requests), (*bytes, truth.requests[asset]));
        }
        let (total, _) = served.overview(org(), Timestamp::EPOCH, Timestamp::MAX, 10).await.unwrap();
        assert_eq!(total.bytes, truth.bytes.values().sum::<u64>());
        assert_eq!(served.accounts().await.unwrap(), truth.accounts);
    });
}

const RUNS: u8 = 3;
const PLACES: u64 = 1500;

/// What was served, as only the test knows it.
#[derive(Default)]
struct Truth {
    bytes: BTreeMap<AssetId, u64>,
    requests: BTreeMap<AssetId, u64>,
    accounts: Vec<NodeAccount>,
}

impl Truth {
    fn add(&mut self, events: &[PlaybackEvent], lost: u64, run: u8) {
        for event in events {
            *self.bytes.entry(event.asset).or_default() += event.bytes_sent;
            *self.requests.entry(event.asset).or_default() += 1;
        }
        self.accounts.push(NodeAccount {
            node: node(run),
            boot: boot(run),
            received: events.len() as u64,
            seq_max: events.iter().map(|event| event.seq).max().unwrap(),
            dropped_total: lost,
        });
    }
}

async fn deliver(fleet: &Fleet, client: &Client, body: Bytes) -> wire::Answer {
    let request = Request {
        method: Method::Post,
        url: format!("{}/internal/telemetry/playback", fleet.private),
        headers: vec![
            ("authorization", format!("Bearer {TELEMETRY_TOKEN}")),
            ("content-type", "application/json".to_owned()),
        ],
        body,
    };
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    wire::Answer::from_json(&answer.body).unwrap()
}

fn org() -> OrgId {
    OrgId::from_bytes([3; 16])
}

fn boot(run: u8) -> [u8; 8] {
    [run; 8]
}

fn node(run: u8) -> rend_core::id::EdgeId {
    format!("edge-{run}").parse().unwrap()
}

fn event(run: u8, seq: u64, prng: &mut Prng) -> PlaybackEvent {
    let object_bytes = 1 + prng.below(900_000);
    let index = u32::try_from(prng.below(200)).unwrap();
    PlaybackEvent {
        boot: boot(run),
        seq,
        node: node(run),
        observed_at: Timestamp::from_millis(1_800_000_000_000 + prng.below(3 * 86_400_000)),
        org: Some(org()),
        asset: AssetId::from_bytes([u8::try_from(1 + prng.below(4)).unwrap(); 16]),
        session: Some([u8::try_from(prng.below(9)).unwrap(); 7]),
        path: ArtifactPath::Segment { rendition: Rendition::P720, index },
        object_bytes: Some(object_bytes),
        bytes_sent: prng.below(object_bytes + 1),
        range_start: 0,
        status: 200,
        cache: CacheStatus::ALL[usize::try_from(prng.below(CacheStatus::ALL.len() as u64)).unwrap()],
        ttfb_us: prng.below(100_000),
        duration_ms: prng.below(5_000),
        aborted: prng.below(20) == 0,
    }
}
