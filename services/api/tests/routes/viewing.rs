//! What players tell, what it comes to, and usage, which it never touches.

use std::time::Duration;

use http::StatusCode;
use rend_api::config::SOLE_ORG;
use rend_core::analytics::{CacheStatus, PlaybackBatch, PlaybackEvent};
use rend_core::artifact::{ArtifactPath, Rendition};
use rend_core::time::Clock;
use rend_core::usage::{Correction, CountedHour};
use serde_json::{Value, json};

use crate::support::{Api, BEAT};

/// The bootstrap of an asset that plays.
async fn bootstrap(api: &Api) -> Value {
    let asset = api.playable("public").await;
    let answer = api.send_as("GET", &format!("/api/player/{asset}"), b"", &[]).await;
    assert_eq!(answer.0.status(), StatusCode::OK);
    answer.json()
}

async fn tell(api: &Api, body: &Value, headers: &[(&str, &str)]) -> (StatusCode, Value) {
    let answer = api.send_as("POST", "/v1/player/events", body.to_string().as_bytes(), headers).await;
    (answer.0.status(), answer.json())
}

#[tokio::test]
async fn what_a_player_tells_is_counted_under_its_ticket_once() {
    let api = Api::new().await;
    let boot = bootstrap(&api).await;
    assert_eq!(boot["telemetry"]["url"], "/v1/player/events");
    let ticket = &boot["telemetry"]["ticket"];
    let events = json!([
        { "seq": 1, "at_ms": 0, "phase": "load" },
        { "seq": 2, "at_ms": 0, "phase": "play_intent", "edge": "ash-1" },
        { "seq": 3, "at_ms": 0, "phase": "first_frame", "startup_ms": 250, "edge": "ash-1" },
        { "seq": 4, "at_ms": 0, "phase": "heartbeat", "playing_ms": 9000, "stalled_ms": 1000, "rung": "720p" },
        { "seq": 5, "at_ms": 0, "phase": "teleport" },
        { "seq": 6, "at_ms": 900_000_000, "phase": "end" },
        { "seq": 7, "at_ms": 0, "phase": "heartbeat", "playing_ms": 60_001 },
        { "seq": 8, "at_ms": 0, "phase": "end", "org": "someone-elses" },
    ]);
    let body = json!({ "ticket": ticket, "events": events });
    for _ in 0..2 {
        let (status, taken) = tell(&api, &body, &[("user-agent", "Mozilla/5.0 (iPhone)")]).await;
        assert_eq!((status, &taken["taken"]), (StatusCode::OK, &4.into()), "{taken}");
        let rejected: Vec<_> = taken["rejected"].as_array().unwrap().iter().map(|bad| bad["index"].clone()).collect();
        assert_eq!(rejected, [4, 5, 6, 7]);
    }
    let overview = api.send("GET", "/v1/analytics/overview?window_seconds=7776000", b"").await.json();
    let viewing = &overview["viewing"];
    assert_eq!(
        (&viewing["views"], &viewing["unique_viewers"], &viewing["watch_ms"]),
        (&1.into(), &1.into(), &9000.into())
    );
    assert_eq!((&viewing["startup_p95_ms"], &viewing["startup_success"]), (&250.into(), &1.0.into()));
    assert_eq!((&viewing["rebuffer_ratio"], &viewing["complete"]), (&0.1.into(), &true.into()));
    assert_eq!(
        (&viewing["by_device"]["phone"]["views"], &viewing["watch_ms_by_rung"]["720p"]),
        (&1.into(), &9000.into())
    );
    assert_eq!(viewing["top_assets"][0]["asset_id"], boot["asset_id"]);
    let live = api.send("GET", "/v1/analytics/live", b"").await.json();
    assert_eq!((&live["views"], &live["assets"][0]["asset_id"]), (&1.into(), &boot["asset_id"]));
    let (_, taken) =
        tell(&api, &json!({ "ticket": ticket, "events": [{ "seq": 9, "at_ms": 0, "phase": "end" }] }), &[]).await;
    assert_eq!(taken["taken"], 1);
    assert_eq!(api.send("GET", "/v1/analytics/live", b"").await.json()["views"], 0);
}

#[tokio::test]
async fn an_overview_tells_by_region_edge_and_rendition_what_was_served_and_seen() {
    let api = Api::new().await;
    let boot = bootstrap(&api).await;
    for (id, region) in [("ash-1", "us-east"), ("ash-2", "us-east"), ("fra-1", "eu")] {
        api.edge(id, region, BEAT).await;
    }
    let asset = boot["asset_id"].as_str().unwrap().parse().unwrap();
    let segment = ArtifactPath::Segment { rendition: Rendition::P720, index: 0 };
    let served = [("ash-1", segment, 1000), ("ash-2", ArtifactPath::Master, 10), ("old-1", segment, 1)];
    let events = served.iter().zip(1..).map(|((node, path, bytes_sent), seq)| PlaybackEvent {
        boot: [7; 8],
        seq,
        node: node.parse().unwrap(),
        observed_at: api.clock.wall(),
        org: Some(SOLE_ORG),
        asset,
        session: None,
        path: *path,
        object_bytes: None,
        bytes_sent: *bytes_sent,
        range_start: 0,
        status: 200,
        cache: CacheStatus::Hit,
        ttfb_us: 1,
        duration_ms: 1,
        aborted: false,
    });
    let batch =
        PlaybackBatch { boot: [7; 8], node: "ash-1".parse().unwrap(), dropped_total: 0, events: events.collect() };
    api.stores.analytics.record(&batch, api.clock.wall()).await.unwrap();
    let seen = |seq, edge| json!({ "seq": seq, "at_ms": 0, "phase": "heartbeat", "playing_ms": 1000, "edge": edge });
    let events = [seen(1, "ash-1"), seen(2, "ash-2"), seen(3, "fra-1")];
    let (status, _) = tell(&api, &json!({ "ticket": boot["telemetry"]["ticket"], "events": events }), &[]).await;
    assert_eq!(status, StatusCode::OK);

    let overview = api.send("GET", "/v1/analytics/overview", b"").await.json();
    let share = |requests: u64, bytes: u64| json!({ "requests": requests, "bytes": bytes });
    let expected = json!({
        "by_region": { "us-east": share(2, 1010), "unknown": share(1, 1) },
        "by_edge": { "ash-1": share(1, 1000), "ash-2": share(1, 10), "old-1": share(1, 1) },
        "by_rung": { "720p": share(2, 1001), "other": share(1, 10) },
    });
    assert_eq!(overview["served"], expected);
    let regions = json!({ "us-east": { "views": 1, "watch_ms": 2000 }, "eu": { "views": 1, "watch_ms": 1000 } });
    assert_eq!(overview["viewing"]["by_region"], regions);
}

#[tokio::test]
async fn players_without_a_ticket_and_pages_of_strangers_are_refused() {
    let api = Api::new().await;
    let boot = bootstrap(&api).await;
    let good = boot["telemetry"]["ticket"].as_str().unwrap();
    let body = |ticket: &str| json!({ "ticket": ticket, "events": [{ "seq": 1, "at_ms": 0, "phase": "load" }] });
    for ticket in ["", "x", &good[1..], &good.to_uppercase()] {
        assert_eq!(tell(&api, &body(ticket), &[]).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{ticket}");
    }
    for (origin, status) in [
        ("https://evil.example", StatusCode::UNPROCESSABLE_ENTITY),
        ("https://www.example.com.evil.example", StatusCode::UNPROCESSABLE_ENTITY),
        ("null", StatusCode::UNPROCESSABLE_ENTITY),
        ("https://www.example.com", StatusCode::OK),
        ("http://127.0.0.1:4000", StatusCode::OK),
    ] {
        assert_eq!(tell(&api, &body(good), &[("origin", origin)]).await.0, status, "{origin}");
    }
    let many: Vec<_> = (0..51).map(|seq| json!({ "seq": seq, "at_ms": 0, "phase": "load" })).collect();
    assert_eq!(tell(&api, &json!({ "ticket": good, "events": many }), &[]).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let large = api.send_as("POST", "/v1/player/events", &[b' '; 17_000], &[]).await;
    assert_eq!(large.0.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn usage_is_told_in_pages_newest_first() {
    let api = Api::new().await;
    let now = api.clock.wall();
    let hour = |n: u32| (now - Duration::from_secs(3600 * u64::from(n))).hour();
    for n in 1..=5 {
        let count = CountedHour { hour: hour(n), rows: 1, complete: n != 2, uncounted: 0, pass: 0, at: now };
        let tiers = ["720p", "1080p"].map(|tier| rend_core::media::ladder::Tier::of_word(tier).unwrap());
        let lines = tiers.map(|tier| Correction {
            org: SOLE_ORG,
            tier,
            hour: hour(n),
            revision: 1,
            micros: 1_000_999 * i64::from(n),
        });
        api.stores.usage.write_count(&count, &lines).await.unwrap();
    }
    let all = api.send("GET", "/v1/usage", b"").await.json();
    let rows = all["data"].as_array().unwrap();
    assert_eq!((rows.len(), &all["next_cursor"]), (10, &Value::Null));
    assert_eq!((&rows[0]["tier"], &rows[0]["delivered_ms"]), (&"1080p".into(), &1000.into()));
    assert_eq!((&rows[2]["complete"], &rows[0]["complete"]), (&false.into(), &true.into()));
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.send("GET", &format!("/v1/usage?limit=3{cursor}"), b"").await.json();
        found.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&found, rows);
    let (from, until) = (hour(3), hour(1));
    let some = api.send("GET", &format!("/v1/usage?from={from}&until={until}"), b"").await.json();
    assert_eq!(some["data"].as_array().unwrap().len(), 4);
}
