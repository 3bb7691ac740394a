//! The private listener: what the control plane and operators ask of one edge.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{Response, StatusCode, header};
use rend_cache::{CacheError, EntryState, EntryView, Fate, Gone, Mode, Purged, Scope};
use rend_core::artifact::ArtifactPath;
use rend_core::fleet::Heard;
use rend_core::fleet::wire::{
    BadField, PurgeAnswer, PurgeMode, PurgeScope, PurgeWire, RevocationWire, WarmAnswer, WarmResultWire, WarmStatus,
    WarmWire,
};
use rend_core::fleet::{Beat, EdgeState};
use rend_core::id::{AssetId, RequestId};
use rend_shell::body::BodyError;
use rend_shell::problem::Problem;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::edge::Edge;
use crate::fill::{self, Wanted, Warmed};

/// Bytes that a request's body may have.
pub(crate) const BODY_BYTES_MAX: usize = 256 << 10;

/// Answers a handler's result; the one place that turns a problem into a response.
pub(crate) fn reply(edge: &Edge, result: Result<Response<Bytes>, Problem>) -> Response<Bytes> {
    result.unwrap_or_else(|problem| {
        let id = RequestId::new(edge.accounts.clock.wall(), rend_shell::ten());
        problem.into_response(&id.to_string())
    })
}

/// Whether the bearer is the one that was agreed on.
pub(crate) fn admit(edge: &Edge, authorization: Option<&str>) -> Result<(), Problem> {
    let offered = authorization.and_then(|value| rend_token::transport::bearer(value.as_bytes()));
    if offered.is_some_and(|offered| edge.is_internal(offered)) {
        return Ok(());
    }
    let detail = "Send the value of REND_EDGE_INTERNAL_TOKEN as a bearer.";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "internal_token_wrong", detail))
}

/// `GET /readyz`.
pub(crate) fn ready(edge: &Edge) -> Response<Bytes> {
    let (ready, report) = edge.health.report();
    edge.accounts.metrics.ready.set(i64::from(ready));
    let mut response = json_response(&report);
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// `GET /metrics`.
pub(crate) fn metrics(edge: &Edge) -> Response<Bytes> {
    let (metrics, stats, account) = (&edge.accounts.metrics, edge.cache.stats(), edge.accounts.telemetry.account());
    let figure = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    metrics.cache_bytes.set(figure(stats.used_bytes));
    metrics.cache_entries.set(figure(stats.entries as u64));
    metrics.cache_evictions.set(figure(stats.evicted));
    metrics.prefetch_used_bytes.set(figure(stats.ahead_used_bytes));
    metrics.prefetch_wasted_bytes.set(figure(stats.ahead_wasted_bytes));
    metrics.spool_bytes.set(figure(account.spooled_bytes));
    metrics.spool_events.set(figure(account.queued + account.spooled));
    metrics.telemetry_dropped.set(figure(account.dropped()));
    metrics.purge_seen.set(figure(edge.cache.purge_seen()));
    metrics.revoked.set(figure(edge.trust.len() as u64));
    let mut response = Response::new(Bytes::from(metrics.render()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(rend_shell::metrics::CONTENT_TYPE));
    response
}

/// `POST /internal/warm`.
pub(crate) async fn warm(edge: &Arc<Edge>, body: Result<Bytes, BodyError>) -> Result<Response<Bytes>, Problem> {
    let (asset, paths) = read::<WarmWire>(body)?.to_paths(edge.config.warm_artifacts_max).map_err(bad_field)?;
    let results: Vec<WarmResultWire> = futures::stream::iter(paths)
        .map(|path| async move {
            let (status, reason) = match fill::warm(edge, &Wanted::new(asset, path)).await {
                Warmed::Cached => (WarmStatus::Cached, None),
                Warmed::Filled => (WarmStatus::Filled, None),
                Warmed::Skipped(why) => (WarmStatus::Skipped, Some(why.to_owned())),
                Warmed::Failed(why) => (WarmStatus::Failed, Some(why.to_owned())),
            };
            WarmResultWire { path: path.to_string(), status, reason }
        })
        .buffered(WARM_AT_ONCE)
        .collect()
        .await;
    Ok(json_response(&WarmAnswer { results }))
}

/// `POST /internal/purge`: answers once no crash can undo it.
pub(crate) async fn purge(edge: &Arc<Edge>, body: Result<Bytes, BodyError>) -> Result<Response<Bytes>, Problem> {
    let order: PurgeWire = read(body)?;
    let scope = match order.scope().map_err(bad_field)? {
        PurgeScope::Asset(asset) => Scope::Group(*asset.as_bytes()),
        PurgeScope::Prefix(asset, prefix) => Scope::Prefix(*asset.as_bytes(), prefix.into()),
        PurgeScope::Artifact(asset, path) => Scope::Key(Wanted::new(asset, path).key),
    };
    let mode = match order.mode {
        PurgeMode::Hard => Mode::Hard,
        PurgeMode::Soft => Mode::Soft,
    };
    let unwritten = || {
        let detail = "The order could not be written down, so a restart could undo it. Send it again.";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "purge_not_durable", detail).retry_after(1)
    };
    // Before what is there is forgotten, so that nothing can be fetched between the two.
    if let (true, Scope::Group(asset)) = (order.gone, &scope) {
        edge.gone.add(AssetId::from_bytes(*asset)).await.map_err(|_| unwritten())?;
    }
    let purged = forget(edge, scope, mode, order.seq.unwrap_or(0)).await.map_err(|_| unwritten())?;
    if let Some(seq) = order.seq {
        // A full queue only means that the agent learns it from the log.
        let _ = edge.news.try_send(Heard::Purged { seq });
    }
    Ok(json_response(&PurgeAnswer { purged: purged.entries }))
}

/// `POST /internal/revoke`: answers once the order is in force here, and no crash can undo it.
pub(crate) async fn revoke(edge: &Arc<Edge>, body: Result<Bytes, BodyError>) -> Result<Response<Bytes>, Problem> {
    let row = read::<RevocationWire>(body)?.to_row().map_err(bad_field)?;
    let revoked = edge.trust.revoke(std::slice::from_ref(&row), None, edge.accounts.clock.wall()).await;
    revoked.map_err(|error| {
        tracing::error!(%error, "a revocation is not in force for good");
        let detail = "The order could not be written down, so a restart could undo it. Send it again.";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "revocation_not_durable", detail).retry_after(1)
    })?;
    Ok(json_response(&json!({ "seen": edge.trust.seen().await, "revoked": edge.trust.len() })))
}

/// Carries one purge out, durably. `seq` is its place in the purge log, 0 for none.
pub(crate) async fn forget(edge: &Arc<Edge>, scope: Scope, mode: Mode, seq: u64) -> Result<Purged, CacheError> {
    let _turn = edge.purging.lock().await;
    // Only the next place in line is written down as seen: after a gap, a restart must still ask for what is missing.
    let mark = if seq == edge.cache.purge_seen() + 1 { seq } else { 0 };
    let cache = edge.cache.clone();
    let purged = rend_shell::spawn_blocking(move || cache.purge(&scope, mode, mark)).await;
    edge.accounts.metrics.purges.inc();
    purged.unwrap_or_else(|panic| Err(CacheError::Io { doing: "purging", source: std::io::Error::other(panic) }))
}

/// `GET /internal/cache`.
pub(crate) fn cache_totals(edge: &Edge) -> Response<Bytes> {
    let stats = edge.cache.stats();
    let by_class: serde_json::Map<String, serde_json::Value> = stats
        .by_class
        .iter()
        .map(|(class, of)| {
            let figures =
                json!({ "hits": of.hits, "hit_bytes": of.hit_bytes, "fills": of.fills, "fill_bytes": of.fill_bytes });
            ((*class).to_owned(), figures)
        })
        .collect();
    json_response(&json!({
        "policy": stats.policy,
        "policy_digest": format!("{:016x}", stats.policy_digest),
        "bytes_max": stats.max_bytes,
        "bytes_used": stats.used_bytes,
        "bytes_pending_unlink": stats.pending_bytes,
        "ram_bytes": stats.ram_bytes,
        "disk_bytes_free": stats.free_bytes,
        "entries": stats.entries,
        "by_class": by_class,
        "fills": stats.fills,
        "readers": stats.readers,
        "followers": stats.followers,
        "evicted": stats.evicted,
        "evicted_bytes": stats.evicted_bytes,
        "fills_failed": stats.failed,
        "fills_bypassed": stats.bypassed,
        "disk_errors": stats.disk_errors,
        "corrupt_files": stats.corrupt,
        "prefetch_used_bytes": stats.ahead_used_bytes,
        "prefetch_wasted_bytes": stats.ahead_wasted_bytes,
        "negatives": stats.negatives,
        "open_files": stats.open_files,
        "fences": stats.fences,
        "bytes_unread": stats.unread_bytes,
        "folders_to_look_at": stats.leaves_left,
        "journal_bytes": stats.journal_bytes,
        "purge_seen": edge.cache.purge_seen(),
    }))
}

/// `GET /internal/cache/{assetId}`.
pub(crate) fn cache_of(edge: &Edge, asset: AssetId) -> Response<Bytes> {
    let views = edge.cache.inspect(*asset.as_bytes(), edge.now_ms());
    let entries: Vec<serde_json::Value> = views.iter().map(entry_json).collect();
    json_response(&json!({ "asset_id": asset.to_string(), "data": entries }))
}

/// `GET /internal/cache/{assetId}/{artifactPath}`.
pub(crate) fn cache_fate(edge: &Edge, asset: AssetId, path: &str) -> Result<Response<Bytes>, Problem> {
    let path: ArtifactPath = path.parse().map_err(|_| {
        let detail = "The path names no artifact. Paths look like hls/720p/segment_00003.m4s.";
        Problem::new(StatusCode::NOT_FOUND, "artifact_unknown", detail)
    })?;
    let (fate, why, more) = match edge.cache.explain(&Wanted::new(asset, path).key, edge.now_ms()) {
        Fate::Here(entry) => {
            let why = match entry.standing {
                _ if entry.state == EntryState::Filling => "it is being fetched",
                Some(standing) if standing.pinned || standing.reserved => "it is in use, so it cannot be evicted now",
                Some(_) => "it goes when everything of a smaller distance is gone and room is still needed",
                None => "it is stored beside the policy's books",
            };
            ("kept", why, entry_json(&entry))
        }
        Fate::Negative(negative) => {
            let more = json!({ "reason": format!("{:?}", negative.kind), "asks_again_in_ms": negative.retry_after_ms });
            ("absent", "the origin did not give it a moment ago, which is remembered", more)
        }
        Fate::Gone(gone, ago_ms) => {
            let (why, reason) = match gone {
                Gone::Evicted => ("others were worth more by class, size and demand when room was needed", None),
                Gone::Purged => ("it was purged", None),
                Gone::Damaged => ("its file was not what it should be, so it was dropped", None),
                Gone::Refused(bypass) => ("it was streamed without being stored", Some(bypass.name())),
                _ => ("it is gone", None),
            };
            (gone.name(), why, json!({ "reason": reason, "ago_ms": ago_ms }))
        }
        Fate::Unknown => ("unknown", "nobody asked for it lately, or that is forgotten", json!({})),
    };
    let answer = json!({
        "asset_id": asset.to_string(), "path": path.to_string(), "fate": fate, "why": why, "detail": more,
        "policy": edge.cache.stats().policy,
    });
    Ok(json_response(&answer))
}

fn entry_json(entry: &EntryView) -> serde_json::Value {
    let standing = entry.standing.map(|s| {
        let why_not = if s.reserved {
            Some("it is being filled")
        } else if s.pinned {
            Some("it is being read")
        } else {
            None
        };
        json!({ "distance": s.distance, "hits": s.hits, "evictable": why_not.is_none(), "why_not": why_not })
    });
    json!({
        "path": entry.name,
        "state": match entry.state { EntryState::Stored => "stored", EntryState::Filling => "filling" },
        "bytes": entry.bytes,
        "class": entry.class.name(),
        "age_ms": entry.age_ms,
        "hits": entry.hits,
        "in_ram": entry.in_ram,
        "eviction": standing,
    })
}

/// `GET /internal/cache-log`.
pub(crate) fn cache_log(edge: &Edge) -> Result<Response<Bytes>, Problem> {
    if edge.config.cache_log_bytes_max == 0 {
        let detail = "No log is kept. Start the edge with REND_EDGE_CACHE_LOG_BYTES above 0.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_log", detail));
    }
    let mut response = Response::new(Bytes::from(edge.cache.policy_log()));
    let kind = header::HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// `POST /internal/drain`: no more viewers are wanted; those who are here are served.
pub(crate) fn drain(edge: &Edge) -> Response<Bytes> {
    edge.health.drain();
    let _ = edge.news.try_send(Heard::Drain);
    json_response(&json!({ "status": "draining", "responses_open": edge.accounts.metrics.responses_open.get() }))
}

/// What the edge says of itself.
pub(crate) fn beat(edge: &Edge, state: EdgeState) -> Beat {
    let (stats, account) = (edge.cache.stats(), edge.accounts.telemetry.account());
    Beat {
        state: if edge.health.is_draining() { EdgeState::Draining } else { state },
        cache_bytes_max: stats.max_bytes,
        cache_bytes_used: stats.used_bytes,
        cache_entries: stats.entries as u64,
        disk_bytes_free: stats.free_bytes,
        fills: u32::try_from(stats.fills).unwrap_or(u32::MAX),
        spool_events: account.queued + account.spooled,
        dropped_events: account.dropped(),
        purge_seen: edge.cache.purge_seen(),
    }
}

/// A JSON answer that nobody keeps.
pub(crate) fn json_response(value: &impl serde::Serialize) -> Response<Bytes> {
    // These values hold nothing that JSON can not say.
    let mut response = Response::new(Bytes::from(serde_json::to_vec(value).unwrap_or_default()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn read<T: DeserializeOwned>(body: Result<Bytes, BodyError>) -> Result<T, Problem> {
    let body = body.map_err(|error| match error {
        BodyError::TooLarge { .. } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", error.to_string()),
        BodyError::Cut => Problem::new(StatusCode::BAD_REQUEST, "body_cut", error.to_string()),
    })?;
    serde_json::from_slice(&body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "body_not_understood", error.to_string()))
}

fn bad_field(bad: BadField) -> Problem {
    let detail = format!("{} must be {}.", bad.field, bad.expected);
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "field_not_valid", detail)
        .field(&format!("/{}", bad.field.replace('.', "/")), bad.expected)
}

/// Artifacts of one warm request that are fetched at once.
const WARM_AT_ONCE: usize = 4;
