use secrecy::SecretString;

use super::clients::{client_call, words};
use super::*;
use crate::domain::PersonalToken;
use crate::service::CreateTokenRequest;
use crate::service::tokens::CreatedToken;

impl World {
    pub(super) async fn key(&self, caller: &Caller, scopes: &[&str]) -> CreatedToken {
        let request = CreateTokenRequest {
            name: "ci".to_owned(),
            scopes: words(scopes),
            expires_at: Ok(None),
        };
        let ctx = client_call("CreateApiKey", caller, 0);
        self.service.create_api_key(&ctx, request).await.expect("made")
    }

    pub(super) async fn proves(&self, text: &SecretString, seconds: i64) -> Result<Caller, AuthError> {
        let ctx = call("AuthenticateToken", Caller::service("gateway"), seconds);
        let proven = self.service.authenticate_token(&ctx, text).await;
        proven.map(|proven| proven.caller)
    }
}

/// TOK-03.
#[tokio::test]
async fn an_api_key_proves_a_program() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = world.key(&owner, &["secrets.read", "secrets.write"]).await;
    assert!(made.secret.expose_secret().starts_with("cw_key_"));
    let caller = world.proves(&made.secret, 1).await.expect("in force");
    assert_eq!((caller.kind, caller.user()), (CallerKind::Client, None));
    assert_eq!(
        (&caller.id, caller.workspace),
        (&made.token.id.to_string(), owner.workspace)
    );
    assert_eq!(caller.permissions, ["secrets.read", "secrets.write"]);
    assert!(caller.roles.is_empty());
    world.set_role(owner.user().unwrap(), "viewer");
    assert_eq!(
        world.proves(&made.secret, 2).await.unwrap().permissions,
        ["secrets.read"]
    );
    world.leave(owner.user().unwrap());
    assert_eq!(reason(world.proves(&made.secret, 3).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn an_api_key_is_of_the_workspace_and_ends_for_all() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = world.key(&owner, &["secrets.read"]).await;
    let colleague = Caller {
        id: UserId::generate().to_string(),
        ..owner.clone()
    };
    let listed = |caller: Caller| {
        let ctx = client_call("ListApiKeys", &caller, 0);
        let service = &world.service;
        async move { service.list_api_keys(&ctx, 0, "").await.expect("answered").0 }
    };
    let keys: Vec<PersonalToken> = listed(colleague.clone()).await;
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].id, made.token.id);
    let own = call("ListTokens", owner.clone(), 0);
    assert!(world.service.list_tokens(&own, 0, "").await.unwrap().0.is_empty());
    let ctx = client_call("DeleteApiKey", &colleague, 1);
    let id = made.token.id.to_string();
    for _ in 0..2 {
        world.service.delete_api_key(&ctx, &id).await.expect("revoked");
    }
    assert_eq!(reason(world.proves(&made.secret, 2).await), "UNAUTHENTICATED");
    assert!(listed(owner.clone()).await.is_empty());
    let eve = world.person("eve@example.com", Role::Owner).await;
    let ctx = client_call("DeleteApiKey", &eve, 1);
    assert_eq!(
        reason(world.service.delete_api_key(&ctx, &id).await),
        "API_KEY_NOT_FOUND"
    );
    let request = CreateTokenRequest {
        name: "ci".to_owned(),
        scopes: Vec::new(),
        expires_at: Ok(None),
    };
    let ctx = client_call("CreateApiKey", &eve, 1);
    let none = world.service.create_api_key(&ctx, request).await;
    assert_eq!(
        reason(none),
        "INVALID_ARGUMENT",
        "a key without scopes could do nothing"
    );
}
