//! Secrets as values that do not show themselves, and what makes one too weak.

use std::collections::BTreeMap;
use std::fmt;

/// A secret read from the configuration.
///
/// It has no `Display`, its `Debug` shows nothing of it, and two are compared in a time that depends only on their lengths.
#[derive(Clone)]
pub struct SecretText(Box<str>);

impl SecretText {
    /// Wraps `text`.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Whoever calls this takes care that it is neither logged nor shown.
    pub const fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is this secret, in a time that depends only on the lengths.
    pub fn matches(&self, offered: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let mut differ = u8::from(own.len() != offered.len());
        for (index, byte) in offered.iter().enumerate() {
            // An offer of another length is compared with the secret over and over: its length says nothing then.
            let own_byte = if own.is_empty() { 0 } else { own[index % own.len()] };
            differ |= own_byte ^ byte;
        }
        std::hint::black_box(differ) == 0
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for SecretText {}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// What may be said of a secret that is not good: how long it is and which characters it has.
pub fn shape_of(secret: &str) -> String {
    let len = secret.len();
    let chars = if secret.is_empty() {
        "nothing"
    } else if secret.bytes().all(|b| b.is_ascii_hexdigit()) {
        "hexadecimal digits"
    } else if secret.bytes().all(|b| b.is_ascii_alphanumeric()) {
        "letters and digits"
    } else if secret.is_ascii() {
        "ASCII characters"
    } else {
        "characters beyond ASCII"
    };
    format!("a secret of {len} bytes, {chars}")
}

/// Why a secret is not good enough for production.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weakness {
    /// It is a word that stands for a secret to come, such as `changeme` or `<…>`.
    Placeholder,
    /// It is a value that everybody knows from development set-ups.
    Development,
    /// It is shorter than the bound.
    Short,
    /// It repeats itself or has few different characters.
    LowEntropy,
}

impl Weakness {
    /// The weakness in words that fit behind "it is".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placeholder => "a placeholder",
            Self::Development => "a known development value",
            Self::Short => "too short",
            Self::LowEntropy => "of low entropy",
        }
    }
}

/// Bytes that a secret of ours has at least in production.
pub const SECRET_BYTES_MIN: usize = 32;
/// Bytes that a playback signing secret has at least in production: 32 random bytes in base64 are 43 characters.
pub const SIGNING_SECRET_BYTES_MIN: usize = 43;
/// Different bytes that a secret of ours has at least in production.
pub const SECRET_DISTINCT_MIN: usize = 10;
/// Bits that the character frequencies of a secret of ours add up to at least in production.
pub const SECRET_BITS_MIN: f64 = 96.0;

/// Why `secret`, which is ours to choose, is not good enough for production; `None` when it is.
pub fn weakness_of(secret: &str, bytes_min: usize) -> Option<Weakness> {
    if let Some(known) = known_value(secret) {
        return Some(known);
    }
    if secret.len() < bytes_min {
        return Some(Weakness::Short);
    }
    low_entropy(secret.as_bytes()).then_some(Weakness::LowEntropy)
}

/// Whether `secret`, which somebody else chose, is a placeholder or a known development value.
pub fn known_value(secret: &str) -> Option<Weakness> {
    let word = secret.trim().to_ascii_lowercase();
    let placeholder = PLACEHOLDERS.iter().any(|known| word.contains(known))
        || (word.starts_with('<') && word.ends_with('>'))
        || (word.starts_with("${") && word.ends_with('}'))
        || word.bytes().all(|b| matches!(b, b'x' | b'*' | b'.' | b'-'));
    if placeholder {
        return Some(Weakness::Placeholder);
    }
    let development = DEVELOPMENT.contains(&word.as_str())
        || word.starts_with("rend-local")
        || word.starts_with("rend_local")
        || word.split(['-', '_', '.', ' ']).any(|part| matches!(part, "dev" | "development" | "insecure"));
    development.then_some(Weakness::Development)
}

/// Whether a value looks as if it came from where money or viewers are, and so has no place on a developer's machine.
pub fn looks_live(value: &str) -> bool {
    let word = value.to_ascii_lowercase();
    word.split(['-', '_']).any(|part| matches!(part, "live" | "prod" | "production"))
        || (value.len() == 20 && (value.starts_with("AKIA") || value.starts_with("ASIA")))
}

const PLACEHOLDERS: [&str; 12] = [
    "changeme",
    "change-me",
    "change_me",
    "replace-me",
    "replace_me",
    "replaceme",
    "placeholder",
    "your-",
    "your_",
    "todo",
    "fixme",
    "example",
];

const DEVELOPMENT: [&str; 15] = [
    "secret",
    "password",
    "passw0rd",
    "postgres",
    "redis",
    "clickhouse",
    "default",
    "admin",
    "root",
    "rend",
    "test",
    "minio",
    "minioadmin",
    "minioadmin123",
    "letmein",
];

fn low_entropy(bytes: &[u8]) -> bool {
    let mut counts: BTreeMap<u8, u32> = BTreeMap::new();
    for byte in bytes {
        *counts.entry(*byte).or_default() += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "a configuration value is far shorter than 2^52 bytes")]
    let len = bytes.len() as f64;
    let bits: f64 = counts.values().map(|n| f64::from(*n) * (len / f64::from(*n)).log2()).sum();
    let repeats = (1..=16).any(|period| bytes.len() > period && bytes[period..] == bytes[..bytes.len() - period]);
    let steps = bytes.windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(1)).count();
    counts.len() < SECRET_DISTINCT_MIN || bits < SECRET_BITS_MIN || repeats || steps * 2 > bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(secret: &str, expect: Option<Weakness>) {
        assert_eq!(weakness_of(secret, SECRET_BYTES_MIN), expect, "{secret}");
    }

    #[test]
    fn a_weak_secret_is_told_why() {
        check("changeme-changeme-changeme-changeme-1", Some(Weakness::Placeholder));
        check("<32 random bytes>", Some(Weakness::Placeholder));
        check("${TOKEN}", Some(Weakness::Placeholder));
        check("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", Some(Weakness::Placeholder));
        check("dev-edge-internal-token-1234567890-abcdef", Some(Weakness::Development));
        check("minioadmin", Some(Weakness::Development));
        check("k3J9", Some(Weakness::Short));
        check("abababababababababababababababababab", Some(Weakness::LowEntropy));
        check("abcdefghijklmnopqrstuvwxyz0123456789", Some(Weakness::LowEntropy));
        check("f3a9c1e07b5d2846f3a9c1e07b5d2846f3a9c1e0", Some(Weakness::LowEntropy));
        check("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", None);
        check("qJ8uZ0mY3xVwR5tN7pLkHs2dFgA6cBeQ1iOoTzUyE4M", None);
    }

    #[test]
    fn what_others_issue_is_only_held_against_known_words() {
        assert_eq!(known_value("wJalrXUtnFEMI/K7MDENG"), None);
        assert_eq!(known_value("hunter2"), None);
        assert_eq!(known_value("postgres"), Some(Weakness::Development));
    }

    #[test]
    fn a_live_looking_value_is_recognised() {
        for live in ["am_sk_live_abc", "rend_live_abc", "prod-2026-01", "AKIAIOSFODNN7QWERTYU"] {
            assert!(looks_live(live), "{live}");
        }
        for plain in ["local-1", "9f86d081884c7d65", "delivery", "alive"] {
            assert!(!looks_live(plain), "{plain}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", SecretText::new("hunter2")), "SecretText(…)");
        assert_eq!(shape_of("hunter2"), "a secret of 7 bytes, letters and digits");
        assert_eq!(shape_of("abc123"), "a secret of 6 bytes, hexadecimal digits");
    }

    proptest! {
        #[test]
        fn matching_is_equality(a in "[ab]{0,4}", b in "[ab]{0,4}") {
            prop_assert_eq!(SecretText::new(a.as_str()).matches(b.as_bytes()), a == b);
        }

        #[test]
        fn thirty_two_random_bytes_in_hexadecimal_are_strong(bytes in any::<[u8; 32]>()) {
            let mut prng = crate::prng::Prng::seeded(u64::from_le_bytes(bytes[..8].try_into().unwrap()));
            let hex: String = (0..32).map(|_| format!("{:02x}", prng.below(256))).collect();
            prop_assert_eq!(weakness_of(&hex, SECRET_BYTES_MIN), None);
        }
    }
}
