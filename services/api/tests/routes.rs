//! The API as its callers meet it, over stores in memory.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "routes/captions.rs"]
mod captions;
#[path = "routes/clips.rs"]
mod clips;
#[path = "routes/contract.rs"]
mod contract;
#[path = "routes/downloads.rs"]
mod downloads;
#[path = "routes/manners.rs"]
mod manners;
#[path = "routes/operator.rs"]
mod operator;
#[path = "routes/playback.rs"]
mod playback;
#[path = "routes/revocations.rs"]
mod revocations;
#[path = "routes/support.rs"]
mod support;
#[path = "routes/viewing.rs"]
mod viewing;
#[path = "routes/webhooks.rs"]
mod webhooks;

use std::time::Duration;

use http::StatusCode;
use rend_api::config::SOLE_ORG;
use rend_api::{make_key, routes};
use rend_core::asset::Move;
use rend_core::credential::{Scope, Scopes};
use rend_core::id::AssetId;
use rend_core::time::Clock;
use serde_json::Value;
use support::{Answer, Api};

#[tokio::test]
async fn an_upload_becomes_an_asset_with_its_digest_and_a_job() {
    let api = Api::new().await;
    let answer = api.send("POST", "/v1/videos?title=A%20film&policy=public&external_id=x1", b"some bytes").await;
    assert_eq!(answer.0.status(), StatusCode::CREATED);
    let asset = answer.json();
    assert_eq!(asset["title"], "A film");
    assert_eq!(asset["source_state"], "uploaded");
    assert_eq!(asset["bytes"], 10);
    assert_eq!(asset["sha256"], "0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d");
    let id = asset["id"].as_str().unwrap();
    let shown = api.send("GET", &format!("/v1/assets/{id}"), b"").await.json();
    assert_eq!(shown["jobs"][0]["kind"], "media");
    assert_eq!(shown["jobs"][0]["state"], "queued");
    let events = api.send("GET", &format!("/v1/assets/{id}/events"), b"").await.json();
    let kinds: Vec<_> =
        events["data"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["asset.created", "source.upload_started", "source.uploaded"]);
}

#[tokio::test]
async fn what_is_wrong_with_an_upload_is_said_and_nothing_is_kept() {
    let api = Api::new().await;
    api.send("POST", "/v1/videos", b"").await.is(StatusCode::UNPROCESSABLE_ENTITY, "empty_upload");
    let large = vec![0; 1001];
    api.send("POST", "/v1/videos", &large).await.is(StatusCode::PAYLOAD_TOO_LARGE, "too_large");
    api.send("POST", "/v1/videos?colour=red", b"x").await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    api.send("POST", "/v1/videos?policy=secret", b"x").await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    api.send("POST", "/v1/videos?title=", b"x").await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    let assets = api.send("GET", "/v1/assets", b"").await.json();
    assert_eq!(assets["data"].as_array().unwrap().len(), 0);
    assert!(api.stores.objects.list("sources/", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_grows_past_the_limit_without_a_length_leaves_a_failed_asset_and_no_bytes() {
    let api = Api::new().await;
    let request = warp::test::request()
        .method("POST")
        .path("/v1/videos")
        .header("authorization", format!("Bearer {}", api.key))
        .body(vec![0; 1001]);
    let answer = Answer(request.reply(&routes::public(&api.state)).await);
    answer.is(StatusCode::PAYLOAD_TOO_LARGE, "too_large");
    let assets = api.send("GET", "/v1/assets", b"").await.json();
    assert!(assets["data"].as_array().unwrap().iter().all(|asset| asset["source_state"] == "failed"));
    assert!(api.stores.objects.list("sources/", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_a_working_key_with_the_scope_opens_a_route() {
    let api = Api::new().await;
    for headers in [vec![], vec![("authorization", "Bearer rend_live_00")], vec![("authorization", "Basic x")]] {
        api.send_as("GET", "/v1/assets", b"", &headers).await.is(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    let now = api.clock.wall();
    let store = api.stores.credentials.as_ref();
    let (reader, key) = make_key(store, SOLE_ORG, "r", Scopes::NONE.with(Scope::Read), None, now).await.unwrap();
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(api.send_as("GET", "/v1/assets", b"", &headers).await.0.status(), StatusCode::OK);
    api.send_as("POST", "/v1/videos", b"x", &headers).await.is(StatusCode::FORBIDDEN, "missing_scope");
    store.revoke(reader.id, now).await.unwrap();
    api.send_as("GET", "/v1/assets", b"", &headers).await.is(StatusCode::UNAUTHORIZED, "unauthorized");
}

#[tokio::test]
async fn keys_are_shown_once_and_end_when_revoked() {
    let api = Api::new().await;
    let made = api.send("POST", "/v1/keys", br#"{"name":"ci","scopes":["read"]}"#).await.json();
    assert!(made["key"].as_str().unwrap().starts_with("rend_live_"));
    let listed = api.send("GET", "/v1/keys", b"").await;
    assert!(!String::from_utf8_lossy(listed.0.body()).contains(made["key"].as_str().unwrap()));
    let revoked = api.send("DELETE", &format!("/v1/keys/{}", made["id"].as_str().unwrap()), b"").await;
    assert_eq!(revoked.0.status(), StatusCode::NO_CONTENT);
    let bearer = format!("Bearer {}", made["key"].as_str().unwrap());
    api.send_as("GET", "/v1/assets", b"", &[("authorization", &bearer)])
        .await
        .is(StatusCode::UNAUTHORIZED, "unauthorized");
    for wrong in
        [r#"{"name":"","scopes":["read"]}"#, r#"{"name":"a","scopes":[]}"#, r#"{"name":"a","scopes":["root"]}"#, "{"]
    {
        api.send("POST", "/v1/keys", wrong.as_bytes()).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
}

#[tokio::test]
async fn unknown_paths_methods_and_ids_are_told_apart() {
    let api = Api::new().await;
    api.send("GET", "/v2/assets", b"").await.is(StatusCode::NOT_FOUND, "not_found");
    api.send("PUT", "/v1/assets", b"").await.is(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    api.send("GET", "/v1/assets/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4", b"")
        .await
        .is(StatusCode::NOT_FOUND, "asset_not_found");
    api.send("GET", "/internal/edges", b"").await.is(StatusCode::UNAUTHORIZED, "unauthorized");
}

#[tokio::test]
async fn internal_routes_and_metrics_do_not_answer_publicly() {
    let api = Api::new().await;
    for path in ["/metrics", "/internal/edges", "/internal/purges", "/internal/telemetry/playback"] {
        let reply = warp::test::request().path(path).reply(&routes::public(&api.state)).await;
        assert_eq!(reply.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_newest_first() {
    let api = Api::new().await;
    for n in 0..5 {
        api.send("POST", &format!("/v1/videos?title=v{n}"), b"x").await;
    }
    let mut titles = Vec::new();
    let mut path = "/v1/assets?limit=2".to_owned();
    loop {
        let page = api.send("GET", &path, b"").await.json();
        titles.extend(page["data"].as_array().unwrap().iter().map(|asset| asset["title"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/assets?limit=2&cursor={cursor}");
    }
    titles.sort();
    assert_eq!(titles, ["v0", "v1", "v2", "v3", "v4"]);
    api.send("GET", "/v1/assets?limit=0", b"").await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    api.send("GET", "/v1/assets?cursor=x", b"").await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
}

#[tokio::test]
async fn an_owner_changes_what_is_said_of_an_asset() {
    let api = Api::new().await;
    let id = api.send("POST", "/v1/videos", b"x").await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/assets/{id}");
    let edited = api
        .send("PATCH", &path, br#"{"title":"New","metadata":{"a":1},"external_id":"e","playback_policy":"public"}"#)
        .await
        .json();
    assert_eq!(
        (&edited["title"], &edited["metadata"]["a"], &edited["external_id"]),
        (&"New".into(), &1.into(), &"e".into())
    );
    let cleared = api.send("PATCH", &path, br#"{"external_id":null}"#).await.json();
    assert_eq!((&cleared["title"], &cleared["external_id"]), (&"New".into(), &Value::Null));
    api.send("PATCH", &path, br#"{"colour":"red"}"#).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    let large = format!(r#"{{"metadata":{{"a":"{}"}}}}"#, "x".repeat(4096));
    api.send("PATCH", &path, large.as_bytes()).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
}

#[tokio::test]
async fn a_deleted_asset_is_gone_for_everybody() {
    let api = Api::new().await;
    let id = api.playable("public").await;
    let deleted = api.send("DELETE", &format!("/v1/assets/{id}"), b"").await;
    assert_eq!(deleted.0.status(), StatusCode::ACCEPTED);
    assert_eq!(deleted.json()["source_state"], "deleted");
    api.send("GET", &format!("/v1/assets/{id}"), b"").await.is(StatusCode::NOT_FOUND, "asset_not_found");
    api.send("DELETE", &format!("/v1/assets/{id}"), b"").await.is(StatusCode::NOT_FOUND, "asset_not_found");
    api.send_as("GET", &format!("/api/player/{id}"), b"", &[]).await.is(StatusCode::NOT_FOUND, "asset_not_found");
    assert_eq!(api.send("GET", "/v1/assets", b"").await.json()["data"].as_array().unwrap().len(), 0);
    // The answer waits for nothing; the order to the edges is written down right after it.
    while api.stores.purges.purge_head().await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_failed_asset_can_be_tried_again_and_asking_twice_is_asking_once() {
    let api = Api::new().await;
    let id = api.send("POST", "/v1/videos", b"x").await.json()["id"].as_str().unwrap().to_owned();
    let failure = rend_core::asset::Failure { code: "unreadable".into(), detail: "no".into() };
    api.advance(&id, Move::Fail(failure)).await;
    let retried = api.send("POST", &format!("/v1/assets/{id}/retry"), b"").await;
    assert_eq!(retried.0.status(), StatusCode::ACCEPTED);
    api.send("POST", &format!("/v1/assets/{id}/retry"), b"").await;
    let jobs = api.send("GET", &format!("/v1/assets/{id}"), b"").await.json()["jobs"].as_array().unwrap().len();
    assert_eq!(jobs, 2, "one for the upload, one for the retry");
}

#[tokio::test]
async fn edges_register_beat_and_learn_what_to_forget() {
    let api = Api::new().await;
    let headers = [("authorization", "Bearer the-edges-token")];
    let beat = r#"{"state":"active","cache_bytes_max":10,"cache_bytes_used":1,"cache_entries":1,"disk_bytes_free":9,"fills":0,"spool_events":0,"dropped_events":0,"purge_seen":0}"#;
    let early = format!(r#"{{"id":"e-1","beat":{beat}}}"#);
    api.send_as("POST", "/internal/edges/heartbeat", early.as_bytes(), &headers)
        .await
        .is(StatusCode::NOT_FOUND, "edge_unknown");
    let register = format!(
        r#"{{"id":"e-1","region":"local","public_url":"http://127.0.0.1:1","private_url":"http://127.0.0.1:2","version":"0","beat":{beat}}}"#
    );
    assert_eq!(
        api.send_as("POST", "/internal/edges/register", register.as_bytes(), &headers).await.0.status(),
        StatusCode::OK
    );
    assert_eq!(
        api.send_as("POST", "/internal/edges/heartbeat", early.as_bytes(), &headers).await.0.status(),
        StatusCode::OK
    );
    let fleet = api.send("GET", "/v1/fleet", b"").await.json();
    assert_eq!((&fleet["edges"][0]["id"], &fleet["edges"][0]["live"]), (&"e-1".into(), &true.into()));
    let asset = AssetId::from_bytes([1; 16]);
    api.stores.purges.append_purge(asset, api.clock.wall()).await.unwrap();
    let purges = api.send_as("GET", "/internal/purges?after=0", b"", &headers).await.json();
    assert_eq!((&purges["head"], &purges["data"][0]["asset_id"]), (&1.into(), &asset.to_string().into()));
}

#[tokio::test]
async fn a_delete_is_in_the_purge_log_before_it_is_answered_and_edges_read_that_it_is_for_good() {
    let api = Api::new().await;
    let headers = [("authorization", "Bearer the-edges-token")];
    let ids = [api.send("POST", "/v1/videos", b"x").await, api.send("POST", "/v1/videos", b"y").await]
        .map(|answer| answer.json()["id"].as_str().unwrap().to_owned());
    api.stores.purges.append_purge(ids[1].parse().unwrap(), api.clock.wall()).await.unwrap();
    let before = api.stores.purges.purge_head().await.unwrap();
    let deleted = api.send("DELETE", &format!("/v1/assets/{}", ids[0]), b"").await;
    assert_eq!(deleted.0.status(), StatusCode::ACCEPTED);
    assert_eq!(api.stores.purges.purge_head().await.unwrap(), before + 1);
    let purges = api.send_as("GET", "/internal/purges?after=0", b"", &headers).await.json();
    let told: Vec<_> = purges["data"].as_array().unwrap().iter().map(|row| (&row["asset_id"], &row["gone"])).collect();
    assert_eq!(told, [(&ids[1].clone().into(), &().into()), (&ids[0].clone().into(), &true.into())]);
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_answers_and_others_may_not() {
    let api = Api::new().await;
    let ask = async |origin: &str| api.send_as("GET", "/healthz", b"", &[("origin", origin)]).await;
    let allowed = ask("https://www.example.com").await;
    assert_eq!(allowed.0.headers()["access-control-allow-origin"], "https://www.example.com");
    let refused = ask("https://www.example.com.evil.example").await;
    assert!(!refused.0.headers().contains_key("access-control-allow-origin"));
}
