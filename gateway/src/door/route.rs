//! One spelling of a path (RBAC-05), then one look into the routes: every later layer decides by what is found here.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use causeway_errors::ApiError;
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version, header};

use crate::Gateway;
use crate::door::region::Asked;
use crate::refusal::refuse_request;
use crate::target::{Nowhere, Target};

pub(crate) async fn layer(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    if request.method() == Method::OPTIONS && request.uri().path() == "*" {
        return StatusCode::NO_CONTENT.into_response();
    }
    if !is_canonical(request.uri().path()) {
        return refuse_request(
            &request,
            ApiError::invalid("path", "is not in its canonical form"),
        );
    }
    if !names_its_host(&request) {
        return refuse_request(&request, ApiError::invalid("Host", "must be given once"));
    }
    let asked = Asked(request.uri().path_and_query().cloned());
    if let Some(uri) = renamed(request.uri()) {
        *request.uri_mut() = uri;
    }
    let target = match gateway.targets.find(&request) {
        Ok(target) => target,
        Err(nowhere) => return answer(&request, *nowhere),
    };
    let label = target.label();
    request.extensions_mut().insert(asked);
    request.extensions_mut().insert::<Target>(target);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(label);
    response
}

/// The refusal of a request that goes nowhere, or what may be done at its route when that was the question.
fn answer(request: &Request<Body>, nowhere: Nowhere) -> Response {
    let allow = nowhere.allow.and_then(|allow| HeaderValue::try_from(allow).ok());
    let mut response = if allow.is_some() && request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        refuse_request(request, nowhere.error)
    };
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// HTTP/1.1 asks for one `Host` (RFC 9112); whoever reads another one in front of us reads another request.
fn names_its_host<B>(request: &Request<B>) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    match request.version() {
        Version::HTTP_11 => hosts == 1,
        _ => hosts <= 1,
    }
}

/// Whether a path has one reading: no empty or dotted segment, no parameter, nothing encoded that could be a
/// separator or a dot, no control character.
fn is_canonical(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let hidden = ["%2e", "%2f", "%5c", "%00", "%25", "%3b"]
        .iter()
        .any(|code| lower.contains(code));
    let separators = path.contains("//") || path.contains(';') || path.contains('\\');
    let dotted = path
        .split('/')
        .any(|segment| segment == "." || segment == ".." || segment.ends_with('.'));
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    let readable = decoded.is_ok_and(|text| !text.chars().any(char::is_control));
    let escapes = path
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    path.starts_with('/') && !hidden && !separators && !dotted && readable && escapes
}

/// The same route under its other prefixes (contract §1, C-19).
fn renamed(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let new = if let Some(rest) = path
        .strip_prefix("/api/v1/auth/")
        .or_else(|| path.strip_prefix("/v1/auth/"))
    {
        format!("/auth/{rest}")
    } else if let Some(rest) = path.strip_prefix("/api/v1/") {
        format!("/v1/{rest}")
    } else if path == "/api/tasks" || path.starts_with("/api/tasks/") {
        path.replacen("/api/", "/v1/", 1)
    } else {
        return None;
    };
    let with_query = match uri.query() {
        Some(query) => format!("{new}?{query}"),
        None => new,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(with_query.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RBAC-05.
    #[test]
    fn paths_with_two_readings_are_refused() {
        for path in [
            "//v1/me",
            "/v1//me",
            "/v1/%2e%2e/me",
            "/v1/%2E/me",
            "/v1/me;x=1",
            "/v1/../me",
            "/v1/./me",
            "/v1/me.",
            "/v1/a%2fb",
            "/v1/a%5Cb",
            "/v1/%ff",
            "/v1/a%00",
            "/v1/a%0ab",
            "/v1/%zz",
            "/v1/%",
            "/v1/a%252fb",
        ] {
            assert!(!is_canonical(path), "{path}");
        }
        for path in [
            "/",
            "/v1/me",
            "/v1/secrets/stripe.key",
            "/.well-known/jwks.json",
            "/v1/secrets/a%20b",
        ] {
            assert!(is_canonical(path), "{path}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        let named = |version, hosts: &[&str]| {
            let mut request = Request::builder().version(version);
            for host in hosts {
                request = request.header("host", *host);
            }
            names_its_host(&request.body(()).unwrap())
        };
        assert!(
            named(Version::HTTP_11, &["a"]) && named(Version::HTTP_2, &[]) && named(Version::HTTP_10, &[])
        );
        assert!(!named(Version::HTTP_11, &[]) && !named(Version::HTTP_11, &["a", "b"]));
    }

    #[test]
    fn other_prefixes_are_the_same_routes() {
        let renamed = |text: &str| super::renamed(&text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(
            renamed("/api/v1/secrets?page_size=1").as_deref(),
            Some("/v1/secrets?page_size=1")
        );
        assert_eq!(renamed("/v1/auth/login").as_deref(), Some("/auth/login"));
        assert_eq!(
            renamed("http://host.example/v1/auth/login").as_deref(),
            Some("http://host.example/auth/login")
        );
        assert_eq!(renamed("/v1/secrets"), None);
    }
}
