//! `/v1/uploads`: originals in pieces, as tus 1.0 sends them ([`tus`]), and in parts that go past the API ([`direct`]).
//!
//! A piece counts once it is durable, and the offset that is answered is that of durable bytes. The last piece hands the
//! upload to [`crate::ingest`], which puts it together; until then its asset is `uploading`.
//!
//! `Upload-Expires` says until when an upload is kept: a day from its beginning, and from every piece that is stored since. A
//! look moves it no more than a piece that is refused does. After that the upload answers 410, and the next sweep takes what
//! came of it and fails its asset as `upload_incomplete`.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use http::{HeaderMap, Method};
use rend_core::credential::Scope;
use rend_core::id::UploadId;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::auth::{Caller, caller};
use crate::error::ApiError;
use crate::http::Answer;
use crate::state::State;

pub(crate) mod direct;
mod end;
mod open;
mod piece;
#[cfg(test)]
mod tests;
mod tus;
mod writers;

pub(crate) use end::abandon;
pub(crate) use open::{Ask, key, open};
use writers::Writers;

pub(crate) fn routes(state: &Arc<State>) -> BoxedFilter<(Answer,)> {
    let writers = Arc::new(Writers::default());
    let collection = {
        let (state, writers) = (Arc::clone(state), Arc::clone(&writers));
        warp::path!("v1" / "uploads").and(asked(&state)).then(move |caller, method, headers, body| {
            let (state, writers) = (Arc::clone(&state), Arc::clone(&writers));
            async move {
                if direct::is_wish(&method, &headers) {
                    return direct::begin(&state, caller?, &headers, pieces(body)).await;
                }
                tus::as_tus(tus::to_collection(&state, &writers, caller, &method, &headers, pieces(body)).await)
            }
        })
    };
    let direct = direct::routes(state, &writers);
    let one = {
        let state = Arc::clone(state);
        warp::path!("v1" / "uploads" / UploadId).and(asked(&state)).then(
            move |id: UploadId, caller, method: Method, headers: HeaderMap, body| {
                let (state, writers) = (Arc::clone(&state), Arc::clone(&writers));
                async move {
                    let method = tus::overridden(method, &headers);
                    if let Some(answer) = direct::one(&state, &writers, &caller, id, &method, &headers).await {
                        return answer;
                    }
                    tus::as_tus(tus::to_one(&state, &writers, caller, id, &method, &headers, pieces(body)).await)
                }
            },
        )
    };
    collection.or(one).unify().or(direct).unify().boxed()
}

/// What every request brings: who asks, how, and a body.
fn asked(
    state: &Arc<State>,
) -> impl Filter<
    Extract = (
        Result<Caller, ApiError>,
        Method,
        HeaderMap,
        impl Stream<Item = Result<impl Buf + use<>, warp::Error>> + Send + use<>,
    ),
    Error = warp::Rejection,
> + Clone
+ use<> {
    caller(state, Scope::Upload).and(warp::method()).and(warp::header::headers_cloned()).and(warp::body::stream())
}

/// What is sent, as bytes.
type Body = futures::stream::BoxStream<'static, Result<Bytes, ()>>;

/// A body as bytes. Why it broke off does not matter: what came is kept.
fn pieces<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static) -> Body {
    body.map(|chunk| chunk.map(|mut buf| buf.copy_to_bytes(buf.remaining())).map_err(|_| ())).boxed()
}

/// A header as text, if it is there and is text.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
