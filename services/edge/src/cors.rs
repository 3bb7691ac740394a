//! Which pages may read what the edge serves, cookies included.

use std::collections::BTreeSet;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::plain::Fields;

/// The exact origins whose pages may read responses.
///
/// An allowed origin is answered by name and with credentials; every other one gets no header at all, so its pages see
/// nothing, while players that are no pages are not affected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cors {
    origins: BTreeSet<Vec<u8>>,
}

impl Cors {
    /// Allows `origins`, each as a browser writes it: scheme, host and port, without a path.
    pub(crate) fn new(origins: impl IntoIterator<Item = String>) -> Self {
        Self { origins: origins.into_iter().map(String::into_bytes).collect() }
    }

    /// What lets the page of `request` read the answer, if it may.
    pub(crate) fn grants<'a>(&self, request: &'a impl Fields) -> Option<[(HeaderName, &'a [u8]); 4]> {
        let origin = request.first(&header::ORIGIN).filter(|origin| self.origins.contains(*origin))?;
        Some([
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, b"true"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.as_bytes()),
            (TIMING_ALLOW_ORIGIN, origin),
        ])
    }

    /// Lets the page of `request` read the response, if it may, and answers whether it may.
    pub(crate) fn apply(&self, request: &HeaderMap, response: &mut HeaderMap) -> bool {
        response.insert(header::VARY, HeaderValue::from_static("Origin"));
        let grants = self.grants(request);
        for (name, value) in grants.iter().flatten() {
            // An allowed origin is one that was configured, so it can stand in a header.
            let value = HeaderValue::from_bytes(value).ok();
            value.map(|value| response.insert(name, value));
        }
        grants.is_some()
    }

    /// Answers a preflight into `response`, on top of [`Cors::apply`].
    pub(crate) fn preflight(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if self.apply(request, response) {
            response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED));
            response.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECS));
        }
    }
}

/// What a page may read beyond the headers that every page may.
const EXPOSED: &str = "Accept-Ranges, Cache-Status, Content-Range, ETag, Retry-After, Server-Timing, x-rend-cache, x-rend-edge-id, x-rend-region";
/// What a page may send.
const ALLOWED: &str = "Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control, Pragma";
/// How long a browser may remember a preflight.
const PREFLIGHT_SECS: &str = "86400";
const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(origin: &str, allowed: bool) {
        let cors = Cors::new(["https://www.example.com".to_owned()]);
        let mut request = HeaderMap::new();
        request.insert(header::ORIGIN, origin.parse().unwrap());
        let mut response = HeaderMap::new();
        cors.preflight(&request, &mut response);
        assert_eq!(response.get(header::VARY).unwrap(), "Origin");
        assert_eq!(response.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_some(), allowed, "{origin}");
        assert_eq!(response.get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS).is_some(), allowed, "{origin}");
        assert_eq!(response.get(header::ACCESS_CONTROL_ALLOW_METHODS).is_some(), allowed, "{origin}");
        if allowed {
            assert_eq!(response.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), origin);
        }
    }

    #[test]
    fn only_the_exact_origin_may_read() {
        check("https://www.example.com", true);
        for odd in [
            "null",
            "*",
            "http://www.example.com",
            "https://www.example.com.evil.io",
            "https://www.example.com.",
            "https://www.example.com:443",
            "https://WWW.example.com",
            "https://example.com",
        ] {
            check(odd, false);
        }
    }
}
