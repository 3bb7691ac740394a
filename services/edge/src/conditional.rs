//! Conditional requests: is what the client has still what we would send?

use std::cell::RefCell;

use http::header::{self, HeaderMap, HeaderValue};
use rend_core::time::Timestamp;

/// What identifies one version of an artifact.
#[derive(Clone, Debug)]
pub(crate) struct Validators {
    /// The strong entity tag, absent while the content's digest is not known.
    pub(crate) etag: Option<HeaderValue>,
    /// When it was published, to the second.
    pub(crate) modified: Timestamp,
}

impl Validators {
    /// The validators of content with this tag, quotes included, put at `modified`.
    pub(crate) fn new(etag: &str, modified: Timestamp) -> Self {
        let etag = HeaderValue::try_from(etag).ok().filter(|tag| !tag.is_empty());
        Self { etag, modified: Timestamp::from_secs(modified.as_secs()) }
    }

    /// Whether the client has this version already, so that 304 is the answer (RFC 9110, 13.2.2): `If-None-Match`
    /// decides alone where it is present.
    pub(crate) fn not_modified(&self, request: &HeaderMap) -> bool {
        if request.contains_key(header::IF_NONE_MATCH) {
            return request.get_all(header::IF_NONE_MATCH).iter().any(|list| self.listed(list));
        }
        let since = request.get(header::IF_MODIFIED_SINCE).and_then(date);
        since.is_some_and(|since| self.modified <= since)
    }

    /// Whether a range may be answered in part: there is no `If-Range`, or it names this very version.
    pub(crate) fn range_applies(&self, request: &HeaderMap) -> bool {
        let Some(condition) = request.get(header::IF_RANGE) else { return true };
        if condition.as_bytes().starts_with(b"\"") {
            // Weak tags never match here: RFC 9110, 13.1.5 asks for the strong comparison.
            return self.etag.as_ref() == Some(condition);
        }
        date(condition) == Some(self.modified)
    }

    /// Writes `ETag` and `Last-Modified`.
    pub(crate) fn write(&self, response: &mut HeaderMap) {
        if let Some(etag) = &self.etag {
            response.insert(header::ETAG, etag.clone());
        }
        if let Some(date) = written_date(self.modified) {
            response.insert(header::LAST_MODIFIED, date);
        }
    }

    fn listed(&self, list: &HeaderValue) -> bool {
        let Some(etag) = self.etag.as_ref().map(HeaderValue::as_bytes) else { return false };
        list.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii).any(|tag| {
            // `If-None-Match` compares weakly: RFC 9110, 13.1.2.
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag
        })
    }
}

/// The strong tag of content: the first half of its SHA-256 in hexadecimal, which is long enough that two versions never
/// share one.
pub(crate) fn tag(digest: &[u8; 32]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in &digest[..16] {
        tag.push(char::from(HEX[usize::from(byte >> 4)]));
        tag.push(char::from(HEX[usize::from(byte & 15)]));
    }
    tag.push('"');
    tag
}

/// A moment as HTTP writes it. The last one is kept by each thread: what many ask for is one version of one thing, and writing a date
/// costs as much as a tenth of checking a token.
fn written_date(at: Timestamp) -> Option<HeaderValue> {
    thread_local! {
        static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        if let Some((_, date)) = last.as_ref().filter(|(secs, _)| *secs == at.as_secs()) {
            return Some(date.clone());
        }
        let date = HeaderValue::try_from(httpdate::fmt_http_date(at.to_system())).ok()?;
        *last = Some((at.as_secs(), date.clone()));
        Some(date)
    })
}

fn date(value: &HeaderValue) -> Option<Timestamp> {
    httpdate::parse_http_date(value.to_str().ok()?).ok().map(Timestamp::from_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
    const TAG: &str = "\"07070707070707070707070707070707\"";

    fn validators() -> Validators {
        Validators::new(&tag(&[7; 32]), Timestamp::from_millis(1_800_000_000_999))
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[track_caller]
    fn check_304(pairs: &[(header::HeaderName, &str)], expect: bool) {
        assert_eq!(validators().not_modified(&headers(pairs)), expect, "{pairs:?}");
    }

    #[track_caller]
    fn check_range(if_range: &str, expect: bool) {
        assert_eq!(validators().range_applies(&headers(&[(header::IF_RANGE, if_range)])), expect, "{if_range}");
    }

    #[test]
    fn the_version_a_client_has_is_not_sent_again() {
        check_304(&[], false);
        check_304(&[(header::IF_NONE_MATCH, TAG)], true);
        check_304(&[(header::IF_NONE_MATCH, &format!("\"other\", W/{TAG}"))], true);
        check_304(&[(header::IF_NONE_MATCH, "*")], true);
        check_304(&[(header::IF_NONE_MATCH, "\"other\"")], false);
        check_304(&[(header::IF_MODIFIED_SINCE, MODIFIED)], true);
        check_304(&[(header::IF_MODIFIED_SINCE, "Fri, 15 Jan 2027 07:59:59 GMT")], false);
        check_304(&[(header::IF_MODIFIED_SINCE, "yesterday")], false);
        // The tag decides alone: the date would have said yes.
        check_304(&[(header::IF_NONE_MATCH, "\"other\""), (header::IF_MODIFIED_SINCE, MODIFIED)], false);
    }

    #[test]
    fn a_range_of_another_version_is_answered_whole() {
        assert!(validators().range_applies(&HeaderMap::new()));
        check_range(TAG, true);
        check_range(MODIFIED, true);
        check_range("\"other\"", false);
        check_range(&format!("W/{TAG}"), false);
        check_range("Fri, 15 Jan 2027 08:00:01 GMT", false);
    }

    #[test]
    fn a_date_that_was_written_before_is_not_taken_for_another() {
        for secs in [1_800_000_000, 1_800_000_000, 1_800_000_001, 1_800_000_000] {
            let at = Timestamp::from_secs(secs);
            assert_eq!(date(&written_date(at).unwrap()), Some(at));
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut response = HeaderMap::new();
        validators().write(&mut response);
        assert_eq!(response.get(header::ETAG).unwrap(), TAG);
        assert_eq!(response.get(header::LAST_MODIFIED).unwrap(), MODIFIED);
    }
}
