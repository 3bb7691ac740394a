//! One noun a file: parse, ask, remember, reply.
pub(crate) mod analytics;
pub(crate) mod assets;
pub(crate) mod captions;
pub(crate) mod conditional;
pub(crate) mod downloads;
pub(crate) mod edges;
pub(crate) mod events;
pub(crate) mod fleet;
pub(crate) mod health;
pub(crate) mod keys;
pub(crate) mod openapi;
pub(crate) mod operator;
pub(crate) mod pages;
pub(crate) mod player;
pub(crate) mod revocations;
pub(crate) mod telemetry;
pub(crate) mod uploads;
pub(crate) mod usage;
pub(crate) mod videos;
pub(crate) mod viewing;
pub(crate) mod web;
pub(crate) mod webhooks;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::error::ApiError;
use crate::state::State;

/// What a handler answers with.
pub(crate) type Answer = Result<Response, ApiError>;

/// The header by which a request is found in the logs.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// A route that reads: `GET`, and `HEAD` for its head alone.
pub(crate) fn get() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::get().or(warp::head()).unify()
}

/// What every handler works with.
pub(crate) fn with_state(
    state: &Arc<State>,
) -> impl Filter<Extract = (Arc<State>,), Error = Infallible> + Clone + use<> {
    let state = Arc::clone(state);
    warp::any().map(move || Arc::clone(&state))
}

/// The query as it was sent, empty when there is none.
pub(crate) fn raw_query() -> impl Filter<Extract = (String,), Error = Infallible> + Copy {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}

/// A JSON answer, which nobody between us and the caller may keep.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // The wire types are maps with text keys, for which serialisation can not fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = http::Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response.into_response())
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    Ok(status.into_response())
}
