//! Bodies: of requests, which have a limit, and of responses to `HEAD`, which are left out.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{Response, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use thiserror::Error;
use warp::{Buf, Filter, Rejection};

/// The whole body, if it has at most `bytes_max` bytes.
///
/// The limit is applied as the bytes arrive, whatever the announced length says.
pub fn capped(bytes_max: usize) -> impl Filter<Extract = (Result<Bytes, BodyError>,), Error = Rejection> + Clone {
    warp::body::stream().then(move |stream| async move {
        tokio::time::timeout(BODY_WAIT, collect(stream, bytes_max)).await.unwrap_or(Err(BodyError::Cut))
    })
}

/// How long a body that is read whole may take to arrive: one that is slower counts as cut.
const BODY_WAIT: Duration = Duration::from_secs(60);

/// Reads `stream` to its end, or to `bytes_max`.
///
/// # Errors
///
/// [`BodyError`].
pub async fn collect<B: Buf, E>(
    stream: impl Stream<Item = Result<B, E>>,
    bytes_max: usize,
) -> Result<Bytes, BodyError> {
    let mut stream = std::pin::pin!(stream);
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let mut chunk = chunk.map_err(|_| BodyError::Cut)?;
        if body.len() + chunk.remaining() > bytes_max {
            return Err(BodyError::TooLarge { bytes_max });
        }
        while chunk.has_remaining() {
            let part = chunk.chunk();
            body.extend_from_slice(part);
            let len = part.len();
            chunk.advance(len);
        }
    }
    Ok(body.freeze())
}

/// Reads the body of an answer that has at most `bytes_max` bytes and says so; any other answer is given back as it was.
///
/// # Errors
///
/// The answer itself.
pub async fn small<B: Body<Data = Bytes>>(
    response: Response<B>,
    bytes_max: usize,
) -> Result<Response<Bytes>, Response<B>> {
    let fits = response.body().size_hint().exact().is_some_and(|bytes| bytes <= bytes_max as u64);
    if !fits {
        return Err(response);
    }
    let (head, body) = response.into_parts();
    // A body that knows its length is there already, and reading it can not fail.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(Response::from_parts(head, body))
}

/// Takes the body out of an answer to `HEAD`. Its head stays as it would be with the body, length included.
pub fn leave_out<B: Body + From<Bytes>>(response: &mut Response<B>) {
    if let Some(bytes) = response.body().size_hint().exact() {
        response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    }
    *response.body_mut() = Bytes::new().into();
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BodyError {
    /// It has more bytes than the route takes. Sending it again will not help.
    #[error("the body has more than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// It ended before its announced end. Sending it again may help.
    #[error("the body ended before its announced length")]
    Cut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chunks: &[&'static str], expect: Result<&str, BodyError>) {
        let stream = futures::stream::iter(chunks.iter().map(|c| Ok::<_, ()>(Bytes::from_static(c.as_bytes()))));
        let read = futures::executor::block_on(collect(stream, 4));
        assert_eq!(read, expect.map(|text| Bytes::copy_from_slice(text.as_bytes())));
    }

    #[test]
    fn a_body_up_to_the_limit_is_whole_and_one_byte_more_is_refused() {
        check(&[], Ok(""));
        check(&["ab", "cd"], Ok("abcd"));
        check(&["ab", "cde"], Err(BodyError::TooLarge { bytes_max: 4 }));
    }

    #[test]
    fn an_answer_without_its_body_still_tells_its_length() {
        let mut response = warp::Reply::into_response("four");
        leave_out(&mut response);
        assert_eq!(response.headers()["content-length"], "4");
        assert_eq!(response.body().size_hint().exact(), Some(0));
    }

    #[test]
    fn a_stream_that_breaks_is_not_a_body() {
        let stream = futures::stream::iter([Ok(Bytes::from_static(b"a")), Err(())]);
        assert_eq!(futures::executor::block_on(collect(stream, 4)), Err(BodyError::Cut));
    }
}
