//! Values that are only ever read whole, as small JSON texts: what both databases keep in a column.

use std::str::FromStr;

use rend_core::asset::{Failure, MediaFacts, RenditionRow, RenditionState};
use rend_core::event::EventKind;
use rend_core::job::JobError;
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

pub(crate) fn media(media: &MediaFacts) -> String {
    let value = object([
        ("container", media.container.as_str().into()),
        ("duration_ms", media.duration_ms.into()),
        ("width", media.width.into()),
        ("height", media.height.into()),
        ("millifps", media.millifps.into()),
        ("video_codec", media.video_codec.as_str().into()),
        ("audio_codec", media.audio_codec.as_str().into()),
        ("notes", media.notes.clone().into()),
    ]);
    value.to_string()
}

pub(crate) fn media_of(text: &str) -> Result<MediaFacts, Strange> {
    let value = value(text, "media")?;
    let note = |note: &Value| note.as_str().map(str::to_owned).ok_or(Strange("notes"));
    let notes = value.get("notes").ok_or(Strange("notes"))?;
    Ok(MediaFacts {
        container: text_of(&value, "container")?,
        duration_ms: number_of(&value, "duration_ms")?,
        width: number_of(&value, "width")?,
        height: number_of(&value, "height")?,
        millifps: number_of(&value, "millifps")?,
        video_codec: text_of(&value, "video_codec")?,
        audio_codec: text_of(&value, "audio_codec")?,
        notes: list(notes, "notes")?.iter().map(note).collect::<Result<_, _>>()?,
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
