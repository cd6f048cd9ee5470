//! What the authorization server says of itself (RFC 8414).

use super::AuthService;
use crate::error::AuthError;
use causeway_errors::ApiError;

/// Where the endpoints are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// The issuer.
    pub(crate) issuer: String,
    /// Where the deployment is, without a slash at its end.
    pub(crate) base: String,
}

impl Metadata {
    /// The metadata of a deployment at `public`. Tokens name the issuer that is configured; the metadata does too where
    /// that is an address, as it must be.
    pub(super) fn of(public: Option<&str>, issuer: Option<&str>) -> Option<Self> {
        let base = public?.trim_end_matches('/').to_owned();
        let named = issuer.filter(|issuer| issuer.starts_with("https://") || issuer.starts_with("http://"));
        let issuer = named.unwrap_or(&base).to_owned();
        (!base.is_empty()).then_some(Self { issuer, base })
    }

    /// The address of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl AuthService {
    /// What the server says of itself.
    ///
    /// # Errors
    /// 404 where it does not know its own address.
    pub(crate) fn metadata(&self) -> Result<&Metadata, AuthError> {
        self.metadata.as_ref().ok_or_else(|| {
            ApiError::not_found(
                "METADATA_UNAVAILABLE",
                "this deployment does not know its public address",
            )
            .into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_the_one_of_the_tokens_where_that_is_an_address() {
        let of = |public, issuer| Metadata::of(public, issuer).map(|found| (found.issuer, found.base));
        let door = "https://door.example".to_owned();
        assert_eq!(
            of(Some("https://door.example/"), None),
            Some((door.clone(), door.clone()))
        );
        assert_eq!(
            of(Some("https://door.example"), Some("causeway")),
            Some((door.clone(), door.clone()))
        );
        let own = "https://issuer.example".to_owned();
        assert_eq!(
            of(Some("https://door.example"), Some(&own)),
            Some((own.clone(), door))
        );
        assert_eq!(of(None, Some(&own)), None);
    }
}
