//! Renditions: the rungs of a ladder, the source's own size, and audio tracks.

use std::fmt;
use std::str::FromStr;

use super::UnknownArtifact;

/// One rendition of an asset: a rung of the ladder, the source's own size, or an audio track.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Rendition {
    /// Short side 360.
    P360,
    /// Short side 480.
    P480,
    /// Short side 720.
    P720,
    /// Short side 1080.
    P1080,
    /// Short side 1440.
    P1440,
    /// Short side 2160.
    P2160,
    /// The source's own size, encoded or passed through.
    Source,
    /// Audio alone, in this language.
    Audio(Lang),
    /// Another sound in a language that one has already: `a-en-2`.
    AudioAgain {
        /// The language.
        lang: Lang,
        /// Which of that language: from 2 to 9.
        number: u8,
    },
}

impl Rendition {
    /// The fixed rungs, lowest first.
    pub const RUNGS: [Self; 6] = [Self::P360, Self::P480, Self::P720, Self::P1080, Self::P1440, Self::P2160];

    /// The short side in pixels, for a fixed rung.
    pub const fn short_side(self) -> Option<u32> {
        match self {
            Self::P360 => Some(360),
            Self::P480 => Some(480),
            Self::P720 => Some(720),
            Self::P1080 => Some(1080),
            Self::P1440 => Some(1440),
            Self::P2160 => Some(2160),
            Self::Source | Self::Audio(_) | Self::AudioAgain { .. } => None,
        }
    }

    /// The language, when it is audio alone.
    pub const fn sound_lang(self) -> Option<Lang> {
        match self {
            Self::Audio(lang) | Self::AudioAgain { lang, .. } => Some(lang),
            Self::P360 | Self::P480 | Self::P720 | Self::P1080 | Self::P1440 | Self::P2160 | Self::Source => None,
        }
    }

    /// The place in the ladder that a token's rung ceiling is compared with. [`Rendition::Source`] stands above every
    /// fixed rung, since its size is not in its name; audio stands below all.
    pub const fn ladder_index(self) -> u8 {
        match self {
            Self::Audio(_) | Self::AudioAgain { .. } | Self::P360 => 0,
            Self::P480 => 1,
            Self::P720 => 2,
            Self::P1080 => 3,
            Self::P1440 => 4,
            Self::P2160 => 5,
            Self::Source => 14,
        }
    }
}

impl fmt::Display for Rendition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P360 => f.write_str("360p"),
            Self::P480 => f.write_str("480p"),
            Self::P720 => f.write_str("720p"),
            Self::P1080 => f.write_str("1080p"),
            Self::P1440 => f.write_str("1440p"),
            Self::P2160 => f.write_str("2160p"),
            Self::Source => f.write_str("src"),
            Self::Audio(lang) => write!(f, "a-{lang}"),
            Self::AudioAgain { lang, number } => write!(f, "a-{lang}-{number}"),
        }
    }
}

impl FromStr for Rendition {
    type Err = UnknownArtifact;

    fn from_str(name: &str) -> Result<Self, UnknownArtifact> {
        match name {
            "360p" => Ok(Self::P360),
            "480p" => Ok(Self::P480),
            "720p" => Ok(Self::P720),
            "1080p" => Ok(Self::P1080),
            "1440p" => Ok(Self::P1440),
            "2160p" => Ok(Self::P2160),
            "src" => Ok(Self::Source),
            other => match other.strip_prefix("a-") {
                Some(sound) => match sound.split_once('-') {
                    Some((lang, number)) => match number.as_bytes() {
                        [digit @ b'2'..=b'9'] => {
                            lang.parse().map(|lang| Self::AudioAgain { lang, number: digit - b'0' })
                        }
                        _ => Err(UnknownArtifact),
                    },
                    None => sound.parse().map(Self::Audio),
                },
                None => Err(UnknownArtifact),
            },
        }
    }
}

/// A language as ISO 639 writes it: two or three lower-case letters. `und` stands for undetermined.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Lang([u8; 3]);

impl Lang {
    /// Undetermined.
    pub const UND: Self = Self(*b"und");

    /// The code as text.
    pub fn as_str(&self) -> &str {
        let len = if self.0[2] == 0 { 2 } else { 3 };
        std::str::from_utf8(&self.0[..len]).unwrap_or("und")
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lang {
    type Err = UnknownArtifact;

    fn from_str(text: &str) -> Result<Self, UnknownArtifact> {
        let bytes = text.as_bytes();
        if !matches!(bytes.len(), 2 | 3) || !bytes.iter().all(u8::is_ascii_lowercase) {
            return Err(UnknownArtifact);
        }
        let mut code = [0; 3];
        code[..bytes.len()].copy_from_slice(bytes);
        Ok(Self(code))
    }
}
