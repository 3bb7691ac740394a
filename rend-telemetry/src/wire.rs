//! The JSON in which a batch travels to `POST /internal/telemetry/playback`, and the answer to it.
//!
//! ```json
//! {"v":1,"id":"0707070707070707:3","boot":"0707070707070707","node":"ash-1","dropped_total":0,"events":[
//!   {"seq":1,"at":1800000000000,"org":null,"asset":"018f0000-0000-7000-8000-000000000001","sid":"01020304050607",
//!    "path":"hls/720p/segment_00001.m4s","obj":400000,"sent":400000,"from":0,"status":200,"cache":"HIT",
//!    "ttfb_us":900,"ms":40,"aborted":false}]}
//! ```
//!
//! `org`, `sid` and `obj` may be null or absent; everything else is required. Numbers are at most [`NUMBER_MAX`]. A batch
//! of another version, or one that breaks the outer form, is refused whole, since nothing in it can be trusted. Inside, one
//! bad event never rejects its batch: it is left out and named by its index. A field that the version does not know makes
//! an event bad, so that nothing which could hold an address or a token is ever stored in passing.

use std::io::Write;

use bytes::Bytes;
use rend_core::analytics::{PlaybackBatch, PlaybackEvent};
use rend_core::id::EdgeId;
use rend_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

/// The version of the form.
pub const VERSION: u32 = 1;
/// Bytes that one event may take, as JSON.
pub const EVENT_BYTES_MAX: usize = 1024;
/// Bytes that a batch may take, as JSON. A receiver allows a body this long.
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// Events that a batch may hold.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// The largest number in any field: what every reader of JSON keeps exactly.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Rejected events that an answer lists; further ones are only left out.
pub const REJECTED_MAX: usize = BATCH_EVENTS_MAX;

/// A batch that was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decoded {
    /// What the sender calls the batch: `boot:file`, for the log.
    pub id: String,
    /// The good events, in order.
    pub batch: PlaybackBatch,
    /// The others.
    pub rejected: Vec<Rejected>,
}

/// One event that was not taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rejected {
    /// Its place in the batch's list, from 0.
    pub index: usize,
    /// What is wrong with it, in words that may be shown.
    pub reason: String,
}

/// The body of the answer to a batch.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// Events that were new.
    pub new: u64,
    /// Events that were known already.
    pub repeated: u64,
    /// Events that were not taken. The sender quarantines them.
    #[serde(default)]
    pub rejected: Vec<Rejected>,
}

impl Answer {
    /// The answer as JSON.
    pub fn to_json(&self) -> Bytes {
        // Numbers and strings always serialise.
        serde_json::to_vec(self).map(Bytes::from).unwrap_or_default()
    }

    /// Reads an answer. Anything else, such as an empty body, is `None`: the status alone then counts.
    pub fn from_json(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// Why a body is not a batch. None gets better by sending the same again.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum WireError {
    /// The body is too long: answer 413.
    #[error("the batch has {bytes} bytes; at most {BATCH_BYTES_MAX} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// There are too many events: answer 413.
    #[error("the batch has {events} events; at most {BATCH_EVENTS_MAX} are taken")]
    TooMany {
        /// How many there are.
        events: usize,
    },
    /// The batch is of a version that this program does not know: answer 422.
    #[error("the batch is of version {found}; this program knows {VERSION}")]
    UnknownVersion {
        /// The version it names.
        found: u64,
    },
    /// The outer form is broken: answer 400.
    #[error("not a batch: {reason}")]
    Malformed {
        /// What is wrong, in words that may be shown.
        reason: &'static str,
    },
    /// On writing: an event belongs to another run or edge than the batch.
    #[error("the event at {index} is of another run or edge than its batch")]
    Mixed {
        /// Its place in the batch.
        index: usize,
    },
    /// On writing: an event takes more than [`EVENT_BYTES_MAX`] bytes.
    #[error("the event at {index} is longer than {EVENT_BYTES_MAX} bytes")]
    EventTooLong {
        /// Its place in the batch.
        index: usize,
    },
}

/// Writes a batch.
///
/// # Errors
///
/// [`WireError::Mixed`], [`WireError::EventTooLong`], [`WireError::TooMany`] or [`WireError::TooLong`].
pub fn encode(id: &str, batch: &PlaybackBatch) -> Result<Bytes, WireError> {
    if batch.events.len() > BATCH_EVENTS_MAX {
        return Err(WireError::TooMany { events: batch.events.len() });
    }
    let mut payloads = Vec::with_capacity(batch.events.len());
    for (index, event) in batch.events.iter().enumerate() {
        if event.boot != batch.boot || event.node != batch.node {
            return Err(WireError::Mixed { index });
        }
        payloads.push(encode_event(event).ok_or(WireError::EventTooLong { index })?);
    }
    let body = join(id, batch.boot, &batch.node, batch.dropped_total, payloads.iter().map(Vec::as_slice));
    if body.len() > BATCH_BYTES_MAX { Err(WireError::TooLong { bytes: body.len() }) } else { Ok(body) }
}

/// Reads a batch.
///
/// # Errors
///
/// Every [`WireError`] but the two that only writing has. A bad event is not an error of its batch.
pub fn decode(body: &[u8]) -> Result<Decoded, WireError> {
    if body.len() > BATCH_BYTES_MAX {
        return Err(WireError::TooLong { bytes: body.len() });
    }
    let read: BatchIn<'_> = serde_json::from_slice(body).map_err(|_| why_not_a_batch(body))?;
    if read.v != u64::from(VERSION) {
        return Err(WireError::UnknownVersion { found: read.v });
    }
    if read.events.len() > BATCH_EVENTS_MAX {
        return Err(WireError::TooMany { events: read.events.len() });
    }
    let boot = unhex(&read.boot).ok_or(WireError::Malformed { reason: "boot: 16 characters 0-9 and a-f" })?;
    let node: EdgeId = read.node.parse().map_err(|_| WireError::Malformed { reason: "node: an edge id" })?;
    if read.id.len() > ID_BYTES_MAX || !read.id.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'-') {
        return Err(WireError::Malformed { reason: "id: at most 64 characters 0-9, a-f, : and -" });
    }
    if read.dropped_total > NUMBER_MAX {
        return Err(WireError::Malformed { reason: "dropped_total: too large" });
    }
    let mut events = Vec::with_capacity(read.events.len());
    let mut rejected = Vec::new();
    for (index, raw) in read.events.iter().enumerate() {
        match decode_event(raw.get().as_bytes(), boot, &node) {
            Ok(event) => events.push(event),
            Err(reason) => rejected.push(Rejected { index, reason: reason.to_owned() }),
        }
    }
    let batch = PlaybackBatch { boot, node, dropped_total: read.dropped_total, events };
    Ok(Decoded { id: read.id, batch, rejected })
}

/// One event as JSON, without its run and edge, which its surroundings name; `None` when it would be too long.
pub(crate) fn encode_event(event: &PlaybackEvent) -> Option<Vec<u8>> {
    // By hand, since every response of an edge comes by: what can stand in a string here needs no escape. A test holds it to
    // the form that is read.
    let mut json = Vec::with_capacity(EVENT_BYTES_USUAL);
    let number = |json: &mut Vec<u8>, name: &str, number: u64| {
        json.extend_from_slice(name.as_bytes());
        push_decimal(json, number);
    };
    number(&mut json, "{\"seq\":", event.seq);
    number(&mut json, ",\"at\":", event.observed_at.as_millis());
    // Writing into a vector cannot fail.
    let _ = match event.org {
        Some(org) => write!(json, ",\"org\":\"{org}\",\"asset\":\"{}\",\"sid\":", event.asset),
        None => write!(json, ",\"org\":null,\"asset\":\"{}\",\"sid\":", event.asset),
    };
    match event.session {
        Some(sid) => {
            json.push(b'"');
            json.extend(sid.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| HEX[usize::from(nibble)]));
            json.push(b'"');
        }
        None => json.extend_from_slice(b"null"),
    }
    let _ = write!(json, ",\"path\":\"{}\"", event.path);
    match event.object_bytes {
        Some(bytes) => number(&mut json, ",\"obj\":", bytes),
        None => json.extend_from_slice(b",\"obj\":null"),
    }
    number(&mut json, ",\"sent\":", event.bytes_sent);
    number(&mut json, ",\"from\":", event.range_start);
    number(&mut json, ",\"status\":", u64::from(event.status));
    for part in [",\"cache\":\"", event.cache.as_str(), "\""] {
        json.extend_from_slice(part.as_bytes());
    }
    number(&mut json, ",\"ttfb_us\":", event.ttfb_us);
    number(&mut json, ",\"ms\":", event.duration_ms);
    json.extend_from_slice(if event.aborted { b",\"aborted\":true}" } else { b",\"aborted\":false}" });
    (json.len() <= EVENT_BYTES_MAX).then_some(json)
}

fn push_decimal(json: &mut Vec<u8>, mut number: u64) {
    let (mut digits, mut at) = ([0; 20], 20);
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return json.extend_from_slice(&digits[at..]);
        }
    }
}

/// Reads one event.
///
/// # Errors
///
/// What is wrong with it, in words that may be shown: they never repeat the input.
pub fn decode_event(json: &[u8], boot: [u8; 8], node: &EdgeId) -> Result<PlaybackEvent, &'static str> {
    if json.len() > EVENT_BYTES_MAX {
        return Err("longer than 1024 bytes");
    }
    let form: EventForm =
        serde_json::from_slice(json).map_err(|_| "a field is unknown, missing, twice there or of a wrong type")?;
    if [form.seq, form.sent, form.from, form.ttfb_us, form.ms, form.obj.unwrap_or(0)].iter().any(|n| *n > NUMBER_MAX) {
        return Err("a number is above 9007199254740991");
    }
    if form.seq == 0 {
        return Err("seq: counts from 1");
    }
    if form.at > Timestamp::MAX.as_millis() {
        return Err("at: milliseconds since 1970, up to the year 9999");
    }
    if !(100..=599).contains(&form.status) {
        return Err("status: 100 to 599");
    }
    Ok(PlaybackEvent {
        boot,
        seq: form.seq,
        node: node.clone(),
        observed_at: Timestamp::from_millis(form.at),
        org: form.org.map(|org| org.parse()).transpose().map_err(|_| "org: a lower-case hyphenated UUID")?,
        asset: form.asset.parse().map_err(|_| "asset: a lower-case hyphenated UUID")?,
        session: match form.sid {
            Some(sid) => Some(unhex(&sid).ok_or("sid: 14 characters 0-9 and a-f")?),
            None => None,
        },
        path: form.path.parse().map_err(|_| "path: an artifact's path")?,
        object_bytes: form.obj,
        bytes_sent: form.sent,
        range_start: form.from,
        status: form.status,
        cache: form.cache.parse().map_err(|_| "cache: HIT, MISS, COALESCED, PASS or REVALIDATED")?,
        ttfb_us: form.ttfb_us,
        duration_ms: form.ms,
        aborted: form.aborted,
    })
}

/// Puts events that are JSON already into a batch.
pub(crate) fn join<'a>(
    id: &str,
    boot: [u8; 8],
    node: &EdgeId,
    dropped_total: u64,
    payloads: impl Iterator<Item = &'a [u8]>,
) -> Bytes {
    let mut out = format!(
        r#"{{"v":{VERSION},"id":"{id}","boot":"{}","node":"{node}","dropped_total":{dropped_total},"events":["#,
        hex(&boot)
    )
    .into_bytes();
    for (index, payload) in payloads.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(payload);
    }
    out.extend_from_slice(b"]}");
    Bytes::from(out)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}

pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// Looks again at a body that is not a batch: a newer version may well have another form, and should be named.
fn why_not_a_batch(body: &[u8]) -> WireError {
    match serde_json::from_slice::<VersionOnly>(body) {
        Ok(VersionOnly { v }) if v != u64::from(VERSION) => WireError::UnknownVersion { found: v },
        Ok(_) => WireError::Malformed { reason: "a field is unknown, missing, twice there or of a wrong type" },
        Err(_) => WireError::Malformed { reason: "a JSON object with v, id, boot, node, dropped_total and events" },
    }
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchIn<'a> {
    v: u64,
    id: String,
    boot: String,
    node: String,
    dropped_total: u64,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
struct EventForm {
    seq: u64,
    at: u64,
    org: Option<String>,
    asset: String,
    sid: Option<String>,
    path: String,
    obj: Option<u64>,
    sent: u64,
    from: u64,
    status: u16,
    cache: String,
    ttfb_us: u64,
    ms: u64,
    aborted: bool,
}

/// What an event usually takes.
const EVENT_BYTES_USUAL: usize = 320;
const HEX: &[u8; 16] = b"0123456789abcdef";
/// Characters that a batch's id may have.
const ID_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use rend_core::analytics::CacheStatus;
    use rend_core::id::{AssetId, OrgId};

    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut PlaybackEvent)) {
        let mut event = PlaybackEvent {
            boot: [7; 8],
            seq: 1,
            node: "ash-1".parse().unwrap(),
            observed_at: Timestamp::from_secs(1_800_000_000),
            org: None,
            asset: AssetId::from_bytes([0xa5; 16]),
            session: None,
            path: "hls/720p/segment_00001.m4s".parse().unwrap(),
            object_bytes: None,
            bytes_sent: 0,
            range_start: 0,
            status: 200,
            cache: CacheStatus::Hit,
            ttfb_us: 0,
            duration_ms: 0,
            aborted: false,
        };
        change(&mut event);
        let form = EventForm {
            seq: event.seq,
            at: event.observed_at.as_millis(),
            org: event.org.map(|org| org.to_string()),
            asset: event.asset.to_string(),
            sid: event.session.map(|sid| hex(&sid)),
            path: event.path.to_string(),
            obj: event.object_bytes,
            sent: event.bytes_sent,
            from: event.range_start,
            status: event.status,
            cache: event.cache.as_str().to_owned(),
            ttfb_us: event.ttfb_us,
            ms: event.duration_ms,
            aborted: event.aborted,
        };
        let json = encode_event(&event).unwrap();
        assert_eq!(String::from_utf8_lossy(&json), serde_json::to_string(&form).unwrap());
        assert_eq!(decode_event(&json, event.boot, &event.node), Ok(event));
    }

    #[test]
    fn what_is_written_by_hand_is_the_form_that_is_read() {
        check(|_| {});
        check(|event| event.org = Some(OrgId::from_bytes([0x0f; 16])));
        check(|event| event.session = Some([0, 1, 0x9a, 0xff, 0x10, 0x7f, 0x80]));
        check(|event| (event.object_bytes, event.bytes_sent) = (Some(NUMBER_MAX), NUMBER_MAX));
        check(|event| (event.seq, event.range_start, event.status) = (NUMBER_MAX, 10, 206));
        check(|event| (event.ttfb_us, event.duration_ms, event.aborted) = (999, 1_000_000, true));
        for cache in CacheStatus::ALL {
            check(|event| event.cache = *cache);
        }
        for path in ["opener.mp4", "hls/master.m3u8", "hls/360p/init_360p.mp4", "thumbs.vtt"] {
            check(|event| event.path = path.parse().unwrap());
        }
    }
}
