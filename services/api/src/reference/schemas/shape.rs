//! What schemas are made of.

use serde_json::{Map, Value, json};

/// An object with exactly these fields, all of them there.
pub(super) fn object(fields: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// The same with fields that may be absent.
pub(super) fn with_optional(mut schema: Value, fields: &[(&str, Value)]) -> Value {
    for (name, field) in fields {
        schema["properties"][*name] = field.clone();
    }
    schema
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// Text for people: something, but not too much.
pub(super) fn text_of(chars_max: u32) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": chars_max })
}

pub(super) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn uri() -> Value {
    json!({ "type": "string", "format": "uri" })
}

pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub(super) fn at_least_one() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

pub(super) fn to(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(super) fn to_or_null(name: &str) -> Value {
    nullable(to(name))
}

/// The same or null, whatever it is.
pub(super) fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// The same or null, for schemas with one type.
pub(super) fn or_null(mut schema: Value) -> Value {
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
    schema
}

/// One of the words of an enum of ours.
pub(super) fn one_of<T: ToString>(all: &[T]) -> Value {
    json!({ "enum": all.iter().map(ToString::to_string).collect::<Vec<_>>() })
}
