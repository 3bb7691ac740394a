//! Every route, in one list.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use rend_core::id::RequestId;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::error::ApiError;
use crate::http::{
    Answer, REQUEST_ID, analytics, assets, captions, downloads, edges, events, fleet, get, health, keys, openapi,
    operator, pages, player, revocations, telemetry, uploads, usage, videos, viewing, webhooks,
};
use crate::limits::{self, Counted, TooOften};
use crate::reference::{self, Route};
use crate::state::State;

/// What callers, viewers and browsers reach: [`reference::PUBLIC`].
///
/// | route | what |
/// |---|---|
/// | `POST /v1/videos` | bring in a video, or have it fetched |
/// | `OPTIONS POST /v1/uploads` · `HEAD PATCH DELETE /v1/uploads/{id}` | bring in a video in pieces, as tus 1.0 |
/// | `POST /v1/uploads/{id}/parts` · `PUT …/parts/{number}` · `POST …/complete` | bring in a video in parts that go past the API |
/// | `GET /v1/assets` · `GET PATCH DELETE /v1/assets/{id}` · `POST …/retry` | what there is |
/// | `GET /v1/assets/{id}/artifacts` · `…/events` · `…/playback` · `…/analytics/playback` | about one of them |
/// | `GET /v1/assets/{id}/captions` · `GET PUT DELETE …/captions/{lang}` | captions of one of them |
/// | `GET POST /v1/assets/{id}/downloads` · `DELETE …/downloads/{rung}` | renditions of one of them as ordinary files |
/// | `GET /v1/events` | the event log as a stream |
/// | `POST /v1/player/events` | what players saw |
/// | `GET /v1/analytics/overview` · `…/live` · `GET /v1/usage` · `GET /v1/fleet` | about all of them |
/// | `GET POST /v1/keys` · `DELETE /v1/keys/{id}` | API keys |
/// | `GET POST /v1/webhook-endpoints` · `GET PATCH DELETE …/{id}` · `POST …/{rotate-secret,replay,test}` | who is told of events |
/// | `GET /api/player/{id}` · `…/downloads/{file}` | bootstrap for browsers; where a file of it is |
/// | `GET /watch/{id}` · `/embed/{id}` · `/oembed` · `/dashboard` · `/assets/{file}` | pages |
/// | `GET /openapi.json` · `/healthz` · `/readyz` | this list for programs; health |
pub fn public(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    let all = videos::routes(state)
        .or(uploads::routes(state))
        .unify()
        .or(player::routes(state))
        .unify()
        .or(assets::routes(state))
        .unify()
        .or(captions::routes(state))
        .unify()
        .or(downloads::routes(state))
        .unify()
        .or(events::routes(state))
        .unify()
        .or(analytics::routes(state))
        .unify()
        .or(viewing::routes(state))
        .unify()
        .or(usage::routes(state))
        .unify()
        .or(fleet::routes(state))
        .unify()
        .or(keys::routes(state))
        .unify()
        .or(revocations::routes(state))
        .unify()
        .or(webhooks::routes(state))
        .unify()
        .or(pages::routes(state))
        .unify()
        .or(openapi::routes())
        .unify()
        .or(health::routes(state))
        .unify()
        .boxed();
    let counted = limits::counted(state)
        .and(total(all))
        .map(|counted: Counted, answer: Answer| (counted, answer))
        .or_else(|rejection: Rejection| async move { Ok::<_, Infallible>((refused(&rejection),)) });
    answered(state, reference::PUBLIC, counted.boxed())
}

/// What edges and operators reach, on a listener of its own: [`reference::PRIVATE`].
///
/// | route | what |
/// |---|---|
/// | `POST /internal/edges/register` · `/heartbeat` · `GET /internal/edges` | the fleet |
/// | `GET /internal/purges` | what to forget, in order |
/// | `POST /internal/telemetry/playback` | what was served |
/// | `POST /internal/operator/{assets,organizations}/{id}/{suspend,restore}` · `GET /internal/operator/orders` | suspension |
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
        .or(revocations::internal_routes(state))
        .unify()
        .or(operator::routes(state))
        .unify()
        .or(telemetry::routes(state))
        .unify()
        .or(health::routes(state))
        .unify()
        .or(metrics)
        .unify()
        .boxed();
    let uncounted = total(all).map(|answer: Answer| (Counted::default(), answer));
    answered(state, reference::PRIVATE, uncounted.boxed())
}

/// Answers also what fits no route.
fn total(routes: BoxedFilter<(Answer,)>) -> BoxedFilter<(Answer,)> {
    // Not `warp::options()`: its rejection would turn every unknown path into a wrong method.
    let preflight = warp::method().and_then(|method: Method| async move {
        let asked = method == Method::OPTIONS;
        asked.then(|| Answer::Ok(StatusCode::NO_CONTENT.into_response())).ok_or_else(warp::reject::not_found)
    });
    routes
        .or(preflight)
        .unify()
        .or_else(|rejection: Rejection| async move { Ok::<(Answer,), Rejection>((Err(unfit(&rejection)),)) })
        .boxed()
}

/// Turns every outcome into a response: errors into problems that name their request, with what goes for all of them. A
/// wrong method is told those that `table` knows.
fn answered(
    state: &Arc<State>,
    table: &'static [Route],
    routes: BoxedFilter<((Counted, Answer),)>,
) -> BoxedFilter<(Response,)> {
    let state = Arc::clone(state);
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(routes)
        .map(move |method: Method, path: FullPath, headers: HeaderMap, (counted, answer): (Counted, Answer)| {
            let request = RequestId::new(state.clock.wall(), rend_shell::ten());
            let mut response = answer.unwrap_or_else(|error| error.into_response(request));
            allow_origin(&state.config.cors_origins, &headers, response.headers_mut());
            counted.write(response.headers_mut());
            if response.status() == StatusCode::METHOD_NOT_ALLOWED
                && let Ok(allowed) = HeaderValue::from_str(&reference::allowed(table, path.as_str()))
            {
                response.headers_mut().insert(header::ALLOW, allowed);
            }
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

/// What a request is told that fits no route.
fn unfit(rejection: &Rejection) -> ApiError {
    if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        ApiError::Method
    } else if rejection.find::<warp::reject::InvalidHeader>().is_some() {
        ApiError::field("header", "Content-Length and Last-Event-ID are numbers, Authorization is text")
    } else {
        ApiError::NoRoute
    }
}

/// What a request is told that came too often.
fn refused(rejection: &Rejection) -> (Counted, Answer) {
    let Some(TooOften(counted)) = rejection.find() else { return (Counted::default(), Err(ApiError::NoRoute)) };
    let retry_after = counted.refused().unwrap_or_default();
    (counted.clone(), Err(ApiError::TooOften { retry_after }))
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
    response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    if request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        response.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
        response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
        response.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

/// What a page may read beyond the headers that every page may.
const EXPOSED: &str = "etag, location, ratelimit, ratelimit-policy, rend-asset-id, retry-after, tus-extension, tus-max-size, \
                       tus-resumable, tus-version, upload-expires, upload-length, upload-offset, x-request-id";
/// What a page may send.
const SENT: &str = "authorization, content-type, idempotency-key, if-match, last-event-id, tus-resumable, upload-checksum, \
                    upload-length, upload-metadata, upload-offset";
