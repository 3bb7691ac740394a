//! Private: edges deliver the account of what they served.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use rend_shell::body::{BodyError, capped};
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::error::ApiError;
use crate::http::{Answer, json};
use crate::state::State;

/// Bytes of a batch, at most: above what an edge sends, so that a full batch always fits.
const BATCH_BYTES_MAX: usize = 8 << 20;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let with = Arc::clone(state);
    warp::path!("internal" / "telemetry" / "playback")
        .and(warp::post())
        .and(warp::header::optional::<String>("authorization"))
        .and(capped(BATCH_BYTES_MAX))
        .then(move |header: Option<String>, body: Result<Bytes, BodyError>| {
            let state = Arc::clone(&with);
            async move {
                state.config.telemetry_token.admits(header.as_deref())?;
                ingest(&state, &body?).await
            }
        })
        .boxed()
}

/// One bad event never rejects its batch: it is answered by its place.
async fn ingest(state: &State, body: &[u8]) -> Answer {
    let decoded = rend_telemetry::wire::decode(body).map_err(|e| ApiError::field("body", e.to_string()))?;
    let recorded = state.stores.analytics.record(&decoded.batch, state.clock.wall()).await?;
    state.metrics.telemetry_events.inc_by(recorded.new);
    let rejected: Vec<Value> =
        decoded.rejected.iter().map(|bad| value!({ "index": bad.index, "reason": bad.reason })).collect();
    json(StatusCode::OK, &value!({ "new": recorded.new, "repeated": recorded.repeated, "rejected": rejected }))
}
