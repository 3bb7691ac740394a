//! `ETag`, `If-Match` and `If-None-Match`.

use http::{HeaderMap, HeaderValue, header};
use rend_core::asset::Asset;

use crate::error::ApiError;

/// The tag of what is said of `asset`. It does not tell how far its jobs are.
pub(crate) fn tag_of(asset: &Asset) -> String {
    format!("\"{}\"", asset.revision)
}

/// The revision that a change of `asset` insists on, if its caller does.
///
/// # Errors
///
/// [`ApiError::Changed`] when the asset is not, or no longer, what the caller has seen. [`ApiError::Field`] when the header is
/// there and names nothing: who sends it does not mean to change whatever there is.
pub(crate) fn insisted(headers: &HeaderMap, asset: &Asset) -> Result<Option<u64>, ApiError> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let mut tags = headers.get_all(header::IF_MATCH).iter().flat_map(tags).peekable();
    if tags.peek().is_none() {
        return Err(ApiError::field("If-Match", "the `ETag` that was answered, such as \"7\", or no such header"));
    }
    let tag = tag_of(asset);
    // A weak tag matches nothing here (RFC 9110, 13.1.1).
    if tags.any(|known| known == "*" || known == tag) { Ok(Some(asset.revision)) } else { Err(ApiError::Changed) }
}

/// Whether the caller has what `tag` names already.
pub(crate) fn has(headers: &HeaderMap, tag: &str) -> bool {
    let mut known = headers.get_all(header::IF_NONE_MATCH).iter().flat_map(tags);
    known.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// The tags of one line. Ours have no comma in them, so one that has is none of ours.
fn tags(line: &HeaderValue) -> impl Iterator<Item = &str> {
    line.to_str().unwrap_or_default().split(',').map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use rend_core::asset::PlaybackPolicy;
    use rend_core::id::{AssetId, OrgId};
    use rend_core::time::Timestamp;

    use super::*;

    #[track_caller]
    fn check(line: Option<&'static str>, expect: Result<Option<u64>, ()>) {
        let (id, org) = (AssetId::from_bytes([1; 16]), OrgId::from_bytes([2; 16]));
        let mut asset = Asset::new(id, org, "t".into(), PlaybackPolicy::Public, Timestamp::EPOCH);
        asset.revision = 7;
        let mut headers = HeaderMap::new();
        if let Some(line) = line {
            headers.insert(header::IF_MATCH, HeaderValue::from_static(line));
        }
        assert_eq!(insisted(&headers, &asset).map_err(|_| ()), expect, "{line:?}");
    }

    #[test]
    fn a_change_insists_on_the_revision_that_its_caller_has_seen() {
        check(None, Ok(None));
        check(Some("*"), Ok(Some(7)));
        check(Some("\"7\""), Ok(Some(7)));
        check(Some("\"6\", \"7\""), Ok(Some(7)));
        check(Some("\"6\""), Err(()));
        check(Some("W/\"7\""), Err(()));
        check(Some("7"), Err(()));
        check(Some(""), Err(()));
        check(Some(" , "), Err(()));
    }

    #[test]
    fn what_somebody_has_need_not_be_sent_again() {
        let with = |line| HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(line))]);
        for (line, expect) in
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)]
        {
            assert_eq!(has(&with(line), "\"a\""), expect, "{line}");
        }
        assert!(!has(&HeaderMap::new(), "\"a\""));
    }
}
