//! How everything that is sent as JSON looks, as JSON schemas. A test holds every answer of the other tests to them.

use serde_json::{Map, Value, json};

mod access;
mod assets;
mod fleet;
mod shape;
mod uploads;
mod watching;
mod webhooks;

use shape::{count, flag, list, object, or_null, text, text_of, to, uuid, with_optional};

/// Every schema but those of pages, by name.
pub(super) fn all() -> Map<String, Value> {
    let named = [
        ("Problem", problem()),
        ("Failure", object(&[("code", text()), ("detail", text())])),
        ("UploadWish", uploads::upload_wish()),
        ("Upload", uploads::upload()),
        ("PartsWish", uploads::parts_wish()),
        ("PartUrls", uploads::part_urls()),
        ("PartPut", object(&[("number", count()), ("etag", text())])),
        ("UploadWhole", uploads::upload_whole()),
        ("Asset", assets::asset()),
        ("Note", object(&[("what", text()), ("cost_ms", or_null(count()))])),
        ("Rendition", assets::rendition()),
        ("Captions", assets::captions()),
        ("Download", assets::download()),
        ("DownloadWish", with_optional(object(&[]), &[("rung", or_null(text_of(16)))])),
        ("Job", assets::job()),
        ("AssetChange", assets::asset_change()),
        ("Artifact", assets::artifact()),
        ("Event", assets::event()),
        ("Handout", watching::handout()),
        ("PlaybackReport", watching::playback_report()),
        ("Viewing", watching::viewing()),
        ("PlayerTold", watching::player_told()),
        ("PlayerTaken", watching::player_taken()),
        ("Live", watching::live()),
        ("Usage", watching::usage()),
        ("Fleet", fleet::fleet()),
        ("Edge", fleet::edge()),
        ("Key", access::key()),
        ("KeyWish", access::key_wish()),
        ("Bootstrap", watching::bootstrap()),
        ("EdgeRef", object(&[("id", text()), ("region", text())])),
        ("Oembed", watching::oembed()),
        ("Revocation", access::revocation()),
        ("RevocationWish", access::revocation_wish()),
        ("Revoked", access::revoked()),
        ("Revocations", object(&[("data", list(to("Revocation"))), ("head", count())])),
        ("Order", access::order()),
        ("OrderWish", object(&[("by", text_of(100)), ("reason", text_of(500))])),
        ("WebhookEndpoint", webhooks::webhook_endpoint()),
        ("WebhookWish", webhooks::webhook_wish(true)),
        ("WebhookChange", webhooks::webhook_wish(false)),
        ("WebhookReplay", webhooks::webhook_replay()),
        ("WebhookTest", object(&[("arrived", flag()), ("status", or_null(count())), ("detail", text())])),
        ("Document", json!({ "type": "object", "required": ["openapi", "info", "paths"] })),
        ("Health", fleet::health()),
        ("Readiness", fleet::readiness()),
        ("Register", fleet::register()),
        ("Registered", object(&[("purge_head", count()), ("heartbeat_interval_secs", count())])),
        ("Heartbeat", object(&[("id", text()), ("beat", to("Beat"))])),
        ("Beaten", object(&[("purge_head", count())])),
        ("Beat", fleet::beat()),
        ("Purges", fleet::purges()),
        ("TelemetryBatch", json!({ "type": "object" })),
        ("Ingested", fleet::ingested()),
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
