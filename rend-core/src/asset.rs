//! Assets: what a video is, the states it goes through, and which moves are legal.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::artifact::{CaptionRef, Rendition};
use crate::event::EventKind;
use crate::id::{AssetId, OrgId};
use crate::language::LangTag;
use crate::time::Timestamp;

/// One video that somebody uploaded, as it was last known.
///
/// ```text
/// source:    pending ─▶ uploading ─▶ uploaded ─▶ processing ─▶ ready
///               └────────────┴───────────┴───────────┴──▶ failed ─Retry─▶ uploaded
/// playable:  not_playable ─▶ opener_ready ─▶ hls_ready        (any state ─▶ deleted, for both)
/// ```
///
/// Two values with equal `revision` are equal: each move adds one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asset {
    /// Its name.
    pub id: AssetId,
    /// Who owns it.
    pub org: OrgId,
    /// What people call it; at most [`TITLE_CHARS_MAX`] characters.
    pub title: String,
    /// What the owner's own system calls it.
    pub external_id: Option<String>,
    /// The owner's JSON object, kept as text; at most [`METADATA_BYTES_MAX`] bytes.
    pub metadata: String,
    /// Who may play it.
    pub policy: PlaybackPolicy,
    /// Where the original stands.
    pub source: SourceState,
    /// What a viewer can do with it.
    pub playable: PlayableState,
    /// It plays, though a rung failed or the source was damaged.
    pub degraded: bool,
    /// Why it failed, when it did.
    pub failure: Option<Failure>,
    /// The stored original, once there is one.
    pub stored: Option<StoredSource>,
    /// What the probe found, once it ran.
    pub media: Option<MediaFacts>,
    /// Each rendition that is planned, lowest first.
    pub renditions: Vec<RenditionRow>,
    /// Its captions, each language once, in the order of their tags; at most [`CAPTIONS_MAX`].
    pub captions: Vec<CaptionRow>,
    /// How many moves led here.
    pub revision: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
}

/// Characters that a title may have.
pub const TITLE_CHARS_MAX: usize = 255;
/// Bytes that an asset's metadata may have.
pub const METADATA_BYTES_MAX: usize = 4096;
/// Languages that an asset may have captions in.
pub const CAPTIONS_MAX: usize = 32;
/// Characters that the name of captions may have.
pub const CAPTION_LABEL_CHARS_MAX: usize = 64;

impl Asset {
    /// A new asset: nothing uploaded, nothing playable.
    pub const fn new(id: AssetId, org: OrgId, title: String, policy: PlaybackPolicy, now: Timestamp) -> Self {
        Self {
            id,
            org,
            title,
            external_id: None,
            metadata: String::new(),
            policy,
            source: SourceState::Pending,
            playable: PlayableState::NotPlayable,
            degraded: false,
            failure: None,
            stored: None,
            media: None,
            renditions: Vec::new(),
            captions: Vec::new(),
            revision: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The asset after `step`, and what happened, for the event log.
    ///
    /// # Errors
    ///
    /// [`IllegalMove`] when `step` does not follow from the present states; nothing has changed then.
    pub fn after(&self, step: &Move, now: Timestamp) -> Result<(Self, EventKind), IllegalMove> {
        let mut next = self.clone();
        let illegal = IllegalMove { original: self.source, playable: self.playable, step: step.name() };
        let event = match step {
            Move::BeginUpload if self.source == SourceState::Pending => {
                next.source = SourceState::Uploading;
                EventKind::SourceUploadStarted
            }
            Move::SourceStored(stored) if self.source == SourceState::Uploading => {
                next.source = SourceState::Uploaded;
                next.stored = Some(stored.clone());
                EventKind::SourceUploaded { bytes: stored.bytes }
            }
            Move::BeginProcessing if matches!(self.source, SourceState::Uploaded | SourceState::Processing) => {
                next.source = SourceState::Processing;
                EventKind::ProcessingStarted
            }
            Move::Planned { media, renditions } if self.source == SourceState::Processing => {
                next.media = Some(media.clone());
                next.renditions = renditions
                    .iter()
                    .map(|rendition| RenditionRow {
                        rendition: *rendition,
                        state: RenditionState::Planned,
                        bandwidth: None,
                    })
                    .collect();
                EventKind::Planned { renditions: renditions.len() }
            }
            Move::RenditionReady { rendition, bandwidth } if self.source == SourceState::Processing => {
                let row = next.rendition_mut(*rendition).ok_or(illegal)?;
                row.state = RenditionState::Ready;
                row.bandwidth = Some(*bandwidth);
                EventKind::RenditionReady { rendition: *rendition }
            }
            Move::RenditionFailed { rendition, failure } if self.source == SourceState::Processing => {
                next.rendition_mut(*rendition).ok_or(illegal)?.state = RenditionState::Failed(failure.clone());
                next.degraded = true;
                EventKind::RenditionFailed { rendition: *rendition, code: failure.code.clone() }
            }
            Move::OpenerReady
                if self.source == SourceState::Processing
                    && matches!(self.playable, PlayableState::NotPlayable | PlayableState::OpenerReady) =>
            {
                next.playable = PlayableState::OpenerReady;
                EventKind::PlayableStateChanged { to: PlayableState::OpenerReady }
            }
            Move::HlsReady { degraded }
                if self.source == SourceState::Processing
                    && matches!(
                        self.playable,
                        PlayableState::NotPlayable | PlayableState::OpenerReady | PlayableState::HlsReady
                    ) =>
            {
                next.source = SourceState::Ready;
                next.playable = PlayableState::HlsReady;
                next.degraded |= *degraded;
                next.failure = None;
                EventKind::PlayableStateChanged { to: PlayableState::HlsReady }
            }
            Move::Fail(failure) if self.source.is_live() && self.source != SourceState::Ready => {
                next.source = SourceState::Failed;
                next.playable = PlayableState::Failed;
                next.failure = Some(failure.clone());
                EventKind::ProcessingFailed { code: failure.code.clone() }
            }
            Move::Retry if self.source == SourceState::Failed && self.stored.is_some() => {
                next.source = SourceState::Uploaded;
                next.playable = PlayableState::NotPlayable;
                next.degraded = false;
                next.failure = None;
                next.renditions.clear();
                EventKind::ProcessingQueued
            }
            Move::Edit(edit) if self.source != SourceState::Deleted => {
                edit.apply(&mut next);
                EventKind::AssetUpdated
            }
            Move::StoreCaptions(row) if self.source != SourceState::Deleted && self.can_take_captions(row) => {
                if row.default {
                    next.captions.iter_mut().for_each(|other| other.default = false);
                }
                next.captions.retain(|other| other.captions.lang != row.captions.lang);
                next.captions.push(CaptionRow { published: false, ..row.clone() });
                next.captions.sort_by_key(|other| other.captions);
                EventKind::CaptionsStored { lang: row.captions.lang }
            }
            Move::RemoveCaptions(lang)
                if self.source != SourceState::Deleted
                    && self.captions.iter().any(|row| row.captions.lang == *lang) =>
            {
                next.captions.retain(|row| row.captions.lang != *lang);
                EventKind::CaptionsRemoved { lang: *lang }
            }
            Move::CaptionsPublished(published) if self.source != SourceState::Deleted => {
                for row in &mut next.captions {
                    row.published = published.contains(&row.captions);
                }
                EventKind::CaptionsPublished { languages: published.len() }
            }
            Move::RequestDeletion if self.source != SourceState::Deleted => {
                next.source = SourceState::Deleted;
                next.playable = PlayableState::Deleted;
                EventKind::DeletionRequested
            }
            // The record of a deletion is written when the last byte is gone; the states have said so since the request.
            Move::Deleted if self.source == SourceState::Deleted => EventKind::AssetDeleted,
            Move::BeginUpload
            | Move::SourceStored(_)
            | Move::BeginProcessing
            | Move::Planned { .. }
            | Move::RenditionReady { .. }
            | Move::RenditionFailed { .. }
            | Move::OpenerReady
            | Move::HlsReady { .. }
            | Move::Fail(_)
            | Move::Retry
            | Move::Edit(_)
            | Move::StoreCaptions(_)
            | Move::RemoveCaptions(_)
            | Move::CaptionsPublished(_)
            | Move::RequestDeletion
            | Move::Deleted => return Err(illegal),
        };
        next.revision += 1;
        next.updated_at = now;
        Ok((next, event))
    }

    /// The captions in `lang`, if there are any.
    pub fn captions_in(&self, lang: LangTag) -> Option<&CaptionRow> {
        self.captions.iter().find(|row| row.captions.lang == lang)
    }

    /// Whether there is room for `row`, and whether it may take the place of what is there: what somebody gave is not
    /// replaced by what the original holds.
    pub fn can_take_captions(&self, row: &CaptionRow) -> bool {
        match self.captions_in(row.captions.lang) {
            Some(there) => row.origin == CaptionOrigin::Given || there.origin == CaptionOrigin::Original,
            None => self.captions.len() < CAPTIONS_MAX,
        }
    }

    fn rendition_mut(&mut self, rendition: Rendition) -> Option<&mut RenditionRow> {
        self.renditions.iter_mut().find(|row| row.rendition == rendition)
    }
}

/// One step in an asset's life.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Move {
    /// Bytes of the original begin to arrive.
    BeginUpload,
    /// The original is stored, whole and checked.
    SourceStored(StoredSource),
    /// A worker took it up. Legal again after a crash.
    BeginProcessing,
    /// The probe ran and the renditions are planned.
    Planned {
        /// What the probe found.
        media: MediaFacts,
        /// What will be made, lowest first.
        renditions: Vec<Rendition>,
    },
    /// One rendition is complete.
    RenditionReady {
        /// Which.
        rendition: Rendition,
        /// Its measured peak, in bits per second.
        bandwidth: u64,
    },
    /// One rendition could not be made.
    RenditionFailed {
        /// Which.
        rendition: Rendition,
        /// Why.
        failure: Failure,
    },
    /// The first seconds play.
    OpenerReady,
    /// All that was planned plays.
    HlsReady {
        /// It plays, but not as well as the source deserved.
        degraded: bool,
    },
    /// It can not be made playable.
    Fail(Failure),
    /// A person asks for another try.
    Retry,
    /// The owner changes what they say about it.
    Edit(Edit),
    /// Captions in one language are stored, and take the place of those that were there. They are published by a job.
    StoreCaptions(CaptionRow),
    /// The captions in this language are taken away.
    RemoveCaptions(LangTag),
    /// Viewers can choose these captions, and no others.
    CaptionsPublished(Vec<CaptionRef>),
    /// The owner wants it gone. From here on nothing of it is served.
    RequestDeletion,
    /// Its last byte is gone.
    Deleted,
}

impl Move {
    const fn name(&self) -> &'static str {
        match self {
            Self::BeginUpload => "begin_upload",
            Self::SourceStored(_) => "source_stored",
            Self::BeginProcessing => "begin_processing",
            Self::Planned { .. } => "planned",
            Self::RenditionReady { .. } => "rendition_ready",
            Self::RenditionFailed { .. } => "rendition_failed",
            Self::OpenerReady => "opener_ready",
            Self::HlsReady { .. } => "hls_ready",
            Self::Fail(_) => "fail",
            Self::Retry => "retry",
            Self::Edit(_) => "edit",
            Self::StoreCaptions(_) => "store_captions",
            Self::RemoveCaptions(_) => "remove_captions",
            Self::CaptionsPublished(_) => "captions_published",
            Self::RequestDeletion => "request_deletion",
            Self::Deleted => "deleted",
        }
    }
}

/// What an owner may change. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edit {
    /// A new title.
    pub title: Option<String>,
    /// A new external id, or none any more.
    pub external_id: Option<Option<String>>,
    /// New metadata.
    pub metadata: Option<String>,
    /// A new policy.
    pub policy: Option<PlaybackPolicy>,
}

impl Edit {
    fn apply(&self, asset: &mut Asset) {
        if let Some(title) = &self.title {
            asset.title.clone_from(title);
        }
        if let Some(external_id) = &self.external_id {
            asset.external_id.clone_from(external_id);
        }
        if let Some(metadata) = &self.metadata {
            asset.metadata.clone_from(metadata);
        }
        if let Some(policy) = self.policy {
            asset.policy = policy;
        }
    }
}

/// The step does not follow from the states. Trying again will not help while they stand.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{step} is not possible while the source is {original} and the asset is {playable}")]
pub struct IllegalMove {
    /// Where the original stood.
    pub original: SourceState,
    /// What a viewer could do.
    pub playable: PlayableState,
    /// The step that was asked for.
    pub step: &'static str,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for it in APIs and databases.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or(UnknownWord)
            }
        }
    };
}
pub(crate) use named;

/// The word names none of the known values. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a known word")]
pub struct UnknownWord;

named! {
    /// Where the original stands.
    SourceState {
        /// The asset exists; nothing has arrived.
        Pending = "pending",
        /// Bytes are arriving.
        Uploading = "uploading",
        /// The original is stored and checked.
        Uploaded = "uploaded",
        /// A worker is at it.
        Processing = "processing",
        /// All is made.
        Ready = "ready",
        /// It can not be made playable.
        Failed = "failed",
        /// It is gone, or going.
        Deleted = "deleted",
    }
}

impl SourceState {
    /// Whether the asset has neither failed nor been deleted.
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Failed | Self::Deleted)
    }
}

named! {
    /// What a viewer can do with an asset.
    PlayableState {
        /// Nothing yet.
        NotPlayable = "not_playable",
        /// The first seconds play, and more is coming.
        OpenerReady = "opener_ready",
        /// Everything plays.
        HlsReady = "hls_ready",
        /// It never will play as it is.
        Failed = "failed",
        /// It is gone.
        Deleted = "deleted",
    }
}

impl PlayableState {
    /// Whether a viewer can start playback.
    pub const fn is_playable(self) -> bool {
        matches!(self, Self::OpenerReady | Self::HlsReady)
    }
}

named! {
    /// Who may play an asset.
    PlaybackPolicy {
        /// Whoever has the URL of the player page.
        Public = "public",
        /// Whoever the owner's server vouches for.
        Signed = "signed",
    }
}

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
    /// What was not standard about the source, in sentences for its owner.
    pub notes: Vec<String>,
}

/// The captions of an asset in one language.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaptionRow {
    /// Their language, and which of it.
    pub captions: CaptionRef,
    /// What viewers choose them by; at most [`CAPTION_LABEL_CHARS_MAX`] characters.
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn failure() -> Failure {
        Failure { code: "x".into(), detail: "y".into() }
    }

    fn media() -> MediaFacts {
        MediaFacts {
            container: "mov".into(),
            duration_ms: 1000,
            width: 640,
            height: 360,
            millifps: 25_000,
            video_codec: "h264".into(),
            audio_codec: String::new(),
            notes: Vec::new(),
        }
    }

    fn captions(lang: &str, default: bool) -> CaptionRow {
        CaptionRow {
            captions: CaptionRef { lang: lang.parse().unwrap(), version: 7 },
            label: "English".into(),
            kind: CaptionKind::Subtitles,
            default,
            origin: CaptionOrigin::Given,
            cues: 3,
            published: false,
        }
    }

    fn asset(source: SourceState, playable: PlayableState, stored: bool) -> Asset {
        let (id, org) = (AssetId::from_bytes([1; 16]), OrgId::from_bytes([2; 16]));
        let mut asset = Asset::new(id, org, "t".into(), PlaybackPolicy::Signed, Timestamp::EPOCH);
        (asset.source, asset.playable) = (source, playable);
        asset.stored = stored.then_some(StoredSource { bytes: 7, sha256: [3; 32] });
        asset.renditions =
            vec![RenditionRow { rendition: Rendition::P360, state: RenditionState::Planned, bandwidth: None }];
        asset.captions = vec![captions("de", false)];
        asset
    }

    fn moves() -> Vec<Move> {
        vec![
            Move::BeginUpload,
            Move::SourceStored(StoredSource { bytes: 9, sha256: [4; 32] }),
            Move::BeginProcessing,
            Move::Planned { media: media(), renditions: vec![Rendition::P360, Rendition::P720] },
            Move::RenditionReady { rendition: Rendition::P360, bandwidth: 800_000 },
            Move::RenditionReady { rendition: Rendition::P1080, bandwidth: 1 },
            Move::RenditionFailed { rendition: Rendition::P360, failure: failure() },
            Move::OpenerReady,
            Move::HlsReady { degraded: false },
            Move::HlsReady { degraded: true },
            Move::Fail(failure()),
            Move::Retry,
            Move::Edit(Edit { title: Some("new".into()), ..Edit::default() }),
            Move::StoreCaptions(captions("en", true)),
            Move::RemoveCaptions("de".parse().unwrap()),
            Move::CaptionsPublished(vec![captions("de", false).captions]),
            Move::RequestDeletion,
            Move::Deleted,
        ]
    }

    /// The table of moves, written down once more and in another way than the code has it: where each leads.
    fn leads_to(
        source: SourceState,
        playable: PlayableState,
        stored: bool,
        step: &Move,
    ) -> Option<(SourceState, PlayableState)> {
        use PlayableState as P;
        use SourceState as S;
        match (step, source, playable) {
            (Move::BeginUpload, S::Pending, p) => Some((S::Uploading, p)),
            (Move::SourceStored(_), S::Uploading, p) => Some((S::Uploaded, p)),
            (Move::BeginProcessing, S::Uploaded | S::Processing, p) => Some((S::Processing, p)),
            (Move::Planned { .. } | Move::RenditionFailed { .. }, S::Processing, p) => Some((S::Processing, p)),
            (Move::RenditionReady { rendition: Rendition::P360, .. }, S::Processing, p) => Some((S::Processing, p)),
            (Move::OpenerReady, S::Processing, P::NotPlayable | P::OpenerReady) => {
                Some((S::Processing, P::OpenerReady))
            }
            (Move::HlsReady { .. }, S::Processing, P::NotPlayable | P::OpenerReady | P::HlsReady) => {
                Some((S::Ready, P::HlsReady))
            }
            (Move::Fail(_), S::Pending | S::Uploading | S::Uploaded | S::Processing, _) => Some((S::Failed, P::Failed)),
            (Move::Retry, S::Failed, _) if stored => Some((S::Uploaded, P::NotPlayable)),
            (Move::Edit(_), s, p) if s != S::Deleted => Some((s, p)),
            (Move::StoreCaptions(_) | Move::RemoveCaptions(_) | Move::CaptionsPublished(_), s, p)
                if s != S::Deleted =>
            {
                Some((s, p))
            }
            (Move::RequestDeletion, s, _) if s != S::Deleted => Some((S::Deleted, P::Deleted)),
            (Move::Deleted, S::Deleted, p) => Some((S::Deleted, p)),
            _ => None,
        }
    }

    #[test]
    fn every_move_from_every_pair_of_states_leads_where_the_table_says_or_nowhere() {
        let mut legal = 0;
        for source in SourceState::ALL {
            for playable in PlayableState::ALL {
                for stored in [false, true] {
                    let before = asset(*source, *playable, stored);
                    for step in moves() {
                        let found = before.after(&step, NOW);
                        let expect = leads_to(*source, *playable, stored, &step);
                        let said = format!("{source} {playable} stored={stored} {step:?}");
                        assert_eq!(found.as_ref().ok().map(|(next, _)| (next.source, next.playable)), expect, "{said}");
                        match found {
                            Ok((next, _)) => {
                                legal += 1;
                                assert_eq!((next.revision, next.updated_at), (before.revision + 1, NOW), "{said}");
                                assert_eq!(
                                    (next.id, next.org, next.created_at),
                                    (before.id, before.org, before.created_at)
                                );
                            }
                            Err(illegal) => {
                                assert_eq!((illegal.original, illegal.playable), (*source, *playable), "{said}");
                            }
                        }
                    }
                }
            }
        }
        assert!(legal > 100, "{legal}");
    }

    #[test]
    fn nothing_of_a_deleted_asset_can_ever_play_again() {
        for playable in PlayableState::ALL {
            let gone = asset(SourceState::Deleted, *playable, true);
            for step in moves() {
                if let Ok((next, _)) = gone.after(&step, NOW) {
                    assert_eq!((next.source, next.playable), (SourceState::Deleted, *playable), "{step:?}");
                    assert_eq!(step, Move::Deleted);
                }
            }
        }
    }

    #[test]
    fn a_video_that_went_all_the_way_has_one_event_a_step() {
        let mut video = asset(SourceState::Pending, PlayableState::NotPlayable, false);
        let mut names = Vec::new();
        for step in [
            Move::BeginUpload,
            Move::SourceStored(StoredSource { bytes: 9, sha256: [4; 32] }),
            Move::BeginProcessing,
            Move::Planned { media: media(), renditions: vec![Rendition::P360, Rendition::P720] },
            Move::OpenerReady,
            Move::RenditionReady { rendition: Rendition::P360, bandwidth: 800_000 },
            Move::RenditionFailed { rendition: Rendition::P720, failure: failure() },
            Move::HlsReady { degraded: false },
        ] {
            let (next, event) = video.after(&step, NOW).unwrap();
            names.push(event.name());
            video = next;
        }
        assert_eq!(
            names,
            [
                "source.upload_started",
                "source.uploaded",
                "media.processing_started",
                "media.planned",
                "playable_state.changed",
                "rendition.ready",
                "rendition.failed",
                "playable_state.changed"
            ]
        );
        assert!(video.degraded, "a failed rung shows");
        assert_eq!(video.renditions[0].bandwidth, Some(800_000));
        assert_eq!(video.revision, 9);
    }

    #[test]
    fn a_retry_forgets_the_failure_and_keeps_the_original() {
        let failed = asset(SourceState::Processing, PlayableState::OpenerReady, true);
        let (failed, _) = failed.after(&Move::Fail(failure()), NOW).unwrap();
        let (again, event) = failed.after(&Move::Retry, NOW).unwrap();
        assert_eq!((again.failure, again.renditions.len(), again.degraded), (None, 0, false));
        assert!(again.stored.is_some());
        assert_eq!(event, EventKind::ProcessingQueued);
    }

    #[test]
    fn an_edit_changes_what_it_names_and_nothing_else() {
        let before = asset(SourceState::Ready, PlayableState::HlsReady, true);
        let edit =
            Edit { external_id: Some(Some("x".into())), policy: Some(PlaybackPolicy::Public), ..Edit::default() };
        let (after, _) = before.after(&Move::Edit(edit), NOW).unwrap();
        assert_eq!((after.title.as_str(), after.external_id.as_deref()), ("t", Some("x")));
        assert_eq!((after.policy, after.metadata), (PlaybackPolicy::Public, before.metadata));
    }

    fn stored(asset: &Asset, row: CaptionRow) -> Asset {
        asset.after(&Move::StoreCaptions(row), NOW).unwrap().0
    }

    #[test]
    fn a_language_has_captions_once_and_one_language_is_shown_by_default() {
        let none = asset(SourceState::Ready, PlayableState::HlsReady, true);
        let one = stored(&none, captions("en", true));
        let newer = CaptionRef { version: 9, ..captions("en", true).captions };
        let again = CaptionRow { captions: newer, published: true, ..captions("en", true) };
        let two = stored(&one, again);
        let three = stored(&two, captions("fr", true));
        let shown: Vec<_> =
            three.captions.iter().map(|row| (row.captions.to_string(), row.default, row.published)).collect();
        let expect = [("de_00000007", false, false), ("en_00000009", false, false), ("fr_00000007", true, false)];
        assert_eq!(shown, expect.map(|(name, default, published)| (name.to_owned(), default, published)));
        let published = Move::CaptionsPublished(vec![newer]);
        let after = three.after(&published, NOW).unwrap().0;
        assert_eq!(after.captions.iter().map(|row| row.published).collect::<Vec<_>>(), [false, true, false]);
        let gone = after.after(&Move::RemoveCaptions(newer.lang), NOW).unwrap().0;
        assert!(gone.captions_in(newer.lang).is_none());
        assert!(gone.after(&Move::RemoveCaptions(newer.lang), NOW).is_err());
    }

    #[test]
    fn what_the_original_holds_does_not_replace_what_somebody_gave() {
        let original = |lang| CaptionRow { origin: CaptionOrigin::Original, ..captions(lang, false) };
        let given = asset(SourceState::Processing, PlayableState::NotPlayable, true);
        assert!(given.after(&Move::StoreCaptions(original("de")), NOW).is_err());
        let found = stored(&given, original("en"));
        assert_eq!(stored(&found, original("en")).captions.len(), 2);
        assert_eq!(stored(&found, captions("en", false)).captions[1].origin, CaptionOrigin::Given);
    }

    #[test]
    fn an_asset_has_captions_in_so_many_languages_and_no_more() {
        let mut full = asset(SourceState::Ready, PlayableState::HlsReady, true);
        for n in 1..u8::try_from(CAPTIONS_MAX).unwrap() {
            let lang = format!("x{}-{n:02}", char::from(b'a' + n % 26));
            full = stored(&full, captions(&lang, false));
        }
        assert_eq!(full.captions.len(), CAPTIONS_MAX);
        assert!(full.after(&Move::StoreCaptions(captions("en", false)), NOW).is_err());
        assert!(full.after(&Move::StoreCaptions(captions("de", false)), NOW).is_ok(), "one that is there is replaced");
    }
}
