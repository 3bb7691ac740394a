//! `/openapi.json`: what every public route takes and answers.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use warp::filters::BoxedFilter;
use warp::{Filter, Reply};

use crate::http::{Answer, get};

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| crate::reference::document().to_string().into());

pub(crate) fn routes() -> BoxedFilter<(Answer,)> {
    warp::path!("openapi.json")
        .and(get())
        .map(|| {
            let mut response = Response::new(DOCUMENT.clone());
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
            // Tools in browsers read it from wherever they are.
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            Ok(response.into_response())
        })
        .boxed()
}
