//! The edge's side of the fleet: registration, missed purges, telemetry.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rend_core::analytics::{CacheStatus, PlaybackEvent};
use rend_core::config::SecretText;
use rend_shell::{ServeOptions, ShutdownTrigger, shutdown_pair};
use serde_json::{Value, json};
use warp::Filter;

use crate::rig::{ASSET, INTERNAL, Origin, Rig, cookie, head_text, noise};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SEGMENT: &str = "hls/720p/segment_00003.m4s";

/// A control plane that remembers what it was told.
#[derive(Clone, Default)]
pub(crate) struct Control {
    registered: Arc<Mutex<Vec<Value>>>,
    beats: Arc<Mutex<Vec<Value>>>,
    pub(crate) purges: Arc<Mutex<Vec<String>>>,
    /// Those of them that were deleted.
    pub(crate) gone: Arc<Mutex<BTreeSet<String>>>,
    /// The revocation log; the place of an order is its index and one.
    pub(crate) revocations: Arc<Mutex<Vec<Value>>>,
    events: Arc<Mutex<Vec<PlaybackEvent>>>,
}

impl Control {
    pub(crate) async fn start(&self) -> (SocketAddr, ShutdownTrigger) {
        let json_of = |body: &Bytes| serde_json::from_slice::<Value>(body).unwrap();
        let head = |purges: &Mutex<Vec<String>>| purges.lock().unwrap().len();
        let bearer = warp::header::<String>("authorization");
        let body = || rend_shell::body::capped(8 << 20);
        let control = self.clone();
        let register = warp::path!("internal" / "edges" / "register").and(bearer).and(body()).map(
            move |bearer, body: Result<Bytes, _>| {
                assert_eq!(bearer, format!("Bearer {INTERNAL}"));
                control.registered.lock().unwrap().push(json_of(&body.unwrap()));
                warp::reply::json(&json!({ "purge_head": head(&control.purges), "heartbeat_interval_secs": 1 }))
            },
        );
        let control = self.clone();
        let beat = warp::path!("internal" / "edges" / "heartbeat").and(body()).map(move |body: Result<Bytes, _>| {
            control.beats.lock().unwrap().push(json_of(&body.unwrap()));
            warp::reply::json(&json!({ "purge_head": head(&control.purges) }))
        });
        let control = self.clone();
        let purges = warp::path!("internal" / "purges").and(warp::query::raw()).map(move |query: String| {
            let after: usize = query.split('&').find_map(|pair| pair.strip_prefix("after=")).unwrap().parse().unwrap();
            let purges = control.purges.lock().unwrap();
            let gone = control.gone.lock().unwrap();
            let rows: Vec<Value> = purges
                .iter()
                .enumerate()
                .skip(after)
                .map(|(at, asset)| {
                    let gone = gone.contains(asset);
                    json!({ "seq": at + 1, "asset_id": asset, "at": "2026-11-21T00:00:00.000Z", "gone": gone })
                })
                .collect();
            warp::reply::json(&json!({ "data": rows, "head": purges.len() }))
        });
        let control = self.clone();
        let ingest =
            warp::path!("internal" / "telemetry" / "playback").and(body()).map(move |body: Result<Bytes, _>| {
                let decoded = rend_telemetry::wire::decode(&body.unwrap()).unwrap();
                let events = decoded.batch.events;
                let new = events.len();
                control.events.lock().unwrap().extend(events);
                warp::reply::json(&json!({ "new": new, "repeated": 0, "rejected": [] }))
            });
        let control = self.clone();
        let revocations = warp::path!("internal" / "revocations").and(warp::query::raw()).map(move |query: String| {
            let field =
                |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().parse().unwrap();
            let (after, limit): (usize, usize) = (field("after="), field("limit="));
            let log = control.revocations.lock().unwrap();
            let rows: Vec<Value> = log.iter().skip(after).take(limit).cloned().collect();
            warp::reply::json(&json!({ "data": rows, "head": log.len() }))
        });
        let routes = register.or(beat).or(purges).or(revocations).or(ingest);
        let listening = rend_shell::bind("TEST", ([127, 0, 0, 1], 0).into()).await.unwrap();
        let at = listening.at;
        let (trigger, shutdown) = shutdown_pair();
        let options = ServeOptions { grace: Duration::from_millis(100), ..ServeOptions::default() };
        rend_shell::spawn("control", rend_shell::serve(listening, warp::service(routes), options, shutdown));
        (at, trigger)
    }
}

pub(crate) fn towards(at: SocketAddr) -> impl FnOnce(&mut rend_edge::EdgeConfig) {
    move |config| {
        config.control_plane_url = Some(format!("http://{at}"));
        config.heartbeat_every = Duration::from_millis(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_was_away_forgets_what_was_purged_before_it_serves() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, SEGMENT, "media").await;
    rig.get(SEGMENT).await;
    rig.origin.delete(ASSET, SEGMENT).await;
    let (origin, dir) = rig.stop().await;
    let control = Control::default();
    control.purges.lock().unwrap().push(ASSET.to_owned());
    let (at, _trigger) = control.start().await;
    let rig = Rig::with(origin, dir, towards(at)).await;
    assert_eq!(rig.get(SEGMENT).await.status, 404);
    assert_eq!(control.registered.lock().unwrap()[0]["beat"]["state"], "standby");
    while control.beats.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let beat = control.beats.lock().unwrap()[0].clone();
    assert_eq!((beat["beat"]["state"].as_str(), beat["beat"]["purge_seen"].as_u64()), (Some("active"), Some(1)));
    rig.stop().await;
    let last = control.beats.lock().unwrap().last().unwrap().clone();
    assert_eq!(last["beat"]["state"], "draining");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_came_out_of_line_does_not_hide_the_one_before_it() {
    let control = Control::default();
    let (at, trigger) = control.start().await;
    let rig = Rig::with(Origin::default(), Arc::new(tempfile::tempdir().unwrap()), towards(at)).await;
    // The log has two; only the second reaches the edge, and the control plane goes away.
    trigger.request();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let order = format!(r#"{{"asset_id":"{ASSET}","seq":2}}"#);
    assert_eq!(rig.purge(&order).await.status, 200);
    assert_eq!(rig.internal("GET", "/internal/cache", "").await.json()["purge_seen"], 0);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_control_plane_an_edge_plays() {
    let dead = rend_shell::bind("TEST", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let at = dead.at;
    drop(dead);
    let rig = Rig::with(Origin::default(), Arc::new(tempfile::tempdir().unwrap()), towards(at)).await;
    rig.origin.put(ASSET, SEGMENT, "media").await;
    assert_eq!(rig.get(SEGMENT).await.status, 200);
    assert_eq!(rig.internal("GET", "/readyz", "").await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_response_is_told_with_the_bytes_that_left() {
    let control = Control::default();
    let (at, _trigger) = control.start().await;
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let spool_dir = dir.path().join("spool");
    let rig = Rig::with(Origin::default(), dir, |config| {
        towards(at)(config);
        config.telemetry = Some(rend_edge::TelemetryConfig {
            ingest_url: format!("http://{at}/internal/telemetry/playback"),
            token: SecretText::new("a telemetry token"),
            spool_dir,
            spool_bytes_max: 1 << 20,
            queue_events_max: 1000,
            batch_events_max: 100,
            flush_every: Duration::from_millis(50),
            request_timeout: Duration::from_secs(2),
        });
    })
    .await;
    let len: u64 = 24 << 20;
    rig.origin.put(ASSET, SEGMENT, noise(24 << 20)).await;
    rig.get(SEGMENT).await;
    rig.get(SEGMENT).await;
    rig.ask("GET", SEGMENT, &[("cookie", &cookie(ASSET)), ("range", "bytes=10-19")]).await;
    rig.ask("HEAD", SEGMENT, &[("cookie", &cookie(ASSET))]).await;
    rig.get("poster.jpg").await;
    rig.ask("GET", SEGMENT, &[]).await;
    // One that leaves after some of it.
    let mut stream = TcpStream::connect(rig.public).await.unwrap();
    let head = head_text("GET", &format!("/v/{ASSET}/{SEGMENT}"), &[("cookie", &cookie(ASSET))], "");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 100_000]).await.unwrap();
    drop(stream);
    while control.events.lock().unwrap().len() < 6 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.stop().await;
    let mut events = control.events.lock().unwrap().clone();
    events.sort_by_key(|event| event.seq);
    let told: Vec<_> = events.iter().map(|e| (e.status, e.cache, e.range_start, e.object_bytes, e.aborted)).collect();
    assert_eq!(
        told,
        [
            (200, CacheStatus::Miss, 0, Some(len), false),
            (200, CacheStatus::Hit, 0, Some(len), false),
            (206, CacheStatus::Hit, 10, Some(len), false),
            (200, CacheStatus::Hit, 0, Some(len), false),
            (404, CacheStatus::Miss, 0, None, false),
            (200, CacheStatus::Hit, 0, Some(len), true),
        ]
    );
    let sent: Vec<u64> = events.iter().map(|e| e.bytes_sent).collect();
    assert_eq!(sent[..5], [len, len, 10, 0, 0]);
    assert!((1..len).contains(&sent[5]), "{}", sent[5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_takes_a_batch_and_says_nothing_keeps_no_event_from_the_disk() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let spool_dir = dir.path().join("spool");
    let spooled = {
        let spool_dir = spool_dir.clone();
        move || -> u64 {
            let files = std::fs::read_dir(&spool_dir).unwrap();
            files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
        }
    };
    let rig = Rig::with(Origin::default(), dir, |config| {
        config.telemetry = Some(rend_edge::TelemetryConfig {
            ingest_url: format!("http://{at}/internal/telemetry/playback"),
            token: SecretText::new("a telemetry token"),
            spool_dir,
            spool_bytes_max: 1 << 20,
            queue_events_max: 1000,
            batch_events_max: 1,
            flush_every: Duration::from_millis(10),
            request_timeout: Duration::from_secs(3600),
        });
    })
    .await;
    rig.origin.put(ASSET, SEGMENT, "media").await;
    rig.get(SEGMENT).await;
    let (mut held, _) = silent.accept().await.unwrap();
    held.read_exact(&mut [0; 16]).await.unwrap();
    let before = spooled();
    rig.get(SEGMENT).await;
    while spooled() <= before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop((held, silent));
    rig.stop().await;
}
