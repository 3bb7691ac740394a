//! Performs the requests that deciders hand out as values.

use std::time::Duration;

use bytes::BytesMut;
use rend_core::http::{Method, Request, Response};
use thiserror::Error;

/// An HTTP client with a timeout for each request and a bound on answers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
}

/// Bytes of an answer that are read at most.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

impl Client {
    /// A client that gives up on a request after `timeout`.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when TLS is not available.
    pub fn new(timeout: Duration) -> Result<Self, ClientError> {
        let builder = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("rend/", env!("CARGO_PKG_VERSION")));
        Ok(Self { inner: builder.build().map_err(ClientError)? })
    }

    /// Sends `request` and reads the answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when no whole answer came; sending again may help. A status of 400 and above is an answer.
    pub async fn send(&self, request: Request) -> Result<Response, ClientError> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.inner.request(method, &request.url);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let mut answer = builder.body(request.body).send().await.map_err(|e| ClientError(e.without_url()))?;
        let status = answer.status().as_u16();
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| ClientError(e.without_url()))? {
            let room = ANSWER_BYTES_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
        Ok(Response { status, body: body.freeze() })
    }
}

/// No answer came. Its words name no URL, since a URL may carry a token.
#[derive(Debug, Error)]
#[error("no answer")]
pub struct ClientError(#[source] reqwest::Error);
