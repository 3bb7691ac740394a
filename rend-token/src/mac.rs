//! HMAC-SHA256 with the keyed halves worked out beforehand.
//!
//! A key is used for every request and never changes, so the two compressions over its padded forms are done once, when
//! a ring is built. A payload of up to 55 bytes then costs two compressions in all.

use core::hint::black_box;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sha2::block_api::compress256;
use zeroize::{Zeroize, Zeroizing};

use crate::claims::Use;
use crate::codec::DECODED_LEN_MAX;
use crate::key::KeyLabel;

/// A key for one use: the two states of SHA-256 from which inner and outer hash start.
#[derive(Clone)]
pub(crate) struct MacKey {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl MacKey {
    pub(crate) const VACANT: Self = Self { inner: [0; 8], outer: [0; 8] };

    /// The key for `purpose` under `label`: one block of HKDF-Expand from the extracted secret.
    pub(crate) fn derive(prk: &[u8; 32], purpose: Use, label: &KeyLabel) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        derive_bytes(prk, purpose, label, &mut key);
        Self::new(&key)
    }

    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let half = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = IV;
            compress256(&mut state, &[*block]);
            state
        };
        Self { inner: half(0x36), outer: half(0x5c) }
    }

    /// The first sixteen bytes of the HMAC of the payload that `message` holds.
    #[inline]
    pub(crate) fn tag(&self, message: &Message) -> [u8; TAG_LEN] {
        let mut inner = self.inner;
        compress256(&mut inner, message.blocks.get(..message.used).unwrap_or_default());
        self.finish(&inner)
    }

    #[inline]
    fn finish(&self, inner: &[u32; 8]) -> [u8; TAG_LEN] {
        let mut block = OUTER_PADDING;
        for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(inner) {
            *bytes = word.to_be_bytes();
        }
        let mut outer = self.outer;
        compress256(&mut outer, &[block]);
        let mut tag = [0; TAG_LEN];
        for (bytes, word) in tag.as_chunks_mut().0.iter_mut().zip(outer) {
            *bytes = word.to_be_bytes();
        }
        tag
    }
}

/// The bytes of one token, in the blocks in which they are hashed: first the payload, where it is read from too, then
/// its tag, in whose place the padding of the hash comes once the tag was taken out. Nothing is ever copied.
pub(crate) struct Message {
    blocks: [[u8; BLOCK]; BLOCKS],
    /// How many blocks the padded payload fills.
    used: usize,
}

impl Message {
    pub(crate) const EMPTY: Self = Self { blocks: [[0; BLOCK]; BLOCKS], used: 0 };

    /// The payload and the tag, to be written to. What is written beyond [`DECODED_LEN_MAX`] bytes, or behind the tag,
    /// does harm.
    #[inline]
    pub(crate) const fn bytes_mut(&mut self) -> &mut [u8] {
        self.blocks.as_flattened_mut()
    }

    /// The first `len` bytes.
    #[inline]
    pub(crate) fn first(&self, len: usize) -> &[u8] {
        self.blocks.as_flattened().get(..len).unwrap_or_default()
    }

    /// Ends the payload after `len` bytes: what stands behind it, which is at most a tag, gives way to the padding.
    #[inline]
    pub(crate) fn pad(&mut self, len: usize) {
        let bits = ((BLOCK + len) as u64) * 8;
        self.used = (len + 9).div_ceil(BLOCK);
        let flat = self.blocks.as_flattened_mut();
        if let Some(end) = flat.get_mut(len..).and_then(<[u8]>::first_chunk_mut) {
            *end = END_OF_PAYLOAD;
        }
        // The length of what is hashed, the key's block included, in bits.
        if let Some(end) = flat.get_mut(..self.used * BLOCK).and_then(<[u8]>::last_chunk_mut) {
            *end = bits.to_be_bytes();
        }
    }
}

impl Drop for MacKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The bytes of the key for `purpose` under `label`.
pub(crate) fn derive_bytes(prk: &[u8; 32], purpose: Use, label: &KeyLabel, key: &mut [u8; 32]) {
    hmac(prk, &[MAC_DOMAIN, &[purpose as u8, 0], label.as_str().as_bytes(), &[1]], key);
}

/// HMAC-SHA256 of the joined parts, for the rare work: deriving keys.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]], out: &mut [u8; 32]) {
    // HMAC takes keys of every length; the other arm cannot be reached and derives from the empty key.
    let mac = Hmac::<Sha256>::new_from_slice(key).or_else(|_| Hmac::<Sha256>::new_from_slice(&[]));
    if let Ok(mut mac) = mac {
        parts.iter().for_each(|part| mac.update(part));
        let mut digest = mac.finalize().into_bytes();
        out.copy_from_slice(&digest);
        digest.as_mut_slice().zeroize();
    }
}

/// As [`ct_eq`], for tags: one comparison of all their bits.
#[inline]
pub(crate) fn tags_eq(a: [u8; TAG_LEN], b: [u8; TAG_LEN]) -> bool {
    black_box(u128::from_ne_bytes(a) ^ u128::from_ne_bytes(b)) == 0
}

/// Whether `a` and `b` are equal, in a time that depends on their lengths alone.
#[inline]
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    black_box(difference) == 0
}

pub(crate) const TAG_LEN: usize = 16;

const BLOCK: usize = 64;
const BLOCKS: usize = 3;
/// What stands behind a payload: one bit, then zeros over all of the tag.
const END_OF_PAYLOAD: [u8; TAG_LEN + 1] = {
    let mut end = [0; TAG_LEN + 1];
    end[0] = 0x80;
    end
};
/// The block of the outer hash but for the inner one: one bit, zeros, and how many bits are hashed.
const OUTER_PADDING: [u8; BLOCK] = {
    let mut block = [0; BLOCK];
    block[32] = 0x80;
    block[BLOCK - 2] = ((BLOCK + 32) * 8 / 256) as u8;
    block
};
const _: () = assert!(DECODED_LEN_MAX < BLOCK * BLOCKS && ((BLOCK + 32) * 8).is_multiple_of(256));
const MAC_DOMAIN: &[u8] = b"rend-token/rt1/mac\0";
const IV: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PAYLOAD_LEN_MAX;

    #[test]
    fn the_keyed_halves_give_what_hmac_gives() {
        let mut data = [0_u8; PAYLOAD_LEN_MAX];
        for (at, byte) in data.iter_mut().enumerate() {
            *byte = (at * 7 + 3) as u8;
        }
        for len in 0..=PAYLOAD_LEN_MAX {
            let key: [u8; 32] = core::array::from_fn(|at| (at + len) as u8);
            let mut expect = [0; 32];
            hmac(&key, &[&data[..len]], &mut expect);
            let mut message = Message::EMPTY;
            let bytes = message.bytes_mut();
            bytes[..len].copy_from_slice(&data[..len]);
            bytes[len..len + TAG_LEN].fill(0xff);
            message.pad(len);
            assert_eq!(message.first(len), &data[..len]);
            assert_eq!(MacKey::new(&key).tag(&message), expect[..16], "{len}");
        }
    }

    #[test]
    fn equality_sees_every_byte_and_the_length() {
        let a = [7; 16];
        assert!(ct_eq(&a, &a) && tags_eq(a, a));
        assert!(!ct_eq(&a, &a[..15]));
        for at in 0..16 {
            let mut b = a;
            b[at] ^= 0x80;
            assert!(!ct_eq(&a, &b));
            assert!(!tags_eq(a, b));
        }
    }
}
