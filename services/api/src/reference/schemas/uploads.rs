//! How what comes in looks: uploads, and the parts of those that go past the API.

use rend_core::asset::PlaybackPolicy;
use rend_core::upload::UploadState;
use rend_core::upload::parts::SIGNED_MAX;
use serde_json::{Value, json};

use super::shape::{
    at_least_one, count, list, nullable, object, one_of, or_null, text_of, time, uri, uuid, with_optional,
};

pub(super) fn upload_wish() -> Value {
    let fields = [("title", text_of(255)), ("policy", one_of(PlaybackPolicy::ALL)), ("external_id", text_of(255))];
    with_optional(object(&[("bytes", at_least_one())]), &fields.map(|(name, field)| (name, nullable(field))))
}

pub(super) fn upload() -> Value {
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

pub(super) fn parts_wish() -> Value {
    let mut numbers = list(at_least_one());
    numbers["minItems"] = json!(1);
    numbers["maxItems"] = json!(SIGNED_MAX);
    object(&[("numbers", numbers)])
}

pub(super) fn part_urls() -> Value {
    let method = json!({ "enum": ["PUT"] });
    let part = object(&[("number", count()), ("bytes", count()), ("method", method), ("url", uri())]);
    object(&[("parts", list(part)), ("expires_at", time())])
}

pub(super) fn upload_whole() -> Value {
    let parts = list(object(&[("number", at_least_one()), ("etag", text_of(130))]));
    let digest = json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" });
    with_optional(object(&[("parts", parts), ("size", at_least_one())]), &[("sha256", or_null(digest))])
}
