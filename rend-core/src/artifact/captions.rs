//! How captions are named in paths.

use std::fmt;
use std::str::FromStr;

use super::UnknownArtifact;
use crate::language::LangTag;

/// The captions of one language as they were given once: `en_0f3a19c2`.
///
/// Captions that are given anew have another version, so what lies below it never changes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CaptionRef {
    /// Their language.
    pub lang: LangTag,
    /// Which of that language.
    pub version: u32,
}

impl fmt::Display for CaptionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{:08x}", self.lang, self.version)
    }
}

impl FromStr for CaptionRef {
    type Err = UnknownArtifact;

    fn from_str(name: &str) -> Result<Self, UnknownArtifact> {
        let (lang, version) = name.split_once('_').ok_or(UnknownArtifact)?;
        let digits = version.len() == 8 && version.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let version = u32::from_str_radix(version, 16).ok().filter(|_| digits).ok_or(UnknownArtifact)?;
        Ok(Self { lang: lang.parse().map_err(|_| UnknownArtifact)?, version })
    }
}
