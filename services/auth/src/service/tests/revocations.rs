//! RFC 7009.

use super::oauth::{oauth, shown};
use super::*;
use crate::service::{RevokeRequest, WithSecret};

impl World {
    async fn revoke(
        &self,
        caller: &Caller,
        client: Option<&WithSecret>,
        token: &SecretString,
    ) -> Result<(), AuthError> {
        let request = RevokeRequest {
            token: token.clone(),
            client: client.map(shown).unwrap_or_default(),
        };
        let ctx = oauth("Revoke", caller, 1);
        self.service.revoke(&ctx, request).await
    }
}

#[tokio::test]
async fn a_revoked_token_is_not_active_any_more() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let client = world.client(&owner, &["secrets.read"]).await;
    let nobody = Caller::anonymous();
    for by_refresh in [true, false] {
        let session = world
            .login("ada@example.com", PASSWORD, "")
            .await
            .expect("logged in");
        let token = if by_refresh {
            &session.refresh
        } else {
            &session.access
        };
        world.revoke(&nobody, None, token).await.expect("revoked");
        for dead in [&session.refresh, &session.access] {
            assert_eq!(
                world.looked_into(&client, dead, 2).await,
                None,
                "the family ends (REV-01)"
            );
        }
    }
    let key = world.key(&owner, &["secrets.read"]).await;
    world.revoke(&nobody, None, &key.secret).await.expect("revoked");
    assert_eq!(world.looked_into(&client, &key.secret, 2).await, None);
    let actions = world.actions().await;
    assert!(actions.ends_with(&["api_key.created".to_owned(), "api_key.revoked".to_owned()]));
    for unknown in ["x", "a.b.c", "cw_rt_x"] {
        world
            .revoke(&nobody, None, &unknown.into())
            .await
            .expect("no error (RFC 7009 §2.2)");
    }
    assert_eq!(
        reason(world.revoke(&nobody, None, &"".into()).await),
        "INVALID_REQUEST"
    );
}

/// REV-01.
#[tokio::test]
async fn a_client_s_token_is_revoked_by_that_client_alone() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let stranger = world.person("eve@example.com", Role::Owner).await;
    let client = world.client(&owner, &["secrets.read"]).await;
    let other = world.client(&owner, &["secrets.read"]).await;
    let foreign = world.client(&stranger, &[]).await;
    let granted = world.grant_client(&client, "").await.expect("granted");
    let kept = world.grant_client(&client, "").await.expect("granted");
    let nobody = Caller::anonymous();
    assert_eq!(
        reason(world.revoke(&nobody, None, &granted.access).await),
        "INVALID_CLIENT"
    );
    for wrong in [&other, &foreign] {
        assert_eq!(
            reason(world.revoke(&nobody, Some(wrong), &granted.access).await),
            "UNAUTHORIZED_CLIENT"
        );
    }
    let wrong = WithSecret {
        client: client.client.clone(),
        secret: other.secret.clone(),
    };
    let unproven = world.revoke(&nobody, Some(&wrong), &granted.access).await;
    assert_eq!(reason(unproven), "INVALID_CLIENT");
    assert!(world.looked_into(&client, &granted.access, 1).await.is_some());
    for _ in 0..2 {
        world
            .revoke(&nobody, Some(&client), &granted.access)
            .await
            .expect("revoked");
    }
    assert_eq!(world.looked_into(&client, &granted.access, 2).await, None);
    assert!(world.looked_into(&client, &kept.access, 2).await.is_some());
    let id = client.client.id.to_string();
    let (_, revoked) = world.worth(&id, owner.workspace.unwrap(), 2).await;
    assert_eq!(revoked, 1, "gateways are told of one");
    world
        .revoke(&owner, None, &kept.access)
        .await
        .expect("who manages clients may");
    let actions = world.actions().await;
    let count = actions.iter().filter(|action| *action == "token.revoked").count();
    assert_eq!(count, 2);
}
