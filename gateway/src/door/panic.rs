//! A panic anywhere behind this layer becomes an internal error, and its text stays here.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_errors::ApiError;
use futures::FutureExt as _;
use http::Request;

use crate::Gateway;
use crate::door::observe;
use crate::refusal::{Form, refuse};

pub(crate) async fn layer(State(_): State<Arc<Gateway>>, request: Request<Body>, next: Next) -> Response {
    let (form, request_id) = (Form::of(&request), observe::request_id(&request));
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            let error = ApiError::internal();
            tracing::error!(error_id = %error.error_id, %request_id, "the gateway panicked");
            refuse(form, &request_id, error)
        }
    }
}
