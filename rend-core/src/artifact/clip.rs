//! How clips are named in paths.

use std::fmt;
use std::str::FromStr;

use super::UnknownArtifact;

/// A clip of a film, by where it begins and ends: `2000-8000`.
///
/// Holding one proves that it ends after it begins.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClipRef {
    start_ms: u32,
    end_ms: u32,
}

impl ClipRef {
    /// The clip from `start_ms` to `end_ms`, or `None` when that is nothing.
    pub const fn new(start_ms: u32, end_ms: u32) -> Option<Self> {
        if start_ms < end_ms { Some(Self { start_ms, end_ms }) } else { None }
    }

    /// Where it begins, in milliseconds.
    pub const fn start_ms(self) -> u32 {
        self.start_ms
    }

    /// Where it ends, in milliseconds.
    pub const fn end_ms(self) -> u32 {
        self.end_ms
    }
}

impl fmt::Display for ClipRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start_ms, self.end_ms)
    }
}

impl FromStr for ClipRef {
    type Err = UnknownArtifact;

    fn from_str(name: &str) -> Result<Self, UnknownArtifact> {
        // One text for one number: no sign, and no zero in front.
        let number = |text: &str| {
            let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            text.parse().ok().filter(|_| plain)
        };
        let read = || {
            let (start, end) = name.split_once('-')?;
            Self::new(number(start)?, number(end)?)
        };
        read().ok_or(UnknownArtifact)
    }
}
