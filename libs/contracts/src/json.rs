//! The JSON mapping of messages: snake_case out, snake_case and camelCase in, defaults written, 64-bit integers as
//! numbers while they fit 2^53 (contract §1).

use std::collections::BTreeSet;

use prost_reflect::{DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde_json::Value;

/// The largest integer that every JSON reader holds exactly.
const MAX_SAFE_INTEGER: u64 = 1 << 53;

/// Why JSON is not the message that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct JsonError {
    /// Where, such as `offers[2].offer_id`; `.` is the whole.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

/// Reads a message from JSON. Unknown and ill-typed fields are errors that name their path.
///
/// # Errors
/// [`JsonError`] with the path of the first field that does not fit.
pub fn from_json(descriptor: &MessageDescriptor, json: Value) -> Result<DynamicMessage, JsonError> {
    if let Some((path, reason)) = misplaced_field(descriptor, &json) {
        return Err(JsonError {
            path,
            reason: reason.to_owned(),
        });
    }
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(json, &mut track);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    match DynamicMessage::deserialize_with_options(descriptor.clone(), deserializer, &options) {
        Ok(message) => Ok(message),
        Err(error) => Err(JsonError {
            path: track.path().to_string(),
            reason: without_value(&error.to_string()),
        }),
    }
}

/// What is wrong, without what stood there: the deserializer repeats it, and it may be a secret in the wrong place.
fn without_value(text: &str) -> String {
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => {
            let end = text.find([':', '\'', '"', '`']).unwrap_or(text.len());
            text[..end].trim_end().to_owned()
        }
    }
}

/// The path of the first field that the message does not have, or that stands there under both of its names. The
/// deserializer refuses an unknown field too, but knows only the path of the message around it; of a field that is
/// given twice it takes the last.
fn misplaced_field(descriptor: &MessageDescriptor, json: &Value) -> Option<(String, &'static str)> {
    // The well-known types have JSON forms of their own.
    if descriptor.package_name() == "google.protobuf" {
        return None;
    }
    let mut seen = BTreeSet::new();
    json.as_object()?.iter().find_map(|(key, value)| {
        let Some(field) = descriptor
            .get_field_by_json_name(key)
            .or_else(|| descriptor.get_field_by_name(key))
        else {
            return Some((key.clone(), "unknown field"));
        };
        if !seen.insert(field.number()) {
            return Some((key.clone(), "is given twice"));
        }
        let Kind::Message(inner) = field.kind() else {
            return None;
        };
        if field.is_map() {
            return None;
        }
        match value {
            Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
                misplaced_field(&inner, item).map(|(path, reason)| (format!("{key}[{index}].{path}"), reason))
            }),
            _ => misplaced_field(&inner, value).map(|(path, reason)| (format!("{key}.{path}"), reason)),
        }
    })
}

/// Writes a message as JSON.
///
/// # Errors
/// The message's own, such as a timestamp outside of RFC 3339's range.
pub fn to_json(message: &DynamicMessage) -> Result<Value, serde_json::Error> {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    let mut json = message.serialize_with_options(serde_json::value::Serializer, &options)?;
    quote_large_integers(&mut json);
    Ok(json)
}

fn quote_large_integers(json: &mut Value) {
    match json {
        Value::Number(number) => {
            let magnitude = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
            if magnitude.is_some_and(|magnitude| magnitude > MAX_SAFE_INTEGER) {
                *json = Value::String(number.to_string());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(quote_large_integers),
        Value::Object(fields) => fields.values_mut().for_each(quote_large_integers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn descriptor(name: &str) -> MessageDescriptor {
        crate::descriptors()
            .get_message_by_name(name)
            .expect("known message")
    }

    #[test]
    fn unknown_field_names_its_path() {
        let create = descriptor("causeway.scoring.v1.CreateModelRequest");
        let error = from_json(&create, json!({"offers": [{"offer_id": "a"}, {"color": 1}]})).unwrap_err();
        assert_eq!(error.path, "offers[1].color");
    }

    #[test]
    fn ill_typed_field_names_its_path() {
        let recommend = descriptor("causeway.scoring.v1.RecommendRequest");
        let error = from_json(&recommend, json!({"limit": "many"})).unwrap_err();
        assert_eq!(error.path, "limit");
    }

    #[test]
    fn a_field_stands_under_one_of_its_names() {
        let recommend = descriptor("causeway.scoring.v1.RecommendRequest");
        let error = from_json(&recommend, json!({"customer_id": "a", "customerId": "b"})).unwrap_err();
        assert_eq!(
            (error.path.as_str(), error.reason.as_str()),
            ("customer_id", "is given twice")
        );
    }

    #[test]
    fn values_are_not_repeated() {
        let recommend = descriptor("causeway.scoring.v1.RecommendRequest");
        for json in [
            json!({"limit": "hunter2"}),
            json!({"limit": {"hunter2": 1}}),
            json!({"candidates": "hunter2"}),
            json!({"candidates": ["hunter2"]}),
            json!({"attributes": "hunter2, expected hunter2"}),
            json!({"debug": "hunter2"}),
        ] {
            let error = from_json(&recommend, json).unwrap_err();
            assert!(
                !error.reason.contains("hunter2") && !error.reason.is_empty(),
                "{error}"
            );
        }
    }

    #[test]
    fn camel_case_is_accepted_and_snake_case_is_written() {
        let recommend = descriptor("causeway.scoring.v1.RecommendRequest");
        let message = from_json(&recommend, json!({"customerId": "c", "model_id": "m"})).unwrap();
        let json = to_json(&message).unwrap();
        assert_eq!(json["customer_id"], "c");
        assert_eq!(json["candidates"], json!([]));
        assert_eq!(json["limit"], 0);
    }

    #[test]
    fn integers_past_2_53_are_strings() {
        let root = descriptor("causeway.audit.v1.GetRootResponse");
        let small = to_json(&from_json(&root, json!({"size": 9_007_199_254_740_992_u64})).unwrap()).unwrap();
        assert_eq!(small["size"], 9_007_199_254_740_992_u64);
        let large = to_json(&from_json(&root, json!({"size": "9007199254740993"})).unwrap()).unwrap();
        assert_eq!(large["size"], "9007199254740993");
    }
}
