//! What players and the servers that send them are told.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use http::StatusCode;
use rend_core::asset::{Failure, Move};
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Answer, Api, BEAT};

#[tokio::test]
async fn a_player_is_told_what_it_may_expect() {
    let api = Api::new().await;
    let raw = api.send("POST", "/v1/videos?policy=public", b"x").await.json()["id"].as_str().unwrap().to_owned();
    let waiting = api.send_as("GET", &format!("/api/player/{raw}"), b"", &[]).await;
    waiting.is(StatusCode::CONFLICT, "not_playable");
    assert_eq!(waiting.json()["source_state"], "uploaded");

    let id = api.playable("public").await;
    let host = [("host", "127.0.0.1:4000")];
    let answer = api.send_as("GET", &format!("/api/player/{id}"), b"", &host).await;
    let body = answer.json();
    assert_eq!(body["status"], "ready");
    assert_eq!(body["transport"], "cookie");
    assert_eq!(body["playback_url"], format!("http://127.0.0.1:4100/v/{id}/hls/master.m3u8"));
    assert!(!String::from_utf8_lossy(answer.0.body()).contains("rt1."), "no URL holds a token");
    let cookies: Vec<_> =
        answer.0.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap().to_owned()).collect();
    assert!(
        cookies.iter().any(|c| c.starts_with("rend_pb=rt1.") && c.contains(&format!("Path=/v/{id}/"))),
        "{cookies:?}"
    );

    let elsewhere = api.send_as("GET", &format!("/api/player/{id}"), b"", &[("host", "localhost:4000")]).await.json();
    assert_eq!(elsewhere["transport"], "path");
    assert!(elsewhere["playback_url"].as_str().unwrap().contains("/~rt1."));
}

#[tokio::test]
async fn a_player_that_waits_is_answered_when_there_is_something_to_play() {
    let api = Api::new().await;
    let id = api.send("POST", "/v1/videos?policy=public", b"x").await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/player/{id}?wait=20");
    let wait = api.send_as("GET", &path, b"", &[]);
    let play = async {
        // Events that leave it unplayable wake the player and are no answer to it.
        for _ in 0..3 {
            api.bus.wake();
            tokio::task::yield_now().await;
        }
        api.becomes_playable(&id).await;
        api.bus.wake();
    };
    let (answer, ()) = tokio::join!(wait, play);
    assert_eq!(answer.0.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_player_waits_no_longer_than_it_said_and_never_for_what_it_may_not_see() {
    let api = Api::new().await;
    let upload = |policy: &'static str| {
        let api = &api;
        async move {
            let path = format!("/v1/videos?policy={policy}");
            api.send("POST", &path, b"x").await.json()["id"].as_str().unwrap().to_owned()
        }
    };
    let (public, signed) = (upload("public").await, upload("signed").await);
    let ask = |id: &str, wait: &str| format!("/api/player/{id}?wait={wait}");
    api.send_as("GET", &ask(&public, "1"), b"", &[]).await.is(StatusCode::CONFLICT, "not_playable");
    // These two would take twenty seconds, which the test would be killed for.
    api.send_as("GET", &ask(&signed, "20"), b"", &[]).await.is(StatusCode::UNAUTHORIZED, "playback_denied");
    api.advance(&public, Move::Fail(Failure { code: "unreadable".into(), detail: "no".into() })).await;
    api.send_as("GET", &ask(&public, "20"), b"", &[]).await.is(StatusCode::CONFLICT, "unavailable");
    api.send_as("GET", &ask(&public, "21"), b"", &[]).await.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
}

#[tokio::test]
async fn a_signed_asset_needs_a_token_and_keeps_its_session_by_cookie() {
    let api = Api::new().await;
    let id = api.playable("signed").await;
    let path = format!("/api/player/{id}");
    api.send_as("GET", &path, b"", &[]).await.is(StatusCode::UNAUTHORIZED, "playback_denied");
    api.send_as("GET", &format!("{path}?token=rt1.x"), b"", &[]).await.is(StatusCode::UNAUTHORIZED, "playback_denied");
    let handed = api.send("GET", &format!("/v1/assets/{id}/playback"), b"").await.json();
    let token = handed["bootstrap_token"].as_str().unwrap();
    let first = api.send_as("GET", &format!("{path}?token={token}"), b"", &[("host", "127.0.0.1")]).await;
    assert_eq!(first.0.status(), StatusCode::OK);
    let session = first.0.headers().get_all("set-cookie").iter().find_map(|cookie| {
        let text = cookie.to_str().ok()?;
        text.starts_with("rend_session=").then(|| text.split(';').next().unwrap().to_owned())
    });
    let refreshed = api.send_as("GET", &path, b"", &[("host", "127.0.0.1"), ("cookie", &session.unwrap())]).await;
    assert_eq!(refreshed.0.status(), StatusCode::OK);
}

/// Where a viewer in Chicago, Illinois stands, as the network in front of the API says it.
const CHICAGO: [(&str, &str); 6] = [
    ("host", "www.example.com"),
    ("x-vercel-ip-latitude", "41.881832"),
    ("x-vercel-ip-longitude", "-87.623177"),
    ("x-vercel-ip-country", "US"),
    ("x-vercel-ip-country-region", "IL"),
    ("x-vercel-ip-continent", "NA"),
];

async fn bootstrap(api: &Api, id: &str, headers: &[(&str, &str)]) -> Answer {
    let answer = api.send_as("GET", &format!("/api/player/{id}"), b"", headers).await;
    assert_eq!(answer.0.status(), StatusCode::OK);
    answer
}

fn edges_of(body: &Value) -> Vec<String> {
    std::iter::once(&body["edge"])
        .chain(body["fallbacks"].as_array().unwrap().iter().map(|fallback| &fallback["edge"]))
        .map(|edge| edge["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_viewer_plays_from_the_nearest_edge_and_falls_back_to_the_next() {
    let api = Api::new().await;
    let id = api.playable("public").await;
    api.edge("ams-1", "amsterdam", BEAT).await;
    api.edge("ash-1", "us-east", BEAT).await;
    api.edge("lon-1", "london", BEAT).await;
    let body = bootstrap(&api, &id, &CHICAGO).await.json();
    assert_eq!(edges_of(&body), ["ash-1", "lon-1", "ams-1"]);
    let url = body["playback_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("https://ash-1.example.com/v/{id}/~rt1.")), "no cookie reaches the edge");
    assert!(body["fallbacks"][0]["playback_url"].as_str().unwrap().starts_with("https://lon-1.example.com/v/"));
    let berlin = [("x-vercel-ip-country", "DE"), ("x-vercel-ip-continent", "EU")];
    assert_eq!(edges_of(&bootstrap(&api, &id, &berlin).await.json())[0], "ams-1");
}

#[tokio::test]
async fn headers_of_a_network_that_is_not_trusted_move_nobody() {
    let api = Api::with(|config| config.geo_headers = rend_core::routing::GeoHeaders::Cloudflare).await;
    let id = api.playable("public").await;
    api.edge("ams-1", "amsterdam", BEAT).await;
    api.edge("ash-1", "us-east", BEAT).await;
    let hague = [("x-vercel-ip-country", "NL")];
    assert_eq!(edges_of(&bootstrap(&api, &id, &hague).await.json())[0], "ash-1", "the default");
}

#[tokio::test]
async fn an_edge_that_drains_gets_no_viewers_while_another_is_there() {
    let api = Api::new().await;
    let id = api.playable("public").await;
    api.edge("ash-1", "us-east", &BEAT.replace("active", "draining")).await;
    assert_eq!(edges_of(&bootstrap(&api, &id, &CHICAGO).await.json()), ["ash-1"], "the last known good one");
    api.edge("ams-1", "amsterdam", BEAT).await;
    assert_eq!(edges_of(&bootstrap(&api, &id, &CHICAGO).await.json()), ["ams-1"]);
}

#[tokio::test]
async fn edges_that_are_written_down_replace_those_that_registered() {
    let written = "ash-9=us-east=https://ash-9.example.org".parse().unwrap();
    let api = Api::with(|config| config.route_override = written).await;
    let id = api.playable("public").await;
    api.edge("ams-1", "amsterdam", BEAT).await;
    assert_eq!(edges_of(&bootstrap(&api, &id, &[]).await.json()), ["ash-9"]);
}

#[tokio::test]
async fn a_cookie_of_a_shared_domain_reaches_every_edge_below_it() {
    let api = Api::with(|config| config.cookie_domain = Some("example.com".into())).await;
    let id = api.playable("public").await;
    api.edge("ash-1", "us-east", BEAT).await;
    api.edge("ams-1", "amsterdam", BEAT).await;
    let answer = bootstrap(&api, &id, &CHICAGO).await;
    assert_eq!(answer.json()["transport"], "cookie");
    assert!(!String::from_utf8_lossy(answer.0.body()).contains("rt1."), "no URL holds a token");
    let cookies: Vec<_> = answer.0.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap()).collect();
    assert!(cookies.iter().any(|c| c.starts_with("__Secure-rend_pb=") && c.contains("Domain=example.com")));
}

/// Keeps what the asking thread logs. The subscriber is the process's, not the thread's: while there is but one of a thread's,
/// tracing asks whichever thread meets a log line first whether anybody listens, and remembers its no for all.
#[derive(Clone, Copy)]
struct Lines;

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Lines {
    fn keep() {
        static KEPT: Once = Once::new();
        KEPT.call_once(|| {
            let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(Self).finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        LOGGED.take();
    }

    fn text() -> String {
        String::from_utf8(LOGGED.take()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

#[tokio::test]
async fn each_bootstrap_logs_once_why_its_edge_was_chosen_and_nothing_to_find_the_viewer_by() {
    Lines::keep();
    let api = Api::new().await;
    let id = api.playable("public").await;
    api.edge("ash-1", "us-east", BEAT).await;
    let mut headers = CHICAGO.to_vec();
    headers.extend([("x-forwarded-for", "203.0.113.77"), ("cookie", "rend_session=rt1.secret")]);
    let answer = bootstrap(&api, &id, &headers).await;
    let text = Lines::text();
    let told: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["event"] == "rend_player_edge_selected")
        .collect();
    let [line] = told.as_slice() else { panic!("one line, not {}", told.len()) };
    let mut names: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    names.retain(|name| !["timestamp", "level", "target", "span", "spans"].contains(name));
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "continent",
            "country",
            "country_region",
            "distance_km",
            "event",
            "failed_open",
            "has_coordinates",
            "playback_host",
            "reason",
            "request_id",
            "route",
            "route_region"
        ]
    );
    assert_eq!(line["request_id"], answer.0.headers()["x-request-id"].to_str().unwrap());
    assert_eq!((&line["route"], &line["reason"]), (&"ash-1".into(), &"nearest".into()));
    for secret in ["41.88", "87.62", "203.0.113.77", "rt1.", "rend_pb", "https://"] {
        assert!(!text.contains(secret), "{secret} is logged");
    }
}
