//! Documents made from the contracts: OpenAPI 3.1, a readable page, an index for language models (B-DOC-2).

mod docs;
mod openapi;
mod schema;

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse as _, Response};
use http::header;

/// `GET /openapi.json`.
pub(crate) fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi::document().to_string());
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// `GET /docs`.
pub(crate) fn docs() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(docs::page);
    Html(PAGE.as_str()).into_response()
}

/// `GET /llms.txt`.
pub(crate) fn llms_txt() -> Response {
    static INDEX: LazyLock<String> = LazyLock::new(docs::index);
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        INDEX.as_str(),
    )
        .into_response()
}
