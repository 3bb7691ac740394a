//! A rendition as one ordinary file: its description in front, and the bytes of its segments behind, as they are.
//!
//! ```text
//! ftyp  moov( mvhd  trak…( tkhd edts( elst ) mdia( mdhd hdlr minf( … stbl( stsd stts ctts stss stsc stsz stco ) ) ) ) )  mdat
//! ```
//!
//! The headers of the segments say all that the tables need, so no sample is read to write the description, and none is held
//! in memory. What a segment has of a track is one chunk. Samples that are shown before they are decoded are all moved by one
//! delay, which an edit takes back: the older form of `ctts`, which knows no negative numbers, is the one that everything
//! reads. Equal segments give equal files.

use std::ops::Range;

use bytes::Bytes;

use super::boxes::{BoxError, head};
use super::fragment::{Entry, trafs};
use super::write::{Lasts, Writer};
use super::{Init, NewTrack, Track, TrackKind, read_init};
use crate::artifact::Lang;

/// Gathers what the headers of segments say, part by part.
///
/// A part is a rendition: one alone has its own sound or none, two are a picture and the sound beside it.
#[derive(Debug)]
pub struct Progressive {
    parts: Vec<Part>,
    tracks: Vec<Gathered>,
    copied: Vec<Copied>,
    bytes: u64,
    samples: u32,
}

/// Where the next bytes of the file's media come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copied {
    /// The part.
    pub part: usize,
    /// The segment of that part, from zero.
    pub segment: u32,
    /// The bytes of that segment.
    pub range: Range<u64>,
}

/// A whole file: what is written first, and what is copied behind it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    /// All up to the first sample.
    pub head: Bytes,
    /// What follows, in this order.
    pub copied: Vec<Copied>,
    /// How long the file is.
    pub bytes: u64,
}

impl Progressive {
    /// A file of the tracks in these initialisation segments, each with the language of the tracks in it.
    ///
    /// # Errors
    ///
    /// [`BoxError`] when one of them can not be read.
    pub fn new(inits: &[(Bytes, Lang)]) -> Result<Self, BoxError> {
        let (mut parts, mut tracks) = (Vec::new(), Vec::new());
        for (bytes, lang) in inits {
            let init = read_init(bytes)?;
            let first = tracks.len();
            tracks.extend(init.tracks.iter().map(|track| Gathered::new(track.clone(), *lang)));
            parts.push(Part { init, first, segments: 0 });
        }
        Ok(Self { parts, tracks, copied: Vec::new(), bytes: 0, samples: 0 })
    }

    /// How many bytes of a segment it takes to read its header, as far as `bytes`, its beginning, tell.
    pub fn header_bytes(bytes: &Bytes) -> Option<u64> {
        boxes_to_moof(bytes).ok().map(|(_, end)| end as u64)
    }

    /// Takes in the next segment of a part: its bytes up to the end of its header at least, and how long all of it is.
    ///
    /// # Errors
    ///
    /// [`BoxError`] when it can not be read, does not go on from the one before, or makes more than [`SAMPLES_MAX`] samples.
    pub fn segment(&mut self, part: usize, bytes: &Bytes, len: u64) -> Result<(), BoxError> {
        let place = self.parts.get_mut(part).ok_or(BoxError("a segment of a part that is not there"))?;
        let (number, first) = (place.segments, place.first);
        place.segments = number.checked_add(1).ok_or(BoxError("too many segments"))?;
        let (at, moof) = header(bytes)?;
        for traf in trafs(&place.init, &moof)? {
            let own = place.init.tracks.iter().position(|track| track.id == traf.track);
            let track = own.and_then(|own| self.tracks.get_mut(first + own)).ok_or(BoxError("a run of no track"))?;
            let size: u64 = traf.entries.iter().map(|entry| u64::from(entry.size)).sum();
            let begins = at.checked_add(traf.data_at).ok_or(BoxError("data outside its segment"))?;
            let range = begins..begins.checked_add(size).ok_or(BoxError("data outside its segment"))?;
            let count = u32::try_from(traf.entries.len()).map_err(|_| BoxError("too many samples"))?;
            self.samples = self
                .samples
                .checked_add(count)
                .filter(|samples| *samples <= SAMPLES_MAX)
                .ok_or(BoxError("too many samples for one file"))?;
            if range.end > len || begins < at + moof.len() as u64 {
                return Err(BoxError("data outside its segment"));
            }
            if count == 0 {
                continue;
            }
            track.take(traf.starts_at, &traf.entries, self.bytes)?;
            self.bytes = self.bytes.checked_add(size).ok_or(BoxError("a file without end"))?;
            match self.copied.last_mut() {
                Some(last) if (last.part, last.segment, last.range.end) == (part, number, range.start) => {
                    last.range.end = range.end;
                }
                _ => self.copied.push(Copied { part, segment: number, range }),
            }
        }
        Ok(())
    }

    /// The file of all that was taken in.
    ///
    /// # Errors
    ///
    /// [`BoxError`] when a track has no samples.
    pub fn finish(mut self) -> Result<Layout, BoxError> {
        let lead =
            self.tracks.iter().find(|track| track.track.kind == TrackKind::Video).or_else(|| self.tracks.first());
        let hz = lead.map(|lead| lead.track.timescale).ok_or(BoxError("no track"))?;
        if self.tracks.iter().any(|track| track.sizes.is_empty()) {
            return Err(BoxError("a track has no samples"));
        }
        self.tracks.iter_mut().for_each(Gathered::end);
        // How long the description is does not depend on where the media begins, but for the width of the offsets.
        let short = self.description(hz, Offsets { first: 0, long: false }).len() as u64 + 8;
        let long = self.bytes.saturating_add(short) > u64::from(u32::MAX);
        let first = if long { self.description(hz, Offsets { first: 0, long }).len() as u64 + 16 } else { short };
        let mut w = self.description(hz, Offsets { first, long });
        if long {
            w.u32(1);
            w.put(b"mdat");
            w.u64(self.bytes.saturating_add(16));
        } else {
            w.u32(u32::try_from(self.bytes + 8).unwrap_or(u32::MAX));
            w.put(b"mdat");
        }
        let head = w.finish();
        Ok(Layout { bytes: head.len() as u64 + self.bytes, head, copied: self.copied })
    }

    /// All that stands before the media.
    fn description(&self, hz: u32, offsets: Offsets) -> Writer {
        let mut w = Writer::default();
        w.boxed(b"ftyp", |w| {
            w.put(b"isom");
            w.u32(0x200);
            w.put(b"isomiso2avc1mp41");
        });
        w.boxed(b"moov", |w| {
            let shown: Vec<Shown> = self.tracks.iter().map(|track| track.shown(hz)).collect();
            let lasts = shown.iter().map(Shown::lasts).max().unwrap_or(0);
            w.mvhd(hz, lasts, u32::try_from(self.tracks.len()).unwrap_or(u32::MAX).saturating_add(1));
            for ((number, track), shown) in (1..).zip(&self.tracks).zip(&shown) {
                track.write(w, number, shown, offsets);
            }
        });
        w
    }
}

/// Samples of one file at most, of all its tracks: twelve hours at 60 pictures a second, with their sound.
pub const SAMPLES_MAX: u32 = 6 << 20;

#[derive(Debug)]
struct Part {
    init: Init,
    /// The place of its first track among all.
    first: usize,
    segments: u32,
}

/// How chunks are told: as the media begins at `first`, in eight bytes each or in four.
#[derive(Clone, Copy)]
struct Offsets {
    first: u64,
    long: bool,
}

/// What the tables of one track will say.
#[derive(Debug)]
struct Gathered {
    track: Track,
    lang: Lang,
    sizes: Vec<u32>,
    durations: Vec<(u32, u32)>,
    delays: Vec<(u32, i32)>,
    keys: Vec<u32>,
    /// Where each chunk begins in the media, and its samples.
    chunks: Vec<(u64, u32)>,
    /// When the first sample is decoded.
    starts_at: u64,
    /// The last sample, whose length is known when the next begins: when it is decoded, and how long it says it lasts.
    last: Option<(u64, u32)>,
    delay_min: i32,
    /// When the last picture is over, in the track's own time from its first sample on.
    shown_until: i64,
}

impl Gathered {
    const fn new(track: Track, lang: Lang) -> Self {
        Self {
            track,
            lang,
            sizes: Vec::new(),
            durations: Vec::new(),
            delays: Vec::new(),
            keys: Vec::new(),
            chunks: Vec::new(),
            starts_at: 0,
            last: None,
            delay_min: 0,
            shown_until: 0,
        }
    }

    /// Takes in the samples of one chunk.
    fn take(&mut self, starts_at: u64, entries: &[Entry], offset: u64) -> Result<(), BoxError> {
        if self.sizes.is_empty() {
            self.starts_at = starts_at;
        }
        let mut at = starts_at;
        for entry in entries {
            if let Some((before, _)) = self.last {
                // What lies between two segments is the length of the sample before it.
                let lasted =
                    at.checked_sub(before).ok_or(BoxError("a segment begins before the one before it ends"))?;
                push(&mut self.durations, u32::try_from(lasted).map_err(|_| BoxError("a gap without end"))?);
            }
            self.sizes.push(entry.size);
            push(&mut self.delays, entry.shown_after);
            self.delay_min = self.delay_min.min(entry.shown_after);
            if entry.key {
                self.keys.push(u32::try_from(self.sizes.len()).map_err(|_| BoxError("too many samples"))?);
            }
            self.last = Some((at, entry.duration));
            let over = i64::try_from(at - self.starts_at.min(at))
                .unwrap_or(i64::MAX)
                .saturating_add(entry.shown_after.into())
                .saturating_add(entry.duration.into());
            self.shown_until = self.shown_until.max(over);
            at = at.checked_add(entry.duration.into()).ok_or(BoxError("time runs over"))?;
        }
        self.chunks.push((offset, u32::try_from(entries.len()).unwrap_or(u32::MAX)));
        Ok(())
    }

    /// No more samples come.
    fn end(&mut self) {
        if let Some((_, duration)) = self.last.take() {
            push(&mut self.durations, duration);
        }
    }

    /// When it is shown, in a movie of `hz` ticks a second.
    fn shown(&self, hz: u32) -> Shown {
        let own = u128::from(self.track.timescale.max(1));
        let ticks = |own_ticks: u64| u128::from(own_ticks) * u128::from(hz);
        let delay = u64::from(self.delay_min.unsigned_abs());
        // The instant at which the time of the tables begins, or how far in it what is shown begins.
        let (waits, from) = (self.starts_at.saturating_sub(delay), delay.saturating_sub(self.starts_at));
        let end = i128::from(self.starts_at) + i128::from(self.shown_until);
        let lasts = u64::try_from(end - i128::from(waits)).unwrap_or(0);
        Shown {
            waits: u64::try_from(ticks(waits) / own).unwrap_or(u64::MAX),
            from,
            lasts: u64::try_from(ticks(lasts).div_ceil(own)).unwrap_or(u64::MAX),
        }
    }

    fn write(&self, w: &mut Writer, number: u32, shown: &Shown, offsets: Offsets) {
        let track = NewTrack {
            id: number,
            kind: self.track.kind,
            timescale: self.track.timescale,
            size: self.track.size,
            lang: self.lang,
            stsd: self.track.stsd.clone(),
        };
        let decoded = self.durations.iter().map(|(count, lasts)| u64::from(*count) * u64::from(*lasts)).sum();
        w.trak_of(&track, Lasts { shown: shown.lasts(), decoded }, |w| shown.write(w), |w| self.tables(w, offsets));
    }

    fn tables(&self, w: &mut Writer, offsets: Offsets) {
        let counted = |w: &mut Writer, count: usize| w.u32(u32::try_from(count).unwrap_or(u32::MAX));
        w.full(b"stts", 0, 0, |w| {
            counted(w, self.durations.len());
            self.durations.iter().for_each(|(count, lasts)| w.u32s(&[*count, *lasts]));
        });
        if self.delays.iter().any(|(_, delay)| *delay != 0) {
            w.full(b"ctts", 0, 0, |w| {
                counted(w, self.delays.len());
                for (count, delay) in &self.delays {
                    // None is below the least, so none is negative.
                    w.u32s(&[*count, delay.wrapping_sub(self.delay_min).cast_unsigned()]);
                }
            });
        }
        if self.keys.len() != self.sizes.len() {
            w.full(b"stss", 0, 0, |w| {
                counted(w, self.keys.len());
                w.u32s(&self.keys);
            });
        }
        w.full(b"stsc", 0, 0, |w| {
            let mut runs: Vec<[u32; 3]> = Vec::new();
            for (number, (_, samples)) in (1..).zip(&self.chunks) {
                if runs.last().is_none_or(|run| run[1] != *samples) {
                    runs.push([number, *samples, 1]);
                }
            }
            counted(w, runs.len());
            runs.iter().for_each(|run| w.u32s(run));
        });
        w.full(b"stsz", 0, 0, |w| {
            w.u32(0);
            counted(w, self.sizes.len());
            w.u32s(&self.sizes);
        });
        w.full(if offsets.long { b"co64" } else { b"stco" }, 0, 0, |w| {
            counted(w, self.chunks.len());
            for (offset, _) in &self.chunks {
                let offset = offset.saturating_add(offsets.first);
                if offsets.long { w.u64(offset) } else { w.u32(u32::try_from(offset).unwrap_or(u32::MAX)) }
            }
        });
    }
}

/// When a track is shown.
#[derive(Debug)]
struct Shown {
    /// So long nothing is, in ticks of the movie.
    waits: u64,
    /// Where in its own time it then begins.
    from: u64,
    /// How long it then is, in ticks of the movie.
    lasts: u64,
}

impl Shown {
    /// How long it is with what stands before it.
    const fn lasts(&self) -> u64 {
        self.waits.saturating_add(self.lasts)
    }

    /// Its edit list; none where it is shown from its first sample on.
    fn write(&self, w: &mut Writer) {
        if (self.waits, self.from) == (0, 0) {
            return;
        }
        let edits = [(self.waits, u64::MAX), (self.lasts, self.from)];
        let edits = if self.waits == 0 { &edits[1..] } else { &edits };
        // Nothing to show is told by all ones, in either form.
        let long = self.lasts() > u64::from(u32::MAX) || self.from > i32::MAX.unsigned_abs().into();
        w.boxed(b"edts", |w| {
            w.full(b"elst", u32::from(long), 0, |w| {
                w.u32(u32::try_from(edits.len()).unwrap_or(u32::MAX));
                for (lasts, from) in edits {
                    if long {
                        w.u64(*lasts);
                        w.u64(*from);
                    } else {
                        w.u32(u32::try_from(*lasts).unwrap_or(u32::MAX));
                        w.u32(u32::try_from(*from).unwrap_or(u32::MAX));
                    }
                    w.u32(0x0001_0000);
                }
            });
        });
    }
}

/// Adds one value to a table of how often and what.
fn push<T: PartialEq>(table: &mut Vec<(u32, T)>, value: T) {
    match table.last_mut() {
        Some((count, last)) if *last == value => *count += 1,
        _ => table.push((1, value)),
    }
}

/// The header of a segment, and where it lies.
fn header(bytes: &Bytes) -> Result<(u64, Bytes), BoxError> {
    let (at, end) = boxes_to_moof(bytes)?;
    let moof = bytes.get(at..end).ok_or(BoxError("a fragment header is cut short"))?;
    Ok((at as u64, bytes.slice_ref(moof)))
}

/// Where the header of a segment begins and ends. Its end may lie behind the bytes.
fn boxes_to_moof(bytes: &[u8]) -> Result<(usize, usize), BoxError> {
    let mut at = 0;
    while let Some((kind, _, len)) = head(bytes.get(at..).unwrap_or_default())? {
        let end = at.checked_add(len).ok_or(BoxError("a box is too large"))?;
        if &kind == b"moof" {
            return Ok((at, end));
        }
        at = end;
    }
    Err(BoxError("no fragment"))
}

#[cfg(test)]
mod tests;
