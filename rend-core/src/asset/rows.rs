//! What is known of an asset's parts: its original, its renditions, its captions, its downloads.

use std::fmt;
use std::str::FromStr;

use super::UnknownWord;
use super::states::named;
use crate::artifact::{CaptionRef, Rendition};

/// Why something failed, in words that may be shown to the owner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// A stable word for programs, such as `not_a_video`.
    pub code: String,
    /// A sentence for people that says what would be right.
    pub detail: String,
}

/// The original as it lies in object storage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredSource {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// What the probe found, as far as an owner or a viewer cares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaFacts {
    /// The container, in ffmpeg's word, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// The length in milliseconds.
    pub duration_ms: u64,
    /// Width as shown, after rotation and with square pixels; 0 without video.
    pub width: u32,
    /// Height as shown; 0 without video.
    pub height: u32,
    /// Frames per 1000 seconds; 0 without video.
    pub millifps: u32,
    /// The video codec, or empty.
    pub video_codec: String,
    /// The audio codec of the first track, or empty.
    pub audio_codec: String,
    /// What was not standard about the source, and what that cost.
    pub notes: Vec<Note>,
}

/// One thing that an owner is told of a source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// It, in a sentence.
    pub what: String,
    /// How much longer viewers had to wait for it.
    pub cost: Cost,
}

/// What something about a source cost before the source could be played.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cost {
    /// Nothing that was measured by itself.
    Unmeasured,
    /// So many milliseconds of its worker's clock.
    Millis(u64),
    /// All that goes by until the source can be played, which it cannot yet.
    UntilPlayable,
}

impl Cost {
    /// The milliseconds, once they are known.
    pub const fn millis(self) -> Option<u64> {
        match self {
            Self::Millis(millis) => Some(millis),
            Self::Unmeasured | Self::UntilPlayable => None,
        }
    }
}

impl Note {
    /// This note, of which it is measured how long playback waits for it.
    pub fn until_playable(what: impl Into<String>) -> Self {
        Self { what: what.into(), cost: Cost::UntilPlayable }
    }
}

impl<T: Into<String>> From<T> for Note {
    fn from(what: T) -> Self {
        Self { what: what.into(), cost: Cost::Unmeasured }
    }
}

impl MediaFacts {
    /// These facts, with what `before` knows already: what a note costs until playback is measured once, by the attempt that
    /// has the source play.
    pub(super) fn after(mut self, before: Option<&Self>) -> Self {
        let known = |what: &str| before?.notes.iter().find(|note| note.what == what)?.cost.millis();
        for note in self.notes.iter_mut().filter(|note| note.cost == Cost::UntilPlayable) {
            note.cost = known(&note.what).map_or(Cost::UntilPlayable, Cost::Millis);
        }
        self
    }

    /// Says that it plays, `took_ms` milliseconds after the attempt at it began.
    pub(super) fn plays(&mut self, took_ms: u64) {
        for note in self.notes.iter_mut().filter(|note| note.cost == Cost::UntilPlayable) {
            note.cost = Cost::Millis(took_ms);
        }
    }
}

/// The captions of an asset in one language.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaptionRow {
    /// Their language, and which of it.
    pub captions: CaptionRef,
    /// What viewers choose them by; at most [`CAPTION_LABEL_CHARS_MAX`](super::CAPTION_LABEL_CHARS_MAX) characters.
    pub label: String,
    /// What they are for.
    pub kind: CaptionKind,
    /// Whether they are shown unless a viewer chooses otherwise. At most one language is.
    pub default: bool,
    /// Where they come from.
    pub origin: CaptionOrigin,
    /// How many lines there are to show.
    pub cues: u32,
    /// Whether viewers can choose them already.
    pub published: bool,
}

named! {
    /// What captions are for.
    CaptionKind {
        /// For who does not understand the language: what is said.
        Subtitles = "subtitles",
        /// For who can not hear: what is said and what is heard.
        Captions = "captions",
    }
}

named! {
    /// Where captions come from.
    CaptionOrigin {
        /// Somebody gave them.
        Given = "given",
        /// They were in the original.
        Original = "original",
    }
}

/// Where one rendition stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RenditionRow {
    /// Which.
    pub rendition: Rendition,
    /// How far it is.
    pub state: RenditionState,
    /// Its measured peak in bits per second, once complete.
    pub bandwidth: Option<u64>,
}

/// How far a rendition is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RenditionState {
    /// It will be made.
    Planned,
    /// It is complete.
    Ready,
    /// It could not be made.
    Failed(Failure),
}

/// One rendition as one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DownloadRow {
    /// Which.
    pub rendition: Rendition,
    /// How far it is.
    pub state: DownloadState,
}

/// How far a download is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DownloadState {
    /// It will be made.
    Pending,
    /// It is there.
    Ready {
        /// Its length.
        bytes: u64,
    },
    /// It could not be made. Asking again makes another try.
    Failed(Failure),
}

impl DownloadState {
    /// The word for it in APIs and databases.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready { .. } => "ready",
            Self::Failed(_) => "failed",
        }
    }
}
