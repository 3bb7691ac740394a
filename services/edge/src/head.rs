//! The heads of responses: which headers each kind of answer carries.

use std::cell::RefCell;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use rend_core::analytics::CacheStatus;
use rend_core::artifact::ArtifactPath;
use rend_core::id::{AssetId, EdgeId};
use rend_core::time::{Mono, Timestamp};

use crate::conditional::Validators;

/// What every answer says of the edge that gave it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    id: HeaderValue,
    region: HeaderValue,
}

impl Identity {
    /// The headers of the edge `id` in `region`. A region that can not stand in a header becomes empty.
    pub(crate) fn new(id: &EdgeId, region: &str) -> Self {
        let value = |text: &str| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        Self { id: value(id.as_str()), region: value(region) }
    }

    /// What every answer on the public listener carries.
    pub(crate) fn write(&self, response: &mut HeaderMap) {
        response.insert(EDGE_ID, self.id.clone());
        response.insert(REGION, self.region.clone());
        response.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
}

/// How long something may be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Life {
    /// Its bytes never change.
    Immutable,
    /// A playlist that is not complete.
    Growing,
    /// A playlist that is complete.
    Finished,
}

impl Life {
    /// What is said of a body of `path`.
    ///
    /// A media playlist says itself when it is complete. A master playlist has no such mark: it counts as complete once
    /// it has not been rewritten for [`MASTER_SETTLED_SECS`]; whoever read it earlier asks again within a second.
    pub(crate) fn of(path: &ArtifactPath, body: &[u8], modified: Timestamp, now: Timestamp) -> Self {
        if path.is_immutable() {
            return Self::Immutable;
        }
        let finished = if *path == ArtifactPath::Master {
            now.since(modified).as_secs() >= MASTER_SETTLED_SECS
        } else {
            body.trim_ascii_end().ends_with(b"#EXT-X-ENDLIST")
        };
        if finished { Self::Finished } else { Self::Growing }
    }

    /// For how long the edge itself believes it before it asks the origin.
    pub(crate) const fn fresh_ms(self) -> u64 {
        match self {
            Self::Immutable => u64::MAX,
            Self::Growing => 1_000,
            Self::Finished => 60_000,
        }
    }

    /// For how long it may still be given out while somebody asks the origin, or when the origin does not answer.
    pub(crate) const fn stale_ms(self) -> u64 {
        match self {
            Self::Immutable => 0,
            Self::Growing | Self::Finished => 300_000,
        }
    }

    const fn cache_control(self) -> &'static str {
        match self {
            Self::Immutable => "private, max-age=31536000, immutable",
            Self::Growing => "private, max-age=1",
            Self::Finished => "private, max-age=60, stale-while-revalidate=300",
        }
    }
}

/// Writes what a 200, 206 or 304 says of an artifact of `asset`. A download is to be kept as a file, under a name that tells
/// the asset and the rung: both are plain, so the name needs no quoting beyond its quotes.
pub(crate) fn artifact(
    response: &mut HeaderMap,
    asset: AssetId,
    path: &ArtifactPath,
    validators: &Validators,
    life: Life,
    cache: CacheStatus,
) {
    response.insert(header::CONTENT_TYPE, HeaderValue::from_static(path.content_type()));
    response.insert(header::CACHE_CONTROL, HeaderValue::from_static(life.cache_control()));
    response.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let ArtifactPath::Download(rendition) = path
        && let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{asset}-{rendition}.mp4\""))
    {
        response.insert(header::CONTENT_DISPOSITION, value);
    }
    validators.write(response);
    response.insert(CACHE, HeaderValue::from_static(cache.as_str()));
    response.insert(header::CACHE_STATUS, HeaderValue::from_static(cache_status(cache)));
}

/// The head of a hit of a whole body as text, but for what differs from one such answer to the next: `server-timing`, `date` and what
/// belongs to the viewer.
pub(crate) fn hit_text(
    identity: &Identity,
    asset: AssetId,
    path: &ArtifactPath,
    validators: &Validators,
    life: Life,
    len: u64,
) -> Vec<u8> {
    let mut headers = HeaderMap::new();
    artifact(&mut headers, asset, path, validators, life, CacheStatus::Hit);
    identity.write(&mut headers);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::CONTENT_LENGTH, len.into());
    let mut text = Vec::with_capacity(HEAD_BYTES_USUAL);
    status_text(StatusCode::OK, &mut text);
    fields_text(&headers, &mut text);
    text
}

/// Appends the first line of an answer.
pub(crate) fn status_text(status: StatusCode, text: &mut Vec<u8>) {
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(status.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    text.extend_from_slice(b"\r\n");
}

/// Appends `headers`, a line each.
pub(crate) fn fields_text(headers: &HeaderMap, text: &mut Vec<u8>) {
    for (name, value) in headers {
        field_text(name, value.as_bytes(), text);
    }
}

/// Appends one line.
pub(crate) fn field_text(name: &HeaderName, value: &[u8], text: &mut Vec<u8>) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        text.extend_from_slice(part);
    }
}

/// Appends `date`. The text is kept by each thread for as long as its second lasts.
pub(crate) fn date_text(now: Timestamp, text: &mut Vec<u8>) {
    thread_local! {
        static LAST: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
    }
    LAST.with_borrow_mut(|(secs, line)| {
        if *secs != now.as_secs() {
            line.clear();
            field_text(&header::DATE, httpdate::fmt_http_date(now.to_system()).as_bytes(), line);
            *secs = now.as_secs();
        }
        text.extend_from_slice(line);
    });
}

/// Appends how long the edge took, and that the bytes were cached.
pub(crate) fn hit_timing_text(started: Mono, now: Mono, text: &mut Vec<u8>) {
    let us = u64::try_from(now.since(started).as_micros()).unwrap_or(u64::MAX);
    field_text(&SERVER_TIMING, timing_text(us, CacheStatus::Hit.as_str()).as_bytes(), text);
}

/// Writes how long the edge took, and where the bytes came from.
pub(crate) fn timing(response: &mut HeaderMap, started: Mono, now: Mono, cache: CacheStatus) {
    let us = u64::try_from(now.since(started).as_micros()).unwrap_or(u64::MAX);
    if let Ok(value) = HeaderValue::from_bytes(timing_text(us, cache.as_str()).as_bytes()) {
        response.insert(SERVER_TIMING, value);
    }
}

/// Such a value, written by hand: it is part of every answer, and formatting it costs as much as all its other headers.
fn timing_text(us: u64, cache: &str) -> Text {
    let mut text = Text { bytes: [0; TIMING_BYTES_MAX], len: 0 };
    text.push(b"edge;dur=");
    let (mut digits, mut at, mut ms) = ([0; 20], 20, us / 1000);
    loop {
        at -= 1;
        digits[at] = b'0' + (ms % 10) as u8;
        ms /= 10;
        if ms == 0 {
            break;
        }
    }
    text.push(&digits[at..]);
    let rest = us % 1000;
    text.push(&[b'.', b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8]);
    text.push(b", cache;desc=");
    text.push(cache.as_bytes());
    text
}

/// A short text without an allocation of its own.
struct Text {
    bytes: [u8; TIMING_BYTES_MAX],
    len: usize,
}

impl Text {
    fn push(&mut self, more: &[u8]) {
        let end = (self.len + more.len()).min(TIMING_BYTES_MAX);
        self.bytes[self.len..end].copy_from_slice(&more[..end - self.len]);
        self.len = end;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The words of RFC 9211 for where the bytes came from.
const fn cache_status(status: CacheStatus) -> &'static str {
    match status {
        CacheStatus::Hit => "rend-edge; hit",
        CacheStatus::Miss => "rend-edge; fwd=uri-miss; stored",
        CacheStatus::Coalesced => "rend-edge; fwd=uri-miss; collapsed",
        CacheStatus::Pass => "rend-edge; fwd=bypass",
        CacheStatus::Revalidated => "rend-edge; hit; fwd=stale; fwd-status=304",
    }
}

/// A master playlist that was rewritten less than this many seconds ago may be rewritten again.
pub(crate) const MASTER_SETTLED_SECS: u64 = 60;

pub(crate) const CACHE: HeaderName = HeaderName::from_static("x-rend-cache");
pub(crate) const EDGE_ID: HeaderName = HeaderName::from_static("x-rend-edge-id");
pub(crate) const REGION: HeaderName = HeaderName::from_static("x-rend-region");
/// What a head usually takes.
const HEAD_BYTES_USUAL: usize = 768;
/// The longest value that is written, with the most milliseconds and the longest word there are.
const TIMING_BYTES_MAX: usize = 64;
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[track_caller]
    fn check(path: &str, body: &[u8], age_secs: u64, expect: Life) {
        let now = PUBLISHED + std::time::Duration::from_secs(age_secs);
        assert_eq!(Life::of(&path.parse().unwrap(), body, PUBLISHED, now), expect, "{path}");
    }

    #[track_caller]
    fn check_timing(us: u64, cache: CacheStatus, expect: &str) {
        assert_eq!(timing_text(us, cache.as_str()).as_bytes(), expect.as_bytes());
    }

    #[test]
    fn times_are_milliseconds_with_three_digits() {
        check_timing(0, CacheStatus::Hit, "edge;dur=0.000, cache;desc=HIT");
        check_timing(1_070, CacheStatus::Miss, "edge;dur=1.070, cache;desc=MISS");
        check_timing(12_345_678, CacheStatus::Coalesced, "edge;dur=12345.678, cache;desc=COALESCED");
        let longest = "edge;dur=18446744073709551.615, cache;desc=REVALIDATED";
        check_timing(u64::MAX, CacheStatus::Revalidated, longest);
        assert!(longest.len() <= TIMING_BYTES_MAX);
    }

    #[test]
    fn only_playlists_have_a_short_life() {
        check("hls/360p/segment_00000.m4s", b"", 0, Life::Immutable);
        check("hls/360p/init_360p.mp4", b"", 0, Life::Immutable);
        check("opener.mp4", b"", 0, Life::Immutable);
        check("thumbs.vtt", b"", 0, Life::Immutable);
        check("downloads/720p.mp4", b"", 0, Life::Immutable);
        check("hls/360p/index.m3u8", b"#EXTM3U\n#EXTINF:4,\nsegment_00000.m4s\n", 100_000, Life::Growing);
        check("hls/360p/index.m3u8", b"#EXTM3U\n#EXT-X-ENDLIST\n", 0, Life::Finished);
        check("hls/360p/iframe.m3u8", b"#EXTM3U\n#EXT-X-ENDLIST", 0, Life::Finished);
        check("hls/master.m3u8", b"#EXTM3U\n", 59, Life::Growing);
        check("hls/master.m3u8", b"#EXTM3U\n", 60, Life::Finished);
    }
}
