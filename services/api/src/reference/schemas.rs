//! How everything that is sent as JSON looks, as JSON schemas. A test holds every answer of the other tests to them.

use rend_core::asset::{CaptionKind, CaptionOrigin, PlayableState, PlaybackPolicy, SourceState};
use rend_core::credential::Scope;
use rend_core::fleet::EdgeState;
use rend_core::job::{JobKind, JobState};
use rend_core::media::ladder::Tier;
use rend_core::suspension::Action;
use rend_core::upload::UploadState;
use rend_core::upload::parts::SIGNED_MAX;
use rend_core::viewing::Phase;
use serde_json::{Map, Value, json};

/// Every schema but those of pages, by name.
pub(super) fn all() -> Map<String, Value> {
    let named = [
        ("Problem", problem()),
        ("Failure", object(&[("code", text()), ("detail", text())])),
        ("UploadWish", upload_wish()),
        ("Upload", upload()),
        ("PartsWish", parts_wish()),
        ("PartUrls", part_urls()),
        ("PartPut", object(&[("number", count()), ("etag", text())])),
        ("UploadWhole", upload_whole()),
        ("Asset", asset()),
        ("Note", object(&[("what", text()), ("cost_ms", or_null(count()))])),
        ("Rendition", rendition()),
        ("Captions", captions()),
        ("Download", download()),
        ("DownloadWish", with_optional(object(&[]), &[("rung", or_null(text_of(16)))])),
        ("Job", job()),
        ("AssetChange", asset_change()),
        ("Artifact", artifact()),
        ("Event", event()),
        ("Handout", handout()),
        ("PlaybackReport", playback_report()),
        ("Viewing", viewing()),
        ("PlayerTold", player_told()),
        ("PlayerTaken", player_taken()),
        ("Live", live()),
        ("Usage", usage()),
        ("Fleet", fleet()),
        ("Edge", edge()),
        ("Key", key()),
        ("KeyWish", key_wish()),
        ("Bootstrap", bootstrap()),
        ("EdgeRef", object(&[("id", text()), ("region", text())])),
        ("Oembed", oembed()),
        ("Revocation", revocation()),
        ("RevocationWish", revocation_wish()),
        ("Revoked", revoked()),
        ("Revocations", object(&[("data", list(to("Revocation"))), ("head", count())])),
        ("Order", order()),
        ("OrderWish", object(&[("by", text_of(100)), ("reason", text_of(500))])),
        ("WebhookEndpoint", webhook_endpoint()),
        ("WebhookWish", webhook_wish(true)),
        ("WebhookChange", webhook_wish(false)),
        ("WebhookReplay", webhook_replay()),
        ("WebhookTest", object(&[("arrived", flag()), ("status", or_null(count())), ("detail", text())])),
        ("Document", json!({ "type": "object", "required": ["openapi", "info", "paths"] })),
        ("Health", health()),
        ("Readiness", readiness()),
        ("Register", register()),
        ("Registered", object(&[("purge_head", count()), ("heartbeat_interval_secs", count())])),
        ("Heartbeat", object(&[("id", text()), ("beat", to("Beat"))])),
        ("Beaten", object(&[("purge_head", count())])),
        ("Beat", beat()),
        ("Purges", purges()),
        ("TelemetryBatch", json!({ "type": "object" })),
        ("Ingested", ingested()),
    ];
    named.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// A page of things of one schema.
pub(super) fn page(of: Value) -> Value {
    object(&[("data", list(of)), ("next_cursor", or_null(text()))])
}

fn problem() -> Value {
    let mut schema = object(&[
        ("type", text()),
        ("title", text()),
        ("status", count()),
        ("detail", text()),
        ("code", text()),
        ("request_id", uuid()),
    ]);
    schema["properties"]["errors"] = list(object(&[("pointer", text()), ("detail", text())]));
    // A problem may tell more, such as the states of the asset that can not be played.
    schema["additionalProperties"] = json!(true);
    schema
}

fn upload_wish() -> Value {
    let fields = [("title", text_of(255)), ("policy", one_of(PlaybackPolicy::ALL)), ("external_id", text_of(255))];
    with_optional(object(&[("bytes", at_least_one())]), &fields.map(|(name, field)| (name, nullable(field))))
}

fn upload() -> Value {
    object(&[
        ("id", uuid()),
        ("asset_id", uuid()),
        ("state", one_of(UploadState::ALL)),
        ("bytes", at_least_one()),
        ("part_bytes", at_least_one()),
        ("parts", at_least_one()),
        ("expires_at", time()),
    ])
}

fn parts_wish() -> Value {
    let mut numbers = list(at_least_one());
    numbers["minItems"] = json!(1);
    numbers["maxItems"] = json!(SIGNED_MAX);
    object(&[("numbers", numbers)])
}

fn part_urls() -> Value {
    let method = json!({ "enum": ["PUT"] });
    let part = object(&[("number", count()), ("bytes", count()), ("method", method), ("url", uri())]);
    object(&[("parts", list(part)), ("expires_at", time())])
}

fn upload_whole() -> Value {
    let parts = list(object(&[("number", at_least_one()), ("etag", text_of(130))]));
    let digest = json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" });
    with_optional(object(&[("parts", parts), ("size", at_least_one())]), &[("sha256", or_null(digest))])
}

fn at_least_one() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

fn asset() -> Value {
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

fn rendition() -> Value {
    object(&[
        ("name", text()),
        ("state", json!({ "enum": ["planned", "ready", "failed"] })),
        ("bandwidth", or_null(count())),
        ("error", to_or_null("Failure")),
    ])
}

fn captions() -> Value {
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

fn captions_ref() -> Value {
    object(&[("lang", text()), ("label", text()), ("kind", one_of(CaptionKind::ALL)), ("default", flag())])
}

fn download() -> Value {
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

fn job() -> Value {
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

fn asset_change() -> Value {
    let fields = [
        ("title", text_of(255)),
        ("external_id", or_null(text_of(255))),
        ("metadata", json!({ "type": "object" })),
        ("playback_policy", one_of(PlaybackPolicy::ALL)),
    ];
    with_optional(object(&[]), &fields)
}

fn artifact() -> Value {
    object(&[("path", text()), ("bytes", count()), ("sha256", or_null(text())), ("content_type", text())])
}

fn event() -> Value {
    object(&[
        ("seq", count()),
        ("asset_seq", count()),
        ("at", time()),
        ("asset_id", uuid()),
        ("type", text()),
        ("data", json!({ "type": "object" })),
    ])
}

fn handout() -> Value {
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

fn playback_report() -> Value {
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

fn viewing() -> Value {
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

fn player_told() -> Value {
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

fn player_taken() -> Value {
    object(&[("taken", count()), ("rejected", list(object(&[("index", count()), ("reason", text())])))])
}

fn live() -> Value {
    object(&[("views", count()), ("assets", list(object(&[("asset_id", uuid()), ("views", count())])))])
}

fn usage() -> Value {
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

fn fleet() -> Value {
    object(&[("edges", list(to("Edge"))), ("purge_head", count()), ("gate", json!({ "type": ["object", "null"] }))])
}

fn edge() -> Value {
    let cache = object(&[("bytes_max", count()), ("bytes_used", count()), ("entries", count())]);
    object(&[
        ("id", text()),
        ("region", text()),
        ("state", one_of(EdgeState::ALL)),
        ("live", flag()),
        ("version", text()),
        ("heartbeat_age_ms", count()),
        ("public_url", uri()),
        ("cache", cache),
        ("disk_bytes_free", count()),
        ("fills", count()),
        ("spool_events", count()),
        ("dropped_events", count()),
        ("purge_seen", count()),
    ])
}

fn key() -> Value {
    let schema = object(&[
        ("id", uuid()),
        ("name", text()),
        ("prefix", text()),
        ("scopes", list(one_of(Scope::ALL))),
        ("created_at", time()),
        ("expires_at", or_null(time())),
        ("last_used_at", or_null(time())),
        ("revoked_at", or_null(time())),
    ]);
    with_optional(schema, &[("key", text())])
}

fn key_wish() -> Value {
    let mut scopes = list(one_of(Scope::ALL));
    scopes["minItems"] = json!(1);
    let schema = object(&[("name", text_of(100)), ("scopes", scopes)]);
    with_optional(schema, &[("expires_at", or_null(time()))])
}

fn bootstrap() -> Value {
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

fn oembed() -> Value {
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

fn revocation() -> Value {
    let kind = json!({ "enum": ["key", "org", "asset", "session"] });
    let schema = object(&[("seq", count()), ("kind", kind), ("subject", text()), ("at", time())]);
    with_optional(schema, &[("issued_before", time()), ("expires_at", time())])
}

fn revocation_wish() -> Value {
    let fields = ["key", "org", "asset", "session"].map(|kind| (kind, text()));
    let mut schema = with_optional(with_optional(object(&[]), &fields), &[("issued_before", time())]);
    // Exactly one of them says what is no longer believed.
    schema["oneOf"] = fields.iter().map(|(kind, _)| json!({ "required": [kind] })).collect();
    schema
}

/// The order, and how many edges were told at once.
fn revoked() -> Value {
    let mut schema = revocation();
    schema["properties"]["edges"] = object(&[("asked", count()), ("told", count())]);
    schema["required"] = json!(["seq", "kind", "subject", "at", "edges"]);
    schema
}

fn order() -> Value {
    let schema = object(&[
        ("seq", count()),
        ("kind", json!({ "enum": ["asset", "org"] })),
        ("subject", uuid()),
        ("action", one_of(Action::ALL)),
        ("by", text_of(100)),
        ("reason", text_of(500)),
        ("at", time()),
    ]);
    with_optional(schema, &[("edges", object(&[("asked", count()), ("told", count())]))])
}

fn webhook_endpoint() -> Value {
    let schema = object(&[
        ("id", uuid()),
        ("url", uri()),
        ("description", text()),
        ("events", list(one_of(rend_core::event::NAMES))),
        ("enabled", flag()),
        ("disabled_why", json!({ "enum": ["by_owner", "gone", "exhausted", null] })),
        ("disabled_at", or_null(time())),
        ("cursor", count()),
        ("waiting", count()),
        ("next_try_at", or_null(time())),
        ("created_at", time()),
        ("updated_at", time()),
    ]);
    with_optional(schema, &[("secret", text())])
}

fn webhook_wish(needs_url: bool) -> Value {
    let mut description = text();
    description["maxLength"] = json!(255);
    let mut url = uri();
    url["maxLength"] = json!(2048);
    let fields = [
        ("url", url),
        ("description", description),
        ("events", list(one_of(rend_core::event::NAMES))),
        ("enabled", flag()),
    ];
    if !needs_url {
        return with_optional(object(&[]), &fields);
    }
    // What is new has nothing yet that `null` could take away, so there it is the same as nothing said.
    let [(_, url), rest @ ..] = fields;
    with_optional(object(&[("url", url)]), &rest.map(|(name, field)| (name, nullable(field))))
}

fn webhook_replay() -> Value {
    let mut schema = with_optional(object(&[]), &[("after", count()), ("event_id", text_of(30))]);
    schema["oneOf"] = json!([{ "required": ["after"] }, { "required": ["event_id"] }]);
    schema
}

fn health() -> Value {
    object(&[
        ("status", text()),
        ("service", text()),
        ("version", text()),
        ("git_sha", or_null(text())),
        ("uptime_seconds", count()),
    ])
}

fn readiness() -> Value {
    let check = object(&[("status", text()), ("age_ms", count()), ("latency_ms", count())]);
    let checks = json!({ "type": "object", "additionalProperties": check });
    object(&[("status", json!({ "enum": ["ready", "not_ready"] })), ("checks", checks)])
}

fn register() -> Value {
    object(&[
        ("id", text()),
        ("region", text()),
        ("public_url", uri()),
        ("private_url", uri()),
        ("version", text()),
        ("beat", to("Beat")),
    ])
}

fn beat() -> Value {
    object(&[
        ("state", one_of(EdgeState::ALL)),
        ("cache_bytes_max", count()),
        ("cache_bytes_used", count()),
        ("cache_entries", count()),
        ("disk_bytes_free", count()),
        ("fills", count()),
        ("spool_events", count()),
        ("dropped_events", count()),
        ("purge_seen", count()),
    ])
}

fn purges() -> Value {
    let order = object(&[("seq", count()), ("asset_id", uuid()), ("at", time())]);
    // Said of an asset that was deleted, and of no other.
    let order = with_optional(order, &[("gone", json!({ "type": "boolean" }))]);
    object(&[("data", list(order)), ("head", count())])
}

fn ingested() -> Value {
    let rejected = object(&[("index", count()), ("reason", text())]);
    object(&[("new", count()), ("repeated", count()), ("rejected", list(rejected))])
}

/// An object with exactly these fields, all of them there.
fn object(fields: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// The same with fields that may be absent.
fn with_optional(mut schema: Value, fields: &[(&str, Value)]) -> Value {
    for (name, field) in fields {
        schema["properties"][*name] = field.clone();
    }
    schema
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// Text for people: something, but not too much.
fn text_of(chars_max: u32) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": chars_max })
}

fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn uri() -> Value {
    json!({ "type": "string", "format": "uri" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

fn to(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn to_or_null(name: &str) -> Value {
    nullable(to(name))
}

/// The same or null, whatever it is.
fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// The same or null, for schemas with one type.
fn or_null(mut schema: Value) -> Value {
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
    schema
}

/// One of the words of an enum of ours.
fn one_of<T: ToString>(all: &[T]) -> Value {
    json!({ "enum": all.iter().map(ToString::to_string).collect::<Vec<_>>() })
}
