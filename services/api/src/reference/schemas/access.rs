//! How keys look, and what takes a right away again: revocations and operators' orders.

use rend_core::credential::Scope;
use rend_core::suspension::Action;
use serde_json::{Value, json};

use super::shape::{count, list, object, one_of, or_null, text, text_of, time, uuid, with_optional};

pub(super) fn key() -> Value {
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

pub(super) fn key_wish() -> Value {
    let mut scopes = list(one_of(Scope::ALL));
    scopes["minItems"] = json!(1);
    let schema = object(&[("name", text_of(100)), ("scopes", scopes)]);
    with_optional(schema, &[("expires_at", or_null(time()))])
}

pub(super) fn revocation() -> Value {
    let kind = json!({ "enum": ["key", "org", "asset", "session"] });
    let schema = object(&[("seq", count()), ("kind", kind), ("subject", text()), ("at", time())]);
    with_optional(schema, &[("issued_before", time()), ("expires_at", time())])
}

pub(super) fn revocation_wish() -> Value {
    let fields = ["key", "org", "asset", "session"].map(|kind| (kind, text()));
    let mut schema = with_optional(with_optional(object(&[]), &fields), &[("issued_before", time())]);
    // Exactly one of them says what is no longer believed.
    schema["oneOf"] = fields.iter().map(|(kind, _)| json!({ "required": [kind] })).collect();
    schema
}

/// The order, and how many edges were told at once.
pub(super) fn revoked() -> Value {
    let mut schema = revocation();
    schema["properties"]["edges"] = object(&[("asked", count()), ("told", count())]);
    schema["required"] = json!(["seq", "kind", "subject", "at", "edges"]);
    schema
}

pub(super) fn order() -> Value {
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
