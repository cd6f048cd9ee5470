//! Bodies of OAuth's endpoints: `application/x-www-form-urlencoded` (RFC 6749 appendix B).

use std::collections::BTreeSet;

use causeway_errors::ApiError;
use http::request::Parts;
use http::{HeaderMap, header};
use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value};

use super::input;

const FORM: &str = "application/x-www-form-urlencoded";

/// Whether a body is said to be a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return false;
    };
    let essence = kind.to_str().unwrap_or_default().split(';').next();
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
}

/// The JSON of a form's fields. A parameter stands once (§3.2), except where the message has a list; one without a value
/// is as good as absent; one that is not known is not looked at.
pub(super) fn read(
    descriptor: &MessageDescriptor,
    parts: &Parts,
    body: &[u8],
) -> Result<Map<String, Value>, ApiError> {
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(ApiError::invalid(
            "query",
            "this route takes its fields in the body",
        ));
    }
    if parts
        .headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(ApiError::invalid("body", "must not be compressed"));
    }
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let (mut json, mut seen) = (Map::new(), BTreeSet::new());
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (input::unescape(name), input::unescape(value)) else {
            return Err(malformed());
        };
        let field = descriptor.get_field_by_name(&name);
        let listed = field.as_ref().is_some_and(|field| field.is_list());
        if !seen.insert(name.clone()) && !listed {
            // The name is the client's own text, but it may be a secret in the wrong place.
            let known = field.map_or_else(|| "body".to_owned(), |_| name);
            return Err(ApiError::invalid(known, "is given twice"));
        }
        let Some(field) = field.filter(|_| !value.is_empty()) else {
            continue;
        };
        let value = input::scalar(&field, &value);
        match json.get_mut(&name) {
            Some(Value::Array(items)) => items.push(value),
            _ if listed => {
                json.insert(name, Value::Array(vec![value]));
            }
            _ => {
                json.insert(name, value);
            }
        }
    }
    Ok(json)
}

fn malformed() -> ApiError {
    ApiError::invalid("body", "must be a form of percent-encoded UTF-8")
}

#[cfg(test)]
mod tests {
    use causeway_contracts::descriptors;
    use http::Request;
    use serde_json::json;

    use super::*;

    fn form(uri: &str, body: &str) -> Result<Value, ApiError> {
        let descriptor = descriptors().get_message_by_name("causeway.auth.v1.TokenRequest");
        let request = Request::post(uri).body(()).unwrap();
        read(&descriptor.unwrap(), &request.into_parts().0, body.as_bytes()).map(Value::Object)
    }

    #[test]
    fn fields_are_decoded_and_others_are_not_looked_at() {
        let body =
            "grant_type=client_credentials&scope=a.read+b%2Ewrite&client_id=&state=xyz&audience=a&audience=b";
        let expected =
            json!({"grant_type": "client_credentials", "scope": "a.read b.write", "audience": ["a", "b"]});
        assert_eq!(form("/auth/token", body), Ok(expected));
        assert_eq!(form("/auth/token", ""), Ok(json!({})));
    }

    #[test]
    fn a_parameter_stands_once() {
        for body in [
            "grant_type=a&grant_type=a",
            "grant_type=&grant_type=a",
            "state=1&state=2",
            "scope=a&%73cope=b",
        ] {
            let error = form("/auth/token", body).unwrap_err();
            assert_eq!(error.violations[0].description, "is given twice", "{body}");
        }
        let secret = form("/auth/token", "hunter2=1&hunter2=2").unwrap_err();
        assert!(!secret.message.contains("hunter2"));
    }

    #[test]
    fn nothing_comes_in_the_query() {
        let error = form("/auth/token?client_secret=s", "grant_type=a").unwrap_err();
        assert_eq!(error.violations[0].field, "query");
    }

    #[test]
    fn what_is_not_a_form_is_refused() {
        for body in ["scope=%zz", "scope=%", "scope=%ff", "%=a"] {
            assert!(form("/auth/token", body).is_err(), "{body}");
        }
        assert!(
            read(
                &descriptors()
                    .get_message_by_name("causeway.auth.v1.TokenRequest")
                    .unwrap(),
                &Request::new(()).into_parts().0,
                b"scope=\xff",
            )
            .is_err()
        );
    }

    #[test]
    fn a_form_is_known_by_its_type() {
        let is = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_TYPE, http::HeaderValue::from_static(value));
            }
            is_form(&headers)
        };
        assert!(is(&["application/x-www-form-urlencoded"]));
        assert!(is(&["Application/X-WWW-Form-Urlencoded; charset=utf-8"]));
        assert!(!is(&[]) && !is(&["application/json"]) && !is(&["application/x-www-form-urlencodedx"]));
        assert!(!is(&[
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded"
        ]));
    }
}
