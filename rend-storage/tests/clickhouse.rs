//! What edges served, in the engine of a current ClickHouse: the suite of the port, and what is special to it.
//!
//! `cargo xtask test` starts the engine behind an HTTP front of its own and names it in `REND_TEST_CLICKHOUSE_URL`,
//! `REND_TEST_CLICKHOUSE_USER` and `REND_TEST_CLICKHOUSE_PASSWORD`. What the front leaves out, these tests do not prove: the
//! server's own HTTP layer, asynchronous inserts, and many clients at once. Every test has a database of its own.
#![cfg(all(feature = "clickhouse", feature = "conformance"))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and read their surroundings"
)]

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rend_core::analytics::{CacheStatus, PlaybackBatch, PlaybackEvent, Recorded};
use rend_core::artifact::ArtifactPath;
use rend_core::id::{AssetId, OrgId};
use rend_core::time::Timestamp;
use rend_storage::StoreError;
use rend_storage::analytics::Analytics;
use rend_storage::clickhouse::{ClickHouse, ClickHouseConfig};
use rend_storage::memory::Memory;

fn block_on<F: Future>(f: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f)
}

fn config() -> ClickHouseConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run `cargo xtask test`"));
    let database = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    ClickHouseConfig::new(
        &var("REND_TEST_CLICKHOUSE_URL"),
        &database,
        &var("REND_TEST_CLICKHOUSE_USER"),
        &var("REND_TEST_CLICKHOUSE_PASSWORD"),
    )
}

fn fresh() -> (ClickHouse, ()) {
    let store = ClickHouse::new(&config()).unwrap();
    block_on(store.migrate()).unwrap();
    (store, ())
}

mod clickhouse {
    use super::{block_on, fresh};

    rend_storage::analytics_conformance!(
        #[ignore = "needs ClickHouse: cargo xtask test starts one"]
        block_on,
        fresh()
    );
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn asset(n: u8) -> AssetId {
    AssetId::new(at(u64::from(n)), [n; 10])
}

fn org(n: u8) -> OrgId {
    OrgId::new(at(0), [n; 10])
}

fn event(seq: u64) -> PlaybackEvent {
    PlaybackEvent {
        boot: [7; 8],
        seq,
        node: "edge-1".parse().unwrap(),
        observed_at: at(5),
        org: Some(org(1)),
        asset: asset(1),
        session: Some([5; 7]),
        path: ArtifactPath::Opener,
        object_bytes: Some(5000),
        bytes_sent: 1000,
        range_start: 0,
        status: 200,
        cache: CacheStatus::Hit,
        ttfb_us: 1500,
        duration_ms: 20,
        aborted: false,
    }
}

fn batch(events: Vec<PlaybackEvent>) -> PlaybackBatch {
    PlaybackBatch { boot: [7; 8], node: "edge-1".parse().unwrap(), dropped_total: 0, events }
}

#[test]
#[ignore = "needs ClickHouse: cargo xtask test starts one"]
fn a_schema_is_made_once_and_a_newer_one_is_left_alone() {
    block_on(async {
        let config = config();
        let store = ClickHouse::new(&config).unwrap();
        assert_eq!(store.schema_version().await.unwrap(), 0);
        assert!(matches!(store.accounts().await, Err(StoreError::Unavailable(_))));
        assert_eq!(store.migrate().await.unwrap(), 0);
        assert_eq!(store.schema_version().await.unwrap(), ClickHouse::SCHEMA_VERSION);
        store.record(&batch(vec![event(1)]), at(50)).await.unwrap();
        assert_eq!(store.migrate().await.unwrap(), ClickHouse::SCHEMA_VERSION);
        assert_eq!(store.playback(asset(1), at(0), at(100)).await.unwrap().requests, 1);

        let newer = format!("INSERT INTO {}.rend_schema (version) VALUES (999)", config.database);
        assert_eq!(by_hand(&config, &newer).await.0, 200);
        let refused = store.migrate().await;
        assert!(matches!(refused, Err(StoreError::TooNew { found: 999, .. })), "{refused:?}");
    });
}

#[test]
#[ignore = "needs ClickHouse: cargo xtask test starts one"]
fn a_batch_that_was_cut_short_is_completed_by_its_repeat_and_counts_once() {
    block_on(async {
        let config = config();
        let store = ClickHouse::new(&config).unwrap();
        store.migrate().await.unwrap();
        let events: Vec<_> = (1..=500).map(event).collect();
        // One table is away: the events and their names are written, and then the batch fails.
        let rename = |from: &str, to: &str| format!("RENAME TABLE {0}.{from} TO {0}.{to}", config.database);
        assert_eq!(by_hand(&config, &rename("ingest_batches", "away")).await.0, 200);
        assert!(store.record(&batch(events.clone()), at(50)).await.unwrap_err().is_transient());
        assert_eq!(by_hand(&config, &rename("away", "ingest_batches")).await.0, 200);

        let repeated = store.record(&batch(events.clone()), at(60)).await.unwrap();
        assert_eq!(repeated, Recorded { new: 0, repeated: 500 });
        let truncate = format!("TRUNCATE TABLE {}.edge_event_ids", config.database);
        assert_eq!(by_hand(&config, &truncate).await.0, 200);
        // As after a crash between the events and their names: they are new again, and count once.
        for round in [70, 80] {
            store.record(&batch(events[..400].to_vec()), at(round)).await.unwrap();
            let report = store.playback(asset(1), at(0), at(100)).await.unwrap();
            assert_eq!((report.requests, report.bytes), (500, 500_000));
        }
        assert_eq!(store.accounts().await.unwrap()[0].received, 400);
    });
}

#[test]
#[ignore = "needs ClickHouse: cargo xtask test starts one"]
fn odd_times_and_long_batches_are_kept_exactly() {
    block_on(async {
        let (store, ()) = fresh_in_runtime().await;
        let far = Timestamp::from_millis(Timestamp::MAX.as_millis() - 1);
        let days = (0..300).map(|day| PlaybackEvent { observed_at: at(day * 86_400), ..event(day + 1) });
        let odd = PlaybackEvent { observed_at: far, object_bytes: None, session: None, org: None, ..event(1000) };
        let events: Vec<_> = days.chain([odd]).collect();
        assert_eq!(store.record(&batch(events), at(50)).await.unwrap().new, 301);
        let all = store.playback(asset(1), Timestamp::EPOCH, Timestamp::MAX).await.unwrap();
        assert_eq!((all.requests, all.sessions), (301, 1));
        assert_eq!((all.first_seen, all.last_seen), (Some(at(0)), Some(far)));
        let last = store.playback(asset(1), far, Timestamp::MAX).await.unwrap();
        assert_eq!((last.requests, last.sessions), (1, 0));
    });
}

#[test]
#[ignore = "needs ClickHouse: cargo xtask test starts one"]
fn a_wrong_password_and_a_server_that_is_away_are_said_without_addresses() {
    block_on(async {
        let wrong = ClickHouseConfig { password: "another".into(), ..config() };
        let away = ClickHouseConfig { url: "http://127.0.0.1:9".into(), ..config() };
        for (config, says) in [(wrong, "error 516"), (away, "no whole answer")] {
            let refused = ClickHouse::new(&config).unwrap().accounts().await.unwrap_err();
            let cause = std::error::Error::source(&refused).expect("a cause").to_string();
            assert!(cause.contains(says), "{cause}");
            assert!(!format!("{refused:?}").contains("127.0.0.1"));
        }
        for bad in ["", "a b", "a;DROP TABLE x", "a`"] {
            assert!(ClickHouse::new(&ClickHouseConfig { database: bad.into(), ..config() }).is_err());
        }
    });
}

async fn fresh_in_runtime() -> (ClickHouse, ()) {
    let store = ClickHouse::new(&config()).unwrap();
    store.migrate().await.unwrap();
    (store, ())
}

/// A statement of the test's own.
async fn by_hand(config: &ClickHouseConfig, statement: &str) -> (u16, String) {
    let client = reqwest::Client::new();
    let request = client.post(&config.url).header("X-ClickHouse-User", &config.user);
    let answer = request.header("X-ClickHouse-Key", &config.password).body(statement.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn any_event() -> impl Strategy<Value = PlaybackEvent> {
    let what = (0..2_u8, 0..20_u64, 0..50_u64, option::of(0..3_u8), 0..3_u8, option::of(0..3_u8));
    let how = (prop_oneof![Just(u64::MAX), 0..5000_u64], 200..204_u16, 0..CacheStatus::ALL.len(), any::<bool>());
    (what, how).prop_map(|((boot, seq, seen, org_n, asset_n, session), (bytes_sent, status, cache, aborted))| {
        PlaybackEvent {
            boot: [boot; 8],
            seq,
            observed_at: at(seen),
            org: org_n.map(org),
            asset: asset(asset_n),
            session: session.map(|n| [n; 7]),
            bytes_sent,
            status,
            cache: CacheStatus::ALL[cache],
            aborted,
            ..event(seq)
        }
    })
}

fn any_batch() -> impl Strategy<Value = PlaybackBatch> {
    (0..3_u8, 0..5_u64, vec(any_event(), 0..8)).prop_map(|(boot, dropped_total, events)| PlaybackBatch {
        boot: [boot; 8],
        dropped_total,
        ..batch(events)
    })
}

proptest! {
    // Each answer takes the engine some milliseconds.
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 30, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs ClickHouse: cargo xtask test starts one"]
    fn memory_and_clickhouse_give_the_same_answers(
        batches in vec(any_batch(), 1..12),
        windows in vec((0..3_u8, 0..50_u64, 0..60_u64, 0..4_usize), 1..5),
    ) {
        let (memory, (clickhouse, ())) = (Memory::default(), fresh());
        for (n, batch) in batches.iter().enumerate() {
            let now = at(n as u64);
            let expected = block_on(memory.record(batch, now)).unwrap();
            prop_assert_eq!(block_on(clickhouse.record(batch, now)).unwrap(), expected, "{:?}", batch);
        }
        prop_assert_eq!(block_on(clickhouse.accounts()).unwrap(), block_on(memory.accounts()).unwrap());
        for (n, from, until, top) in windows {
            let expected = block_on(memory.playback(asset(n), at(from), at(until))).unwrap();
            prop_assert_eq!(block_on(clickhouse.playback(asset(n), at(from), at(until))).unwrap(), expected);
            let expected = block_on(memory.overview(org(n), at(from), at(until), top)).unwrap();
            prop_assert_eq!(block_on(clickhouse.overview(org(n), at(from), at(until), top)).unwrap(), expected);
        }
    }
}
