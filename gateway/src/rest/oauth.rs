//! OAuth's own wire (RFC 6749): a client by HTTP Basic, errors of §5.2, answers without what is empty. An RPC says with
//! its option `dialect` that it is spoken on its routes.

use std::collections::HashSet;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_contracts::{Dialect, METHODS, Method};
use causeway_errors::{ApiError, Code, http_status};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use serde_json::{Map, Value, json};

use super::input;

const ID: &str = "client_id";
const SECRET: &str = "client_secret";

/// Whether the RPC's routes speak OAuth.
pub(crate) fn is_spoken(method: &Method) -> bool {
    method.dialect == Some(Dialect::Oauth)
}

/// Whether a path speaks OAuth, under whichever of its prefixes.
pub(crate) fn is_spoken_at(path: &str) -> bool {
    static PATHS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
        let methods = METHODS.iter().filter(|method| is_spoken(method));
        let routes = methods.flat_map(|method| method.routes);
        routes.map(|route| route.path).collect()
    });
    let path = path.strip_prefix("/api").unwrap_or(path);
    let path = path
        .strip_prefix("/v1")
        .filter(|rest| rest.starts_with("/auth/"))
        .unwrap_or(path);
    PATHS.contains(path)
}

/// A client that showed itself by HTTP Basic.
#[derive(Clone)]
struct BasicClient {
    id: String,
    secret: String,
}

/// Sets a Basic credential aside, before the door forgets credentials. Answers whether there was one.
///
/// # Errors
/// `invalid_client` for one that cannot be read.
pub(crate) fn set_aside<B>(request: &mut Request<B>) -> Result<bool, ApiError> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(false);
    };
    let basic = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let Some((_, encoded)) = basic else {
        return Ok(false);
    };
    if values.next().is_some() || request.headers().contains_key("x-api-key") {
        return Err(several());
    }
    let client = client_of(encoded.trim()).ok_or_else(refused)?;
    request.extensions_mut().insert(client);
    Ok(true)
}

/// Id and secret, each encoded as in a form (RFC 6749 §2.3.1).
fn client_of(encoded: &str) -> Option<BasicClient> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let (id, secret) = (input::unescape(id)?, input::unescape(secret)?);
    // An empty id or secret would look like none at all further in.
    (!id.is_empty() && !secret.is_empty()).then_some(BasicClient { id, secret })
}

/// A client that did not prove itself.
pub(crate) fn refused() -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        "INVALID_CLIENT",
        "client authentication failed",
    )
}

fn several() -> ApiError {
    ApiError::new(
        Code::InvalidArgument,
        "SEVERAL_CREDENTIALS",
        "a client shows itself in one way",
    )
}

/// Moves the Basic credential into the request's message. A body may repeat the id, not the secret.
pub(super) fn take(parts: &Parts, json: &mut Map<String, Value>) -> Result<(), ApiError> {
    let Some(client) = parts.extensions.get::<BasicClient>() else {
        return Ok(());
    };
    let given = |name: &str, camel: &str| {
        json.get(name)
            .or_else(|| json.get(camel))
            .filter(|value| **value != "")
    };
    let other = given(ID, "clientId").is_some_and(|id| *id != client.id.as_str());
    if other || given(SECRET, "clientSecret").is_some() {
        return Err(several());
    }
    for name in ["clientId", "clientSecret"] {
        json.remove(name);
    }
    json.insert(ID.to_owned(), Value::String(client.id.clone()));
    json.insert(SECRET.to_owned(), Value::String(client.secret.clone()));
    Ok(())
}

/// Leaves out of an answer what is empty: to clients of OAuth an absent member and an empty one differ. What is false
/// stays.
pub(super) fn trim(json: &mut Value) {
    if let Value::Object(fields) = json {
        fields.retain(|_, value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Number(number) => number.as_i64() != Some(0),
            Value::Bool(_) | Value::Object(_) => true,
        });
    }
}

/// What older caches read (RFC 6749 §5.1); newer ones are told by the door.
pub(super) fn mark(headers: &mut HeaderMap) {
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// The status, the body and the headers of a refusal.
pub(crate) fn refusal(error: &ApiError) -> (StatusCode, Value, HeaderMap) {
    let word = word(error);
    let status = match http_status(error) {
        StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::NOT_FOUND | StatusCode::CONFLICT => {
            StatusCode::BAD_REQUEST
        }
        status => status,
    };
    let mut headers = HeaderMap::new();
    mark(&mut headers);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = match word {
            "invalid_token" => r#"Bearer realm="causeway", error="invalid_token""#,
            _ => r#"Basic realm="causeway", charset="UTF-8""#,
        };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    let body = json!({
        "error": word,
        "error_description": plain(&error.message),
        "error_id": error.error_id,
    });
    (status, body, headers)
}

/// The word of an error: its reason where that is one of OAuth's, else the nearest.
fn word(error: &ApiError) -> &'static str {
    const WORDS: [(&str, &str); 8] = [
        ("INVALID_REQUEST", "invalid_request"),
        ("INVALID_CLIENT", "invalid_client"),
        ("INVALID_GRANT", "invalid_grant"),
        ("UNAUTHORIZED_CLIENT", "unauthorized_client"),
        ("UNSUPPORTED_GRANT_TYPE", "unsupported_grant_type"),
        ("INVALID_SCOPE", "invalid_scope"),
        ("INVALID_TARGET", "invalid_target"),
        ("PAYLOAD_TOO_LARGE", "invalid_request"),
    ];
    if let Some((_, word)) = WORDS.iter().find(|(reason, _)| *reason == error.reason) {
        return word;
    }
    match error.code {
        Code::Unauthenticated => "invalid_token",
        Code::PermissionDenied => "access_denied",
        Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded => "temporarily_unavailable",
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => "server_error",
        Code::InvalidArgument
        | Code::OutOfRange
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Aborted
        | Code::Unimplemented
        | Code::Cancelled => "invalid_request",
    }
}

/// A description holds visible ASCII without quotes and backslashes (RFC 6749 §5.2).
fn plain(text: &str) -> String {
    let kept = |letter: char| match letter {
        '"' => '\'',
        ' '..='!' | '#'..='[' | ']'..='~' => letter,
        _ => '?',
    };
    text.chars().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(authorization: &[&str], body: Value) -> Result<Value, ApiError> {
        let mut request = Request::new(());
        for value in authorization {
            request
                .headers_mut()
                .append(header::AUTHORIZATION, value.parse().unwrap());
        }
        set_aside(&mut request)?;
        let Value::Object(mut json) = body else {
            panic!("a body is an object")
        };
        take(&request.into_parts().0, &mut json)?;
        Ok(Value::Object(json))
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn a_client_shows_itself_by_basic() {
        let expected = json!({"client_id": "c", "client_secret": "s:+ü", "scope": "a"});
        for body in [
            json!({"scope": "a"}),
            json!({"scope": "a", "client_id": "c", "client_secret": ""}),
        ] {
            let shown = taken(&[&basic("c:s%3A%2B%C3%BC")], body);
            assert_eq!(shown, Ok(expected.clone()));
        }
        let by_body = json!({"client_id": "c", "client_secret": "s"});
        assert_eq!(taken(&[], by_body.clone()), Ok(by_body));
    }

    #[test]
    fn a_client_shows_itself_once() {
        let credential = basic("c:s");
        for (headers, body) in [
            (&[credential.as_str()][..], json!({"client_secret": "s"})),
            (&[&credential], json!({"clientSecret": "s"})),
            (&[&credential], json!({"client_id": "d"})),
            (&[&credential, "Bearer t"], json!({})),
        ] {
            let error = taken(headers, body).unwrap_err();
            assert_eq!(refusal(&error).1["error"], "invalid_request");
        }
    }

    #[test]
    fn a_credential_that_cannot_be_read_is_a_wrong_client() {
        for bad in [
            "Basic ?",
            "Basic Yw==",
            "Basic Og==",
            &basic("c:%zz"),
            &basic("c:"),
        ] {
            let (status, body, headers) = refusal(&taken(&[bad], json!({})).unwrap_err());
            assert_eq!((status.as_u16(), &body["error"]), (401, &json!("invalid_client")));
            assert!(
                headers[header::WWW_AUTHENTICATE]
                    .to_str()
                    .unwrap()
                    .starts_with("Basic ")
            );
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        }
    }

    #[test]
    fn errors_have_the_words_and_the_statuses_of_the_protocol() {
        let shown = |code, reason: &'static str| {
            let (status, body, _) = refusal(&ApiError::new(code, reason, "what \"it\" is\u{e9}"));
            assert_eq!(body["error_description"], "what 'it' is?");
            (status.as_u16(), body["error"].as_str().unwrap().to_owned())
        };
        for (code, reason, expected) in [
            (Code::InvalidArgument, "INVALID_SCOPE", (400, "invalid_scope")),
            (
                Code::InvalidArgument,
                "INVALID_ARGUMENT",
                (400, "invalid_request"),
            ),
            (
                Code::InvalidArgument,
                "UNSUPPORTED_MEDIA_TYPE",
                (400, "invalid_request"),
            ),
            (Code::Unauthenticated, "INVALID_CLIENT", (401, "invalid_client")),
            (Code::Unauthenticated, "UNAUTHENTICATED", (401, "invalid_token")),
            (
                Code::PermissionDenied,
                "PERMISSION_DENIED",
                (403, "access_denied"),
            ),
            (
                Code::ResourceExhausted,
                "PAYLOAD_TOO_LARGE",
                (413, "invalid_request"),
            ),
            (
                Code::ResourceExhausted,
                "RATE_LIMITED",
                (429, "temporarily_unavailable"),
            ),
            (Code::Internal, "INTERNAL", (500, "server_error")),
        ] {
            assert_eq!(
                shown(code, reason),
                (expected.0, expected.1.to_owned()),
                "{reason}"
            );
        }
    }

    #[test]
    fn what_is_empty_is_left_out_and_what_is_false_stays() {
        let mut answer =
            json!({"active": false, "scope": "", "exp": 0, "aud": null, "list": [], "expires_in": 900});
        trim(&mut answer);
        assert_eq!(answer, json!({"active": false, "expires_in": 900}));
    }

    #[test]
    fn the_paths_are_those_of_the_option() {
        for path in ["/auth/token", "/v1/auth/introspect", "/api/v1/auth/revoke"] {
            assert!(is_spoken_at(path), "{path}");
        }
        for path in ["/auth/login", "/v1/tokens", "/v1/token", "/auth/token/x"] {
            assert!(!is_spoken_at(path), "{path}");
        }
    }
}
