//! Access tokens that hang on a machine's credential: an OAuth client, a personal access token or an API key. What is
//! revoked or narrowed there holds for them within five seconds, though they live for minutes (TOK-04).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use causeway_context::Caller;
use causeway_contracts::auth::v1::DescribeCredentialRequest;
use causeway_contracts::auth::v1::client_service_client::ClientServiceClient;
use causeway_crypto::AccessClaims;
use causeway_errors::{ApiError, Code};

use crate::Gateway;

/// For so long an answer of auth is taken as what is true now.
const FRESH: Duration = Duration::from_secs(4);
/// For so long it stands in while auth does not answer: nobody can revoke anything then either.
const STALE: Duration = Duration::from_secs(15 * 60);
const MOST: usize = 10_000;

/// What a credential is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whom it proves; nobody when it is not in force.
    pub(super) caller: Option<Caller>,
    /// Its tokens that were revoked.
    pub(super) revoked: Vec<String>,
}

/// What auth said of credentials a moment ago.
#[derive(Default)]
pub(crate) struct Standings(Mutex<HashMap<String, (Instant, Arc<Standing>)>>);

impl Standings {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, Arc<Standing>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, credential: &str, within: Duration) -> Option<Arc<Standing>> {
        let entries = self.lock();
        let entry = entries.get(credential).filter(|(at, _)| at.elapsed() < within);
        entry.map(|(_, standing)| Arc::clone(standing))
    }

    /// Forgets credentials of which something ended: while auth is away they are not to be believed any longer.
    pub(super) fn forget(&self, gone: impl Fn(&str, Option<&Caller>) -> bool) {
        self.lock()
            .retain(|credential, (_, standing)| !gone(credential, standing.caller.as_ref()));
    }

    fn put(&self, credential: String, standing: Arc<Standing>) {
        let mut entries = self.lock();
        if entries.len() >= MOST {
            entries.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if entries.len() < MOST || entries.contains_key(&credential) {
            entries.insert(credential, (Instant::now(), standing));
        }
    }
}

/// The caller of a genuine token that hangs on `credential`.
///
/// # Errors
/// 401 once the credential or the token is not in force; 503 while nobody can tell.
pub(crate) async fn prove(
    gateway: &Gateway,
    claims: &AccessClaims,
    credential: &str,
) -> Result<Caller, ApiError> {
    let standing = match gateway.machines.get(credential, FRESH) {
        Some(standing) => standing,
        None => ask(gateway, claims, credential).await?,
    };
    narrowed(&standing, claims).ok_or_else(ApiError::unauthenticated)
}

async fn ask(gateway: &Gateway, claims: &AccessClaims, credential: &str) -> Result<Arc<Standing>, ApiError> {
    let mut auth = ClientServiceClient::new(gateway.mesh.to("auth"));
    let answer = auth.describe_credential(DescribeCredentialRequest {
        credential: credential.to_owned(),
        workspace_id: claims.workspace_id.clone(),
    });
    let answer = match answer.await.map_err(ApiError::from) {
        Ok(answer) => answer.into_inner(),
        Err(error) if matches!(error.code, Code::Unavailable | Code::DeadlineExceeded) => {
            return gateway.machines.get(credential, STALE).ok_or(error);
        }
        Err(error) => return Err(error),
    };
    let caller = answer.caller.map(Caller::try_from).transpose();
    let standing = Arc::new(Standing {
        caller: caller.map_err(|_| ApiError::internal())?,
        revoked: answer.revoked_token_ids,
    });
    gateway.machines.put(credential.to_owned(), Arc::clone(&standing));
    Ok(standing)
}

/// What the credential may do now, and the token says: no scope is no permission.
pub(super) fn narrowed(standing: &Standing, claims: &AccessClaims) -> Option<Caller> {
    let caller = standing
        .caller
        .as_ref()
        .filter(|caller| caller.id == claims.sub)?;
    let workspace = caller.workspace.map(|workspace| workspace.to_string());
    if workspace.as_ref() != Some(&claims.workspace_id) || standing.revoked.contains(&claims.jti) {
        return None;
    }
    let mut caller = caller.clone();
    caller.permissions = caller.permissions & claims.scope.split_whitespace().collect();
    Some(caller)
}

#[cfg(test)]
mod tests {
    use causeway_context::WorkspaceId;
    use causeway_contracts::CallerKind;
    use serde_json::json;

    use super::*;

    fn client(workspace: WorkspaceId) -> Caller {
        Caller {
            kind: CallerKind::Client,
            id: "cw_client_1".to_owned(),
            workspace: Some(workspace),
            permissions: ["secrets.read", "secrets.write"].iter().collect(),
            ..Caller::anonymous()
        }
    }

    fn claims(workspace: WorkspaceId, scope: &str) -> AccessClaims {
        serde_json::from_value(json!({
            "sub": "cw_client_1", "exp": 1, "nbf": 0, "iat": 0, "jti": "j", "workspace_id": workspace.to_string(),
            "roles": [], "scope": scope, "mfa": false, "client_id": "cw_client_1",
        }))
        .unwrap()
    }

    #[test]
    fn a_token_may_do_what_both_it_and_its_credential_say() {
        let workspace = WorkspaceId::generate();
        let standing = Standing {
            caller: Some(client(workspace)),
            revoked: vec!["other".to_owned()],
        };
        for (scope, expected) in [
            ("secrets.read", &["secrets.read"][..]),
            (
                "secrets.write secrets.read keys.read made.up",
                &["secrets.read", "secrets.write"],
            ),
            ("", &[]),
        ] {
            let caller = narrowed(&standing, &claims(workspace, scope)).unwrap();
            assert_eq!(caller.permissions.iter().collect::<Vec<_>>(), expected, "{scope}");
        }
    }

    #[test]
    fn what_is_revoked_or_foreign_proves_nobody() {
        let workspace = WorkspaceId::generate();
        let sound = Standing {
            caller: Some(client(workspace)),
            revoked: Vec::new(),
        };
        let claims = claims(workspace, "secrets.read");
        assert!(narrowed(&sound, &claims).is_some());
        let revoked = Standing {
            revoked: vec!["j".to_owned()],
            ..sound.clone()
        };
        let gone = Standing {
            caller: None,
            ..sound.clone()
        };
        let foreign = Standing {
            caller: Some(client(WorkspaceId::generate())),
            ..sound.clone()
        };
        let other = Standing {
            caller: Some(Caller {
                id: "cw_client_2".to_owned(),
                ..client(workspace)
            }),
            ..sound
        };
        for standing in [revoked, gone, foreign, other] {
            assert_eq!(narrowed(&standing, &claims), None);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let standings = Standings::default();
        let standing = Arc::new(Standing {
            caller: None,
            revoked: Vec::new(),
        });
        for index in 0..MOST + 10 {
            standings.put(index.to_string(), Arc::clone(&standing));
        }
        assert_eq!(standings.lock().len(), MOST);
        assert!(standings.get("0", FRESH).is_some() && standings.get("none", FRESH).is_none());
    }
}
