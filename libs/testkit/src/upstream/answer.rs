//! What the server says.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// How one request is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) delay: Duration,
    pub(super) pause: Duration,
    pub(super) chunks: Vec<Bytes>,
    pub(super) end: End,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    Complete,
    Cut,
    Hang,
}

impl Answer {
    /// A status and a JSON document.
    ///
    /// # Panics
    /// When the status is not one.
    pub fn json(status: u16, document: Value) -> Self {
        Self::of(status, "application/json", vec![document.to_string().into()])
    }

    /// A completed chat: what a provider says to a request that is not streamed.
    pub fn chat(text: &str) -> Self {
        Self::json(
            200,
            json!({
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": "scripted-1",
                "choices": [{
                    "index": 0,
                    "message": { "role": "assistant", "content": text },
                    "finish_reason": "stop",
                }],
                "usage": { "prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12 },
            }),
        )
    }

    /// A streamed chat in the given pieces, then the end of the choice, the usage and `[DONE]`.
    pub fn chat_stream(pieces: &[&str]) -> Self {
        let mut chunks = vec![chunk(json!({ "role": "assistant", "content": "" }), None)];
        chunks.extend(
            pieces
                .iter()
                .map(|piece| chunk(json!({ "content": piece }), None)),
        );
        chunks.push(chunk(json!({}), Some("stop")));
        let mut usage = event_object();
        usage["choices"] = json!([]);
        usage["usage"] = json!({ "prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12 });
        chunks.push(usage);
        let events: Vec<String> = chunks
            .iter()
            .map(ToString::to_string)
            .chain(["[DONE]".to_owned()])
            .collect();
        Self::events(events)
    }

    /// A stream of server-sent events, each with the given data.
    pub fn events(data: impl IntoIterator<Item = String>) -> Self {
        Self::raw(data.into_iter().map(|data| format!("data: {data}\n\n")))
    }

    /// An event stream in exactly these pieces, each sent by itself.
    pub fn raw(pieces: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        Self::of(
            200,
            "text/event-stream",
            pieces.into_iter().map(Into::into).collect(),
        )
    }

    /// An error as OpenAI words it.
    ///
    /// # Panics
    /// When the status is not one.
    pub fn error(status: u16, message: &str) -> Self {
        Self::json(
            status,
            json!({ "error": { "message": message, "type": "scripted", "param": null, "code": null } }),
        )
    }

    /// No answer at all: the connection stays open.
    pub fn hang() -> Self {
        Self {
            delay: Duration::MAX,
            ..Self::raw(Vec::<Bytes>::new())
        }
    }

    /// The same with `Retry-After`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header("retry-after", &seconds.to_string())
    }

    /// The same with one more header.
    ///
    /// # Panics
    /// When it is no valid header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        self.headers
            .insert(name, HeaderValue::from_str(value).expect("a header's value"));
        self
    }

    /// The same after waiting.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// The same with a wait before each piece but the first.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// The same, with the connection broken after so many pieces.
    #[must_use]
    pub fn cut_after(mut self, pieces: usize) -> Self {
        self.chunks.truncate(pieces);
        Self {
            end: End::Cut,
            ..self
        }
    }

    /// The same, with nothing more after so many pieces and no end.
    #[must_use]
    pub fn hang_after(mut self, pieces: usize) -> Self {
        self.chunks.truncate(pieces);
        Self {
            end: End::Hang,
            ..self
        }
    }

    fn of(status: u16, content_type: &'static str, chunks: Vec<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let status = StatusCode::from_u16(status).expect("a status");
        let (delay, pause) = (Duration::ZERO, Duration::ZERO);
        Self {
            status,
            headers,
            delay,
            pause,
            chunks,
            end: End::Complete,
        }
    }
}

fn event_object() -> Value {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "scripted-1",
    })
}

fn chunk(delta: Value, finish_reason: Option<&str>) -> Value {
    let mut object = event_object();
    object["choices"] = json!([{ "index": 0, "delta": delta, "finish_reason": finish_reason }]);
    object
}
