//! From the boxes of a description to its tracks.

use bytes::Bytes;

use super::entry::read_entry;
use super::{EDITS_MAX, Edit, Movie, MovieTrack, SampleTable};
use crate::artifact::Lang;
use crate::media::isobmff::boxes::{Boxed, Cursor, children, descend};
use crate::media::isobmff::{BoxError, TrackKind};

/// Reads a whole `moov` box of a file of `file_len` bytes.
///
/// # Errors
///
/// [`BoxError`] when it is none, or what it says can not be.
pub fn read_movie(moov: &Bytes, file_len: u64) -> Result<Movie, BoxError> {
    let moov = children(moov)?.into_iter().find(|b| &b.kind == b"moov").ok_or(BoxError("no moov"))?;
    let parts = children(&moov.body)?;
    if parts.iter().any(|b| &b.kind == b"cmov") {
        return Err(BoxError("its description is compressed"));
    }
    let mut mvhd = Cursor(find(&parts, b"mvhd")?.body.clone());
    let long = mvhd.u8()? == 1;
    mvhd.skip(if long { 19 } else { 11 })?;
    let timescale = mvhd.u32()?;
    if timescale == 0 {
        return Err(BoxError("it has no timescale"));
    }
    let mut tracks = Vec::new();
    for trak in parts.iter().filter(|b| &b.kind == b"trak") {
        let mut track = read_track(&trak.body, file_len)?;
        track.shown_until = shown_until(&track, timescale);
        tracks.push(track);
    }
    Ok(Movie { timescale, fragmented: parts.iter().any(|b| &b.kind == b"mvex"), tracks })
}

fn find<'a>(parts: &'a [Boxed], kind: &[u8; 4]) -> Result<&'a Boxed, BoxError> {
    parts.iter().find(|part| &part.kind == kind).ok_or(BoxError("a box is missing"))
}

fn read_track(body: &Bytes, file_len: u64) -> Result<MovieTrack, BoxError> {
    let parts = children(body)?;
    let mdia = children(&find(&parts, b"mdia")?.body)?;
    let mut hdlr = Cursor(find(&mdia, b"hdlr")?.body.clone());
    hdlr.skip(8)?;
    let kind = match &hdlr.array()? {
        b"vide" => TrackKind::Video,
        b"soun" => TrackKind::Audio,
        _ => TrackKind::Other,
    };
    let (timescale, lang) = read_media_header(&find(&mdia, b"mdhd")?.body)?;
    let (enabled, upright, shown) = read_track_header(&find(&parts, b"tkhd")?.body)?;
    let edits = match descend(body, &[b"edts", b"elst"]) {
        Ok(elst) => read_edits(&elst.body)?,
        Err(_) => Vec::new(),
    };
    let mut track = MovieTrack {
        kind,
        timescale,
        lang,
        enabled,
        upright,
        shown,
        edits,
        shown_until: None,
        contained: true,
        entry: super::Entry::Other(String::new()),
        descriptions: 0,
        table: None,
    };
    if kind == TrackKind::Other {
        return Ok(track);
    }
    if timescale == 0 {
        return Err(BoxError("a track has no timescale"));
    }
    let minf = children(&find(&mdia, b"minf")?.body)?;
    let stbl = children(&find(&minf, b"stbl")?.body)?;
    if let Ok(dinf) = find(&minf, b"dinf") {
        track.contained = is_contained(&dinf.body)?;
    }
    (track.entry, track.descriptions) = read_entry(&find(&stbl, b"stsd")?.body, kind)?;
    track.table = Some(SampleTable::read(&stbl, file_len)?);
    Ok(track)
}

/// Where the first stretch that is shown ends, in ticks of the track.
fn shown_until(track: &MovieTrack, movie_hz: u32) -> Option<i64> {
    let edit = track.edits.iter().find(|edit| edit.from.is_some() && edit.lasts > 0)?;
    let lasts = u128::from(edit.lasts) * u128::from(track.timescale) / u128::from(movie_hz.max(1));
    i64::try_from(u128::from(edit.from?).saturating_add(lasts)).ok()
}

/// The timescale and the language.
fn read_media_header(body: &Bytes) -> Result<(u32, Lang), BoxError> {
    let mut c = Cursor(body.clone());
    let long = c.u8()? == 1;
    c.skip(if long { 19 } else { 11 })?;
    let timescale = c.u32()?;
    c.skip(if long { 8 } else { 4 })?;
    let packed = c.u16().unwrap_or(PACKED_UND);
    if let Some(code) = OLD_LANGUAGES.get(usize::from(packed)) {
        return Ok((timescale, code.parse().unwrap_or(Lang::UND)));
    }
    let letter = |shift: u16| u8::try_from((packed >> shift) & 0x1F).unwrap_or(0) + 0x60;
    let code = [letter(10), letter(5), letter(0)];
    let lang = std::str::from_utf8(&code).ok().and_then(|code| code.parse().ok());
    Ok((timescale, lang.unwrap_or(Lang::UND)))
}

/// `und` as three letters of five bits.
const PACKED_UND: u16 = 0x55C4;
/// Languages as older writers number them.
const OLD_LANGUAGES: [&str; 29] = [
    "eng", "fra", "deu", "ita", "nld", "swe", "spa", "dan", "por", "nor", "heb", "jpn", "ara", "fin", "ell", "isl",
    "mlt", "tur", "hrv", "zho", "urd", "hin", "tha", "kor", "lit", "pol", "hun", "est", "lav",
];

/// Whether it is used unless somebody chooses otherwise, whether it is shown as it is stored, and its size.
fn read_track_header(body: &Bytes) -> Result<(bool, bool, (u32, u32)), BoxError> {
    let mut c = Cursor(body.clone());
    let head = c.u32()?;
    let (long, enabled) = (head >> 24 == 1, head & 1 != 0);
    let times: usize = if long { 32 } else { 20 };
    c.skip(times + 16)?;
    let mut matrix = [0; 9];
    for cell in &mut matrix {
        *cell = c.u32()?;
    }
    let turned = matrix[0] != matrix[4] || matrix[1] != 0 || matrix[3] != 0;
    let upright = !turned && matrix[0] == 0x0001_0000 && matrix[6] == 0 && matrix[7] == 0;
    let pixels = |fixed: u32| fixed.saturating_add(0x8000) >> 16;
    Ok((enabled, upright, (pixels(c.u32()?), pixels(c.u32()?))))
}

fn read_edits(body: &Bytes) -> Result<Vec<Edit>, BoxError> {
    let mut c = Cursor(body.clone());
    let long = c.u32()? >> 24 == 1;
    let count = usize::try_from(c.u32()?).unwrap_or(usize::MAX);
    if count > EDITS_MAX || count * if long { 20 } else { 12 } > c.0.len() {
        return Err(BoxError("its edit list is too long"));
    }
    let mut edits = Vec::with_capacity(count);
    for _ in 0..count {
        let (lasts, from) = if long {
            (c.u64()?, c.u64()?.cast_signed())
        } else {
            (u64::from(c.u32()?), i64::from(c.u32()?.cast_signed()))
        };
        let rate = c.u32()?;
        edits.push(Edit { lasts, from: u64::try_from(from).ok(), usual_speed: rate == 0x0001_0000 });
    }
    Ok(edits)
}

/// Whether every reference to data is to the file itself.
fn is_contained(dinf: &Bytes) -> Result<bool, BoxError> {
    let Some(dref) = children(dinf)?.into_iter().find(|b| &b.kind == b"dref") else { return Ok(true) };
    let entries = dref.body.get(8..).map(|rest| dref.body.slice_ref(rest)).unwrap_or_default();
    Ok(children(&entries)?.iter().all(|entry| entry.body.get(3).is_some_and(|flags| flags & 1 == 1)))
}
