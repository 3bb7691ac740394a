//! Captions as HLS wants them: cut where the picture is cut.

use super::Captions;
use crate::media::playlist::{Entry, Media};

/// The playlist of captions beside a rendition whose playlist is `beside`: as many segments of the same lengths under the
/// same target.
pub fn list(beside: &Media) -> Media {
    let entry = |(index, entry): (usize, &Entry)| Entry {
        micros: entry.micros,
        uri: format!("text_{index:05}.vtt"),
        bytes: None,
    };
    Media {
        target_secs: beside.target_secs,
        init: String::new(),
        segments: beside.segments.iter().enumerate().map(entry).collect(),
        ended: beside.ended,
        iframes_only: false,
    }
}

/// The segments of [`list`], in WebVTT, in its order.
///
/// A cue stands, with its whole time, in every segment during which it is shown: players that begin anywhere find it, and
/// those that have seen it know it again. Our renditions begin at zero, and so does the clock that is mapped to them.
pub fn segments(captions: &Captions, beside: &Media) -> Vec<String> {
    let cues = captions.cues();
    let mut texts = Vec::with_capacity(beside.segments.len());
    let (mut start_us, mut shown) = (0_u64, Vec::new());
    let mut next = 0;
    for entry in &beside.segments {
        let end_us = start_us.saturating_add(entry.micros);
        let starts_before_end = |from_ms: u64| from_ms.saturating_mul(1000) < end_us;
        while let Some(cue) = cues.get(next).filter(|cue| starts_before_end(cue.from_ms)) {
            shown.push(cue);
            next += 1;
        }
        shown.retain(|cue| cue.to_ms.saturating_mul(1000) > start_us);
        let mut text = HEADER.to_owned();
        for cue in &shown {
            text.push('\n');
            text.push_str(&cue.to_string());
        }
        texts.push(text);
        start_us = end_us;
    }
    texts
}

/// How every segment begins. The clock of the cues is that of the media.
const HEADER: &str = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n";
