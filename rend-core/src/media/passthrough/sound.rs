//! The sound that goes with the pictures: from the first of them to the last, and nowhere a hole.

use bytes::Bytes;

use super::{Reason, SOUND};
use crate::media::isobmff::{NewTrack, TrackKind};
use crate::media::moov::{Aac, Entry, MovieTrack, SAMPLES_MAX};
use crate::media::plan::SOUND_SILENT;

/// One frame of sound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Heard {
    /// Where its bytes begin in the source; `None` for a frame of silence.
    pub(super) offset: Option<u64>,
    /// How many there are.
    pub(super) size: u32,
    /// When it begins, in ticks after the first picture.
    pub(super) starts_at: u64,
    /// How long it lasts.
    pub(super) duration: u32,
}

/// The frames of `track` that are heard under the pictures, its description, and a frame of silence.
///
/// `shift` is how many ticks after the first picture the track's own time 0 lies, `ends_at` when the last picture ends.
pub(super) fn heard(
    track: &MovieTrack,
    file_len: u64,
    shift: i64,
    ends_at: u64,
) -> Result<(Vec<Heard>, NewTrack, Bytes), Reason> {
    let aac = match &track.entry {
        Entry::Aac(aac) => *aac,
        Entry::Avc(_) => return Err(Reason::SoundCodec("avc1".to_owned())),
        Entry::Other(codec) => return Err(Reason::SoundCodec(codec.clone())),
    };
    let silence = silence(aac).ok_or(Reason::Sound)?;
    if track.timescale != aac.sample_rate {
        return Err(Reason::SoundClock);
    }
    if track.descriptions != 1 {
        return Err(Reason::Descriptions);
    }
    if !track.contained {
        return Err(Reason::Elsewhere);
    }
    let (from, until) = super::survey::edited(track)?;
    let table = track.table.as_ref().ok_or(Reason::Sound)?;
    let frame = i64::from(FRAME);
    let mut frames: Vec<Heard> = Vec::with_capacity(usize::try_from(table.count()).unwrap_or(0));
    let mut first: Option<u64> = None;
    let mut late = 0;
    let mut total = 0_u64;
    for sample in table.samples() {
        let sample = sample.map_err(Reason::Unreadable)?;
        if sample.offset.checked_add(sample.size.into()).is_none_or(|end| end > file_len) {
            return Err(Reason::CutShort);
        }
        if sample.description != 1 {
            return Err(Reason::Descriptions);
        }
        if sample.duration > GAP_MAX || sample.shown_after != 0 {
            return Err(Reason::SoundClock);
        }
        total = sample.decoded_at.saturating_add(sample.duration.into());
        let own = i64::try_from(sample.decoded_at).map_err(|_| Reason::SoundClock)?;
        let at = own.saturating_add(shift);
        // What begins more than half a frame before the cut is on its other side.
        if own + frame / 2 < from || at < -frame / 2 {
            continue;
        }
        if until.is_some_and(|until| own >= until) || at >= ends_at.cast_signed() {
            late = late.max(until.unwrap_or(i64::MAX).min(own + frame).saturating_add(shift));
            continue;
        }
        // A frame that begins a little before the first picture begins with it, and all others keep their distance.
        let origin = *first.get_or_insert(sample.decoded_at);
        let start = origin.cast_signed().saturating_add(shift).max(0).unsigned_abs();
        frames.push(Heard {
            offset: Some(sample.offset),
            size: sample.size,
            starts_at: start + (sample.decoded_at - origin),
            duration: sample.duration.max(1),
        });
    }
    let even = u64::from(table.count()) * u64::from(FRAME);
    if total.abs_diff(even) * 20 > even + u64::from(FRAME) * 40 {
        return Err(Reason::SoundClock);
    }
    if late > ends_at.cast_signed().saturating_add(i64::from(aac.sample_rate) / 2) {
        return Err(Reason::SoundLonger);
    }
    let frames = padded(frames, ends_at, u32::try_from(silence.len()).unwrap_or(0))?;
    let new = NewTrack {
        id: SOUND,
        kind: TrackKind::Audio,
        timescale: track.timescale,
        size: (0, 0),
        lang: track.lang,
        stsd: aac.stsd(),
    };
    Ok((frames, new, silence))
}

/// `frames` with silence before the first and after the last, as many whole frames as there is room for until `ends_at`.
///
/// Silence costs the file nothing, and so there is no more of it than a few minutes and as much again as there is sound.
fn padded(mut frames: Vec<Heard>, ends_at: u64, size: u32) -> Result<Vec<Heard>, Reason> {
    let frame = u64::from(FRAME);
    let silent = |starts_at| Heard { offset: None, size, starts_at, duration: FRAME };
    let first = frames.first().map_or(ends_at, |heard| heard.starts_at);
    let last = frames.last().map_or(first, |heard| heard.starts_at + u64::from(heard.duration));
    let (before, after) = (first / frame, ends_at.saturating_sub(last) / frame);
    if before + after + frames.len() as u64 > u64::from(SAMPLES_MAX) {
        return Err(Reason::Limit);
    }
    if before + after > SILENT_MAX + frames.len() as u64 {
        return Err(Reason::Silent);
    }
    let lead = first - before * frame;
    let mut all: Vec<Heard> = (0..before).map(|number| silent(lead + number * frame)).collect();
    all.append(&mut frames);
    all.extend((0..after).map(|number| silent(last + number * frame)));
    Ok(all)
}

/// A frame of AAC-LC in which nothing is heard, written out bit by bit: one element whose highest band is none.
fn silence(aac: Aac) -> Option<Bytes> {
    if !aac.low_complexity || !matches!(aac.sample_rate, 44_100 | 48_000) {
        return None;
    }
    match aac.channels {
        // Single channel element 0; gain, window and bands 0; no pulses, no noise shaping, no gain control; end.
        1 => Some(Bytes::from_static(&[0x00, 0x00, 0x00, 0x07])),
        2 => Some(Bytes::from_static(&SOUND_SILENT)),
        _ => None,
    }
}

/// Samples in a frame.
const FRAME: u32 = 1024;
/// A frame that lasts longer than this, in samples, leaves a hole that is heard.
const GAP_MAX: u32 = 4 * FRAME;
/// Frames of silence that are made up for a sound, beside as many as it has of its own: ten minutes at 48 kHz.
const SILENT_MAX: u64 = 28_125;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(starts_at: u64) -> Heard {
        Heard { offset: Some(0), size: 10, starts_at, duration: FRAME }
    }

    #[test]
    fn silence_fills_what_the_sound_leaves_out() {
        let all = padded(vec![frame(2500), frame(3524)], 8000, 6).unwrap();
        let told: Vec<_> = all.iter().map(|h| (h.starts_at, h.offset.is_some())).collect();
        assert_eq!(
            told,
            [(452, false), (1476, false), (2500, true), (3524, true), (4548, false), (5572, false), (6596, false)]
        );
        assert_eq!(padded(Vec::new(), 2048, 6).unwrap().len(), 2);
        assert_eq!(padded(vec![frame(u64::from(SAMPLES_MAX) * 1024)], 0, 6), Err(Reason::Limit));
    }

    #[test]
    fn a_sound_that_would_be_silence_for_the_most_part_is_made_anew() {
        let ends_at = |silent: u64| (silent + 2) * 1024;
        let sound = || vec![frame(0), frame(1024)];
        assert_eq!(padded(sound(), ends_at(SILENT_MAX + 2), 6).unwrap().len(), 28_129);
        assert_eq!(padded(sound(), ends_at(SILENT_MAX + 3), 6), Err(Reason::Silent));
        let before = SILENT_MAX + 2;
        assert_eq!(padded(vec![frame(before * 1024)], 0, 6), Err(Reason::Silent));
    }
}
