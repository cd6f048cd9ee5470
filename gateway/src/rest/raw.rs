//! Requests whose body is taken as it is, because a signature is over its bytes: the route's body is a field of type
//! `google.api.HttpBody`. The other fields come in headers (option `header`), never in the query.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_contracts::Route;
use causeway_errors::ApiError;
use http::header;
use http::request::Parts;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// Whether the route takes its body as it is.
pub(crate) fn is_raw(descriptor: &MessageDescriptor, route: &Route) -> bool {
    let body = descriptor.get_field_by_name(route.body);
    body.is_some_and(|field| match field.kind() {
        Kind::Message(inner) => inner.full_name() == "google.api.HttpBody",
        _ => false,
    })
}

/// The header in which a field comes.
pub(crate) fn header_of(field: &FieldDescriptor) -> Option<String> {
    let option = field
        .parent_pool()
        .get_extension_by_name("causeway.common.v1.header")?;
    let name = field.options().get_extension(&option).as_str()?.to_owned();
    (!name.is_empty()).then_some(name)
}

/// The fields of a request.
pub(super) fn read(
    descriptor: &MessageDescriptor,
    route: &Route,
    parts: &Parts,
    body: &[u8],
) -> Result<Map<String, Value>, ApiError> {
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(ApiError::invalid("query", "this route takes no query"));
    }
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut json = Map::new();
    json.insert(
        route.body.to_owned(),
        json!({"content_type": kind, "data": STANDARD.encode(body)}),
    );
    for field in descriptor.fields() {
        let Some(name) = header_of(&field) else { continue };
        let mut values = parts.headers.get_all(&name).iter();
        let (first, second) = (values.next(), values.next());
        if second.is_some() {
            return Err(ApiError::invalid(name, "is given twice"));
        }
        if let Some(text) = first.and_then(|value| value.to_str().ok()) {
            json.insert(field.name().to_owned(), Value::String(text.to_owned()));
        }
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use causeway_contracts::{Method, descriptors, method};
    use http::Request;

    use super::*;

    fn scanned() -> (&'static Method, MessageDescriptor) {
        let method = method("/causeway.auth.v1.OauthService/ReportScannedTokens").unwrap();
        (method, descriptors().get_message_by_name(method.input).unwrap())
    }

    fn taken(uri: &str, headers: &[(&str, &str)]) -> Result<Value, ApiError> {
        let (method, descriptor) = scanned();
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        read(&descriptor, &method.routes[0], &parts, b"[ ]").map(Value::Object)
    }

    #[test]
    fn the_bytes_stay_as_they_are_and_headers_fill_the_other_fields() {
        let headers = [
            ("content-type", "application/json"),
            ("GITHUB-PUBLIC-KEY-IDENTIFIER", "k"),
            ("github-public-key-signature", "s"),
        ];
        let expected = json!({
            "payload": {"content_type": "application/json", "data": "WyBd"}, "key_identifier": "k", "signature": "s",
        });
        assert_eq!(taken("/x", &headers), Ok(expected));
        assert_eq!(taken("/x", &[]).unwrap()["payload"]["data"], "WyBd");
        assert!(taken("/x?signature=s", &[]).is_err());
        let twice = [headers[2], headers[2]];
        assert!(taken("/x", &twice).is_err());
    }

    #[test]
    fn only_a_body_of_that_type_is_raw() {
        let (method, descriptor) = scanned();
        assert!(is_raw(&descriptor, &method.routes[0]));
        let other = causeway_contracts::method("/causeway.auth.v1.ClientService/UpdateClient").unwrap();
        let descriptor = descriptors().get_message_by_name(other.input).unwrap();
        assert!(!is_raw(&descriptor, &other.routes[0]));
    }
}
