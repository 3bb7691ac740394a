//! Private: edges register, beat, and learn what to forget.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use rend_core::fleet::wire::{BeatAnswer, HeartbeatWire, PurgesAnswer, RegisterAnswer, RegisterWire};
use rend_core::fleet::{EdgeRow, PurgeRow};
use rend_core::id::{AssetId, EdgeId};
use rend_shell::body::{BodyError, capped};
use rend_storage::StoreError;
use serde::de::DeserializeOwned;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::error::ApiError;
use crate::http::fleet::edge_views;
use crate::http::videos::query_pairs;
use crate::http::{Answer, get, json, raw_query, with_state};
use crate::state::State;
use crate::wire::Page;

/// Bytes of a registration or heartbeat, at most.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Purge orders in one answer, at most.
const PURGES_MAX: usize = 1000;
/// Assets of them that are looked up at a time.
const LOOKS_AT_ONCE: usize = 4;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let trusted = |state: &Arc<State>| {
        let state = Arc::clone(state);
        warp::header::optional::<String>("authorization")
            .map(move |header: Option<String>| state.config.edge_token.admits(header.as_deref()))
    };
    let register = warp::path!("internal" / "edges" / "register")
        .and(warp::post())
        .and(with_state(state))
        .and(trusted(state))
        .and(capped(BODY_BYTES_MAX))
        .then(|state: Arc<State>, trusted: Result<(), ApiError>, body: Result<Bytes, BodyError>| async move {
            trusted?;
            register(&state, &read(&body?)?).await
        });
    let heartbeat = warp::path!("internal" / "edges" / "heartbeat")
        .and(warp::post())
        .and(with_state(state))
        .and(trusted(state))
        .and(capped(BODY_BYTES_MAX))
        .then(|state: Arc<State>, trusted: Result<(), ApiError>, body: Result<Bytes, BodyError>| async move {
            trusted?;
            heartbeat(&state, &read(&body?)?).await
        });
    let list = warp::path!("internal" / "edges").and(get()).and(with_state(state)).and(trusted(state)).then(
        |state: Arc<State>, trusted: Result<(), ApiError>| async move {
            trusted?;
            json(StatusCode::OK, &Page { data: edge_views(&state).await?, next_cursor: None })
        },
    );
    let purges =
        warp::path!("internal" / "purges").and(get()).and(with_state(state)).and(trusted(state)).and(raw_query()).then(
            |state: Arc<State>, trusted: Result<(), ApiError>, query: String| async move {
                trusted?;
                purges(&state, &query).await
            },
        );
    register.or(heartbeat).unify().or(list).unify().or(purges).unify().boxed()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| ApiError::field("body", e.to_string()))
}

async fn register(state: &State, wire: &RegisterWire) -> Answer {
    let now = state.clock.wall();
    let row: EdgeRow = wire.to_row(now).map_err(|e| ApiError::field("body", e.to_string()))?;
    let (public, private) = (row.public_url.parse(), row.private_url.parse());
    let (Ok(public), Ok(private)) = (public, private) else {
        return Err(ApiError::field("/public_url", "an http or https URL"));
    };
    if let Err(stranger) = state.config.expected_edges.admit(&row.id, &row.region, &public, Some(&private)) {
        tracing::warn!(edge = %row.id, region = row.region, %stranger, "an edge that is not expected tried to register");
        return Err(ApiError::EdgeNotExpected);
    }
    state.stores.edges.register(&row).await?;
    let purge_head = state.stores.purges.purge_head().await?;
    tracing::info!(edge = %row.id, region = row.region, "an edge registered");
    json(
        StatusCode::OK,
        &RegisterAnswer { purge_head, heartbeat_interval_secs: state.config.heartbeat_interval.as_secs() },
    )
}

async fn heartbeat(state: &State, wire: &HeartbeatWire) -> Answer {
    let id: EdgeId =
        wire.id.parse().map_err(|_| ApiError::field("/id", "an edge id of 1 to 63 characters a-z, 0-9 and -"))?;
    let beat = wire.beat.to_beat().map_err(|e| ApiError::field("/beat", e.to_string()))?;
    match state.stores.edges.beat(&id, &beat, state.clock.wall()).await {
        Ok(()) => json(StatusCode::OK, &BeatAnswer { purge_head: state.stores.purges.purge_head().await? }),
        Err(StoreError::NotFound { .. }) => Err(ApiError::EdgeUnknown),
        Err(error) => Err(error.into()),
    }
}

async fn purges(state: &State, query: &str) -> Answer {
    let mut after = 0;
    let mut limit = PURGES_MAX;
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "after" => after = value.parse().map_err(|_| ApiError::field("after", "the place of a purge order"))?,
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=PURGES_MAX).contains(limit))
                    .ok_or_else(|| ApiError::field("limit", "a number from 1 to 1000"))?;
            }
            other => {
                return Err(ApiError::field("query", format!("`{other}` is not known; known are after and limit")));
            }
        }
    }
    let rows = state.stores.purges.purges_after(after, limit).await?;
    let head = state.stores.purges.purge_head().await?;
    json(StatusCode::OK, &PurgesAnswer::new(&rows, head, &deleted(state, &rows).await?))
}

/// Those that `rows` name and that were deleted: what their objects still hold is to come back into no cache.
async fn deleted(state: &State, rows: &[PurgeRow]) -> Result<BTreeSet<AssetId>, StoreError> {
    let named: BTreeSet<AssetId> = rows.iter().map(|row| row.asset).collect();
    let looks = named
        .into_iter()
        .map(|asset| async move { Ok::<_, StoreError>(state.dispatch.is_gone(asset).await?.then_some(asset)) });
    let found: Vec<Option<AssetId>> = stream::iter(looks).buffered(LOOKS_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}
