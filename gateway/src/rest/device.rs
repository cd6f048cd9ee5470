//! Browsers on which somebody signed in before: what such a browser shows at the next login is in a cookie that no script
//! can read, never in a body. It opens nothing; whoever shows it is not kept waiting for what others guess.

use causeway_contracts::Method;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value};

use super::cookie;
use crate::Config;

const FIELD: &str = "device_token";
const LOGIN: &str = "/causeway.auth.v1.AuthService/Login";
/// Finishes a login.
const VERIFY: &str = "/causeway.auth.v1.MfaService/VerifyLogin";

/// Moves the cookie into a login, unless the body has one. Two cookies of that name are none: a page of a sister domain that
/// sets one must not be able to keep anybody from logging in.
pub(super) fn take(config: &Config, method: &Method, parts: &Parts, json: &mut Map<String, Value>) {
    if method.path != LOGIN || json.contains_key(FIELD) || json.contains_key("deviceToken") {
        return;
    }
    let shown = cookie::cookie(&parts.headers, &config.device_cookie.name);
    if let Ok(Some(token)) = shown {
        json.insert(FIELD.to_owned(), Value::String(token));
    }
}

/// Moves what a login answered into the cookie.
pub(super) fn give(config: &Config, method: &Method, json: &mut Value, headers: &mut HeaderMap) {
    if ![LOGIN, VERIFY].contains(&method.path) {
        return;
    }
    let token = json.as_object_mut().and_then(|fields| fields.remove(FIELD));
    let token = token
        .as_ref()
        .and_then(Value::as_str)
        .filter(|token| !token.is_empty());
    let set = token.map(|token| cookie::write(&config.device_cookie, token));
    if let Some(mut value) = set.and_then(|text| HeaderValue::try_from(text).ok()) {
        value.set_sensitive(true);
        headers.append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use causeway_contracts::method;
    use http::Request;
    use serde_json::json;

    use super::*;
    use crate::rest::cookie::tests::config;

    fn taken(path: &str, cookies: &[&str], body: Value) -> Value {
        let mut request = Request::builder();
        for cookie in cookies {
            request = request.header("cookie", *cookie);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let Value::Object(mut json) = body else { panic!() };
        take(&config(&[]), method(path).unwrap(), &parts, &mut json);
        json.remove(FIELD).unwrap_or_default()
    }

    #[test]
    fn a_login_shows_the_one_cookie_of_its_browser() {
        let cookie = "a=b; causeway_device=cw_dev_1";
        assert_eq!(taken(LOGIN, &[cookie], json!({})), "cw_dev_1");
        assert_eq!(taken(LOGIN, &[cookie], json!({"device_token": "own"})), "own");
        assert_eq!(taken(LOGIN, &[cookie, cookie], json!({})), Value::Null);
        assert_eq!(taken(VERIFY, &[cookie], json!({})), Value::Null);
    }

    #[test]
    fn what_a_login_answers_goes_into_a_cookie_that_no_script_reads() {
        let given = |path: &str, pairs: &[(&str, &str)], mut json: Value| {
            let mut headers = HeaderMap::new();
            headers.insert(header::SET_COOKIE, HeaderValue::from_static("refresh_token=t"));
            give(&config(pairs), method(path).unwrap(), &mut json, &mut headers);
            let cookies = headers.get_all(header::SET_COOKIE).iter();
            let cookies = cookies.map(|value| value.to_str().unwrap().to_owned());
            (json, cookies.collect::<Vec<_>>())
        };
        for path in [LOGIN, VERIFY] {
            let answer = json!({"access_token": "a", "device_token": "cw_dev_1"});
            let (json, cookies) = given(path, &[("NEXTAUTH_URL", "https://door.example")], answer);
            assert_eq!(json, json!({"access_token": "a"}));
            assert_eq!(
                cookies[1],
                "causeway_device=cw_dev_1; Path=/auth; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure"
            );
        }
        let none = json!({"access_token": "a", "device_token": ""});
        let (json, cookies) = given(LOGIN, &[("AUTH_DEVICE_COOKIE_TTL_DAYS", "0")], none);
        assert_eq!((json, cookies.len()), (json!({"access_token": "a"}), 1));
    }
}
