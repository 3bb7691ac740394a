//! How things look as JSON.

use rend_core::asset::{Asset, Failure, Note, RenditionState};
use rend_core::event::Event;
use rend_core::job::Job;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::http::captions::CaptionsJson;

/// Reads a field that may be absent, as one that is `None` by default, but that is not `null` unless its own type can be:
/// what can not be taken away is left out.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// A page of things.
#[derive(Serialize)]
pub(crate) struct Page<T> {
    pub data: Vec<T>,
    pub next_cursor: Option<String>,
}

/// An asset, as its owner sees it.
#[derive(Serialize)]
pub(crate) struct AssetJson {
    id: String,
    title: String,
    external_id: Option<String>,
    metadata: Value,
    playback_policy: &'static str,
    source_state: &'static str,
    playable_state: &'static str,
    degraded: bool,
    failure: Option<FailureJson>,
    bytes: Option<u64>,
    sha256: Option<String>,
    duration_ms: Option<u64>,
    width: Option<u32>,
    height: Option<u32>,
    fps: Option<f64>,
    video_codec: Option<String>,
    audio_codec: Option<String>,
    input_report: Vec<NoteJson>,
    renditions: Vec<RenditionJson>,
    captions: Vec<CaptionsJson>,
    playback_url: String,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobJson>>,
}

#[derive(Serialize)]
struct FailureJson {
    code: String,
    detail: String,
}

/// What was not standard about a source, and what that cost.
#[derive(Serialize)]
struct NoteJson {
    what: String,
    cost_ms: Option<u64>,
}

impl NoteJson {
    fn new(note: &Note) -> Self {
        Self { what: note.what.clone(), cost_ms: note.cost.millis() }
    }
}

#[derive(Serialize)]
struct RenditionJson {
    name: String,
    state: &'static str,
    bandwidth: Option<u64>,
    error: Option<FailureJson>,
}

#[derive(Serialize)]
struct JobJson {
    kind: &'static str,
    state: &'static str,
    attempt: u32,
    attempts_max: u32,
    next_run_at: Option<String>,
    error: Option<JobErrorJson>,
}

#[derive(Serialize)]
struct JobErrorJson {
    class: &'static str,
    code: String,
    detail: String,
    stderr_tail: String,
}

impl AssetJson {
    /// `asset`, whose player page lies under `site`.
    pub(crate) fn new(asset: &Asset, site: &str) -> Self {
        let media = asset.media.as_ref();
        let word = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self {
            id: asset.id.to_string(),
            title: asset.title.clone(),
            external_id: asset.external_id.clone(),
            metadata: serde_json::from_str(&asset.metadata).unwrap_or_else(|_| Value::Object(Map::new())),
            playback_policy: asset.policy.as_str(),
            source_state: asset.source.as_str(),
            playable_state: asset.playable.as_str(),
            degraded: asset.degraded,
            failure: asset.failure.as_ref().map(FailureJson::new),
            bytes: asset.stored.as_ref().map(|stored| stored.bytes),
            sha256: asset.stored.as_ref().map(|stored| hex(&stored.sha256)),
            duration_ms: media.map(|m| m.duration_ms),
            width: media.map(|m| m.width).filter(|w| *w > 0),
            height: media.map(|m| m.height).filter(|h| *h > 0),
            fps: media.map(|m| f64::from(m.millifps) / 1000.0).filter(|f| *f > 0.0),
            video_codec: media.and_then(|m| word(&m.video_codec)),
            audio_codec: media.and_then(|m| word(&m.audio_codec)),
            input_report: media.map(|m| m.notes.iter().map(NoteJson::new).collect()).unwrap_or_default(),
            renditions: asset
                .renditions
                .iter()
                .map(|row| {
                    let (state, error) = match &row.state {
                        RenditionState::Planned => ("planned", None),
                        RenditionState::Ready => ("ready", None),
                        RenditionState::Failed(failure) => ("failed", Some(FailureJson::new(failure))),
                    };
                    RenditionJson { name: row.rendition.to_string(), state, bandwidth: row.bandwidth, error }
                })
                .collect(),
            captions: asset.captions.iter().map(CaptionsJson::new).collect(),
            playback_url: format!("{site}/watch/{}", asset.id),
            created_at: asset.created_at.to_string(),
            updated_at: asset.updated_at.to_string(),
            jobs: None,
        }
    }

    /// The same with the jobs that worked on it.
    pub(crate) fn with_jobs(mut self, jobs: &[Job]) -> Self {
        self.jobs = Some(jobs.iter().map(JobJson::new).collect());
        self
    }
}

impl FailureJson {
    fn new(failure: &Failure) -> Self {
        Self { code: failure.code.clone(), detail: failure.detail.clone() }
    }
}

impl JobJson {
    fn new(job: &Job) -> Self {
        Self {
            kind: job.kind.as_str(),
            state: job.state.as_str(),
            attempt: job.attempt,
            attempts_max: job.attempts_max,
            next_run_at: (job.state == rend_core::job::JobState::Queued).then(|| job.run_at.to_string()),
            error: job.error.as_ref().map(|error| JobErrorJson {
                class: error.class.as_str(),
                code: error.code.clone(),
                detail: error.detail.clone(),
                stderr_tail: error.stderr_tail.clone(),
            }),
        }
    }
}

/// One entry of the event log.
#[derive(Serialize)]
pub(crate) struct EventJson {
    seq: u64,
    asset_seq: u64,
    at: String,
    asset_id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    data: Map<String, Value>,
}

impl EventJson {
    pub(crate) fn new(event: &Event) -> Self {
        Self {
            seq: event.seq,
            asset_seq: event.asset_seq,
            at: event.at.to_string(),
            asset_id: event.asset.to_string(),
            kind: event.kind.name(),
            data: event.kind.data().into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect(),
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string can not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
