//! Where an issuer's keys may be fetched from.

use std::net::IpAddr;

use openidconnect::JsonWebKeySetUrl;
use openidconnect::url::Url;

const WELL_KNOWN: &str = "/.well-known/jwks.json";

/// An address that keys may be fetched from: https, and a host of the outside, unless it is for development (JWK-01).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl(JsonWebKeySetUrl);

/// An address that keys are not fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not an address of a server.
    #[error("must be an address with a host and without a user")]
    Malformed,
    /// Anybody on the way could put keys in.
    #[error("must begin with https://")]
    Insecure,
    /// A host of the inside.
    #[error("must not be an address of this machine or of a private network")]
    Private,
}

impl JwksUrl {
    /// The address of a text. Development takes http and hosts of the inside too.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(text: &str, development: bool) -> Result<Self, UrlError> {
        let address = JsonWebKeySetUrl::new(text.to_owned()).map_err(|_| UrlError::Malformed)?;
        check(address.url(), development)?;
        Ok(Self(address))
    }

    /// The issuer whose keys are published there: the address without the well-known path, or its origin.
    pub fn issuer(&self) -> String {
        let text = self.0.url().as_str();
        match text.strip_suffix(WELL_KNOWN) {
            Some(issuer) => issuer.to_owned(),
            None => self.0.url().origin().ascii_serialization(),
        }
    }

    pub(super) fn host(&self) -> &str {
        self.0.url().host_str().unwrap_or_default()
    }

    pub(super) fn address(&self) -> &JsonWebKeySetUrl {
        &self.0
    }
}

/// Whether a provider may be spoken to at an address (JWK-01).
pub(crate) fn check(url: &Url, development: bool) -> Result<(), UrlError> {
    let host = url.host_str().ok_or(UrlError::Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Malformed);
    }
    match url.scheme() {
        "https" => {}
        "http" if development => {}
        _ => return Err(UrlError::Insecure),
    }
    if !development && is_private(host) {
        return Err(UrlError::Private);
    }
    Ok(())
}

fn is_private(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    match address.map(|address: IpAddr| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => {
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_broadcast()
                || address.is_multicast()
        }
        Ok(IpAddr::V6(address)) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_multicast()
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_https_from_the_outside_alone() {
        let parse = |text: &str| JwksUrl::parse(text, false).map(|_| ());
        assert_eq!(parse("https://clerk.example.com/.well-known/jwks.json"), Ok(()));
        assert_eq!(parse("https://203.0.113.7/keys"), Ok(()));
        assert_eq!(parse("http://clerk.example.com/keys"), Err(UrlError::Insecure));
        assert_eq!(parse("file:///etc/passwd"), Err(UrlError::Malformed));
        assert_eq!(
            parse("https://user:secret@clerk.example.com/"),
            Err(UrlError::Malformed)
        );
        for host in [
            "localhost",
            "a.localhost.",
            "127.0.0.1",
            "2130706433",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "[fd00::1]",
            "[fe80::1]",
        ] {
            assert_eq!(
                parse(&format!("https://{host}/keys")),
                Err(UrlError::Private),
                "{host}"
            );
        }
    }

    #[test]
    fn development_takes_its_own_machine() {
        assert!(JwksUrl::parse("http://127.0.0.1:4711/.well-known/jwks.json", true).is_ok());
        assert!(JwksUrl::parse("ftp://127.0.0.1/keys", true).is_err());
    }

    #[test]
    fn the_issuer_follows_from_the_address() {
        let issuer = |text: &str| JwksUrl::parse(text, true).expect("an address").issuer();
        assert_eq!(
            issuer("https://clerk.example.com/.well-known/jwks.json"),
            "https://clerk.example.com"
        );
        assert_eq!(
            issuer("https://app.example.com/__clerk/.well-known/jwks.json"),
            "https://app.example.com/__clerk"
        );
        assert_eq!(
            issuer("https://api.example.com:8443/v1/jwks?x=1"),
            "https://api.example.com:8443"
        );
    }
}
