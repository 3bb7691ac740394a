//! What players need and tell, and what was served, seen and used.

use rend_core::asset::{PlayableState, SourceState};
use rend_core::media::ladder::Tier;
use rend_core::viewing::Phase;
use serde_json::{Value, json};

use super::assets::captions_ref;
use super::shape::{count, flag, list, object, one_of, or_null, text, time, to, uri, uuid, with_optional};

pub(super) fn handout() -> Value {
    let asked = object(&[("start_ms", count()), ("end_ms", or_null(count()))]);
    let clip = object(&[("requested", asked), ("actual", object(&[("start_ms", count()), ("end_ms", count())]))]);
    object(&[
        ("asset_id", uuid()),
        ("clip", json!({ "anyOf": [clip, { "type": "null" }] })),
        ("bootstrap_token", text()),
        ("expires_at", time()),
        ("player_url", text()),
        ("playback_url", uri()),
        ("playback_expires_at", time()),
    ])
}

pub(super) fn bootstrap() -> Value {
    let transport = json!({ "enum": ["cookie", "path"] });
    let fallback = object(&[("edge", to("EdgeRef")), ("playback_url", uri()), ("transport", transport.clone())]);
    object(&[
        ("asset_id", uuid()),
        ("source_state", one_of(SourceState::ALL)),
        ("playable_state", one_of(PlayableState::ALL)),
        ("status", json!({ "enum": ["ready"] })),
        ("title", text()),
        ("duration_ms", or_null(count())),
        ("playback_url", uri()),
        ("playback_content_type", text()),
        ("manifest_url", uri()),
        ("opener_url", uri()),
        ("poster_url", uri()),
        ("storyboard_url", uri()),
        ("captions", list(captions_ref())),
        ("sounds", list(text())),
        ("transport", transport),
        ("transport_reason", text()),
        ("expires_at", time()),
        ("ttl_seconds", count()),
        ("refresh_after_seconds", count()),
        ("prefetch_hints", list(uri())),
        ("edge", to("EdgeRef")),
        ("fallbacks", list(fallback)),
        ("telemetry", object(&[("ticket", text()), ("url", text())])),
    ])
}

pub(super) fn oembed() -> Value {
    object(&[
        ("version", text()),
        ("type", text()),
        ("provider_name", text()),
        ("provider_url", uri()),
        ("title", text()),
        ("width", count()),
        ("height", count()),
        ("html", text()),
    ])
}

pub(super) fn playback_report() -> Value {
    let counts = json!({ "type": "object", "additionalProperties": count() });
    let schema = object(&[
        ("window_seconds", count()),
        ("requests", count()),
        ("bytes", count()),
        ("sessions", count()),
        ("by_cache", counts.clone()),
        ("by_status", counts),
        ("first_seen", or_null(time())),
        ("last_seen", or_null(time())),
    ]);
    let ratio = json!({ "type": "number", "minimum": 0 });
    with_optional(
        schema,
        &[
            ("asset_id", uuid()),
            ("top_assets", list(to("PlaybackReport"))),
            ("hit_ratio", ratio),
            ("served", served()),
            ("viewing", to("Viewing")),
        ],
    )
}

fn served() -> Value {
    let shares = json!({
        "type": "object",
        "additionalProperties": object(&[("requests", count()), ("bytes", count())]),
    });
    object(&[("by_region", shares.clone()), ("by_edge", shares.clone()), ("by_rung", shares)])
}

pub(super) fn viewing() -> Value {
    let ratio = json!({ "type": ["number", "null"] });
    let slice = json!({
        "type": "object",
        "additionalProperties": object(&[("views", count()), ("watch_ms", count())]),
    });
    let watched = object(&[("asset_id", uuid()), ("views", count()), ("watch_ms", count())]);
    object(&[
        ("views", count()),
        ("unique_viewers", count()),
        ("watch_ms", count()),
        ("startup_p50_ms", or_null(count())),
        ("startup_p95_ms", or_null(count())),
        ("startup_success", ratio.clone()),
        ("rebuffer_ratio", ratio),
        ("exits_before_start", count()),
        ("failures_before_start", count()),
        ("failures", count()),
        ("by_device", slice.clone()),
        ("by_edge", slice.clone()),
        ("by_region", slice),
        ("watch_ms_by_rung", json!({ "type": "object", "additionalProperties": count() })),
        ("top_assets", list(watched)),
        ("complete", flag()),
    ])
}

pub(super) fn player_told() -> Value {
    let event = with_optional(
        object(&[
            ("seq", json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })),
            ("at_ms", json!({ "type": "integer", "minimum": 0, "maximum": 43_200_000 })),
            ("phase", one_of(Phase::ALL)),
        ]),
        &[
            ("startup_ms", json!({ "type": ["integer", "null"], "minimum": 0, "maximum": 600_000 })),
            ("playing_ms", json!({ "type": "integer", "minimum": 0, "maximum": 60_000 })),
            ("stalled_ms", json!({ "type": "integer", "minimum": 0, "maximum": 60_000 })),
            ("rung", or_null(text())),
            ("edge", or_null(text())),
        ],
    );
    object(&[("ticket", text()), ("events", json!({ "type": "array", "maxItems": 50, "items": event }))])
}

pub(super) fn player_taken() -> Value {
    object(&[("taken", count()), ("rejected", list(object(&[("index", count()), ("reason", text())])))])
}

pub(super) fn live() -> Value {
    object(&[("views", count()), ("assets", list(object(&[("asset_id", uuid()), ("views", count())])))])
}

pub(super) fn usage() -> Value {
    object(&[
        ("org_id", uuid()),
        ("hour", time()),
        ("tier", json!({ "enum": Tier::ALL.iter().map(|tier| tier.as_str()).collect::<Vec<_>>() })),
        ("delivered_ms", count()),
        ("revision", count()),
        ("complete", flag()),
        ("counted_at", time()),
    ])
}
