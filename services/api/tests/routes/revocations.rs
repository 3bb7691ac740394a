//! Playback tokens that are to be believed no longer.

use http::StatusCode;
use rend_api::config::SOLE_ORG;
use rend_core::id::AssetId;
use serde_json::{Value, json};

use crate::support::{Answer, Api, BEAT};

async fn revoke(api: &Api, wish: Value) -> Answer {
    api.send("POST", "/v1/revocations", wish.to_string().as_bytes()).await
}

#[tokio::test]
async fn an_order_is_logged_for_the_edges_and_in_force_here_at_once() {
    let api = Api::new().await;
    api.edge("ash-1", "us-east", BEAT).await;
    let id = api.playable("signed").await;
    let handed = api.send("GET", &format!("/v1/assets/{id}/playback"), b"").await.json();
    let player = format!("/api/player/{id}?token={}", handed["bootstrap_token"].as_str().unwrap());
    let first = api.send_as("GET", &player, b"", &[("host", "127.0.0.1")]).await;
    assert_eq!(first.0.status(), StatusCode::OK);
    let session = first.0.headers().get_all("set-cookie").iter().find_map(|cookie| {
        let text = cookie.to_str().ok()?;
        text.starts_with("rend_session=").then(|| text.split(';').next().unwrap().to_owned())
    });
    let answer = revoke(&api, json!({ "asset": id })).await;
    assert_eq!(answer.0.status(), StatusCode::CREATED);
    let order = answer.json();
    assert_eq!((&order["seq"], &order["kind"], &order["subject"]), (&1.into(), &"asset".into(), &id.clone().into()));
    assert_eq!(order["issued_before"], order["at"]);
    assert_eq!(order["edges"], json!({ "asked": 1, "told": 0 }), "the edge of this test answers nobody");
    // Neither the token that was handed out nor the session that it began goes on.
    api.send_as("GET", &player, b"", &[]).await.is(StatusCode::UNAUTHORIZED, "playback_denied");
    let path = format!("/api/player/{id}");
    let refresh = api.send_as("GET", &path, b"", &[("cookie", &session.unwrap())]).await;
    refresh.is(StatusCode::UNAUTHORIZED, "playback_denied");
    // The edges read it in the log, and the owner in the list.
    let headers = [("authorization", "Bearer the-edges-token")];
    let log = api.send_as("GET", "/internal/revocations?after=0&limit=10", b"", &headers).await.json();
    assert_eq!((&log["head"], &log["data"][0]["subject"]), (&1.into(), &id.into()));
    let after = api.send_as("GET", "/internal/revocations?after=1", b"", &headers).await.json();
    assert_eq!(after, json!({ "data": [], "head": 1 }));
    assert_eq!(api.send("GET", "/v1/revocations", b"").await.json()["data"], log["data"]);
    api.send_as("GET", "/internal/revocations?after=x", b"", &headers)
        .await
        .is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    api.send_as("GET", "/internal/revocations", b"", &[]).await.is(StatusCode::UNAUTHORIZED, "unauthorized");
}

#[tokio::test]
async fn a_subject_of_each_kind_may_be_revoked_by_an_admin_of_its_owner() {
    let api = Api::new().await;
    let id = api.playable("signed").await;
    for wish in [
        json!({ "key": "of-last-year" }),
        json!({ "key": "of-last-year", "issued_before": "2026-01-01T00:00:00Z" }),
        json!({ "org": SOLE_ORG.to_string() }),
        json!({ "asset": id }),
        json!({ "session": "9f3c2a7b11d04e" }),
    ] {
        assert_eq!(revoke(&api, wish.clone()).await.0.status(), StatusCode::CREATED, "{wish}");
    }
    let key = json!({ "key": "of-last-year" });
    let listed = api.send("GET", "/v1/revocations", b"").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 4, "two orders for one key are one");
    let of_key = listed["data"].as_array().unwrap().iter().find(|row| row["kind"] == "key").unwrap();
    assert_eq!((of_key.get("issued_before"), of_key.get("expires_at")), (None, None), "a key stays revoked whole");

    let other = AssetId::from_bytes([9; 16]).to_string();
    revoke(&api, json!({ "asset": other })).await.is(StatusCode::NOT_FOUND, "asset_not_found");
    revoke(&api, json!({ "org": other })).await.is(StatusCode::NOT_FOUND, "not_found");
    revoke(&api, json!({ "key": "test" })).await.is(StatusCode::CONFLICT, "conflict");
    for wrong in [json!({}), json!({ "session": "x" }), json!({ "key": "a", "org": other }), json!({ "colour": "red" })]
    {
        revoke(&api, wrong).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    let reader = api.key_for("read,delete".parse().unwrap()).await;
    let bearer = format!("Bearer {reader}");
    let refused =
        api.send_as("POST", "/v1/revocations", key.to_string().as_bytes(), &[("authorization", &bearer)]).await;
    refused.is(StatusCode::FORBIDDEN, "missing_scope");
}
