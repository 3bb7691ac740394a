//! Sample descriptions: how a track is coded.

use bytes::Bytes;

use super::avc::Avc;
use crate::media::isobmff::boxes::{Boxed, Cursor, children};
use crate::media::isobmff::write::Writer;
use crate::media::isobmff::{BoxError, TrackKind};

/// How a track's samples are coded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    /// H.264, with its parameter sets here and not among the samples.
    Avc(Avc),
    /// AAC.
    Aac(Aac),
    /// Anything else, by its four letters.
    Other(String),
}

/// A description of AAC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Aac {
    /// Whether it is the low-complexity profile with 1024 samples a frame and nothing added to it.
    pub low_complexity: bool,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels; 0 when they are described elsewhere.
    pub channels: u8,
}

/// How colours are coded, by the numbers of ITU-T H.273.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Colour {
    /// Which primaries.
    pub primaries: u16,
    /// Which curve of light.
    pub transfer: u16,
    /// Which matrix.
    pub matrix: u16,
    /// Whether the whole range of values is used.
    pub full: bool,
}

impl Aac {
    /// A sample description box of ours that says the same, and nothing else.
    pub fn stsd(&self) -> Bytes {
        let index = RATES.iter().position(|rate| *rate == self.sample_rate).unwrap_or(3);
        let config = (2 << 11) | (u16::try_from(index).unwrap_or(3) << 7) | (u16::from(self.channels) << 3);
        let mut w = Writer::default();
        w.full(b"stsd", 0, 0, |w| {
            w.u32(1);
            w.boxed(b"mp4a", |w| {
                w.put(&[0, 0, 0, 0, 0, 0, 0, 1]);
                w.put(&[0; 8]);
                w.u16(self.channels.into());
                w.u16(16);
                w.u32(0);
                w.u32(self.sample_rate << 16);
                w.full(b"esds", 0, 0, |w| {
                    // An elementary stream of MPEG-4 audio; its own description; the two bytes of it; packets as they are.
                    w.put(&[3, 25, 0, 0, 0, 4, 17, 0x40, 0x15]);
                    w.put(&[0; 11]);
                    w.put(&[5, 2]);
                    w.u16(config);
                    w.put(&[6, 1, 2]);
                });
            });
        });
        w.finish()
    }
}

/// The first entry of an `stsd` box, and how many there are.
pub(super) fn read_entry(body: &Bytes, kind: TrackKind) -> Result<(Entry, u32), BoxError> {
    let count = body.get(4..8).and_then(|b| b.first_chunk::<4>()).map_or(0, |count| u32::from_be_bytes(*count));
    let entries = body.get(8..).map(|rest| body.slice_ref(rest)).ok_or(BoxError("no sample description"))?;
    let entry = children(&entries)?.into_iter().next().ok_or(BoxError("no sample description"))?;
    let entry = match (kind, &entry.kind) {
        (TrackKind::Video, b"avc1") => Entry::Avc(read_avc(&entry)?),
        (TrackKind::Audio, b"mp4a") => read_mp4a(&entry)?,
        (_, other) => Entry::Other(named(other)),
    };
    Ok((entry, count))
}

fn read_avc(entry: &Boxed) -> Result<Avc, BoxError> {
    let mut c = Cursor(entry.body.clone());
    c.skip(24)?;
    let size = (c.u16()?, c.u16()?);
    c.skip(50)?;
    let parts = children(&c.0)?;
    let find = |kind: &[u8; 4]| parts.iter().find(|part| &part.kind == kind).map(|part| &part.body);
    let square = match find(b"pasp").and_then(|b| b.first_chunk::<8>()) {
        Some(ratio) => ratio[..4] == ratio[4..],
        None => true,
    };
    let colour = find(b"colr").and_then(read_colour);
    Avc::read(find(b"avcC").ok_or(BoxError("no decoder configuration"))?, size, square, colour)
}

fn read_colour(body: &Bytes) -> Option<Colour> {
    let mut c = Cursor(body.clone());
    let kind: [u8; 4] = c.array().ok()?;
    if !matches!(&kind, b"nclx" | b"nclc") {
        return None;
    }
    let (primaries, transfer, matrix) = (c.u16().ok()?, c.u16().ok()?, c.u16().ok()?);
    Some(Colour { primaries, transfer, matrix, full: c.u8().unwrap_or(0) & 0x80 != 0 })
}

fn read_mp4a(entry: &Boxed) -> Result<Entry, BoxError> {
    let mut c = Cursor(entry.body.clone());
    c.skip(8)?;
    let version = c.u16()?;
    c.skip(18)?;
    // QuickTime has longer entries, and puts the description into a box of its own.
    c.skip(match version {
        0 => 0,
        1 => 16,
        2 => 36,
        _ => return Err(BoxError("a sound description of an unknown version")),
    })?;
    let parts = children(&c.0)?;
    let own = parts.iter().find(|part| &part.kind == b"esds").map(|part| part.body.clone());
    let inner = || {
        let wave = parts.iter().find(|part| &part.kind == b"wave")?;
        let inner = children(&wave.body).ok()?;
        inner.into_iter().find(|part| &part.kind == b"esds").map(|part| part.body)
    };
    let esds = own.or_else(inner).ok_or(BoxError("no decoder configuration"))?;
    Ok(match read_esds(&esds) {
        Some(aac) => Entry::Aac(aac),
        None => Entry::Other("mp4a".to_owned()),
    })
}

/// What an `esds` box says, when it describes MPEG-4 audio.
fn read_esds(body: &Bytes) -> Option<Aac> {
    let mut c = Cursor(body.clone());
    c.skip(4).ok()?;
    let mut stream = Cursor(descriptor(&mut c, 3)?);
    stream.skip(2).ok()?;
    let flags = stream.u8().ok()?;
    if flags & 0x80 != 0 {
        stream.skip(2).ok()?;
    }
    if flags & 0x40 != 0 {
        let len = stream.u8().ok()?;
        stream.skip(len.into()).ok()?;
    }
    if flags & 0x20 != 0 {
        stream.skip(2).ok()?;
    }
    let mut decoder = Cursor(descriptor(&mut stream, 4)?);
    if decoder.u8().ok()? != 0x40 {
        return None;
    }
    decoder.skip(12).ok()?;
    read_config(&descriptor(&mut decoder, 5)?)
}

/// The body of the next descriptor, when it has this tag.
fn descriptor(c: &mut Cursor, tag: u8) -> Option<Bytes> {
    if c.u8().ok()? != tag {
        return None;
    }
    let mut len = 0_usize;
    for _ in 0..4 {
        let byte = c.u8().ok()?;
        len = len << 7 | usize::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = c.0.get(..len)?;
    let body = c.0.slice_ref(body);
    c.skip(len).ok()?;
    Some(body)
}

/// An audio configuration.
fn read_config(config: &[u8]) -> Option<Aac> {
    let bits = config.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let len = config.len().min(8) * 8;
    let read =
        |from: usize, count: usize| (from + count <= len).then(|| (bits >> (len - from - count)) & ((1 << count) - 1));
    let object = read(0, 5)?;
    let index = read(5, 4)?;
    let (sample_rate, at) = match RATES.get(usize::try_from(index).ok()?) {
        Some(rate) => (*rate, 9),
        None => (u32::try_from(read(9, 24)?).ok()?, 33),
    };
    let channels = u8::try_from(read(at, 4)?).ok()?;
    // Short frames, a core coder or an extension make it another format; so does a band added behind a sync word.
    let plain = read(at + 4, 3) == Some(0);
    let added = read(at + 7, 11) == Some(0x2B7) && read(at + 23, 1) != Some(0);
    Some(Aac { low_complexity: object == 2 && plain && !added && at == 9, sample_rate, channels })
}

/// Four letters that may be anything, for people.
fn named(kind: &[u8; 4]) -> String {
    kind.iter().map(|b| if b.is_ascii_alphanumeric() { char::from(*b) } else { '_' }).collect()
}

/// Samples a second by their index in an audio configuration.
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: &[u8], expect: Option<(bool, u32, u8)>) {
        assert_eq!(read_config(config).map(|a| (a.low_complexity, a.sample_rate, a.channels)), expect);
    }

    #[test]
    fn audio_configurations_are_told_apart() {
        check(&[0x11, 0x90], Some((true, 48_000, 2)));
        check(&[0x12, 0x10], Some((true, 44_100, 2)));
        check(&[0x12, 0x08, 0x56, 0xE5, 0x00], Some((true, 44_100, 1)));
        // A band added behind the sync word; high efficiency from the start; main profile; short frames.
        check(&[0x13, 0x10, 0x56, 0xE5, 0x98], Some((false, 24_000, 2)));
        check(&[0x2B, 0x92, 0x08, 0x00], Some((false, 22_050, 2)));
        check(&[0x0A, 0x10], Some((false, 44_100, 2)));
        check(&[0x12, 0x14], Some((false, 44_100, 2)));
        check(&[0x12], None);
        check(&[], None);
    }

    #[test]
    fn a_description_that_was_written_reads_back() {
        for (sample_rate, channels) in [(44_100, 1), (48_000, 2)] {
            let aac = Aac { low_complexity: true, sample_rate, channels };
            let body = aac.stsd().slice(8..);
            assert_eq!(read_entry(&body, TrackKind::Audio).unwrap(), (Entry::Aac(aac), 1));
        }
    }
}
