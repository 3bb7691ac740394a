//! Every answer is what the reference of routes says, and every route opens to whom it says.

use http::{Method, StatusCode};
use rend_api::reference::{Opens, PRIVATE, PUBLIC, Route, Shape, Verb, allowed, components};
use rend_core::credential::{Scope, Scopes};
use serde_json::Value;

use crate::support::{Answer, Api};

/// Holds an answer to the schema that its route has for it.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap();
    let verb = if method == "HEAD" { "GET" } else { method };
    let private = path.starts_with("/internal") || path == "/metrics";
    let table = if private { PRIVATE } else { PUBLIC };
    let status = answer.0.status();
    let route = table.iter().find(|route| route.verb.as_str() == verb && route.is_at(path));
    if method == "HEAD" {
        assert!(answer.0.body().is_empty(), "HEAD {path} has a body");
        return;
    }
    let said = route.and_then(|route| route.answers.iter().find(|(known, _)| *known == status.as_u16()));
    let name = match said {
        Some((_, Shape::Json(_) | Shape::Page(_) | Shape::Refusal(_))) => {
            said.and_then(|(_, shape)| shape.schema()).unwrap()
        }
        Some((_, Shape::None | Shape::Other(_))) => return,
        None if status.is_client_error() || status.is_server_error() => "Problem".to_owned(),
        None => panic!("{method} {path} answers {status}, which the reference does not know"),
    };
    let all = components();
    let wrong = faults(&all[&name], &all, &answer.json(), "");
    assert!(wrong.is_empty(), "{method} {path} {status} is no {name}: {wrong:#?}");
}

/// Where `value` is not what `schema` says. It knows as much of JSON schema as ours use.
fn faults(schema: &Value, all: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(target) = schema["$ref"].as_str() {
        return faults(&all[target.rsplit('/').next().unwrap()], all, value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = any.iter().any(|schema| faults(schema, all, value, at).is_empty());
        return if fits { vec![] } else { vec![format!("{at}: {value} fits none of {any:?}")] };
    }
    if let Some(words) = schema["enum"].as_array() {
        return if words.contains(value) { vec![] } else { vec![format!("{at}: {value} is none of {words:?}")] };
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is = |known: &Value| known == kind || (known == "number" && kind == "integer");
    let fits = schema["type"].as_array().map_or_else(|| is(&schema["type"]), |kinds| kinds.iter().any(is));
    if !fits {
        return vec![format!("{at}: {kind} is not {}", schema["type"])];
    }
    match value {
        Value::Array(list) => list.iter().flat_map(|item| faults(&schema["items"], all, item, at)).collect(),
        Value::Object(map) => {
            let missing = schema["required"].as_array().into_iter().flatten();
            let missing = missing.filter(|name| !map.contains_key(name.as_str().unwrap()));
            let mut wrong: Vec<_> = missing.map(|name| format!("{at}: {name} is missing")).collect();
            for (name, value) in map {
                let at = format!("{at}/{name}");
                match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (Value::Null, Value::Bool(false)) => wrong.push(format!("{at} is not known")),
                    (Value::Null, Value::Object(_)) => {
                        wrong.extend(faults(&schema["additionalProperties"], all, value, &at))
                    }
                    (Value::Null, _) => {}
                    (known, _) => wrong.extend(faults(known, all, value, &at)),
                }
            }
            wrong
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    }
}

/// The route's path with something for each parameter; an asset that exists where one is asked for.
fn filled(route: &Route, asset: &str) -> String {
    route
        .path
        .replace("{id}", asset)
        .replace("{file}", "watch.js")
        .replace("{number}", "1")
        .replace("{lang}", "en")
        .replace("{rung}", "360p")
}

/// What a stream sends never ends, so only its head is looked at.
fn is_stream(route: &Route) -> bool {
    route.answers.iter().any(|(_, shape)| matches!(shape, Shape::Other("text/event-stream")))
}

async fn ask(api: &Api, route: &Route, path: &str, key: Option<&str>) -> Answer {
    let verb = if is_stream(route) { "HEAD" } else { route.verb.as_str() };
    let bearer = key.map(|key| format!("Bearer {key}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    api.send_as(verb, path, b"{}", &headers).await
}

#[tokio::test]
async fn every_route_opens_to_the_scope_that_it_says_and_to_no_other() {
    for route in PUBLIC {
        let api = Api::new().await;
        let path = filled(route, &api.playable("public").await);
        let name = format!("{} {}", route.verb.as_str(), route.path);
        let bare = ask(&api, route, &path, None).await.0.status();
        let Opens::Scope(scope) = route.opens else {
            assert!(!bare.is_server_error() || path == "/readyz", "{name}: {bare}");
            assert!(bare != StatusCode::FORBIDDEN && bare != StatusCode::METHOD_NOT_ALLOWED, "{name}: {bare}");
            continue;
        };
        assert_eq!(bare, StatusCode::UNAUTHORIZED, "{name}");
        let others =
            Scope::ALL.iter().filter(|other| **other != scope).fold(Scopes::NONE, |set, scope| set.with(*scope));
        let (small, right) = (api.key_for(others).await, api.key_for(Scopes::NONE.with(scope)).await);
        assert_eq!(ask(&api, route, &path, Some(&small)).await.0.status(), StatusCode::FORBIDDEN, "{name}");
        let opened = ask(&api, route, &path, Some(&right)).await;
        let status = opened.0.status();
        let closed = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED];
        assert!(!closed.contains(&status) && !status.is_server_error(), "{name}: {status}");
        if status == StatusCode::NOT_FOUND {
            assert_ne!(opened.json()["detail"], "there is nothing at this path", "{name}");
        }
    }
}

#[tokio::test]
async fn every_internal_route_opens_to_its_own_token() {
    let api = Api::new().await;
    let asset = api.playable("public").await;
    for route in PRIVATE {
        let name = format!("{} {}", route.verb.as_str(), route.path);
        let with = async |token: &str| {
            let bearer = format!("Bearer {token}");
            let path = route.path.replace("{id}", &asset);
            api.send_private(route.verb.as_str(), &path, &[("authorization", &bearer)]).await.0.status()
        };
        let (mine, other) = match route.opens {
            Opens::Edge => ("the-edges-token", "the-telemetry-token"),
            Opens::Telemetry => ("the-telemetry-token", "the-edges-token"),
            Opens::Operator => ("the-operators-token", "the-edges-token"),
            Opens::Anybody | Opens::Viewer | Opens::Scope(_) => {
                assert_ne!(with("none").await, StatusCode::UNAUTHORIZED, "{name}");
                continue;
            }
        };
        assert_eq!(with(other).await, StatusCode::UNAUTHORIZED, "{name}");
        assert_ne!(with(mine).await, StatusCode::UNAUTHORIZED, "{name}");
        assert_eq!(with(&api.key).await, StatusCode::UNAUTHORIZED, "{name}");
    }
}

#[tokio::test]
async fn what_reads_answers_head_with_the_same_head_and_no_body() {
    let api = Api::new().await;
    let asset = api.playable("public").await;
    for route in PUBLIC.iter().filter(|route| route.verb == Verb::Get && !is_stream(route)) {
        let path = filled(route, &asset);
        let (get, head) = (api.send("GET", &path, b"").await, api.send("HEAD", &path, b"").await);
        assert_eq!(head.0.status(), get.0.status(), "{path}");
        assert!(head.0.body().is_empty(), "{path}");
        for name in ["content-type", "etag", "location"] {
            assert_eq!(head.0.headers().get(name), get.0.headers().get(name), "{path} {name}");
        }
        if path != "/readyz" && path != "/healthz" && !get.0.body().is_empty() {
            let length = head.0.headers()["content-length"].to_str().unwrap().parse::<usize>().unwrap();
            // Tokens and ages differ from answer to answer, but not by much.
            assert!(length.abs_diff(get.0.body().len()) < 16, "{path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let api = Api::new().await;
    let asset = api.playable("public").await;
    let bearer = format!("Bearer {}", api.key);
    let mut paths: Vec<_> = PUBLIC.iter().map(|route| filled(route, &asset)).collect();
    paths.dedup();
    // Of an upload that is not there it is said first that it is not there.
    for path in paths.into_iter().filter(|path| !path.starts_with("/v1/uploads/")) {
        let allow = allowed(PUBLIC, &path);
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if allow.split(", ").any(|known| known == method.as_str()) {
                continue;
            }
            let headers = [("authorization", bearer.as_str()), ("tus-resumable", "1.0.0")];
            let answer = api.send_as(method.as_str(), &path, b"", &headers).await;
            assert_eq!(answer.0.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            let told = answer.0.headers()["allow"].to_str().unwrap();
            let missing = allow.split(", ").find(|known| !told.split(", ").any(|told| told == *known));
            assert_eq!(missing, None, "{method} {path}: {told}");
        }
    }
}

#[tokio::test]
async fn the_document_is_served_to_everybody() {
    let api = Api::new().await;
    let document = api.send_as("GET", "/openapi.json", b"", &[]).await.json();
    assert_eq!(document["openapi"], "3.1.1");
    assert_eq!(document["paths"].as_object().unwrap().len(), {
        let mut paths: Vec<_> = PUBLIC.iter().map(|route| route.path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.len()
    });
}

#[test]
fn a_value_that_is_not_as_its_schema_says_is_found() {
    let all = components();
    let page = serde_json::json!({ "data": [{ "path": 1, "bytes": 1, "sha256": null, "colour": "red" }], "next_cursor": null });
    let mut wrong = faults(&all["PageOfArtifact"], &all, &page, "");
    wrong.sort();
    assert_eq!(
        wrong,
        ["/data/colour is not known", "/data/path: integer is not \"string\"", "/data: \"content_type\" is missing"]
    );
}
