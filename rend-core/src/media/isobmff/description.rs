//! Track descriptions, as an initialisation segment holds them.

use bytes::Bytes;

use super::boxes::{BoxError, Cursor, children, descend};
use super::{Init, Track, TrackKind};

/// Reads an initialisation segment.
///
/// # Errors
///
/// [`BoxError`] when it is none.
pub fn read_init(bytes: &Bytes) -> Result<Init, BoxError> {
    let moov = children(bytes)?.into_iter().find(|b| &b.kind == b"moov").ok_or(BoxError("no moov"))?;
    read_moov(&moov.body)
}

pub(super) fn read_moov(body: &Bytes) -> Result<Init, BoxError> {
    let mut init = Init::default();
    let parts = children(body)?;
    for trak in parts.iter().filter(|b| &b.kind == b"trak") {
        if init.tracks.len() == TRACKS_MAX {
            return Err(BoxError("it describes too many tracks"));
        }
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

/// Tracks of an initialisation segment at most: each fragment looks for its own among them.
const TRACKS_MAX: usize = 64;

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
