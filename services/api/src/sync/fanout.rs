//! Warm and purge, pushed to every live edge.
//!
//! A purge order is written into the log before it is pushed. The push makes it fast; the log makes it certain, since an
//! edge that was away reads the log before it reports active.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use rend_core::event::{EventKind, FanoutOutcome};
use rend_core::fleet::EdgeRow;
use rend_core::fleet::wire::{PurgeWire, WarmWire};
use rend_core::http::{Method, Request};
use rend_core::id::AssetId;
use rend_storage::StoreError;

use crate::state::State;

/// How long an edge may take to answer a push.
const PUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Orders every edge to forget `asset`, and waits for the live ones, within bounds. Answers whether the order is
/// written down.
pub(crate) async fn purge(state: &Arc<State>, asset: AssetId) -> bool {
    let seq = match state.stores.purges.append_purge(asset, state.clock.wall()).await {
        Ok(seq) => seq,
        Err(error) => {
            tracing::warn!(%asset, %error, "a purge could not be written down; the delete job tries again");
            return false;
        }
    };
    let body = body(&PurgeWire::hard(asset, seq));
    push(state, asset, "internal/purge", &body, |edge, outcome| EventKind::EdgePurge { edge, outcome }).await;
    true
}

/// Asks every live edge to fetch `wire` ahead of viewers. A warm that fails costs a miss, no more.
pub(crate) async fn warm(state: &Arc<State>, asset: AssetId, wire: &WarmWire) {
    let body = body(wire);
    push(state, asset, "internal/warm", &body, |edge, outcome| EventKind::EdgeWarm { edge, outcome }).await;
}

fn body(wire: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(wire).unwrap_or_default().into()
}

async fn push(
    state: &Arc<State>,
    asset: AssetId,
    path: &str,
    body: &Bytes,
    event: impl Fn(rend_core::id::EdgeId, FanoutOutcome) -> EventKind,
) {
    let Ok(edges) = state.stores.edges.all().await else { return };
    let now = state.clock.wall();
    let live: Vec<EdgeRow> = edges.into_iter().filter(|edge| state.is_live(edge, now)).collect();
    for edge in &live {
        note(state, asset, &event(edge.id.clone(), FanoutOutcome::Attempted)).await;
    }
    let outcomes = join_all(live.iter().map(|edge| ask(state, edge, path, body.clone()))).await;
    for (edge, done) in live.into_iter().zip(outcomes) {
        let outcome = if done { FanoutOutcome::Succeeded } else { FanoutOutcome::Failed };
        note(state, asset, &event(edge.id, outcome)).await;
    }
    state.bus.wake();
}

async fn ask(state: &State, edge: &EdgeRow, path: &str, body: Bytes) -> bool {
    let request = Request {
        method: Method::Post,
        url: format!("{}/{path}", edge.private_url.trim_end_matches('/')),
        headers: vec![("authorization", state.config.edge_token.header()), ("content-type", "application/json".into())],
        body,
    };
    match tokio::time::timeout(PUSH_TIMEOUT, state.client.send(request)).await {
        Ok(Ok(answer)) if answer.is_success() => true,
        Ok(Ok(answer)) => {
            tracing::warn!(edge = %edge.id, status = answer.status, path, "an edge refused a push");
            false
        }
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(edge = %edge.id, path, "an edge did not answer a push");
            false
        }
    }
}

async fn note(state: &State, asset: AssetId, kind: &EventKind) {
    match state.stores.events.append(asset, kind, state.clock.wall()).await {
        Ok(_) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => tracing::warn!(%asset, %error, "an event was not written down"),
    }
}
