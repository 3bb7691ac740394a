//! Whom a token is about: the asset, its organisation, the viewing session.

use core::fmt;

use sha2::{Digest, Sha256};

/// The name of an asset, as it stands in a URL.
///
/// Either a UUID in its one canonical form (36 characters, lower case, hyphenated), or an opaque name of 1 to 64
/// characters of `A-Z`, `a-z`, `0-9`, `_` and `-`. Anything else is no asset, so nothing that is printed from here needs
/// escaping. A UUID written in another way is either refused or another, opaque, asset: two texts never name one asset.
#[derive(Clone, Copy)]
pub struct AssetRef {
    key: AssetKey,
    /// The length of an opaque name; 0 says that the asset is a UUID.
    len: u8,
    text: [u8; OPAQUE_LEN_MAX],
}

impl AssetRef {
    /// The asset with this UUID.
    pub const fn uuid(bytes: [u8; 16]) -> Self {
        Self { key: AssetKey { opaque: false, bytes }, len: 0, text: [0; OPAQUE_LEN_MAX] }
    }

    /// The asset that is written as `text`.
    ///
    /// # Errors
    /// When `text` is neither a canonical UUID nor an opaque name.
    pub fn parse(text: &str) -> Result<Self, BadAsset> {
        let name = text.as_bytes();
        if let Some(bytes) = parse_uuid(name) {
            return Ok(Self::uuid(bytes));
        }
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if name.is_empty() || name.len() > OPAQUE_LEN_MAX || !name.iter().all(plain) {
            return Err(BadAsset);
        }
        let digest = Sha256::new().chain_update(ASSET_DOMAIN).chain_update(name).finalize();
        let mut asset = Self::uuid([0; 16]);
        asset.key.opaque = true;
        asset.key.bytes.copy_from_slice(&digest[..16]);
        asset.text[..name.len()].copy_from_slice(name);
        asset.len = u8::try_from(name.len()).map_err(|_| BadAsset)?;
        Ok(asset)
    }

    /// What a token holds of this asset.
    pub const fn key(&self) -> AssetKey {
        self.key
    }
}

impl From<[u8; 16]> for AssetRef {
    fn from(uuid: [u8; 16]) -> Self {
        Self::uuid(uuid)
    }
}

impl core::str::FromStr for AssetRef {
    type Err = BadAsset;

    fn from_str(text: &str) -> Result<Self, BadAsset> {
        Self::parse(text)
    }
}

impl PartialEq for AssetRef {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.len == other.len && self.text == other.text
    }
}

impl Eq for AssetRef {}

impl fmt::Display for AssetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.opaque {
            let text = self.text.get(..usize::from(self.len)).unwrap_or_default();
            return f.write_str(core::str::from_utf8(text).unwrap_or_default());
        }
        fmt_uuid(&self.key.bytes, f)
    }
}

impl fmt::Debug for AssetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssetRef({self})")
    }
}

/// The text names no asset. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadAsset;

impl fmt::Display for BadAsset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an asset: a lower-case hyphenated UUID, or 1 to 64 characters A-Z a-z 0-9 _ -")
    }
}

impl core::error::Error for BadAsset {}

/// The sixteen bytes by which a token names an asset: its UUID, or the start of a digest of its opaque name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AssetKey {
    pub(crate) opaque: bool,
    pub(crate) bytes: [u8; 16],
}

impl AssetKey {
    /// The sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// Whether the bytes are a digest of an opaque name. If not, they are a UUID.
    pub const fn is_opaque(&self) -> bool {
        self.opaque
    }
}

/// The sixteen bytes by which a token names an organisation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Org(pub(crate) [u8; 16]);

impl Org {
    /// The organisation with these bytes, usually a UUID.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The seven bytes that tie the tokens of one viewing session together, so that it can be ended as one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SessionId(pub(crate) [u8; 7]);

impl SessionId {
    /// The session with these bytes. Take them from a source of chance.
    pub const fn new(bytes: [u8; 7]) -> Self {
        Self(bytes)
    }

    /// The seven bytes.
    pub const fn as_bytes(&self) -> &[u8; 7] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Orders by the bytes, read as one number: revocation lists are searched on every request.
macro_rules! order_as {
    ($name:ident, $number:expr) => {
        impl Ord for $name {
            #[inline]
            fn cmp(&self, other: &Self) -> core::cmp::Ordering {
                $number(self).cmp(&$number(other))
            }
        }

        impl PartialOrd for $name {
            #[inline]
            fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
    };
}

order_as!(AssetKey, |key: &AssetKey| (u128::from_be_bytes(key.bytes), key.opaque));
order_as!(Org, |org: &Org| u128::from_be_bytes(org.0));
order_as!(SessionId, |session: &SessionId| {
    let [a, b, c, d, e, f, g] = session.0;
    u64::from_be_bytes([0, a, b, c, d, e, f, g])
});

pub(crate) fn fmt_uuid(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

/// Reads the canonical form alone, eight digits in one word at a time; one test at the end says whether all were good.
#[inline]
fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if [text[8], text[13], text[18], text[23]] != [b'-'; 4] {
        return None;
    }
    let [a, b, c, d, e, f, g, h, _, i, j, k, l, _, m, n, o, p, _, q, r, s, t, _, rest @ ..] = *text;
    let [u, v, w, x, tail @ ..] = rest;
    let (one, good_one) = eight_digits([a, b, c, d, e, f, g, h]);
    let (two, good_two) = eight_digits([i, j, k, l, m, n, o, p]);
    let (three, good_three) = eight_digits([q, r, s, t, u, v, w, x]);
    let (four, good_four) = eight_digits(tail);
    let number = u128::from(one) << 96 | u128::from(two) << 64 | u128::from(three) << 32 | u128::from(four);
    (good_one & good_two & good_three & good_four).then_some(number.to_be_bytes())
}

/// The number that eight lower-case hexadecimal digits write, and whether they are eight such digits. Each digit has a
/// byte of a word, and no sum carries from one into the next.
#[inline]
const fn eight_digits(text: [u8; 8]) -> (u32, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let word = u64::from_be_bytes(text);
    let low = word & !HIGH;
    // The highest bit of a byte of each says: at least `0`, above `9`, at least `a`, above `f`.
    let (from_zero, past_nine) = (low + (0x80 - b'0' as u64) * ONES, low + (0x7f - b'9' as u64) * ONES);
    let (from_a, past_f) = (low + (0x80 - b'a' as u64) * ONES, low + (0x7f - b'f' as u64) * ONES);
    let (digit, letter) = (from_zero & !past_nine, from_a & !past_f);
    let good = (digit | letter) & !word & HIGH == HIGH;
    // A letter's last four bits count from 1; nine more make them count from 10.
    let mut nibbles = (word & (0x0f * ONES)) + (letter & HIGH) / 0x80 * 9;
    nibbles = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles >> 8) & 0x0000_ffff_0000_ffff;
    (((nibbles | nibbles >> 16) & 0xffff_ffff) as u32, good)
}

const OPAQUE_LEN_MAX: usize = 64;
const ASSET_DOMAIN: &[u8] = b"rend-token/rt1/asset\0";

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[track_caller]
    fn check(text: &str, opaque: Option<bool>) {
        let asset = AssetRef::parse(text).ok();
        assert_eq!(asset.map(|a| a.key.opaque), opaque, "{text:?}");
        if let Some(asset) = asset {
            assert_eq!(asset.to_string(), text);
        }
    }

    #[test]
    fn only_the_canonical_uuid_is_a_uuid() {
        check("018f5d3e-7c1a-7b2c-9d4e-5f60718293a4", Some(false));
        check("018f5d3e-7c1a-7b2c-9d4e-5f60718293A4", Some(true));
        check("018f5d3e7c1a7b2c9d4e5f60718293a4", Some(true));
        check("018f5d3e-7c1a-7b2c-9d4e-5f60718293a", Some(true));
        check("018f5d3e-7c1a-7b2c-9d4e-5f60718293a4a", Some(true));
        check("018f5d3e-7c1a-7b2c-9d4e-5f60718293g4", Some(true));
        for odd in ["{018f5d3e-7c1a-7b2c-9d4e-5f60718293a4}", "urn:uuid:018f5d3e-7c1a-7b2c-9d4e-5f60718293a4"] {
            check(odd, None);
        }
        for tail in [".", " ", "%20", "%00"] {
            check(&std::format!("018f5d3e-7c1a-7b2c-9d4e-5f60718293a4{tail}"), None);
        }
    }

    #[test]
    fn every_byte_at_every_place_of_a_uuid_is_read_or_refused() {
        let good = *b"018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
        for at in 0..36 {
            for byte in 0..=255 {
                let mut text = good;
                text[at] = byte;
                let dash = matches!(at, 8 | 13 | 18 | 23);
                let fits = if dash { byte == b'-' } else { byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) };
                let read = parse_uuid(&text);
                assert_eq!(read.is_some(), fits, "{at} {byte}");
                let digits: std::string::String = text.iter().filter(|b| **b != b'-').map(|b| char::from(*b)).collect();
                assert_eq!(read.map(u128::from_be_bytes), u128::from_str_radix(&digits, 16).ok().filter(|_| fits));
            }
        }
    }

    #[test]
    fn an_opaque_name_needs_no_escaping() {
        check("my_video-42", Some(true));
        check(&"x".repeat(64), Some(true));
        for odd in ["", "abc/", "abc%2fx", "ab%63", "\u{430}bc", "e\u{301}", "\u{e9}", ".", "..", &"x".repeat(65)] {
            check(odd, None);
        }
    }
}
