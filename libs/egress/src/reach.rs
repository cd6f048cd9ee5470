//! Which addresses may be reached. Where somebody else chooses the host, the addresses of this machine and of its
//! networks must not be among them: a name is judged by what it resolves to, and what was judged is what is dialled.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::{BoxError, Service};

/// Which addresses a client reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Any: the hosts come from the operator.
    #[default]
    Anywhere,
    /// Public ones over https only: the hosts come from a tenant.
    Public,
}

/// A host that is not, or not only, at a public address.
#[derive(Debug, thiserror::Error)]
#[error("the host is not at a public address")]
pub(crate) struct NotPublic;

/// Whether the address is one of the public internet: not this machine, not a private network, not a link, and not one
/// that hides such an address inside.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let relay = a == 192 && b == 88 && c == 99;
    let benchmark = a == 198 && (b == 18 || b == 19);
    let reserved = a == 0 || a >= 224;
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || shared
        || protocol
        || relay
        || benchmark
        || reserved)
}

/// Only 2000::/3 is handed out. In it, Teredo and 6to4 carry addresses of IPv4, and one block is for documents.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let special = a == 0x2001 && b < 0x200;
    let document = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    a & 0xe000 == 0x2000 && a != 0x2002 && !special && !document
}

/// Whether a URL may lead to a public host, as far as its text says: https, and neither an address that is not public
/// nor a name of this machine. What a name resolves to is seen when it is dialled.
pub fn may_be_public(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| is_allowed(&uri))
}

pub(crate) fn is_allowed(uri: &Uri) -> bool {
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = bare.trim_end_matches('.').to_ascii_lowercase();
    let local = name == "localhost" || name.ends_with(".localhost");
    let address_fits = bare.parse::<IpAddr>().map_or(!local, is_public);
    uri.scheme_str() == Some("https") && address_fits
}

/// Resolves names, and refuses those that are not at public addresses only.
#[derive(Clone)]
pub(crate) struct Resolver {
    inner: GaiResolver,
    reach: Reach,
}

impl Resolver {
    pub(crate) fn new(reach: Reach) -> Self {
        Self {
            inner: GaiResolver::new(),
            reach,
        }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolving, reach) = (self.inner.call(name), self.reach);
        Box::pin(async move {
            let found: Vec<SocketAddr> = resolving.await?.collect();
            allowed(reach, found).map_err(Into::into)
        })
    }
}

fn allowed(reach: Reach, found: Vec<SocketAddr>) -> Result<std::vec::IntoIter<SocketAddr>, NotPublic> {
    match reach {
        Reach::Public if !found.iter().all(|address| is_public(address.ip())) => Err(NotPublic),
        Reach::Anywhere | Reach::Public => Ok(found.into_iter()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for hidden in [
            "0.0.0.0",
            "10.0.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(hidden.parse().unwrap()), "{hidden}");
        }
    }

    #[test]
    fn a_url_leads_out_over_https_only() {
        assert!(may_be_public("https://api.example.com/v1") && may_be_public("https://1.1.1.1:8443/v1"));
        for hidden in [
            "http://api.example.com/v1",
            "https://127.0.0.1/v1",
            "https://[::1]/v1",
            "https://[::ffff:10.0.0.1]/v1",
            "https://169.254.169.254/latest",
            "https://localhost:8443",
            "https://LOCALHOST./v1",
            "https://a.localhost",
            "/v1",
            "not a url",
        ] {
            assert!(!may_be_public(hidden), "{hidden}");
        }
    }

    #[test]
    fn a_name_with_one_private_address_is_refused_whole() {
        let of = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<SocketAddr>>()
        };
        let (public, mixed) = (of(&["1.1.1.1:443"]), of(&["1.1.1.1:443", "10.0.0.1:443"]));
        assert!(allowed(Reach::Public, public.clone()).is_ok());
        assert!(allowed(Reach::Public, mixed.clone()).is_err());
        assert!(allowed(Reach::Anywhere, mixed).is_ok());
    }
}
