use causeway_crypto::token;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::domain::ClientId;
use crate::service::{ClientChange, CreateClientRequest, RotationEnd, TokenRequest, WithSecret};

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(super) fn client_call(rpc: &str, caller: &Caller, seconds: i64) -> CallContext {
    call_of("ClientService", rpc, caller.clone(), seconds)
}

impl World {
    pub(super) async fn try_client(
        &self,
        caller: &Caller,
        scopes: &[&str],
        grants: &[&str],
    ) -> Result<WithSecret, AuthError> {
        let request = CreateClientRequest {
            name: "batch".to_owned(),
            scopes: words(scopes),
            grants: words(grants),
        };
        let ctx = client_call("CreateClient", caller, 0);
        self.service.create_client(&ctx, request).await
    }

    pub(super) async fn client(&self, caller: &Caller, scopes: &[&str]) -> WithSecret {
        self.try_client(caller, scopes, &[]).await.expect("made")
    }

    pub(super) async fn granted(
        &self,
        id: &str,
        secret: &SecretString,
        seconds: i64,
    ) -> Result<String, AuthError> {
        let request = TokenRequest {
            grant_type: "client_credentials".to_owned(),
            client: crate::service::ClientCredentials {
                id: id.to_owned(),
                secret: secret.clone(),
            },
            ..TokenRequest::default()
        };
        let ctx = call_of("OauthService", "Token", Caller::anonymous(), seconds);
        let granted = self.service.grant(&ctx, request).await?;
        Ok(granted.access.expose_secret().to_owned())
    }

    async fn rotated(&self, caller: &Caller, id: &str, seconds: i64) -> Result<WithSecret, AuthError> {
        let ctx = client_call("RotateClient", caller, seconds);
        self.service.rotate_client(&ctx, id, Some(60)).await
    }
}

/// RBAC-04, ASVS 10.4.4.
#[tokio::test]
async fn a_client_may_not_do_more_than_who_makes_it() {
    let world = world();
    let viewer = world.person("ada@example.com", Role::Viewer).await;
    let refused = world
        .try_client(&viewer, &["secrets.read", "secrets.write"], &["password"])
        .await;
    let error = ApiError::from(refused.err().unwrap());
    let fields: Vec<&str> = error
        .violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(fields, ["scopes[1]", "grants[0]"]);
    let made = world.client(&viewer, &["secrets.read"]).await;
    assert!(made.secret.expose_secret().starts_with("cw_cs_"));
    assert!(made.client.id.to_string().starts_with("cw_client_"));
    let fact = world.facts().await.pop().unwrap();
    assert_eq!(fact.action, "client.created");
    assert!(!format!("{fact:?}").contains(made.secret.expose_secret()));
}

/// CC-03.
#[tokio::test]
async fn two_secrets_are_in_force_during_a_rotation() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = world.client(&owner, &["secrets.read"]).await;
    let id = made.client.id.to_string();
    let new = world.rotated(&owner, &id, 0).await.expect("started");
    assert_ne!(new.secret.expose_secret(), made.secret.expose_secret());
    for secret in [&made.secret, &new.secret] {
        world.granted(&id, secret, 59).await.expect("in force");
    }
    assert_eq!(
        reason(world.granted(&id, &made.secret, 60).await),
        "INVALID_CLIENT",
        "the end of a secret is enforced, whatever is remembered of it"
    );
    world
        .granted(&id, &new.secret, 60)
        .await
        .expect("the new one lives on");
    assert_eq!(
        world.actions().await,
        ["account.registered", "client.created", "client.secret_rotated"]
    );
}

/// CC-03.
#[tokio::test]
async fn a_rotation_is_completed_or_cancelled() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    for (end, old, new) in [
        (RotationEnd::Complete, false, true),
        (RotationEnd::Cancel, true, false),
    ] {
        let made = world.client(&owner, &[]).await;
        let id = made.client.id.to_string();
        let ctx = client_call("CompleteClientRotation", &owner, 1);
        let early = world.service.end_rotation(&ctx, &id, end).await;
        assert_eq!(reason(early), "NO_ROTATION_RUNNING");
        let second = world.rotated(&owner, &id, 1).await.expect("started");
        assert_eq!(reason(world.rotated(&owner, &id, 1).await), "ROTATION_RUNNING");
        // Both were used, so that both are remembered.
        for secret in [&made.secret, &second.secret] {
            world.granted(&id, secret, 1).await.expect("in force");
        }
        world.service.end_rotation(&ctx, &id, end).await.expect("ended");
        for (secret, expected) in [(&made.secret, old), (&second.secret, new)] {
            assert_eq!(world.granted(&id, secret, 1).await.is_ok(), expected, "{end:?}");
        }
    }
}

#[tokio::test]
async fn who_rotates_must_hold_what_the_secret_opens() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = world.client(&owner, &["workspaces.write"]).await;
    let lesser = Caller {
        permissions: ["clients.write", "secrets.read"].iter().collect(),
        ..owner.clone()
    };
    let id = made.client.id.to_string();
    assert_eq!(reason(world.rotated(&lesser, &id, 1).await), "SCOPES_NOT_HELD");
}

#[tokio::test]
async fn who_changes_the_scopes_grants_them_from_then_on() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = world.client(&owner, &["secrets.read"]).await;
    let id = made.client.id.to_string();
    let colleague = Caller {
        id: UserId::generate().to_string(),
        ..owner.clone()
    };
    world.rejoin(&colleague, "owner");
    let ctx = client_call("UpdateClient", &colleague, 1);
    let change = ClientChange {
        scopes: Some(words(&["secrets.write"])),
        ..ClientChange::default()
    };
    let changed = world
        .service
        .update_client(&ctx, &id, change)
        .await
        .expect("changed");
    assert_eq!(changed.granted_by.to_string(), colleague.id);
    world.leave(owner.user().unwrap());
    world
        .granted(&id, &made.secret, 10)
        .await
        .expect("the colleague holds it");
    world.leave(colleague.user().unwrap());
    assert_eq!(
        reason(world.granted(&id, &made.secret, 20).await),
        "INVALID_CLIENT"
    );
    let beyond = ClientChange {
        name: Some(String::new()),
        scopes: Some(words(&["made.up"])),
        grants: Some(words(&["implicit"])),
        ..ClientChange::default()
    };
    let error = world
        .service
        .update_client(&ctx, &id, beyond)
        .await
        .err()
        .unwrap();
    assert_eq!(ApiError::from(error).violations.len(), 3);
}

#[tokio::test]
async fn a_client_that_is_switched_off_or_ended_gets_nothing() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = world.client(&owner, &["secrets.read"]).await;
    let id = made.client.id.to_string();
    for (disabled, expected) in [(true, false), (false, true)] {
        let change = ClientChange {
            disabled: Some(disabled),
            ..ClientChange::default()
        };
        let ctx = client_call("UpdateClient", &owner, 1);
        world
            .service
            .update_client(&ctx, &id, change)
            .await
            .expect("changed");
        assert_eq!(world.granted(&id, &made.secret, 1).await.is_ok(), expected);
    }
    let ctx = client_call("DeleteClient", &owner, 1);
    for _ in 0..2 {
        world.service.delete_client(&ctx, &id).await.expect("ended");
    }
    assert_eq!(
        reason(world.granted(&id, &made.secret, 1).await),
        "INVALID_CLIENT"
    );
    assert_eq!(
        reason(world.service.get_client(&ctx, &id).await),
        "CLIENT_NOT_FOUND"
    );
    assert_eq!(world.actions().await.last().unwrap(), "client.deleted");
}

#[tokio::test]
async fn nobody_elses_client_is_found() {
    let world = world();
    let ada = world.person("ada@example.com", Role::Owner).await;
    let eve = world.person("eve@example.com", Role::Owner).await;
    let made = world.client(&ada, &[]).await;
    let id = made.client.id.to_string();
    let ctx = client_call("DeleteClient", &eve, 1);
    assert_eq!(
        reason(world.service.delete_client(&ctx, &id).await),
        "CLIENT_NOT_FOUND"
    );
    assert_eq!(reason(world.rotated(&eve, &id, 1).await), "CLIENT_NOT_FOUND");
    let listed = world.service.list_clients(&ctx, 0, "").await.expect("answered");
    assert!(listed.0.is_empty());
    for (size, expected) in [(1, 1), (0, 1)] {
        let ctx = client_call("ListClients", &ada, 1);
        let (listed, next) = world
            .service
            .list_clients(&ctx, size, "")
            .await
            .expect("answered");
        assert_eq!((listed.len(), next.as_str()), (expected, ""));
    }
}

/// CC-02: the answer; `VerifiedClients` never remembers a wrong secret, so that the work is the same too.
#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_look_alike() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = world.client(&owner, &[]).await;
    let (id, stranger) = (made.client.id.to_string(), ClientId::generate().to_string());
    let wrong = token::mint(token::CLIENT_SECRET).secret;
    for (id, secret) in [
        (&id, &wrong),
        (&stranger, &wrong),
        (&stranger, &made.secret),
        (&"nobody".to_owned(), &made.secret),
        (&id, &"secret".into()),
    ] {
        let error = ApiError::from(world.granted(id, secret, 0).await.err().unwrap());
        assert_eq!(
            (error.reason.as_ref(), error.message.as_ref()),
            ("INVALID_CLIENT", "client authentication failed")
        );
    }
}
