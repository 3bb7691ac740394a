//! Frames: how anything is written in a spool file, and how much of a damaged file is read back.

use rend_core::id::EdgeId;

/// Bytes before a frame's body: length and checksum.
pub const FRAME_HEAD_BYTES: usize = 8;
/// The longest body of a frame: its kind and an event.
pub const FRAME_BODY_BYTES_MAX: usize = 1 + crate::wire::EVENT_BYTES_MAX;

/// What a frame holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// The run and the edge that the following events belong to. First in every segment.
    Header {
        /// Which run of the edge.
        boot: [u8; 8],
        /// The edge.
        node: EdgeId,
    },
    /// One event, in the form that [`crate::wire`] gives it.
    Event(Vec<u8>),
    /// The file with this number is delivered; it may be removed.
    Acked {
        /// The number in the file's name.
        file_no: u64,
    },
    /// Events that a run has lost in total, and how many of them the other side knows about.
    Dropped {
        /// Which run of the edge.
        boot: [u8; 8],
        /// The edge.
        node: EdgeId,
        /// Events lost, in total so far.
        total: u64,
        /// The total that was last acknowledged.
        told: u64,
    },
}

impl Frame {
    /// Writes the frame at the end of `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(64);
        match self {
            Self::Header { boot, node } => {
                body.push(b'H');
                body.push(VERSION);
                body.extend_from_slice(boot);
                body.extend_from_slice(node.as_str().as_bytes());
            }
            Self::Event(payload) => return write_event(payload, out),
            Self::Acked { file_no } => {
                body.push(b'A');
                body.extend_from_slice(&file_no.to_le_bytes());
            }
            Self::Dropped { boot, node, total, told } => {
                body.push(b'D');
                body.extend_from_slice(boot);
                body.extend_from_slice(&total.to_le_bytes());
                body.extend_from_slice(&told.to_le_bytes());
                body.extend_from_slice(node.as_str().as_bytes());
            }
        }
        write_body(&[&body], out);
    }
}

/// Writes an event's frame at the end of `out`.
pub fn write_event(payload: &[u8], out: &mut Vec<u8>) {
    write_body(&[b"E", payload], out);
}

/// What a file's bytes hold, up to the first frame that is not whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    /// The frames, in order.
    pub frames: Vec<Frame>,
    /// How many bytes they take; what stands behind is a torn tail.
    pub good_bytes: usize,
    /// What ended the reading.
    pub end: End,
}

/// Why the reading of a file ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// At the end of the file.
    Whole,
    /// At a frame that is cut short or damaged.
    Torn,
    /// At a whole frame of a kind or version that this program does not know.
    Foreign,
}

/// Reads the frames of a file. Any bytes are legal input: reading ends at the first frame that is not whole.
pub fn read(bytes: &[u8]) -> Content {
    let mut frames = Vec::new();
    let mut at = 0;
    let end = loop {
        let rest = &bytes[at..];
        if rest.is_empty() {
            break End::Whole;
        }
        let Some(body) = body_of(rest) else { break End::Torn };
        let Some(frame) = frame_of(body) else { break End::Foreign };
        frames.push(frame);
        at += FRAME_HEAD_BYTES + body.len();
    };
    Content { frames, good_bytes: at, end }
}

fn write_body(parts: &[&[u8]], out: &mut Vec<u8>) {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    debug_assert!((1..=FRAME_BODY_BYTES_MAX).contains(&len), "callers keep to the bound of an event");
    let crc = parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn body_of(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    // A body is never empty, so a tail of zeros, which some file systems leave after a power cut, is not a frame.
    if !(1..=FRAME_BODY_BYTES_MAX).contains(&len) {
        return None;
    }
    let body = rest.get(..len)?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(body)
}

fn frame_of(body: &[u8]) -> Option<Frame> {
    let node = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<EdgeId>().ok();
    match body.split_first()? {
        (b'H', rest) => {
            let (version, rest) = rest.split_first()?;
            let (boot, rest) = rest.split_first_chunk::<8>()?;
            (*version == VERSION).then_some(())?;
            Some(Frame::Header { boot: *boot, node: node(rest)? })
        }
        (b'E', rest) => Some(Frame::Event(rest.to_vec())),
        (b'A', rest) => Some(Frame::Acked { file_no: u64::from_le_bytes(rest.try_into().ok()?) }),
        (b'D', rest) => {
            let (boot, rest) = rest.split_first_chunk::<8>()?;
            let (total, rest) = rest.split_first_chunk::<8>()?;
            let (told, rest) = rest.split_first_chunk::<8>()?;
            let (total, told) = (u64::from_le_bytes(*total), u64::from_le_bytes(*told));
            Some(Frame::Dropped { boot: *boot, node: node(rest)?, total, told })
        }
        _ => None,
    }
}

/// The version of the format that a header names.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Frame> {
        let node: EdgeId = "ash-1".parse().unwrap();
        vec![
            Frame::Header { boot: [1; 8], node: node.clone() },
            Frame::Event(b"{}".to_vec()),
            Frame::Acked { file_no: 9 },
            Frame::Dropped { boot: [2; 8], node, total: 7, told: 3 },
            Frame::Event(vec![b'x'; crate::wire::EVENT_BYTES_MAX]),
        ]
    }

    fn written(frames: &[Frame]) -> Vec<u8> {
        let mut out = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut out));
        out
    }

    #[test]
    fn what_was_written_is_read_back() {
        let bytes = written(&some());
        let content = read(&bytes);
        assert_eq!((content.frames, content.good_bytes, content.end), (some(), bytes.len(), End::Whole));
    }

    #[test]
    fn a_file_cut_at_any_byte_keeps_every_whole_frame() {
        let bytes = written(&some());
        let ends: Vec<usize> = (1..=some().len()).map(|n| written(&some()[..n]).len()).collect();
        for cut in 0..=bytes.len() {
            let content = read(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(content.frames, some()[..whole], "cut at {cut}");
            let at_an_end = cut == 0 || ends.contains(&cut);
            assert_eq!(content.end, if at_an_end { End::Whole } else { End::Torn }, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_reading_at_its_frame() {
        let bytes = written(&some()[..4]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                let content = read(&bad);
                assert!(content.good_bytes <= at, "byte {at} bit {bit}");
                assert!(some().starts_with(&content.frames));
            }
        }
    }

    #[test]
    fn zeros_are_a_torn_tail_and_an_unknown_kind_is_foreign() {
        assert_eq!(read(&[0; 64]).end, End::Torn);
        let mut out = Vec::new();
        write_body(&[b"Zsomething"], &mut out);
        assert_eq!(read(&out).end, End::Foreign);
    }
}
