//! Assets: what a video is, the states it goes through, and which moves are legal.

mod moves;
mod rows;
mod states;
#[cfg(test)]
mod tests;

pub use moves::{Edit, IllegalMove, Move};
pub use rows::{
    CaptionKind, CaptionOrigin, CaptionRow, Cost, DownloadRow, DownloadState, Failure, MediaFacts, Note, RenditionRow,
    RenditionState, StoredSource,
};
pub(crate) use states::named;
pub use states::{PlayableState, PlaybackPolicy, SourceState, UnknownWord};

use crate::artifact::Rendition;
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
    /// Its downloads, each rendition once, in the order of the renditions.
    pub downloads: Vec<DownloadRow>,
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
/// The short side in pixels of what is downloaded at most, unless somebody says which rendition.
pub const DOWNLOAD_SIDE_MAX: u32 = 1080;
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
            downloads: Vec::new(),
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
                next.media = Some(media.clone().after(self.media.as_ref()));
                next.downloads.clear();
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
            Move::OpenerReady { took_ms }
                if self.source == SourceState::Processing
                    && matches!(self.playable, PlayableState::NotPlayable | PlayableState::OpenerReady) =>
            {
                next.playable = PlayableState::OpenerReady;
                if let Some(media) = &mut next.media {
                    media.plays(*took_ms);
                }
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
                next.downloads.clear();
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
            Move::RequestDownload(rendition) if self.can_download(*rendition) => {
                next.downloads.retain(|row| row.rendition != *rendition);
                next.downloads.push(DownloadRow { rendition: *rendition, state: DownloadState::Pending });
                let place = |row: &DownloadRow| self.renditions.iter().position(|own| own.rendition == row.rendition);
                next.downloads.sort_by_key(place);
                EventKind::DownloadRequested { rendition: *rendition }
            }
            Move::DownloadReady { rendition, bytes } if self.source == SourceState::Ready => {
                let row = next.download_mut(*rendition).ok_or(illegal)?;
                row.state = DownloadState::Ready { bytes: *bytes };
                EventKind::DownloadReady { rendition: *rendition }
            }
            Move::DownloadFailed { rendition, failure } if self.source == SourceState::Ready => {
                let row = next.download_mut(*rendition).ok_or(illegal)?;
                row.state = DownloadState::Failed(failure.clone());
                EventKind::DownloadFailed { rendition: *rendition, code: failure.code.clone() }
            }
            Move::RemoveDownload(rendition)
                if self.source != SourceState::Deleted && self.download(*rendition).is_some() =>
            {
                next.downloads.retain(|row| row.rendition != *rendition);
                EventKind::DownloadRemoved { rendition: *rendition }
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
            | Move::OpenerReady { .. }
            | Move::HlsReady { .. }
            | Move::Fail(_)
            | Move::Retry
            | Move::Edit(_)
            | Move::StoreCaptions(_)
            | Move::RemoveCaptions(_)
            | Move::CaptionsPublished(_)
            | Move::RequestDownload(_)
            | Move::DownloadReady { .. }
            | Move::DownloadFailed { .. }
            | Move::RemoveDownload(_)
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

    /// The download of `rendition`, if it was asked for.
    pub fn download(&self, rendition: Rendition) -> Option<&DownloadRow> {
        self.downloads.iter().find(|row| row.rendition == rendition)
    }

    /// The renditions that can be downloaded, lowest first: those of the pictures that are complete, or the sound where there
    /// are no pictures. None before all is ready, since what is made of a rendition has to be whole.
    pub fn downloadable(&self) -> Vec<Rendition> {
        if self.source != SourceState::Ready {
            return Vec::new();
        }
        let complete = self.renditions.iter().filter(|row| row.state == RenditionState::Ready);
        let complete: Vec<Rendition> = complete.map(|row| row.rendition).collect();
        let pictures: Vec<Rendition> =
            complete.iter().copied().filter(|rendition| rendition.sound_lang().is_none()).collect();
        if pictures.is_empty() { complete } else { pictures }
    }

    /// The rendition that is downloaded unless somebody says which: the best with a short side of at most
    /// [`DOWNLOAD_SIDE_MAX`], or the least where all have more.
    pub fn usual_download(&self) -> Option<Rendition> {
        let own = self.media.as_ref().map_or(0, |media| media.width.min(media.height));
        let fits = |rendition: &Rendition| rendition.short_side().unwrap_or(own) <= DOWNLOAD_SIDE_MAX;
        let all = self.downloadable();
        all.iter().rev().copied().find(fits).or_else(|| all.first().copied())
    }

    /// The sound beside a picture that has none of its own: the one that is heard unless somebody chooses otherwise.
    pub fn sound_beside(&self) -> Option<Rendition> {
        let complete = self.renditions.iter().filter(|row| row.state == RenditionState::Ready);
        complete.map(|row| row.rendition).find(|rendition| rendition.sound_lang().is_some())
    }

    fn can_download(&self, rendition: Rendition) -> bool {
        let waited_for = |row: &DownloadRow| !matches!(row.state, DownloadState::Failed(_));
        !self.download(rendition).is_some_and(waited_for) && self.downloadable().contains(&rendition)
    }

    fn download_mut(&mut self, rendition: Rendition) -> Option<&mut DownloadRow> {
        self.downloads.iter_mut().find(|row| row.rendition == rendition)
    }

    fn rendition_mut(&mut self, rendition: Rendition) -> Option<&mut RenditionRow> {
        self.renditions.iter_mut().find(|row| row.rendition == rendition)
    }
}
