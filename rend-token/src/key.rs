//! Names of keys, and secrets with the rules for good ones.

use core::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::mac;

/// The name of a key: 1 to 64 characters of `A-Z`, `a-z`, `0-9`, `_`, `.` and `-`, the first a letter or a digit.
///
/// The name goes into the derivation of the key, so one secret under two names is two keys.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct KeyLabel {
    len: u8,
    text: [u8; LABEL_LEN_MAX],
}

impl KeyLabel {
    pub(crate) const VACANT: Self = Self { len: 0, text: [0; LABEL_LEN_MAX] };

    /// The name `text`.
    ///
    /// # Errors
    /// When `text` is no such name.
    pub fn new(text: &str) -> Result<Self, BadLabel> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let starts = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if !starts || text.len() > LABEL_LEN_MAX || !text.bytes().all(plain) {
            return Err(BadLabel);
        }
        let mut label = Self { len: u8::try_from(text.len()).map_err(|_| BadLabel)?, text: [0; LABEL_LEN_MAX] };
        label.text[..text.len()].copy_from_slice(text.as_bytes());
        Ok(label)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }

    /// The four bytes by which a token names this key.
    pub fn kid(&self) -> Kid {
        let digest = Sha256::new().chain_update(KID_DOMAIN).chain_update(self.as_str()).finalize();
        Kid([digest[0], digest[1], digest[2], digest[3]])
    }

    /// Whether it is a name that development sets up use.
    pub(crate) fn is_for_development(&self) -> bool {
        let text = self.as_str();
        DEVELOPMENT_LABELS.iter().any(|label| text.eq_ignore_ascii_case(label))
    }

    /// Whether it is a name that one would only give to a key of a real service.
    #[cfg(feature = "std")]
    pub(crate) fn looks_like_production(&self) -> bool {
        self.as_str().get(..4).is_some_and(|start| start.eq_ignore_ascii_case("prod"))
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLabel({self})")
    }
}

/// The text names no key. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadLabel;

impl fmt::Display for BadLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a key label: 1 to 64 characters A-Z a-z 0-9 _ . -, starting with a letter or a digit")
    }
}

impl core::error::Error for BadLabel {}

/// The four bytes by which a token names its key.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Kid(pub(crate) [u8; 4]);

impl Kid {
    /// The four bytes.
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kid({self})")
    }
}

/// A secret that keys are derived from.
///
/// It keeps what was extracted from the bytes it was given and what is wrong with them, but not the bytes. It cannot be
/// shown, and is wiped when dropped.
#[derive(Clone)]
pub struct Secret {
    pub(crate) prk: [u8; 32],
    weakness: Option<Weakness>,
}

impl Secret {
    /// The secret that is exactly these bytes, 1 to 4,096 of them. For a text, as configuration holds it, these are its
    /// characters: it is not decoded.
    ///
    /// # Errors
    /// When there are no bytes, nothing but white space, or more than 4,096.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Weakness> {
        if bytes.trim_ascii().is_empty() {
            return Err(Weakness::Empty);
        }
        if bytes.len() > SECRET_LEN_MAX {
            return Err(Weakness::TooLong);
        }
        let mut secret = Self { prk: [0; 32], weakness: weakness_of(bytes) };
        mac::hmac(EXTRACT_DOMAIN, &[bytes], &mut secret.prk);
        Ok(secret)
    }

    /// What is wrong with it for production, if anything.
    pub const fn weakness(&self) -> Option<Weakness> {
        self.weakness
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.prk.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Which secrets and labels a ring takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecretPolicy {
    /// Only secrets that show no [`Weakness`], and no label of a development set-up.
    Production,
    /// Everything, for machines that nobody else reaches.
    Local,
}

/// What is wrong with a secret. Trying again will not help; a new one from `openssl rand -base64 48` will.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Weakness {
    /// There is nothing, or only white space.
    Empty,
    /// It is longer than 4,096 bytes.
    TooLong,
    /// It is a value that examples and development set-ups use.
    Placeholder,
    /// It holds fewer than 32 bytes, once hexadecimal or base64 is read.
    TooShort,
    /// It holds fewer than 16 different bytes.
    TooFewBytes,
    /// It repeats itself, or counts.
    Pattern,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooLong => "is longer than 4096 bytes",
            Self::Placeholder => "is a placeholder or a development value",
            Self::TooShort => "holds fewer than 32 bytes (as text: fewer than 43 characters)",
            Self::TooFewBytes => "holds fewer than 16 different bytes",
            Self::Pattern => "repeats itself or counts",
        })
    }
}

impl core::error::Error for Weakness {}

fn weakness_of(bytes: &[u8]) -> Option<Weakness> {
    let trimmed = bytes.trim_ascii();
    let lower_has = |needle: &[u8]| trimmed.windows(needle.len()).any(|part| part.eq_ignore_ascii_case(needle));
    let bracketed = matches!(trimmed, [b'<', .., b'>'] | [b'$', b'{', .., b'}'] | [b'{', .., b'}']);
    if bracketed || PLACEHOLDERS.iter().any(|word| lower_has(word)) {
        return Some(Weakness::Placeholder);
    }
    if trimmed.is_ascii() && trimmed.len() < 43 && trimmed.iter().all(|b| matches!(b, b' '..=b'~')) {
        return Some(Weakness::TooShort);
    }
    let raw = judge(bytes);
    // A text is only as good as what it encodes: sixty-four digits of one byte are still one byte.
    let mut decoded = [0; SECRET_LEN_MAX];
    let inner = match decode_text(trimmed, &mut decoded) {
        Some(len) => judge(&decoded[..len]),
        None => None,
    };
    decoded.zeroize();
    raw.or(inner)
}

fn judge(bytes: &[u8]) -> Option<Weakness> {
    if bytes.len() < 32 {
        return Some(Weakness::TooShort);
    }
    if (1..=16).any(|period| bytes.iter().zip(&bytes[period..]).all(|(a, b)| a == b)) {
        return Some(Weakness::Pattern);
    }
    let steps = |pair: &[u8; 2]| pair[1].wrapping_sub(pair[0]);
    let first = steps(&[bytes[0], bytes[1]]);
    if bytes.array_windows().all(|pair| steps(pair) == first) {
        return Some(Weakness::Pattern);
    }
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    (seen.iter().filter(|seen| **seen).count() < 16).then_some(Weakness::TooFewBytes)
}

/// Reads `text` as hexadecimal, else as base64 of either alphabet with or without padding.
fn decode_text(text: &[u8], out: &mut [u8; SECRET_LEN_MAX]) -> Option<usize> {
    let nibble = |b: u8| (b as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit) {
        for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        return Some(text.len() / 2);
    }
    let body = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut url_safe = [0; SECRET_LEN_MAX];
    for (to, from) in url_safe.iter_mut().zip(body) {
        *to = match from {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        };
    }
    let len = crate::base64::decode(&url_safe[..body.len()], out);
    url_safe.zeroize();
    len
}

const LABEL_LEN_MAX: usize = 64;
const SECRET_LEN_MAX: usize = 4096;
const KID_DOMAIN: &[u8] = b"rend-token/rt1/kid\0";
const EXTRACT_DOMAIN: &[u8] = b"rend-token/rt1/extract";
const DEVELOPMENT_LABELS: &[&str] =
    &["local-dev-playback-key", "local", "local-dev", "dev", "development", "test", "example", "changeme"];
const PLACEHOLDERS: &[&[u8]] = &[
    b"local-dev",
    b"changeme",
    b"change-me",
    b"change_me",
    b"placeholder",
    b"replace-me",
    b"replaceme",
    b"your-secret",
    b"your_secret",
    b"signing-secret",
    b"signing_secret",
    b"example-secret",
    b"password",
    b"insecure",
    b"not-a-secret",
];

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    #[track_caller]
    fn check(secret: &[u8], expect: Option<Weakness>) {
        let found = Secret::from_bytes(secret).map_or_else(Some, |secret| secret.weakness());
        assert_eq!(found, expect, "{}", String::from_utf8_lossy(secret));
    }

    #[test]
    fn weak_secrets_are_known_by_what_they_hold() {
        check(b"", Some(Weakness::Empty));
        check(b" \t", Some(Weakness::Empty));
        check(b"a", Some(Weakness::TooShort));
        check(&(100..131).map(|b: u8| b.wrapping_mul(37) | 0x80).collect::<Vec<_>>(), Some(Weakness::TooShort));
        check(b"local-dev-playback-signing-secret", Some(Weakness::Placeholder));
        check(b"changeme-changeme-changeme-changeme-changeme", Some(Weakness::Placeholder));
        check(b"<SECRET>", Some(Weakness::Placeholder));
        check(b"${PLAYBACK_SECRET}", Some(Weakness::Placeholder));
        check(&[b'a'; 32], Some(Weakness::TooShort));
        check(&[b'a'; 64], Some(Weakness::Pattern));
        check(&[0x9a; 32], Some(Weakness::Pattern));
        check(&(0..32).collect::<Vec<u8>>(), Some(Weakness::Pattern));
        check(&b"0123456789".repeat(5), Some(Weakness::Pattern));
        check(&b"\x01\x9f\x02\xfe\x33\x81\x77\xc0".repeat(5), Some(Weakness::Pattern));
        check(b"8f1b22c09d3e47a6b5c4d3e2f1a09b8c77665544332211", Some(Weakness::TooShort));
        check(b"c2hvcnQgc2VjcmV0IG9mIHR3ZW50eSBieXRlcw==", Some(Weakness::TooShort));
        check(&b"ab".repeat(32), Some(Weakness::Pattern));
        check(b"aabbccddaabbccddaabbccddaabbccddaabbccddaabbccddaabbccddaabbccdd11", Some(Weakness::TooFewBytes));
        check(b"Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE", None);
        check(b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", None);
        check(&[b'x'; 4097], Some(Weakness::TooLong));
    }

    #[test]
    fn labels_cannot_carry_syntax() {
        for good in ["a", "2026-11", "prod-2026-01", "k_1.b", &"x".repeat(64)] {
            assert_eq!(KeyLabel::new(good).map(|l| l.as_str().len()), Ok(good.len()));
        }
        for bad in ["", "../../etc/passwd", "k' OR 1=1", "a\n", ".a", "-a", "a=b", "a,b", "\u{e9}", &"x".repeat(65)] {
            assert_eq!(KeyLabel::new(bad).map(|l| l.kid()), Err(BadLabel), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::from_bytes(b"Zr8fQ0mVt3uXkYw1LhJc7sNdB2gAe5PiRo9KxTyUvMlWqHzE").unwrap();
        assert_eq!(std::format!("{secret:?}"), "Secret");
    }

    #[test]
    fn secrets_that_plain_hmac_takes_for_equal_are_not() {
        let padded = |tail: &[u8], len: usize| {
            let mut key = b"k".to_vec();
            key.extend_from_slice(tail);
            key.resize(len.max(key.len()), 0);
            Secret::from_bytes(&key).unwrap().prk
        };
        let long = b"0123456789".repeat(7);
        let digest = Sha256::digest(&long);
        assert_ne!(padded(b"", 1), padded(b"\0", 2));
        assert_ne!(padded(b"", 1), padded(b"", 64));
        assert_ne!(Secret::from_bytes(&long).unwrap().prk, Secret::from_bytes(&digest).unwrap().prk);
    }
}
