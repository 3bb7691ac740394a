//! What must be known after a restart.
//!
//! The journal is one file of records, all little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length n of the payload |
//! | 4 | crc32c of the payload |
//! | n | payload: one byte of kind, then its fields |
//!
//! The first record is [`Record::Header`]. Reading stops at the first record that is cut or does not check: what follows was being
//! written when the machine stopped. Every record can be applied twice, so a snapshot may overlap with what is appended after it.
//! A snapshot is a journal too: header, fences, entries from cold to hot.
//!
//! A lost `Kept` costs a look at the file's footer, a lost `Dropped` a failed open. A lost `Purged` would bring back a take-down,
//! and is the one record that is synced before anybody is answered.
//!
//! A start looks for purges in the whole journal before it serves, and reads about bodies while it serves.
//!
//! Format 2 says of a body only what its file does not; format 1 had [`Record::Stored`] in its place and is still read.

use crate::fence::Scope;
use crate::fill::Meta;
use crate::footer::{decode_key, encode_key, take, text};
use crate::key::{Class, Generation, Key, KeyMeta, KeyRef};

/// One thing that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Record {
    /// What the file is.
    Header {
        /// [`FORMAT`] of the writer.
        format: u32,
    },
    /// A process opened the folder; all generations that it takes begin with this epoch.
    Opened {
        /// Counts up.
        epoch: u32,
    },
    /// A body was published.
    Kept {
        /// Its key.
        key: Key,
        /// What is known of the key.
        key_meta: KeyMeta,
        /// Its length in bytes.
        len: u64,
        /// What its file costs on disk, in bytes.
        charge: u64,
        /// Which fill.
        generation: Generation,
        /// When it was last known to be what the origin has (ms since 1970).
        checked_ms: u64,
    },
    /// A body was published, as format 1 said it.
    Stored {
        /// Its key.
        key: Key,
        /// What is known of the key.
        key_meta: KeyMeta,
        /// Length, tag, type.
        meta: Meta,
        /// Which fill.
        generation: Generation,
        /// When it was last known to be what the origin has (ms since 1970).
        checked_ms: u64,
    },
    /// A body is no longer there.
    Dropped {
        /// The hash of its key.
        hash: u128,
        /// Which fill.
        generation: Generation,
    },
    /// A body was asked for. Written for one hit in many.
    Touched {
        /// The hash of its key.
        hash: u128,
    },
    /// A purge. Without a scope it covers everything.
    Purged {
        /// What it covers.
        scope: Option<Scope>,
        /// Everything older is dead.
        fence: Generation,
        /// The caller's number of the purge.
        seq: u64,
    },
    /// The origin confirmed a body.
    Checked {
        /// The hash of its key.
        hash: u128,
        /// When (ms since 1970).
        checked_ms: u64,
    },
    /// The owner closed the cache in good order after everything above.
    Closed,
    /// Everything above is everything there is: no other file stands in any folder. It counts only right before [`Record::Closed`] and only
    /// as long as nothing follows that.
    Complete,
}

impl Record {
    /// Appends the record with its frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Self::Kept { key, key_meta, len, charge, generation, checked_ms } = self {
            let (key, key_meta) = (key.borrowed(), *key_meta);
            let (len, charge, generation, checked_ms) = (*len, *charge, *generation, *checked_ms);
            return KeptRef { key, key_meta, len, charge, generation, checked_ms }.encode(out);
        }
        let start = begin(out);
        match self {
            Self::Kept { .. } => {}
            Self::Header { format } => {
                out.push(0);
                out.extend_from_slice(MAGIC);
                out.extend_from_slice(&format.to_le_bytes());
            }
            Self::Opened { epoch } => {
                out.push(1);
                out.extend_from_slice(&epoch.to_le_bytes());
            }
            Self::Stored { key, key_meta, meta, generation, checked_ms } => {
                out.push(2);
                out.extend_from_slice(&checked_ms.to_le_bytes());
                encode_key(out, key_meta, key, meta, *generation);
            }
            Self::Dropped { hash, generation } => {
                out.push(3);
                out.extend_from_slice(&hash.to_le_bytes());
                out.extend_from_slice(&generation.0.to_le_bytes());
            }
            Self::Touched { hash } => {
                out.push(4);
                out.extend_from_slice(&hash.to_le_bytes());
            }
            Self::Purged { scope, fence, seq } => {
                out.push(5);
                out.extend_from_slice(&fence.0.to_le_bytes());
                out.extend_from_slice(&seq.to_le_bytes());
                encode_scope(out, scope.as_ref());
            }
            Self::Checked { hash, checked_ms } => {
                out.push(6);
                out.extend_from_slice(&hash.to_le_bytes());
                out.extend_from_slice(&checked_ms.to_le_bytes());
            }
            Self::Closed => out.push(7),
            Self::Complete => out.push(8),
        }
        end(out, start);
    }

    fn decode(mut rest: &[u8]) -> Option<Self> {
        let [kind] = take::<1>(&mut rest)?;
        let record = match kind {
            0 => {
                rest = rest.strip_prefix(MAGIC)?;
                Self::Header { format: u32::from_le_bytes(take(&mut rest)?) }
            }
            1 => Self::Opened { epoch: u32::from_le_bytes(take(&mut rest)?) },
            2 => {
                let checked_ms = u64::from_le_bytes(take(&mut rest)?);
                let (key_meta, key, meta, generation) = decode_key(&mut rest)?;
                Self::Stored { key, key_meta, meta, generation, checked_ms }
            }
            3 => Self::Dropped {
                hash: u128::from_le_bytes(take(&mut rest)?),
                generation: Generation(u64::from_le_bytes(take(&mut rest)?)),
            },
            4 => Self::Touched { hash: u128::from_le_bytes(take(&mut rest)?) },
            5 => Self::Purged {
                fence: Generation(u64::from_le_bytes(take(&mut rest)?)),
                seq: u64::from_le_bytes(take(&mut rest)?),
                scope: decode_scope(&mut rest)?,
            },
            6 => Self::Checked {
                hash: u128::from_le_bytes(take(&mut rest)?),
                checked_ms: u64::from_le_bytes(take(&mut rest)?),
            },
            7 => Self::Closed,
            8 => Self::Complete,
            KEPT => {
                let KeptRef { key, key_meta, len, charge, generation, checked_ms } = KeptRef::decode(&mut rest)?;
                Self::Kept { key: key.owned(), key_meta, len, charge, generation, checked_ms }
            }
            _ => return None,
        };
        rest.is_empty().then_some(record)
    }
}

/// [`Record::Kept`] without owning the name: a million of them are read at the start of a large edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptRef<'a> {
    pub(crate) key: KeyRef<'a>,
    pub(crate) key_meta: KeyMeta,
    pub(crate) len: u64,
    pub(crate) charge: u64,
    pub(crate) generation: Generation,
    pub(crate) checked_ms: u64,
}

impl<'a> KeptRef<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = begin(out);
        let Self { key, key_meta, len, charge, generation, checked_ms } = *self;
        let [class, tier, immutable] = [
            key_meta.class as u8,
            key_meta.tier.map_or(0, |tier| tier.saturating_add(1)),
            u8::from(key_meta.immutable),
        ];
        out.extend_from_slice(&[KEPT, class, tier, immutable]);
        out.extend_from_slice(&key_meta.segment.map_or(0, |segment| segment.saturating_add(1)).to_le_bytes());
        for number in [len, charge, generation.0, checked_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&key.group);
        // Longer names are never stored.
        out.extend_from_slice(&key.name.as_bytes()[..key.name.len().min(Key::NAME_BYTES_MAX)]);
        end(out, start);
    }

    /// Reads what stands behind the kind, to the end.
    fn decode(rest: &mut &'a [u8]) -> Option<Self> {
        let [class, tier, immutable] = take::<3>(rest)?;
        let segment = u32::from_le_bytes(take(rest)?);
        let (len, charge) = (u64::from_le_bytes(take(rest)?), u64::from_le_bytes(take(rest)?));
        let (generation, checked_ms) = (u64::from_le_bytes(take(rest)?), u64::from_le_bytes(take(rest)?));
        let group = take::<16>(rest)?;
        let name = std::str::from_utf8(std::mem::take(rest)).ok()?;
        // One spelling a record: a flag is 0 or 1, and a file costs whole blocks and at least its body.
        let plausible = immutable <= 1 && charge >= len && charge % crate::budget::BLOCK_BYTES == 0;
        let key_meta = KeyMeta {
            class: Class::from_number(class)?,
            tier: tier.checked_sub(1),
            segment: segment.checked_sub(1),
            immutable: immutable == 1,
        };
        (plausible && name.len() <= Key::NAME_BYTES_MAX).then_some(Self {
            key: KeyRef { group, name },
            key_meta,
            len,
            charge,
            generation: Generation(generation),
            checked_ms,
        })
    }
}

/// The records of a journal, up to the first that is not whole.
#[derive(Clone, Debug)]
pub struct Records<'a>(Lines<'a>);

impl<'a> Records<'a> {
    /// Reads a journal.
    pub const fn new(journal: &'a [u8]) -> Self {
        Self(Lines::new(journal))
    }

    /// How many bytes were whole records so far.
    pub const fn read(&self) -> usize {
        self.0.read
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.0.step(Record::decode)
    }
}

/// The same, without owning what is said of bodies.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    read: usize,
}

/// One record.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    Kept(KeptRef<'a>),
    Other(Record),
}

impl<'a> Lines<'a> {
    pub(crate) const fn new(journal: &'a [u8]) -> Self {
        Self { rest: journal, read: 0 }
    }

    pub(crate) const fn read(&self) -> usize {
        self.read
    }

    fn step<T>(&mut self, decode: impl FnOnce(&'a [u8]) -> Option<T>) -> Option<T> {
        let mut rest = self.rest;
        let len = u32::from_le_bytes(take(&mut rest)?) as usize;
        let crc = u32::from_le_bytes(take(&mut rest)?);
        let (payload, later) = rest.split_at_checked(len)?;
        if crc32c::crc32c(payload) != crc {
            return None;
        }
        let record = decode(payload)?;
        self.rest = later;
        self.read += 8 + len;
        Some(record)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        self.step(|payload| match payload {
            [KEPT, rest @ ..] => {
                let mut rest = rest;
                KeptRef::decode(&mut rest).map(Line::Kept)
            }
            other => Record::decode(other).map(Line::Other),
        })
    }
}

/// Leaves room for the frame of a record.
fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 8]);
    out.len() - 8
}

/// Puts the frame around what was written since.
fn end(out: &mut [u8], start: usize) {
    let (_, payload) = out.split_at(start + 8);
    let (len, crc) = (u32::try_from(payload.len()).unwrap_or(u32::MAX), crc32c::crc32c(payload));
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn encode_scope(out: &mut Vec<u8>, scope: Option<&Scope>) {
    let (kind, name) = match scope {
        None => return out.push(0),
        Some(Scope::Group(_)) => (1, ""),
        Some(Scope::Prefix(_, prefix)) => (2, &**prefix),
        Some(Scope::Key(key)) => (3, key.name()),
    };
    out.push(kind);
    out.extend_from_slice(&scope.map_or([0; 16], Scope::group));
    let len = u16::try_from(name.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&name.as_bytes()[..usize::from(len)]);
}

fn decode_scope(rest: &mut &[u8]) -> Option<Option<Scope>> {
    let [kind] = take::<1>(rest)?;
    if kind == 0 {
        return Some(None);
    }
    let group = take::<16>(rest)?;
    let name = text(rest)?;
    match kind {
        1 => Some(Some(Scope::Group(group))),
        2 => Some(Some(Scope::Prefix(group, name.into()))),
        3 => Some(Some(Scope::Key(Key::new(group, name)))),
        _ => None,
    }
}

/// The format that this version writes and the newest that it reads.
pub const FORMAT: u32 = 2;
/// The kind of [`Record::Kept`].
const KEPT: u8 = 9;
const MAGIC: &[u8; 8] = b"rendjrnl";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> Vec<Record> {
        let key = Key::new([5; 16], "hls/master.m3u8");
        let meta = Meta { len: 77, etag: "\"t\"".into(), content_type: "x/y".into(), modified_ms: 5 };
        let generation = Generation(11);
        vec![
            Record::Header { format: FORMAT },
            Record::Opened { epoch: 3 },
            Record::Stored { key: key.clone(), key_meta: KeyMeta::playlist(None), meta, generation, checked_ms: 9 },
            Record::Kept {
                key: key.clone(),
                key_meta: KeyMeta::segment(7, Some(2)),
                len: 5000,
                charge: 8192,
                generation,
                checked_ms: 9,
            },
            Record::Touched { hash: key.hash() },
            Record::Checked { hash: key.hash(), checked_ms: 12 },
            Record::Dropped { hash: key.hash(), generation },
            Record::Purged { scope: None, fence: generation, seq: 1 },
            Record::Purged { scope: Some(Scope::Group([5; 16])), fence: generation, seq: 2 },
            Record::Purged { scope: Some(Scope::Prefix([5; 16], "hls/".into())), fence: generation, seq: 3 },
            Record::Purged { scope: Some(Scope::Key(key)), fence: generation, seq: 4 },
            Record::Closed,
        ]
    }

    #[test]
    fn a_journal_reads_back_what_was_written() {
        let mut bytes = Vec::new();
        all().iter().for_each(|record| record.encode(&mut bytes));
        assert_eq!(Records::new(&bytes).collect::<Vec<_>>(), all());
    }

    #[test]
    fn a_journal_cut_at_any_byte_reads_as_its_whole_records() {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for record in all() {
            record.encode(&mut bytes);
            ends.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let mut records = Records::new(&bytes[..cut]);
            let read: Vec<_> = records.by_ref().collect();
            assert_eq!(read, all()[..whole], "cut at {cut}");
            assert_eq!(records.read(), if whole == 0 { 0 } else { ends[whole - 1] });
        }
    }

    #[test]
    fn reading_stops_at_a_record_with_any_byte_changed() {
        let mut bytes = Vec::new();
        all().iter().for_each(|record| record.encode(&mut bytes));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let read: Vec<_> = Records::new(&bad).collect();
            assert!(read.len() < all().len() && read == all()[..read.len()], "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Records::new(&bytes).count();
            let _ = Record::decode(&bytes);
        }
    }
}
