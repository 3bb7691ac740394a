//! What stands behind the body in each file.
//!
//! The body begins at offset 0, so that ranges need no shift and the kernel can send it as it lies. Behind it, all little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic `rendbody` |
//! | 2 | version, 1 |
//! | 1, 1, 4, 1 | class, tier + 1 (0 none), segment + 1 (0 none), 1 when immutable |
//! | 16 | group of the key |
//! | 8, 8, 8 | length of the body, generation, when the origin changed it (ms since 1970) |
//! | 2 + n | name of the key |
//! | 2 + n | `ETag` |
//! | 2 + n | content type |
//! | 4 × c | crc32c of each 256 KiB of the body; c follows from the length |
//! | 4 | crc32c of all of the above |
//! | 4 | length of the footer from magic to here |
//!
//! A file that does not end in a footer that checks, or whose body does not, is no file: it is removed and its key is a miss.

use bytes::Bytes;

use crate::fill::Meta;
use crate::key::{Class, Generation, Key, KeyMeta};

/// What a footer says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Footer {
    /// The full key.
    pub key: Key,
    /// What is known of the key.
    pub key_meta: KeyMeta,
    /// The body's length, tag and type.
    pub meta: Meta,
    /// Which fill it came from.
    pub generation: Generation,
    /// One checksum for each [`CHUNK_BYTES`] of the body.
    pub chunks: Vec<u32>,
}

impl Footer {
    /// The footer as it stands behind the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            encoded_len(&self.key, &self.meta.etag, &self.meta.content_type, self.meta.len) as usize,
        );
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        encode_key(&mut out, &self.key_meta, &self.key, &self.meta, self.generation);
        for chunk in &self.chunks {
            out.extend_from_slice(&chunk.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        let len = u32::try_from(out.len() + 4).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_le_bytes());
        out
    }

    /// Reads the footer at the end of a whole file. `None` unless every byte of it is as it was written.
    pub fn decode(file: &[u8]) -> Option<Self> {
        let len = u32::from_le_bytes(*file.last_chunk()?) as usize;
        let footer = Self::decode_alone(file.get(file.len().checked_sub(len)?..)?)?;
        let whole = footer.meta.len.checked_add(len as u64)? == file.len() as u64;
        whole.then_some(footer)
    }

    /// Reads a footer, from its magic to its length. `None` unless every byte of it is as it was written.
    pub fn decode_alone(footer: &[u8]) -> Option<Self> {
        let (footer, len) = footer.split_last_chunk::<4>()?;
        if u32::from_le_bytes(*len) as usize != footer.len() + 4 {
            return None;
        }
        let (covered, crc) = footer.split_last_chunk::<4>()?;
        if crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut rest = covered.strip_prefix(MAGIC)?;
        if take::<2>(&mut rest)? != VERSION.to_le_bytes() {
            return None;
        }
        let (key_meta, key, meta, generation) = decode_key(&mut rest)?;
        let chunks: Vec<u32> =
            rest.chunks_exact(4).map(|crc| u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]])).collect();
        let complete = rest.len() % 4 == 0 && chunks.len() as u64 == meta.len.div_ceil(CHUNK_BYTES as u64);
        complete.then_some(Self { key, key_meta, meta, generation, chunks })
    }

    /// Whether `body` is what was written, chunk by chunk.
    pub fn verify(&self, body: &Bytes) -> bool {
        body.len() as u64 == self.meta.len
            && body.chunks(CHUNK_BYTES).map(crc32c::crc32c).eq(self.chunks.iter().copied())
    }
}

/// Checksums a body as it arrives.
#[derive(Clone, Debug, Default)]
pub struct Checksums {
    done: Vec<u32>,
    open: u32,
    open_len: usize,
}

impl Checksums {
    /// Takes the next bytes of the body.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.open_len));
            self.open = crc32c::crc32c_append(self.open, now);
            self.open_len += now.len();
            if self.open_len == CHUNK_BYTES {
                self.close();
            }
            bytes = later;
        }
    }

    /// One checksum a chunk.
    pub fn finish(mut self) -> Vec<u32> {
        if self.open_len > 0 {
            self.close();
        }
        self.done
    }

    fn close(&mut self) {
        self.done.push(self.open);
        (self.open, self.open_len) = (0, 0);
    }
}

/// How many bytes the footer of such a body has.
pub fn encoded_len(key: &Key, etag: &str, content_type: &str, len: u64) -> u64 {
    let texts = key.name().len() + etag.len() + content_type.len();
    FIXED_BYTES + texts as u64 + 4 * len.div_ceil(CHUNK_BYTES as u64)
}

/// More bytes than the footer of any body of `len` bytes has.
pub(crate) fn len_max(len: u64) -> u64 {
    FIXED_BYTES + 3 * Key::NAME_BYTES_MAX as u64 + 4 * len.div_ceil(CHUNK_BYTES as u64)
}

/// The part that journal and footer share.
pub(crate) fn encode_key(out: &mut Vec<u8>, key_meta: &KeyMeta, key: &Key, meta: &Meta, generation: Generation) {
    out.push(key_meta.class as u8);
    out.push(key_meta.tier.map_or(0, |tier| tier.saturating_add(1)));
    out.extend_from_slice(&key_meta.segment.map_or(0, |segment| segment.saturating_add(1)).to_le_bytes());
    out.push(u8::from(key_meta.immutable));
    out.extend_from_slice(&key.group());
    for number in [meta.len, generation.0, meta.modified_ms] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for text in [key.name(), &meta.etag, &meta.content_type] {
        // Longer texts are refused when the fill announces them, so nothing is cut here.
        out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(&text.as_bytes()[..text.len().min(usize::from(u16::MAX))]);
    }
}

pub(crate) fn decode_key(rest: &mut &[u8]) -> Option<(KeyMeta, Key, Meta, Generation)> {
    let [class, tier] = take::<2>(rest)?;
    let segment = u32::from_le_bytes(take(rest)?);
    let [immutable] = take::<1>(rest)?;
    let key_meta = KeyMeta {
        class: Class::from_number(class)?,
        tier: tier.checked_sub(1),
        segment: segment.checked_sub(1),
        immutable: immutable == 1,
    };
    let group = take::<16>(rest)?;
    let len = u64::from_le_bytes(take(rest)?);
    let generation = Generation(u64::from_le_bytes(take(rest)?));
    let modified_ms = u64::from_le_bytes(take(rest)?);
    let key = Key::new(group, text(rest)?);
    let meta = Meta { len, etag: text(rest)?.into(), content_type: text(rest)?.into(), modified_ms };
    Some((key_meta, key, meta, generation))
}

pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

pub(crate) fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let len = usize::from(u16::from_le_bytes(take(rest)?));
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    std::str::from_utf8(head).ok()
}

/// How much of a body one checksum covers.
pub const CHUNK_BYTES: usize = 256 << 10;
const MAGIC: &[u8; 8] = b"rendbody";
const VERSION: u16 = 1;
/// Magic to the end, without texts and checksums.
const FIXED_BYTES: u64 = 8 + 2 + 7 + 16 + 24 + 6 + 4 + 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn footer(body: &[u8]) -> Footer {
        let mut checksums = Checksums::default();
        checksums.push(body);
        Footer {
            key: Key::new([4; 16], "hls/720p/segment_00003.m4s"),
            key_meta: KeyMeta::segment(3, Some(2)),
            meta: Meta {
                len: body.len() as u64,
                etag: "\"abc\"".into(),
                content_type: "video/mp4".into(),
                modified_ms: 17,
            },
            generation: Generation(9),
            chunks: checksums.finish(),
        }
    }

    fn file(body: &[u8]) -> Vec<u8> {
        [body, &footer(body).encode()].concat()
    }

    #[test]
    fn a_footer_reads_back_what_was_written() {
        for len in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let body: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let read = Footer::decode(&file(&body)).unwrap();
            assert_eq!(read, footer(&body));
            assert!(read.verify(&Bytes::from(body.clone())));
            let (key, meta) = (&read.key, &read.meta);
            assert_eq!(encoded_len(key, &meta.etag, &meta.content_type, meta.len), read.encode().len() as u64);
        }
    }

    #[test]
    fn a_file_cut_anywhere_or_with_any_byte_changed_is_no_file() {
        let body = b"some bytes of a body";
        let whole = file(body);
        for len in 0..whole.len() {
            assert_eq!(Footer::decode(&whole[..len]), None, "cut to {len}");
        }
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 0x20;
            let verified =
                Footer::decode(&bad).is_some_and(|footer| footer.verify(&Bytes::copy_from_slice(&bad[..body.len()])));
            assert!(!verified, "byte {at}");
        }
        // Power loss leaves the right length and zeros at the end.
        for zeros in 1..whole.len() {
            let mut bad = whole.clone();
            let from = bad.len() - zeros;
            bad[from..].fill(0);
            // The highest bytes of the length are zeros anyway.
            assert!(bad == whole || Footer::decode(&bad).is_none(), "{zeros} zeros");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Footer::decode(&bytes);
        }

        #[test]
        fn checksums_do_not_depend_on_how_the_body_was_cut(cuts in proptest::collection::vec(1_usize..CHUNK_BYTES, 0..6)) {
            let body: Vec<u8> = (0..CHUNK_BYTES * 2 + 77).map(|n| (n % 253) as u8).collect();
            let (mut whole, mut pieces, mut rest) = (Checksums::default(), Checksums::default(), &body[..]);
            whole.push(&body);
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                pieces.push(now);
                rest = later;
            }
            pieces.push(rest);
            prop_assert_eq!(whole.finish(), pieces.finish());
        }
    }
}
