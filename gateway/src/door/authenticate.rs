//! Who is calling. The kind of a credential is decided by its shape before anything is verified (MODE-01); two
//! credentials are an error; JWTs are verified here, opaque tokens by auth with a short cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_context::{Caller, Held, UserId, WorkspaceId};
use causeway_contracts::auth::v1::AuthenticateTokenRequest;
use causeway_contracts::auth::v1::auth_service_client::AuthServiceClient;
use causeway_contracts::{CallerKind, Idempotency, Method, PermissionSet, Role, Rule};
use causeway_crypto::{AccessClaims, fits_jwt, token};
use causeway_errors::{ApiError, Code};
use chrono::Utc;
use http::{HeaderMap, HeaderValue, Request, header};

use super::{machine, reflection, revoked, tasks};
use crate::Gateway;
use crate::refusal::refuse_request;
use crate::rest::{Subject, oauth};
use crate::target::Target;

/// Within this time a revoked token is refused by every gateway (contract §2).
const FRESH: Duration = Duration::from_secs(4);
const CACHED: usize = 10_000;

/// Callers of opaque tokens that auth has proven a moment ago, by the hash of the token.
pub(crate) struct Cache(Mutex<HashMap<[u8; 32], (Instant, Caller)>>);

impl Cache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Instant, Caller)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, hash: &[u8; 32]) -> Option<Caller> {
        self.lock()
            .get(hash)
            .filter(|(at, _)| at.elapsed() < FRESH)
            .map(|(_, caller)| caller.clone())
    }

    /// Forgets callers of whom something ended.
    pub(super) fn forget(&self, gone: impl Fn(&Caller) -> bool) {
        self.lock().retain(|_, (_, caller)| !gone(caller));
    }

    fn put(&self, hash: [u8; 32], caller: Caller) {
        let mut entries = self.lock();
        if entries.len() >= CACHED {
            entries.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if entries.len() < CACHED {
            entries.insert(hash, (Instant::now(), caller));
        }
    }
}

pub(crate) async fn layer(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let Some(method) = request.extensions().get::<Target>().and_then(Target::method) else {
        let shown = reflection::asks(&gateway, &request).then(|| credential(request.headers()));
        return match reflection::admit(&gateway, shown).await {
            Ok(()) => next.run(request).await,
            Err(error) => refuse_request(&request, error),
        };
    };
    let caller = if method.rule == Rule::Public {
        match set_aside(method, &mut request) {
            // The future must not hold the request: its body cannot be shared between threads.
            Ok(Some(credential)) => prove(&gateway, method, credential).await,
            Ok(None) => Ok(Caller::anonymous()),
            Err(error) => Err(error),
        }
    } else {
        match credential(request.headers()) {
            Ok(shown) if tasks::are_governed(method) => {
                let by_key = request.headers().contains_key("x-api-key");
                tasks::admit(&gateway, method, shown, by_key).await
            }
            Ok(Some(credential)) => prove(&gateway, method, credential).await,
            Ok(None) => Err(ApiError::unauthenticated()),
            Err(error) => Err(error),
        }
    };
    let single = gateway.config.single_tenant;
    match caller.and_then(|caller| agree(request.headers(), caller, single)) {
        Ok(caller) => {
            request.headers_mut().remove(header::AUTHORIZATION);
            request.headers_mut().remove("x-api-key");
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => refuse_request(&request, error),
    }
}

/// What a public RPC takes from the headers: a subject to exchange, a client by Basic; or, where it wants to know who
/// calls, a credential to prove.
fn set_aside(method: &'static Method, request: &mut Request<Body>) -> Result<Option<String>, ApiError> {
    Subject::set_aside(method, request)?;
    if !oauth::is_spoken(method) || oauth::set_aside(request)? {
        return Ok(None);
    }
    match credential(request.headers()) {
        Ok(shown) if method.recognized => Ok(shown),
        // A client cannot show itself that way here (RFC 6749 §5.2).
        Ok(Some(_)) => Err(oauth::refused()),
        Ok(None) => Ok(None),
        Err(error) if method.recognized => Err(error),
        Err(_) => Err(oauth::refused()),
    }
}

/// The one credential of a request.
fn credential(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let text = |name: &str| -> Result<Vec<String>, ApiError> {
        let values = headers.get_all(name).iter();
        values
            .map(|value| {
                value
                    .to_str()
                    .map(str::to_owned)
                    .map_err(|_| ApiError::unauthenticated())
            })
            .collect()
    };
    let (bearers, keys) = (text(header::AUTHORIZATION.as_str())?, text("x-api-key")?);
    if bearers.len() + keys.len() > 1 {
        return Err(ApiError::new(
            Code::InvalidArgument,
            "SEVERAL_CREDENTIALS",
            "give exactly one credential",
        ));
    }
    if let Some(key) = keys.into_iter().next() {
        return Ok(Some(key));
    }
    let Some(value) = bearers.into_iter().next() else {
        return Ok(None);
    };
    match value.split_once(' ') {
        Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(credential.trim().to_owned()))
        }
        _ => Err(ApiError::unauthenticated()),
    }
}

pub(crate) async fn prove(
    gateway: &Gateway,
    method: &Method,
    credential: String,
) -> Result<Caller, ApiError> {
    if fits_jwt(&credential) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the life of an access token is checked at the door"
        )]
        let now = Utc::now();
        let claims = gateway.access.verify(&credential, now).await?;
        if gateway.revoked.includes(&claims, method.after_erasure) {
            revoked::refused();
            return Err(ApiError::unauthenticated());
        }
        if claims.act.is_some() && changes_who_somebody_is(method) {
            return Err(ApiError::forbidden(
                "ACTING_FOR_ANOTHER",
                "who acts for somebody else does not change that person's credentials",
            ));
        }
        return match claims.client_id.as_deref() {
            Some(credential) => machine::prove(gateway, &claims, credential).await,
            None => of_claims(&claims),
        };
    }
    let known = [token::PERSONAL_ACCESS_TOKEN, token::API_KEY];
    if !known.into_iter().any(|prefix| token::check(prefix, &credential)) {
        return Err(ApiError::unauthenticated());
    }
    let hash = token::hash(&credential);
    if let Some(caller) = gateway.credentials.get(&hash) {
        return Ok(caller);
    }
    let mut auth = AuthServiceClient::new(gateway.mesh.to("auth"));
    let answer = auth
        .authenticate_token(AuthenticateTokenRequest { token: credential })
        .await;
    let message = answer
        .map_err(ApiError::from)?
        .into_inner()
        .caller
        .ok_or_else(ApiError::internal)?;
    let caller = Caller::try_from(message).map_err(|_| ApiError::internal())?;
    gateway.credentials.put(hash, caller.clone());
    Ok(caller)
}

/// Whether an RPC leaves something by which the person comes in later: a token, a factor, a password. Nobody gets that who
/// only acts in the person's name, or the acting would not end with the provider's token (EXC-04).
fn changes_who_somebody_is(method: &Method) -> bool {
    method.owner == "auth" && method.idempotency != Idempotency::NoSideEffects && method.rule != Rule::Public
}

pub(super) fn of_claims(claims: &AccessClaims) -> Result<Caller, ApiError> {
    let user: UserId = claims.sub.parse().map_err(|_| ApiError::unauthenticated())?;
    let workspace: WorkspaceId = claims
        .workspace_id
        .parse()
        .map_err(|_| ApiError::unauthenticated())?;
    let held = held(claims);
    let scopes: Vec<String> = claims.scope.split_whitespace().map(str::to_owned).collect();
    let mut caller = Caller::member(
        CallerKind::User,
        user,
        workspace,
        held,
        &scopes,
        claims.sid.clone(),
    );
    (caller.mfa, caller.mfa_required, caller.mfa_enrolled) =
        (claims.mfa, claims.mfa_required, claims.mfa_enrolled);
    Ok(caller)
}

/// What the roles of a token hold: of built-in ones what they hold in this release, of a custom one what the token says.
/// A role and a permission that this release does not know grant nothing (RBAC-03).
fn held(claims: &AccessClaims) -> Held {
    let built_in = claims.roles.iter().filter_map(|role| Role::parse(role)).max();
    let custom = claims
        .perm
        .as_deref()
        .map_or(PermissionSet::EMPTY, PermissionSet::decode);
    Held {
        roles: claims.roles.clone(),
        permissions: built_in.map_or(PermissionSet::EMPTY, PermissionSet::of_role) | custom,
    }
}

/// `X-Tenant-Id` may name the workspace; it must be the credential's (C-5). With a single tenant everything else is
/// refused: a name, whoever gives it, and a credential that was made for another workspace.
pub(super) fn agree(headers: &HeaderMap, caller: Caller, single_tenant: bool) -> Result<Caller, ApiError> {
    let own = match (single_tenant, caller.is_anonymous()) {
        (true, _) => Some(WorkspaceId::DEFAULT),
        (false, true) => return Ok(caller),
        (false, false) => caller.workspace,
    };
    let named = |value: &HeaderValue| WorkspaceId::named(value.to_str().ok()?).ok();
    if caller.workspace.is_some_and(|workspace| Some(workspace) != own) {
        return Err(mismatch(
            "there is one workspace here, and the credential is for another",
        ));
    }
    let mut values = headers.get_all("x-tenant-id").iter();
    if values.all(|value| own.is_some() && named(value) == own) {
        return Ok(caller);
    }
    Err(mismatch("X-Tenant-Id is not the workspace of the credential"))
}

fn mismatch(message: &'static str) -> ApiError {
    ApiError::forbidden("WORKSPACE_MISMATCH", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_request_has_one_credential() {
        let of = |pairs: &[_]| credential(&headers(pairs)).map_err(|error| error.reason);
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("authorization", "bearer  t ")]), Ok(Some("t".to_owned())));
        assert_eq!(of(&[("x-api-key", "t")]), Ok(Some("t".to_owned())));
        for several in [
            &[("authorization", "Bearer t"), ("authorization", "Bearer t")][..],
            &[("authorization", "Bearer t"), ("x-api-key", "")],
            &[("x-api-key", "t"), ("x-api-key", "t")],
        ] {
            assert_eq!(of(several), Err("SEVERAL_CREDENTIALS".into()));
        }
        for bad in ["Basic YTpi", "Bearer", "t", "", "Bearer\tt"] {
            assert_eq!(
                of(&[("authorization", bad)]),
                Err("UNAUTHENTICATED".into()),
                "{bad}"
            );
        }
    }

    /// MODE-01: before any mode is looked at, whatever the kinds are.
    #[test]
    fn every_pair_of_credentials_is_one_too_many() {
        let shown = [
            ("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA"),
            ("authorization", "Bearer cw_pat_x"),
            ("authorization", "Basic YTpi"),
            ("x-api-key", "cw_key_x"),
            ("x-api-key", "the static key"),
            ("x-api-key", ""),
        ];
        for one in shown {
            for other in shown {
                let both = credential(&headers(&[one, other])).map_err(|error| error.reason);
                assert_eq!(both, Err("SEVERAL_CREDENTIALS".into()), "{one:?} {other:?}");
            }
        }
    }

    /// RBAC-03.
    #[test]
    fn a_token_grants_what_its_roles_hold_here_and_what_it_says_of_a_custom_one() {
        let granted = |roles: serde_json::Value, perm: Option<&str>, scope: &str| {
            let claims = serde_json::json!({
                "sub": UserId::generate(), "exp": 1, "nbf": 0, "iat": 0, "jti": "j", "sid": "s",
                "workspace_id": WorkspaceId::generate(), "roles": roles, "perm": perm, "scope": scope, "mfa": false,
            });
            of_claims(&serde_json::from_value(claims).unwrap())
                .unwrap()
                .permissions
        };
        let viewer = PermissionSet::of_role(Role::Viewer);
        assert_eq!(granted(serde_json::json!(["viewer"]), None, ""), viewer);
        assert_eq!(
            granted(serde_json::json!(["superuser"]), None, ""),
            PermissionSet::EMPTY
        );
        let custom = serde_json::json!(["01890a5d-ac96-774b-bcce-b302099a8057"]);
        assert_eq!(granted(custom.clone(), None, ""), PermissionSet::EMPTY);
        let held: PermissionSet = ["secrets.read", "secrets.write"].iter().collect();
        let perm = held.encode();
        assert_eq!(granted(custom.clone(), Some(&perm), ""), held);
        assert_eq!(
            granted(custom.clone(), Some(&perm), "secrets.read keys.rotate"),
            ["secrets.read"]
        );
        assert_eq!(granted(custom, Some("not bits"), ""), PermissionSet::EMPTY);
    }

    /// EXC-04.
    #[test]
    fn who_acts_for_another_leaves_nothing_by_which_to_come_again() {
        let changes = |path: &str| changes_who_somebody_is(causeway_contracts::method(path).unwrap());
        for path in [
            "/causeway.auth.v1.AuthService/CreateToken",
            "/causeway.auth.v1.ClientService/CreateClient",
            "/causeway.auth.v1.MfaService/EnrollTotp",
            "/causeway.auth.v1.MfaService/ConfirmTotp",
        ] {
            assert!(changes(path), "{path}");
        }
        for path in [
            "/causeway.auth.v1.AuthService/GetMe",
            "/causeway.auth.v1.AuthService/ListTokens",
            "/causeway.auth.v1.AuthService/Logout",
            "/causeway.scoring.v1.ScoringService/Recommend",
        ] {
            assert!(!changes(path), "{path}");
        }
    }

    #[test]
    fn every_named_workspace_is_the_credentials_own() {
        let own = "01890a5d-ac96-774b-bcce-b302099a8057";
        let workspace = own.parse().unwrap();
        let caller = Caller::person(
            CallerKind::User,
            UserId::generate(),
            workspace,
            &[],
            &[],
            String::new(),
        );
        let agrees = |pairs: &[_]| agree(&headers(pairs), caller.clone(), false).is_ok();
        assert!(agrees(&[]) && agrees(&[("x-tenant-id", own)]));
        assert!(agrees(&[("x-tenant-id", "01890A5D-AC96-774B-BCCE-B302099A8057")]));
        let other = ("x-tenant-id", "01890a5d-ac96-774b-bcce-b302099a8058");
        assert!(
            !agrees(&[other]) && !agrees(&[("x-tenant-id", own), other]) && !agrees(&[("x-tenant-id", "")])
        );
        assert!(agree(&headers(&[other]), Caller::anonymous(), false).is_ok());
    }

    #[test]
    fn the_default_workspace_has_a_name() {
        let of = |workspace| {
            Caller::person(
                CallerKind::User,
                UserId::generate(),
                workspace,
                &[],
                &[],
                String::new(),
            )
        };
        let named = headers(&[("x-tenant-id", "default")]);
        assert!(agree(&named, of(WorkspaceId::DEFAULT), false).is_ok());
        assert!(agree(&named, of(WorkspaceId::generate()), false).is_err());
    }

    #[test]
    fn with_a_single_tenant_no_other_is_named_and_no_other_credential_counts() {
        let of = |workspace| {
            Caller::person(
                CallerKind::User,
                UserId::generate(),
                workspace,
                &[],
                &[],
                String::new(),
            )
        };
        let other = ("x-tenant-id", "01890a5d-ac96-774b-bcce-b302099a8058");
        for caller in [of(WorkspaceId::DEFAULT), Caller::anonymous()] {
            for right in [&[][..], &[("x-tenant-id", "default")]] {
                assert!(agree(&headers(right), caller.clone(), true).is_ok());
            }
            assert!(agree(&headers(&[other]), caller, true).is_err());
        }
        assert!(agree(&headers(&[]), of(WorkspaceId::generate()), true).is_err());
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = Cache::new();
        for index in 0..CACHED + 10 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&index.to_be_bytes());
            cache.put(hash, Caller::anonymous());
        }
        assert_eq!(cache.lock().len(), CACHED);
        assert!(cache.get(&[0; 32]).is_some() && cache.get(&[1; 32]).is_none());
    }
}
