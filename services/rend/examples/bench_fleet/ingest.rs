//! Events through the ingest into ClickHouse, beside an insert of the same rows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use rend_core::analytics::{CacheStatus, PlaybackBatch, PlaybackEvent};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::id::{AssetId, OrgId};
use rend_core::prng::Prng;
use rend_core::time::{Clock, Timestamp};
use rend_shell::SystemClock;
use rend_telemetry::wire;

use crate::Size;
use crate::figures::{Round, Watch, print_rates, print_times};
use crate::stand::{Http, Stand, TELEMETRY_TOKEN, given};

/// Edges that tell at a time, and events of one batch.
const SENDERS: u8 = 4;
const EVENTS: usize = 1000;
/// Different pieces of rows for the bare insert.
const PIECES: usize = 8;

pub(crate) async fn measure(stand: &Stand, size: &Size) {
    let mut senders = join_all((0..SENDERS).map(|_| Http::connect(&stand.api[1]))).await;
    let now = SystemClock::start().wall();
    let batches = AtomicU64::new(0);
    let server = Server::of(stand);
    let (mut rend_rounds, mut bare_rounds, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let watch = Watch::lasting(size.round);
        let workers = senders.iter_mut().zip(0..SENDERS).map(|(http, sender)| {
            let (watch, batches) = (watch.clone(), &batches);
            async move {
                let mut each = Vec::new();
                while watch.is_running() {
                    let number = batches.fetch_add(1, Ordering::Relaxed);
                    let body = wire::encode(&format!("{number:x}"), &batch(sender, number, now)).unwrap();
                    let began = watch.now();
                    let (status, _) = http.ask("POST", "/internal/telemetry/playback", TELEMETRY_TOKEN, &body).await;
                    assert_eq!(status, 200);
                    each.push(watch.now().since(began));
                }
                each
            }
        });
        rend_rounds.push(Round::of(join_all(workers).await, size.round, EVENTS));
        if rows.is_empty() {
            server.run("CREATE TABLE bare_events AS edge_events", None, &[]).await;
            for piece in 0..PIECES {
                let some =
                    format!("SELECT * FROM edge_events LIMIT {EVENTS} OFFSET {} FORMAT RowBinary", piece * EVENTS / 2);
                rows.push(server.run(&some, None, &[]).await);
            }
        }
        let watch = Watch::lasting(size.round);
        let workers = (0..usize::from(SENDERS)).map(|sender| {
            let (watch, server, rows) = (watch.clone(), &server, &rows);
            async move {
                let mut each = Vec::new();
                while watch.is_running() {
                    let began = watch.now();
                    let some = rows[(each.len() + sender) % rows.len()].clone();
                    // The same rows again must be written again.
                    server
                        .run("INSERT INTO bare_events FORMAT RowBinary", Some(some), &[("insert_deduplicate", "0")])
                        .await;
                    each.push(watch.now().since(began));
                }
                each
            }
        });
        bare_rounds.push(Round::of(join_all(workers).await, size.round, EVENTS));
    }
    print_rates(&format!("events a second into ClickHouse, batches of {EVENTS}"), &rend_rounds, &bare_rounds);
    print_times("one batch", &rend_rounds, &bare_rounds);
}

fn batch(sender: u8, number: u64, now: Timestamp) -> PlaybackBatch {
    let mut prng = Prng::seeded(number);
    let mut boot = [sender; 8];
    boot[4..].copy_from_slice(&std::process::id().to_be_bytes());
    let node = format!("bench-{sender}").parse().unwrap();
    let events = (0..EVENTS as u64)
        .map(|at| {
            let object_bytes = 1 + prng.below(900_000);
            PlaybackEvent {
                boot,
                seq: 1 + number * EVENTS as u64 + at,
                node: format!("bench-{sender}").parse().unwrap(),
                observed_at: now + Duration::from_millis(prng.below(60_000)),
                org: Some(OrgId::from_bytes([3; 16])),
                asset: AssetId::from_bytes([u8::try_from(prng.below(200)).unwrap(); 16]),
                session: Some([u8::try_from(prng.below(250)).unwrap(); 7]),
                path: ArtifactPath::Segment {
                    rendition: Rendition::P720,
                    index: u32::try_from(prng.below(200)).unwrap(),
                },
                object_bytes: Some(object_bytes),
                bytes_sent: prng.below(object_bytes + 1),
                range_start: 0,
                status: 200,
                cache: CacheStatus::Hit,
                ttfb_us: prng.below(100_000),
                duration_ms: prng.below(5_000),
                aborted: false,
            }
        })
        .collect();
    PlaybackBatch { boot, node, dropped_total: 0, events }
}

/// ClickHouse itself.
struct Server {
    client: reqwest::Client,
    database: String,
}

impl Server {
    fn of(stand: &Stand) -> Self {
        Self { client: reqwest::Client::builder().build().unwrap(), database: stand.clickhouse.clone() }
    }

    async fn run(&self, statement: &str, rows: Option<bytes::Bytes>, settings: &[(&str, &str)]) -> bytes::Bytes {
        let mut request = self.client.post(given("REND_TEST_CLICKHOUSE_URL")).query(&[("database", &self.database)]);
        request = request.query(settings);
        request = match rows {
            Some(rows) => request.query(&[("query", statement)]).body(rows),
            None => request.body(statement.to_owned()),
        };
        let request = request
            .header("X-ClickHouse-User", given("REND_TEST_CLICKHOUSE_USER"))
            .header("X-ClickHouse-Key", given("REND_TEST_CLICKHOUSE_PASSWORD"));
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{statement}: {}", answer.text().await.unwrap());
        answer.bytes().await.unwrap()
    }
}
