//! The refresh token in a browser: in a cookie that no script can read, never in a body (B-AUTH-13, REF-08).

use causeway_contracts::Method;
use causeway_errors::{ApiError, Code};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value};

use crate::Config;

const FIELD: &str = "refresh_token";
const LOGIN: &str = "/causeway.auth.v1.AuthService/Login";
const REFRESH: &str = "/causeway.auth.v1.AuthService/Refresh";
const LOGOUT: &str = "/causeway.auth.v1.AuthService/Logout";

/// Moves the cookie's token into the request; answers whether there was one. A token in the body goes first.
pub(super) fn take(
    config: &Config,
    method: &Method,
    headers: &HeaderMap,
    json: &mut Map<String, Value>,
) -> Result<bool, ApiError> {
    let reads = [REFRESH, LOGOUT].contains(&method.path);
    if !reads || json.contains_key(FIELD) || json.contains_key("refreshToken") {
        return Ok(false);
    }
    let Some(token) = cookie(headers, &config.cookie.name)? else {
        return Ok(false);
    };
    if !same_site(config, headers) {
        // The cookie stays: a foreign page must not be able to log a person out.
        return Err(ApiError::forbidden(
            "CROSS_SITE_REQUEST",
            "this origin may not use the session",
        ));
    }
    json.insert(FIELD.to_owned(), Value::String(token));
    Ok(true)
}

/// Moves the answer's token into the cookie, or ends the cookie.
pub(super) fn give(
    config: &Config,
    method: &Method,
    by_cookie: bool,
    json: &mut Value,
    headers: &mut HeaderMap,
) {
    let moves = method.path == LOGIN || (method.path == REFRESH && by_cookie);
    let set = if method.path == LOGOUT {
        Some(write(config, "", 0))
    } else if moves {
        let token = json.as_object_mut().and_then(|fields| fields.remove(FIELD));
        token
            .as_ref()
            .and_then(Value::as_str)
            .map(|token| write(config, token, config.refresh_seconds))
    } else {
        None
    };
    if let Some(mut value) = set.and_then(|text| HeaderValue::try_from(text).ok()) {
        value.set_sensitive(true);
        headers.insert(header::SET_COOKIE, value);
    }
}

fn write(config: &Config, token: &str, seconds: i64) -> String {
    let cookie = &config.cookie;
    let domain = cookie
        .domain
        .as_ref()
        .map(|domain| format!("; Domain={domain}"))
        .unwrap_or_default();
    let secure = if config.public_https { "; Secure" } else { "" };
    format!(
        "{}={token}; Path={}; Max-Age={seconds}; HttpOnly; SameSite={}{domain}{secure}",
        cookie.name, cookie.path, cookie.same_site
    )
}

/// The one cookie of that name; two are an error, for one of them is somebody else's (REF-07).
fn cookie(headers: &HeaderMap, name: &str) -> Result<Option<String>, ApiError> {
    let values: Vec<&str> = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .collect();
    match values.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).to_owned())),
        _ => Err(ApiError::new(
            Code::InvalidArgument,
            "SEVERAL_CREDENTIALS",
            "the refresh cookie is given twice",
        )),
    }
}

/// Whether the page that sent the request may use the cookie: one of ours, or none at all (not a browser).
fn same_site(config: &Config, headers: &HeaderMap) -> bool {
    if headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "same-origin")
    {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()) else {
        return !headers.contains_key(header::ORIGIN);
    };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let own = host.is_some_and(|host| {
        [format!("http://{host}"), format!("https://{host}")]
            .iter()
            .any(|own| own == origin)
    });
    own || config.origins.iter().any(|allowed| allowed == origin)
}
