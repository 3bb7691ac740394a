//! What the control plane and operators ask of one edge.

use std::time::Duration;

use crate::rig::{ASSET, OTHER, Rig, noise, request};

const SEGMENT: &str = "hls/720p/segment_00003.m4s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_routes_want_the_bearer_and_do_not_answer_publicly() {
    let rig = Rig::start().await;
    let routes = [
        ("GET", "/readyz", ""),
        ("GET", "/metrics", ""),
        ("POST", "/internal/warm", "{}"),
        ("POST", "/internal/purge", "{}"),
        ("GET", "/internal/cache", ""),
        ("GET", &format!("/internal/cache/{ASSET}"), ""),
        ("POST", "/internal/drain", ""),
    ];
    for (method, path, body) in routes {
        for bearer in ["Bearer", "Bearer wrong", "Basic abc", ""] {
            let answer = request(rig.private, method, path, &[("authorization", bearer)], body).await;
            assert_eq!(answer.status, 401, "{path} {bearer}");
        }
        assert_eq!(request(rig.private, method, path, &[], body).await.status, 401, "{path}");
        assert_ne!(rig.internal(method, path, body).await.status, 401, "{path}");
        let bearer = format!("Bearer {}", crate::rig::INTERNAL);
        let answer = request(rig.public, method, path, &[("authorization", &bearer)], body).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(rig.internal("GET", "/internal/other", "").await.status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_says_of_each_path_what_became_of_it() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, "hls/master.m3u8", "#EXTM3U\n").await;
    rig.origin.put(ASSET, SEGMENT, noise(100_000)).await;
    rig.get("hls/master.m3u8").await;
    let warm = format!(
        r#"{{"asset_id":"{ASSET}","artifacts":[{{"path":"opener.mp4","priority":9}},{{"path":"{SEGMENT}","priority":1}},{{"path":"hls/master.m3u8","priority":0}}]}}"#
    );
    let answer = rig.internal("POST", "/internal/warm", &warm).await;
    let results = answer.json()["results"].clone();
    let seen: Vec<_> = results.as_array().unwrap().iter().map(|r| (r["path"].clone(), r["status"].clone())).collect();
    assert_eq!(seen[0], ("hls/master.m3u8".into(), "cached".into()));
    assert_eq!(seen[1], (SEGMENT.into(), "filled".into()));
    assert_eq!(seen[2], ("opener.mp4".into(), "failed".into()));
    assert_eq!(results[2]["reason"], "not_found");
    assert_eq!(rig.get(SEGMENT).await.cache(), "HIT");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_takes_an_asset_a_prefix_or_a_path() {
    let rig = Rig::start().await;
    let paths = ["hls/720p/init_720p.mp4", SEGMENT, "hls/360p/segment_00003.m4s"];
    for (order, misses) in [
        (format!(r#"{{"asset_id":"{ASSET}"}}"#), [true, true, true]),
        (format!(r#"{{"asset_id":"{ASSET}","prefix":"hls/720p/"}}"#), [true, true, false]),
        (format!(r#"{{"asset_id":"{ASSET}","path":"{SEGMENT}","mode":"soft"}}"#), [false, true, false]),
        (format!(r#"{{"asset_id":"{OTHER}"}}"#), [false, false, false]),
    ] {
        for path in paths {
            rig.origin.put(ASSET, path, "media").await;
            rig.get(path).await;
            assert_eq!(rig.get(path).await.cache(), "HIT");
        }
        let answer = rig.purge(&order).await;
        assert_eq!(answer.json()["purged"], misses.iter().filter(|miss| **miss).count());
        for (path, miss) in paths.iter().zip(misses) {
            assert_eq!(rig.get(path).await.cache(), if miss { "MISS" } else { "HIT" }, "{order} {path}");
        }
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_can_not_be_are_refused_with_the_field() {
    let rig = Rig::start().await;
    let too_many = format!(r#"{{"path":"{SEGMENT}","priority":0}},"#).repeat(17);
    for (path, body, status) in [
        ("/internal/purge", "not json".to_owned(), 400),
        ("/internal/purge", r#"{"asset_id":"x"}"#.into(), 422),
        ("/internal/purge", format!(r#"{{"asset_id":"{ASSET}","path":"../x"}}"#), 422),
        ("/internal/purge", format!(r#"{{"asset_id":"{ASSET}","pfad":"x"}}"#), 400),
        ("/internal/warm", format!(r#"{{"asset_id":"{ASSET}","artifacts":[]}}"#), 422),
        (
            "/internal/warm",
            format!(r#"{{"asset_id":"{ASSET}","artifacts":[{}]}}"#, too_many.trim_end_matches(',')),
            422,
        ),
        ("/internal/warm", format!(r#"{{"asset_id":"{}"}}"#, "x".repeat(300_000)), 413),
    ] {
        let answer = rig.internal("POST", path, &body).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cache_tells_what_it_holds_and_why() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, SEGMENT, noise(100_000)).await;
    rig.get(SEGMENT).await;
    rig.get(SEGMENT).await;
    let totals = rig.internal("GET", "/internal/cache", "").await.json();
    assert_eq!((totals["entries"].as_u64(), totals["by_class"]["tail"]["fills"].as_u64()), (Some(1), Some(1)));
    let of = rig.internal("GET", &format!("/internal/cache/{ASSET}"), "").await.json();
    let entry = &of["data"][0];
    assert_eq!((entry["path"].as_str(), entry["state"].as_str()), (Some(SEGMENT), Some("stored")));
    assert_eq!((entry["class"].as_str(), entry["eviction"]["evictable"].as_bool()), (Some("tail"), Some(true)));
    assert_eq!(
        rig.internal("GET", &format!("/internal/cache/{OTHER}"), "").await.json()["data"],
        serde_json::json!([])
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_edge_serves_on_but_is_not_ready() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, SEGMENT, "media").await;
    assert_eq!(rig.internal("GET", "/readyz", "").await.status, 200);
    assert_eq!(rig.internal("POST", "/internal/drain", "").await.status, 200);
    let ready = rig.internal("GET", "/readyz", "").await;
    assert_eq!((ready.status, ready.json()["mode"].as_str().unwrap()), (503, "draining"));
    assert_eq!(rig.get(SEGMENT).await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_cache_folder_shows_in_readiness() {
    use std::os::unix::fs::PermissionsExt;

    let rig = Rig::start().await;
    let cache = rig.dir.path().join("cache");
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o555)).unwrap();
    while rig.internal("GET", "/readyz", "").await.status == 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o755)).unwrap();
    while rig.internal("GET", "/readyz", "").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_told_why_an_artifact_is_cached_or_not() {
    let rig = Rig::start().await;
    let fate = async |path: &str| rig.internal("GET", &format!("/internal/cache/{ASSET}/{path}"), "").await;
    let answer = fate("hls/720p/segment_00003.m4s").await;
    assert_eq!((answer.status, answer.json()["fate"].as_str()), (200, Some("unknown")));
    rig.origin.put(ASSET, "hls/720p/segment_00003.m4s", "media").await;
    rig.get("hls/720p/segment_00003.m4s").await;
    let answer = fate("hls/720p/segment_00003.m4s").await.json();
    assert_eq!((answer["fate"].as_str(), answer["detail"]["class"].as_str()), (Some("kept"), Some("tail")));
    assert!(answer["detail"]["eviction"]["distance"].is_u64() && answer["why"].is_string());
    rig.purge(&format!(r#"{{"asset_id":"{ASSET}"}}"#)).await;
    assert_eq!(fate("hls/720p/segment_00003.m4s").await.json()["fate"], "purged");
    rig.get("poster.jpg").await;
    assert_eq!(fate("poster.jpg").await.json()["fate"], "absent");
    let answer = fate("../secret").await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("artifact_unknown")));
    let path = format!("/internal/cache/{ASSET}/poster.jpg");
    assert_eq!(request(rig.private, "GET", &path, &[], "").await.status, 401);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_what_the_policy_decided_replays_to_the_same_decisions() {
    let limit = 1 << 20;
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let rig = Rig::with(crate::rig::Origin::default(), folder, |config| {
        (config.cache_bytes_max, config.cache_log_bytes_max) = (limit, 1 << 20);
    })
    .await;
    for index in 0..20 {
        let path = format!("hls/720p/segment_{index:05}.m4s");
        rig.origin.put(ASSET, &path, noise(100_000)).await;
        rig.get(&path).await;
        rig.get(&path).await;
    }
    let log = rig.internal("GET", "/internal/cache-log", "").await;
    assert_eq!((log.status, log.body.len() % rend_cache::replay::RECORD_BYTES), (200, 0));
    assert!(log.body.len() > 60 * rend_cache::replay::RECORD_BYTES);
    let wheel = || rend_cache::policy::ValueWheel::new(limit);
    assert!(rend_cache::replay::replay(&log.body, wheel()).is_some(), "every verdict as it was");
    rig.stop().await;
    let rig = Rig::start().await;
    assert_eq!(rig.internal("GET", "/internal/cache-log", "").await.status, 404);
    rig.stop().await;
}
