//! Values that are only ever read whole, as small JSON texts: what both databases keep in a column.

use std::str::FromStr;

use rend_core::asset::{
    CaptionRow, Cost, DownloadRow, DownloadState, Failure, MediaFacts, Note, RenditionRow, RenditionState,
};
use rend_core::event::EventKind;
use rend_core::id::{OrgId, WebhookId};
use rend_core::job::JobError;
use rend_core::time::Timestamp;
use rend_core::webhook::deliver::{Lease, Progress, Waiting};
use rend_core::webhook::{Endpoint, State};
use serde_json::{Map, Value};
use thiserror::Error;

/// A column holds what no version up to this one wrote there.
#[derive(Clone, Copy, Debug, Error)]
#[error("the column {0} holds something unknown")]
pub(crate) struct Strange(pub(crate) &'static str);

pub(crate) fn failure(failure: &Failure) -> String {
    failure_value(failure).to_string()
}

pub(crate) fn failure_of(text: &str) -> Result<Failure, Strange> {
    read_failure(&value(text, "failure")?)
}

pub(crate) fn renditions(rows: &[RenditionRow]) -> String {
    let rendition = |row: &RenditionRow| {
        let (state, failure) = match &row.state {
            RenditionState::Planned => ("planned", Value::Null),
            RenditionState::Ready => ("ready", Value::Null),
            RenditionState::Failed(failure) => ("failed", failure_value(failure)),
        };
        object([
            ("rendition", row.rendition.to_string().into()),
            ("state", state.into()),
            ("failure", failure),
            ("bandwidth", row.bandwidth.into()),
        ])
    };
    Value::Array(rows.iter().map(rendition).collect()).to_string()
}

pub(crate) fn renditions_of(text: &str) -> Result<Vec<RenditionRow>, Strange> {
    let rendition = |value: &Value| {
        let state = match text_of(value, "state")?.as_str() {
            "planned" => RenditionState::Planned,
            "ready" => RenditionState::Ready,
            "failed" => RenditionState::Failed(read_failure(value.get("failure").ok_or(Strange("failure"))?)?),
            _ => return Err(Strange("renditions")),
        };
        let bandwidth = value.get("bandwidth").and_then(Value::as_u64);
        Ok(RenditionRow { rendition: word_of(value, "rendition")?, state, bandwidth })
    };
    list(&value(text, "renditions")?, "renditions")?.iter().map(rendition).collect()
}

pub(crate) fn captions(rows: &[CaptionRow]) -> String {
    let row = |row: &CaptionRow| {
        object([
            ("captions", row.captions.to_string().into()),
            ("label", row.label.as_str().into()),
            ("kind", row.kind.as_str().into()),
            ("default", row.default.into()),
            ("origin", row.origin.as_str().into()),
            ("cues", row.cues.into()),
            ("published", row.published.into()),
        ])
    };
    Value::Array(rows.iter().map(row).collect()).to_string()
}

pub(crate) fn captions_of(text: &str) -> Result<Vec<CaptionRow>, Strange> {
    let row = |value: &Value| {
        Ok(CaptionRow {
            captions: word_of(value, "captions")?,
            label: text_of(value, "label")?,
            kind: word_of(value, "kind")?,
            default: flag_of(value, "default")?,
            origin: word_of(value, "origin")?,
            cues: number_of(value, "cues")?,
            published: flag_of(value, "published")?,
        })
    };
    list(&value(text, "captions")?, "captions")?.iter().map(row).collect()
}

pub(crate) fn downloads(rows: &[DownloadRow]) -> String {
    let row = |row: &DownloadRow| {
        let (bytes, failure) = match &row.state {
            DownloadState::Pending => (Value::Null, Value::Null),
            DownloadState::Ready { bytes } => ((*bytes).into(), Value::Null),
            DownloadState::Failed(failure) => (Value::Null, failure_value(failure)),
        };
        object([
            ("rendition", row.rendition.to_string().into()),
            ("state", row.state.as_str().into()),
            ("bytes", bytes),
            ("failure", failure),
        ])
    };
    Value::Array(rows.iter().map(row).collect()).to_string()
}

pub(crate) fn downloads_of(text: &str) -> Result<Vec<DownloadRow>, Strange> {
    let row = |value: &Value| {
        let state = match text_of(value, "state")?.as_str() {
            "pending" => DownloadState::Pending,
            "ready" => DownloadState::Ready { bytes: number_of(value, "bytes")? },
            "failed" => DownloadState::Failed(read_failure(value.get("failure").ok_or(Strange("failure"))?)?),
            _ => return Err(Strange("downloads")),
        };
        Ok(DownloadRow { rendition: word_of(value, "rendition")?, state })
    };
    list(&value(text, "downloads")?, "downloads")?.iter().map(row).collect()
}

/// A note without a cost is its sentence; one that waits for its cost has none.
fn note(note: &Note) -> Value {
    match note.cost {
        Cost::Unmeasured => note.what.as_str().into(),
        Cost::Millis(millis) => object([("what", note.what.as_str().into()), ("cost_ms", millis.into())]),
        Cost::UntilPlayable => object([("what", note.what.as_str().into()), ("cost_ms", Value::Null)]),
    }
}

fn note_of(value: &Value) -> Result<Note, Strange> {
    if let Some(what) = value.as_str() {
        return Ok(what.into());
    }
    let cost = match value.get("cost_ms") {
        Some(Value::Null) => Cost::UntilPlayable,
        Some(millis) => Cost::Millis(millis.as_u64().ok_or(Strange("notes"))?),
        None => return Err(Strange("notes")),
    };
    Ok(Note { what: text_of(value, "what")?, cost })
}

pub(crate) fn media(media: &MediaFacts) -> String {
    let value = object([
        ("container", media.container.as_str().into()),
        ("duration_ms", media.duration_ms.into()),
        ("width", media.width.into()),
        ("height", media.height.into()),
        ("millifps", media.millifps.into()),
        ("video_codec", media.video_codec.as_str().into()),
        ("audio_codec", media.audio_codec.as_str().into()),
        ("notes", media.notes.iter().map(note).collect::<Vec<_>>().into()),
    ]);
    value.to_string()
}

pub(crate) fn media_of(text: &str) -> Result<MediaFacts, Strange> {
    let value = value(text, "media")?;
    let notes = value.get("notes").ok_or(Strange("notes"))?;
    Ok(MediaFacts {
        container: text_of(&value, "container")?,
        duration_ms: number_of(&value, "duration_ms")?,
        width: number_of(&value, "width")?,
        height: number_of(&value, "height")?,
        millifps: number_of(&value, "millifps")?,
        video_codec: text_of(&value, "video_codec")?,
        audio_codec: text_of(&value, "audio_codec")?,
        notes: list(notes, "notes")?.iter().map(note_of).collect::<Result<_, _>>()?,
    })
}

pub(crate) fn job_error(error: &JobError) -> String {
    let value = object([
        ("class", error.class.as_str().into()),
        ("code", error.code.as_str().into()),
        ("detail", error.detail.as_str().into()),
        ("stderr_tail", error.stderr_tail.as_str().into()),
    ]);
    value.to_string()
}

pub(crate) fn job_error_of(text: &str) -> Result<JobError, Strange> {
    let value = value(text, "error")?;
    Ok(JobError {
        class: word_of(&value, "class")?,
        code: text_of(&value, "code")?,
        detail: text_of(&value, "detail")?,
        stderr_tail: text_of(&value, "stderr_tail")?,
    })
}

/// What an event says beside its name. Pairs rather than an object, since their order is part of what was said.
pub(crate) fn event_data(kind: &EventKind) -> String {
    let data = kind.data().into_iter().map(|(name, value)| Value::Array(vec![name.into(), value.into()]));
    Value::Array(data.collect()).to_string()
}

pub(crate) fn event_kind_of(name: &str, data: &str) -> Result<EventKind, Strange> {
    let text = |value: Option<&Value>| value?.as_str().map(str::to_owned);
    let pair = |pair: &Value| Some((text(pair.get(0))?, text(pair.get(1))?));
    let data: Option<Vec<_>> = list(&value(data, "data")?, "data")?.iter().map(pair).collect();
    data.and_then(|data| EventKind::from_parts(name, &data)).ok_or(Strange("data"))
}

/// An endpoint but for what stands in columns of its own.
pub(crate) fn endpoint(endpoint: &Endpoint) -> String {
    let (state, why, disabled_at, tell) = match &endpoint.state {
        State::Active => ("active", Value::Null, Value::Null, Value::Null),
        State::Disabled { why, at, tell } => (
            "disabled",
            why.as_str().into(),
            at.as_millis().into(),
            tell.map_or(Value::Null, |asset| asset.to_string().into()),
        ),
    };
    let before = endpoint.secret_before.as_ref().map_or(Value::Null, |(secret, until)| {
        object([("secret", secret.expose().into()), ("until", until.as_millis().into())])
    });
    let waiting = endpoint.progress.waiting.iter().map(|(seq, waiting)| {
        Value::Array(vec![(*seq).into(), waiting.attempts.into(), waiting.due.as_millis().into()])
    });
    let lease = endpoint.progress.lease.map_or(Value::Null, |lease| {
        let holder = u64::from_be_bytes(lease.holder);
        object([("holder", holder.into()), ("until", lease.until.as_millis().into())])
    });
    let value = object([
        ("url", endpoint.url.as_str().into()),
        ("description", endpoint.description.as_str().into()),
        ("wants", endpoint.wants.to_string().into()),
        ("secret", endpoint.secret.expose().into()),
        ("secret_before", before),
        ("state", state.into()),
        ("why", why),
        ("disabled_at", disabled_at),
        ("tell", tell),
        ("cursor", endpoint.progress.cursor.into()),
        ("waiting", Value::Array(waiting.collect())),
        ("lease", lease),
        ("created_at", endpoint.created_at.as_millis().into()),
        ("updated_at", endpoint.updated_at.as_millis().into()),
    ]);
    value.to_string()
}

pub(crate) fn endpoint_of(text: &str, id: WebhookId, org: OrgId, revision: u64) -> Result<Endpoint, Strange> {
    let value = value(text, "document")?;
    let time = |value: &Value, field| number_of(value, field).map(Timestamp::from_millis);
    let some = |field: &'static str| value.get(field).filter(|value| !value.is_null());
    let state = match text_of(&value, "state")?.as_str() {
        "active" => State::Active,
        "disabled" => State::Disabled {
            why: word_of(&value, "why")?,
            at: time(&value, "disabled_at")?,
            tell: some("tell").map(|_| word_of(&value, "tell")).transpose()?,
        },
        _ => return Err(Strange("state")),
    };
    let before = some("secret_before").map(|before| Ok((word_of(before, "secret")?, time(before, "until")?)));
    let waiting = |entry: &Value| {
        let number = |at: usize| entry.get(at).and_then(Value::as_u64).ok_or(Strange("waiting"));
        let attempts = u32::try_from(number(1)?).map_err(|_| Strange("waiting"))?;
        Ok((number(0)?, Waiting { attempts, due: Timestamp::from_millis(number(2)?) }))
    };
    let lease = some("lease").map(|lease| {
        let holder = number_of::<u64>(lease, "holder")?.to_be_bytes();
        Ok(Lease { holder, until: time(lease, "until")? })
    });
    Ok(Endpoint {
        id,
        org,
        url: text_of(&value, "url")?,
        description: text_of(&value, "description")?,
        wants: word_of(&value, "wants")?,
        secret: word_of(&value, "secret")?,
        secret_before: before.transpose()?,
        state,
        progress: Progress {
            cursor: number_of(&value, "cursor")?,
            waiting: list(some("waiting").ok_or(Strange("waiting"))?, "waiting")?
                .iter()
                .map(waiting)
                .collect::<Result<_, _>>()?,
            lease: lease.transpose()?,
        },
        revision,
        created_at: time(&value, "created_at")?,
        updated_at: time(&value, "updated_at")?,
    })
}

fn failure_value(failure: &Failure) -> Value {
    object([("code", failure.code.as_str().into()), ("detail", failure.detail.as_str().into())])
}

fn read_failure(value: &Value) -> Result<Failure, Strange> {
    Ok(Failure { code: text_of(value, "code")?, detail: text_of(value, "detail")? })
}

fn value(text: &str, column: &'static str) -> Result<Value, Strange> {
    serde_json::from_str(text).map_err(|_| Strange(column))
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn text_of(value: &Value, field: &'static str) -> Result<String, Strange> {
    value.get(field).and_then(Value::as_str).map(str::to_owned).ok_or(Strange(field))
}

fn flag_of(value: &Value, field: &'static str) -> Result<bool, Strange> {
    value.get(field).and_then(Value::as_bool).ok_or(Strange(field))
}

fn number_of<T: TryFrom<u64>>(value: &Value, field: &'static str) -> Result<T, Strange> {
    let number = value.get(field).and_then(Value::as_u64).ok_or(Strange(field))?;
    T::try_from(number).map_err(|_| Strange(field))
}

fn word_of<T: FromStr>(value: &Value, field: &'static str) -> Result<T, Strange> {
    text_of(value, field)?.parse().map_err(|_| Strange(field))
}

fn list<'v>(value: &'v Value, column: &'static str) -> Result<&'v [Value], Strange> {
    value.as_array().map(Vec::as_slice).ok_or(Strange(column))
}
