//! Renditions as ordinary files: asked for, listed and taken away.

use http::StatusCode;
use rend_core::artifact::{ArtifactPath, ObjectKey, Rendition};
use rend_core::asset::{Failure, Move};
use rend_core::credential::{Scope, Scopes};
use rend_core::id::AssetId;
use rend_core::time::Timestamp;
use rend_storage::StoreError;
use rend_storage::objects::Put;
use serde_json::{Value, json};

use crate::support::Api;

/// An asset of one rung that is ready.
async fn ready(api: &Api) -> String {
    let id = api.playable("signed").await;
    api.advance(&id, Move::RenditionReady { rendition: Rendition::P360, bandwidth: 9 }).await;
    api.advance(&id, Move::HlsReady { degraded: false }).await;
    id
}

async fn jobs(api: &Api, id: &str) -> usize {
    let shown = api.send("GET", &format!("/v1/assets/{id}"), b"").await.json();
    shown["jobs"].as_array().unwrap().iter().filter(|job| job["kind"] == "download").count()
}

fn pending() -> Value {
    json!({ "rung": "360p", "state": "pending", "bytes": null, "error": null, "url": null, "expires_at": null, "viewer_url": null })
}

#[tokio::test]
async fn a_download_is_asked_for_once_and_has_a_url_when_it_is_there() {
    let api = Api::new().await;
    let id = ready(&api).await;
    let path = format!("/v1/assets/{id}/downloads");
    assert_eq!(api.send("GET", &path, b"").await.json()["data"], json!([]));
    let asked = api.send("POST", &path, b"").await;
    assert_eq!((asked.0.status(), asked.json()), (StatusCode::ACCEPTED, pending()));
    for body in [&b"{}"[..], br#"{"rung":null}"#, br#"{"rung":"360p"}"#] {
        let again = api.send("POST", &path, body).await;
        assert_eq!((again.0.status(), again.json()), (StatusCode::ACCEPTED, pending()));
    }
    assert_eq!(jobs(&api, &id).await, 1, "once is enough");

    api.advance(&id, Move::DownloadReady { rendition: Rendition::P360, bytes: 1234 }).await;
    let there = api.send("POST", &path, b"").await;
    assert_eq!(there.0.status(), StatusCode::OK);
    let listed = api.send("GET", &path, b"").await.json()["data"].clone();
    let row = &listed[0];
    assert_eq!((&row["state"], &row["bytes"]), (&json!("ready"), &json!(1234)));
    let url = row["url"].as_str().unwrap();
    let prefix = format!("/v/{id}/~rt1.");
    assert!(url.contains(&prefix) && url.ends_with("/downloads/360p.mp4"), "{url}");
    assert!(row["expires_at"].is_string());
    let viewers = row["viewer_url"].as_str().unwrap();
    assert!(viewers.ends_with(&format!("/api/player/{id}/downloads/360p.mp4")), "{viewers}");
    assert_eq!(jobs(&api, &id).await, 1);

    let names: Vec<_> = api.send("GET", &format!("/v1/assets/{id}/events"), b"").await.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .filter(|name| name.starts_with("download."))
        .collect();
    assert_eq!(names, ["download.requested", "download.ready"]);
}

#[tokio::test]
async fn a_download_that_failed_is_tried_again_when_it_is_asked_for_again() {
    let api = Api::new().await;
    let id = ready(&api).await;
    let path = format!("/v1/assets/{id}/downloads");
    api.send("POST", &path, b"").await;
    let failure = Failure { code: "media_missing".into(), detail: "a segment is gone".into() };
    api.advance(&id, Move::DownloadFailed { rendition: Rendition::P360, failure }).await;
    let listed = api.send("GET", &path, b"").await.json()["data"][0].clone();
    assert_eq!((&listed["state"], &listed["error"]["code"]), (&json!("failed"), &json!("media_missing")));
    assert_eq!(api.send("POST", &path, b"").await.json(), pending());
    assert_eq!(jobs(&api, &id).await, 2);
}

#[tokio::test]
async fn what_can_not_be_downloaded_is_told_with_what_can() {
    let api = Api::new().await;
    let growing = api.playable("public").await;
    let answer = api.send("POST", &format!("/v1/assets/{growing}/downloads"), b"").await;
    answer.is(StatusCode::CONFLICT, "not_playable");
    assert_eq!(answer.json()["playable_state"], "opener_ready");
    let id = ready(&api).await;
    let path = format!("/v1/assets/{id}/downloads");
    for body in [&br#"{"rung":"720p"}"#[..], br#"{"rung":"a-en"}"#, br#"{"rung":""}"#] {
        let answer = api.send("POST", &path, body).await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
        assert_eq!(answer.json()["detail"], "/rung: one of 360p");
    }
    for body in [&b"{"[..], b"[]", br#"{"size":"360p"}"#] {
        api.send("POST", &path, body).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    let reader = format!("Bearer {}", api.key_for(Scopes::NONE.with(Scope::Read)).await);
    let as_reader = [("authorization", reader.as_str())];
    api.send_as("POST", &path, b"", &as_reader).await.is(StatusCode::FORBIDDEN, "missing_scope");
    api.advance(&id, Move::RequestDeletion).await;
    api.send("POST", &path, b"").await.is(StatusCode::NOT_FOUND, "asset_not_found");
}

#[tokio::test]
async fn a_download_that_is_taken_away_is_gone_from_the_store_too() {
    let api = Api::new().await;
    let id = ready(&api).await;
    let (path, own) = (format!("/v1/assets/{id}/downloads"), ArtifactPath::Download(Rendition::P360));
    api.send("POST", &path, b"").await;
    let key = ObjectKey::artifact(id.parse::<AssetId>().unwrap(), own);
    let put = Put { content_type: own.content_type().into(), len: None, sha256: None, now: Timestamp::EPOCH };
    api.stores.objects.put(&key, put, Box::pin(futures::stream::once(async { Ok("film".into()) }))).await.unwrap();
    api.advance(&id, Move::DownloadReady { rendition: Rendition::P360, bytes: 4 }).await;
    let gone = api.send("DELETE", &format!("{path}/360p"), b"").await;
    assert_eq!(gone.0.status(), StatusCode::NO_CONTENT);
    assert!(matches!(api.stores.objects.head(&key).await, Err(StoreError::NotFound { .. })));
    assert_eq!(api.send("GET", &path, b"").await.json()["data"], json!([]));
    for rung in ["360p", "720p", "x"] {
        let answer = api.send("DELETE", &format!("{path}/{rung}"), b"").await;
        answer.is(StatusCode::NOT_FOUND, "not_found");
    }
}

#[tokio::test]
async fn whoever_may_play_a_video_is_sent_to_its_file_and_nobody_else_is() {
    let api = Api::new().await;
    let id = ready(&api).await;
    let path = |id: &str| format!("/api/player/{id}/downloads/360p.mp4");
    let bare = async |path: &str| api.send_as("GET", path, b"", &[]).await;
    api.send("POST", &format!("/v1/assets/{id}/downloads"), b"").await;
    bare(&path(&id)).await.is(StatusCode::UNAUTHORIZED, "playback_denied");
    let handed = api.send("GET", &format!("/v1/assets/{id}/playback"), b"").await.json();
    let vouched = format!("{}?token={}", path(&id), handed["bootstrap_token"].as_str().unwrap());
    bare(&vouched).await.is(StatusCode::NOT_FOUND, "not_found");
    api.advance(&id, Move::DownloadReady { rendition: Rendition::P360, bytes: 9 }).await;
    let sent = bare(&vouched).await;
    assert_eq!(
        (sent.0.status(), &sent.0.headers()["cache-control"]),
        (StatusCode::FOUND, &"no-store".parse().unwrap())
    );
    let to = sent.0.headers()["location"].to_str().unwrap();
    assert!(to.contains(&format!("/v/{id}/~rt1.")) && to.ends_with("/downloads/360p.mp4"), "{to}");
    bare(&path(&id)).await.is(StatusCode::UNAUTHORIZED, "playback_denied");
    bare(&vouched.replace("360p", "720p")).await.is(StatusCode::NOT_FOUND, "not_found");
}
