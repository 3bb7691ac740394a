//! The names of everything a viewer may fetch, and of everything in object storage.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::{AssetId, UploadId};
use crate::language::LangTag;

/// The path of one playable artifact, relative to its asset.
///
/// Only paths that Rend publishes can be built, so a handler that holds one has nothing left to check. There is no other
/// path grammar in Rend.
///
/// | path | is |
/// |---|---|
/// | `opener.mp4` | the first seconds as one progressive file |
/// | `poster.jpg` | a still |
/// | `thumbs.jpg`, `thumbs.vtt` | the storyboard and its index |
/// | `hls/master.m3u8` | the multivariant playlist |
/// | `hls/{rung}/index.m3u8` | one rendition's media playlist |
/// | `hls/{rung}/iframe.m3u8` | one rendition's I-frame playlist |
/// | `hls/{rung}/init_{rung}.mp4` | one rendition's initialisation segment |
/// | `hls/{rung}/segment_{00000}.m4s` | one media segment: five digits, more only when five do not suffice |
/// | `hls/c-{lang}_{version}/index.m3u8` | the playlist of one language's captions |
/// | `hls/c-{lang}_{version}/text_{00000}.vtt` | one segment of them |
/// | `hls/clip_{start}-{end}.m3u8` | the multivariant playlist of a clip, by where it begins and ends in milliseconds |
/// | `hls/{rung}/clip_{start}-{end}.m3u8` | one rendition's segments of a clip; of captions likewise |
///
/// ```
/// use rend_core::artifact::{ArtifactPath, Rendition};
///
/// let path: ArtifactPath = "hls/720p/segment_00001.m4s".parse()?;
/// assert_eq!(path, ArtifactPath::Segment { rendition: Rendition::P720, index: 1 });
/// assert_eq!(path.to_string(), "hls/720p/segment_00001.m4s");
/// assert!("hls/../source.mp4".parse::<ArtifactPath>().is_err());
/// # Ok::<(), rend_core::artifact::UnknownArtifact>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ArtifactPath {
    /// The multivariant playlist that lists every rendition.
    Master,
    /// One rendition's media playlist.
    Variant(Rendition),
    /// One rendition's I-frame playlist.
    IFrames(Rendition),
    /// One rendition's initialisation segment.
    Init(Rendition),
    /// One media segment.
    Segment {
        /// The rendition it belongs to.
        rendition: Rendition,
        /// Its place in the playlist, from zero.
        index: u32,
    },
    /// The playlist of one language's captions.
    Captions(CaptionRef),
    /// One segment of captions.
    CaptionSegment {
        /// The captions it belongs to.
        captions: CaptionRef,
        /// Its place in the playlist, from zero.
        index: u32,
    },
    /// The multivariant playlist of a clip.
    ClipMaster(ClipRef),
    /// One rendition's segments of a clip.
    ClipVariant {
        /// The rendition that they belong to.
        rendition: Rendition,
        /// The clip.
        clip: ClipRef,
    },
    /// One language's captions of a clip.
    ClipCaptions {
        /// The captions they are taken from.
        captions: CaptionRef,
        /// The clip.
        clip: ClipRef,
    },
    /// The first seconds as one progressive file.
    Opener,
    /// The still that stands before playback.
    Poster,
    /// The storyboard: one image of many small stills.
    ThumbSprite,
    /// The storyboard's index, in WebVTT.
    ThumbTrack,
}

impl ArtifactPath {
    /// How dearly a cache should hold on to this artifact.
    pub const fn retention(&self) -> Retention {
        match self {
            Self::Master | Self::Variant(_) | Self::Init(_) | Self::Captions(_) => Retention::Control,
            Self::Segment { index, .. } if *index < STARTUP_SEGMENTS => Retention::Startup,
            Self::Opener | Self::Poster => Retention::Still,
            Self::Segment { .. }
            | Self::CaptionSegment { .. }
            | Self::IFrames(_)
            | Self::ClipMaster(_)
            | Self::ClipVariant { .. }
            | Self::ClipCaptions { .. }
            | Self::ThumbSprite
            | Self::ThumbTrack => Retention::Tail,
        }
    }

    /// The rendition it belongs to, if to one.
    pub const fn rendition(&self) -> Option<Rendition> {
        match self {
            Self::Variant(r)
            | Self::IFrames(r)
            | Self::Init(r)
            | Self::Segment { rendition: r, .. }
            | Self::ClipVariant { rendition: r, .. } => Some(*r),
            Self::Master
            | Self::ClipMaster(_)
            | Self::ClipCaptions { .. }
            | Self::Captions(_)
            | Self::CaptionSegment { .. }
            | Self::Opener
            | Self::Poster
            | Self::ThumbSprite
            | Self::ThumbTrack => None,
        }
    }

    /// Whether its bytes never change once published. Only playlists of renditions change, while an encode runs, and the
    /// list of them when captions come or go; captions that change get another version.
    pub const fn is_immutable(&self) -> bool {
        !matches!(self, Self::Master | Self::Variant(_) | Self::IFrames(_))
    }

    /// The media type it is served with.
    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::Master
            | Self::Variant(_)
            | Self::IFrames(_)
            | Self::Captions(_)
            | Self::ClipMaster(_)
            | Self::ClipVariant { .. }
            | Self::ClipCaptions { .. } => "application/vnd.apple.mpegurl",
            Self::Init(_) | Self::Segment { .. } | Self::Opener => "video/mp4",
            Self::Poster | Self::ThumbSprite => "image/jpeg",
            Self::ThumbTrack | Self::CaptionSegment { .. } => "text/vtt",
        }
    }
}

impl FromStr for ArtifactPath {
    type Err = UnknownArtifact;

    // On the way of every request: names are compared whole and the one separator is looked for by hand.
    fn from_str(path: &str) -> Result<Self, UnknownArtifact> {
        let parsed = match path.strip_prefix("hls/") {
            Some("master.m3u8") => Some(Self::Master),
            Some(inside) => inside.bytes().position(|byte| byte == b'/').map_or_else(
                || clip_of(inside).map(Self::ClipMaster),
                |at| {
                    let (folder, file) = (inside.get(..at)?, inside.get(at + 1..)?);
                    match folder.strip_prefix("c-") {
                        Some(captions) => in_captions(captions.parse().ok()?, file),
                        None => in_rendition(folder.parse().ok()?, file),
                    }
                },
            ),
            None => match path {
                "opener.mp4" => Some(Self::Opener),
                "poster.jpg" => Some(Self::Poster),
                "thumbs.jpg" => Some(Self::ThumbSprite),
                "thumbs.vtt" => Some(Self::ThumbTrack),
                _ => None,
            },
        };
        parsed.ok_or(UnknownArtifact)
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opener => f.write_str("opener.mp4"),
            Self::Poster => f.write_str("poster.jpg"),
            Self::ThumbSprite => f.write_str("thumbs.jpg"),
            Self::ThumbTrack => f.write_str("thumbs.vtt"),
            Self::Master => f.write_str("hls/master.m3u8"),
            Self::Variant(r) => write!(f, "hls/{r}/index.m3u8"),
            Self::IFrames(r) => write!(f, "hls/{r}/iframe.m3u8"),
            Self::Init(r) => write!(f, "hls/{r}/init_{r}.mp4"),
            Self::Segment { rendition, index } => write!(f, "hls/{rendition}/segment_{index:05}.m4s"),
            Self::Captions(captions) => write!(f, "hls/c-{captions}/index.m3u8"),
            Self::CaptionSegment { captions, index } => write!(f, "hls/c-{captions}/text_{index:05}.vtt"),
            Self::ClipMaster(clip) => write!(f, "hls/clip_{clip}.m3u8"),
            Self::ClipVariant { rendition, clip } => write!(f, "hls/{rendition}/clip_{clip}.m3u8"),
            Self::ClipCaptions { captions, clip } => write!(f, "hls/c-{captions}/clip_{clip}.m3u8"),
        }
    }
}

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
            Self::Source | Self::Audio(_) => None,
        }
    }

    /// The place in the ladder that a token's rung ceiling is compared with. [`Rendition::Source`] stands above every
    /// fixed rung, since its size is not in its name; audio stands below all.
    pub const fn ladder_index(self) -> u8 {
        match self {
            Self::Audio(_) | Self::P360 => 0,
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
                Some(lang) => lang.parse().map(Self::Audio),
                None => Err(UnknownArtifact),
            },
        }
    }
}

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

/// How dearly a cache should hold on to an artifact: what is cheapest to lose comes first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Retention {
    /// Media past the first seconds, and what only trick play wants.
    Tail,
    /// The opener and the poster.
    Still,
    /// The first two segments of a rendition.
    Startup,
    /// Playlists and initialisation segments.
    Control,
}

/// The path names nothing that Rend publishes.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a playable artifact")]
pub struct UnknownArtifact;

/// The name of an object in storage.
///
/// Keys of one asset share the prefix [`ObjectKey::asset_prefix`], so a delete can list them. A key is 1 to 512
/// characters of `a-z`, `0-9`, `_`, `.`, `-` and `/`, without empty, `.` or `..` parts: it is a safe relative file name
/// on every system and a safe S3 key.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey(Box<str>);

impl ObjectKey {
    /// Where a published artifact lies.
    pub fn artifact(asset: AssetId, path: ArtifactPath) -> Self {
        Self(format!("assets/{asset}/{path}").into())
    }

    /// Where the original upload lies. No edge ever reads it: it is outside `assets/`.
    pub fn source(asset: AssetId) -> Self {
        Self(format!("sources/{asset}/original").into())
    }

    /// Where captions lie as they were given, in WebVTT. No edge ever reads them.
    pub fn captions(asset: AssetId, captions: CaptionRef) -> Self {
        Self(format!("sources/{asset}/captions/{captions}").into())
    }

    /// What the keys of everything that was given for `asset` begin with: the original and its captions.
    pub fn source_prefix(asset: AssetId) -> String {
        format!("sources/{asset}/")
    }

    /// Where a piece of an upload lies until the whole is put together. The epoch keeps writers apart.
    pub fn upload_part(upload: UploadId, start: u64, epoch: u64) -> Self {
        Self(format!("uploads/{upload}/{start:016x}-{epoch:x}").into())
    }

    /// What the keys of every piece of `upload` begin with.
    pub fn upload_prefix(upload: UploadId) -> String {
        format!("uploads/{upload}/")
    }

    /// What the keys of every artifact of `asset` begin with.
    pub fn asset_prefix(asset: AssetId) -> String {
        format!("assets/{asset}/")
    }

    /// The key as text.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-' | b'/');
        let fits = (1..=512).contains(&text.len()) && text.bytes().all(plain);
        if fits && text.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            Ok(Self(text.into()))
        } else {
            Err(BadKey)
        }
    }
}

/// The text cannot name an object.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not an object key: 1 to 512 characters a-z 0-9 _ . - /, with no empty, . or .. part")]
pub struct BadKey;

fn in_rendition(rendition: Rendition, file: &str) -> Option<ArtifactPath> {
    if let Some(digits) = file.strip_prefix("segment_").and_then(|rest| rest.strip_suffix(".m4s")) {
        return segment_index(digits.as_bytes()).map(|index| ArtifactPath::Segment { rendition, index });
    }
    match file {
        "index.m3u8" => Some(ArtifactPath::Variant(rendition)),
        "iframe.m3u8" => Some(ArtifactPath::IFrames(rendition)),
        _ if file.starts_with(CLIP) => clip_of(file).map(|clip| ArtifactPath::ClipVariant { rendition, clip }),
        _ => {
            let name = file.strip_prefix("init_")?.strip_suffix(".mp4")?;
            (name.parse() == Ok(rendition)).then_some(ArtifactPath::Init(rendition))
        }
    }
}

fn in_captions(captions: CaptionRef, file: &str) -> Option<ArtifactPath> {
    if file == "index.m3u8" {
        return Some(ArtifactPath::Captions(captions));
    }
    if let Some(clip) = clip_of(file) {
        return Some(ArtifactPath::ClipCaptions { captions, clip });
    }
    let digits = file.strip_prefix("text_")?.strip_suffix(".vtt")?;
    segment_index(digits.as_bytes()).map(|index| ArtifactPath::CaptionSegment { captions, index })
}

/// The clip that a playlist is named by.
fn clip_of(file: &str) -> Option<ClipRef> {
    file.strip_prefix(CLIP)?.strip_suffix(".m3u8")?.parse().ok()
}

/// What the names of a clip's playlists begin with.
const CLIP: &str = "clip_";

/// Five digits, or more of them without a zero in front: one text for one index.
fn segment_index(digits: &[u8]) -> Option<u32> {
    if digits.len() != 5 && (digits.len() < 6 || digits.first() == Some(&b'0')) {
        return None;
    }
    digits.iter().try_fold(0_u32, |index, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { index.checked_mul(10)?.checked_add(digit.into()) }
    })
}

/// Segments that count as the start of a rendition.
pub const STARTUP_SEGMENTS: u32 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Option<Retention>) {
        let parsed = path.parse::<ArtifactPath>().ok();
        assert_eq!(parsed.map(|p| p.retention()), expect, "{path}");
        if let Some(parsed) = parsed {
            assert_eq!(parsed.to_string(), path);
        }
    }

    #[test]
    fn what_starts_playback_outlives_the_rest() {
        check("hls/master.m3u8", Some(Retention::Control));
        check("hls/360p/index.m3u8", Some(Retention::Control));
        check("hls/2160p/init_2160p.mp4", Some(Retention::Control));
        check("hls/src/init_src.mp4", Some(Retention::Control));
        check("hls/a-en/init_a-en.mp4", Some(Retention::Control));
        check("hls/a-und/segment_00001.m4s", Some(Retention::Startup));
        check("hls/360p/segment_00000.m4s", Some(Retention::Startup));
        check("hls/360p/segment_00002.m4s", Some(Retention::Tail));
        check("hls/360p/segment_4294967295.m4s", Some(Retention::Tail));
        check("hls/360p/iframe.m3u8", Some(Retention::Tail));
        check("opener.mp4", Some(Retention::Still));
        check("poster.jpg", Some(Retention::Still));
        check("thumbs.jpg", Some(Retention::Tail));
        check("thumbs.vtt", Some(Retention::Tail));
        check("hls/c-pt-br_0f3a19c2/index.m3u8", Some(Retention::Control));
        check("hls/c-en_00000001/text_00000.vtt", Some(Retention::Tail));
    }

    #[test]
    fn what_is_not_published_does_not_parse() {
        for path in [
            "",
            "source.mp4",
            "hls",
            "hls/",
            "/hls/master.m3u8",
            "hls//master.m3u8",
            "hls/./master.m3u8",
            "hls/../opener.mp4",
            "hls/%2e%2e/x",
            "hls/..%5c",
            "hls\\..\\x",
            "hls/..;/x",
            "hls/master.m3u8/",
            "hls/master.m3u8;x",
            "hls/master.m3u8%00.ts",
            "hls/master.m3u8%3ftoken=x",
            "hls/720P/index.m3u8",
            "hls/999p/index.m3u8",
            "hls/720p/init_480p.mp4",
            "hls/720p/segment_.m4s",
            "hls/720p/segment_-1.m4s",
            "hls/720p/segment_+0001.m4s",
            "hls/720p/segment_1.m4s",
            "hls/720p/segment_000001.m4s",
            "hls/720p/segment_4294967296.m4s",
            "hls/720p/segment_\u{663}\u{663}\u{663}\u{663}\u{663}.m4s",
            "hls/720p/segment_00001.M4S",
            "hls/720p/segment_00001.m4s.ts",
            "hls/720p/720p/index.m3u8",
            "hls/a-/index.m3u8",
            "hls/a-EN/index.m3u8",
            "hls/a-engl/index.m3u8",
            "hls/c-en/index.m3u8",
            "hls/c-EN_00000001/index.m3u8",
            "hls/c-en_1/index.m3u8",
            "hls/c-en_0000000A/index.m3u8",
            "hls/c-en_+0000001/index.m3u8",
            "hls/c-en_00000001/text_0.vtt",
            "hls/c-en_00000001/segment_00000.m4s",
            "hls/c-en_00000001/",
            "hls/clip_1.m3u8",
            "hls/clip_2-2.m3u8",
            "hls/clip_01-2.m3u8",
            "hls/clip_+1-2.m3u8",
            "hls/clip_1-4294967296.m3u8",
            "hls/clip_1-2",
            "hls/clip_1-2/index.m3u8",
            "hls/720p/clip_1-2.mp4",
            "hls/c-en_00000001/clip_2-1.m3u8",
        ] {
            check(path, None);
        }
        check(&format!("hls/720p/segment_{}.m4s", "0".repeat(10_000)), None);
    }

    #[test]
    fn an_object_key_is_a_safe_relative_path() {
        for good in ["a", "assets/x/hls/master.m3u8", "a_b-c.d"] {
            assert_eq!(good.parse::<ObjectKey>().map(|k| k.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "/a", "a/", "a//b", "a/../b", "./a", "A", "a b", "a\\b", "a\0", &"x".repeat(513)] {
            assert_eq!(bad.parse::<ObjectKey>(), Err(BadKey), "{bad}");
        }
    }

    fn rendition() -> impl Strategy<Value = Rendition> {
        let lang = "[a-z]{2,3}".prop_map(|l| Rendition::Audio(l.parse().unwrap()));
        prop_oneof![prop::sample::select(Rendition::RUNGS.to_vec()), Just(Rendition::Source), lang]
    }

    fn clip() -> impl Strategy<Value = ClipRef> {
        (0..u32::MAX, 1..=u32::MAX).prop_filter_map("a clip ends after it begins", |(start, length)| {
            ClipRef::new(start, start.saturating_add(length))
        })
    }

    fn path() -> impl Strategy<Value = ArtifactPath> {
        prop_oneof![
            prop::sample::select(vec![
                ArtifactPath::Master,
                ArtifactPath::Opener,
                ArtifactPath::Poster,
                ArtifactPath::ThumbSprite,
                ArtifactPath::ThumbTrack
            ]),
            rendition().prop_map(ArtifactPath::Variant),
            rendition().prop_map(ArtifactPath::IFrames),
            rendition().prop_map(ArtifactPath::Init),
            (rendition(), any::<u32>()).prop_map(|(rendition, index)| ArtifactPath::Segment { rendition, index }),
            clip().prop_map(ArtifactPath::ClipMaster),
            (rendition(), clip()).prop_map(|(rendition, clip)| ArtifactPath::ClipVariant { rendition, clip }),
            (any::<u32>(), clip()).prop_map(|(version, clip)| {
                let captions = CaptionRef { lang: "en".parse().unwrap(), version };
                ArtifactPath::ClipCaptions { captions, clip }
            }),
        ]
    }

    proptest! {
        #[test]
        fn printing_and_parsing_undo_each_other(path in path()) {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn two_texts_never_give_one_path(text in "(hls/)?[0-9a-z_-]{1,5}/?[a-z_.0-9%-]{0,24}") {
            if let Ok(path) = text.parse::<ArtifactPath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }

        #[test]
        fn every_artifact_has_an_object_key(path in path(), bytes in any::<[u8; 16]>()) {
            let asset = AssetId::from_bytes(bytes);
            let key = ObjectKey::artifact(asset, path);
            prop_assert_eq!(key.as_str().parse(), Ok(key.clone()));
            prop_assert!(key.as_str().starts_with(&ObjectKey::asset_prefix(asset)));
        }
    }
}
