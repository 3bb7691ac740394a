//! In which parts an original comes whose bytes its sender puts where it is told, past the API.
//!
//! The sender asks for the URLs of a few parts at a time, puts each part, and lists what it was answered for each. Which
//! part has which bytes is settled once, when the upload begins, so that a list of parts can be judged without looking at
//! one of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// Parts that an original may have.
pub const PARTS_MAX: u32 = 10_000;
/// Bytes that every part but the last must have where an object storage takes it.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// Bytes of every part but the last, unless there would be more than [`PARTS_MAX`] of them.
pub const PART_BYTES: u64 = 8 << 20;
/// Bytes that a part may have.
pub const PART_BYTES_MAX: u64 = 5 << 30;
/// Parts whose URLs are told in one answer.
pub const SIGNED_MAX: usize = 10;
/// How long a part's URL is good for.
pub const URL_KEPT: Duration = Duration::from_secs(15 * 60);
/// Characters that a part's tag may have.
pub const TAG_CHARS_MAX: usize = 128;

/// An original cut into parts.
///
/// Holding one proves that there are 1 to [`PARTS_MAX`] parts, that every one but the last has the same bytes, at least
/// [`PART_BYTES_MIN`] of them, and that no part is empty.
///
/// ```
/// use rend_core::upload::parts::Division;
///
/// let film = Division::of(20 << 20).expect("twenty megabytes are parts");
/// assert_eq!((film.parts(), film.bytes_of(1), film.bytes_of(3)), (3, Some(8 << 20), Some(4 << 20)));
/// assert_eq!(film.bytes_of(4), None);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Division {
    bytes: u64,
    part_bytes: u64,
}

impl Division {
    /// How an original of `bytes` is cut, or `None` when it is empty or no [`PARTS_MAX`] parts hold it.
    pub fn of(bytes: u64) -> Option<Self> {
        const MIB: u64 = 1 << 20;
        let least = bytes.div_ceil(u64::from(PARTS_MAX));
        let part_bytes = least.checked_next_multiple_of(MIB)?.max(PART_BYTES);
        Self::known(bytes, part_bytes)
    }

    /// The division that was settled when an upload of `bytes` began, or `None` when it is none.
    pub fn known(bytes: u64, part_bytes: u64) -> Option<Self> {
        let fits = (PART_BYTES_MIN..=PART_BYTES_MAX).contains(&part_bytes);
        let parts = bytes.div_ceil(part_bytes.max(1));
        (fits && (1..=u64::from(PARTS_MAX)).contains(&parts)).then_some(Self { bytes, part_bytes })
    }

    /// Bytes of the original.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of every part but the last.
    pub const fn part_bytes(&self) -> u64 {
        self.part_bytes
    }

    /// How many parts there are.
    pub fn parts(&self) -> u32 {
        // There are at most PARTS_MAX.
        u32::try_from(self.bytes.div_ceil(self.part_bytes)).unwrap_or(PARTS_MAX)
    }

    /// Bytes of part `number`, counted from 1, or `None` when there is no such part.
    pub fn bytes_of(&self, number: u32) -> Option<u64> {
        let before = u64::from(number.checked_sub(1)?) * self.part_bytes;
        let rest = self.bytes.checked_sub(before).filter(|rest| *rest > 0)?;
        Some(rest.min(self.part_bytes))
    }

    /// Judges what a sender lists as all of its parts: each once, in whatever order. Answers them in theirs.
    ///
    /// # Errors
    ///
    /// [`NotWhole`], when a part is missing, twice there, or none of this original's.
    pub fn whole(&self, mut listed: Vec<Listed>) -> Result<Vec<Listed>, NotWhole> {
        listed.sort_by_key(|part| part.number);
        for (at, part) in listed.iter().enumerate() {
            if self.bytes_of(part.number).is_none() {
                return Err(NotWhole::Unknown { number: part.number, parts: self.parts() });
            }
            if at > 0 && listed[at - 1].number == part.number {
                return Err(NotWhole::Twice { number: part.number });
            }
        }
        match (1..=self.parts()).zip(&listed).find(|(number, part)| *number != part.number) {
            Some((number, _)) => Err(NotWhole::Missing { number }),
            None if listed.len() < self.parts() as usize => {
                Err(NotWhole::Missing { number: u32::try_from(listed.len()).unwrap_or(PARTS_MAX) + 1 })
            }
            None => Ok(listed),
        }
    }
}

/// A part as its sender lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its number, from 1.
    pub number: u32,
    /// What the storage called what it took.
    pub tag: Tag,
}

/// What a storage calls the bytes of one part: its `ETag`, without the quotes.
///
/// Holding one proves that it can stand in a document without harm: 1 to [`TAG_CHARS_MAX`] ASCII letters, digits and `-`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Tag(String);

impl Tag {
    /// The tag as text, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = BadTag;

    fn from_str(text: &str) -> Result<Self, BadTag> {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let plain = bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if plain && (1..=TAG_CHARS_MAX).contains(&bare.len()) { Ok(Self(bare.to_owned())) } else { Err(BadTag) }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is not the tag of a part.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the `ETag` that the part was answered with")]
pub struct BadTag;

/// Why a list is not all of an original's parts. Listing the right ones helps.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NotWhole {
    /// A part is not listed.
    #[error("part {number} is missing")]
    Missing {
        /// The first that is.
        number: u32,
    },
    /// A part is listed twice.
    #[error("part {number} is listed twice")]
    Twice {
        /// Which.
        number: u32,
    },
    /// There is no such part.
    #[error("there is no part {number}; parts are 1 to {parts}")]
    Unknown {
        /// Which was listed.
        number: u32,
        /// The last one's number.
        parts: u32,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: u64, expect: Option<(u32, u64)>) {
        assert_eq!(Division::of(bytes).map(|cut| (cut.parts(), cut.part_bytes())), expect, "{bytes}");
    }

    fn listed(numbers: &[u32]) -> Vec<Listed> {
        numbers.iter().map(|number| Listed { number: *number, tag: "a-1".parse().unwrap() }).collect()
    }

    #[test]
    fn parts_have_eight_megabytes_until_there_would_be_too_many() {
        check(0, None);
        check(1, Some((1, PART_BYTES)));
        check(PART_BYTES, Some((1, PART_BYTES)));
        check(PART_BYTES + 1, Some((2, PART_BYTES)));
        check(u64::from(PARTS_MAX) * PART_BYTES, Some((PARTS_MAX, PART_BYTES)));
        check(u64::from(PARTS_MAX) * PART_BYTES + 1, Some((8889, 9 << 20)));
        check(u64::from(PARTS_MAX) * PART_BYTES_MAX, Some((PARTS_MAX, PART_BYTES_MAX)));
        check(u64::from(PARTS_MAX) * PART_BYTES_MAX + 1, None);
        check(u64::MAX, None);
    }

    #[test]
    fn a_division_that_was_written_down_is_held_to_the_bounds() {
        assert!(Division::known(10, PART_BYTES_MIN).is_some());
        assert_eq!(Division::known(10, PART_BYTES_MIN - 1), None);
        assert_eq!(Division::known(10, 0), None);
        assert_eq!(Division::known(u64::from(PARTS_MAX) * PART_BYTES_MIN + 1, PART_BYTES_MIN), None);
    }

    #[track_caller]
    fn judged(numbers: &[u32], expect: Result<&[u32], NotWhole>) {
        let cut = Division::of(3 * PART_BYTES).unwrap();
        let whole = cut.whole(listed(numbers)).map(|parts| parts.iter().map(|part| part.number).collect());
        assert_eq!(whole, expect.map(<[u32]>::to_vec), "{numbers:?}");
    }

    #[test]
    fn a_list_is_whole_with_every_part_once_in_any_order() {
        judged(&[1, 2, 3], Ok(&[1, 2, 3]));
        judged(&[3, 1, 2], Ok(&[1, 2, 3]));
        judged(&[], Err(NotWhole::Missing { number: 1 }));
        judged(&[1, 2], Err(NotWhole::Missing { number: 3 }));
        judged(&[3, 1], Err(NotWhole::Missing { number: 2 }));
        judged(&[1, 2, 2, 3], Err(NotWhole::Twice { number: 2 }));
        judged(&[1, 2, 3, 4], Err(NotWhole::Unknown { number: 4, parts: 3 }));
        judged(&[0, 1, 2, 3], Err(NotWhole::Unknown { number: 0, parts: 3 }));
        judged(&[u32::MAX], Err(NotWhole::Unknown { number: u32::MAX, parts: 3 }));
    }

    #[test]
    fn a_tag_loses_its_quotes_and_can_do_no_harm() {
        for text in ["abc", "\"abc\"", "9b2cf535f27731c974343645a3985328-2"] {
            assert_eq!(text.parse::<Tag>().unwrap().as_str(), text.trim_matches('"'));
        }
        for text in ["", "\"\"", "a b", "\"a", "<a>", "a&b", "ä", &"x".repeat(129)] {
            assert_eq!(text.parse::<Tag>(), Err(BadTag), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_original(bytes in 1..=(u64::from(PARTS_MAX) * PART_BYTES_MAX)) {
            let cut = Division::of(bytes).unwrap();
            prop_assert!(cut.part_bytes() >= PART_BYTES_MIN && cut.parts() <= PARTS_MAX);
            let sum: u64 = (1..=cut.parts()).map(|number| cut.bytes_of(number).unwrap()).sum();
            prop_assert_eq!(sum, bytes);
            prop_assert_eq!((cut.bytes_of(0), cut.bytes_of(cut.parts() + 1)), (None, None));
            prop_assert_eq!(Division::known(bytes, cut.part_bytes()), Some(cut));
        }
    }
}
