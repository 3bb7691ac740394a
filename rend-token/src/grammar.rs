//! What a viewer asks for: the kinds of artifact, the rungs of a ladder, and who reads paths.

use core::fmt;

/// One thing that a viewer may fetch, already parsed from its path.
///
/// Build it from the value that the path parsed into, never from the raw path: what is checked must be what is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Artifact<'a> {
    pub(crate) class: ArtifactClass,
    pub(crate) rung: Option<Rung>,
    pub(crate) path: &'a str,
}

impl<'a> Artifact<'a> {
    /// The artifact of this kind at this canonical path, relative to its asset. It belongs to no rung.
    pub const fn new(class: ArtifactClass, path: &'a str) -> Self {
        Self { class, rung: None, path }
    }

    /// The same artifact, on this rung of the ladder.
    #[must_use]
    pub const fn on_rung(mut self, rung: Rung) -> Self {
        self.rung = Some(rung);
        self
    }

    /// Its kind.
    pub const fn class(&self) -> ArtifactClass {
        self.class
    }

    /// Its rung, if it belongs to one.
    pub const fn rung(&self) -> Option<Rung> {
        self.rung
    }

    /// Its canonical path.
    pub const fn path(&self) -> &'a str {
        self.path
    }
}

/// Reads the paths of one application.
///
/// # Contract
///
/// `parse` answers `Some` only for canonical paths: two different texts never give one artifact, and no accepted text
/// holds `%`, `\`, `//`, or a part that is `.` or `..`. It sees neither query nor fragment.
pub trait ArtifactGrammar {
    /// The artifact at `path`, relative to its asset, if there can be one.
    fn parse<'a>(&self, path: &'a str) -> Option<Artifact<'a>>;
}

/// A grammar for applications without one: every canonical path is [`ArtifactClass::App`], and tokens limit it by their
/// path prefix.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PrefixGrammar;

impl ArtifactGrammar for PrefixGrammar {
    fn parse<'a>(&self, path: &'a str) -> Option<Artifact<'a>> {
        let fits = !path.is_empty() && path.len() <= PATH_LEN_MAX;
        (fits && path.split('/').all(is_plain_part)).then_some(Artifact::new(ArtifactClass::App, path))
    }
}

/// Whether `part` can stand between two slashes: not empty, no dots alone, nothing that a decoder or a file system would
/// read in another way.
pub(crate) fn is_plain_part(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'~');
    !matches!(part, "" | "." | "..") && part.bytes().all(plain)
}

/// The kinds of artifact that a token can tell apart.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum ArtifactClass {
    /// The playlist that lists the renditions.
    MasterManifest = 0,
    /// The playlist of one rendition.
    VariantManifest = 1,
    /// An initialisation segment.
    Init = 2,
    /// A media segment.
    Segment = 3,
    /// The whole video as one file.
    Progressive = 4,
    /// The first seconds as one file.
    Opener = 5,
    /// A still.
    Thumbnail = 6,
    /// Many small stills, and their index.
    Storyboard = 7,
    /// Subtitles and captions.
    Captions = 8,
    /// Audio alone.
    Audio = 9,
    /// The original, for download.
    Original = 10,
    /// Whatever else the application serves.
    App = 11,
}

impl ArtifactClass {
    /// Every class, in the order of its bits.
    pub const ALL: [Self; 12] = [
        Self::MasterManifest,
        Self::VariantManifest,
        Self::Init,
        Self::Segment,
        Self::Progressive,
        Self::Opener,
        Self::Thumbnail,
        Self::Storyboard,
        Self::Captions,
        Self::Audio,
        Self::Original,
        Self::App,
    ];

    /// Its name in lower case, with `-` between words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MasterManifest => "master-manifest",
            Self::VariantManifest => "variant-manifest",
            Self::Init => "init",
            Self::Segment => "segment",
            Self::Progressive => "progressive",
            Self::Opener => "opener",
            Self::Thumbnail => "thumbnail",
            Self::Storyboard => "storyboard",
            Self::Captions => "captions",
            Self::Audio => "audio",
            Self::Original => "original",
            Self::App => "app",
        }
    }
}

/// A set of [`ArtifactClass`]es. As a claim it is never empty.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct ClassMask(pub(crate) u16);

impl ClassMask {
    /// Every class.
    pub const ALL: Self = Self(0xfff);
    /// What plain HLS needs: both manifests, initialisation and media segments.
    pub const HLS: Self = Self(0x00f);
    /// No class. No grant can be built with it.
    pub const NONE: Self = Self(0);
    /// Everything that a player shows: all but the progressive file, the original and the application's own.
    pub const PLAYER: Self = Self(0x3ef);

    /// The set of these classes.
    pub const fn of(classes: &[ArtifactClass]) -> Self {
        let mut mask = Self::NONE;
        let mut at = 0;
        while at < classes.len() {
            mask = mask.with(classes[at]);
            at += 1;
        }
        mask
    }

    /// The set with these twelve bits, the first class lowest. `None` when a higher bit is set.
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & !0xfff == 0 { Some(Self(bits)) } else { None }
    }

    /// The twelve bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// This set and `class`.
    #[must_use]
    pub const fn with(self, class: ArtifactClass) -> Self {
        Self(self.0 | 1 << class as u8)
    }

    /// This set without `class`.
    #[must_use]
    pub const fn without(self, class: ArtifactClass) -> Self {
        Self(self.0 & !(1 << class as u8))
    }

    /// Whether `class` is in the set.
    pub const fn has(self, class: ArtifactClass) -> bool {
        self.0 & 1 << class as u8 != 0
    }
}

impl fmt::Display for ClassMask {
    /// The names with `,` between, in the order of their bits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for class in ArtifactClass::ALL.into_iter().filter(|class| self.has(*class)) {
            if !first {
                f.write_str(",")?;
            }
            first = false;
            f.write_str(class.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClassMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClassMask({self})")
    }
}

/// A place in a ladder of renditions, 0 (lowest) to 14.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rung(pub(crate) u8);

impl Rung {
    /// The highest rung.
    pub const MAX: Self = Self(14);

    /// The rung at `index`, if that is at most 14.
    pub const fn new(index: u8) -> Option<Self> {
        if index <= Self::MAX.0 { Some(Self(index)) } else { None }
    }

    /// Its index in the ladder.
    pub const fn index(self) -> u8 {
        self.0
    }
}

const PATH_LEN_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_the_bits_of_the_format() {
        for (bit, class) in ArtifactClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, bit);
            assert_eq!(ClassMask::of(&[class]).bits(), 1 << bit);
            assert!(!ClassMask::ALL.without(class).has(class));
        }
        assert_eq!(ClassMask::from_bits(0x1000), None);
        assert_eq!(Rung::new(15), None);
    }

    #[test]
    fn what_is_not_canonical_is_no_artifact() {
        for good in ["a", "hls/master.m3u8", "a/b/c.d-e_f~g"] {
            assert_eq!(PrefixGrammar.parse(good).map(|a| a.path()), Some(good));
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "a/./b",
            "a/../b",
            "a%2fb",
            "a\\b",
            "a b",
            "a;b",
            "a\0",
            "\u{ff0e}\u{ff0e}/a",
            &"x".repeat(1025),
        ] {
            assert_eq!(PrefixGrammar.parse(bad), None, "{bad:?}");
        }
    }
}
