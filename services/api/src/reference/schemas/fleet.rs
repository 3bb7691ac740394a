//! How edges look to callers, and what they and the API tell each other.

use rend_core::fleet::EdgeState;
use serde_json::{Value, json};

use super::shape::{count, flag, list, object, one_of, or_null, text, time, to, uri, uuid, with_optional};

pub(super) fn fleet() -> Value {
    object(&[("edges", list(to("Edge"))), ("purge_head", count()), ("gate", json!({ "type": ["object", "null"] }))])
}

pub(super) fn edge() -> Value {
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

pub(super) fn health() -> Value {
    object(&[
        ("status", text()),
        ("service", text()),
        ("version", text()),
        ("git_sha", or_null(text())),
        ("uptime_seconds", count()),
    ])
}

pub(super) fn readiness() -> Value {
    let check = object(&[("status", text()), ("age_ms", count()), ("latency_ms", count())]);
    let checks = json!({ "type": "object", "additionalProperties": check });
    object(&[("status", json!({ "enum": ["ready", "not_ready"] })), ("checks", checks)])
}

pub(super) fn register() -> Value {
    object(&[
        ("id", text()),
        ("region", text()),
        ("public_url", uri()),
        ("private_url", uri()),
        ("version", text()),
        ("beat", to("Beat")),
    ])
}

pub(super) fn beat() -> Value {
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

pub(super) fn purges() -> Value {
    let order = object(&[("seq", count()), ("asset_id", uuid()), ("at", time())]);
    // Said of an asset that was deleted, and of no other.
    let order = with_optional(order, &[("gone", json!({ "type": "boolean" }))]);
    object(&[("data", list(order)), ("head", count())])
}

pub(super) fn ingested() -> Value {
    let rejected = object(&[("index", count()), ("reason", text())]);
    object(&[("new", count()), ("repeated", count()), ("rejected", list(rejected))])
}
