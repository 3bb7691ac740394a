//! What is cached: names, and what the policy may know about them.

use std::fmt;
use std::sync::Arc;

use crate::policy::{Id, Traits};

/// The name of one cached body: the asset it belongs to and the path below it.
///
/// Ordered by group and then by name, so one asset's artifacts stand together.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    group: [u8; 16],
    name: Arc<str>,
}

impl Key {
    /// Names the body `name` of the asset `group`. Names longer than [`Key::NAME_BYTES_MAX`] are never cached, only streamed.
    pub fn new(group: [u8; 16], name: &str) -> Self {
        Self { group, name: name.into() }
    }

    /// The asset.
    pub const fn group(&self) -> [u8; 16] {
        self.group
    }

    /// The path below the asset.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// 128 bits that stand for the key in file names. The full key is in each file and compared when it is first opened.
    pub(crate) fn hash(&self) -> u128 {
        self.borrowed().hash()
    }

    /// The same without owning the name.
    pub(crate) fn borrowed(&self) -> KeyRef<'_> {
        KeyRef { group: self.group, name: &self.name }
    }

    /// The number by which index and policy know the key.
    pub(crate) fn id(&self) -> Id {
        id_of(self.hash())
    }

    /// The longest name that is stored, in bytes.
    pub const NAME_BYTES_MAX: usize = 1024;
}

/// A key whose name belongs to somebody else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyRef<'a> {
    pub(crate) group: [u8; 16],
    pub(crate) name: &'a str,
}

impl KeyRef<'_> {
    pub(crate) fn hash(&self) -> u128 {
        let mut hasher = KeyHasher::new(&self.group);
        hasher.push(self.name.as_bytes());
        hasher.finish()
    }

    pub(crate) fn owned(&self) -> Key {
        Key::new(self.group, self.name)
    }
}

/// Hashes a key whose name comes in pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHasher(u128);

impl KeyHasher {
    pub(crate) fn new(group: &[u8; 16]) -> Self {
        let mut hasher = Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        hasher.push(group);
        hasher
    }

    /// FNV-1a.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }

    /// Mixed once more, because the first 16 bits choose the folder and must be evenly spread.
    pub(crate) const fn finish(self) -> u128 {
        let mut hash = self.0;
        hash ^= hash >> 67;
        hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        hash ^ (hash >> 59)
    }
}

/// The policy's number of a key whose 128-bit hash is known.
pub(crate) const fn id_of(hash: u128) -> Id {
    Id((hash >> 64) as u64)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.group {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "/{}", self.name)
    }
}

/// How dearly a body is kept.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Class {
    /// Everything after the start: worth a re-fetch.
    Tail = 0,
    /// Stills and openers.
    Still = 1,
    /// The first segments, without which a picture does not appear.
    Startup = 2,
    /// Playlists and initialisation segments: tiny, and asked for by every viewer.
    Control = 3,
}

impl Class {
    /// All classes, cheapest first.
    pub const ALL: [Self; 4] = [Self::Tail, Self::Still, Self::Startup, Self::Control];

    /// The class with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Tail),
            1 => Some(Self::Still),
            2 => Some(Self::Startup),
            3 => Some(Self::Control),
            _ => None,
        }
    }

    /// One word, for metrics and people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::Still => "still",
            Self::Startup => "startup",
            Self::Control => "control",
        }
    }
}

/// What the cache may know about a key beyond its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyMeta {
    /// How dearly it is kept.
    pub class: Class,
    /// The rendition it belongs to, as a number of the caller's choosing; equal numbers within a group are one rendition.
    pub tier: Option<u8>,
    /// Its place in the rendition, from zero.
    pub segment: Option<u32>,
    /// Whether its bytes never change. Only bodies that can change are ever stale.
    pub immutable: bool,
}

impl KeyMeta {
    /// An immutable body of `class` that is no segment.
    pub const fn new(class: Class) -> Self {
        Self { class, tier: None, segment: None, immutable: true }
    }

    /// An immutable media segment: the first two are [`Class::Startup`], the others [`Class::Tail`].
    pub const fn segment(index: u32, tier: Option<u8>) -> Self {
        Self {
            class: if index < 2 { Class::Startup } else { Class::Tail },
            tier,
            segment: Some(index),
            immutable: true,
        }
    }

    /// A playlist that may still grow.
    pub const fn playlist(tier: Option<u8>) -> Self {
        Self { class: Class::Control, tier, segment: None, immutable: false }
    }

    /// What the policy sees of a key with this description.
    pub(crate) fn traits(&self, group: &[u8; 16]) -> Traits {
        // Folding is enough: a line is a statistic, and two lines that share a counter cost a little foresight only.
        let [a, b, c, d, e, f, g, h, rest @ ..] = *group;
        let line = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ u64::from_le_bytes(rest).rotate_left(23);
        let tier = self.tier.map_or(0, |tier| u64::from(tier) + 1);
        Traits { class: self.class, line: line ^ tier.wrapping_mul(0x9e37_79b9_7f4a_7c15), segment: self.segment }
    }
}

/// Which fill a body came from: later fills have larger numbers, across restarts too.
///
/// A purge takes a generation as well; whatever is older in its scope is dead.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_only_in_where_the_group_ends_have_different_hashes() {
        let mut other = [1; 16];
        other[15] = b'x';
        assert_ne!(Key::new([1; 16], "x").hash(), Key::new(other, "").hash());
    }

    #[test]
    fn a_thousand_segments_spread_over_many_folders() {
        let folders: std::collections::BTreeSet<u64> =
            (0..1000).map(|n| Key::new([9; 16], &format!("hls/720p/segment_{n:05}.m4s")).id().0 >> 48).collect();
        assert!(folders.len() > 950, "{}", folders.len());
    }

    #[test]
    fn renditions_of_one_asset_are_different_lines() {
        let line = |tier| KeyMeta::segment(0, tier).traits(&[3; 16]).line;
        assert_ne!(line(Some(0)), line(Some(1)));
        assert_ne!(line(None), line(Some(0)));
    }
}
