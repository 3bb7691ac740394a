//! ISO base media boxes, as far as fragments need them.
//!
//! An encoder writes one fragmented file on a pipe; [`FragmentReader`] takes it apart into samples as it arrives. Rend
//! then writes its own [`write_init`] and [`write_segment`], so that cuts, times and tracks are what the plan says and
//! nothing of the source's metadata can come along.
//!
//! ```text
//! init.mp4      ftyp  moov( mvhd  trak…( tkhd mdia( mdhd hdlr minf( … stbl( stsd ) ) ) )  mvex( trex… ) )
//! segment.m4s   styp  moof( mfhd  traf…( tfhd tfdt trun ) )  mdat( video samples, then audio samples )
//! ```
//!
//! Sizes and counts inside a file are never believed beyond the bytes that are there.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::artifact::Lang;

/// What an initialisation segment says of its tracks, in the order of the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Init {
    /// The tracks.
    pub tracks: Vec<Track>,
}

impl Init {
    /// The track with this id.
    pub fn track(&self, id: u32) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// The first track of this kind.
    pub fn first(&self, kind: TrackKind) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == kind)
    }
}

/// One track of an initialisation segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Track {
    /// Its number in the file.
    pub id: u32,
    /// Whether it is seen or heard.
    pub kind: TrackKind,
    /// Ticks a second.
    pub timescale: u32,
    /// Its codec as RFC 6381 writes it, such as `avc1.64001f`.
    pub codec: String,
    /// Coded width and height, for pictures.
    pub size: (u16, u16),
    /// Its sample description box, whole.
    pub stsd: Bytes,
    /// Whether it has an edit list.
    pub edited: bool,
    /// What samples are unless a fragment says otherwise: duration, size, flags.
    pub defaults: (u32, u32, u32),
}

/// Whether a track is seen or heard.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else.
    Other,
}

/// One sample on its way through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample {
    /// The track it belongs to.
    pub track: u32,
    /// When it is decoded, in ticks of the track.
    pub decoded_at: u64,
    /// How much later it is shown.
    pub shown_after: i32,
    /// How long it lasts.
    pub duration: u32,
    /// Whether decoding can start here.
    pub key: bool,
    /// Its bytes.
    pub data: Bytes,
}

/// What a file on a pipe turned out to hold next.
#[derive(Debug)]
pub enum Piece {
    /// The description of its tracks; comes once, first.
    Init(Init),
    /// The samples of one fragment, track by track.
    Samples(Vec<Sample>),
}

/// Takes a fragmented file apart while it arrives.
#[derive(Debug, Default)]
pub struct FragmentReader {
    pending: BytesMut,
    init: Option<Init>,
    moof: Option<Bytes>,
}

impl FragmentReader {
    /// Takes in the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next piece, or `None` until more bytes arrive.
    ///
    /// # Errors
    ///
    /// [`BoxError`] when the bytes are no fragmented file; the reader is of no use then.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, BoxError> {
        loop {
            let Some((kind, header, len)) = head(&self.pending)? else { return Ok(None) };
            if len > BOX_BYTES_MAX {
                return Err(BoxError("a box is too large"));
            }
            if self.pending.len() < len {
                return Ok(None);
            }
            let whole = self.pending.split_to(len).freeze();
            match &kind {
                b"moov" => {
                    let init = read_moov(&whole.slice(header..))?;
                    self.init = Some(init.clone());
                    return Ok(Some(Piece::Init(init)));
                }
                b"moof" => self.moof = Some(whole),
                b"mdat" => {
                    let moof = self.moof.take().ok_or(BoxError("media data without a fragment header"))?;
                    let init = self.init.as_ref().ok_or(BoxError("a fragment before the description"))?;
                    return Ok(Some(Piece::Samples(read_fragment(init, &moof, &whole)?)));
                }
                _ => {}
            }
        }
    }

    /// Whether bytes wait that are no whole piece: the file ended in the middle of a box.
    pub fn is_torn(&self) -> bool {
        !self.pending.is_empty() || self.moof.is_some()
    }
}

/// Reads an initialisation segment.
///
/// # Errors
///
/// [`BoxError`] when it is none.
pub fn read_init(bytes: &Bytes) -> Result<Init, BoxError> {
    let moov = children(bytes)?.into_iter().find(|b| &b.kind == b"moov").ok_or(BoxError("no moov"))?;
    read_moov(&moov.body)
}

/// One track's part of a segment, as [`read_segment`] finds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// The track.
    pub track: u32,
    /// When its first sample is decoded.
    pub starts_at: u64,
    /// How long all its samples last.
    pub duration: u64,
    /// How many there are.
    pub samples: u64,
    /// Whether decoding can start at the first.
    pub starts_with_key: bool,
    /// When the earliest of them is shown.
    pub shown_at: i64,
    /// How many bytes of the segment hold all up to the end of its first sample.
    pub first_sample_end: u64,
}

/// Reads a media segment, or its beginning up to the end of the last `moof`. The media data need not be there.
///
/// # Errors
///
/// [`BoxError`] when it is none.
pub fn read_segment(init: &Init, bytes: &Bytes) -> Result<Vec<Run>, BoxError> {
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    while let Some((kind, _, len)) = head(&bytes[at..])? {
        if &kind == b"moof" {
            let moof = bytes.get(at..at + len).ok_or(BoxError("a fragment header is cut short"))?;
            for traf in trafs(init, &bytes.slice_ref(moof))? {
                let track = traf.track;
                let duration: u64 = traf.entries.iter().map(|e| u64::from(e.duration)).sum();
                let mut decoded = traf.starts_at;
                let mut shown = i64::MAX;
                for entry in &traf.entries {
                    shown =
                        shown.min(i64::try_from(decoded).unwrap_or(i64::MAX).saturating_add(entry.shown_after.into()));
                    decoded = decoded.saturating_add(entry.duration.into());
                }
                let Some(first) = traf.entries.first() else { continue };
                let end = u64::try_from(at)
                    .unwrap_or(u64::MAX)
                    .saturating_add(traf.data_at)
                    .saturating_add(first.size.into());
                match runs.iter_mut().find(|run| run.track == track) {
                    Some(run) => {
                        run.duration = run.duration.saturating_add(duration);
                        run.samples += traf.entries.len() as u64;
                        run.shown_at = run.shown_at.min(shown);
                    }
                    None => runs.push(Run {
                        track,
                        starts_at: traf.starts_at,
                        duration,
                        samples: traf.entries.len() as u64,
                        starts_with_key: first.key,
                        shown_at: shown,
                        first_sample_end: end,
                    }),
                }
            }
        }
        at = match at.checked_add(len) {
            Some(next) if next < bytes.len() => next,
            _ => break,
        };
    }
    if runs.is_empty() { Err(BoxError("no fragment")) } else { Ok(runs) }
}

/// A track of an initialisation segment to be written.
#[derive(Clone, Debug)]
pub struct NewTrack {
    /// Its number, from 1.
    pub id: u32,
    /// Whether it is seen or heard.
    pub kind: TrackKind,
    /// Ticks a second.
    pub timescale: u32,
    /// Width and height as shown, for pictures.
    pub size: (u16, u16),
    /// Its language.
    pub lang: Lang,
    /// Its sample description box, whole.
    pub stsd: Bytes,
}

/// The initialisation segment for these tracks. It has no edit list and no metadata.
pub fn write_init(tracks: &[NewTrack]) -> Bytes {
    let mut w = Writer::default();
    w.boxed(b"ftyp", |w| {
        w.put(b"iso6");
        w.u32(0);
        w.put(b"iso6cmfcmp41");
    });
    w.boxed(b"moov", |w| {
        w.full(b"mvhd", 0, 0, |w| {
            w.u32s(&[0, 0, 1000, 0, 0x0001_0000, 0x0100_0000, 0, 0]);
            w.u32s(&MATRIX);
            w.u32s(&[0; 6]);
            w.u32(tracks.iter().map(|t| t.id).max().unwrap_or(0).saturating_add(1));
        });
        for track in tracks {
            w.trak(track);
        }
        w.boxed(b"mvex", |w| {
            for track in tracks {
                w.full(b"trex", 0, 0, |w| w.u32s(&[track.id, 1, 0, 0, 0]));
            }
        });
    });
    w.finish()
}

/// One track's part of a segment to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRun<'a> {
    /// The track's number.
    pub track: u32,
    /// When the first sample is decoded, in ticks.
    pub starts_at: u64,
    /// The samples; only duration, delay, key and data are taken from them.
    pub samples: &'a [Sample],
}

/// The media segment number `sequence` with these runs, in this order.
pub fn write_segment(sequence: u32, runs: &[NewRun<'_>]) -> Bytes {
    let data: usize = runs.iter().flat_map(|run| run.samples).map(|s| s.data.len()).sum();
    let entries: usize = runs.iter().map(|run| run.samples.len()).sum();
    let mut w = Writer(Vec::with_capacity(data + entries * 16 + 256));
    w.boxed(b"styp", |w| {
        w.put(b"msdh");
        w.u32(0);
        w.put(b"msdhmsixcmfs");
    });
    let moof_at = w.0.len();
    let mut offsets = Vec::new();
    w.boxed(b"moof", |w| {
        w.full(b"mfhd", 0, 0, |w| w.u32(sequence));
        for run in runs {
            w.boxed(b"traf", |w| {
                w.full(b"tfhd", 0, 0x02_0000, |w| w.u32(run.track));
                w.full(b"tfdt", 1, 0, |w| w.u64(run.starts_at));
                w.full(b"trun", 1, 0x0F01, |w| {
                    w.u32(u32::try_from(run.samples.len()).unwrap_or(u32::MAX));
                    offsets.push(w.0.len());
                    w.u32(0);
                    for sample in run.samples {
                        w.u32(sample.duration);
                        w.u32(u32::try_from(sample.data.len()).unwrap_or(u32::MAX));
                        w.u32(if sample.key { FLAGS_KEY } else { FLAGS_DEPENDENT });
                        w.put(&sample.shown_after.to_be_bytes());
                    }
                });
            });
        }
    });
    let mut offset = w.0.len() - moof_at + 8;
    for (run, at) in runs.iter().zip(offsets) {
        w.0[at..at + 4].copy_from_slice(&u32::try_from(offset).unwrap_or(u32::MAX).to_be_bytes());
        offset += run.samples.iter().map(|s| s.data.len()).sum::<usize>();
    }
    w.boxed(b"mdat", |w| {
        for sample in runs.iter().flat_map(|run| run.samples) {
            w.put(&sample.data);
        }
    });
    w.finish()
}

/// The bytes are not the boxes that were expected. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a fragmented media file: {0}")]
pub struct BoxError(&'static str);

/// Bytes of one box that are taken in at most: two seconds of anything Rend encodes are far below.
pub const BOX_BYTES_MAX: usize = 256 << 20;
/// Boxes that one box may hold.
const CHILDREN_MAX: usize = 1024;
/// Samples that one fragment may hold.
const SAMPLES_MAX: usize = 1 << 20;
/// A sample that depends on no other.
const FLAGS_KEY: u32 = 0x0200_0000;
/// A sample that depends on others and is no place to start.
const FLAGS_DEPENDENT: u32 = 0x0101_0000;
/// The flag of a sample at which decoding can not start.
const NOT_SYNC: u32 = 0x0001_0000;
/// The matrix that changes nothing.
const MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

/// A box: its kind, and what is in it.
struct Boxed {
    kind: [u8; 4],
    body: Bytes,
    whole: Bytes,
}

/// The kind, the length of the header and the length of the whole box that `bytes` begin with.
fn head(bytes: &[u8]) -> Result<Option<([u8; 4], usize, usize)>, BoxError> {
    let (Some(short), Some(kind)) = (bytes.first_chunk::<4>(), bytes.get(4..8)) else { return Ok(None) };
    let kind = [kind[0], kind[1], kind[2], kind[3]];
    let (header, len) = match u32::from_be_bytes(*short) {
        1 => match bytes.get(8..16).and_then(|b| b.first_chunk::<8>()) {
            Some(long) => (16, usize::try_from(u64::from_be_bytes(*long)).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        len => (8, usize::try_from(len).unwrap_or(usize::MAX)),
    };
    if len < header { Err(BoxError("a box is shorter than its header")) } else { Ok(Some((kind, header, len))) }
}

fn children(bytes: &Bytes) -> Result<Vec<Boxed>, BoxError> {
    let mut found = Vec::new();
    let mut rest = bytes.clone();
    while let Some((kind, header, len)) = head(&rest)? {
        if len > rest.len() || found.len() == CHILDREN_MAX {
            return Err(BoxError("a box reaches past its parent"));
        }
        let whole = rest.split_to(len);
        found.push(Boxed { kind, body: whole.slice(header..), whole });
    }
    Ok(found)
}

fn descend(bytes: &Bytes, path: &[&[u8; 4]]) -> Result<Boxed, BoxError> {
    let mut body = bytes.clone();
    let mut found = None;
    for kind in path {
        let child = children(&body)?.into_iter().find(|b| &b.kind == *kind).ok_or(BoxError("a box is missing"))?;
        body = child.body.clone();
        found = Some(child);
    }
    found.ok_or(BoxError("a box is missing"))
}

fn read_moov(body: &Bytes) -> Result<Init, BoxError> {
    let mut init = Init::default();
    let parts = children(body)?;
    for trak in parts.iter().filter(|b| &b.kind == b"trak") {
        init.tracks.push(read_trak(&trak.body)?);
    }
    for mvex in parts.iter().filter(|b| &b.kind == b"mvex") {
        for trex in children(&mvex.body)?.iter().filter(|b| &b.kind == b"trex") {
            let mut c = Cursor(trex.body.clone());
            c.skip(4)?;
            let (id, _, duration, size, flags) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
            if let Some(track) = init.tracks.iter_mut().find(|t| t.id == id) {
                track.defaults = (duration, size, flags);
            }
        }
    }
    if init.tracks.is_empty() { Err(BoxError("no track")) } else { Ok(init) }
}

fn read_trak(body: &Bytes) -> Result<Track, BoxError> {
    let mut tkhd = Cursor(descend(body, &[b"tkhd"])?.body);
    let long = tkhd.u8()? == 1;
    tkhd.skip(if long { 19 } else { 11 })?;
    let id = tkhd.u32()?;
    let mut mdhd = Cursor(descend(body, &[b"mdia", b"mdhd"])?.body);
    let long = mdhd.u8()? == 1;
    mdhd.skip(if long { 19 } else { 11 })?;
    let timescale = mdhd.u32()?;
    let mut hdlr = Cursor(descend(body, &[b"mdia", b"hdlr"])?.body);
    hdlr.skip(8)?;
    let kind = match &hdlr.array()? {
        b"vide" => TrackKind::Video,
        b"soun" => TrackKind::Audio,
        _ => TrackKind::Other,
    };
    let stsd = descend(body, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
    let (codec, size) = read_stsd(&stsd.body, kind)?;
    let edited = descend(body, &[b"edts", b"elst"]).is_ok();
    if timescale == 0 {
        return Err(BoxError("a track has no timescale"));
    }
    Ok(Track { id, kind, timescale, codec, size, stsd: stsd.whole, edited, defaults: (0, 0, 0) })
}

fn read_stsd(body: &Bytes, kind: TrackKind) -> Result<(String, (u16, u16)), BoxError> {
    let entries = body.get(8..).map(|rest| body.slice_ref(rest)).ok_or(BoxError("no sample description"))?;
    let entry = children(&entries)?.into_iter().next().ok_or(BoxError("no sample description"))?;
    let name = String::from_utf8_lossy(&entry.kind).into_owned();
    if kind == TrackKind::Audio {
        return Ok((if name == "mp4a" { "mp4a.40.2".to_owned() } else { name.to_ascii_lowercase() }, (0, 0)));
    }
    if kind == TrackKind::Other {
        return Ok((name, (0, 0)));
    }
    let mut c = Cursor(entry.body);
    c.skip(24)?;
    let size = (c.u16()?, c.u16()?);
    c.skip(50)?;
    let codec = match children(&c.0)?.iter().find(|b| &b.kind == b"avcC").map(|b| &b.body[..]) {
        Some([1, profile, compatible, level, ..]) => format!("{name}.{profile:02x}{compatible:02x}{level:02x}"),
        Some(_) => return Err(BoxError("an empty decoder configuration")),
        None => name,
    };
    Ok((codec, size))
}

/// One track's part of a fragment, before its data is looked at.
struct Traf {
    track: u32,
    starts_at: u64,
    /// Where its data begins, counted from the start of the `moof`.
    data_at: u64,
    entries: Vec<Entry>,
}

struct Entry {
    duration: u32,
    size: u32,
    key: bool,
    shown_after: i32,
}

fn trafs(init: &Init, moof: &Bytes) -> Result<Vec<Traf>, BoxError> {
    let (_, header, _) = head(moof)?.ok_or(BoxError("no fragment header"))?;
    let mut out = Vec::new();
    // Without an offset of its own, a run's data follows that of the run before.
    let mut follows = moof.len() as u64 + 8;
    for traf in children(&moof.slice(header..))?.iter().filter(|b| &b.kind == b"traf") {
        let parts = children(&traf.body)?;
        let part = |kind: &[u8; 4]| parts.iter().find(|b| &b.kind == kind).map(|b| Cursor(b.body.clone()));
        let mut tfhd = part(b"tfhd").ok_or(BoxError("a run has no header"))?;
        let flags = tfhd.u32()? & 0xFF_FFFF;
        let track = tfhd.u32()?;
        let (mut duration, mut size, mut sample_flags) = init.track(track).map_or((0, 0, 0), |t| t.defaults);
        if flags & 0x1 != 0 {
            return Err(BoxError("absolute offsets"));
        }
        if flags & 0x2 != 0 {
            tfhd.skip(4)?;
        }
        if flags & 0x8 != 0 {
            duration = tfhd.u32()?;
        }
        if flags & 0x10 != 0 {
            size = tfhd.u32()?;
        }
        if flags & 0x20 != 0 {
            sample_flags = tfhd.u32()?;
        }
        let starts_at = match part(b"tfdt") {
            Some(mut tfdt) => {
                let long = tfdt.u32()? >> 24 == 1;
                if long { tfdt.u64()? } else { tfdt.u32()?.into() }
            }
            None => 0,
        };
        let mut entries = Vec::new();
        let mut data_at = None;
        for trun in parts.iter().filter(|b| &b.kind == b"trun") {
            let mut c = Cursor(trun.body.clone());
            let flags = c.u32()?;
            let count = usize::try_from(c.u32()?).unwrap_or(usize::MAX);
            let at = if flags & 0x1 != 0 { u64::from(c.u32()?) } else { follows };
            let first_flags = if flags & 0x4 != 0 { Some(c.u32()?) } else { None };
            let width: usize = [0x100, 0x200, 0x400, 0x800].iter().filter(|bit| flags & **bit != 0).count() * 4;
            if count > SAMPLES_MAX - entries.len() || width.saturating_mul(count) > c.0.len() {
                return Err(BoxError("a run counts more samples than it holds"));
            }
            data_at.get_or_insert(at);
            follows = at;
            for index in 0..count {
                let duration = if flags & 0x100 != 0 { c.u32()? } else { duration };
                let size = if flags & 0x200 != 0 { c.u32()? } else { size };
                let own = if flags & 0x400 != 0 { c.u32()? } else { sample_flags };
                let own = first_flags.filter(|_| index == 0).unwrap_or(own);
                let shown_after = if flags & 0x800 != 0 { c.u32()?.cast_signed() } else { 0 };
                follows = follows.saturating_add(size.into());
                entries.push(Entry { duration, size, key: own & NOT_SYNC == 0, shown_after });
            }
        }
        out.push(Traf { track, starts_at, data_at: data_at.unwrap_or(follows), entries });
    }
    Ok(out)
}

fn read_fragment(init: &Init, moof: &Bytes, mdat: &Bytes) -> Result<Vec<Sample>, BoxError> {
    let mut samples = Vec::new();
    for traf in trafs(init, moof)? {
        let mut at = usize::try_from(traf.data_at)
            .ok()
            .and_then(|at| at.checked_sub(moof.len()))
            .ok_or(BoxError("data outside its fragment"))?;
        let mut decoded_at = traf.starts_at;
        for entry in traf.entries {
            let end = at.saturating_add(usize::try_from(entry.size).unwrap_or(usize::MAX));
            let data = mdat.get(at..end).ok_or(BoxError("a sample reaches past its data"))?;
            samples.push(Sample {
                track: traf.track,
                decoded_at,
                shown_after: entry.shown_after,
                duration: entry.duration,
                key: entry.key,
                data: mdat.slice_ref(data),
            });
            decoded_at = decoded_at.saturating_add(entry.duration.into());
            at = end;
        }
    }
    Ok(samples)
}

struct Cursor(Bytes);

impl Cursor {
    fn skip(&mut self, bytes: usize) -> Result<(), BoxError> {
        if self.0.len() < bytes {
            return Err(BoxError("a box is cut short"));
        }
        self.0.advance(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BoxError> {
        let array = *self.0.first_chunk::<N>().ok_or(BoxError("a box is cut short"))?;
        self.0.advance(N);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, BoxError> {
        self.array::<1>().map(|a| a[0])
    }

    fn u16(&mut self) -> Result<u16, BoxError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, BoxError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, BoxError> {
        self.array().map(u64::from_be_bytes)
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn u32s(&mut self, values: &[u32]) {
        values.iter().for_each(|value| self.u32(*value));
    }

    fn u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    fn boxed(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let at = self.0.len();
        self.u32(0);
        self.put(kind);
        body(self);
        let len = u32::try_from(self.0.len() - at).unwrap_or(u32::MAX);
        self.0[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }

    fn full(&mut self, kind: &[u8; 4], version: u32, flags: u32, body: impl FnOnce(&mut Self)) {
        self.boxed(kind, |w| {
            w.u32(version << 24 | flags);
            body(w);
        });
    }

    fn trak(&mut self, track: &NewTrack) {
        let video = track.kind == TrackKind::Video;
        self.boxed(b"trak", |w| {
            w.full(b"tkhd", 0, 0x3, |w| {
                w.u32s(&[0, 0, track.id, 0, 0, 0, 0]);
                w.u16(0);
                w.u16(u16::from(!video));
                w.u16(if video { 0 } else { 0x0100 });
                w.u16(0);
                w.u32s(&MATRIX);
                w.u32s(&[u32::from(track.size.0) << 16, u32::from(track.size.1) << 16]);
            });
            w.boxed(b"mdia", |w| {
                w.full(b"mdhd", 0, 0, |w| {
                    w.u32s(&[0, 0, track.timescale, 0]);
                    w.u16(packed(track.lang));
                    w.u16(0);
                });
                w.full(b"hdlr", 0, 0, |w| {
                    w.u32(0);
                    w.put(if video { b"vide" } else { b"soun" });
                    w.u32s(&[0; 3]);
                    w.put(b"rend\0");
                });
                w.boxed(b"minf", |w| {
                    if video {
                        w.full(b"vmhd", 0, 1, |w| w.u32s(&[0, 0]));
                    } else {
                        w.full(b"smhd", 0, 0, |w| w.u32(0));
                    }
                    w.boxed(b"dinf", |w| {
                        w.full(b"dref", 0, 0, |w| {
                            w.u32(1);
                            w.full(b"url ", 0, 1, |_| {});
                        });
                    });
                    w.boxed(b"stbl", |w| {
                        w.put(&track.stsd);
                        w.full(b"stts", 0, 0, |w| w.u32(0));
                        w.full(b"stsc", 0, 0, |w| w.u32(0));
                        w.full(b"stsz", 0, 0, |w| w.u32s(&[0, 0]));
                        w.full(b"stco", 0, 0, |w| w.u32(0));
                    });
                });
            });
        });
    }

    fn finish(self) -> Bytes {
        self.0.into()
    }
}

/// A language in the fifteen bits that a media header has for it. Two-letter codes have no place there.
fn packed(lang: Lang) -> u16 {
    let code = match lang.as_str().as_bytes() {
        [a, b, c] => [*a, *b, *c],
        _ => *b"und",
    };
    code.iter().fold(0, |bits, letter| bits << 5 | u16::from(letter - 0x60))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(track: u32, duration: u32, shown_after: i32, key: bool, data: &'static [u8]) -> Sample {
        Sample { track, decoded_at: 0, shown_after, duration, key, data: Bytes::from_static(data) }
    }

    /// A sample description with an H.264 High profile, level 3.1 configuration.
    pub(crate) fn avc_stsd(width: u16, height: u16) -> Bytes {
        let mut w = Writer::default();
        w.full(b"stsd", 0, 0, |w| {
            w.u32(1);
            w.boxed(b"avc1", |w| {
                w.put(&[0; 24]);
                w.u16(width);
                w.u16(height);
                w.put(&[0; 50]);
                w.boxed(b"avcC", |w| w.put(&[1, 0x64, 0, 0x1F, 0xFF]));
            });
        });
        w.finish()
    }

    pub(crate) fn aac_stsd() -> Bytes {
        let mut w = Writer::default();
        w.full(b"stsd", 0, 0, |w| {
            w.u32(1);
            w.boxed(b"mp4a", |w| w.put(&[0; 28]));
        });
        w.finish()
    }

    fn two_tracks() -> Vec<NewTrack> {
        let track = |id, kind, timescale, size, stsd| NewTrack { id, kind, timescale, size, lang: Lang::UND, stsd };
        vec![
            track(1, TrackKind::Video, 15_360, (1280, 720), avc_stsd(1280, 720)),
            track(2, TrackKind::Audio, 48_000, (0, 0), aac_stsd()),
        ]
    }

    #[test]
    fn what_is_written_reads_back() {
        let init = read_init(&write_init(&two_tracks())).unwrap();
        assert_eq!(init.tracks.iter().map(|t| t.codec.as_str()).collect::<Vec<_>>(), ["avc1.64001f", "mp4a.40.2"]);
        assert_eq!(
            (init.tracks[0].size, init.tracks[0].timescale, init.tracks[0].edited),
            ((1280, 720), 15_360, false)
        );

        let video =
            [sample(1, 512, 0, true, b"idr"), sample(1, 512, 512, false, b"p"), sample(1, 512, -512, false, b"b")];
        let audio = [sample(2, 1024, 0, true, b"aa"), sample(2, 1024, 0, true, b"bb")];
        let runs = [
            NewRun { track: 1, starts_at: 30_720, samples: &video },
            NewRun { track: 2, starts_at: 96_256, samples: &audio },
        ];
        let segment = write_segment(7, &runs);
        let read = read_segment(&init, &segment).unwrap();
        assert_eq!((read[0].starts_at, read[0].duration, read[0].samples), (30_720, 1536, 3));
        assert!(read[0].starts_with_key && read[0].shown_at == 30_720);
        assert!(segment[..usize::try_from(read[0].first_sample_end).unwrap()].ends_with(b"idr"));
        assert_eq!((read[1].starts_at, read[1].duration), (96_256, 2048));

        let mut reader = FragmentReader::default();
        let mut file = write_init(&two_tracks()).to_vec();
        file.extend_from_slice(&segment);
        let mut samples = Vec::new();
        for byte in &file {
            reader.push(std::slice::from_ref(byte));
            while let Some(piece) = reader.next_piece().unwrap() {
                match piece {
                    Piece::Init(found) => assert_eq!(found, init),
                    Piece::Samples(found) => samples.extend(found),
                }
            }
        }
        assert!(!reader.is_torn());
        assert_eq!(samples.iter().map(|s| &s.data[..]).collect::<Vec<_>>(), [&b"idr"[..], b"p", b"b", b"aa", b"bb"]);
        assert_eq!((samples[2].decoded_at, samples[2].shown_after), (30_720 + 1024, -512));
    }

    #[test]
    fn a_forged_count_is_refused_and_costs_nothing() {
        let init = read_init(&write_init(&two_tracks())).unwrap();
        let mut segment =
            write_segment(1, &[NewRun { track: 1, starts_at: 0, samples: &[sample(1, 1, 0, true, b"x")] }]).to_vec();
        let trun = segment.windows(4).position(|w| w == b"trun").unwrap();
        segment[trun + 8..trun + 12].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(read_segment(&init, &segment.into()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = Bytes::from(bytes);
            let _ = read_init(&bytes);
            let _ = read_segment(&Init::default(), &bytes);
        }

        #[test]
        fn no_flipped_byte_makes_the_readers_panic(at in 0_usize..2000, value in any::<u8>()) {
            let init = write_init(&two_tracks());
            let segment = write_segment(1, &[NewRun { track: 1, starts_at: 0, samples: &[sample(1, 1, 0, true, b"x")] }]);
            let mut file = [init.as_ref(), segment.as_ref()].concat();
            let at = at % file.len();
            file[at] = value;
            let mut reader = FragmentReader::default();
            reader.push(&file);
            while let Ok(Some(_)) = reader.next_piece() {}
        }
    }
}
