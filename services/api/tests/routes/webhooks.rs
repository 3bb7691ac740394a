//! Who is told of events.

use http::StatusCode;
use rend_core::upload::pull::Guard;
use serde_json::{Value, json};

use crate::support::{Answer, Api};

const PATH: &str = "/v1/webhook-endpoints";

async fn post(api: &Api, path: &str, wish: &Value) -> Answer {
    api.send("POST", path, wish.to_string().as_bytes()).await
}

async fn made(api: &Api, wish: &Value) -> Value {
    let answer = post(api, PATH, wish).await;
    assert_eq!(answer.0.status(), StatusCode::CREATED, "{wish}");
    answer.json()
}

#[tokio::test]
async fn an_endpoint_is_made_shown_changed_and_removed() {
    let api = Api::new().await;
    let wish = json!({ "url": "https://example.com/hooks", "events": ["asset.deleted"], "description": "mine" });
    let endpoint = made(&api, &wish).await;
    let secret = endpoint["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!((&endpoint["enabled"], &endpoint["events"]), (&true.into(), &json!(["asset.deleted"])));
    let path = format!("{PATH}/{}", endpoint["id"].as_str().unwrap());
    let shown = api.send("GET", &path, b"").await;
    assert!(!String::from_utf8_lossy(shown.0.body()).contains(secret), "the secret is shown once");
    let change = json!({ "events": [], "enabled": false, "url": "https://example.com/other" });
    let changed = api.send("PATCH", &path, change.to_string().as_bytes()).await.json();
    assert_eq!((&changed["events"], &changed["disabled_why"]), (&json!([]), &"by_owner".into()));
    assert_eq!((&changed["url"], &changed["description"]), (&"https://example.com/other".into(), &"mine".into()));
    let rotated = post(&api, &format!("{path}/rotate-secret"), &json!({})).await.json();
    assert_ne!(rotated["secret"], endpoint["secret"]);
    let enabled = api.send("PATCH", &path, br#"{"enabled":true}"#).await.json();
    assert_eq!((&enabled["enabled"], &enabled["disabled_at"]), (&true.into(), &Value::Null));
    assert_eq!(api.send("GET", PATH, b"").await.json()["data"].as_array().unwrap().len(), 1);
    assert_eq!(api.send("DELETE", &path, b"").await.0.status(), StatusCode::NO_CONTENT);
    api.send("GET", &path, b"").await.is(StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn what_is_wrong_with_a_wish_is_said() {
    let api = Api::new().await;
    for wrong in [
        json!({}),
        json!({ "url": "http://example.com/" }),
        json!({ "url": "https://127.0.0.1/" }),
        json!({ "url": "https://10.0.0.1/" }),
        json!({ "url": "https://169.254.169.254/latest" }),
        json!({ "url": "https://u:p@example.com/" }),
        json!({ "url": "ftp://example.com/" }),
        json!({ "url": format!("https://example.com/{}", "a".repeat(2048)) }),
        json!({ "url": "https://example.com/", "events": ["asset.teleported"] }),
        json!({ "url": "https://example.com/", "description": "x".repeat(256) }),
        json!({ "url": "https://example.com/", "colour": "red" }),
    ] {
        post(&api, PATH, &wrong).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    for _ in 0..16 {
        made(&api, &json!({ "url": "https://example.com/" })).await;
    }
    post(&api, PATH, &json!({ "url": "https://example.com/" })).await.is(StatusCode::CONFLICT, "conflict");
}

#[tokio::test]
async fn a_replay_names_a_place_or_an_event_that_there_is() {
    let api = Api::new().await;
    api.playable("public").await;
    let endpoint = made(&api, &json!({ "url": "https://example.com/" })).await;
    let head = endpoint["cursor"].as_u64().unwrap();
    assert!(head > 3, "a new endpoint is told of what happens from now on");
    let path = format!("{PATH}/{}/replay", endpoint["id"].as_str().unwrap());
    let one = post(&api, &path, &json!({ "event_id": "evt_2" })).await;
    assert_eq!((one.0.status(), &one.json()["waiting"]), (StatusCode::ACCEPTED, &1.into()));
    let back = post(&api, &path, &json!({ "after": 1 })).await.json();
    assert_eq!((&back["cursor"], &back["waiting"]), (&1.into(), &0.into()));
    for wrong in [
        json!({}),
        json!({ "after": 1, "event_id": "evt_2" }),
        json!({ "after": head + 1 }),
        json!({ "event_id": "2" }),
    ] {
        post(&api, &path, &wrong).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    let none = json!({ "event_id": format!("evt_{}", head + 1) });
    post(&api, &path, &none).await.is(StatusCode::NOT_FOUND, "not_found");
}

#[tokio::test]
async fn a_null_says_nothing_of_what_is_new_and_is_refused_where_it_would_take_away() {
    let api = Api::new().await;
    let wish = json!({ "url": "https://example.com/", "description": null, "events": null, "enabled": null });
    let endpoint = made(&api, &wish).await;
    assert_eq!((&endpoint["description"], &endpoint["enabled"]), (&"".into(), &true.into()));
    let path = format!("{PATH}/{}", endpoint["id"].as_str().unwrap());
    for name in ["url", "description", "events", "enabled"] {
        let change = json!({ name: null }).to_string();
        let answer = api.send("PATCH", &path, change.as_bytes()).await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    let replay = format!("{path}/replay");
    for (path, wrong) in [(PATH, json!({ "url": null })), (&replay, json!({ "after": 0, "event_id": null }))] {
        post(&api, path, &wrong).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    assert_eq!(post(&api, &replay, &json!({ "after": 0 })).await.0.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_test_says_what_came_of_it() {
    let here = Guard { plain_http: true, also: Some([127, 0, 0, 1].into()) };
    let api = Api::with(|config| config.webhook_guard = here).await;
    let endpoint = made(&api, &json!({ "url": "http://127.0.0.1:1/" })).await;
    let path = format!("{PATH}/{}/test", endpoint["id"].as_str().unwrap());
    let said = post(&api, &path, &json!({})).await.json();
    assert_eq!((&said["arrived"], &said["status"]), (&false.into(), &Value::Null));
    assert!(said["detail"].as_str().unwrap().contains("no connection"), "{said}");
}
