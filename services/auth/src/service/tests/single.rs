//! With a single tenant.

use causeway_contracts::CallerKind;

use super::*;
use crate::service::ExchangeRequest;

fn world() -> World {
    world_with(|config| config.single_tenant = true)
}

#[tokio::test]
async fn a_registration_makes_no_workspace_and_needs_no_name_for_one() {
    let world = world();
    for (email, name, role) in [
        ("ada@example.com", "", "owner"),
        ("bob@example.com", "\u{7}", "viewer"),
    ] {
        let request = RegisterRequest {
            workspace_name: name.to_owned(),
            ..registration(email, PASSWORD)
        };
        let made = world.service.register(&anonymous("Register", 0), request).await;
        let made = made.expect("registered");
        assert_eq!(made.workspace, WorkspaceId::DEFAULT);
        let memberships = world.tenancy.memberships(&RequestId::generate(), made.user).await;
        assert_eq!(memberships.expect("read")[0].role, role);
    }
    let facts = world.facts().await;
    assert!(facts.iter().all(|fact| fact.workspace == WorkspaceId::DEFAULT));
}

#[tokio::test]
async fn every_way_in_ends_in_the_only_workspace() {
    let world = world();
    let made = world.registered("ada@example.com").await;
    let before = world.join(made.user, "owner");
    for named in ["", "default", &WorkspaceId::DEFAULT.to_string()] {
        let tokens = world
            .login("ada@example.com", PASSWORD, named)
            .await
            .expect("logged in");
        assert_eq!(tokens.workspace, WorkspaceId::DEFAULT, "{named:?}");
        let again = world
            .service
            .refresh(&anonymous("Refresh", 1), &tokens.refresh)
            .await;
        assert_eq!(again.expect("refreshed").workspace, WorkspaceId::DEFAULT);
    }
    let other = world
        .login("ada@example.com", PASSWORD, &before.to_string())
        .await;
    assert_eq!(reason(other), "WORKSPACE_MISMATCH");
    let request = ExchangeRequest {
        token: "t".into(),
        workspace_id: before.to_string(),
        refresh: false,
        scope: Vec::new(),
    };
    let other = world.service.exchange(&anonymous("Exchange", 0), request).await;
    assert_eq!(reason(other), "WORKSPACE_MISMATCH");
}

#[tokio::test]
async fn what_was_given_for_another_workspace_before_ends() {
    let world = world();
    let made = world.registered("ada@example.com").await;
    world.tenancy.single.store(false, Ordering::SeqCst);
    let before = world.join(made.user, "owner");
    let caller = Caller::person(
        CallerKind::User,
        made.user,
        before,
        &[Role::Owner],
        &[],
        "s".to_owned(),
    );
    let request = crate::service::CreateTokenRequest {
        name: "old".to_owned(),
        scopes: Vec::new(),
        expires_at: Ok(None),
    };
    let token = world
        .service
        .create_token(&call("CreateToken", caller, 0), request)
        .await;
    let token = token.expect("made").secret;
    let proven = world
        .service
        .authenticate_token(&anonymous("AuthenticateToken", 1), &token)
        .await;
    assert_eq!(proven.expect("in force").caller.workspace, Some(before));

    world.tenancy.single.store(true, Ordering::SeqCst);
    let proven = world
        .service
        .authenticate_token(&anonymous("AuthenticateToken", 1), &token)
        .await;
    assert_eq!(reason(proven), "UNAUTHENTICATED");
}
