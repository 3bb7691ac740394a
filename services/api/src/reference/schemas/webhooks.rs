//! Who is told of events.

use serde_json::{Value, json};

use super::shape::{
    count, flag, list, nullable, object, one_of, or_null, text, text_of, time, uri, uuid, with_optional,
};

pub(super) fn webhook_endpoint() -> Value {
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

pub(super) fn webhook_wish(needs_url: bool) -> Value {
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

pub(super) fn webhook_replay() -> Value {
    let mut schema = with_optional(object(&[]), &[("after", count()), ("event_id", text_of(30))]);
    schema["oneOf"] = json!([{ "required": ["after"] }, { "required": ["event_id"] }]);
    schema
}
