//! Every route, public first.
//!
//! | public | |
//! |---|---|
//! | `GET, HEAD, OPTIONS /v/{assetId}/{artifactPath}` | an artifact, with a token in cookie or query |
//! | `GET, HEAD, OPTIONS /v/{assetId}/~{token}/{artifactPath}` | the same with the token in the path |
//! | `GET /healthz` | the process lives |
//!
//! | private, with the internal bearer | |
//! |---|---|
//! | `GET /readyz` | whether viewers may be sent here, and why not |
//! | `GET /metrics` | figures |
//! | `POST /internal/warm` | fetch ahead |
//! | `POST /internal/purge` | forget |
//! | `POST /internal/revoke` | believe some tokens no longer |
//! | `GET /internal/cache` · `GET /internal/cache/{assetId}` | what is cached |
//! | `GET /internal/cache/{assetId}/{artifactPath}` | why it is cached, or why not |
//! | `GET /internal/cache-log` | what the policy decided, for `rend cache replay`, when a log is kept |
//! | `POST /internal/drain` | take no more viewers |

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use rend_core::id::AssetId;
use rend_shell::problem::Problem;
use serde_json::json;
use warp::filters::BoxedFilter;
use warp::{Filter, Rejection, Reply};

use crate::edge::Edge;
use crate::internal;
use crate::playback::{self, NOT_FOUND};

/// What viewers reach beside playback, which [`crate::front`] answers before any route is looked at.
pub(crate) fn public(
    edge: &Arc<Edge>,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Infallible> + Clone + use<> {
    let unknown = {
        let edge = Arc::clone(edge);
        warp::any().map(move || nothing(&edge))
    };
    healthz(edge).or(unknown).unify()
}

/// What the control plane and operators reach.
pub(crate) fn private(
    edge: &Arc<Edge>,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Infallible> + Clone + use<> {
    readyz(edge)
        .or(metrics(edge))
        .unify()
        .or(warm(edge))
        .unify()
        .or(purge(edge))
        .unify()
        .or(revoke(edge))
        .unify()
        .or(cache_totals(edge))
        .unify()
        .or(cache_of(edge))
        .unify()
        .or(cache_log(edge))
        .unify()
        .or(cache_fate(edge))
        .unify()
        .or(drain(edge))
        .unify()
        .or(healthz(edge))
        .unify()
        .or(warp::any().map(|| playback::constant(StatusCode::NOT_FOUND, NOT_FOUND).map(Into::into)))
        .unify()
}

fn healthz(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    let edge = Arc::clone(edge);
    warp::path!("healthz")
        .and(warp::get().or(warp::head()).unify())
        .map(move || {
            let uptime = edge.accounts.clock.mono().since(edge.started).as_secs();
            let response = internal::json_response(&json!({
                "status": "ok",
                "service": "rend-edge",
                "version": env!("CARGO_PKG_VERSION"),
                "git_sha": option_env!("REND_GIT_SHA"),
                "uptime_seconds": uptime,
                "responses_open": edge.accounts.metrics.responses_open.get(),
            }));
            response.map(Into::into)
        })
        .boxed()
}

fn readyz(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    let route = warp::path!("readyz").and(warp::get());
    guarded(edge, route, |edge| async move { Ok(internal::ready(&edge)) })
}

fn metrics(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    let route = warp::path!("metrics").and(warp::get());
    guarded(edge, route, |edge| async move { Ok(internal::metrics(&edge)) })
}

fn warm(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    with_body(edge, warp::path!("internal" / "warm").and(warp::post()), |edge, body| async move {
        internal::warm(&edge, body).await
    })
}

fn purge(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    with_body(edge, warp::path!("internal" / "purge").and(warp::post()), |edge, body| async move {
        internal::purge(&edge, body).await
    })
}

fn revoke(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    with_body(edge, warp::path!("internal" / "revoke").and(warp::post()), |edge, body| async move {
        internal::revoke(&edge, body).await
    })
}

fn cache_totals(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    let route = warp::path!("internal" / "cache").and(warp::get());
    guarded(edge, route, |edge| async move { Ok(internal::cache_totals(&edge)) })
}

fn cache_of(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    let edge = Arc::clone(edge);
    warp::path!("internal" / "cache" / AssetId)
        .and(warp::get())
        .and(warp::header::optional("authorization"))
        .map(move |asset, bearer: Option<String>| {
            let result = internal::admit(&edge, bearer.as_deref()).map(|()| internal::cache_of(&edge, asset));
            internal::reply(&edge, result).map(Into::into)
        })
        .boxed()
}

fn cache_log(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    let route = warp::path!("internal" / "cache-log").and(warp::get());
    guarded(edge, route, |edge| async move { internal::cache_log(&edge) })
}

fn cache_fate(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    let edge = Arc::clone(edge);
    warp::path!("internal" / "cache" / AssetId / ..)
        .and(warp::path::tail())
        .and(warp::get())
        .and(warp::header::optional("authorization"))
        .map(move |asset, path: warp::path::Tail, bearer: Option<String>| {
            let admitted = internal::admit(&edge, bearer.as_deref());
            let result = admitted.and_then(|()| internal::cache_fate(&edge, asset, path.as_str()));
            internal::reply(&edge, result).map(Into::into)
        })
        .boxed()
}

fn drain(edge: &Arc<Edge>) -> BoxedFilter<(warp::reply::Response,)> {
    let route = warp::path!("internal" / "drain").and(warp::post());
    guarded(edge, route, |edge| async move { Ok(internal::drain(&edge)) })
}

/// A private route without a body.
fn guarded<R, H, F>(edge: &Arc<Edge>, route: R, handle: H) -> BoxedFilter<(warp::reply::Response,)>
where
    R: Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static,
    H: Fn(Arc<Edge>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Bytes>, Problem>> + Send + 'static,
{
    let edge = Arc::clone(edge);
    route
        .and(warp::header::optional("authorization"))
        .then(move |bearer: Option<String>| {
            let (edge, handle) = (Arc::clone(&edge), handle.clone());
            async move {
                let result = match internal::admit(&edge, bearer.as_deref()) {
                    Ok(()) => handle(Arc::clone(&edge)).await,
                    Err(problem) => Err(problem),
                };
                internal::reply(&edge, result).map(Into::into)
            }
        })
        .boxed()
}

/// A private route with a body. A wrong bearer is answered without looking at it.
fn with_body<R, H, F>(edge: &Arc<Edge>, route: R, handle: H) -> BoxedFilter<(warp::reply::Response,)>
where
    R: Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static,
    H: Fn(Arc<Edge>, Result<Bytes, rend_shell::body::BodyError>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Bytes>, Problem>> + Send + 'static,
{
    let edge = Arc::clone(edge);
    route
        .and(warp::header::optional("authorization"))
        .and(rend_shell::body::capped(internal::BODY_BYTES_MAX))
        .then(move |bearer: Option<String>, body| {
            let (edge, handle) = (Arc::clone(&edge), handle.clone());
            async move {
                let result = match internal::admit(&edge, bearer.as_deref()) {
                    Ok(()) => handle(Arc::clone(&edge), body).await,
                    Err(problem) => Err(problem),
                };
                internal::reply(&edge, result).map(Into::into)
            }
        })
        .boxed()
}

fn nothing(edge: &Edge) -> warp::reply::Response {
    let mut response = playback::constant(StatusCode::NOT_FOUND, NOT_FOUND);
    edge.identity.write(response.headers_mut());
    response.map(Into::into)
}
