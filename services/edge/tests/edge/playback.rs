//! What a viewer meets, row by row of the edge's table of behaviours.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::rig::{ASSET, OTHER, Origin, PAGE, Rig, SECRET, cookie, noise, token, token_at, token_of, until};
use rend_core::time::Clock;
use rend_shell::SystemClock;
use rend_token::{ArtifactClass, ClassMask};

/// What the URL of a download opens.
const PROGRESSIVE: ClassMask = ClassMask::of(&[ArtifactClass::Progressive]);
const SEGMENT: &str = "hls/720p/segment_00003.m4s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_is_a_miss_and_the_second_a_hit_of_the_same_bytes() {
    let rig = Rig::start().await;
    let bytes = noise(3 << 20);
    rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
    for (cache, status) in [("MISS", "rend-edge; fwd=uri-miss; stored"), ("HIT", "rend-edge; hit")] {
        let answer = rig.get(SEGMENT).await;
        assert_eq!((answer.status, answer.cache(), answer.whole), (200, cache, true));
        assert!(answer.body == bytes, "{cache}");
        assert_eq!(answer.header("cache-status"), status);
        assert_eq!(answer.header("content-type"), "video/mp4");
        assert_eq!(answer.header("cache-control"), "private, max-age=31536000, immutable");
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-rend-edge-id"), "local-edge-001");
        assert_eq!(answer.header("x-rend-region"), "local");
        assert_eq!(answer.header("vary"), "Origin");
        assert!(answer.header("server-timing").contains(cache));
        assert!(answer.header("etag").len() == 34 && answer.headers.contains_key("last-modified"));
    }
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_by_cookie_path_and_query_and_nothing_else_opens() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, SEGMENT, "media").await;
    let now = SystemClock::start().wall();
    let good = token(ASSET);
    let expired = token_at(ASSET, now - Duration::from_secs(1000), 900, SECRET);
    let foreign = token_at(ASSET, now, 900, "another secret that is long enough to pass as one 1234");
    let mut tampered = good.clone();
    tampered.replace_range(20..21, if &good[20..21] == "A" { "B" } else { "A" });
    for path in [format!("/v/{ASSET}/~{good}/{SEGMENT}"), format!("/v/{ASSET}/{SEGMENT}?x=1&token={good}")] {
        assert_eq!(rig.ask("GET", &path, &[]).await.status, 200, "{path}");
    }
    // A stale query does not spoil a good cookie.
    let path = format!("/v/{ASSET}/{SEGMENT}?token={expired}");
    assert_eq!(rig.ask("GET", &path, &[("cookie", &cookie(ASSET))]).await.status, 200);
    let gets = rig.origin.gets.load(Ordering::SeqCst);
    let mut bodies = std::collections::BTreeSet::new();
    for bad in ["".to_owned(), "rt1.".into(), expired, foreign, tampered, token(OTHER)] {
        for path in [format!("/v/{ASSET}/~{bad}/{SEGMENT}"), format!("/v/{ASSET}/{SEGMENT}?token={bad}")] {
            let answer = rig.ask("GET", &path, &[("origin", PAGE)]).await;
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.header("access-control-allow-origin"), PAGE, "a player can see that it was denied");
            bodies.insert(answer.body);
        }
        let answer = rig.ask("GET", SEGMENT, &[("cookie", &format!("rend_pb={bad}"))]).await;
        assert_eq!(answer.status, 401);
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 1, "every denial reads the same");
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), gets, "a denied request reaches no origin");
    let metrics = rig.internal("GET", "/metrics", "").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for reason in ["missing", "expired", "asset", "bad_mac"] {
        assert!(text.contains(&format!("rend_edge_denied_total{{reason=\"{reason}\"}}")), "{reason}: {text}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_published_is_404_before_anything_is_touched() {
    let rig = Rig::start().await;
    for path in ["source.mp4", "hls/../opener.mp4", "hls/720P/index.m3u8", "hls/720p/segment_1.m4s", "opener.mp4/", ""]
    {
        let answer = rig.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/readyz"),
        ("GET", "/internal/cache"),
        ("POST", "/internal/purge"),
        ("POST", "/internal/warm"),
        ("POST", "/v/x/opener.mp4"),
        ("DELETE", &format!("/v/{ASSET}/opener.mp4")),
    ] {
        assert_eq!(rig.ask(method, path, &[("cookie", &cookie(ASSET))]).await.status, 404, "{method} {path}");
    }
    assert_eq!(rig.ask("GET", "/healthz", &[]).await.status, 200);
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 0);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_artifact_is_404_and_asked_for_once() {
    let rig = Rig::start().await;
    for _ in 0..3 {
        assert_eq!(rig.get(SEGMENT).await.status, 404);
    }
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), 1);
    // A warm knows that something has come.
    rig.origin.put(ASSET, SEGMENT, "media").await;
    let warm = format!(r#"{{"asset_id":"{ASSET}","artifacts":[{{"path":"{SEGMENT}","priority":0}}]}}"#);
    assert_eq!(rig.internal("POST", "/internal/warm", &warm).await.json()["results"][0]["status"], "filled");
    assert_eq!(rig.get(SEGMENT).await.cache(), "HIT");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_answered_on_miss_and_hit() {
    let bytes = noise(300_000);
    for (range, status, start, end) in [
        ("bytes=0-", 206, 0, 300_000),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=1000-250000", 206, 1000, 250_001),
        ("bytes=299999-", 206, 299_999, 300_000),
        ("bytes=-5", 206, 299_995, 300_000),
        ("bytes=0-0,5-6", 200, 0, 300_000),
        ("lines=1-2", 200, 0, 300_000),
        ("bytes=300000-", 416, 0, 0),
    ] {
        let rig = Rig::start().await;
        rig.origin.put(ASSET, SEGMENT, bytes.clone()).await;
        for cache in ["MISS", "HIT"] {
            let answer = rig.ask("GET", SEGMENT, &[("cookie", &cookie(ASSET)), ("range", range)]).await;
            assert_eq!((answer.status, answer.cache(), answer.whole), (status, cache, true), "{range}");
            assert!(answer.body == bytes.slice(start..end), "{range} {cache}");
            match status {
                206 => assert_eq!(answer.header("content-range"), format!("bytes {start}-{}/300000", end - 1)),
                416 => assert_eq!(answer.header("content-range"), "bytes */300000"),
                _ => assert!(!answer.headers.contains_key("content-range")),
            }
            until(|| rig.origin.gets.load(Ordering::SeqCst) == 1).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_it_gets_304_and_a_range_of_another_version_is_whole() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, SEGMENT, "media").await;
    let first = rig.get(SEGMENT).await;
    let (etag, modified) = (first.header("etag").to_owned(), first.header("last-modified").to_owned());
    let cookie = cookie(ASSET);
    let with = |name: &'static str, value: String| {
        let (rig, cookie) = (&rig, &cookie);
        async move { rig.ask("GET", SEGMENT, &[("cookie", cookie), ("range", "bytes=1-2"), (name, &value)]).await }
    };
    let answer = with("if-none-match", etag.clone()).await;
    assert_eq!((answer.status, answer.body.len(), answer.header("etag")), (304, 0, etag.as_str()));
    assert_eq!(answer.header("cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(with("if-modified-since", modified.clone()).await.status, 304);
    assert_eq!(with("if-none-match", "\"other\"".into()).await.status, 206);
    assert_eq!(with("if-range", etag).await.status, 206);
    assert_eq!(with("if-range", modified).await.status, 206);
    assert_eq!(with("if-range", "\"other\"".into()).await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_says_what_get_would_and_options_needs_no_token() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, "poster.jpg", "a picture").await;
    for _ in 0..2 {
        let answer = rig.ask("HEAD", "poster.jpg", &[("cookie", &cookie(ASSET))]).await;
        assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, "9", 0));
        assert_eq!(answer.header("content-type"), "image/jpeg");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let preflight =
        [("origin", PAGE), ("access-control-request-method", "GET"), ("access-control-request-headers", "range")];
    let answer = rig.ask("OPTIONS", "poster.jpg", &preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert!(answer.header("access-control-allow-headers").contains("Range"));
    assert_eq!(answer.header("access-control-max-age"), "86400");
    let answer = rig.ask("OPTIONS", "poster.jpg", &[("origin", "https://evil.example")]).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    let answer = rig.ask("GET", "poster.jpg", &[("cookie", &cookie(ASSET)), ("origin", PAGE)]).await;
    assert!(answer.header("access-control-expose-headers").contains("x-rend-cache"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_growing_playlist_is_confirmed_after_a_second_and_replaced_when_it_grew() {
    let rig = Rig::start().await;
    let (list, grown) = ("#EXTM3U\n", "#EXTM3U\n#EXT-X-ENDLIST\n");
    rig.origin.put(ASSET, "hls/720p/index.m3u8", list).await;
    let path = "hls/720p/index.m3u8";
    let answer = rig.get(path).await;
    assert_eq!((answer.cache(), answer.header("cache-control")), ("MISS", "private, max-age=1"));
    assert_eq!(answer.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(rig.get(path).await.cache(), "HIT");
    assert_eq!(rig.origin.heads.load(Ordering::SeqCst), 0);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let answer = rig.get(path).await;
    assert_eq!((answer.cache(), answer.body.as_ref()), ("REVALIDATED", list.as_bytes()));
    assert_eq!(rig.get(path).await.cache(), "HIT");
    assert_eq!((rig.origin.heads.load(Ordering::SeqCst), rig.origin.gets.load(Ordering::SeqCst)), (1, 1));
    rig.origin.put(ASSET, path, grown).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let answer = rig.get(path).await;
    assert_eq!((answer.cache(), answer.body.as_ref()), ("MISS", grown.as_bytes()));
    assert_eq!(answer.header("cache-control"), "private, max-age=60, stale-while-revalidate=300");
    let answer = rig.get(path).await;
    assert_eq!((answer.cache(), answer.body.as_ref()), ("HIT", grown.as_bytes()));
    assert_eq!(answer.header("cache-control"), "private, max-age=60, stale-while-revalidate=300");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_origin_an_edge_plays_what_it_has_and_says_so_of_the_rest() {
    let rig = Rig::start().await;
    rig.origin.put(ASSET, SEGMENT, "media").await;
    rig.origin.put(ASSET, "hls/720p/index.m3u8", "#EXTM3U\n").await;
    rig.get(SEGMENT).await;
    rig.get("hls/720p/index.m3u8").await;
    rig.origin.down.store(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(rig.get(SEGMENT).await.cache(), "HIT");
    let answer = rig.get("hls/720p/index.m3u8").await;
    assert_eq!((answer.status, answer.cache()), (200, "HIT"), "stale, but better than nothing");
    let answer = rig.get("opener.mp4").await;
    assert_eq!((answer.status, answer.header("retry-after")), (502, "1"));
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["code"], "origin_failed");
    // For a moment the failure is remembered.
    let gets = rig.origin.gets.load(Ordering::SeqCst);
    assert_eq!(rig.get("opener.mp4").await.status, 502);
    assert_eq!(rig.origin.gets.load(Ordering::SeqCst), gets);
    let ready = rig.internal("GET", "/readyz", "").await;
    assert_eq!((ready.status, ready.json()["mode"].as_str().unwrap()), (200, "cached_content_only"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_segment_is_fetched_ahead() {
    let origin = Origin::default();
    for index in 0..3 {
        origin.put(ASSET, &format!("hls/720p/segment_0000{index}.m4s"), noise(1000 + index)).await;
    }
    let rig = Rig::with(origin, std::sync::Arc::new(tempfile::tempdir().unwrap()), |c| c.prefetch = true).await;
    assert_eq!(rig.get("hls/720p/segment_00000.m4s").await.cache(), "MISS");
    until(|| rig.origin.gets.load(Ordering::SeqCst) >= 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(rig.get("hls/720p/segment_00001.m4s").await.cache(), "HIT");
    // After the last segment there is nothing to fetch, and that is not remembered against it.
    rig.get("hls/720p/segment_00002.m4s").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    rig.origin.put(ASSET, "hls/720p/segment_00003.m4s", "new").await;
    assert_eq!(rig.get("hls/720p/segment_00003.m4s").await.status, 200);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_is_opened_by_its_own_class_kept_as_a_file_and_resumed() {
    const PATH: &str = "downloads/720p.mp4";
    let rig = Rig::start().await;
    let bytes = noise(3 << 20);
    rig.origin.put(ASSET, PATH, bytes.clone()).await;
    let now = SystemClock::start().wall();
    let (players, own) = (token_of(ASSET, now, ClassMask::PLAYER), token_of(ASSET, now, PROGRESSIVE));
    assert_eq!(rig.ask("GET", &format!("/v/{ASSET}/~{players}/{PATH}"), &[]).await.status, 401);
    assert_eq!(rig.ask("GET", &format!("/v/{ASSET}/~{own}/opener.mp4"), &[]).await.status, 401);
    let path = format!("/v/{ASSET}/~{own}/{PATH}");
    for cache in ["MISS", "HIT"] {
        let answer = rig.ask("GET", &path, &[]).await;
        assert_eq!((answer.status, answer.cache(), answer.header("content-type")), (200, cache, "video/mp4"));
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{ASSET}-720p.mp4\""));
        assert!(answer.body == bytes && !answer.headers.contains_key("set-cookie"), "{cache}");
    }
    let rest = rig.ask("GET", &path, &[("range", "bytes=1000000-")]).await;
    assert!(rest.status == 206 && rest.body == bytes[1_000_000..]);
    assert!(!rig.get(SEGMENT).await.headers.contains_key("content-disposition"));
    rig.stop().await;
}
