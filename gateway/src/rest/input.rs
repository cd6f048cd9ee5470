//! The JSON of a request message, from path, query and body.

use causeway_contracts::Route;
use causeway_errors::ApiError;
use http::HeaderMap;
use http::request::Parts;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::has_field;
use crate::json;

type Object = Map<String, Value>;

/// Puts the parts of a request together. What the path says wins; a body that contradicts it is an error.
pub(super) fn assemble(
    descriptor: &MessageDescriptor,
    route: &Route,
    parameters: &[(String, String)],
    parts: &Parts,
    body: &[u8],
) -> Result<Object, ApiError> {
    let mut json = match route.body {
        "" => {
            if !body.is_empty() {
                return Err(ApiError::invalid("body", "this route takes no body"));
            }
            Object::new()
        }
        "*" => object(parse(&parts.headers, body)?)?,
        field => {
            let inner = object(parse(&parts.headers, body)?)?;
            let mut json = Object::new();
            add_mask(descriptor, &inner, &mut json);
            json.insert(field.to_owned(), Value::Object(inner));
            json
        }
    };
    if route.body != "*" {
        query(descriptor, parts.uri.query().unwrap_or_default(), &mut json)?;
    } else if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(ApiError::invalid(
            "query",
            "this route takes its fields in the body",
        ));
    }
    for (name, value) in parameters {
        bind(descriptor, name, value, &mut json)?;
    }
    Ok(json)
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Value, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Object::new()));
    }
    json::check_type(headers)?;
    json::parse(body)
}

fn object(json: Value) -> Result<Object, ApiError> {
    match json {
        Value::Object(object) => Ok(object),
        _ => Err(ApiError::invalid("body", "must be a JSON object")),
    }
}

/// A change without a mask changes the fields that its body has (AIP-134).
fn add_mask(descriptor: &MessageDescriptor, inner: &Object, json: &mut Object) {
    if has_field(descriptor, "update_mask") {
        let paths: Vec<String> = inner.keys().map(|key| camel(key)).collect();
        json.insert("update_mask".to_owned(), Value::String(paths.join(",")));
    }
}

fn query(descriptor: &MessageDescriptor, query: &str, json: &mut Object) -> Result<(), ApiError> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(unescape);
        let (Some(name), Some(value)) = (name, value) else {
            return Err(ApiError::invalid("query", "must be percent-encoded UTF-8"));
        };
        let (name, field) =
            field(descriptor, &name).ok_or_else(|| ApiError::invalid(name, "unknown field"))?;
        let value = scalar(&field, &value);
        let slot = slot(json, &name);
        match slot {
            Value::Array(items) if field.is_list() => items.push(value),
            _ if field.is_list() => *slot = Value::Array(vec![value]),
            Value::Null => *slot = value,
            // A mask that the body implied gives way to the one that was written.
            _ if name == "update_mask" => *slot = value,
            _ => return Err(ApiError::invalid(name, "is given twice")),
        }
    }
    Ok(())
}

fn bind(descriptor: &MessageDescriptor, name: &str, value: &str, json: &mut Object) -> Result<(), ApiError> {
    let (_, field) = field(descriptor, name).ok_or_else(ApiError::internal)?;
    let value = scalar(&field, value);
    let slot = slot(json, name);
    if !slot.is_null() && *slot != value {
        let last = name.rsplit('.').next().unwrap_or(name);
        return Err(ApiError::invalid(last, "differs from the path"));
    }
    *slot = value;
    Ok(())
}

/// The field at a dotted path, and the path in the names of the contracts: a field has one place, however it is spelt.
fn field(descriptor: &MessageDescriptor, path: &str) -> Option<(String, FieldDescriptor)> {
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    let field = descriptor
        .get_field_by_name(first)
        .or_else(|| descriptor.get_field_by_json_name(first))?;
    match (rest, field.kind()) {
        (None, _) => Some((field.name().to_owned(), field)),
        (Some(rest), Kind::Message(inner)) => {
            let (rest, last) = self::field(&inner, rest)?;
            Some((format!("{}.{rest}", field.name()), last))
        }
        (Some(_), _) => None,
    }
}

/// The place of a dotted path; objects on the way are made.
fn slot<'a>(json: &'a mut Object, path: &str) -> &'a mut Value {
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = json.entry(first).or_insert(Value::Null);
    let Some(rest) = rest else { return value };
    if !value.is_object() {
        *value = Value::Object(Object::new());
    }
    match value {
        Value::Object(inner) => slot(inner, rest),
        other => other,
    }
}

/// Text as the JSON that the field takes: proto JSON reads numbers from strings, but not booleans.
pub(super) fn scalar(field: &FieldDescriptor, text: &str) -> Value {
    match (field.kind(), text) {
        (Kind::Bool, "true") => Value::Bool(true),
        (Kind::Bool, "false") => Value::Bool(false),
        (Kind::Message(inner), _) if inner.full_name() == "google.protobuf.FieldMask" => {
            Value::String(camel(text))
        }
        _ => Value::String(text.to_owned()),
    }
}

/// The JSON form of a field mask has its names in camelCase.
fn camel(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut upper = false;
    for letter in text.chars() {
        if letter == '_' {
            upper = true;
        } else if upper {
            out.push(letter.to_ascii_uppercase());
            upper = false;
        } else {
            out.push(letter);
        }
    }
    out
}

pub(super) fn unescape(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let mut escapes = spaced.split('%').skip(1);
    let escaped = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !escapes.all(escaped) {
        return None;
    }
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

/// A message with an `idempotency_key` of its own takes the header when its body has none.
pub(super) fn take_idempotency_key(descriptor: &MessageDescriptor, headers: &HeaderMap, json: &mut Object) {
    let absent = !json.contains_key("idempotency_key") && !json.contains_key("idempotencyKey");
    if !has_field(descriptor, "idempotency_key") || !absent {
        return;
    }
    if let Some(key) = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
    {
        json.insert("idempotency_key".to_owned(), Value::String(key.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use causeway_contracts::{descriptors, method};
    use http::Request;
    use serde_json::json;

    use super::*;

    fn assembled(path: &str, uri: &str, parameters: &[(&str, &str)], body: &str) -> Result<Value, ApiError> {
        let method = method(path).unwrap();
        let descriptor = descriptors().get_message_by_name(method.input).unwrap();
        let request = Request::builder()
            .uri(uri)
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        let parameters: Vec<(String, String)> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assemble(
            &descriptor,
            &method.routes[0],
            &parameters,
            &request.into_parts().0,
            body.as_bytes(),
        )
        .map(Value::Object)
    }

    const UPDATE: &str = "/causeway.tenancy.v1.TenancyService/UpdateWorkspace";
    const LIST: &str = "/causeway.audit.v1.AuditService/ListEvents";
    const PUT: &str = "/causeway.tenancy.v1.TenancyService/PutSecret";

    #[test]
    fn a_change_without_a_mask_changes_what_its_body_has() {
        let json = assembled(UPDATE, "/x", &[("workspace.id", "w")], r#"{"name":"n"}"#).unwrap();
        assert_eq!(
            json,
            json!({"workspace": {"id": "w", "name": "n"}, "update_mask": "name"})
        );
        let json = assembled(
            UPDATE,
            "/x?update_mask=created_at",
            &[("workspace.id", "w")],
            "{}",
        )
        .unwrap();
        assert_eq!(json["update_mask"], "createdAt");
    }

    #[test]
    fn query_fields_are_checked_by_name() {
        let json = assembled(LIST, "/x?page_size=2&actor_id=a%20b", &[], "").unwrap();
        assert_eq!(json, json!({"page_size": "2", "actor_id": "a b"}));
        let error = assembled(LIST, "/x?colour=red", &[], "").unwrap_err();
        assert_eq!(error.violations[0].field, "colour");
        let error = assembled(LIST, "/x?page_size=2&page_size=3", &[], "").unwrap_err();
        assert_eq!(error.violations[0].field, "page_size");
        let error = assembled(LIST, "/x?page_size=2&pageSize=3", &[], "").unwrap_err();
        assert_eq!(error.violations[0].field, "page_size");
        for bad in ["/x?actor_id=%zz", "/x?actor_id=%", "/x?actor_id=%ff"] {
            let error = assembled(LIST, bad, &[], "").unwrap_err();
            assert_eq!(error.violations[0].field, "query", "{bad}");
        }
    }

    #[test]
    fn a_body_cannot_contradict_the_path() {
        let error = assembled(PUT, "/x", &[("name", "a")], r#"{"name":"b","kind":"custom"}"#).unwrap_err();
        assert_eq!(error.violations[0].field, "name");
    }

    #[test]
    fn broken_json_is_not_repeated() {
        let error = assembled(PUT, "/x", &[("name", "a")], r#"{"value":"hunter2""#).unwrap_err();
        assert!(!error.message.contains("hunter2"));
        assert_eq!(error.violations[0].field, "body");
    }
}
