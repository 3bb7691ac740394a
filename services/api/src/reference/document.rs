//! The routes as an OpenAPI 3.1 document.

use serde_json::{Map, Value, json};

use super::{Body, Kind, Opens, PRIVATE, PUBLIC, Param, Route, Shape, Verb, schemas};

/// What `/openapi.json` answers: the public routes.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in PUBLIC {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.as_str().to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Rend",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Upload a video, play it from an edge near its viewer.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": components(),
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "An API key: `rend key create` makes one." },
            },
            "responses": { "Problem": {
                "description": "What is wrong, in a stable word and a sentence that says what would be right",
                "content": { "application/problem+json": { "schema": reference("Problem") } },
            } },
        },
    })
}

/// The schemas of everything that is sent as JSON, on both listeners.
pub fn components() -> Value {
    let mut all = schemas::all();
    for route in PUBLIC.iter().chain(PRIVATE) {
        for (_, shape) in route.answers {
            if let Shape::Page(of) = shape {
                all.insert(page_of(of), schemas::page(reference(of)));
            }
        }
    }
    Value::Object(all)
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let schema =
                if name == "id" { json!({ "type": "string", "format": "uuid" }) } else { json!({ "type": "string" }) };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    parameters.extend(route.takes.iter().map(parameter));
    let mut responses = Map::new();
    for (status, shape) in route.answers {
        responses.insert(status.to_string(), response(shape));
    }
    responses.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.says,
        "parameters": parameters,
        "responses": responses,
    });
    match route.body {
        Body::None => {}
        Body::Bytes => {
            operation["requestBody"] = json!({ "required": true, "content": { "application/octet-stream": {} } });
        }
        Body::Json(name) | Body::MayBeJson(name) => {
            let content = json!({ "application/json": { "schema": reference(name) } });
            let is_required = matches!(route.body, Body::Json(_));
            operation["requestBody"] = json!({ "required": is_required, "content": content });
        }
    }
    if let Opens::Scope(scope) = route.opens {
        operation["security"] = json!([{ "key": [] }]);
        operation["description"] = format!("The key needs the scope `{scope}`.").into();
    }
    operation
}

/// A name for programs: the verb and the words of the path.
fn operation_id(route: &Route) -> String {
    let verb = match route.verb {
        Verb::Get => "get",
        Verb::Head => "head",
        Verb::Post => "post",
        Verb::Put => "put",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
        Verb::Options => "options",
    };
    let words = route.path.split(['/', '.']).filter(|word| !word.is_empty());
    words.fold(verb.to_owned(), |id, word| format!("{id}_{}", word.trim_matches(['{', '}'])))
}

fn parameter(param: &Param) -> Value {
    json!({
        "name": param.name,
        "in": if param.in_header { "header" } else { "query" },
        "schema": match param.kind {
            Kind::Text { chars_max } => json!({ "type": "string", "minLength": 1, "maxLength": chars_max }),
            Kind::TextOrNone { chars_max } => json!({ "type": "string", "maxLength": chars_max }),
            Kind::Visible { chars_max } => json!({ "type": "string", "pattern": format!("^[!-~]{{1,{chars_max}}}$") }),
            Kind::Words(words) => json!({ "enum": words }),
            Kind::Number { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Kind::Uuid => json!({ "type": "string", "format": "uuid" }),
        },
        "description": param.says,
    })
}

fn response(shape: &Shape) -> Value {
    let content =
        |kind: &str, schema: Value| json!({ "description": "All is well", "content": { kind: { "schema": schema } } });
    match shape {
        Shape::None => json!({ "description": "All is well, and there is nothing to say" }),
        Shape::Json(name) => content("application/json", reference(name)),
        Shape::Page(of) => content("application/json", reference(&page_of(of))),
        Shape::Other(kind) => content(kind, json!({ "type": "string" })),
        Shape::Refusal(says) => {
            let problem = json!({ "application/problem+json": { "schema": reference("Problem") } });
            json!({ "description": says, "content": problem })
        }
    }
}

fn page_of(name: &str) -> String {
    format!("PageOf{name}")
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

impl Shape {
    /// The name of the schema of an answer in JSON.
    pub fn schema(&self) -> Option<String> {
        match self {
            Self::Json(name) => Some((*name).to_owned()),
            Self::Page(of) => Some(page_of(of)),
            Self::Refusal(_) => Some("Problem".to_owned()),
            Self::None | Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` below `value`.
    fn references(value: &Value) -> Vec<String> {
        match value {
            Value::Object(map) => map
                .iter()
                .flat_map(|(name, value)| match value.as_str() {
                    Some(target) if name == "$ref" => vec![target.to_owned()],
                    Some(_) | None => references(value),
                })
                .collect(),
            Value::Array(list) => list.iter().flat_map(references).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        }
    }

    #[test]
    fn every_public_route_is_in_the_document_and_every_reference_leads_somewhere() {
        let document = document();
        for route in PUBLIC {
            let operation = &document["paths"][route.path][route.verb.as_str().to_lowercase()];
            assert_eq!(operation["summary"], route.says, "{}", route.path);
        }
        let all = references(&document);
        assert!(all.len() > 60);
        for target in all {
            let pointer = target.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some_and(Value::is_object), "{target}");
        }
    }

    #[test]
    fn every_schema_that_a_route_names_is_there_and_no_operation_has_the_name_of_another() {
        let components = components();
        let mut names = std::collections::BTreeSet::new();
        for route in PUBLIC.iter().chain(PRIVATE) {
            let body = match route.body {
                Body::Json(name) | Body::MayBeJson(name) => Some(name.to_owned()),
                Body::None | Body::Bytes => None,
            };
            for name in route.answers.iter().filter_map(|(_, shape)| shape.schema()).chain(body) {
                assert!(components[&name].is_object(), "{name}");
            }
        }
        for route in PUBLIC {
            assert!(names.insert(operation_id(route)), "{}", operation_id(route));
        }
    }
}
