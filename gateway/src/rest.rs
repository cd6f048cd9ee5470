//! REST, made from the method table: a request becomes the RPC's message, the answer becomes JSON or events.

mod bytes;
mod cookie;
mod device;
mod events;
mod form;
mod input;
pub(crate) mod oauth;
mod oidc;
pub(crate) mod raw;
mod subject;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use causeway_contracts::{Method, Route, to_json};
use causeway_errors::ApiError;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value;

use crate::Gateway;
use crate::refusal::{Form, refuse};
use crate::rpc::{self, Origin};

pub(crate) use cookie::cookie as refresh_cookie;
pub(crate) use events::{event, respond};
pub(crate) use subject::Subject;

/// Answers a REST call.
pub(crate) async fn answer(
    gateway: &Gateway,
    method: &'static Method,
    route: &'static Route,
    parameters: Vec<(String, String)>,
    request: Request<Body>,
) -> Response {
    let (form, origin) = (Form::of(&request), Origin::of(&request));
    let request_id = origin.request_id.clone();
    match transcode(gateway, method, route, parameters, request, origin).await {
        Ok(response) => response,
        Err(error) => refuse(form, &request_id, in_the_clients_words(route, error)),
    }
}

/// A service names the fields of its message; the client wrote a path, a query and a body.
fn in_the_clients_words(route: &Route, mut error: ApiError) -> ApiError {
    for violation in &mut error.violations {
        violation.field = within(route, &violation.field);
    }
    if let [one] = error.violations.as_slice()
        && error.reason == "INVALID_ARGUMENT"
    {
        error.message = format!("{}: {}", one.field, one.description).into();
    }
    error
}

async fn transcode(
    gateway: &Gateway,
    method: &'static Method,
    route: &'static Route,
    parameters: Vec<(String, String)>,
    request: Request<Body>,
    origin: Origin,
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let body = rpc::read(body).await?;
    oidc::narrow(method, &mut parts);
    let descriptor = rpc::message(method.input)?;
    let spoken = oauth::is_spoken(method);
    let mut json = if spoken && form::is_form(&parts.headers) {
        form::read(&descriptor, &parts, &body)?
    } else if raw::is_raw(&descriptor, route) {
        raw::read(&descriptor, route, &parts, &body)?
    } else {
        input::assemble(&descriptor, route, &parameters, &parts, &body)?
    };
    oauth::take(&parts, &mut json)?;
    let by_cookie = cookie::take(&gateway.config, method, &parts, &mut json)?;
    device::take(&gateway.config, method, &parts, &mut json);
    let by_step_cookie = oidc::take(&gateway.config, method, &parts, &mut json)?;
    subject::take(&parts, &mut json)?;
    input::take_idempotency_key(&descriptor, &parts.headers, &mut json);
    if bytes::is_body(method) {
        return bytes::answer(&gateway.mesh, method, origin, &parts, &descriptor, json).await;
    }
    let message = causeway_contracts::from_json(&descriptor, Value::Object(json))
        .map_err(|error| ApiError::invalid(error.path, error.reason))?;
    if method.server_streaming {
        let request_id = origin.request_id.clone();
        let answers = rpc::call(&gateway.mesh, method, origin, &message).await?;
        return Ok(events::stream(answers, request_id));
    }
    let answer = rpc::unary(&gateway.mesh, method, origin, &message).await?;
    let mut headers = HeaderMap::new();
    let mut json = picked(&answer, route.response_body)?;
    let onward = oidc::Onward::of(&gateway.config, method, by_step_cookie, &mut json);
    cookie::give(&gateway.config, method, by_cookie, &mut json, &mut headers);
    device::give(&gateway.config, method, &mut json, &mut headers);
    if let Some(status) = onward.write(&mut headers) {
        return Ok((status, headers).into_response());
    }
    if spoken {
        oauth::trim(&mut json);
        oauth::mark(&mut headers);
    }
    if let Some(kept) = kept(method) {
        headers.insert(header::CACHE_CONTROL, kept);
    }
    let status = StatusCode::from_u16(method.success_status).unwrap_or(StatusCode::OK);
    Ok((status, headers, axum::Json(json)).into_response())
}

/// For how long anybody may keep the answer. What nobody may keep is marked at the door.
fn kept(method: &Method) -> Option<HeaderValue> {
    let seconds = Some(method.cache_seconds).filter(|seconds| *seconds > 0)?;
    HeaderValue::try_from(format!("public, max-age={seconds}")).ok()
}

/// The path of a wrong field as the client wrote it: without the field that the body stands for.
fn within(route: &Route, path: &str) -> String {
    if route.body.is_empty() || route.body == "*" {
        return path.to_owned();
    }
    let prefix = format!("{}.", route.body);
    path.strip_prefix(&prefix).unwrap_or(path).to_owned()
}

/// The part of the answer that the route shows.
fn picked(answer: &DynamicMessage, field: &str) -> Result<Value, ApiError> {
    let json = to_json(answer).map_err(|_| ApiError::internal())?;
    if field.is_empty() {
        return Ok(json);
    }
    match json {
        Value::Object(mut fields) => fields.remove(field).ok_or_else(ApiError::internal),
        _ => Err(ApiError::internal()),
    }
}

/// Whether a message has a field of that name.
fn has_field(descriptor: &MessageDescriptor, name: &str) -> bool {
    descriptor.get_field_by_name(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_the_client_wrote_them() {
        let method = causeway_contracts::method("/causeway.tenancy.v1.TenancyService/UpdateWorkspace");
        let route = &method.unwrap().routes[0];
        assert_eq!(route.body, "workspace");
        let error = in_the_clients_words(route, ApiError::invalid("workspace.name", "must not be empty"));
        assert_eq!(error.violations[0].field, "name");
        assert_eq!(error.message, "name: must not be empty");
        let error = in_the_clients_words(route, ApiError::not_found("WORKSPACE_NOT_FOUND", "none"));
        assert_eq!(error.message, "none");
    }
}
