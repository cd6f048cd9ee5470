//! Roles that a workspace made, as tokens say them.

use causeway_context::Caller;
use causeway_contracts::{CallerKind, PermissionSet, Role};
use secrecy::ExposeSecret as _;

use super::*;
use crate::service::CreateTokenRequest;
use crate::service::tokens::CreatedToken;

const ROLE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn set(names: &[&str]) -> PermissionSet {
    names.iter().collect()
}

/// The person in a session with that custom role, as the gateway would present it.
fn in_session(caller: &Caller, names: &[&str]) -> Caller {
    Caller {
        roles: vec![ROLE.to_owned()],
        permissions: set(names),
        ..caller.clone()
    }
}

async fn lend(world: &World, by: &Caller, scopes: &[&str]) -> CreatedToken {
    let request = CreateTokenRequest {
        name: "t".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        expires_at: Ok(None),
    };
    let ctx = call("CreateToken", by.clone(), 0);
    world.service.create_token(&ctx, request).await.expect("made")
}

async fn lent(world: &World, made: &CreatedToken) -> Caller {
    let ctx = call("AuthenticateToken", Caller::service("gateway"), 1);
    let proven = world.service.authenticate_token(&ctx, &made.secret).await;
    proven.expect("in force").caller
}

/// RBAC-03: services decide by what the token says, and the next token says what the role holds then.
#[tokio::test]
async fn a_token_says_what_a_custom_role_holds_and_nothing_beside_a_built_in_one() {
    let world = world();
    let made = world.registered("ada@example.com").await;
    let said = async |seconds| {
        let tokens = world
            .login("ada@example.com", PASSWORD, "")
            .await
            .expect("logged in");
        let claims = verifier().verify(tokens.access.expose_secret(), at(seconds));
        let claims = claims.expect("genuine");
        (claims.roles, claims.perm.as_deref().map(PermissionSet::decode))
    };
    assert_eq!(said(0).await, (vec!["owner".to_owned()], None));
    for held in [&["secrets.read", "tokens.write"][..], &[]] {
        world.set_custom(made.user, ROLE, set(held));
        assert_eq!(said(0).await, (vec![ROLE.to_owned()], Some(set(held))));
    }
}

/// TOK-03: at the time of use, and no more than is held then.
#[tokio::test]
async fn what_a_member_with_a_custom_role_lends_follows_the_role() {
    let world = world();
    let ada = world.person("ada@example.com", Role::Owner).await;
    let user = ada.user().unwrap();
    let held = ["secrets.read", "secrets.write", "tokens.write"];
    world.set_custom(user, ROLE, set(&held));
    let session = in_session(&ada, &held);
    let (whole, part) = (
        lend(&world, &session, &[]).await,
        lend(&world, &session, &["secrets.read"]).await,
    );
    assert_eq!(lent(&world, &whole).await.permissions, held);
    assert_eq!(lent(&world, &whole).await.roles, [ROLE]);
    assert_eq!(lent(&world, &part).await.permissions, ["secrets.read"]);
    world.set_custom(user, ROLE, set(&["secrets.write", "keys.read"]));
    assert_eq!(
        lent(&world, &whole).await.permissions,
        ["keys.read", "secrets.write"]
    );
    assert_eq!(lent(&world, &part).await.permissions, PermissionSet::EMPTY);
    let caller = lent(&world, &part).await;
    assert_eq!(
        (caller.kind, caller.permissions.is_empty()),
        (CallerKind::Token, true)
    );
}

/// RBAC-04: a session that was narrowed makes no token that holds more, whatever its role is.
#[tokio::test]
async fn a_narrowed_session_of_a_custom_role_makes_narrowed_tokens() {
    let world = world();
    let ada = world.person("ada@example.com", Role::Owner).await;
    world.set_custom(
        ada.user().unwrap(),
        ROLE,
        set(&["secrets.read", "secrets.write", "tokens.write"]),
    );
    let narrowed = in_session(&ada, &["secrets.read", "tokens.write"]);
    let made = lend(&world, &narrowed, &[]).await;
    assert_eq!(
        lent(&world, &made).await.permissions,
        ["secrets.read", "tokens.write"]
    );
}

/// RBAC-04: who may end sessions ends none of a person who holds more.
#[tokio::test]
async fn a_custom_role_ends_the_sessions_of_nobody_above() {
    let world = world();
    let ada = world.person("ada@example.com", Role::Owner).await;
    let bob = world.person("bob@example.com", Role::Owner).await;
    let there = Caller {
        workspace: ada.workspace,
        ..bob
    };
    world.rejoin(&there, ROLE);
    world.set_custom_in(&there, set(&["sessions.write"]));
    let ctx = call_of(
        "SessionService",
        "DeleteMemberSessions",
        in_session(&there, &["sessions.write"]),
        0,
    );
    let refused = world.service.delete_member_sessions(&ctx, &ada.id).await;
    assert_eq!(reason(refused), "ROLE_ABOVE_OWN");
    world.set_custom(ada.user().unwrap(), ROLE, set(&[]));
    assert!(world.service.delete_member_sessions(&ctx, &ada.id).await.is_ok());
}
