//! Several edges with clocks that are off, under load, while their keys are rotated and one is revoked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rend_core::time::{Clock, Mono, Timestamp};
use rend_shell::SystemClock;
use rend_token::{AssetRef, ClassMask, Grant, KeyRingBuf, Policy, RingValues, Signer, UnixSecs};
use serde_json::json;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use crate::control::{Control, towards};
use crate::rig::{ASSET, Origin, Rig, until};

const SEGMENT: &str = "hls/720p/segment_00003.m4s";
/// How far the edges' clocks are off, in seconds: within what the policy forgives.
const SKEWS: [i64; 4] = [-25, 0, 12, 25];
/// How long viewers may go on under one step of a rotation before the next.
const STEP: Duration = Duration::from_millis(120);

/// A clock that is off.
#[derive(Debug)]
struct Skewed(SystemClock, i64);

impl Clock for Skewed {
    fn mono(&self) -> Mono {
        self.0.mono()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.0.wall().as_millis().saturating_add_signed(self.1 * 1000))
    }
}

fn secret(key: &str) -> String {
    format!("a-secret-of-key-{key}-that-only-these-tests-use-0123456789")
}

fn ring(signs: &str, verify: &[&str]) -> KeyRingBuf {
    let pairs: Vec<_> = verify.iter().map(|key| format!("{key}={}", secret(key))).collect();
    let values = RingValues {
        signing_label: Some(signs),
        signing_secret: Some(&secret(signs)),
        verify_keys: Some(&pairs.join(",")),
        production: false,
    };
    KeyRingBuf::from_values(&values, Policy::new()).unwrap()
}

/// A token of the moment, good for a quarter of an hour.
fn mint(ring: &KeyRingBuf) -> String {
    let asset = AssetRef::parse(ASSET).unwrap();
    let now = UnixSecs::try_from(SystemClock::start().wall().as_secs()).unwrap();
    let claims = Grant::playback(&asset, ClassMask::HLS, 900).renewable(900, 14_400).build(now).unwrap();
    Signer::new(ring).sign(&claims).unwrap().as_str().to_owned()
}

/// Asks every edge in turn with tokens of `issuer`, a new one each time, until `stop`; counts what was refused.
async fn watch(
    edges: Arc<Vec<Rig>>,
    issuer: Arc<RwLock<KeyRingBuf>>,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
) {
    let mut at = 0;
    while !stop.load(Ordering::SeqCst) {
        let token = mint(&*issuer.read().await);
        for _ in 0..3 {
            at += 1;
            let answer = edges[at % edges.len()].ask("GET", SEGMENT, &[("cookie", &format!("rend_pb={token}"))]).await;
            asked.fetch_add(1, Ordering::SeqCst);
            if answer.status != 200 {
                refused.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_refuses_no_honest_viewer_and_a_revoked_key_opens_nothing_once_it_is_known() {
    let control = Control::default();
    let (at, _trigger) = control.start().await;
    let mut edges = Vec::new();
    for skew in SKEWS {
        let clock = Arc::new(Skewed(SystemClock::start(), skew));
        let rig = Rig::with_clock(Origin::default(), Arc::new(tempfile::tempdir().unwrap()), clock, |config| {
            towards(at)(config);
            config.keys = Arc::new(ring("a", &[]));
        })
        .await;
        rig.origin.put(ASSET, SEGMENT, "media").await;
        edges.push(rig);
    }
    let edges = Arc::new(edges);
    let issuer = Arc::new(RwLock::new(ring("a", &[])));
    let (stop, asked, refused) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let viewers: Vec<_> = (0..4)
        .map(|_| {
            let (edges, issuer) = (Arc::clone(&edges), Arc::clone(&issuer));
            let watch = watch(edges, issuer, Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&refused));
            rend_shell::spawn("viewer", watch)
        })
        .collect();
    let swap = async |signs: &str, verify: &[&str]| {
        for edge in edges.iter() {
            edge.swap_keys(ring(signs, verify)).await;
            // The edges do not change together: between two of them viewers go on.
            tokio::time::sleep(STEP / 4).await;
        }
    };
    for (old, new) in [("a", "b"), ("b", "c")] {
        // The runbook: the new key verifies everywhere, then it signs, then the old one goes.
        swap(old, &[new]).await;
        *issuer.write().await = ring(new, &[old]);
        swap(new, &[old]).await;
        // Whoever has a token of the old key has used it up: viewers take a new one each time.
        let before = asked.load(Ordering::SeqCst);
        until(|| asked.load(Ordering::SeqCst) > before + 60 || viewers.iter().any(JoinHandle::is_finished)).await;
        swap(new, &[]).await;
        assert_eq!(refused.load(Ordering::SeqCst), 0, "nobody noticed that {old} was replaced by {new}");
    }
    // The key that signs has leaked. A new one is put in force, then the leaked one is revoked.
    swap("c", &["d"]).await;
    *issuer.write().await = ring("d", &[]);
    swap("d", &["c"]).await;
    let before = asked.load(Ordering::SeqCst);
    until(|| asked.load(Ordering::SeqCst) > before + 60 || viewers.iter().any(JoinHandle::is_finished)).await;
    let leaked = ring("c", &[]);
    let thief = |edge: usize| {
        let (edges, token) = (Arc::clone(&edges), mint(&leaked));
        async move { edges[edge].ask("GET", SEGMENT, &[("cookie", &format!("rend_pb={token}"))]).await }
    };
    for edge in 0..edges.len() {
        let answer = thief(edge).await;
        assert_eq!(answer.status, 200, "as long as nobody knows, a leaked key works");
    }
    let row = json!({ "seq": 1, "kind": "key", "subject": "c", "at": SystemClock::start().wall().to_string() });
    control.revocations.lock().unwrap().push(row.clone());
    // One edge is told; the others hear of it with their next heartbeat.
    assert_eq!(edges[0].internal("POST", "/internal/revoke", &row.to_string()).await.status, 200);
    for edge in 0..edges.len() {
        let mut known = edge == 0;
        while !known {
            let metrics = edges[edge].internal("GET", "/metrics", "").await;
            known = String::from_utf8_lossy(&metrics.body).contains("rend_edge_revoked 1");
        }
        for _ in 0..20 {
            assert_eq!(thief(edge).await.status, 401, "edge {edge}");
        }
        // Not even keys that are configured anew bring it back.
        edges[edge].swap_keys(ring("d", &["c"])).await;
        assert_eq!(thief(edge).await.status, 401, "edge {edge}");
    }
    stop.store(true, Ordering::SeqCst);
    for viewer in viewers {
        viewer.await.unwrap();
    }
    assert_eq!(refused.load(Ordering::SeqCst), 0, "of {} requests", asked.load(Ordering::SeqCst));
    for edge in Arc::into_inner(edges).unwrap() {
        edge.stop().await;
    }
}
