//! How videos look, and what is made of them.

use rend_core::asset::{CaptionKind, CaptionOrigin, PlayableState, PlaybackPolicy, SourceState};
use rend_core::job::{JobKind, JobState};
use serde_json::{Value, json};

use super::shape::{
    count, flag, list, object, one_of, or_null, text, text_of, time, to, to_or_null, uri, uuid, with_optional,
};

pub(super) fn asset() -> Value {
    let schema = object(&[
        ("id", uuid()),
        ("title", text()),
        ("external_id", or_null(text())),
        ("metadata", json!({ "type": "object" })),
        ("playback_policy", one_of(PlaybackPolicy::ALL)),
        ("source_state", one_of(SourceState::ALL)),
        ("playable_state", one_of(PlayableState::ALL)),
        ("degraded", flag()),
        ("failure", to_or_null("Failure")),
        ("bytes", or_null(count())),
        ("sha256", or_null(text())),
        ("duration_ms", or_null(count())),
        ("width", or_null(count())),
        ("height", or_null(count())),
        ("fps", or_null(json!({ "type": "number" }))),
        ("video_codec", or_null(text())),
        ("audio_codec", or_null(text())),
        ("input_report", list(to("Note"))),
        ("renditions", list(to("Rendition"))),
        ("captions", list(to("Captions"))),
        ("playback_url", uri()),
        ("created_at", time()),
        ("updated_at", time()),
    ]);
    with_optional(schema, &[("jobs", list(to("Job")))])
}

pub(super) fn rendition() -> Value {
    object(&[
        ("name", text()),
        ("state", json!({ "enum": ["planned", "ready", "failed"] })),
        ("bandwidth", or_null(count())),
        ("error", to_or_null("Failure")),
    ])
}

pub(super) fn captions() -> Value {
    object(&[
        ("lang", text()),
        ("label", text()),
        ("kind", one_of(CaptionKind::ALL)),
        ("default", flag()),
        ("origin", one_of(CaptionOrigin::ALL)),
        ("cues", count()),
        ("state", json!({ "enum": ["stored", "published"] })),
    ])
}

pub(super) fn captions_ref() -> Value {
    object(&[("lang", text()), ("label", text()), ("kind", one_of(CaptionKind::ALL)), ("default", flag())])
}

pub(super) fn download() -> Value {
    object(&[
        ("rung", text()),
        ("state", json!({ "enum": ["pending", "ready", "failed"] })),
        ("bytes", or_null(count())),
        ("error", to_or_null("Failure")),
        ("url", or_null(uri())),
        ("expires_at", or_null(time())),
        ("viewer_url", or_null(uri())),
    ])
}

pub(super) fn job() -> Value {
    let error = object(&[("class", text()), ("code", text()), ("detail", text()), ("stderr_tail", text())]);
    object(&[
        ("kind", one_of(JobKind::ALL)),
        ("state", one_of(JobState::ALL)),
        ("attempt", count()),
        ("attempts_max", count()),
        ("next_run_at", or_null(time())),
        ("error", json!({ "anyOf": [error, { "type": "null" }] })),
    ])
}

pub(super) fn asset_change() -> Value {
    let fields = [
        ("title", text_of(255)),
        ("external_id", or_null(text_of(255))),
        ("metadata", json!({ "type": "object" })),
        ("playback_policy", one_of(PlaybackPolicy::ALL)),
    ];
    with_optional(object(&[]), &fields)
}

pub(super) fn artifact() -> Value {
    object(&[("path", text()), ("bytes", count()), ("sha256", or_null(text())), ("content_type", text())])
}

pub(super) fn event() -> Value {
    object(&[
        ("seq", count()),
        ("asset_seq", count()),
        ("at", time()),
        ("asset_id", uuid()),
        ("type", text()),
        ("data", json!({ "type": "object" })),
    ])
}
