//! What an operator takes out of service and gives back.

use http::StatusCode;
use rend_api::config::SOLE_ORG;
use rend_core::id::AssetId;
use serde_json::{Value, json};

use crate::support::{Answer, Api, BEAT};

async fn order(api: &Api, subject: &str, action: &str, wish: &Value) -> Answer {
    let path = format!("/internal/operator/{subject}/{action}");
    let headers = [("authorization", "Bearer the-operators-token")];
    api.send_as("POST", &path, wish.to_string().as_bytes(), &headers).await
}

fn signed() -> Value {
    json!({ "by": "ada", "reason": "a court's order" })
}

/// A way to bring a video in: its path, its body, and headers that tell it from others.
type Way<'w> = (&'w str, &'w [u8], &'w [(&'w str, &'w str)]);

/// The statuses of the two ways to begin playback.
async fn begun(api: &Api, id: &str) -> (StatusCode, StatusCode) {
    let browser = api.send_as("GET", &format!("/api/player/{id}"), b"", &[]).await.0.status();
    (browser, api.send("GET", &format!("/v1/assets/{id}/playback"), b"").await.0.status())
}

const PLAYS: (StatusCode, StatusCode) = (StatusCode::OK, StatusCode::OK);
const STOPPED: (StatusCode, StatusCode) = (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN);

#[tokio::test]
async fn a_suspended_asset_does_not_start_and_a_restored_one_does() {
    let api = Api::new().await;
    api.edge("ash-1", "us-east", BEAT).await;
    let (id, other) = (api.playable("public").await, api.playable("public").await);
    assert_eq!(begun(&api, &id).await, PLAYS);
    let answer = order(&api, &format!("assets/{id}"), "suspend", &signed()).await;
    assert_eq!(answer.0.status(), StatusCode::CREATED);
    let said = answer.json();
    assert_eq!((&said["seq"], &said["subject"], &said["action"]), (&1.into(), &id.clone().into(), &"suspend".into()));
    assert_eq!(said["edges"], json!({ "asked": 1, "told": 0 }), "the edge of this test answers nobody");
    api.send_as("GET", &format!("/api/player/{id}"), b"", &[]).await.is(StatusCode::FORBIDDEN, "suspended");
    assert_eq!((begun(&api, &id).await, begun(&api, &other).await), (STOPPED, PLAYS));
    // What was handed out before is revoked for every edge, and the bytes are purged.
    let edge = [("authorization", "Bearer the-edges-token")];
    let revoked = api.send_as("GET", "/internal/revocations", b"", &edge).await.json();
    assert_eq!((&revoked["data"][0]["kind"], &revoked["data"][0]["subject"]), (&"asset".into(), &id.clone().into()));
    assert!(revoked["data"][0]["issued_before"].is_string(), "what is issued once it is restored is believed");
    while api.send_as("GET", "/internal/purges", b"", &edge).await.json()["head"] != 1 {
        tokio::task::yield_now().await;
    }

    order(&api, &format!("assets/{id}"), "restore", &json!({ "by": "bob", "reason": "it was a mistake" })).await;
    assert_eq!(begun(&api, &id).await, PLAYS);
    // Both stand in the asset's own history and in the record.
    let events = api.send("GET", &format!("/v1/assets/{id}/events"), b"").await.json();
    let of = |kind: &str| events["data"].as_array().unwrap().iter().find(|event| event["type"] == kind).cloned();
    assert_eq!(of("asset.suspended").unwrap()["data"], signed());
    assert_eq!(of("asset.restored").unwrap()["data"]["by"], "bob");
    let operator = [("authorization", "Bearer the-operators-token")];
    let record = api.send_as("GET", "/internal/operator/orders", b"", &operator).await.json();
    let actions: Vec<_> = record["data"].as_array().unwrap().iter().map(|order| order["action"].clone()).collect();
    assert_eq!(actions, ["suspend", "restore"]);
    let rest = api.send_as("GET", "/internal/operator/orders?after=1&limit=1", b"", &operator).await.json();
    assert_eq!((&rest["data"][0]["by"], &rest["next_cursor"]), (&"bob".into(), &Value::Null));
}

#[tokio::test]
async fn an_organisation_is_suspended_whole_and_an_assets_own_order_outlasts_it() {
    let api = Api::new().await;
    let (one, two) = (api.playable("public").await, api.playable("signed").await);
    let later = api.send("POST", "/v1/videos?policy=public", b"bytes").await.json()["id"].as_str().unwrap().to_owned();
    let org = format!("organizations/{SOLE_ORG}");
    assert_eq!(order(&api, &org, "suspend", &signed()).await.0.status(), StatusCode::CREATED);
    assert_eq!((begun(&api, &one).await, begun(&api, &two).await), (STOPPED, STOPPED));
    // What came in before and is ready only now is stopped like the others.
    api.becomes_playable(&later).await;
    assert_eq!(begun(&api, &later).await, STOPPED);
    order(&api, &format!("assets/{one}"), "suspend", &signed()).await;
    order(&api, &org, "restore", &signed()).await;
    assert_eq!((begun(&api, &one).await, begun(&api, &later).await), (STOPPED, PLAYS));
}

#[tokio::test]
async fn a_suspended_organisation_brings_nothing_in_whichever_way() {
    let api = Api::new().await;
    let org = format!("organizations/{SOLE_ORG}");
    order(&api, &org, "suspend", &signed()).await;
    let key = format!("Bearer {}", api.key);
    let json = ("content-type", "application/json");
    let tus = [("tus-resumable", "1.0.0"), ("upload-length", "5")];
    let ways: [Way<'_>; 6] = [
        ("/v1/videos", b"bytes", &[]),
        ("/v1/videos", b"", &[]),
        ("/v1/videos", br#"{"source_url":"https://example.com/film.mp4"}"#, &[json]),
        ("/v1/uploads", b"", &tus),
        ("/v1/uploads", b"bytes", &[tus[0], tus[1], ("content-type", "application/offset+octet-stream")]),
        ("/v1/uploads", br#"{"bytes":5}"#, &[json]),
    ];
    for (path, body, headers) in ways {
        let headers = [&[("authorization", key.as_str())][..], headers].concat();
        let answer = api.send_as("POST", path, body, &headers).await;
        answer.is(StatusCode::FORBIDDEN, "organization_suspended");
    }
    assert_eq!(api.send("GET", "/v1/assets", b"").await.json()["data"], json!([]));
    assert_eq!(api.stores.objects.list("", None, 10).await.unwrap(), [], "no bytes are kept");

    order(&api, &org, "restore", &signed()).await;
    let answer = api.send("POST", "/v1/videos", b"bytes").await;
    assert_eq!(answer.0.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn an_organisation_brings_no_more_originals_than_are_left_to_it_until_some_are_deleted() {
    let api = Api::with(|config| config.org_source_bytes_max = 12).await;
    let first = api.send("POST", "/v1/videos", b"bytes").await.json()["id"].as_str().unwrap().to_owned();
    let key = format!("Bearer {}", api.key);
    let json = [("authorization", key.as_str()), ("content-type", "application/json")];
    let parts = |body: &'static [u8]| api.send_as("POST", "/v1/uploads", body, &json);
    assert_eq!(parts(br#"{"bytes":5}"#).await.0.status(), StatusCode::CREATED);
    let answer = api.send("POST", "/v1/videos", b"bytes").await;
    assert_eq!(answer.json()["bytes_left"], 2, "five are stored and five announced");
    answer.is(StatusCode::INSUFFICIENT_STORAGE, "over_quota");
    parts(br#"{"bytes":3}"#).await.is(StatusCode::INSUFFICIENT_STORAGE, "over_quota");
    let named = [&json[..], &[("idempotency-key", "k1")]].concat();
    let one = api.send_as("POST", "/v1/uploads", br#"{"bytes":2}"#, &named).await;
    let same = api.send_as("POST", "/v1/uploads", br#"{"bytes":2}"#, &named).await;
    assert_eq!((one.0.status(), one.json()["id"].clone()), (StatusCode::CREATED, same.json()["id"].clone()), "once");
    api.send("POST", "/v1/videos", b"b").await.is(StatusCode::INSUFFICIENT_STORAGE, "over_quota");
    api.send("DELETE", &format!("/v1/assets/{first}"), b"").await;
    assert_eq!(api.send("POST", "/v1/videos", b"by").await.0.status(), StatusCode::CREATED);
    assert_eq!(api.send("POST", "/v1/videos", b"byt").await.0.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn an_order_is_signed_and_about_something_that_there_is() {
    let api = Api::new().await;
    let id = api.playable("public").await;
    let asset = format!("assets/{id}");
    for wrong in [
        json!({}),
        json!({ "by": "ada" }),
        json!({ "by": "", "reason": "x" }),
        json!({ "by": "ada", "reason": " " }),
        json!({ "by": "ada", "reason": "x".repeat(501) }),
        json!({ "by": "ada", "reason": "x", "colour": "red" }),
    ] {
        order(&api, &asset, "suspend", &wrong).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    let nobody = AssetId::from_bytes([9; 16]);
    order(&api, &format!("assets/{nobody}"), "suspend", &signed()).await.is(StatusCode::NOT_FOUND, "asset_not_found");
    order(&api, &format!("organizations/{nobody}"), "suspend", &signed()).await.is(StatusCode::NOT_FOUND, "not_found");
    let unsure = api.send_as("POST", &format!("/internal/operator/{asset}/suspend"), b"{}", &[]).await;
    unsure.is(StatusCode::UNAUTHORIZED, "unauthorized");
    let closed = Api::with(|config| config.operator_token = None).await;
    order(&closed, &asset, "suspend", &signed()).await.is(StatusCode::UNAUTHORIZED, "unauthorized");
    assert_eq!(begun(&api, &id).await, PLAYS);
}
