//! RFC 7662.

use super::oauth::{oauth, shown};
use super::*;
use crate::service::{ClientCredentials, Introspected, WithSecret};

impl World {
    pub(super) async fn looked_into(
        &self,
        client: &WithSecret,
        token: &SecretString,
        seconds: i64,
    ) -> Option<Introspected> {
        let ctx = oauth("Introspect", &Caller::anonymous(), seconds);
        let answer = self.service.introspect(&ctx, &shown(client), token).await;
        answer.expect("answered")
    }
}

/// INT-01.
#[tokio::test]
async fn a_client_looks_into_the_tokens_of_its_own_workspace() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let stranger = world.person("eve@example.com", Role::Owner).await;
    let client = world.client(&owner, &["secrets.read"]).await;
    let foreign = world.client(&stranger, &[]).await;
    let session = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    let machine = world.grant_client(&client, "").await.expect("granted");
    let key = world.key(&owner, &["secrets.write"]).await;
    for (token, kind, scope) in [
        (&machine.access, "access_token", Some("secrets.read")),
        (&session.access, "access_token", None),
        (&session.refresh, "refresh_token", Some("")),
        (&key.secret, "api_key", Some("secrets.write")),
    ] {
        let found = world.looked_into(&client, token, 1).await.expect("active");
        assert_eq!(
            (found.kind.as_str(), found.workspace),
            (kind, owner.workspace.unwrap())
        );
        match scope {
            Some(scope) => assert_eq!(found.scope, scope),
            None => assert!(found.scope.contains("workspaces.write")),
        }
        assert_eq!(world.looked_into(&foreign, token, 1).await, None);
    }
    let never = causeway_crypto::token::mint("cw_pat_").secret;
    for token in [never, "x".into(), "a.b.c".into(), client.secret.clone()] {
        assert_eq!(world.looked_into(&client, &token, 1).await, None);
    }
    let found = world.looked_into(&client, &machine.access, 15 * 60 + 5).await;
    assert_eq!(found, None, "it ended");
}

/// INT-01.
#[tokio::test]
async fn who_may_not_ask_is_told_nothing() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let client = world.client(&owner, &[]).await;
    let ask = async |caller: &Caller, client: &ClientCredentials| {
        let ctx = oauth("Introspect", caller, 1);
        world.service.introspect(&ctx, client, &"x".into()).await
    };
    let nobody = Caller::anonymous();
    assert_eq!(
        reason(ask(&nobody, &ClientCredentials::default()).await),
        "INVALID_CLIENT"
    );
    let viewer = Caller {
        permissions: ["secrets.read"].iter().collect(),
        ..owner.clone()
    };
    assert_eq!(
        reason(ask(&viewer, &ClientCredentials::default()).await),
        "PERMISSION_DENIED"
    );
    assert_eq!(reason(ask(&owner, &shown(&client)).await), "INVALID_REQUEST");
    assert_eq!(
        ask(&owner, &ClientCredentials::default())
            .await
            .expect("answered"),
        None
    );
}

#[tokio::test]
async fn nothing_of_who_left_is_active_and_a_stranger_learns_no_more_than_that() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let client = world.client(&owner, &["secrets.read"]).await;
    let guest = world.person("eve@example.com", Role::Owner).await;
    world.leave(guest.user().unwrap());
    world.rejoin(
        &Caller {
            workspace: owner.workspace,
            ..guest.clone()
        },
        "viewer",
    );
    let session = world
        .login("eve@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    let tokens = [&session.access, &session.refresh];
    for token in tokens {
        assert!(world.looked_into(&client, token, 1).await.is_some());
    }
    world.leave(guest.user().unwrap());
    for token in tokens {
        assert_eq!(world.looked_into(&client, token, 1).await, None, "INT-01");
    }
}
