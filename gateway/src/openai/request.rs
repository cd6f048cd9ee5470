//! A chat completion request as OpenAI's clients write it.

use causeway_contracts::from_json;
use causeway_errors::ApiError;
use prost_reflect::DynamicMessage;
use serde_json::{Map, Value, json};

use crate::{json as strict, rpc};

/// Fields that change nothing here: they are accepted and have no effect.
const WITHOUT_EFFECT: [&str; 10] = [
    "user",
    "metadata",
    "store",
    "seed",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
];
/// Fields that would change the answer and are not there yet.
const NOT_YET: [&str; 12] = [
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "logprobs",
    "top_logprobs",
    "audio",
    "modalities",
    "prediction",
    "reasoning_effort",
];

/// A chat completion request.
pub(super) struct Chat {
    generate: Value,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

impl Chat {
    /// The message for `Generate`.
    pub(super) fn message(&self) -> Result<DynamicMessage, ApiError> {
        read("causeway.llm.v1.GenerateRequest", self.generate.clone())
    }

    /// The message for `GenerateStream`.
    pub(super) fn stream_message(&self) -> Result<DynamicMessage, ApiError> {
        read(
            "causeway.llm.v1.GenerateStreamRequest",
            json!({"request": self.generate}),
        )
    }
}

fn read(name: &str, json: Value) -> Result<DynamicMessage, ApiError> {
    from_json(&rpc::message(name)?, json).map_err(|error| {
        let path = error
            .path
            .strip_prefix("request.")
            .unwrap_or(&error.path)
            .to_owned();
        ApiError::invalid(path, error.reason)
    })
}

/// Reads a request. What is unknown or would be ignored silently is an error that names the field.
pub(super) fn parse(body: &[u8]) -> Result<Chat, ApiError> {
    let Value::Object(fields) = strict::parse(body)? else {
        return Err(ApiError::invalid("body", "must be a JSON object"));
    };
    let mut generate = Map::new();
    let (mut stream, mut include_usage) = (false, false);
    for (name, value) in fields {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("model" | "temperature" | "top_p", value) => {
                generate.insert(name, value);
            }
            ("messages", value) => {
                generate.insert(name, messages(value)?);
            }
            ("max_tokens" | "max_completion_tokens", value) => {
                generate.insert("max_tokens".to_owned(), value);
            }
            ("stop", Value::String(one)) => {
                generate.insert(name, json!([one]));
            }
            ("stop", value) => {
                generate.insert(name, value);
            }
            ("stream", Value::Bool(flag)) => stream = flag,
            ("stream", _) => return Err(ApiError::invalid("stream", "must be a boolean")),
            ("stream_options", options) => include_usage = options["include_usage"] == Value::Bool(true),
            ("n", value) if value == json!(1) => {}
            ("n", _) => return Err(ApiError::invalid("n", "only one answer can be asked for")),
            (name, _) if WITHOUT_EFFECT.contains(&name) => {}
            (name, _) if NOT_YET.contains(&name) => return Err(ApiError::invalid(name, "is not supported")),
            (name, _) => return Err(ApiError::invalid(name, "unknown field")),
        }
    }
    Ok(Chat {
        generate: Value::Object(generate),
        stream,
        include_usage,
    })
}

/// Turns OpenAI's messages into ours: text, or a list of text parts.
fn messages(value: Value) -> Result<Value, ApiError> {
    let Value::Array(items) = value else {
        return Err(ApiError::invalid("messages", "must be a list"));
    };
    let turns = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| turn(index, item));
    turns.collect::<Result<Vec<Value>, ApiError>>().map(Value::Array)
}

fn turn(index: usize, item: Value) -> Result<Value, ApiError> {
    let at = |field: &str| format!("messages[{index}].{field}");
    let Value::Object(fields) = item else {
        return Err(ApiError::invalid(
            format!("messages[{index}]"),
            "must be an object",
        ));
    };
    let mut ours = Map::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            (_, Value::Null) | ("name" | "refusal" | "annotations", _) => {}
            // The newer word for the same role.
            ("role", Value::String(role)) if role == "developer" => {
                ours.insert(name, json!("system"));
            }
            ("role", value) => {
                ours.insert(name, value);
            }
            ("content", Value::Array(parts)) => {
                ours.insert(
                    name,
                    Value::String(
                        joined(parts).ok_or_else(|| {
                            ApiError::invalid(at("content"), "only text parts are supported")
                        })?,
                    ),
                );
            }
            ("content", value) => {
                ours.insert(name, value);
            }
            (name, _) => return Err(ApiError::invalid(at(name), "is not supported")),
        }
    }
    Ok(Value::Object(ours))
}

fn joined(parts: Vec<Value>) -> Option<String> {
    let texts = parts
        .into_iter()
        .map(|part| match (&part["type"], &part["text"]) {
            (Value::String(kind), Value::String(text)) if kind == "text" => Some(text.clone()),
            _ => None,
        });
    texts.collect::<Option<Vec<String>>>().map(|texts| texts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_clients_are_understood() {
        let body = json!({
            "model": "gpt-4o-mini", "stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 9,
            "messages": [
                {"role": "developer", "content": "be brief"},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            ],
            "stop": "\n", "user": "u", "temperature": 0, "tools": null,
        });
        let chat = parse(body.to_string().as_bytes()).unwrap();
        assert!(chat.stream && chat.include_usage);
        assert_eq!(chat.generate["messages"][0]["role"], "system");
        assert_eq!(chat.generate["messages"][1]["content"], "ab");
        assert_eq!(chat.generate["max_tokens"], 9);
        chat.stream_message().unwrap();
    }

    #[test]
    fn nothing_is_ignored_silently() {
        for (body, field) in [
            (json!({"messages": [], "tools": [{}]}), "tools"),
            (json!({"messages": [], "colour": 1}), "colour"),
            (json!({"messages": [], "n": 2}), "n"),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
                "messages[0].content",
            ),
        ] {
            let error = parse(body.to_string().as_bytes()).err().unwrap();
            assert_eq!(error.violations[0].field, field);
        }
        let chat = parse(br#"{"messages":[{"role":5}]}"#).unwrap();
        assert_eq!(
            chat.message().unwrap_err().violations[0].field,
            "messages[0].role"
        );
    }
}
