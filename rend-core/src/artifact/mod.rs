//! The names of everything a viewer may fetch, and of everything in object storage.

mod captions;
mod clip;
mod key;
mod rendition;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

pub use captions::CaptionRef;
pub use clip::ClipRef;
pub use key::{BadKey, ObjectKey};
pub use rendition::{Lang, Rendition};

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
/// | `downloads/{rung}.mp4` | one rendition as one file, with its sound |
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
/// A `{rung}` is a rung of the ladder such as `720p`, the source's own size `src`, a sound `a-{lang}`, or another sound in the
/// same language `a-{lang}-2`.
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
    /// One rendition as one ordinary file, with its sound.
    Download(Rendition),
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
            | Self::Download(_)
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
            | Self::Download(r)
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
            Self::Init(_) | Self::Segment { .. } | Self::Download(_) | Self::Opener => "video/mp4",
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
                _ => download_of(path).map(Self::Download),
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
            Self::Download(r) => write!(f, "{DOWNLOADS}{r}.mp4"),
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

/// The rendition that a download is named by.
fn download_of(path: &str) -> Option<Rendition> {
    path.strip_prefix(DOWNLOADS)?.strip_suffix(".mp4")?.parse().ok()
}

/// What the names of downloads begin with.
const DOWNLOADS: &str = "downloads/";

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
