//! OpenAI's surface: chat completions, plain and streamed, over our own `Generate` and `GenerateStream`.

mod chat;
mod request;
mod stream;

use axum::body::Body;
use axum::response::Response;
use causeway_contracts::{Method, method};
use causeway_errors::ApiError;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use prost_reflect::{DynamicMessage, ReflectMessage as _};

use crate::Gateway;
use crate::json;
use crate::refusal::{Form, refuse};
use crate::rpc::{self, Origin};

const STREAM: &str = "/causeway.llm.v1.LlmService/GenerateStream";

/// Answers `POST /v1/chat/completions`.
pub(crate) async fn chat(gateway: &Gateway, generate: &'static Method, request: Request<Body>) -> Response {
    let origin = Origin::of(&request);
    let request_id = origin.request_id.clone();
    match answer(gateway, generate, request, origin).await {
        Ok(response) => response,
        Err(error) => refuse(Form::Openai, &request_id, error),
    }
}

async fn answer(
    gateway: &Gateway,
    generate: &'static Method,
    request: Request<Body>,
    origin: Origin,
) -> Result<Response, ApiError> {
    json::check_type(request.headers())?;
    let body = rpc::read(request.into_body()).await?;
    let chat = request::parse(&body)?;
    if chat.stream {
        let method = method(STREAM).ok_or_else(ApiError::internal)?;
        // The surface is declared on `Generate`; its stream asks for the same permission, but of itself.
        origin.caller.authorize(method)?;
        let input = chat.stream_message()?;
        let request_id = origin.request_id.clone();
        let answers = rpc::call(&gateway.mesh, method, origin, &input).await?;
        return stream::respond(answers, request_id, chat.include_usage).await;
    }
    let message = rpc::unary(&gateway.mesh, generate, origin, &chat.message()?).await?;
    chat::respond(&message)
}

/// A text field of an answer.
fn text(message: &DynamicMessage, field: &str) -> String {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// A number field of an answer.
fn number(message: &DynamicMessage, field: &str) -> i64 {
    let value = message.get_field_by_name(field);
    value
        .and_then(|value| value.as_i64().or_else(|| value.as_i32().map(i64::from)))
        .unwrap_or_default()
}

/// The tokens of an answer, in OpenAI's words; nothing while they are not known.
fn usage(message: &DynamicMessage) -> Option<serde_json::Value> {
    let field = message.descriptor().get_field_by_name("usage")?;
    if !message.has_field(&field) {
        return None;
    }
    let value = message.get_field(&field);
    let usage = value.as_message()?;
    let (read, made) = (number(usage, "input_tokens"), number(usage, "output_tokens"));
    Some(serde_json::json!({"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}))
}

/// Which provider answered, for those who look at headers.
fn headers(message: &DynamicMessage) -> HeaderMap {
    let values = [
        ("x-causeway-provider", text(message, "provider")),
        ("x-causeway-model", text(message, "model")),
        ("x-causeway-attempts", number(message, "attempts").to_string()),
    ];
    values
        .into_iter()
        .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?)))
        .collect()
}
