//! How an artifact is handed to a viewer: which class of token opens it, and how long a player may keep it.

use crate::artifact::ArtifactPath;

/// The kinds of artifact that a token tells apart, as bits of its class mask.
///
/// The numbers are those of the token format; a token without the bit of an artifact's class does not open it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum TokenClass {
    /// The multivariant playlist.
    MasterManifest = 0,
    /// A media or I-frame playlist.
    VariantManifest = 1,
    /// An initialisation segment.
    Init = 2,
    /// A media segment with video.
    Segment = 3,
    /// A whole rendition as one file.
    Progressive = 4,
    /// The first seconds as one file.
    Opener = 5,
    /// A still.
    Thumbnail = 6,
    /// Many small stills, and their index.
    Storyboard = 7,
    /// Captions: their playlist and its segments.
    Captions = 8,
    /// A segment of audio alone.
    Audio = 9,
}

impl TokenClass {
    /// The class of an artifact.
    pub fn of(path: &ArtifactPath) -> Self {
        use crate::artifact::Rendition;
        match path {
            ArtifactPath::Master | ArtifactPath::ClipMaster(_) => Self::MasterManifest,
            ArtifactPath::Variant(_) | ArtifactPath::IFrames(_) | ArtifactPath::ClipVariant { .. } => {
                Self::VariantManifest
            }
            ArtifactPath::Init(_) => Self::Init,
            ArtifactPath::Segment { rendition: Rendition::Audio(_) | Rendition::AudioAgain { .. }, .. } => Self::Audio,
            ArtifactPath::Segment { .. } => Self::Segment,
            ArtifactPath::Download(_) => Self::Progressive,
            ArtifactPath::Opener => Self::Opener,
            ArtifactPath::Poster => Self::Thumbnail,
            ArtifactPath::ThumbSprite | ArtifactPath::ThumbTrack => Self::Storyboard,
            ArtifactPath::Captions(_) | ArtifactPath::CaptionSegment { .. } | ArtifactPath::ClipCaptions { .. } => {
                Self::Captions
            }
        }
    }

    /// The class's bit in a mask of twelve.
    pub const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// The classes that a player needs: everything that is published for viewers but downloads, which are a right of their own.
pub const PLAYER_CLASSES: u16 = 0x3ef;

/// The ladder index that a token's rung ceiling is compared with; `None` for what belongs to no rung.
pub fn token_rung(path: &ArtifactPath) -> Option<u8> {
    path.rendition().map(crate::artifact::Rendition::ladder_index)
}

/// How long an artifact stays as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Life {
    /// For ever.
    Immutable,
    /// It is a playlist that grows while the encode runs.
    Growing,
    /// It is a playlist that has its end.
    Finished,
}

impl Life {
    /// The life of an artifact; `complete` says whether a playlist has its end.
    pub const fn of(path: &ArtifactPath, complete: bool) -> Self {
        match (path.is_immutable(), complete) {
            (true, _) => Self::Immutable,
            (false, false) => Self::Growing,
            (false, true) => Self::Finished,
        }
    }

    /// What the `Cache-Control` header says of it. Never `public`: who may see it is settled per viewer.
    pub const fn cache_control(self) -> &'static str {
        match self {
            Self::Immutable => "private, max-age=31536000, immutable",
            Self::Growing => "private, max-age=1",
            Self::Finished => "private, max-age=60, stale-while-revalidate=300",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, class: TokenClass, rung: Option<u8>, complete: &str, growing: &str) {
        let path: ArtifactPath = path.parse().unwrap();
        assert_eq!((TokenClass::of(&path), token_rung(&path)), (class, rung), "{path}");
        assert_eq!(Life::of(&path, true).cache_control(), complete, "{path}");
        assert_eq!(Life::of(&path, false).cache_control(), growing, "{path}");
        assert_ne!(PLAYER_CLASSES & class.bit(), 0, "{path}");
    }

    #[test]
    fn every_kind_of_artifact_has_its_class_its_rung_and_its_life() {
        let ever = "private, max-age=31536000, immutable";
        let (done, grows) = ("private, max-age=60, stale-while-revalidate=300", "private, max-age=1");
        check("hls/master.m3u8", TokenClass::MasterManifest, None, done, grows);
        check("hls/720p/index.m3u8", TokenClass::VariantManifest, Some(2), done, grows);
        check("hls/360p/iframe.m3u8", TokenClass::VariantManifest, Some(0), done, grows);
        check("hls/src/init_src.mp4", TokenClass::Init, Some(14), ever, ever);
        check("hls/2160p/segment_00000.m4s", TokenClass::Segment, Some(5), ever, ever);
        check("hls/a-en/segment_00000.m4s", TokenClass::Audio, Some(0), ever, ever);
        check("opener.mp4", TokenClass::Opener, None, ever, ever);
        check("poster.jpg", TokenClass::Thumbnail, None, ever, ever);
        check("thumbs.jpg", TokenClass::Storyboard, None, ever, ever);
        check("thumbs.vtt", TokenClass::Storyboard, None, ever, ever);
        check("hls/c-en_00000001/index.m3u8", TokenClass::Captions, None, ever, ever);
        check("hls/c-en_00000001/text_00000.vtt", TokenClass::Captions, None, ever, ever);
    }

    #[test]
    fn a_download_is_opened_by_its_own_class_and_by_no_players_token() {
        let path: ArtifactPath = "downloads/720p.mp4".parse().unwrap();
        assert_eq!((TokenClass::of(&path), token_rung(&path)), (TokenClass::Progressive, Some(2)));
        assert_eq!(PLAYER_CLASSES & TokenClass::of(&path).bit(), 0);
        assert_eq!(Life::of(&path, false), Life::Immutable);
    }
}
