//! An API over stores in memory, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use rend_api::config::{ApiConfig, SOLE_ORG};
use rend_api::{BearerToken, Bus, Deps, RateLimits, State, Stores, Tickets, make_key, routes};
use rend_core::asset::{MediaFacts, Move};
use rend_core::credential::Scopes;
use rend_core::id::AssetId;
use rend_core::routing::GeoHeaders;
use rend_core::time::Clock;
use rend_shell::{ShutdownTrigger, SystemClock, shutdown_pair};
use rend_storage::assets::Change;
use rend_token::{KeyRingBuf, Policy, RingValues};
use serde_json::Value;

use crate::contract;

/// An API over memory, with a key for everything.
pub(crate) struct Api {
    pub(crate) state: Arc<State>,
    pub(crate) stores: Stores,
    pub(crate) key: String,
    pub(crate) clock: SystemClock,
    pub(crate) bus: Bus,
    _trigger: ShutdownTrigger,
}

pub(crate) const UPLOAD_BYTES_MAX: u64 = 1000;

impl Api {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// An API whose configuration differs from the usual by `change`.
    pub(crate) async fn with(change: impl FnOnce(&mut ApiConfig)) -> Self {
        rend_shell::install_tls();
        let stores = Stores::memory();
        let clock = SystemClock::start();
        let values = RingValues {
            signing_label: Some("test"),
            signing_secret: Some("a-secret-that-only-these-tests-use-0123456789"),
            ..RingValues::default()
        };
        let ring = KeyRingBuf::from_values(&values, Policy::new()).unwrap();
        let (trigger, shutdown) = shutdown_pair();
        let mut config = ApiConfig {
            site_url: "http://127.0.0.1:4000".into(),
            playback_base_url: "http://127.0.0.1:4100".into(),
            route_override: "".parse().unwrap(),
            geo_headers: GeoHeaders::Vercel,
            cookie_domain: None,
            upload_bytes_max: UPLOAD_BYTES_MAX,
            source_bytes_max: UPLOAD_BYTES_MAX * 50_000,
            org_source_bytes_max: 0,
            pull_guard: rend_core::upload::pull::Guard::STRICT,
            webhook_guard: rend_core::upload::pull::Guard::STRICT,
            object_health_url: None,
            job_attempts_max: 3,
            edge_token: BearerToken::new("the-edges-token"),
            telemetry_token: BearerToken::new("the-telemetry-token"),
            operator_token: Some(BearerToken::new("the-operators-token")),
            expected_edges: "".parse().unwrap(),
            heartbeat_interval: Duration::from_secs(15),
            heartbeat_window: Duration::from_secs(120),
            warm_artifacts_max: 16,
            gate_report: None,
            cors_origins: vec!["https://www.example.com".into()],
            ages: rend_core::retention::Ages::default(),
            retention_dry_run: false,
            rate_limits: RateLimits::default(),
            org: SOLE_ORG,
        };
        change(&mut config);
        let bus = Bus::default();
        let deps = Deps {
            stores: stores.clone(),
            clock: Arc::new(clock),
            tickets: Tickets::new(ring, 900),
            bus: bus.clone(),
            shutdown,
        };
        let state = State::new(config, deps).unwrap();
        let key =
            make_key(stores.credentials.as_ref(), SOLE_ORG, "all", Scopes::ALL, None, clock.wall()).await.unwrap().1;
        Self { state, stores, key, clock, bus, _trigger: trigger }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.send_as(method, path, body, &[("authorization", &format!("Bearer {}", self.key))]).await
    }

    pub(crate) async fn send_as(&self, method: &str, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        let mut request = warp::test::request().method(method).path(path).body(body);
        if matches!(method, "POST" | "PUT" | "PATCH") {
            request = request.header("content-length", body.len());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let private = path.starts_with("/internal") || path == "/metrics";
        let routes = if private { routes::private(&self.state) } else { routes::public(&self.state) };
        let answer = Answer(request.reply(&routes).await);
        contract::check(method, path, &answer);
        answer
    }

    /// Asks the private listener, also for what both have.
    pub(crate) async fn send_private(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = warp::test::request().method(method).path(path).body("{}");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer(request.reply(&routes::private(&self.state)).await)
    }

    pub(crate) async fn advance(&self, asset: &str, step: Move) {
        let asset: AssetId = asset.parse().unwrap();
        let change = Change { asset, expect: None, step, fence: None, enqueue: None, now: self.clock.wall() };
        self.stores.assets.advance(&change).await.unwrap();
    }

    /// Uploads something and says that it plays.
    pub(crate) async fn playable(&self, policy: &str) -> String {
        let id = self.send("POST", &format!("/v1/videos?policy={policy}"), b"bytes").await.json()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        self.becomes_playable(&id).await;
        id
    }

    /// Says of something uploaded that it plays.
    pub(crate) async fn becomes_playable(&self, id: &str) {
        self.advance(id, Move::BeginProcessing).await;
        let media = MediaFacts {
            container: "mov".into(),
            duration_ms: 4000,
            width: 640,
            height: 360,
            millifps: 30_000,
            video_codec: "h264".into(),
            audio_codec: String::new(),
            notes: vec![],
        };
        self.advance(id, Move::Planned { media, renditions: vec![rend_core::artifact::Rendition::P360] }).await;
        self.advance(id, Move::OpenerReady { took_ms: 70 }).await;
    }
}

pub(crate) struct Answer(pub(crate) Response<Bytes>);

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.0.body()).unwrap()
    }

    #[track_caller]
    pub(crate) fn is(&self, status: StatusCode, code: &str) {
        let body = self.json();
        assert_eq!((self.0.status(), body["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(self.0.headers()["content-type"], "application/problem+json");
        assert_eq!(body["request_id"], self.0.headers()["x-request-id"].to_str().unwrap());
    }
}

/// A heartbeat of an active edge.
pub(crate) const BEAT: &str = r#"{"state":"active","cache_bytes_max":10,"cache_bytes_used":1,"cache_entries":1,"disk_bytes_free":9,"fills":0,"spool_events":0,"dropped_events":0,"purge_seen":0}"#;

impl Api {
    /// Registers an edge at `https://{id}.example.com`, which says `beat` of itself.
    pub(crate) async fn edge(&self, id: &str, region: &str, beat: &str) {
        let register = format!(
            r#"{{"id":"{id}","region":"{region}","public_url":"https://{id}.example.com","private_url":"http://127.0.0.1:9","version":"0","beat":{beat}}}"#
        );
        let headers = [("authorization", "Bearer the-edges-token")];
        let answer = self.send_as("POST", "/internal/edges/register", register.as_bytes(), &headers).await;
        assert_eq!(answer.0.status(), StatusCode::OK);
    }

    /// A key that may do only `scopes`.
    pub(crate) async fn key_for(&self, scopes: Scopes) -> String {
        make_key(self.stores.credentials.as_ref(), SOLE_ORG, "some", scopes, None, self.clock.wall()).await.unwrap().1
    }
}
