//! From where a request came, told by the gateway and believed from it alone (SVC-01).

use causeway_context::Remote;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

const ADDRESS: HeaderName = HeaderName::from_static("x-causeway-remote-address");
const AGENT: HeaderName = HeaderName::from_static("x-causeway-remote-agent");

/// Puts the remote in a request's extensions on the wire. What the request carries otherwise is nobody's word.
pub(crate) fn write<B>(request: &mut Request<B>) {
    let remote = request.extensions_mut().remove::<Remote>();
    let headers = request.headers_mut();
    headers.remove(ADDRESS);
    headers.remove(AGENT);
    let Some(remote) = remote else { return };
    if let Ok(address) = HeaderValue::try_from(remote.address.to_string()) {
        headers.insert(ADDRESS, address);
    }
    if let Ok(agent) = HeaderValue::try_from(remote.agent) {
        headers.insert(AGENT, agent);
    }
}

/// The remote that a request tells of.
pub(crate) fn read(headers: &HeaderMap) -> Option<Remote> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let address = text(ADDRESS)?.parse().ok()?;
    Some(Remote::new(address, text(AGENT).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_survives_the_wire_and_nothing_else_does() {
        let mut request = Request::new(());
        request
            .headers_mut()
            .insert(ADDRESS, HeaderValue::from_static("10.0.0.1"));
        write(&mut request);
        assert_eq!(read(request.headers()), None);
        let remote = Remote::new([198, 51, 100, 7].into(), "curl/8.5");
        request
            .headers_mut()
            .insert(ADDRESS, HeaderValue::from_static("10.0.0.1"));
        request.extensions_mut().insert(remote.clone());
        write(&mut request);
        assert_eq!(read(request.headers()), Some(remote));
    }
}
