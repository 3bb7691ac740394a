//! Errors as they leave over HTTP: `application/problem+json` of RFC 9457.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

/// One error for the other side: what is wrong, in a stable word for programs and a sentence for people.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    members: Map<String, Value>,
    retry_after_secs: Option<u64>,
}

impl Problem {
    /// A problem answered with `status`. `code` never changes once published; `detail` says what would be right.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), members: Map::new(), retry_after_secs: None }
    }

    /// Adds a member of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// Adds one wrong field: a JSON pointer, or the name of a query field or header, and what would be right.
    #[must_use]
    pub fn field(mut self, pointer: &str, detail: &str) -> Self {
        let errors = self.members.entry("errors").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = errors {
            list.push(json!({ "pointer": pointer, "detail": detail }));
        }
        self
    }

    /// Says after how many seconds trying again can help.
    #[must_use]
    pub const fn retry_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// The status it is answered with.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable word.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The response, which names the request it answers and may not be stored.
    pub fn into_response(self, request_id: &str) -> Response<Bytes> {
        let mut body = self.members;
        body.insert("type".into(), "about:blank".into());
        body.insert("title".into(), self.status.canonical_reason().unwrap_or("Error").into());
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("detail".into(), self.detail.into());
        body.insert("code".into(), self.code.into());
        body.insert("request_id".into(), request_id.into());
        let mut response = Response::new(Bytes::from(Value::Object(body).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, secs.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_fields_its_code_and_its_request() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "try again")
            .field("/title", "at most 255 characters")
            .with("playable_state", "opener_ready".into())
            .retry_after(2);
        let response = problem.into_response("r1");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "2");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "try again", "code": "busy",
                "request_id": "r1", "playable_state": "opener_ready",
                "errors": [{ "pointer": "/title", "detail": "at most 255 characters" }],
            })
        );
    }
}
