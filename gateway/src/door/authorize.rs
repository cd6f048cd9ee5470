//! The method table decides (RBAC-01). The service asks the same question again.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_context::Caller;
use causeway_errors::ApiError;
use http::Request;

use crate::Gateway;
use crate::refusal::refuse_request;
use crate::target::Target;

pub(crate) async fn layer(State(_): State<Arc<Gateway>>, request: Request<Body>, next: Next) -> Response {
    let method = request.extensions().get::<Target>().and_then(Target::method);
    let caller = request.extensions().get::<Caller>();
    match (method, caller) {
        (None, _) => next.run(request).await,
        (Some(method), Some(caller)) => match caller.authorize(method) {
            Ok(()) => next.run(request).await,
            Err(error) => refuse_request(&request, error),
        },
        (Some(_), None) => refuse_request(&request, ApiError::unauthenticated()),
    }
}

#[cfg(test)]
mod oracle;
