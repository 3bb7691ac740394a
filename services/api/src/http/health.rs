//! Health: `/healthz` looks at nothing, `/readyz` answers from what a sampler last saw.
//!
//! Without its database or its objects an API is not ready. Without ClickHouse or Redis it is, and says what of it is worse:
//! edges keep their accounts until they can be delivered, and each process counts requests alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use rend_core::artifact::ObjectKey;
use rend_core::http::{Method, Request};
use rend_core::id::AssetId;
use rend_core::time::Mono;
use rend_storage::StoreError;
use serde_json::{Map, Value, json};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::http::{Answer, get, json as answer};
use crate::state::State;

/// How often each dependency is looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// A dependency that has not answered for this long counts as failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the sampler last saw of each dependency.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<BTreeMap<&'static str, Sample>>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    ok: bool,
    at: Mono,
    latency: Duration,
}

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let health = Arc::clone(state);
    let healthz = warp::path!("healthz").and(get()).then(move || {
        let state = Arc::clone(&health);
        async move { alive(&state) }
    });
    let ready = Arc::clone(state);
    let readyz = warp::path!("readyz").and(get()).then(move || {
        let state = Arc::clone(&ready);
        async move { readiness(&state) }
    });
    healthz.or(readyz).unify().boxed()
}

fn alive(state: &State) -> Answer {
    let uptime = state.clock.mono().since(state.started);
    answer(
        StatusCode::OK,
        &json!({
            "status": "ok", "service": "rend-api", "version": env!("CARGO_PKG_VERSION"),
            "git_sha": option_env!("REND_GIT_SHA"), "uptime_seconds": uptime.as_secs(),
        }),
    )
}

fn readiness(state: &State) -> Answer {
    let samples = state.samples.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (all, checks) = judged(&samples, state.clock.mono());
    let ready = all && !state.shutdown.is_requested();
    let (status, word) = if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    answer(status, &json!({ "status": word, "checks": checks }))
}

/// Whether everything that is required answers, and what was seen of each dependency.
fn judged(samples: &BTreeMap<&'static str, Sample>, now: Mono) -> (bool, Map<String, Value>) {
    let seen = |(name, sample): (&&'static str, &Sample)| {
        let status = match (sample.ok, REQUIRED.contains(name)) {
            (true, _) => "ok",
            (false, true) => "failed",
            (false, false) => "degraded",
        };
        let value = json!({
            "status": status,
            "age_ms": u64::try_from(now.since(sample.at).as_millis()).unwrap_or(u64::MAX),
            "latency_ms": u64::try_from(sample.latency.as_millis()).unwrap_or(u64::MAX),
        });
        ((*name).to_owned(), value)
    };
    let answers = |name: &&'static str| samples.get(name).is_some_and(|sample| sample.ok);
    (REQUIRED.iter().all(answers), samples.iter().map(seen).collect())
}

/// Without which an API is not ready.
const REQUIRED: [&str; 2] = ["database", "objects"];

/// Looks at each dependency on its own clock, so that a slow one never makes a probe slow.
pub(crate) async fn sample(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    loop {
        let database = timed(&state, async { state.stores.events.head().await.is_ok() }).await;
        let objects = timed(&state, objects_answer(&state)).await;
        let analytics = timed(&state, async {
            let now = state.clock.wall();
            state.stores.analytics.playback(AssetId::from_bytes([0; 16]), now, now).await.is_ok()
        })
        .await;
        let redis = match state.limits.shared_answers(state.clock.wall()) {
            Some(look) => Some(timed(&state, look).await),
            None => None,
        };
        {
            let mut samples = state.samples.0.lock().unwrap_or_else(PoisonError::into_inner);
            samples.insert("database", database);
            samples.insert("objects", objects);
            samples.insert("analytics", analytics);
            samples.extend(redis.map(|sample| ("redis", sample)));
        }
        tokio::select! {
            () = tokio::time::sleep(SAMPLE_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// Whether the object storage answers: what its operator says to ask, else a look for an object.
async fn objects_answer(state: &State) -> bool {
    if let Some(url) = &state.config.object_health_url {
        let request = Request { method: Method::Get, url: url.clone(), headers: Vec::new(), body: Bytes::new() };
        return state.client.send(request).await.is_ok_and(|answer| answer.is_success());
    }
    let Ok(probe) = "health/probe".parse::<ObjectKey>() else { return false };
    matches!(state.stores.objects.head(&probe).await, Ok(_) | Err(StoreError::NotFound { .. }))
}

async fn timed(state: &State, look: impl Future<Output = bool>) -> Sample {
    let began = state.clock.mono();
    let ok = tokio::time::timeout(ANSWER_TIMEOUT, look).await.unwrap_or(false);
    let at = state.clock.mono();
    Sample { ok, at, latency: at.since(began) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(samples: &[(&'static str, bool)], ready: bool, statuses: &[&str]) {
        let sample = |ok| Sample { ok, at: Mono::START, latency: Duration::from_millis(3) };
        let samples = samples.iter().map(|(name, ok)| (*name, sample(*ok))).collect();
        let (found, checks) = judged(&samples, Mono::after_start(Duration::from_secs(1)));
        let said: Vec<_> = checks.values().map(|check| check["status"].as_str().unwrap()).collect();
        assert_eq!((found, said.as_slice()), (ready, statuses), "{checks:?}");
    }

    #[test]
    fn an_api_is_ready_with_its_database_and_objects_and_says_what_else_is_worse() {
        check(&[], false, &[]);
        check(&[("database", true)], false, &["ok"]);
        check(&[("database", true), ("objects", true)], true, &["ok", "ok"]);
        check(&[("database", true), ("objects", false)], false, &["ok", "failed"]);
        let rest = [("analytics", false), ("database", true), ("objects", true), ("redis", false)];
        check(&rest, true, &["degraded", "ok", "ok", "degraded"]);
    }
}
