//! `GET /v1/fleet`: each edge, and the latest verdict of the gate.

use std::sync::Arc;

use http::StatusCode;
use rend_core::credential::Scope;
use rend_core::fleet::EdgeRow;
use rend_core::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, state_and_caller};
use crate::error::ApiError;
use crate::http::{Answer, get, json};
use crate::state::State;

/// Bytes of the gate's report that are shown, at most.
const GATE_BYTES_MAX: u64 = 1 << 20;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    warp::path!("v1" / "fleet")
        .and(get())
        .and(state_and_caller(state, Scope::Read))
        .then(|state: Arc<State>, caller: Result<Caller, ApiError>| async move {
            caller?;
            show(&state).await
        })
        .boxed()
}

#[derive(Serialize)]
struct FleetJson {
    edges: Vec<EdgeJson>,
    purge_head: u64,
    gate: Option<Value>,
}

/// One edge, for people.
#[derive(Serialize)]
pub(crate) struct EdgeJson {
    id: String,
    region: String,
    state: &'static str,
    live: bool,
    version: String,
    heartbeat_age_ms: u64,
    public_url: String,
    cache: CacheJson,
    disk_bytes_free: u64,
    fills: u32,
    spool_events: u64,
    dropped_events: u64,
    purge_seen: u64,
}

#[derive(Serialize)]
struct CacheJson {
    bytes_max: u64,
    bytes_used: u64,
    entries: u64,
}

impl EdgeJson {
    fn new(row: &EdgeRow, live: bool, now: Timestamp) -> Self {
        let age = now.since(row.beat_at);
        Self {
            id: row.id.to_string(),
            region: row.region.clone(),
            state: row.beat.state.as_str(),
            live,
            version: row.version.clone(),
            heartbeat_age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            public_url: row.public_url.clone(),
            cache: CacheJson {
                bytes_max: row.beat.cache_bytes_max,
                bytes_used: row.beat.cache_bytes_used,
                entries: row.beat.cache_entries,
            },
            disk_bytes_free: row.beat.disk_bytes_free,
            fills: row.beat.fills,
            spool_events: row.beat.spool_events,
            dropped_events: row.beat.dropped_events,
            purge_seen: row.beat.purge_seen,
        }
    }
}

/// Every edge, with whether it counts as live.
pub(crate) async fn edge_views(state: &State) -> Result<Vec<EdgeJson>, ApiError> {
    let now = state.clock.wall();
    let rows = state.stores.edges.all().await?;
    Ok(rows.iter().map(|row| EdgeJson::new(row, state.is_live(row, now), now)).collect())
}

async fn show(state: &State) -> Answer {
    let edges = edge_views(state).await?;
    let purge_head = state.stores.purges.purge_head().await?;
    let path = state.config.gate_report.clone();
    // A report that is absent, oversized or half-written is no report.
    let gate = rend_shell::spawn_blocking(move || {
        let path = path?;
        let small = std::fs::metadata(&path).ok()?.len() <= GATE_BYTES_MAX;
        small.then(|| std::fs::read(&path).ok())?.and_then(|text| serde_json::from_slice(&text).ok())
    })
    .await
    .ok()
    .flatten();
    json(StatusCode::OK, &FleetJson { edges, purge_head, gate })
}
