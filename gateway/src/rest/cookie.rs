//! The refresh token in a browser: in a cookie that no script can read, never in a body (B-AUTH-13, REF-08).

use causeway_contracts::Method;
use causeway_errors::{ApiError, Code};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value};

use super::oidc::FINISH;
use super::subject::EXCHANGE;
use crate::Config;
use crate::config::CookieConfig;

const FIELD: &str = "refresh_token";
const LOGIN: &str = "/causeway.auth.v1.AuthService/Login";
/// Finishes a login.
const VERIFY: &str = "/causeway.auth.v1.MfaService/VerifyLogin";
const REFRESH: &str = "/causeway.auth.v1.AuthService/Refresh";
const LOGOUT: &str = "/causeway.auth.v1.AuthService/Logout";

/// Moves the cookie's token into the request; answers whether the session is the cookie's. A token in the body goes
/// first.
pub(super) fn take(
    config: &Config,
    method: &Method,
    parts: &Parts,
    json: &mut Map<String, Value>,
) -> Result<bool, ApiError> {
    let reads = [REFRESH, LOGOUT].contains(&method.path);
    if !reads || json.contains_key(FIELD) || json.contains_key("refreshToken") {
        return Ok(false);
    }
    if !same_site(config, parts) {
        // Also when no cookie came, for SameSite may have held it back: the answer would end the cookie, and a
        // foreign page must not be able to log a person out.
        return Err(ApiError::forbidden(
            "CROSS_SITE_REQUEST",
            "this origin may not use the session",
        ));
    }
    if let Some(token) = cookie(&parts.headers, &config.cookie.name)? {
        json.insert(FIELD.to_owned(), Value::String(token));
    }
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
    leave_out_what_is_not_there(method, json);
    let moves =
        [LOGIN, VERIFY, EXCHANGE, FINISH].contains(&method.path) || (method.path == REFRESH && by_cookie);
    let set = if method.path == LOGOUT {
        let ended = CookieConfig {
            seconds: 0,
            ..config.cookie.clone()
        };
        by_cookie.then(|| write(&ended, ""))
    } else if moves {
        let token = json.as_object_mut().and_then(|fields| fields.remove(FIELD));
        token
            .as_ref()
            .and_then(Value::as_str)
            .filter(|token| !token.is_empty())
            .map(|token| write(&config.cookie, token))
    } else {
        None
    };
    if let Some(mut value) = set.and_then(|text| HeaderValue::try_from(text).ok()) {
        value.set_sensitive(true);
        headers.insert(header::SET_COOKIE, value);
    }
}

/// A login that asks for a second factor has no session yet (contract §2): its answer says nothing of one.
fn leave_out_what_is_not_there(method: &Method, json: &mut Value) {
    if method.path != LOGIN && method.path != FINISH {
        return;
    }
    if let Some(fields) = json.as_object_mut()
        && fields.get("mfa_required") == Some(&Value::Bool(true))
    {
        fields.retain(|name, _| name.starts_with("mfa_"));
    }
}

pub(super) fn write(cookie: &CookieConfig, token: &str) -> String {
    let domain = cookie
        .domain
        .as_ref()
        .map(|domain| format!("; Domain={domain}"))
        .unwrap_or_default();
    let secure = if cookie.secure { "; Secure" } else { "" };
    format!(
        "{}={token}; Path={}; Max-Age={}; HttpOnly; SameSite={}{domain}{secure}",
        cookie.name, cookie.path, cookie.seconds, cookie.same_site
    )
}

/// The one cookie of that name; two are an error, for one of them is somebody else's (REF-07).
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Result<Option<String>, ApiError> {
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
            "the cookie is given twice",
        )),
    }
}

/// Whether the page that sent the request may use the cookie: one of ours, or none at all (not a browser).
pub(super) fn same_site(config: &Config, parts: &Parts) -> bool {
    let headers = &parts.headers;
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site == "same-origin") {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()) else {
        // A browser that says it comes from elsewhere has to say from where.
        return !headers.contains_key(header::ORIGIN) && site.is_none_or(|site| site == "none");
    };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    // HTTP/2 says it in the address.
    let host = host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
    let own = host.is_some_and(|host| {
        [format!("http://{host}"), format!("https://{host}")]
            .iter()
            .any(|own| own == origin)
    });
    own || config.origins.iter().any(|allowed| allowed == origin)
}

#[cfg(test)]
pub(super) mod tests {
    use causeway_contracts::method;
    use causeway_settings::{Owner, Settings, Sources};
    use http::Request;
    use serde_json::json;

    use super::*;

    pub(in crate::rest) fn config(pairs: &[(&str, &str)]) -> Config {
        let pairs = pairs.iter().copied().chain([("NODE_ENV", "development")]);
        let settings = Settings::resolve(&Sources::from_pairs(pairs), &[Owner::Gateway]).unwrap();
        Config::from_settings(&settings).unwrap()
    }

    fn parts(headers: &[(&'static str, &str)]) -> Parts {
        let mut request = Request::builder().uri("http://door.example/auth/refresh");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn taken(path: &str, headers: &[(&'static str, &str)]) -> Result<(bool, Value), ApiError> {
        let mut json = Map::new();
        let config = config(&[("CORS_ALLOWED_ORIGINS", "https://front.example")]);
        let by_cookie = take(&config, method(path).unwrap(), &parts(headers), &mut json)?;
        Ok((by_cookie, json.remove(FIELD).unwrap_or_default()))
    }

    #[test]
    fn the_one_cookie_of_that_name_is_taken() {
        let cookie = ("cookie", "a=b; refresh_token=t=1; refresh_token_2=x");
        assert_eq!(taken(REFRESH, &[cookie]).unwrap(), (true, "t=1".into()));
        assert_eq!(taken(LOGIN, &[cookie]).unwrap(), (false, Value::Null));
        let two = taken(REFRESH, &[cookie, ("cookie", "refresh_token=u")]);
        assert_eq!(two.unwrap_err().reason, "SEVERAL_CREDENTIALS");
    }

    /// REF-08.
    #[test]
    fn pages_of_other_sites_touch_no_session_even_when_no_cookie_came() {
        let cookie = ("cookie", "refresh_token=t");
        for foreign in [
            "https://evil.example",
            "null",
            "https://front.example.evil.example",
        ] {
            for path in [REFRESH, LOGOUT] {
                for headers in [&[("origin", foreign), cookie][..], &[("origin", foreign)]] {
                    let error = taken(path, headers).unwrap_err();
                    assert_eq!(error.reason, "CROSS_SITE_REQUEST", "{foreign}");
                }
            }
        }
        for own in [
            "https://front.example",
            "http://door.example",
            "https://door.example",
        ] {
            assert!(taken(REFRESH, &[("origin", own), cookie]).unwrap().0, "{own}");
        }
        let fetched = [("origin", "null"), ("sec-fetch-site", "same-origin"), cookie];
        assert!(taken(REFRESH, &fetched).unwrap().0);
        assert!(taken(REFRESH, &[cookie]).unwrap().0, "no browser");
        for (site, may) in [("none", true), ("cross-site", false), ("same-site", false)] {
            let without_origin = taken(REFRESH, &[("sec-fetch-site", site), cookie]);
            assert_eq!(without_origin.is_ok(), may, "{site}");
        }
    }

    #[test]
    fn a_cookie_is_sent_over_https_only_where_the_public_side_is() {
        let plain = write(&config(&[]).cookie, "t");
        assert_eq!(
            plain,
            "refresh_token=t; Path=/auth; Max-Age=2592000; HttpOnly; SameSite=Lax"
        );
        let settings = [
            ("NEXTAUTH_URL", "https://door.example"),
            ("AUTH_REFRESH_COOKIE_SAMESITE", "none"),
            ("AUTH_REFRESH_COOKIE_DOMAIN", "door.example"),
        ];
        assert_eq!(
            write(&config(&settings).cookie, "t"),
            "refresh_token=t; Path=/auth; Max-Age=2592000; HttpOnly; SameSite=None; Domain=door.example; Secure"
        );
    }

    #[test]
    fn a_name_that_promises_something_to_browsers_keeps_it_ref_07() {
        let problems = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().copied().chain([("NODE_ENV", "development")]);
            let settings = Settings::resolve(&Sources::from_pairs(pairs), &[Owner::Gateway]).unwrap();
            let problems = Config::from_settings(&settings).err().unwrap_or_default();
            let names = problems.into_iter().map(|problem| problem.setting);
            names.collect::<Vec<_>>()
        };
        let (name, https) = (
            "AUTH_REFRESH_COOKIE_NAME",
            ("NEXTAUTH_URL", "https://door.example"),
        );
        let host = [(name, "__Host-rt"), https, ("AUTH_REFRESH_COOKIE_PATH", "/")];
        assert_eq!(problems(&host), Vec::<String>::new());
        let cookie = write(&config(&host).cookie, "t");
        assert_eq!(
            cookie,
            "__Host-rt=t; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(problems(&host[..2]), [name], "another path");
        let domain = ("AUTH_REFRESH_COOKIE_DOMAIN", "door.example");
        assert_eq!(problems(&[host[0], host[1], host[2], domain]), [name]);
        assert_eq!(problems(&[(name, "__Secure-rt")]), [name], "no https");
        assert_eq!(problems(&[(name, "__Secure-rt"), https]), Vec::<String>::new());
        let device = "AUTH_DEVICE_COOKIE_NAME";
        assert_eq!(
            problems(&[(device, "refresh_token")]),
            [device],
            "two cookies of one name"
        );
    }

    #[test]
    fn a_login_that_asks_for_a_second_factor_says_nothing_of_a_session() {
        let answered = |path: &str, mut json: Value| {
            let mut headers = HeaderMap::new();
            give(
                &config(&[]),
                method(path).unwrap(),
                false,
                &mut json,
                &mut headers,
            );
            (json, headers.contains_key(header::SET_COOKIE))
        };
        let asks = json!({"access_token": "", "expires_in": 0, "refresh_token": "", "mfa_required": true, "mfa_token": "t"});
        let (json, cookie) = answered(LOGIN, asks);
        assert_eq!(
            (json, cookie),
            (json!({"mfa_required": true, "mfa_token": "t"}), false)
        );
        for path in [LOGIN, VERIFY] {
            let (json, cookie) = answered(path, json!({"access_token": "a", "refresh_token": "t"}));
            assert_eq!((json, cookie), (json!({"access_token": "a"}), true));
        }
    }

    #[test]
    fn a_logout_ends_the_cookie_of_its_own_session_only() {
        let ended = |by_cookie| {
            let (mut json, mut headers) = (Value::Null, HeaderMap::new());
            give(
                &config(&[]),
                method(LOGOUT).unwrap(),
                by_cookie,
                &mut json,
                &mut headers,
            );
            headers.contains_key(header::SET_COOKIE)
        };
        assert!(ended(true) && !ended(false));
    }
}
