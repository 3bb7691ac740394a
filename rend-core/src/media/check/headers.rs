//! What the headers of initialisation segments and media segments say, read apart from the reader that the pipeline uses,
//! so that a fault in that one does not hide itself.

use bytes::Bytes;

use crate::media::isobmff::{BoxError, Init, Run, TrackKind, read_init, read_segment};

/// An initialisation segment as it was read back.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its tracks.
    pub init: Init,
    /// The brands it claims, the major one first.
    pub brands: Vec<[u8; 4]>,
}

impl Described {
    /// Reads an initialisation segment.
    ///
    /// # Errors
    ///
    /// [`BoxError`] when it is none.
    pub fn read(bytes: &Bytes) -> Result<Self, BoxError> {
        let init = read_init(bytes)?;
        let mut brands = Vec::new();
        boxes(bytes, &mut |kind, body| {
            if kind == b"ftyp" {
                let words = body.chunks_exact(4).enumerate().filter(|(place, _)| *place != 1);
                brands = words.filter_map(|(_, word)| word.first_chunk::<4>().copied()).take(BRANDS_MAX).collect();
            }
        });
        Ok(Self { init, brands })
    }
}

/// A media segment as its headers describe it.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its length in bytes.
    pub bytes: u64,
    /// The numbers of its fragments.
    pub sequences: Vec<u32>,
    /// Each track's part.
    pub runs: Vec<Run>,
    /// When each key frame of the first picture track is shown, in its ticks.
    pub keys: Vec<i64>,
}

impl Segment {
    /// Reads the beginning of a segment, up to the end of its last header at least; `bytes` is its whole length.
    ///
    /// # Errors
    ///
    /// [`BoxError`] when it is none.
    pub fn read(init: &Init, head: &Bytes, bytes: u64) -> Result<Self, BoxError> {
        let runs = read_segment(init, head)?;
        let (mut sequences, mut keys) = (Vec::new(), Vec::new());
        let picture = init.first(TrackKind::Video);
        boxes(head, &mut |kind, body| {
            if kind != b"moof" {
                return;
            }
            boxes(body, &mut |kind, body| match kind {
                b"mfhd" => sequences.extend(word(body, 4)),
                b"traf" => {
                    if let Some(track) = picture {
                        look(body, track.id, track.defaults, &mut keys);
                    }
                }
                _ => {}
            });
        });
        Ok(Self { bytes, sequences, runs, keys })
    }
}

/// Finds the key frames of a track's part of a fragment.
fn look(traf: &[u8], track: u32, defaults: (u32, u32, u32), keys: &mut Vec<i64>) {
    let (mut own, mut at) = (false, 0_i64);
    let (mut duration, mut flags_of_all) = (defaults.0, defaults.2);
    boxes(traf, &mut |kind, body| match kind {
        b"tfhd" => {
            own = word(body, 4) == Some(track);
            let flags = word(body, 0).unwrap_or(0);
            let mut place = 8;
            for (bit, len) in [(0x1, 8), (0x2, 4)] {
                place += if flags & bit != 0 { len } else { 0 };
            }
            if flags & 0x8 != 0 {
                duration = word(body, place).unwrap_or(0);
                place += 4;
            }
            place += if flags & 0x10 != 0 { 4 } else { 0 };
            if flags & 0x20 != 0 {
                flags_of_all = word(body, place).unwrap_or(0);
            }
        }
        b"tfdt" => {
            let long = body.first() == Some(&1);
            let high = if long { word(body, 4).unwrap_or(0) } else { 0 };
            let low = word(body, if long { 8 } else { 4 }).unwrap_or(0);
            at = i64::from(high) << 32 | i64::from(low);
        }
        b"trun" if own => {
            let flags = word(body, 0).unwrap_or(0);
            let count = word(body, 4).unwrap_or(0);
            let mut place = 8 + if flags & 0x1 != 0 { 4 } else { 0 };
            let first = if flags & 0x4 != 0 { word(body, place) } else { None };
            place += if flags & 0x4 != 0 { 4 } else { 0 };
            for sample in 0..count {
                if place > body.len() || keys.len() >= KEYS_MAX {
                    return;
                }
                let mut field = |bit: u32| {
                    let value = if flags & bit != 0 { word(body, place) } else { None };
                    place += if flags & bit != 0 { 4 } else { 0 };
                    value
                };
                let lasts = field(0x100).unwrap_or(duration);
                let _size = field(0x200);
                let said = field(0x400).or_else(|| first.filter(|_| sample == 0)).unwrap_or(flags_of_all);
                let later = field(0x800).unwrap_or(0).cast_signed();
                if said & NOT_SYNC == 0 {
                    keys.push(at.saturating_add(later.into()));
                }
                at = at.saturating_add(lasts.into());
            }
        }
        _ => {}
    });
}

/// Calls `each` with the kind and the body of every whole box.
fn boxes(bytes: &[u8], each: &mut dyn FnMut(&[u8; 4], &[u8])) {
    let mut at = 0;
    while let (Some(size), Some(kind)) = (word(bytes, at), bytes.get(at + 4..at + 8).and_then(|b| b.first_chunk::<4>()))
    {
        let (header, size) = match size {
            0 => (8, bytes.len() - at),
            1 => (16, word(bytes, at + 12).map_or(usize::MAX, |low| low as usize)),
            size => (8, size as usize),
        };
        let Some(body) = at.checked_add(size).filter(|_| size >= header).and_then(|end| bytes.get(at + header..end))
        else {
            return;
        };
        each(kind, body);
        at += size;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|four| u32::from_be_bytes(*four))
}

/// The flag of a sample at which decoding can not start.
const NOT_SYNC: u32 = 0x0001_0000;
/// Brands that are looked at.
const BRANDS_MAX: usize = 32;
/// Key frames of one segment that are looked at.
const KEYS_MAX: usize = 4096;
