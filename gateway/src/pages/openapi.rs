//! OpenAPI 3.1, made from the method table and the descriptors.

use std::collections::BTreeMap;

use causeway_contracts::{METHODS, Method, Route, Rule, descriptors};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::schema::{Schemas, comment_of_field};
use crate::refusal::OPENAI_PATHS;
use crate::rest::{oauth, raw};

/// The whole document.
pub(super) fn document() -> Value {
    let mut schemas = Schemas::default();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for method in METHODS {
        for route in method.routes {
            if let Some(operation) = operation(&mut schemas, method, route) {
                paths
                    .entry(template(route.path))
                    .or_default()
                    .insert(route.verb.to_lowercase(), operation);
            }
        }
        if let Some(surface) = &method.surface {
            paths
                .entry(surface.path.to_owned())
                .or_default()
                .insert("post".to_owned(), foreign(method));
        }
    }
    for (path, summary) in [
        ("/health", "Whether the process lives."),
        ("/ready", "Whether every service answers."),
    ] {
        let answer = json!({"description": "The state.", "content": {"application/json": {"schema": {"type": "object"}}}});
        let operation = json!({
            "operationId": path.trim_start_matches('/'), "tags": ["gateway"], "summary": summary, "security": [],
            "responses": {"200": answer, "503": answer},
        });
        paths
            .entry(path.to_owned())
            .or_default()
            .insert("get".to_owned(), operation);
    }
    let mut components = json!({
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "description": "An access token or a personal access token."},
            "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "client": {"type": "http", "scheme": "basic", "description": "Id and secret of an OAuth client."},
        },
    });
    let mut schemas = schemas.into_value();
    schemas["Problem"] = problem();
    schemas["OpenaiError"] = openai_error();
    schemas["OauthError"] = oauth_error();
    components["schemas"] = schemas;
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Causeway", "version": env!("CARGO_PKG_VERSION"),
            "description": "The back end of a multi-tenant AI product.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"api_key": []}],
        "paths": paths,
        "components": components,
    })
}

fn operation(schemas: &mut Schemas, method: &Method, route: &Route) -> Option<Value> {
    let pool = descriptors();
    let (input, output) = (
        pool.get_message_by_name(method.input)?,
        pool.get_message_by_name(method.output)?,
    );
    let in_path = path_names(route.path);
    let mut parameters = Vec::new();
    for name in &in_path {
        let field = at(&input, name)?;
        let schema = schemas.field(&field);
        parameters.push(json!({
            "name": last(name), "in": "path", "required": true, "schema": schema, "description": comment_of_field(&field),
        }));
    }
    if route.body != "*" {
        for field in input.fields() {
            if in_path.contains(&field.name()) || field.name() == route.body {
                continue;
            }
            let schema = schemas.field(&field);
            let (name, place) = match raw::header_of(&field) {
                Some(header) => (header, "header"),
                None => (field.name().to_owned(), "query"),
            };
            parameters.push(json!({
                "name": name, "in": place, "required": place == "header", "schema": schema,
                "description": comment_of_field(&field),
            }));
        }
    }
    if !matches!(route.verb, "GET") {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "description": "A repeat with the same key gets the stored answer.",
        }));
    }
    let mut operation = common(method, route.path, &format!("{}_{}", method.owner, method.name));
    operation["parameters"] = Value::Array(parameters);
    if let Some(body) = body(schemas, &input, route, &in_path) {
        // An absent body is an empty one.
        let required = route.body != "*" || body.get("required").is_some();
        let mut content = json!({"application/json": {"schema": body}});
        if oauth::is_spoken(method) {
            content["application/x-www-form-urlencoded"] = content["application/json"].clone();
        }
        operation["requestBody"] = json!({"required": required, "content": content});
    }
    let answer = match output.get_field_by_name(route.response_body) {
        Some(field) => schemas.field(&field),
        None => schemas.reference(&output),
    };
    let kind = if method.server_streaming {
        "text/event-stream"
    } else {
        "application/json"
    };
    operation["responses"][method.success_status.to_string()] =
        json!({"description": "Done.", "content": {kind: {"schema": answer}}});
    Some(operation)
}

fn body(schemas: &mut Schemas, input: &MessageDescriptor, route: &Route, in_path: &[&str]) -> Option<Value> {
    match route.body {
        "" => None,
        "*" => Some(schemas.object(input, in_path)),
        // As it is: what stands in it is said by the field's comment.
        field if raw::is_raw(input, route) => {
            Some(json!({"description": comment_of_field(&input.get_field_by_name(field)?)}))
        }
        field => Some(schemas.field(&input.get_field_by_name(field)?)),
    }
}

fn common(method: &Method, path: &str, id: &str) -> Value {
    let mut comment = method.comment.to_owned();
    if let Rule::Permission { name, .. } = method.rule {
        comment.push_str(&format!(" Needs `{name}`."));
    }
    let (kind, schema) = if OPENAI_PATHS.contains(&path) {
        ("application/json", "OpenaiError")
    } else if oauth::is_spoken(method) {
        ("application/json", "OauthError")
    } else {
        ("application/problem+json", "Problem")
    };
    let problem = |description: &str| {
        let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
        json!({"description": description, "content": {kind: {"schema": schema}}})
    };
    let mut operation = json!({
        "operationId": id, "tags": [method.owner], "summary": method.comment, "description": comment,
        "responses": {
            "400": problem("The request is wrong; `violations` names the fields."),
            "401": problem("No valid credential."),
            "403": problem("The caller may not."),
            "404": problem("There is no such thing in this workspace."),
            "409": problem("It is there already, or the first request still runs."),
            "413": problem("The body is too large."),
            "415": problem("The body is not JSON."),
            "422": problem("The idempotency key was used for another request."),
            "424": problem("A pinned model provider cannot be used."),
            "429": problem("Too often."),
            "default": problem("A failure of ours."),
        },
    });
    if method.rule == Rule::Public {
        operation["security"] = if oauth::is_spoken(method) {
            json!([{}, {"client": []}])
        } else {
            json!([])
        };
    }
    operation
}

/// OpenAI's own reference describes the bodies.
fn foreign(method: &Method) -> Value {
    let path = method.surface.as_ref().map_or("", |surface| surface.path);
    let mut operation = common(method, path, "openai_chat_completions");
    let object = json!({"schema": {"type": "object", "description": "As in OpenAI's reference."}});
    operation["requestBody"] = json!({"required": true, "content": {"application/json": object}});
    operation["responses"]["200"] = json!({
        "description": "A completion, or its chunks.",
        "content": {"application/json": object, "text/event-stream": object},
    });
    operation
}

fn problem() -> Value {
    json!({
        "type": "object", "description": "RFC 9457.",
        "required": ["type", "title", "status", "detail", "reason", "error_id", "request_id", "violations"],
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
            "detail": {"type": "string"}, "reason": {"type": "string"}, "error_id": {"type": "string", "format": "uuid"},
            "request_id": {"type": "string"}, "retry_after_ms": {"type": "integer"},
            "violations": {"type": "array", "items": {"type": "object", "properties": {
                "field": {"type": "string"}, "description": {"type": "string"}}}},
        },
    })
}

fn openai_error() -> Value {
    json!({
        "type": "object", "description": "OpenAI's error object.", "required": ["error"],
        "properties": {"error": {
            "type": "object", "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"}, "type": {"type": "string"}, "param": {"type": ["string", "null"]},
                "code": {"type": "string"}, "error_id": {"type": "string", "format": "uuid"},
                "request_id": {"type": "string"},
            },
        }},
    })
}

fn oauth_error() -> Value {
    json!({
        "type": "object", "description": "RFC 6749 §5.2.", "required": ["error", "error_description"],
        "properties": {
            "error": {"type": "string"}, "error_description": {"type": "string"},
            "error_id": {"type": "string", "format": "uuid"},
        },
    })
}

/// The path as OpenAPI writes it: a parameter has a plain name, the same in all methods of the path.
fn template(path: &str) -> String {
    let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) => format!("{{{}}}", last(name)),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn path_names(path: &str) -> Vec<&str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .collect()
}

fn at(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    let field = message.get_field_by_name(first)?;
    match (rest, field.kind()) {
        (None, _) => Some(field),
        (Some(rest), Kind::Message(inner)) => at(&inner, rest),
        (Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        for method in METHODS {
            for route in method.routes {
                let operation = &document["paths"][template(route.path)][route.verb.to_lowercase()];
                assert!(
                    operation["description"].is_string(),
                    "{} {}",
                    route.verb,
                    route.path
                );
                let declared: Vec<&str> = operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|parameter| parameter["in"] == "path")
                    .filter_map(|parameter| parameter["name"].as_str())
                    .collect();
                assert_eq!(declared, path_names(&template(route.path)), "{}", route.path);
            }
        }
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
