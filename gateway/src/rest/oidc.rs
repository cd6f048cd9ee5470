//! A sign-in at a provider, as a browser goes through it: redirects, and what it keeps meanwhile in cookies that no script
//! can read. No token is ever in an address.

use causeway_contracts::Method;
use causeway_errors::ApiError;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde_json::{Map, Value};

use super::cookie;
use crate::Config;
use crate::config::CookieConfig;

const START: &str = "/causeway.auth.v1.OidcService/StartSignIn";
/// Where the provider sends the browser back to.
pub(super) const FINISH: &str = "/causeway.auth.v1.OidcService/FinishSignIn";
/// Finishes a login.
const VERIFY: &str = "/causeway.auth.v1.MfaService/VerifyLogin";
const SIGN_IN: &str = "sign_in_token";
const SECOND_STEP: &str = "mfa_token";
/// For how long a sign-in may take, and a second step: as long as the tokens in the cookies.
const SIGN_IN_SECONDS: i64 = 600;
const SECOND_STEP_SECONDS: i64 = 300;
/// What of a provider's answer means something here. Providers add what they like.
const ANSWER: [&str; 4] = ["code", "state", "iss", "error"];

/// The cookie of a sign-in that is under way. It is the host's alone, where browsers keep that promise: a page of a sister
/// domain must not be able to put its own in the place of it.
fn sign_in_cookie(config: &Config) -> CookieConfig {
    let name = match config.cookie.secure {
        true => "__Host-causeway_sign_in",
        false => "causeway_sign_in",
    };
    CookieConfig {
        name: name.to_owned(),
        path: "/".to_owned(),
        domain: None,
        // The way back is a link of the provider's.
        same_site: "Lax",
        secure: config.cookie.secure,
        seconds: SIGN_IN_SECONDS,
    }
}

/// The cookie of a second step that is to come. It goes where the refresh cookie goes.
fn second_step_cookie(config: &Config) -> CookieConfig {
    CookieConfig {
        name: "causeway_mfa".to_owned(),
        seconds: SECOND_STEP_SECONDS,
        ..config.cookie.clone()
    }
}

fn ended(cookie: CookieConfig) -> String {
    cookie::write(&CookieConfig { seconds: 0, ..cookie }, "")
}

/// Leaves of a provider's answer what is read. What the browser kept is never in an address.
pub(super) fn narrow(method: &Method, parts: &mut Parts) {
    if method.path != FINISH {
        return;
    }
    let kept: Vec<&str> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| ANSWER.contains(&pair.split('=').next().unwrap_or_default()))
        .collect();
    let target = format!("{}?{}", parts.uri.path(), kept.join("&"));
    if let Ok(target) = PathAndQuery::try_from(target) {
        parts.uri = Uri::from(target);
    }
}

/// Moves what the browser kept into the request. Answers whether the second step is a cookie's.
pub(super) fn take(
    config: &Config,
    method: &Method,
    parts: &Parts,
    json: &mut Map<String, Value>,
) -> Result<bool, ApiError> {
    let given = json.contains_key(SECOND_STEP) || json.contains_key("mfaToken");
    let mut put = |name: &str, cookie: &CookieConfig| {
        let shown = cookie::cookie(&parts.headers, &cookie.name)?;
        let is_shown = shown.is_some();
        json.extend(shown.map(|token| (name.to_owned(), Value::String(token))));
        Ok::<bool, ApiError>(is_shown)
    };
    match method.path {
        FINISH => put(SIGN_IN, &sign_in_cookie(config)).map(|_| false),
        // A foreign page may not even try codes.
        VERIFY if !given && cookie::same_site(config, parts) => put(SECOND_STEP, &second_step_cookie(config)),
        _ => Ok(false),
    }
}

/// What the browser does next: cookies, and perhaps another address.
#[derive(Debug, Default)]
pub(super) struct Onward {
    cookies: Vec<String>,
    location: Option<String>,
}

impl Onward {
    /// Takes out of an answer what is for the browser and not for its page.
    pub(super) fn of(config: &Config, method: &Method, by_cookie: bool, json: &mut Value) -> Self {
        let mut out = |name: &str| {
            let field = json.as_object_mut().and_then(|fields| fields.remove(name));
            field
                .as_ref()
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        match method.path {
            START => Self {
                location: out("location"),
                cookies: out(SIGN_IN)
                    .map(|token| cookie::write(&sign_in_cookie(config), &token))
                    .into_iter()
                    .collect(),
            },
            FINISH => {
                let location = out("return_to");
                let second_step = location.as_ref().and_then(|_| out(SECOND_STEP));
                let mut cookies = vec![ended(sign_in_cookie(config))];
                cookies.extend(
                    second_step
                        .as_ref()
                        .map(|token| cookie::write(&second_step_cookie(config), token)),
                );
                Self {
                    location: location.map(|place| match second_step {
                        Some(_) => asking(&place),
                        None => place,
                    }),
                    cookies,
                }
            }
            VERIFY if by_cookie => Self {
                location: None,
                cookies: vec![ended(second_step_cookie(config))],
            },
            _ => Self::default(),
        }
    }

    /// Writes it beside what is there. Answers the status of an answer that has no body.
    pub(super) fn write(self, headers: &mut HeaderMap) -> Option<StatusCode> {
        for text in self.cookies {
            if let Ok(mut value) = HeaderValue::try_from(text) {
                value.set_sensitive(true);
                headers.append(header::SET_COOKIE, value);
            }
        }
        let mut location = HeaderValue::try_from(self.location?).ok()?;
        // The provider gives out a code to whoever comes with it.
        location.set_sensitive(true);
        headers.insert(header::LOCATION, location);
        Some(StatusCode::SEE_OTHER)
    }
}

/// The address with the word for its page that a second factor is asked for.
fn asking(place: &str) -> String {
    let (address, fragment) = match place.split_once('#') {
        Some((address, fragment)) => (address, format!("#{fragment}")),
        None => (place, String::new()),
    };
    let sign = if address.contains('?') { '&' } else { '?' };
    format!("{address}{sign}mfa_required=true{fragment}")
}

#[cfg(test)]
mod tests {
    use causeway_contracts::method;
    use http::Request;
    use serde_json::json;

    use super::*;
    use crate::rest::cookie::tests::config;

    const HTTPS: [(&str, &str); 1] = [("NEXTAUTH_URL", "https://door.example")];

    fn parts(uri: &str, headers: &[(&'static str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn onward(path: &str, mut json: Value) -> (Value, Vec<String>, Option<String>) {
        let onward = Onward::of(&config(&HTTPS), method(path).unwrap(), true, &mut json);
        let mut headers = HeaderMap::new();
        let status = onward.write(&mut headers);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let location = headers.get(header::LOCATION).map(text);
        assert_eq!(status.is_some(), location.is_some());
        (
            json,
            headers.get_all(header::SET_COOKIE).iter().map(text).collect(),
            location,
        )
    }

    #[test]
    fn of_a_providers_answer_only_what_is_known_is_read() {
        let uri = "/auth/oidc/google/callback?state=s&code=4%2F0&scope=email+openid&sign_in_token=x&authuser=0&iss=i&x";
        let mut parts = parts(uri, &[]);
        narrow(method(FINISH).unwrap(), &mut parts);
        assert_eq!(parts.uri.query(), Some("state=s&code=4%2F0&iss=i"));
        assert_eq!(parts.uri.path(), "/auth/oidc/google/callback");
        narrow(method(START).unwrap(), &mut parts);
        assert_eq!(parts.uri.query(), Some("state=s&code=4%2F0&iss=i"));
    }

    #[test]
    fn what_a_browser_kept_comes_from_its_cookie_alone() {
        let taken =
            |pairs: &[(&str, &str)], path: &str, headers: &[(&'static str, &str)], mut json: Map<_, _>| {
                let answer = take(
                    &config(pairs),
                    method(path).unwrap(),
                    &parts("/x", headers),
                    &mut json,
                );
                answer.map(|by_cookie| (by_cookie, Value::Object(json)))
            };
        let cookies = ("cookie", "__Host-causeway_sign_in=a; causeway_sign_in=b");
        let (_, json) = taken(&HTTPS, FINISH, &[cookies], Map::new()).unwrap();
        assert_eq!(json, json!({"sign_in_token": "a"}));
        let (_, json) = taken(&[], FINISH, &[cookies], Map::new()).unwrap();
        assert_eq!(json, json!({"sign_in_token": "b"}));
        let twice = [("cookie", "causeway_sign_in=a"), ("cookie", "causeway_sign_in=b")];
        assert!(taken(&[], FINISH, &twice, Map::new()).is_err());
        let step = ("cookie", "causeway_mfa=t");
        let own = taken(&[], VERIFY, &[step], Map::new()).unwrap();
        assert_eq!(own, (true, json!({"mfa_token": "t"})));
        let foreign = [step, ("origin", "https://evil.example")];
        assert_eq!(
            taken(&[], VERIFY, &foreign, Map::new()).unwrap(),
            (false, json!({}))
        );
        let Value::Object(body) = json!({"mfa_token": "own"}) else {
            panic!()
        };
        assert_eq!(
            taken(&[], VERIFY, &[step], body).unwrap(),
            (false, json!({"mfa_token": "own"}))
        );
    }

    #[test]
    fn a_start_sends_the_browser_away_with_a_cookie_of_this_host() {
        let answer = json!({"location": "https://id.example/auth?x=y", "sign_in_token": "t"});
        let (json, cookies, location) = onward(START, answer);
        assert_eq!(json, json!({}));
        assert_eq!(
            cookies,
            ["__Host-causeway_sign_in=t; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"]
        );
        assert_eq!(location.as_deref(), Some("https://id.example/auth?x=y"));
    }

    #[test]
    fn no_token_is_in_the_address_that_a_browser_returns_to() {
        let place = "https://app.example.com/x?a=b#c";
        let answer = json!({"access_token": "", "mfa_required": true, "mfa_token": "t", "return_to": place});
        let (_, cookies, location) = onward(FINISH, answer);
        assert!(cookies[0].starts_with("__Host-causeway_sign_in=; Path=/; Max-Age=0;"));
        assert!(cookies[1].starts_with("causeway_mfa=t; Path=/auth; Max-Age=300; HttpOnly"));
        assert_eq!(
            location.as_deref(),
            Some("https://app.example.com/x?a=b&mfa_required=true#c")
        );
        let answer =
            json!({"access_token": "a", "refresh_token": "r", "return_to": "https://app.example.com/"});
        let (_, cookies, location) = onward(FINISH, answer);
        assert_eq!(cookies.len(), 1);
        assert_eq!(location.as_deref(), Some("https://app.example.com/"));
    }

    #[test]
    fn without_a_place_to_return_to_the_answer_is_a_logins() {
        let answer = json!({"mfa_required": true, "mfa_token": "t", "return_to": ""});
        let (json, cookies, location) = onward(FINISH, answer);
        assert_eq!(json, json!({"mfa_required": true, "mfa_token": "t"}));
        assert_eq!((cookies.len(), location), (1, None));
        let (_, cookies, _) = onward(VERIFY, json!({"access_token": "a"}));
        assert!(cookies[0].starts_with("causeway_mfa=; Path=/auth; Max-Age=0;"));
    }
}
