//! Repeats, changes that meet, and callers that ask too often.

use std::net::SocketAddr;

use http::{HeaderValue, StatusCode};
use rend_api::{RateLimits, routes};
use rend_shell::Peer;

use crate::support::{Answer, Api, BEAT};

impl Api {
    async fn named(&self, name: &str, method: &str, path: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        self.send_as(method, path, body, &[("authorization", &bearer), ("idempotency-key", name)]).await
    }

    async fn if_match(&self, tag: &str, method: &str, path: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        self.send_as(method, path, body, &[("authorization", &bearer), ("if-match", tag)]).await
    }
}

#[tokio::test]
async fn a_request_with_a_name_is_done_once_and_answered_alike() {
    let api = Api::new().await;
    let wish = br#"{"name":"ci","scopes":["read"]}"#;
    let first = api.named("a", "POST", "/v1/keys", wish).await;
    assert_eq!(first.0.status(), StatusCode::CREATED);
    let again = api.named("a", "POST", "/v1/keys", wish).await;
    assert_eq!((again.0.status(), again.json()), (StatusCode::CREATED, first.json()));
    assert_eq!(again.0.headers()["idempotency-replayed"], "true");
    assert_ne!(again.0.headers()["x-request-id"], first.0.headers()["x-request-id"]);
    let other = api.named("a", "POST", "/v1/keys", br#"{"name":"cd","scopes":["read"]}"#).await;
    other.is(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
    let keys = api.send("GET", "/v1/keys", b"").await.json()["data"].as_array().unwrap().len();
    assert_eq!(keys, 2, "the one of the test, and one more");
    api.named("b", "POST", "/v1/keys", b"{").await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    let mended = api.named("b", "POST", "/v1/keys", wish).await;
    assert_eq!(mended.0.status(), StatusCode::CREATED, "what was refused did nothing, and leaves its name free");
    api.named("no name", "POST", "/v1/keys", wish).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
}

#[tokio::test]
async fn an_upload_with_a_name_makes_one_asset() {
    let api = Api::new().await;
    let first = api.named("a", "POST", "/v1/videos?title=A", b"bytes").await;
    let again = api.named("a", "POST", "/v1/videos?title=A", b"bytes").await;
    assert_eq!((again.0.status(), again.json()["id"].clone()), (StatusCode::CREATED, first.json()["id"].clone()));
    let longer = api.named("a", "POST", "/v1/videos?title=A", b"more bytes").await;
    longer.is(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
    let other = api.named("a", "POST", "/v1/videos?title=B", b"bytes").await;
    other.is(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
    assert_eq!(api.send("GET", "/v1/assets", b"").await.json()["data"].as_array().unwrap().len(), 1);
    api.named("b", "POST", "/v1/videos", b"").await.is(StatusCode::UNPROCESSABLE_ENTITY, "empty_upload");
    assert_eq!(api.named("b", "POST", "/v1/videos", b"x").await.0.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_change_of_what_the_caller_has_not_seen_is_refused() {
    let api = Api::new().await;
    let id = api.send("POST", "/v1/videos", b"x").await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/assets/{id}");
    let seen = api.send("GET", &path, b"").await.0.headers()["etag"].to_str().unwrap().to_owned();
    let changed = api.if_match(&seen, "PATCH", &path, br#"{"title":"New"}"#).await;
    assert_eq!(changed.0.status(), StatusCode::OK);
    let now = changed.0.headers()["etag"].to_str().unwrap().to_owned();
    assert_ne!(now, seen);
    for (method, body) in [("PATCH", &br#"{"title":"Newer"}"#[..]), ("DELETE", b"")] {
        api.if_match(&seen, method, &path, body).await.is(StatusCode::PRECONDITION_FAILED, "changed_meanwhile");
    }
    for (method, body) in [("PATCH", &br#"{"title":"Newer"}"#[..]), ("DELETE", b"")] {
        let unnamed = api.if_match("", method, &path, body).await;
        unnamed.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    for null in ["title", "metadata", "playback_policy"] {
        let change = format!(r#"{{"{null}":null}}"#);
        api.send("PATCH", &path, change.as_bytes()).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    }
    assert_eq!(api.send("GET", &path, b"").await.json()["title"], "New");
    assert_eq!(api.if_match(&now, "DELETE", &path, b"").await.0.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn words_with_an_upload_that_say_nothing_are_taken_and_those_that_can_not_be_read_are_refused() {
    let api = Api::new().await;
    let begin = async |words: &[u8]| {
        let request = warp::test::request().method("POST").path("/v1/uploads");
        let request = request.header("authorization", format!("Bearer {}", api.key)).header("tus-resumable", "1.0.0");
        let request = request.header("upload-length", 10).header("content-length", 0);
        let request = request.header("upload-metadata", HeaderValue::from_bytes(words).unwrap());
        request.reply(&routes::public(&api.state)).await.status()
    };
    assert_eq!(begin(b"").await, StatusCode::CREATED);
    assert_eq!(begin(b"title aGVsbG8=").await, StatusCode::CREATED);
    for wrong in [&b"title \xfc"[..], b"title *"] {
        assert_eq!(begin(wrong).await, StatusCode::BAD_REQUEST);
    }
    let bearer = format!("Bearer {}", api.key);
    let headers =
        [("authorization", bearer.as_str()), ("content-type", "application/json"), ("upload-metadata", "title aGk=")];
    let twice = api.send_as("POST", "/v1/uploads", br#"{"bytes":10,"title":"other"}"#, &headers).await;
    twice.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
}

#[tokio::test]
async fn a_key_that_asks_too_often_waits_and_is_told_how_long() {
    let api = Api::with(|config| config.rate_limits = RateLimits { reads: 2, writes: 1, address: 0 }).await;
    let first = api.send("GET", "/v1/assets", b"").await;
    assert_eq!(first.0.headers()["ratelimit-policy"], "\"reads\";q=2;w=60");
    assert_eq!(first.0.headers()["ratelimit"], "\"reads\";r=1;t=30");
    api.send("GET", "/v1/assets", b"").await;
    let refused = api.send("GET", "/v1/assets", b"").await;
    refused.is(StatusCode::TOO_MANY_REQUESTS, "rate_limited");
    let wait: u64 = refused.0.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((29..=30).contains(&wait), "{wait}");
    assert!(refused.0.headers().contains_key("ratelimit"));
    let written = api.send("POST", "/v1/videos", b"x").await;
    assert_eq!(written.0.status(), StatusCode::CREATED, "writing is counted apart");
    api.send("POST", "/v1/videos", b"x").await.is(StatusCode::TOO_MANY_REQUESTS, "rate_limited");
    assert_eq!(api.send("GET", "/healthz", b"").await.0.status(), StatusCode::OK, "probes are never counted");
}

#[tokio::test]
async fn an_address_class_that_asks_too_often_waits_and_others_do_not() {
    let api = Api::with(|config| {
        config.rate_limits = RateLimits { reads: 0, writes: 0, address: 2 };
        config.geo_headers = rend_core::routing::GeoHeaders::None;
    })
    .await;
    let id = api.playable("public").await;
    let ask = async |from: &str| {
        let peer = Peer(SocketAddr::new(from.parse().unwrap(), 5000));
        let request = warp::test::request().path(&format!("/api/player/{id}")).extension(peer);
        request.reply(&routes::public(&api.state)).await.status()
    };
    for from in ["2001:db8::1", "2001:db8::2"] {
        assert_eq!(ask(from).await, StatusCode::OK);
    }
    assert_eq!(ask("2001:db8::3").await, StatusCode::TOO_MANY_REQUESTS, "one network is one class");
    assert_eq!(ask("2001:db8:0:1::3").await, StatusCode::OK);
    for _ in 0..5 {
        assert_eq!(ask("10.0.0.1").await, StatusCode::OK, "a proxy of ours stands for everybody");
    }
}

#[tokio::test]
async fn a_page_may_fetch_from_the_edges_that_there_are_and_do_no_more() {
    let api = Api::new().await;
    api.edge("ash-1", "us-east", BEAT).await;
    let id = api.playable("public").await;
    let page = api.send_as("GET", &format!("/watch/{id}"), b"", &[]).await;
    let policy = page.0.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("connect-src 'self' http://127.0.0.1:4100 https://ash-1.example.com;"), "{policy}");
    for unneeded in ["unsafe", "data:", "worker-src", "font-src"] {
        assert!(!policy.contains(unneeded), "{policy}");
    }
    let tag = page.0.headers()["etag"].to_str().unwrap();
    let again = api.send_as("GET", &format!("/watch/{id}"), b"", &[("if-none-match", tag)]).await;
    assert_eq!(again.0.status(), StatusCode::NOT_MODIFIED);
    assert!(again.0.headers().contains_key("content-security-policy"));
}

#[tokio::test]
async fn a_cursor_that_the_log_has_not_reached_is_refused() {
    let api = Api::new().await;
    let id = api.send("POST", "/v1/videos", b"x").await.json()["id"].as_str().unwrap().to_owned();
    let head = api.stores.events.head().await.unwrap();
    let bearer = format!("Bearer {}", api.key);
    let page = format!("/v1/assets/{id}/events?after={head}");
    assert_eq!(api.send("GET", &page, b"").await.json()["data"].as_array().unwrap().len(), 0);
    let beyond = format!("/v1/assets/{id}/events?after={}", head + 1);
    api.send("GET", &beyond, b"").await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
    let last = (head + 1).to_string();
    let headers = [("authorization", bearer.as_str()), ("last-event-id", last.as_str())];
    api.send_as("GET", "/v1/events", b"", &headers).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
}
