//! A source that is good H.264 and AAC already plays without an encoder.
//!
//! ```text
//! moov ─▶ moov::Movie ─▶ survey ─┬▶ Passthrough: cuts, init, playlists, master    all of it known before a sample is read
//!                                └▶ reasons, for the owner
//! Passthrough::reads(n) ─▶ ranges of the source ─▶ Passthrough::write(n) ─▶ segment
//! ```
//!
//! Nothing of the source's description is copied but what decoders need: no user data, no names, no places. Segments are
//! cut where a group of pictures is closed, and hold pictures and sound as ordinary segments do. Where the sound begins
//! late or ends early there is silence, so that no segment lacks a track; sound before the first picture is left out.
//! Sounds in several languages are renditions of their own ([`Voice`]), made of ranges of the file as well.
use std::ops::Range;

use bytes::Bytes;

use crate::artifact::{ArtifactPath, Rendition};
use crate::asset::{MediaFacts, Note};
use crate::media::isobmff::{BoxError, Init, NewRun, NewTrack, Sample, TrackKind, segment_len, write_segment};
use crate::media::ladder::Size;
use crate::media::moov::{Avc, Stored};
use crate::media::playlist::{Entry, Master, Media, Variant, bandwidth};

mod beside;
mod cuts;
mod reason;
mod sound;
mod survey;
mod voices;

pub use beside::{Beside, beside};
pub use reason::{Reason, report};
pub use survey::survey;
pub use voices::Voice;

use sound::Heard;

/// Everything that is decided about a source that is passed through.
///
/// Holding one proves that the source's own tables call for nothing that players do not take, and that all its samples
/// lie within the file. Whether its key frames are what the tables call them, and whether one description fits all pictures,
/// can be told only from the samples: [`Passthrough::write`] looks.
#[derive(Clone, Debug)]
pub struct Passthrough {
    /// A digest of the decisions: another attempt at the same source has the same.
    pub id: String,
    /// The size of its pictures.
    pub size: Size,
    /// Frames per 1000 seconds, at the fastest.
    pub millifps: u64,
    /// Its length in microseconds.
    pub duration_us: u64,
    /// Whole seconds that no segment, rounded, is longer than.
    pub target_secs: u32,
    init_bytes: Bytes,
    init: Init,
    avc: Avc,
    /// When the first picture is shown, in ticks after it is decoded.
    delay: i64,
    pictures: Vec<Stored>,
    sounds: Vec<Heard>,
    silence: Bytes,
    segments: Vec<Segment>,
    voices: Vec<Voice>,
}

/// One segment's share.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Segment {
    start_us: u64,
    micros: u64,
    pictures: Range<usize>,
    sounds: Range<usize>,
    /// Its length in bytes once it is written.
    bytes: u64,
    /// How much of it holds the first picture.
    key_bytes: u64,
}

impl Passthrough {
    /// The rendition that it becomes.
    pub const RENDITION: Rendition = Rendition::Source;

    /// How many segments there are.
    pub const fn len(&self) -> usize {
        self.segments.len()
    }

    /// Whether there are none; there never are none.
    pub const fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The initialisation segment.
    pub fn init(&self) -> Bytes {
        self.init_bytes.clone()
    }

    /// The initialisation segment as it reads back.
    pub const fn description(&self) -> &Init {
        &self.init
    }

    /// When each segment begins, in microseconds.
    pub fn starts_us(&self) -> impl Iterator<Item = u64> {
        self.segments.iter().map(|segment| segment.start_us)
    }

    /// The length of segment `index` in bytes, before it is written.
    pub fn bytes_of(&self, index: usize) -> Option<u64> {
        self.segments.get(index).map(|segment| segment.bytes)
    }

    /// The parts of the source that segment `index` is made of, in the order of the source. What lies closely together is
    /// one part.
    pub fn reads(&self, index: usize) -> Vec<Range<u64>> {
        let Some(segment) = self.segments.get(index) else { return Vec::new() };
        let pictures = self.pictures.get(segment.pictures.clone()).unwrap_or_default();
        let sounds = self.sounds.get(segment.sounds.clone()).unwrap_or_default();
        let seen = pictures.iter().map(|sample| (sample.offset, sample.size));
        let heard = sounds.iter().filter_map(|heard| heard.offset.map(|offset| (offset, heard.size)));
        near(seen.chain(heard).collect())
    }

    /// The first bytes of the first picture of segment `index`: enough of them to see what it is, for
    /// [`Passthrough::starts_anew`].
    pub fn first_picture(&self, index: usize) -> Option<Range<u64>> {
        let first = self.pictures.get(self.segments.get(index)?.pictures.start)?;
        Some(first.offset..first.offset.saturating_add(u64::from(first.size).min(LOOK_BYTES)))
    }

    /// Whether a sample that begins with `bytes` can be decoded without any before it, as far as they tell.
    pub fn starts_anew(&self, bytes: &[u8]) -> Option<bool> {
        self.avc.starts_anew(bytes)
    }

    /// Whether a sample that begins with `bytes` brings no parameter sets but those of the description, as far as they tell.
    pub fn describes(&self, bytes: &[u8]) -> bool {
        self.avc.describes(bytes)
    }

    /// Segment `index`, made of the parts that [`Passthrough::reads`] names, in the same order.
    ///
    /// # Errors
    ///
    /// [`Reason`] when a part is missing or short, when the first picture turns out to need others before it, or when any
    /// brings parameter sets that the description does not have.
    pub fn write(&self, index: usize, parts: &[(u64, Bytes)]) -> Result<Bytes, Reason> {
        let segment = self.segments.get(index).ok_or(Reason::Unreadable(BoxError("there is no such segment")))?;
        let data = |offset: u64, size: u32| gathered(parts, offset, size).map_err(Reason::Unreadable);
        let mut pictures = Vec::with_capacity(segment.pictures.len());
        for stored in self.pictures.get(segment.pictures.clone()).unwrap_or_default() {
            pictures.push(Sample {
                track: VIDEO,
                decoded_at: stored.decoded_at,
                shown_after: i32::try_from(i64::from(stored.shown_after) - self.delay).unwrap_or(0),
                duration: stored.duration,
                key: pictures.is_empty(),
                data: data(stored.offset, stored.size)?,
            });
        }
        let first = pictures.first().ok_or(Reason::Unreadable(BoxError("a segment has no picture")))?;
        if self.avc.starts_anew(&first.data) != Some(true) {
            return Err(Reason::OpenGroups);
        }
        if !pictures.iter().all(|picture| self.avc.describes(&picture.data)) {
            return Err(Reason::ParameterSets);
        }
        let mut runs = vec![NewRun { track: VIDEO, starts_at: first.decoded_at, samples: &pictures }];
        let mut sounds = Vec::with_capacity(segment.sounds.len());
        for heard in self.sounds.get(segment.sounds.clone()).unwrap_or_default() {
            sounds.push(Sample {
                track: SOUND,
                decoded_at: heard.starts_at,
                shown_after: 0,
                duration: heard.duration,
                key: true,
                data: match heard.offset {
                    Some(offset) => data(offset, heard.size)?,
                    None => self.silence.clone(),
                },
            });
        }
        if let Some(first) = sounds.first() {
            runs.push(NewRun { track: SOUND, starts_at: first.decoded_at, samples: &sounds });
        }
        Ok(write_segment(u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1), &runs))
    }

    /// The media playlist with the first `count` segments.
    pub fn media(&self, count: usize, ended: bool) -> Media {
        self.list(count, ended, false)
    }

    /// The key-frame list.
    pub fn iframes(&self) -> Media {
        self.list(self.segments.len(), true, true)
    }

    /// Its entry in the multivariant playlist, measured over all of it.
    pub fn variant(&self) -> Variant {
        let sizes: Vec<_> = self.segments.iter().map(|s| (s.micros, s.bytes)).collect();
        let codecs: Vec<&str> = self.init.tracks.iter().map(|track| track.codec.as_str()).collect();
        self.entry("index.m3u8", &sizes, codecs.join(","), Some(self.millifps))
    }

    /// Its key-frame list's entry in the multivariant playlist.
    pub fn iframe_variant(&self) -> Variant {
        let sizes: Vec<_> = self.segments.iter().map(|s| (s.micros, s.key_bytes)).collect();
        let codec = self.init.first(TrackKind::Video).map_or_else(String::new, |track| track.codec.clone());
        self.entry("iframe.m3u8", &sizes, codec, None)
    }

    /// The multivariant playlist with it alone; with its key-frame list when that is there too.
    pub fn master(&self, iframes: bool) -> Master {
        let iframes = if iframes { vec![self.iframe_variant()] } else { Vec::new() };
        let mut master = Master { variants: vec![self.variant()], iframes, ..Master::default() };
        master.hear(self.heard());
        master
    }

    /// What an edge is asked to fetch ahead of viewers, what is wanted soonest first; at most `items_max`.
    pub fn warm(&self, items_max: usize) -> Vec<ArtifactPath> {
        let rendition = Self::RENDITION;
        let segment = |index| ArtifactPath::Segment { rendition, index };
        let count = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        let mut order =
            vec![ArtifactPath::Master, ArtifactPath::Variant(rendition), ArtifactPath::Init(rendition), segment(0)];
        let heard = self.voices.first().map(|voice| voice.sound.rendition);
        let spoken = |rendition, index| ArtifactPath::Segment { rendition, index };
        order.extend(heard.into_iter().flat_map(|r| [ArtifactPath::Variant(r), ArtifactPath::Init(r), spoken(r, 0)]));
        for index in 1..count.min(WARM_SEGMENTS) {
            order.push(segment(index));
            order.extend(heard.map(|rendition| spoken(rendition, index)));
        }
        order.truncate(items_max);
        order
    }

    /// What owners and viewers are told of it before anything else looked at it.
    pub fn facts(&self) -> MediaFacts {
        MediaFacts {
            container: crate::media::sniff::Container::Mov.to_string(),
            duration_ms: self.duration_us / 1000,
            width: self.size.width,
            height: self.size.height,
            millifps: u32::try_from(self.millifps).unwrap_or(u32::MAX),
            video_codec: "h264".to_owned(),
            audio_codec: if self.sounds.is_empty() && self.voices.is_empty() {
                String::new()
            } else {
                "aac".to_owned()
            },
            notes: vec![Note::until_playable(self.note())],
        }
    }

    /// What the owner is told of how it is played.
    pub const fn note(&self) -> &'static str {
        "pictures and sound are passed through as they are"
    }

    fn list(&self, count: usize, ended: bool, iframes_only: bool) -> Media {
        let entry = |(index, segment): (usize, &Segment)| Entry {
            micros: segment.micros,
            uri: format!("segment_{index:05}.m4s"),
            bytes: iframes_only.then_some((segment.key_bytes, 0)),
        };
        Media {
            target_secs: self.target_secs,
            init: format!("init_{}.mp4", Self::RENDITION),
            segments: self.segments.iter().take(count).enumerate().map(entry).collect(),
            ended,
            iframes_only,
        }
    }

    fn entry(&self, list: &str, sizes: &[(u64, u64)], codecs: String, millifps: Option<u64>) -> Variant {
        let (peak, mean) = bandwidth(sizes, self.target_secs);
        Variant {
            uri: format!("{}/{list}", Self::RENDITION),
            bandwidth: peak,
            average: mean,
            codecs,
            resolution: Some((self.size.width, self.size.height)),
            millifps,
        }
    }
}

impl Segment {
    fn new(
        start_us: u64,
        end_us: u64,
        pictures: Range<usize>,
        sounds: Range<usize>,
        seen: &[Stored],
        heard: &[Heard],
    ) -> Self {
        let (shown, told) =
            (seen.get(pictures.clone()).unwrap_or_default(), heard.get(sounds.clone()).unwrap_or_default());
        let first = shown.first().map_or(0, |sample| u64::from(sample.size));
        let data = shown.iter().map(|s| u64::from(s.size)).chain(told.iter().map(|h| u64::from(h.size))).sum();
        let counts = [shown.len(), told.len()];
        let counts = if told.is_empty() { &counts[..1] } else { &counts };
        Self {
            start_us,
            micros: end_us.saturating_sub(start_us),
            bytes: segment_len(counts, data),
            key_bytes: segment_len(counts, first),
            pictures,
            sounds,
        }
    }
}

/// The number of the picture's track.
const VIDEO: u32 = 1;
/// The number of the sound's track.
const SOUND: u32 = 2;
/// Bytes between two samples that are read along rather than parted into two reads.
const GAP_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a sample that are enough to see what it is: what stands before its first slice is shorter.
const LOOK_BYTES: u64 = 4096;
/// Segments that are warmed at first: the first eight seconds.
const WARM_SEGMENTS: u32 = 3;

/// Samples, given by offset and size, as parts to be read: those that lie closely together are one.
fn near(samples: Vec<(u64, u32)>) -> Vec<Range<u64>> {
    let part = |(offset, size): (u64, u32)| offset..offset.saturating_add(size.into());
    let mut parts: Vec<Range<u64>> = samples.into_iter().map(part).collect();
    parts.sort_unstable_by_key(|part| part.start);
    parts.dedup_by(|next, kept| {
        let near = next.start <= kept.end.saturating_add(GAP_BYTES_MAX);
        if near {
            kept.end = kept.end.max(next.end);
        }
        near
    });
    parts
}

/// The sample at `offset` out of parts that were read, each told by where it begins.
fn gathered(parts: &[(u64, Bytes)], offset: u64, size: u32) -> Result<Bytes, BoxError> {
    let place = parts.partition_point(|(start, _)| *start <= offset).checked_sub(1);
    let (start, bytes) = place.and_then(|place| parts.get(place)).ok_or(BoxError("a part is missing"))?;
    let from = usize::try_from(offset - start).unwrap_or(usize::MAX);
    let to = from.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
    bytes.get(from..to).map(|part| bytes.slice_ref(part)).ok_or(BoxError("a part is short"))
}

fn tracks_of(avc: &Avc, timescale: u32, sound: Option<NewTrack>) -> Vec<NewTrack> {
    let picture = NewTrack {
        id: VIDEO,
        kind: TrackKind::Video,
        timescale,
        size: avc.size,
        lang: crate::artifact::Lang::UND,
        stsd: avc.stsd(),
    };
    std::iter::once(picture).chain(sound).collect()
}

#[cfg(test)]
mod tests;
