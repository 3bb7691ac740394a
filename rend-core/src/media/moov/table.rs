//! Sample tables: walked as they are.

use bytes::Bytes;

use super::SAMPLES_MAX;
use crate::media::isobmff::BoxError;
use crate::media::isobmff::boxes::{Boxed, Cursor};

/// Where a track's samples lie and when they are decoded and shown.
///
/// Holding one proves that every table is as long as it says, and that there are at most [`SAMPLES_MAX`] samples.
#[derive(Clone, Debug)]
pub struct SampleTable {
    count: u32,
    durations: Bytes,
    delays: Bytes,
    delayed: bool,
    keys: Option<Bytes>,
    chunks: Bytes,
    sizes: Sizes,
    offsets: Bytes,
    long_offsets: bool,
}

/// One sample as the tables tell it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// How many there are.
    pub size: u32,
    /// When it is decoded, in ticks of the track.
    pub decoded_at: u64,
    /// How much later it is shown.
    pub shown_after: i32,
    /// How long it lasts.
    pub duration: u32,
    /// Whether the file says that decoding can start here.
    pub key: bool,
    /// Which sample description it has, from 1.
    pub description: u32,
}

#[derive(Clone, Debug)]
enum Sizes {
    Each(u32),
    Listed { bytes: Bytes, bits: u32 },
}

impl SampleTable {
    /// The table that the children of an `stbl` box make up, in a file of `file_len` bytes.
    pub(super) fn read(parts: &[Boxed], file_len: u64) -> Result<Self, BoxError> {
        let find = |kind: &[u8; 4]| parts.iter().find(|part| &part.kind == kind).map(|part| part.body.clone());
        let needed = |kind| find(kind).ok_or(BoxError("a sample table is missing"));
        let (count, sizes) = match find(b"stsz") {
            Some(body) => {
                let mut c = Cursor(body);
                c.skip(4)?;
                let (each, count) = (c.u32()?, c.u32()?);
                if each > 0 {
                    (count, Sizes::Each(each))
                } else {
                    (count, Sizes::Listed { bytes: exactly(c.0, count, 32)?, bits: 32 })
                }
            }
            None => {
                let mut c = Cursor(needed(b"stz2")?);
                c.skip(7)?;
                let (bits, count) = (u32::from(c.u8()?), c.u32()?);
                if !matches!(bits, 4 | 8 | 16) {
                    return Err(BoxError("sample sizes of an unknown width"));
                }
                (count, Sizes::Listed { bytes: exactly(c.0, count, bits)?, bits })
            }
        };
        if count > SAMPLES_MAX {
            return Err(BoxError("it has too many samples"));
        }
        if let Sizes::Each(each) = sizes
            && u64::from(each) * u64::from(count) > file_len
        {
            return Err(BoxError("its samples are larger than the file"));
        }
        let (offsets, long_offsets) = match find(b"stco") {
            Some(body) => (entries(body, 32)?, false),
            None => (entries(needed(b"co64")?, 64)?, true),
        };
        let delays = find(b"ctts").map(|body| entries(body, 64)).transpose()?;
        Ok(Self {
            count,
            durations: entries(needed(b"stts")?, 64)?,
            delayed: delays.is_some(),
            delays: delays.unwrap_or_default(),
            keys: find(b"stss").map(|body| entries(body, 32)).transpose()?,
            chunks: entries(needed(b"stsc")?, 96)?,
            sizes,
            offsets,
            long_offsets,
        })
    }

    /// How many samples there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The samples in decoding order. An error ends the walk.
    pub fn samples(&self) -> Samples<'_> {
        Samples {
            table: self,
            next: 0,
            decoded_at: 0,
            duration: Repeat::new(&self.durations),
            delay: Repeat::new(&self.delays),
            key_at: 0,
            chunk: 0,
            run: 0,
            left_in_chunk: 0,
            description: 0,
            offset: 0,
        }
    }

    fn size(&self, index: u32) -> Option<u32> {
        match &self.sizes {
            Sizes::Each(each) => Some(*each),
            Sizes::Listed { bytes, bits: 32 } => word(bytes, usize::try_from(index).ok()?),
            Sizes::Listed { bytes, bits } => {
                let at = usize::try_from(u64::from(index) * u64::from(*bits) / 8).ok()?;
                let byte = u32::from(*bytes.get(at)?);
                Some(match bits {
                    16 => byte << 8 | u32::from(*bytes.get(at + 1)?),
                    8 => byte,
                    // Two sizes a byte, the first in the upper half.
                    _ => (byte >> (4 * (1 - index % 2))) & 0xF,
                })
            }
        }
    }

    /// Where chunk number `chunk`, from 0, begins.
    fn chunk_offset(&self, chunk: usize) -> Option<u64> {
        if self.long_offsets {
            let at = chunk.checked_mul(8)?;
            self.offsets.get(at..)?.first_chunk().map(|long| u64::from_be_bytes(*long))
        } else {
            word(&self.offsets, chunk).map(u64::from)
        }
    }

    /// The first chunk, from 1, the samples a chunk and the description of an entry of `stsc`.
    fn run(&self, run: usize) -> Option<(u32, u32, u32)> {
        let at = run.checked_mul(3)?;
        Some((word(&self.chunks, at)?, word(&self.chunks, at + 1)?, word(&self.chunks, at + 2)?))
    }
}

/// Walks the samples of a [`SampleTable`].
#[derive(Debug)]
pub struct Samples<'a> {
    table: &'a SampleTable,
    next: u32,
    decoded_at: u64,
    duration: Repeat<'a>,
    delay: Repeat<'a>,
    key_at: usize,
    chunk: usize,
    run: usize,
    left_in_chunk: u32,
    description: u32,
    offset: u64,
}

impl Samples<'_> {
    fn step(&mut self) -> Result<Stored, BoxError> {
        #[cfg(test)]
        crate::media::isobmff::work::step();
        let table = self.table;
        while self.left_in_chunk == 0 {
            // The run of the next chunk is the last that begins at or before it.
            let number = u32::try_from(self.chunk).unwrap_or(u32::MAX).saturating_add(1);
            while table.run(self.run + 1).is_some_and(|(first, ..)| first <= number) {
                self.run += 1;
            }
            let (first, samples, description) = table.run(self.run).ok_or(BoxError("chunks are not described"))?;
            if first > number {
                return Err(BoxError("chunks are not described"));
            }
            self.offset = table.chunk_offset(self.chunk).ok_or(BoxError("there are fewer chunks than samples"))?;
            (self.left_in_chunk, self.description) = (samples, description);
            self.chunk += 1;
        }
        let size = table.size(self.next).ok_or(BoxError("a sample has no size"))?;
        let duration = self.duration.next().ok_or(BoxError("a sample has no duration"))?;
        let shown_after = if table.delayed {
            self.delay.next().ok_or(BoxError("a sample has no place in time"))?.cast_signed()
        } else {
            0
        };
        let number = self.next + 1;
        let key = match &table.keys {
            None => true,
            Some(keys) => {
                while word(keys, self.key_at).is_some_and(|key| key < number) {
                    self.key_at += 1;
                }
                word(keys, self.key_at) == Some(number)
            }
        };
        let (offset, decoded_at) = (self.offset, self.decoded_at);
        self.offset = offset.checked_add(size.into()).ok_or(BoxError("a sample lies beyond all files"))?;
        self.decoded_at = decoded_at.checked_add(duration.into()).ok_or(BoxError("time runs over"))?;
        self.left_in_chunk -= 1;
        self.next = number;
        Ok(Stored { offset, size, decoded_at, shown_after, duration, key, description: self.description })
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Stored, BoxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.table.count {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.next = self.table.count;
        }
        Some(step)
    }
}

/// Values that are stored as how often and what.
#[derive(Debug)]
struct Repeat<'a> {
    table: &'a [u8],
    entry: usize,
    left: u32,
    value: u32,
}

impl<'a> Repeat<'a> {
    const fn new(table: &'a [u8]) -> Self {
        Self { table, entry: 0, left: 0, value: 0 }
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            (self.left, self.value) = (word(self.table, self.entry * 2)?, word(self.table, self.entry * 2 + 1)?);
            self.entry += 1;
        }
        self.left -= 1;
        Some(self.value)
    }
}

fn word(table: &[u8], index: usize) -> Option<u32> {
    #[cfg(test)]
    crate::media::isobmff::work::step();
    table.get(index.checked_mul(4)?..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// The entries of a full box that begins with their count, each of so many bits.
fn entries(body: Bytes, bits: u32) -> Result<Bytes, BoxError> {
    let mut c = Cursor(body);
    c.skip(4)?;
    let count = c.u32()?;
    exactly(c.0, count, bits)
}

fn exactly(bytes: Bytes, count: u32, bits: u32) -> Result<Bytes, BoxError> {
    let wanted = usize::try_from((u64::from(count) * u64::from(bits)).div_ceil(8)).unwrap_or(usize::MAX);
    let there = bytes.get(..wanted).ok_or(BoxError("a table counts more entries than it holds"))?;
    Ok(bytes.slice_ref(there))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: &[u8; 4], words: &[u32]) -> Boxed {
        let mut body = vec![0; 4];
        words.iter().for_each(|word| body.extend_from_slice(&word.to_be_bytes()));
        Boxed { kind: *kind, whole: Bytes::new(), body: body.into() }
    }

    fn parts() -> Vec<Boxed> {
        vec![
            part(b"stts", &[2, 3, 10, 1, 20]),
            part(b"ctts", &[2, 1, 5, 3, (-5_i32).cast_unsigned()]),
            part(b"stss", &[2, 1, 3]),
            part(b"stsc", &[2, 1, 1, 1, 2, 3, 1]),
            part(b"stsz", &[0, 4, 100, 200, 300, 400]),
            part(b"stco", &[2, 1000, 5000]),
        ]
    }

    #[test]
    fn samples_are_found_where_they_lie() {
        let table = SampleTable::read(&parts(), 10_000).unwrap();
        let told: Vec<_> = table
            .samples()
            .map(|s| s.map(|s| (s.offset, s.size, s.decoded_at, s.shown_after, s.duration, s.key)).unwrap())
            .collect();
        assert_eq!(
            told,
            [
                (1000, 100, 0, 5, 10, true),
                (5000, 200, 10, -5, 10, false),
                (5200, 300, 20, -5, 10, true),
                (5500, 400, 30, -5, 20, false)
            ]
        );
    }

    #[test]
    fn small_sizes_are_packed() {
        let mut parts = parts();
        parts[4] = Boxed {
            kind: *b"stz2",
            whole: Bytes::new(),
            body: Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0x12, 0x34]),
        };
        let table = SampleTable::read(&parts, 10_000).unwrap();
        assert_eq!(table.samples().map(|s| s.unwrap().size).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[track_caller]
    fn check_refused(place: usize, with: Boxed) {
        let mut parts = parts();
        parts[place] = with;
        let refused = match SampleTable::read(&parts, 10_000) {
            Ok(table) => table.samples().any(|sample| sample.is_err()),
            Err(_) => true,
        };
        assert!(refused);
    }

    #[test]
    fn a_table_that_lies_is_refused() {
        check_refused(0, part(b"stts", &[u32::MAX, 3, 10]));
        check_refused(0, part(b"stts", &[1, 3, 10]));
        check_refused(0, part(b"stts", &[1, 4, u32::MAX]).clone_with(&[1, 0, 10]));
        check_refused(1, part(b"ctts", &[1, 1, 5]));
        check_refused(3, part(b"stsc", &[0]));
        check_refused(3, part(b"stsc", &[1, 2, 4, 1]));
        check_refused(4, part(b"stsz", &[0, u32::MAX]));
        check_refused(4, part(b"stsz", &[u32::MAX, 4]));
        check_refused(4, part(b"stsz", &[1, SAMPLES_MAX + 1]));
        check_refused(5, part(b"stco", &[1, 1000]));
    }

    impl Boxed {
        fn clone_with(&self, words: &[u32]) -> Self {
            part(&self.kind, words)
        }
    }
}
