//! Predicates over what was seen. Each answers what is wrong, in sentences, or nothing.

use crate::analytics::CacheStatus;
use crate::artifact::ArtifactPath;

/// One response of an edge, as far as it is judged. It holds no URL and no header that could carry a credential.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fetch {
    /// The status code.
    pub status: u16,
    /// Where the edge says that the bytes came from.
    pub cache: Option<CacheStatus>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Accept-Ranges`.
    pub accept_ranges: Option<String>,
    /// `Content-Range`.
    pub content_range: Option<String>,
    /// Body bytes that came.
    pub bytes: u64,
    /// The SHA-256 of the body, or `None` when the body broke off.
    pub sha256: Option<[u8; 32]>,
}

/// What was published under a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    /// Its length.
    pub bytes: u64,
    /// Its digest.
    pub sha256: [u8; 32],
}

/// The response is whole, successful, from where it should be, and its bytes are the published ones.
pub fn served(path: ArtifactPath, fetch: &Fetch, wanted: &[CacheStatus], published: &Published) -> Vec<String> {
    let mut wrong = Vec::new();
    if fetch.status != 200 {
        wrong.push(format!("{path} was answered with {}, not 200", fetch.status));
        return wrong;
    }
    let word = fetch.cache.map_or("nothing", CacheStatus::as_str);
    if !fetch.cache.is_some_and(|cache| wanted.contains(&cache)) {
        let words: Vec<_> = wanted.iter().map(|cache| cache.as_str()).collect();
        wrong.push(format!("{path} came as {word}, not {}", words.join(" or ")));
    }
    match fetch.sha256 {
        None => wrong.push(format!("the body of {path} broke off after {} of {} bytes", fetch.bytes, published.bytes)),
        Some(_) if fetch.bytes != published.bytes => {
            wrong.push(format!("{path} has {} bytes, not the {} that were published", fetch.bytes, published.bytes));
        }
        Some(digest) if digest != published.sha256 => {
            wrong.push(format!("the bytes of {path} are not the published ones"))
        }
        Some(_) => {}
    }
    wrong
}

/// The headers are what players and caches rely on. `finished` says that the asset will not change any more.
pub fn headers(path: ArtifactPath, fetch: &Fetch, finished: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |name: &str, found: Option<&str>, wanted: &str| {
        if found != Some(wanted) {
            wrong.push(format!("{path} has {name} `{}`, not `{wanted}`", found.unwrap_or("none")));
        }
    };
    expect("content-type", fetch.content_type.as_deref(), path.content_type());
    expect("accept-ranges", fetch.accept_ranges.as_deref(), "bytes");
    let growing = "private, max-age=1";
    let policy = match (path.is_immutable(), finished) {
        (true, _) => "private, max-age=31536000, immutable",
        // A master playlist does not say of itself that it is final, so an edge may go on asking for a while.
        (false, true) if path == ArtifactPath::Master && fetch.cache_control.as_deref() == Some(growing) => growing,
        (false, true) => "private, max-age=60, stale-while-revalidate=300",
        (false, false) => growing,
    };
    expect("cache-control", fetch.cache_control.as_deref(), policy);
    if !fetch.etag.as_deref().is_some_and(|tag| tag.starts_with('"') && tag.len() > 2) {
        wrong.push(format!("{path} has no strong ETag"));
    }
    wrong
}

/// The answer to `Range: bytes=first-last` of an object with `total` bytes.
pub fn ranged(path: ArtifactPath, fetch: &Fetch, first: u64, last: u64, total: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    if fetch.status != 206 {
        wrong.push(format!("a range of {path} was answered with {}, not 206", fetch.status));
        return wrong;
    }
    let wanted = format!("bytes {first}-{last}/{total}");
    if fetch.content_range.as_deref() != Some(wanted.as_str()) {
        wrong.push(format!("a range of {path} has another Content-Range than `{wanted}`"));
    }
    if fetch.bytes != last - first + 1 {
        wrong.push(format!("a range of {path} has {} bytes, not {}", fetch.bytes, last - first + 1));
    }
    wrong
}

/// The answer to `If-None-Match` with the present `ETag`.
pub fn unchanged(path: ArtifactPath, fetch: &Fetch) -> Vec<String> {
    if fetch.status == 304 && fetch.bytes == 0 {
        Vec::new()
    } else {
        vec![format!(
            "{path} was answered with {} and {} bytes where nothing had changed, not 304",
            fetch.status, fetch.bytes
        )]
    }
}

/// Many clients at once on something that is not cached: exactly one reads the origin, and all get the same bytes.
pub fn coalesced(path: ArtifactPath, fetches: &[Fetch], published: &Published) -> Vec<String> {
    let from_origin = fetches.iter().filter(|f| matches!(f.cache, Some(CacheStatus::Miss | CacheStatus::Pass))).count();
    let any = [CacheStatus::Miss, CacheStatus::Coalesced, CacheStatus::Hit];
    let mut wrong: Vec<String> = fetches.iter().flat_map(|fetch| served(path, fetch, &any, published)).collect();
    wrong.sort();
    wrong.dedup();
    if from_origin != 1 {
        wrong
            .push(format!("{} clients at once on {path} read the origin {from_origin} times, not once", fetches.len()));
    }
    wrong
}

/// Nothing of a deleted asset is served: whatever the answer, it is no success.
pub fn gone(path: ArtifactPath, fetch: &Fetch) -> Vec<String> {
    if fetch.status == 404 {
        Vec::new()
    } else {
        vec![format!("{path} was answered with {} after the delete, not 404", fetch.status)]
    }
}

/// No URL that a script can see holds a token, and the cookie is there.
pub fn bootstrap(urls: &[&str], transport: &str, cookie_path: Option<&str>, asset_path: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for url in urls {
        if url.contains("rt1.") || url.contains("token=") || url.contains('~') {
            wrong.push("a URL of the bootstrap holds a token".to_owned());
        }
    }
    if transport != "cookie" {
        wrong.push(format!("the bootstrap chose `{transport}` as transport, not `cookie`"));
    }
    if cookie_path != Some(asset_path) {
        wrong.push("the bootstrap set no playback cookie for the asset's own path".to_owned());
    }
    wrong.dedup();
    wrong
}

/// An edge lost no event and has delivered what it had.
pub fn accounted(edge: &str, dropped_before: u64, dropped_after: u64, spool_events: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    if dropped_after > dropped_before {
        wrong.push(format!("edge {edge} lost {} events", dropped_after - dropped_before));
    }
    if spool_events > 0 {
        wrong.push(format!("edge {edge} still holds {spool_events} events"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Rendition;

    const PATH: ArtifactPath = ArtifactPath::Segment { rendition: Rendition::P360, index: 0 };
    const PUBLISHED: Published = Published { bytes: 10, sha256: [7; 32] };

    fn good(cache: CacheStatus) -> Fetch {
        Fetch {
            status: 200,
            cache: Some(cache),
            content_type: Some("video/mp4".into()),
            cache_control: Some("private, max-age=31536000, immutable".into()),
            etag: Some("\"07\"".into()),
            accept_ranges: Some("bytes".into()),
            content_range: None,
            bytes: 10,
            sha256: Some([7; 32]),
        }
    }

    #[track_caller]
    fn check(change: fn(&mut Fetch), said: &str) {
        let mut fetch = good(CacheStatus::Hit);
        change(&mut fetch);
        let mut wrong = served(PATH, &fetch, &[CacheStatus::Hit], &PUBLISHED);
        wrong.extend(headers(PATH, &fetch, true));
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].contains(said), "{wrong:?}");
    }

    #[test]
    fn each_fault_of_a_response_is_said_and_a_good_one_has_none() {
        assert!(served(PATH, &good(CacheStatus::Hit), &[CacheStatus::Hit], &PUBLISHED).is_empty());
        assert!(headers(PATH, &good(CacheStatus::Hit), true).is_empty());
        check(|f| f.cache = Some(CacheStatus::Pass), "came as PASS, not HIT");
        check(|f| f.cache = None, "came as nothing");
        check(|f| f.sha256 = Some([8; 32]), "not the published ones");
        check(|f| f.sha256 = None, "broke off");
        check(|f| f.bytes = 9, "has 9 bytes");
        check(|f| f.content_type = Some("application/octet-stream".into()), "content-type");
        check(|f| f.cache_control = None, "cache-control");
        check(|f| f.etag = Some("W/\"1\"".into()), "ETag");
        check(|f| f.accept_ranges = None, "accept-ranges");
    }

    #[test]
    fn a_refusal_is_said_once() {
        let refused = Fetch { status: 401, ..Fetch::default() };
        assert_eq!(served(PATH, &refused, &[CacheStatus::Hit], &PUBLISHED).len(), 1);
    }

    #[test]
    fn one_client_of_many_reads_the_origin() {
        let mut fetches = vec![good(CacheStatus::Coalesced); 9];
        fetches.push(good(CacheStatus::Miss));
        assert!(coalesced(PATH, &fetches, &PUBLISHED).is_empty());
        fetches[0] = good(CacheStatus::Miss);
        assert!(coalesced(PATH, &fetches, &PUBLISHED)[0].contains("2 times"));
        assert!(!coalesced(PATH, &[], &PUBLISHED).is_empty());
    }

    #[test]
    fn ranges_conditions_and_deletes_have_one_right_answer() {
        let part = Fetch { status: 206, content_range: Some("bytes 2-5/10".into()), bytes: 4, ..Fetch::default() };
        assert!(ranged(PATH, &part, 2, 5, 10).is_empty());
        assert!(!ranged(PATH, &part, 2, 6, 10).is_empty());
        assert!(!ranged(PATH, &good(CacheStatus::Hit), 2, 5, 10).is_empty());
        assert!(unchanged(PATH, &Fetch { status: 304, ..Fetch::default() }).is_empty());
        assert!(!unchanged(PATH, &good(CacheStatus::Hit)).is_empty());
        assert!(gone(PATH, &Fetch { status: 404, ..Fetch::default() }).is_empty());
        assert!(!gone(PATH, &good(CacheStatus::Hit)).is_empty());
    }

    #[test]
    fn a_bootstrap_hands_a_cookie_and_no_token() {
        assert!(bootstrap(&["http://a/v/x/hls/master.m3u8"], "cookie", Some("/v/x/"), "/v/x/").is_empty());
        assert!(!bootstrap(&["http://a/v/x/~rt1.x/hls/master.m3u8"], "cookie", Some("/v/x/"), "/v/x/").is_empty());
        assert!(!bootstrap(&[], "path", Some("/v/x/"), "/v/x/").is_empty());
        assert!(!bootstrap(&[], "cookie", None, "/v/x/").is_empty());
        assert!(!bootstrap(&[], "cookie", Some("/"), "/v/x/").is_empty());
    }

    #[test]
    fn lost_and_waiting_events_are_said() {
        assert!(accounted("e", 3, 3, 0).is_empty());
        assert_eq!(accounted("e", 3, 4, 1).len(), 2);
    }
}
