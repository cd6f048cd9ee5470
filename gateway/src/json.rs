//! JSON from outside: UTF-8, plain, and no key twice in one object: two readers of such a body may see two requests.

use std::fmt;

use causeway_errors::{ApiError, Code};
use http::{HeaderMap, header};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

/// Reads a body. What is wrong with it is said by place: the text of the reader could repeat a part of the body.
///
/// # Errors
/// A violation of `body`.
pub(crate) fn parse(body: &[u8]) -> Result<Value, ApiError> {
    let text = std::str::from_utf8(body).map_err(|_| ApiError::invalid("body", "must be UTF-8"))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Once.deserialize(&mut reader).and_then(|value| {
        reader.end()?;
        Ok(value)
    });
    value.map_err(|error| {
        let what = match error.classify() {
            Category::Data => "has a key twice",
            Category::Io | Category::Syntax | Category::Eof => "is not JSON",
        };
        let place = format!("{what} at line {}, column {}", error.line(), error.column());
        ApiError::invalid("body", place)
    })
}

/// Checks that a body is said to be JSON in UTF-8, once and not compressed.
///
/// # Errors
/// `UNSUPPORTED_MEDIA_TYPE`.
pub(crate) fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(unsupported("compressed bodies are not accepted"));
    }
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = match (kinds.next(), kinds.next()) {
        (Some(kind), None) => kind.to_str().unwrap_or_default(),
        _ => "",
    };
    let mut parts = kind.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(unsupported("the body must be application/json"));
    }
    for part in parts {
        let Some((name, value)) = part.split_once('=') else {
            continue;
        };
        if name.eq_ignore_ascii_case("charset") && !value.trim_matches('"').eq_ignore_ascii_case("utf-8") {
            return Err(unsupported("the body must be in UTF-8"));
        }
    }
    Ok(())
}

fn unsupported(message: &'static str) -> ApiError {
    ApiError::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message)
}

/// A value whose objects have every key once.
struct Once;

impl<'de> DeserializeSeed<'de> for Once {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom("twice"));
            }
            object.insert(key, fields.next_value_seed(Self)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn refused(body: &[u8]) -> String {
        parse(body).unwrap_err().violations[0].description.clone()
    }

    #[test]
    fn values_are_read_as_they_are() {
        let text = r#"{"a":[1,-2,2.5,18446744073709551615,"é\n",null,true],"b":{"a":{}}}"#;
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
        assert_eq!(parse(b" 1 ").unwrap(), json!(1));
    }

    #[test]
    fn a_key_stands_once() {
        assert!(refused(br#"{"a":1,"a":2}"#).starts_with("has a key twice"));
        assert!(refused(br#"{"b":[{"a":1,"\u0061":2}]}"#).starts_with("has a key twice"));
        parse(br#"{"a":{"a":1},"b":{"a":1}}"#).unwrap();
    }

    #[test]
    fn what_is_not_json_is_refused_and_not_repeated() {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        for body in [
            &b"{\"a\":"[..],
            b"{\"a\":1e400}",
            b"NaN",
            b"\"\\ud800\"",
            b"\xef\xbb\xbf{}",
            b"{} {}",
            b"{\"hunter2\":hunter2}",
            b"\xff",
            &deep,
        ] {
            let what = refused(body);
            assert!(
                what.starts_with("is not JSON") || what == "must be UTF-8",
                "{what}"
            );
            assert!(!what.contains("hunter2"));
        }
    }

    #[test]
    fn a_body_is_json_in_utf_8() {
        let check = |name: http::HeaderName, values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.remove(&name);
            for value in values {
                headers.append(&name, HeaderValue::from_static(value));
            }
            check_type(&headers).map_err(|error| error.reason)
        };
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json;",
        ] {
            assert!(check(header::CONTENT_TYPE, &[good]).is_ok(), "{good}");
        }
        let bad: [&[&str]; 6] = [
            &[],
            &["text/json"],
            &["application/jsonx"],
            &["application/json; charset=utf-16"],
            &["application/json, text/plain"],
            &["application/json", "text/plain"],
        ];
        for bad in bad {
            assert!(check(header::CONTENT_TYPE, bad).is_err(), "{bad:?}");
        }
        assert!(check(header::CONTENT_ENCODING, &["gzip"]).is_err());
        assert!(check(header::CONTENT_ENCODING, &["identity"]).is_ok());
    }
}
