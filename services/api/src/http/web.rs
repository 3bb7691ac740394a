//! The files of the web, as they are in the binary: each with its tag, and small where that is worth it.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::http::conditional::has;

/// One file.
pub(crate) struct WebFile {
    name: &'static str,
    /// The first digits of its SHA-256.
    digest: &'static str,
    body: &'static [u8],
    /// The same as gzip, where that is smaller.
    gzip: Option<&'static [u8]>,
}

impl WebFile {
    /// The file of this name, if this build has it.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.name == name)
    }

    /// Whether it is a page, which is shown and not loaded.
    pub(crate) fn is_page(&self) -> bool {
        self.name.ends_with(".html")
    }

    /// The answer to whoever sent `request`: the file, or that they have it already.
    ///
    /// Names stay the same when their files change, so whoever keeps one asks each time whether it is still the one; that
    /// costs no body.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response<Bytes> {
        let gzip = self.gzip.filter(|_| takes_gzip(request));
        let tag = match gzip {
            Some(_) => format!("\"{}-gz\"", self.digest),
            None => format!("\"{}\"", self.digest),
        };
        let mut response = Response::new(Bytes::new());
        if has(request, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Bytes::from_static(gzip.unwrap_or(self.body));
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if gzip.is_some() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        response
    }

    fn kind(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            Some("json" | "webmanifest") => "application/json",
            _ => "application/octet-stream",
        }
    }
}

/// Whether a browser that sent `request` can read gzip.
fn takes_gzip(request: &HeaderMap) -> bool {
    let lines = request.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut found = None;
    for entry in lines.flat_map(|line| line.split(',')) {
        let (name, quality) = entry.split_once(';').unwrap_or((entry, "q=1"));
        let quality = quality.trim().trim_start_matches("q=").parse::<f32>().unwrap_or(0.0);
        match name.trim() {
            "gzip" => return quality > 0.0,
            "*" => found = Some(quality > 0.0),
            _ => {}
        }
    }
    found.unwrap_or(false)
}

include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[(http::HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_file_is_sent_once_and_small_to_whoever_can_read_that() {
        let file = WebFile::find("watch.js").unwrap();
        let plain = file.answer(&HeaderMap::new());
        assert_eq!((plain.body().as_ref(), plain.headers().get(CONTENT_ENCODING)), (file.body, None));
        let small = file.answer(&request(&[(ACCEPT_ENCODING, "br, gzip")]));
        assert_eq!(small.headers()[CONTENT_ENCODING], "gzip");
        assert!(small.body().len() < file.body.len() && small.body().starts_with(&[0x1f, 0x8b]));
        assert_ne!(plain.headers()[ETAG], small.headers()[ETAG], "they are other bytes");
        let tag = small.headers()[ETAG].to_str().unwrap();
        let again = file.answer(&request(&[(ACCEPT_ENCODING, "gzip"), (http::header::IF_NONE_MATCH, tag)]));
        assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(again.headers()[ETAG], tag);
    }

    #[test]
    fn gzip_is_sent_only_where_it_is_asked_for() {
        let check = |line: &str, expect: bool| {
            assert_eq!(takes_gzip(&request(&[(ACCEPT_ENCODING, line)])), expect, "{line}");
        };
        check("gzip", true);
        check("deflate, gzip;q=0.5", true);
        check("*", true);
        check("gzip;q=0, *", false);
        check("br", false);
        check("", false);
    }
}
