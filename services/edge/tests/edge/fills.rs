//! One fetch an artifact, and nothing that is not what the origin stored.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{ASSET, Break, Origin, Rig, cookie, head_text, noise, until};

const SEGMENT: &str = "hls/720p/segment_00003.m4s";

async fn rig(change: impl FnOnce(&mut rend_edge::EdgeConfig)) -> Rig {
    Rig::with(Origin::default(), Arc::new(tempfile::tempdir().unwrap()), change).await
}

/// A request whose answer is read by hand.
async fn begin(rig: &Rig, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(rig.public).await.unwrap();
    let head = head_text("GET", &format!("/v/{ASSET}/{path}"), &[("cookie", &cookie(ASSET))], "");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_cold_clients_cost_one_read_of_the_origin() {
    let rig = rig(|_| {}).await;
    let bytes = noise(1 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    let gate = rig.origin.hold();
    let clients = futures::future::join_all((0..200).map(|_| rig.get(SEGMENT)));
    let open = async {
        until(|| rig.origin.gets.load(Ordering::SeqCst) == 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.add_permits(1_000_000);
    };
    let (answers, ()) = futures::future::join(clients, open).await;
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 1);
    let mut misses = 0;
    for answer in answers {
        assert_eq!((answer.status, answer.whole), (200, true));
        assert!(answer.body == bytes);
        misses += u32::from(answer.cache() == "MISS");
        assert!(["MISS", "COALESCED", "HIT"].contains(&answer.cache()), "{}", answer.cache());
    }
    assert_eq!(misses, 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_the_first_bytes_before_the_last_have_arrived() {
    let rig = rig(|_| {}).await;
    let bytes = noise(1 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    let gate = rig.origin.hold();
    gate.add_permits(2);
    let mut leader = begin(&rig, SEGMENT).await;
    let mut follower = begin(&rig, SEGMENT).await;
    let mut seen = [vec![0; 4096], vec![0; 4096]];
    for (stream, seen) in [&mut leader, &mut follower].into_iter().zip(&mut seen) {
        stream.read_exact(seen).await.unwrap();
        let body = seen.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(seen[body..], bytes[..4096 - body]);
    }
    gate.add_permits(1_000_000);
    for (mut stream, seen) in [leader, follower].into_iter().zip(&mut seen) {
        stream.read_to_end(seen).await.unwrap();
        assert!(seen.ends_with(&bytes));
    }
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leaves_takes_nothing_from_its_followers() {
    let rig = rig(|_| {}).await;
    let bytes = noise(1 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    let gate = rig.origin.hold();
    gate.add_permits(1);
    let leader = begin(&rig, SEGMENT).await;
    until(|| rig.origin.gets.load(Ordering::SeqCst) == 1).await;
    let follower = rig.get(SEGMENT);
    let rest = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        drop(leader);
        gate.add_permits(1_000_000);
    };
    let (answer, ()) = futures::future::join(follower, rest).await;
    assert!(answer.whole && answer.body == bytes);
    assert_eq!(rig.get(SEGMENT).await.cache(), "HIT");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn altered_bytes_never_end_as_a_whole_body_and_are_never_kept() {
    let rig = rig(|_| {}).await;
    for (path, len) in [(SEGMENT, 1 << 20), ("poster.jpg", 1000), ("hls/master.m3u8", 100)] {
        let bytes = noise(len);
        rig.origin.put(ASSET, path, bytes.clone()).await;
        rig.origin.tamper.store(1, Ordering::SeqCst);
        for range in ["bytes=0-", "bytes=0-9", "bytes=50-60", "lines=0"] {
            let answer = rig.ask("GET", path, &[("cookie", &cookie(ASSET)), ("range", range)]).await;
            assert!(answer.status == 502 || !answer.whole, "{path} {range}: {} {}", answer.status, answer.body.len());
        }
        rig.origin.tamper.store(0, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let answer = rig.get(path).await;
        assert!(
            answer.whole && answer.cache() == "MISS" && answer.body == bytes,
            "{path}: the next request tries again"
        );
    }
    let metrics = rig.internal("GET", "/metrics", "").await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("rend_edge_fills_total{outcome=\"corrupt\"}"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_beats_a_fill_begun_before_it() {
    for (mode, whole) in [("soft", true), ("hard", false)] {
        let rig = rig(|_| {}).await;
        let (old, new) = (noise(1 << 20), noise(2 << 20));
        rig.origin.put(ASSET, SEGMENT, old.clone()).await;
        let gate = rig.origin.hold();
        gate.add_permits(1);
        let answer = rig.get(SEGMENT);
        let purge = async {
            until(|| rig.origin.gets.load(Ordering::SeqCst) == 1).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            let order = format!(r#"{{"asset_id":"{ASSET}","mode":"{mode}"}}"#);
            assert_eq!(rig.purge(&order).await.status, 200);
            rig.origin.put(ASSET, SEGMENT, new.clone()).await;
            gate.add_permits(1_000_000);
        };
        let (answer, ()) = futures::future::join(answer, purge).await;
        assert_eq!(answer.whole, whole, "{mode}");
        let answer = rig.get(SEGMENT).await;
        assert!(answer.cache() == "MISS" && answer.body == new, "{mode}: what was purged never becomes visible");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_asset_is_gone_after_its_purge() {
    let rig = rig(|_| {}).await;
    for path in [SEGMENT, "hls/master.m3u8"] {
        rig.origin.put(ASSET, path, "media").await;
        assert_eq!(rig.get(path).await.status, 200);
        rig.origin.delete(ASSET, path).await;
    }
    assert_eq!(rig.get(SEGMENT).await.cache(), "HIT");
    let answer = rig.purge(&format!(r#"{{"asset_id":"{ASSET}","seq":1}}"#)).await;
    assert_eq!((answer.status, answer.json()["purged"].as_u64()), (200, Some(2)));
    for path in [SEGMENT, "hls/master.m3u8"] {
        assert_eq!(rig.get(path).await.status, 404);
    }
    let (origin, dir) = rig.stop().await;
    let rig = Rig::with(origin, dir, |_| {}).await;
    assert_eq!(rig.get(SEGMENT).await.status, 404, "a restart does not bring it back");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_playlist_that_the_origin_no_longer_has_is_not_given_out_stale() {
    let rig = rig(|_| {}).await;
    rig.origin.put(ASSET, "hls/720p/index.m3u8", "#EXTM3U\n").await;
    rig.get("hls/720p/index.m3u8").await;
    rig.origin.delete(ASSET, "hls/720p/index.m3u8").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(rig.get("hls/720p/index.m3u8").await.status, 404);
    assert_eq!(rig.get("hls/720p/index.m3u8").await.status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_a_response_streams_on_uncached() {
    let rig = rig(|config| config.cache_bytes_max = 1 << 20).await;
    let bytes = noise(3 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    for _ in 0..2 {
        let answer = rig.get(SEGMENT).await;
        assert_eq!((answer.status, answer.cache(), answer.whole), (200, "PASS", true));
        assert_eq!(answer.header("cache-status"), "rend-edge; fwd=bypass");
        assert!(answer.body == bytes);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_folder_an_edge_streams_on_and_is_not_ready() {
    let rig = rig(|_| {}).await;
    let bytes = noise(3 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    let cache = rig.dir.path().join("cache");
    std::fs::rename(&cache, rig.dir.path().join("elsewhere")).unwrap();
    let answer = rig.get(SEGMENT).await;
    assert_eq!((answer.status, answer.cache(), answer.whole), (200, "PASS", true));
    assert!(answer.body == bytes);
    loop {
        let ready = rig.internal("GET", "/readyz", "").await;
        if ready.status == 503 {
            assert_eq!(ready.json()["checks"]["cache"]["detail"], "the cache folder is gone");
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_the_cache() {
    let rig = rig(|_| {}).await;
    let bytes = noise(1 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    rig.get(SEGMENT).await;
    let (origin, dir) = rig.stop().await;
    let rig = Rig::with(origin, dir, |_| {}).await;
    let answer = rig.get(SEGMENT).await;
    assert!(answer.cache() == "HIT" && answer.body == bytes);
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_its_bounds_an_edge_says_when_to_come_back() {
    let rig = rig(|config| config.responses_max = 2).await;
    rig.origin.put(ASSET, SEGMENT, noise(1 << 20)).await;
    rig.origin.put(ASSET, "poster.jpg", "a picture").await;
    let gate = rig.origin.hold();
    gate.add_permits(1);
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = begin(&rig, SEGMENT).await;
        stream.read_exact(&mut [0; 4096]).await.unwrap();
        open.push(stream);
    }
    let answer = rig.get("poster.jpg").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.json()["code"], "overloaded");
    gate.add_permits(1_000_000);
    for mut stream in open {
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(rig.get("poster.jpg").await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_or_half_a_head_is_not_waited_for() {
    let rig = rig(|config| config.header_timeout = Duration::from_millis(200)).await;
    for said in ["", "G", "GET /v/x HTTP/1.1\r\nhost: a\r\nx-", "PRI * HTTP/2.0\r\n"] {
        let mut stream = TcpStream::connect(rig.public).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        // This ends, or the test never does.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_takes_nothing_is_cut_off() {
    let rig = rig(|config| config.stall_timeout = Duration::from_millis(200)).await;
    rig.origin.put(ASSET, SEGMENT, noise(32 << 20)).await;
    rig.get(SEGMENT).await;
    let stream = begin(&rig, SEGMENT).await;
    let open = || async {
        let text = String::from_utf8(rig.internal("GET", "/metrics", "").await.body.to_vec()).unwrap();
        text.lines().find_map(|line| line.strip_prefix("rend_edge_responses_open ").map(str::to_owned)).unwrap()
    };
    while open().await == "0" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while open().await != "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(stream);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_breaks_off_goes_on_where_it_was() {
    let rig = rig(|_| {}).await;
    let bytes = noise(3 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    // The first two answers end after one and after two chunks.
    rig.origin.breaks.lock().unwrap().extend([Break::After(1), Break::Short(2)]);
    let answer = rig.get(SEGMENT).await;
    assert!(answer.whole && answer.body == bytes, "{} {}", answer.status, answer.body.len());
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 3);
    let answer = rig.get(SEGMENT).await;
    assert!(answer.cache() == "HIT" && answer.body == bytes, "and is stored");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_breaks_off_never_goes_on_with_another_object() {
    let rig = rig(|_| {}).await;
    let (old, new) = (noise(3 << 20), noise((3 << 20) + 1));
    rig.origin.put(ASSET, SEGMENT, old.clone()).await;
    rig.origin.breaks.lock().unwrap().extend([Break::After(1)]);
    let gate = rig.origin.hold();
    gate.add_permits(1);
    let answer = rig.get(SEGMENT);
    let replace = async {
        until(|| rig.origin.gets.load(Ordering::SeqCst) == 1).await;
        rig.origin.put(ASSET, SEGMENT, new.clone()).await;
        gate.add_permits(1_000_000);
    };
    let (answer, ()) = futures::future::join(answer, replace).await;
    assert!(!answer.whole && old.starts_with(&answer.body), "nothing of the new one behind the old");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = rig.get(SEGMENT).await;
    assert!(answer.cache() == "MISS" && answer.body == new);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_breaks_off_again_and_again_is_given_up_and_the_body_cut() {
    let rig = rig(|_| {}).await;
    rig.origin.put(ASSET, SEGMENT, noise(3 << 20)).await;
    rig.origin.breaks.lock().unwrap().extend([Break::After(1); 9]);
    let answer = rig.get(SEGMENT).await;
    assert!(!answer.whole, "{}", answer.body.len());
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 4, "once, and three resumptions");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seek_far_ahead_in_a_big_body_does_not_wait_for_its_fill() {
    let rig = rig(|_| {}).await;
    let bytes = noise(24 << 20);
    rig.origin.put(ASSET, "opener.mp4", bytes.clone()).await;
    let gate = rig.origin.hold();
    gate.add_permits(1);
    let leader = begin(&rig, "opener.mp4").await;
    until(|| rig.origin.gets.load(Ordering::SeqCst) == 1).await;
    // From here on the fill stands still, and only what is asked for beside it flows.
    rig.origin.release();
    let cookie = cookie(ASSET);
    let seek = [("cookie", cookie.as_str()), ("range", "bytes=20000000-20000099")];
    let answer = rig.ask("GET", "opener.mp4", &seek).await;
    assert_eq!((answer.status, answer.header("content-range")), (206, "bytes 20000000-20000099/25165824"));
    assert!(answer.whole && answer.body == bytes[20_000_000..20_000_100]);
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 2);
    gate.add_permits(1_000_000);
    drop(leader);
    let answer = rig.get("opener.mp4").await;
    assert!(answer.whole && answer.body == bytes);
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 2, "the fill went on to its end");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_fetched_ahead_beyond_the_budget() {
    for (budget, fetched) in [(1 << 30, 3), (1, 2)] {
        let rig = rig(|config| (config.prefetch, config.prefetch_bytes_per_sec) = (true, budget)).await;
        for index in 0..4 {
            rig.origin.put(ASSET, &format!("hls/720p/segment_{index:05}.m4s"), noise(100_000)).await;
        }
        for index in 0..2_u64 {
            rig.get(&format!("hls/720p/segment_{index:05}.m4s")).await;
            until(|| rig.origin.gets.load(Ordering::SeqCst) >= (index + 2).min(fetched)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(rig.origin.gets.load(Ordering::SeqCst), fetched, "{budget}");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_nobody_reads_any_more_is_given_up_when_most_of_it_is_still_to_come() {
    let rig = rig(|_| {}).await;
    let bytes = noise(8 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    let gate = rig.origin.hold();
    gate.add_permits(1);
    let mut leader = begin(&rig, SEGMENT).await;
    leader.read_exact(&mut [0; 4096]).await.unwrap();
    drop(leader);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let outcome = async || {
        let metrics = rig.internal("GET", "/metrics", "").await;
        String::from_utf8_lossy(&metrics.body).contains("rend_edge_fills_total{outcome=\"abandoned\"}")
    };
    // Another piece now and then, as from a slow origin; nobody joins meanwhile.
    while !outcome().await {
        gate.add_permits(1);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(rig.origin.gets.load(Ordering::SeqCst) == 1);
    }
    gate.add_permits(1_000_000);
    let answer = rig.get(SEGMENT).await;
    assert!(answer.whole && answer.cache() == "MISS" && answer.body == bytes);
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 2);
    rig.stop().await;
}
