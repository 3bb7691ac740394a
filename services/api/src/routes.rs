//! Every route, in one list.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use rend_core::id::RequestId;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::error::ApiError;
use crate::http::{
    Answer, REQUEST_ID, analytics, assets, edges, events, fleet, get, health, keys, pages, player, telemetry, videos,
};
use crate::state::State;

/// What callers, viewers and browsers reach.
///
/// | route | what |
/// |---|---|
/// | `POST /v1/videos` | bring in a video |
/// | `GET /v1/assets` · `GET PATCH DELETE /v1/assets/{id}` · `POST …/retry` | what there is |
/// | `GET /v1/assets/{id}/artifacts` · `…/events` · `…/playback` · `…/analytics/playback` | about one of them |
/// | `GET /v1/events` | the event log as a stream |
/// | `GET /v1/analytics/overview` · `GET /v1/fleet` | about all of them |
/// | `GET POST /v1/keys` · `DELETE /v1/keys/{id}` | API keys |
/// | `GET /api/player/{id}` | bootstrap for browsers |
/// | `GET /watch/{id}` · `/embed/{id}` · `/oembed` · `/dashboard` · `/assets/{file}` | pages |
/// | `GET /healthz` · `/readyz` | health |
pub fn public(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    let all = videos::routes(state)
        .or(player::routes(state))
        .unify()
        .or(assets::routes(state))
        .unify()
        .or(events::routes(state))
        .unify()
        .or(analytics::routes(state))
        .unify()
        .or(fleet::routes(state))
        .unify()
        .or(keys::routes(state))
        .unify()
        .or(pages::routes(state))
        .unify()
        .or(health::routes(state))
        .unify()
        .boxed();
    answered(state, all)
}

/// What edges and operators reach, on a listener of its own.
///
/// | route | what |
/// |---|---|
/// | `POST /internal/edges/register` · `/heartbeat` · `GET /internal/edges` | the fleet |
/// | `GET /internal/purges` | what to forget, in order |
/// | `POST /internal/telemetry/playback` | what was served |
/// | `GET /metrics` · `/healthz` · `/readyz` | observability |
pub fn private(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    let metrics = {
        let state = Arc::clone(state);
        warp::path!("metrics").and(get()).map(move || -> Answer {
            let mut response = state.metrics.registry.render().into_response();
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(rend_shell::metrics::CONTENT_TYPE));
            Ok(response)
        })
    };
    let all = edges::routes(state)
        .or(telemetry::routes(state))
        .unify()
        .or(health::routes(state))
        .unify()
        .or(metrics)
        .unify()
        .boxed();
    answered(state, all)
}

/// Turns every outcome into a response: errors into problems that name their request, rejections into 404 and 405.
fn answered(state: &Arc<State>, routes: BoxedFilter<(Answer,)>) -> BoxedFilter<(Response,)> {
    let state = Arc::clone(state);
    // Not `warp::options()`: its rejection would turn every unknown path into a wrong method.
    let preflight = warp::method().and_then(|method: Method| async move {
        let asked = method == Method::OPTIONS;
        asked.then(|| Answer::Ok(StatusCode::NO_CONTENT.into_response())).ok_or_else(warp::reject::not_found)
    });
    let total = routes
        .or(preflight)
        .unify()
        .or_else(|rejection: Rejection| async move { Ok::<(Answer,), Infallible>((Err(rejected(&rejection)),)) });
    warp::method()
        .and(warp::header::headers_cloned())
        .and(total)
        .map(move |method: Method, headers: HeaderMap, answer: Answer| {
            let request = RequestId::new(state.clock.wall(), rend_shell::ten());
            let mut response = answer.unwrap_or_else(|error| error.into_response(request));
            allow_origin(&state.config.cors_origins, &headers, response.headers_mut());
            // A handler that has logged under an id of its own has said so.
            if !response.headers().contains_key(REQUEST_ID)
                && let Ok(id) = HeaderValue::from_str(&request.to_string())
            {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            if method == Method::HEAD {
                rend_shell::body::leave_out(&mut response);
            }
            response
        })
        .boxed()
}

/// What a request that fits no route is told.
fn rejected(rejection: &Rejection) -> ApiError {
    if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        ApiError::Method
    } else if rejection.find::<warp::reject::InvalidHeader>().is_some() {
        ApiError::field("header", "Content-Length and Last-Event-ID are numbers, Authorization is text")
    } else {
        ApiError::NoRoute
    }
}

/// Lets pages of the configured origins read the answer. An origin that is not on the list gets nothing, and its browser
/// keeps the answer from it.
fn allow_origin(allowed: &[String], request: &HeaderMap, response: &mut HeaderMap) {
    response.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = request.get(header::ORIGIN) else { return };
    if !allowed.iter().any(|known| known.as_bytes() == origin.as_bytes()) {
        return;
    }
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-request-id, retry-after"));
    if request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        response.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
        );
        response.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, last-event-id"),
        );
        response.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}
