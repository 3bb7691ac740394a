//! Lifecycle events: what happened to an asset, in words that may be shown to its owner.

use crate::artifact::Rendition;
use crate::asset::PlayableState;
use crate::id::{AssetId, EdgeId, OrgId};
use crate::language::LangTag;
use crate::time::Timestamp;
use crate::webhook::Why;

/// One entry of the event log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its place in the whole log: rises, but may skip.
    pub seq: u64,
    /// Its place among the events of its asset: 1, 2, 3, … without a gap.
    pub asset_seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What it happened to.
    pub asset: AssetId,
    /// Who owns that.
    pub org: OrgId,
    /// What happened.
    pub kind: EventKind,
}

/// What happened. No variant can hold an address, a token or a URL.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The asset exists.
    AssetCreated,
    /// Its owner changed what they say about it.
    AssetUpdated,
    /// Its owner wants it gone.
    DeletionRequested,
    /// Its last byte is gone.
    AssetDeleted,
    /// Bytes began to arrive.
    SourceUploadStarted,
    /// The original is stored.
    SourceUploaded {
        /// Its length.
        bytes: u64,
    },
    /// It waits for a worker.
    ProcessingQueued,
    /// A worker took it up.
    ProcessingStarted,
    /// The probe ran and the renditions are planned.
    Planned {
        /// How many.
        renditions: usize,
    },
    /// It can not be made playable.
    ProcessingFailed {
        /// The stable word for why.
        code: String,
    },
    /// One rendition is complete.
    RenditionReady {
        /// Which.
        rendition: Rendition,
    },
    /// One rendition could not be made.
    RenditionFailed {
        /// Which.
        rendition: Rendition,
        /// The stable word for why.
        code: String,
    },
    /// Captions in this language were given, or taken from the original.
    CaptionsStored {
        /// Their language.
        lang: LangTag,
    },
    /// Captions in this language were taken away.
    CaptionsRemoved {
        /// Their language.
        lang: LangTag,
    },
    /// Viewers can choose the captions that the asset has, and no others.
    CaptionsPublished {
        /// How many languages.
        languages: usize,
    },
    /// A rendition was asked for as one file.
    DownloadRequested {
        /// Which.
        rendition: Rendition,
    },
    /// The file is there.
    DownloadReady {
        /// Of which rendition.
        rendition: Rendition,
    },
    /// The file could not be made.
    DownloadFailed {
        /// Of which rendition.
        rendition: Rendition,
        /// The stable word for why.
        code: String,
    },
    /// The file was taken away.
    DownloadRemoved {
        /// Of which rendition.
        rendition: Rendition,
    },
    /// What a viewer can do changed.
    PlayableStateChanged {
        /// To this.
        to: PlayableState,
    },
    /// An edge was asked to fetch the start ahead of viewers.
    EdgeWarm {
        /// Which edge.
        edge: EdgeId,
        /// What came of it.
        outcome: FanoutOutcome,
    },
    /// An edge was asked to forget the asset.
    EdgePurge {
        /// Which edge.
        edge: EdgeId,
        /// What came of it.
        outcome: FanoutOutcome,
    },
    /// An operator took it out of service.
    Suspended {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// An operator gave it back.
    Restored {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Who was to be told of an event of this asset was given up.
    WebhookDisabled {
        /// Which endpoint.
        endpoint: crate::id::WebhookId,
        /// Why.
        why: Why,
    },
}

/// The names of all kinds, as [`EventKind::name`] gives them.
pub const NAMES: &[&str] = &[
    "asset.created",
    "asset.updated",
    "asset.deletion_requested",
    "asset.deleted",
    "asset.suspended",
    "asset.restored",
    "source.upload_started",
    "source.uploaded",
    "media.processing_queued",
    "media.processing_started",
    "media.planned",
    "media.processing_failed",
    "rendition.ready",
    "rendition.failed",
    "captions.stored",
    "captions.removed",
    "captions.published",
    "download.requested",
    "download.ready",
    "download.failed",
    "download.removed",
    "playable_state.changed",
    "edge.warming_attempted",
    "edge.warming_succeeded",
    "edge.warming_failed",
    "edge.purge_attempted",
    "edge.purge_succeeded",
    "edge.purge_failed",
    "webhook.disabled",
];

/// What came of asking an edge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FanoutOutcome {
    /// It was asked.
    Attempted,
    /// It did as asked.
    Succeeded,
    /// It did not, or did not answer.
    Failed,
}

impl EventKind {
    /// The name in APIs and databases, such as `asset.created`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AssetCreated => "asset.created",
            Self::AssetUpdated => "asset.updated",
            Self::DeletionRequested => "asset.deletion_requested",
            Self::AssetDeleted => "asset.deleted",
            Self::SourceUploadStarted => "source.upload_started",
            Self::SourceUploaded { .. } => "source.uploaded",
            Self::ProcessingQueued => "media.processing_queued",
            Self::ProcessingStarted => "media.processing_started",
            Self::Planned { .. } => "media.planned",
            Self::ProcessingFailed { .. } => "media.processing_failed",
            Self::RenditionReady { .. } => "rendition.ready",
            Self::RenditionFailed { .. } => "rendition.failed",
            Self::CaptionsStored { .. } => "captions.stored",
            Self::CaptionsRemoved { .. } => "captions.removed",
            Self::CaptionsPublished { .. } => "captions.published",
            Self::DownloadRequested { .. } => "download.requested",
            Self::DownloadReady { .. } => "download.ready",
            Self::DownloadFailed { .. } => "download.failed",
            Self::DownloadRemoved { .. } => "download.removed",
            Self::PlayableStateChanged { .. } => "playable_state.changed",
            Self::EdgeWarm { outcome: FanoutOutcome::Attempted, .. } => "edge.warming_attempted",
            Self::EdgeWarm { outcome: FanoutOutcome::Succeeded, .. } => "edge.warming_succeeded",
            Self::EdgeWarm { outcome: FanoutOutcome::Failed, .. } => "edge.warming_failed",
            Self::EdgePurge { outcome: FanoutOutcome::Attempted, .. } => "edge.purge_attempted",
            Self::EdgePurge { outcome: FanoutOutcome::Succeeded, .. } => "edge.purge_succeeded",
            Self::EdgePurge { outcome: FanoutOutcome::Failed, .. } => "edge.purge_failed",
            Self::Suspended { .. } => "asset.suspended",
            Self::Restored { .. } => "asset.restored",
            Self::WebhookDisabled { .. } => "webhook.disabled",
        }
    }

    /// What there is to say beyond the name: at most two pairs, in a fixed order.
    pub fn data(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::SourceUploaded { bytes } => vec![("bytes", bytes.to_string())],
            Self::Planned { renditions } => vec![("renditions", renditions.to_string())],
            Self::ProcessingFailed { code } => vec![("code", code.clone())],
            Self::RenditionReady { rendition }
            | Self::DownloadRequested { rendition }
            | Self::DownloadReady { rendition }
            | Self::DownloadRemoved { rendition } => vec![("rendition", rendition.to_string())],
            Self::RenditionFailed { rendition, code } | Self::DownloadFailed { rendition, code } => {
                vec![("rendition", rendition.to_string()), ("code", code.clone())]
            }
            Self::CaptionsStored { lang } | Self::CaptionsRemoved { lang } => vec![("lang", lang.to_string())],
            Self::CaptionsPublished { languages } => vec![("languages", languages.to_string())],
            Self::PlayableStateChanged { to } => vec![("playable_state", to.to_string())],
            Self::EdgeWarm { edge, .. } | Self::EdgePurge { edge, .. } => vec![("edge", edge.to_string())],
            Self::Suspended { by, reason } | Self::Restored { by, reason } => {
                vec![("by", by.clone()), ("reason", reason.clone())]
            }
            Self::WebhookDisabled { endpoint, why } => {
                vec![("endpoint", endpoint.to_string()), ("why", why.to_string())]
            }
            Self::AssetCreated
            | Self::AssetUpdated
            | Self::DeletionRequested
            | Self::AssetDeleted
            | Self::SourceUploadStarted
            | Self::ProcessingQueued
            | Self::ProcessingStarted => Vec::new(),
        }
    }

    /// Reads back what [`EventKind::name`] and [`EventKind::data`] wrote, or `None` for what they could not have written.
    pub fn from_parts(name: &str, data: &[(String, String)]) -> Option<Self> {
        let field = |key: &str| data.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        let edge = || field("edge")?.parse().ok();
        let warm = |outcome| Some(Self::EdgeWarm { edge: edge()?, outcome });
        let rendition = || field("rendition")?.parse().ok();
        let purge = |outcome| Some(Self::EdgePurge { edge: edge()?, outcome });
        match name {
            "asset.created" => Some(Self::AssetCreated),
            "asset.updated" => Some(Self::AssetUpdated),
            "asset.deletion_requested" => Some(Self::DeletionRequested),
            "asset.deleted" => Some(Self::AssetDeleted),
            "source.upload_started" => Some(Self::SourceUploadStarted),
            "source.uploaded" => Some(Self::SourceUploaded { bytes: field("bytes")?.parse().ok()? }),
            "media.processing_queued" => Some(Self::ProcessingQueued),
            "media.processing_started" => Some(Self::ProcessingStarted),
            "media.planned" => Some(Self::Planned { renditions: field("renditions")?.parse().ok()? }),
            "media.processing_failed" => Some(Self::ProcessingFailed { code: field("code")?.to_owned() }),
            "rendition.ready" => Some(Self::RenditionReady { rendition: rendition()? }),
            "rendition.failed" => {
                Some(Self::RenditionFailed { rendition: rendition()?, code: field("code")?.to_owned() })
            }
            "captions.stored" => Some(Self::CaptionsStored { lang: field("lang")?.parse().ok()? }),
            "captions.removed" => Some(Self::CaptionsRemoved { lang: field("lang")?.parse().ok()? }),
            "captions.published" => Some(Self::CaptionsPublished { languages: field("languages")?.parse().ok()? }),
            "download.requested" => Some(Self::DownloadRequested { rendition: rendition()? }),
            "download.ready" => Some(Self::DownloadReady { rendition: rendition()? }),
            "download.failed" => {
                Some(Self::DownloadFailed { rendition: rendition()?, code: field("code")?.to_owned() })
            }
            "download.removed" => Some(Self::DownloadRemoved { rendition: rendition()? }),
            "playable_state.changed" => Some(Self::PlayableStateChanged { to: field("playable_state")?.parse().ok()? }),
            "edge.warming_attempted" => warm(FanoutOutcome::Attempted),
            "edge.warming_succeeded" => warm(FanoutOutcome::Succeeded),
            "edge.warming_failed" => warm(FanoutOutcome::Failed),
            "edge.purge_attempted" => purge(FanoutOutcome::Attempted),
            "edge.purge_succeeded" => purge(FanoutOutcome::Succeeded),
            "edge.purge_failed" => purge(FanoutOutcome::Failed),
            "asset.suspended" => {
                Some(Self::Suspended { by: field("by")?.to_owned(), reason: field("reason")?.to_owned() })
            }
            "asset.restored" => {
                Some(Self::Restored { by: field("by")?.to_owned(), reason: field("reason")?.to_owned() })
            }
            "webhook.disabled" => Some(Self::WebhookDisabled {
                endpoint: field("endpoint")?.parse().ok()?,
                why: field("why")?.parse().ok()?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_from_its_name_and_data() {
        let edge: EdgeId = "ash-1".parse().unwrap();
        let outcomes = [FanoutOutcome::Attempted, FanoutOutcome::Succeeded, FanoutOutcome::Failed];
        let mut kinds = vec![
            EventKind::AssetCreated,
            EventKind::AssetUpdated,
            EventKind::DeletionRequested,
            EventKind::AssetDeleted,
            EventKind::SourceUploadStarted,
            EventKind::SourceUploaded { bytes: 7 },
            EventKind::ProcessingQueued,
            EventKind::ProcessingStarted,
            EventKind::Planned { renditions: 4 },
            EventKind::ProcessingFailed { code: "not_a_video".into() },
            EventKind::CaptionsStored { lang: "pt-br".parse().unwrap() },
            EventKind::CaptionsRemoved { lang: "en".parse().unwrap() },
            EventKind::CaptionsPublished { languages: 2 },
            EventKind::RenditionReady { rendition: Rendition::P720 },
            EventKind::RenditionFailed { rendition: Rendition::Source, code: "timeout".into() },
            EventKind::DownloadRequested { rendition: Rendition::P1080 },
            EventKind::DownloadReady { rendition: Rendition::P1080 },
            EventKind::DownloadFailed { rendition: Rendition::Source, code: "media_missing".into() },
            EventKind::DownloadRemoved { rendition: Rendition::P1080 },
            EventKind::PlayableStateChanged { to: PlayableState::HlsReady },
            EventKind::Suspended { by: "ada".into(), reason: "a court's order".into() },
            EventKind::Restored { by: "ada".into(), reason: String::new() },
            EventKind::WebhookDisabled { endpoint: crate::id::WebhookId::from_bytes([1; 16]), why: Why::Gone },
        ];
        kinds.extend(outcomes.map(|outcome| EventKind::EdgeWarm { edge: edge.clone(), outcome }));
        kinds.extend(outcomes.map(|outcome| EventKind::EdgePurge { edge: edge.clone(), outcome }));
        for kind in kinds {
            let data: Vec<_> = kind.data().into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            assert!(NAMES.contains(&kind.name()), "{}", kind.name());
            assert_eq!(EventKind::from_parts(kind.name(), &data), Some(kind));
        }
        assert_eq!(EventKind::from_parts("asset.teleported", &[]), None);
    }
}
