//! Nothing from outside may say who is calling but a credential: identity headers and the mesh's own metadata are
//! removed before anything reads them (SVC-01). The client's address comes from a trusted proxy or from the socket.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_context::Remote;
use causeway_mesh::PeerAddr;
use http::{HeaderMap, HeaderName, Request};
use ipnet::IpNet;

use crate::Gateway;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Headers of these beginnings are the mesh's own, or those of systems that trust their edge.
const PREFIXES: [&str; 7] = [
    "x-causeway-",
    "x-internal-",
    "x-user-",
    "x-workspace-",
    "x-auth-",
    "x-mesh-",
    "x-principal-",
];
const NAMES: [&str; 4] = ["x-worker-secret", "forwarded", "x-real-ip", "x-client-ip"];

/// The address that a request came from, as far as it can be believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddr(pub(crate) IpAddr);

pub(crate) async fn layer(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let peer = request
        .extensions()
        .get::<PeerAddr>()
        .map(|peer| SocketAddr::from(*peer).ip());
    if let Some(peer) = peer {
        let client = client(peer, request.headers(), &gateway.config.trusted_proxies);
        request.extensions_mut().insert(ClientAddr(client));
    }
    strip(request.headers_mut());
    next.run(request).await
}

/// From where a request came, as services are told.
pub(crate) fn remote<B>(request: &Request<B>) -> Option<Remote> {
    let ClientAddr(address) = request.extensions().get::<ClientAddr>()?;
    let agent = request.headers().get(http::header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    Some(Remote::new(*address, agent))
}

fn strip(headers: &mut HeaderMap) {
    let doomed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name == FORWARDED_FOR
                || NAMES.contains(&name)
                || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        })
        .cloned()
        .collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// The right-most forwarded address that is not a trusted proxy's (B-GW-34): what stands left of it anybody can write.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let trusts = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut believed = peer.to_canonical();
    if !trusts(&believed) {
        return believed;
    }
    let hops: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in hops.iter().rev() {
        let Some(address) = address_of(hop.trim()) else {
            break;
        };
        believed = address.to_canonical();
        if !trusts(&believed) {
            break;
        }
    }
    believed
}

/// An address as proxies write it: alone, or with the port, which an IPv6 address then has brackets for.
fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.unwrap_or(hop).parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn forwarded(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_static(FORWARDED_FOR),
            HeaderValue::from_static(text),
        )])
    }

    #[test]
    fn a_stranger_cannot_forge_an_address() {
        let peer = IpAddr::from([203, 0, 113, 9]);
        assert_eq!(
            client(peer, &forwarded("10.1.1.1"), &["10.0.0.0/8".parse().unwrap()]),
            peer
        );
    }

    #[test]
    fn a_trusted_proxy_names_the_last_untrusted_hop() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let headers = forwarded("1.1.1.1, 198.51.100.7, 10.2.2.2");
        assert_eq!(
            client(IpAddr::from([10, 0, 0, 1]), &headers, &trusted),
            IpAddr::from([198, 51, 100, 7])
        );
    }

    #[test]
    fn a_hop_that_cannot_be_read_ends_the_way_back() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let of = |text| client(IpAddr::from([10, 0, 0, 1]), &forwarded(text), &trusted).to_string();
        assert_eq!(of("198.51.100.7, unknown, 10.2.2.2"), "10.2.2.2");
        assert_eq!(of("198.51.100.7:4711"), "198.51.100.7");
        assert_eq!(of("[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(of("::ffff:198.51.100.7"), "198.51.100.7");
        assert_eq!(of(""), "10.0.0.1");
    }

    /// SVC-01: duplicates and `-bin` too. A name has no case any more here: HTTP/1.1's is lowered when it is read.
    #[test]
    fn identity_headers_are_gone_in_every_spelling() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-causeway-caller",
            "x-workspace-id",
            "x-causeway-caller-bin",
            "x-user-id",
            "x-user-id-bin",
            "x-internal-service-secret",
            "x-internal-anything",
            "x-forwarded-for",
        ] {
            headers.append(name, HeaderValue::from_static("a"));
            headers.append(name, HeaderValue::from_static("b"));
        }
        headers.insert("x-tenant-id", HeaderValue::from_static("kept"));
        strip(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
