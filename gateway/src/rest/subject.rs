//! The token to exchange may come as the bearer of the request (contract §2): whoever sends it has nothing else yet.

use causeway_contracts::Method;
use causeway_errors::{ApiError, Code};
use http::request::Parts;
use http::{Request, header};
use serde_json::{Map, Value};

pub(super) const EXCHANGE: &str = "/causeway.auth.v1.AuthService/Exchange";
const FIELD: &str = "token";

/// The bearer of a request to exchange it.
#[derive(Clone)]
pub(crate) struct Subject(String);

impl Subject {
    /// Sets the bearer of a request to exchange aside, before the door forgets credentials.
    pub(crate) fn set_aside<B>(method: &Method, request: &mut Request<B>) -> Result<(), ApiError> {
        if method.path != EXCHANGE {
            return Ok(());
        }
        let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
        let (first, second) = (values.next(), values.next());
        if second.is_some() {
            return Err(several());
        }
        let credential = first.and_then(|value| value.to_str().ok()?.split_once(' '));
        let bearer = credential.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if let Some(subject) = bearer.map(|(_, token)| Self(token.trim().to_owned())) {
            request.extensions_mut().insert(subject);
        }
        Ok(())
    }

    /// The token.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Moves the bearer into the request's message.
pub(super) fn take(parts: &Parts, json: &mut Map<String, Value>) -> Result<(), ApiError> {
    let Some(subject) = parts.extensions.get::<Subject>() else {
        return Ok(());
    };
    if json.contains_key(FIELD) {
        return Err(several());
    }
    json.insert(FIELD.to_owned(), Value::String(subject.0.clone()));
    Ok(())
}

fn several() -> ApiError {
    ApiError::new(
        Code::InvalidArgument,
        "SEVERAL_CREDENTIALS",
        "give exactly one token to exchange",
    )
}

#[cfg(test)]
mod tests {
    use causeway_contracts::method;

    use super::*;

    fn taken(path: &str, headers: &[&str], body: Value) -> Result<Value, ApiError> {
        let mut request = Request::new(());
        for value in headers {
            request
                .headers_mut()
                .append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Subject::set_aside(method(path).unwrap(), &mut request)?;
        let Value::Object(mut json) = body else {
            panic!("a body is an object")
        };
        take(&request.into_parts().0, &mut json)?;
        Ok(Value::Object(json))
    }

    #[test]
    fn a_bearer_is_the_token_to_exchange() {
        let json = taken(EXCHANGE, &["bearer  a.b.c"], serde_json::json!({"refresh": true}));
        assert_eq!(json, Ok(serde_json::json!({"refresh": true, "token": "a.b.c"})));
        let json = taken(EXCHANGE, &["Basic YTpi"], serde_json::json!({"token": "t"}));
        assert_eq!(json, Ok(serde_json::json!({"token": "t"})));
    }

    #[test]
    fn two_tokens_are_one_too_many() {
        for (headers, body) in [
            (&["Bearer a"][..], serde_json::json!({"token": "a"})),
            (&["Bearer a", "Bearer a"], serde_json::json!({})),
        ] {
            assert_eq!(
                taken(EXCHANGE, headers, body).unwrap_err().reason,
                "SEVERAL_CREDENTIALS"
            );
        }
    }

    #[test]
    fn no_other_rpc_sees_a_bearer() {
        let json = taken(
            "/causeway.auth.v1.AuthService/Login",
            &["Bearer a"],
            serde_json::json!({}),
        );
        assert_eq!(json, Ok(serde_json::json!({})));
    }
}
