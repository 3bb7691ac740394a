//! Health: `/healthz` looks at nothing, `/readyz` answers from what a sampler last saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use rend_core::artifact::ObjectKey;
use rend_core::time::Mono;
use rend_storage::StoreError;
use serde_json::{Value, json};
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
    let now = state.clock.mono();
    let samples = state.samples.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let checks: serde_json::Map<String, Value> = samples
        .iter()
        .map(|(name, sample)| {
            let status = if sample.ok { "ok" } else { "failed" };
            let value = json!({
                "status": status,
                "age_ms": u64::try_from(now.since(sample.at).as_millis()).unwrap_or(u64::MAX),
                "latency_ms": u64::try_from(sample.latency.as_millis()).unwrap_or(u64::MAX),
            });
            ((*name).to_owned(), value)
        })
        .collect();
    let ready = !state.shutdown.is_requested() && samples.len() == DEPENDENCIES && samples.values().all(|s| s.ok);
    let (status, word) = if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    answer(status, &json!({ "status": word, "checks": checks }))
}

/// How many dependencies the sampler looks at.
const DEPENDENCIES: usize = 2;

/// Looks at each dependency on its own clock, so that a slow one never makes a probe slow.
pub(crate) async fn sample(state: Arc<State>) {
    let mut shutdown = state.shutdown.clone();
    loop {
        let database = timed(&state, async { state.stores.events.head().await.is_ok() }).await;
        let objects = timed(&state, async {
            let Ok(probe) = "health/probe".parse::<ObjectKey>() else { return false };
            matches!(state.stores.objects.head(&probe).await, Ok(_) | Err(StoreError::NotFound { .. }))
        })
        .await;
        {
            let mut samples = state.samples.0.lock().unwrap_or_else(PoisonError::into_inner);
            samples.insert("database", database);
            samples.insert("objects", objects);
        }
        tokio::select! {
            () = tokio::time::sleep(SAMPLE_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

async fn timed(state: &State, look: impl Future<Output = bool>) -> Sample {
    let began = state.clock.mono();
    let ok = tokio::time::timeout(ANSWER_TIMEOUT, look).await.unwrap_or(false);
    let at = state.clock.mono();
    Sample { ok, at, latency: at.since(began) }
}
