use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::domain::PersonalToken;
use crate::service::tokens::{CreateTokenRequest, CreatedToken};

fn asked(scopes: &[&str], expires_at: Option<DateTime<Utc>>) -> CreateTokenRequest {
    CreateTokenRequest {
        name: "ci".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        expires_at: Ok(expires_at),
    }
}

async fn created(world: &World, caller: &Caller, scopes: &[&str]) -> CreatedToken {
    let ctx = call("CreateToken", caller.clone(), 0);
    world
        .service
        .create_token(&ctx, asked(scopes, None))
        .await
        .expect("made")
}

async fn proven(world: &World, text: &SecretString, seconds: i64) -> Result<Caller, AuthError> {
    let ctx = call("AuthenticateToken", Caller::service("gateway"), seconds);
    world
        .service
        .authenticate_token(&ctx, text)
        .await
        .map(|proven| proven.caller)
}

async fn listed(world: &World, caller: &Caller) -> Vec<PersonalToken> {
    world
        .service
        .list_tokens(&call("ListTokens", caller.clone(), 0), 0, "")
        .await
        .expect("answered")
        .0
}

#[tokio::test]
async fn a_token_proves_its_person() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = created(&world, &owner, &[]).await;
    let caller = proven(&world, &made.secret, 1).await.expect("in force");
    assert_eq!(caller.kind, CallerKind::Token);
    assert_eq!((&caller.id, caller.workspace), (&owner.id, owner.workspace));
    assert_eq!(caller.permissions, owner.permissions);
    assert_eq!(caller.credential_id, made.token.id.to_string());
    let fact = world.facts().await.pop().unwrap();
    assert_eq!(
        (fact.action.as_str(), fact.target_id.clone()),
        ("token.created", made.token.id.to_string())
    );
    assert!(!format!("{fact:?}").contains(made.secret.expose_secret()));
}

#[tokio::test]
async fn a_token_can_do_what_its_scopes_and_its_person_can_now() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = created(&world, &owner, &["secrets.read", "secrets.write"]).await;
    assert_eq!(
        proven(&world, &made.secret, 1).await.unwrap().permissions,
        ["secrets.read", "secrets.write"]
    );
    world.set_role(owner.user().unwrap(), "viewer");
    assert_eq!(
        proven(&world, &made.secret, 2).await.unwrap().permissions,
        ["secrets.read"]
    );
    world.set_role(owner.user().unwrap(), "a role of next year");
    assert!(
        proven(&world, &made.secret, 3)
            .await
            .unwrap()
            .permissions
            .is_empty()
    );
    world.leave(owner.user().unwrap());
    assert_eq!(reason(proven(&world, &made.secret, 4).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn scopes_must_be_held() {
    let world = world();
    let viewer = world.person("ada@example.com", Role::Viewer).await;
    let ctx = call("CreateToken", viewer, 0);
    let request = asked(&["secrets.read", "secrets.write", "made.up"], None);
    let error = ApiError::from(world.service.create_token(&ctx, request).await.err().unwrap());
    let fields: Vec<&str> = error
        .violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(fields, ["scopes[1]", "scopes[2]"]);
}

#[tokio::test]
async fn a_token_ends() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let ctx = call("CreateToken", owner.clone(), 0);
    let made = world
        .service
        .create_token(&ctx, asked(&[], Some(at(10))))
        .await
        .expect("made");
    assert!(proven(&world, &made.secret, 9).await.is_ok());
    assert_eq!(reason(proven(&world, &made.secret, 10).await), "UNAUTHENTICATED");
    for wrong in [at(0), at(-1), at(367 * 24 * 60 * 60)] {
        let error = ApiError::from(
            world
                .service
                .create_token(&ctx, asked(&[], Some(wrong)))
                .await
                .err()
                .unwrap(),
        );
        assert_eq!(error.violations[0].field, "expires_at");
    }
    let default = created(&world, &owner, &[]).await.token;
    assert_eq!(default.expires_at, at(90 * 24 * 60 * 60));
}

#[tokio::test]
async fn a_revoked_token_proves_nobody() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = created(&world, &owner, &[]).await;
    let id = made.token.id.to_string();
    for _ in 0..2 {
        world
            .service
            .delete_token(&call("DeleteToken", owner.clone(), 1), &id)
            .await
            .expect("revoked");
    }
    assert_eq!(reason(proven(&world, &made.secret, 2).await), "UNAUTHENTICATED");
    assert!(listed(&world, &owner).await.is_empty());
    assert_eq!(
        world.actions().await,
        ["account.registered", "token.created", "token.revoked"]
    );
}

#[tokio::test]
async fn nobody_elses_token_is_found() {
    let world = world();
    let ada = world.person("ada@example.com", Role::Owner).await;
    let eve = world.person("eve@example.com", Role::Owner).await;
    let colleague = Caller {
        workspace: ada.workspace,
        ..eve.clone()
    };
    let made = created(&world, &ada, &[]).await;
    for caller in [eve, colleague] {
        assert!(listed(&world, &caller).await.is_empty());
        let answer = world
            .service
            .delete_token(&call("DeleteToken", caller, 1), &made.token.id.to_string())
            .await;
        assert_eq!(reason(answer), "TOKEN_NOT_FOUND");
    }
    let answer = world
        .service
        .delete_token(&call("DeleteToken", ada.clone(), 1), "not-an-id")
        .await;
    assert_eq!(reason(answer), "TOKEN_NOT_FOUND");
    assert!(proven(&world, &made.secret, 2).await.is_ok());
}

#[tokio::test]
async fn invented_tokens_prove_nobody() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = created(&world, &owner, &[]).await;
    let stranger = causeway_crypto::token::mint("cw_pat_").secret;
    let mistyped = format!("{}x", made.secret.expose_secret());
    for text in ["", "cw_pat_", &mistyped, stranger.expose_secret()] {
        assert_eq!(reason(proven(&world, &text.into(), 1).await), "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn the_last_use_is_known_to_the_minute() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = created(&world, &owner, &[]).await;
    for (seconds, expected) in [(10, 10), (69, 10), (70, 70)] {
        proven(&world, &made.secret, seconds).await.expect("in force");
        assert_eq!(listed(&world, &owner).await[0].last_used_at, Some(at(expected)));
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    for _ in 0..5 {
        created(&world, &owner, &[]).await;
    }
    let (mut sizes, mut token) = (Vec::new(), String::new());
    loop {
        let ctx = call("ListTokens", owner.clone(), 0);
        let (page, next) = world.service.list_tokens(&ctx, 2, &token).await.expect("a page");
        sizes.push(page.len());
        if next.is_empty() {
            break;
        }
        token = next;
    }
    assert_eq!(sizes, [2, 2, 1]);
    for (size, token) in [(-1, ""), (0, "???")] {
        let answer = world
            .service
            .list_tokens(&call("ListTokens", owner.clone(), 0), size, token)
            .await;
        assert_eq!(reason(answer), "INVALID_ARGUMENT");
    }
}

#[tokio::test]
async fn a_program_has_no_personal_tokens() {
    let world = world();
    let program = Caller {
        kind: CallerKind::Client,
        id: "program".to_owned(),
        workspace: Some(WorkspaceId::generate()),
        ..Caller::anonymous()
    };
    let answer = world
        .service
        .list_tokens(&call("ListTokens", program, 0), 0, "")
        .await;
    assert_eq!(reason(answer), "PERSON_REQUIRED");
}

/// RBAC-04: a session that was narrowed makes no token that holds more than it does.
#[tokio::test]
async fn a_narrowed_session_makes_narrowed_tokens() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let narrowed = Caller {
        permissions: ["tokens.write", "secrets.read"].iter().collect(),
        ..owner.clone()
    };
    let made = created(&world, &narrowed, &[]).await;
    assert_eq!(made.token.scopes, narrowed.permissions.names());
    let caller = proven(&world, &made.secret, 1).await.expect("in force");
    assert_eq!(caller.permissions, ["secrets.read", "tokens.write"]);
    let whole = created(&world, &owner, &[]).await;
    assert!(
        whole.token.scopes.is_empty(),
        "what is not narrowed follows the role"
    );
}
