//! Sounds in several languages: each a rendition of its own, cut where the pictures are.

use std::ops::Range;

use bytes::Bytes;

use super::{Passthrough, Reason, VIDEO, gathered, sound::Heard};
use crate::artifact::Rendition;
use crate::media::isobmff::{
    BoxError, Init, NewRun, NewTrack, Sample, read_init, segment_len, write_init, write_segment,
};
use crate::media::playlist::{Entry, Heard as Listed, Media, bandwidth};
use crate::media::sounds::Sound;

/// One sound of a source that is passed through, with a rendition of its own.
#[derive(Clone, Debug)]
pub struct Voice {
    /// What viewers choose.
    pub sound: Sound,
    pub(super) channels: u32,
    init_bytes: Bytes,
    init: Init,
    frames: Vec<Heard>,
    silence: Bytes,
    segments: Vec<Piece>,
}

/// One segment's share.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    micros: u64,
    frames: Range<usize>,
    /// Its length in bytes once it is written.
    bytes: u64,
}

impl Voice {
    /// The sound with these frames, cut so that each segment holds those that begin before the picture's next one does:
    /// `ends_us` is where each of the picture's segments ends.
    pub(super) fn cut(
        sound: Sound,
        channels: u32,
        (frames, track, silence): (Vec<Heard>, NewTrack, Bytes),
        ends_us: &[u64],
    ) -> Result<Self, Reason> {
        let hz = track.timescale;
        let init_bytes = write_init(&[NewTrack { id: VIDEO, ..track }]);
        let init = read_init(&init_bytes).map_err(Reason::Unreadable)?;
        let micros = |ticks: u64| {
            u64::try_from((u128::from(ticks) * 1_000_000 + u128::from(hz) / 2) / u128::from(hz.max(1)))
                .unwrap_or(u64::MAX)
        };
        let mut segments = Vec::with_capacity(ends_us.len());
        let mut from = 0;
        for (number, end_us) in ends_us.iter().enumerate() {
            let ticks = u128::from(*end_us) * u128::from(hz);
            let begun = frames.partition_point(|frame| u128::from(frame.starts_at) * 1_000_000 < ticks);
            let to = if number + 1 == ends_us.len() { frames.len() } else { begun };
            let own = frames.get(from..to).filter(|own| !own.is_empty()).ok_or(Reason::SoundClock)?;
            let (first, last) = (own.first().map_or(0, |f| f.starts_at), own.last());
            let end = last.map_or(first, |frame| frame.starts_at + u64::from(frame.duration));
            let data = own.iter().map(|frame| u64::from(frame.size)).sum();
            let bytes = segment_len(&[own.len()], data);
            segments.push(Piece { micros: micros(end) - micros(first), frames: from..to, bytes });
            from = to;
        }
        Ok(Self { sound, channels, init_bytes, init, frames, silence, segments })
    }

    /// The initialisation segment.
    pub fn init(&self) -> Bytes {
        self.init_bytes.clone()
    }

    /// The parts of the source that segment `index` is made of, in the order of the source.
    pub fn reads(&self, index: usize) -> Vec<Range<u64>> {
        let frames = self.own(index).iter().filter_map(|frame| Some((frame.offset?, frame.size)));
        super::near(frames.collect())
    }

    /// Segment `index`, made of the parts that [`Voice::reads`] names, in the same order.
    ///
    /// # Errors
    ///
    /// [`BoxError`] when a part is missing or short.
    pub fn write(&self, index: usize, parts: &[(u64, Bytes)]) -> Result<Bytes, BoxError> {
        let mut samples = Vec::new();
        for frame in self.own(index) {
            let data = match frame.offset {
                Some(offset) => gathered(parts, offset, frame.size)?,
                None => self.silence.clone(),
            };
            let (track, decoded_at, duration) = (VIDEO, frame.starts_at, frame.duration);
            samples.push(Sample { track, decoded_at, shown_after: 0, duration, key: true, data });
        }
        let starts_at = samples.first().ok_or(BoxError("there is no such segment"))?.decoded_at;
        let run = NewRun { track: VIDEO, starts_at, samples: &samples };
        Ok(write_segment(u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1), &[run]))
    }

    /// The length of its longest segment, in microseconds.
    pub(super) fn longest_us(&self) -> u64 {
        self.segments.iter().map(|piece| piece.micros).max().unwrap_or(0)
    }

    /// Its segments, told apart from those of any other cut.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.segments
    }

    fn own(&self, index: usize) -> &[Heard] {
        let piece = self.segments.get(index);
        piece.and_then(|piece| self.frames.get(piece.frames.clone())).unwrap_or_default()
    }
}

impl Passthrough {
    /// The sounds that have renditions of their own, the one that is heard by default first. Then the pictures have none.
    pub fn voices(&self) -> &[Voice] {
        &self.voices
    }

    /// Every rendition that it becomes.
    pub fn renditions(&self) -> Vec<Rendition> {
        std::iter::once(Self::RENDITION).chain(self.voices.iter().map(|voice| voice.sound.rendition)).collect()
    }

    /// The media playlist of a sound with the first `count` segments.
    pub fn media_of(&self, voice: &Voice, count: usize, ended: bool) -> Media {
        let entry = |(index, piece): (usize, &Piece)| Entry {
            micros: piece.micros,
            uri: format!("segment_{index:05}.m4s"),
            bytes: None,
        };
        Media {
            target_secs: self.target_secs,
            init: format!("init_{}.mp4", voice.sound.rendition),
            segments: voice.segments.iter().take(count).enumerate().map(entry).collect(),
            ended,
            iframes_only: false,
        }
    }

    /// The sounds as the multivariant playlist tells of them, measured over all of them.
    pub fn heard(&self) -> Vec<Listed> {
        let listed = |voice: &Voice| {
            let sizes: Vec<_> = voice.segments.iter().map(|piece| (piece.micros, piece.bytes)).collect();
            let (bandwidth, average) = bandwidth(&sizes, self.target_secs);
            let codec = voice.init.tracks.first().map_or_else(String::new, |track| track.codec.clone());
            Listed { track: voice.sound.track(voice.channels), codec, bandwidth, average }
        };
        self.voices.iter().map(listed).collect()
    }
}
