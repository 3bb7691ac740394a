//! The steps in an asset's life.

use thiserror::Error;

use super::{Asset, CaptionRow, Failure, MediaFacts, PlayableState, PlaybackPolicy, SourceState, StoredSource};
use crate::artifact::{CaptionRef, Rendition};
use crate::language::LangTag;

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
    OpenerReady {
        /// Milliseconds since the attempt began that has them play.
        took_ms: u64,
    },
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
    /// The owner wants this rendition as one file. It is made by a job.
    RequestDownload(Rendition),
    /// The file is there.
    DownloadReady {
        /// Of which rendition.
        rendition: Rendition,
        /// Its length.
        bytes: u64,
    },
    /// The file could not be made.
    DownloadFailed {
        /// Of which rendition.
        rendition: Rendition,
        /// Why.
        failure: Failure,
    },
    /// The owner does not want the file any more.
    RemoveDownload(Rendition),
    /// The owner wants it gone. From here on nothing of it is served.
    RequestDeletion,
    /// Its last byte is gone.
    Deleted,
}

impl Move {
    /// What it is called in logs and errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BeginUpload => "begin_upload",
            Self::SourceStored(_) => "source_stored",
            Self::BeginProcessing => "begin_processing",
            Self::Planned { .. } => "planned",
            Self::RenditionReady { .. } => "rendition_ready",
            Self::RenditionFailed { .. } => "rendition_failed",
            Self::OpenerReady { .. } => "opener_ready",
            Self::HlsReady { .. } => "hls_ready",
            Self::Fail(_) => "fail",
            Self::Retry => "retry",
            Self::Edit(_) => "edit",
            Self::StoreCaptions(_) => "store_captions",
            Self::RemoveCaptions(_) => "remove_captions",
            Self::CaptionsPublished(_) => "captions_published",
            Self::RequestDownload(_) => "request_download",
            Self::DownloadReady { .. } => "download_ready",
            Self::DownloadFailed { .. } => "download_failed",
            Self::RemoveDownload(_) => "remove_download",
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
    pub(super) fn apply(&self, asset: &mut Asset) {
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
