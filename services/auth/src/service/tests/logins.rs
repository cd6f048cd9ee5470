use secrecy::ExposeSecret as _;

use super::*;

/// B-AUTH-1, B-AUTH-10: a token of 15 minutes.
#[tokio::test]
async fn a_login_opens_a_session_in_the_oldest_workspace() {
    let world = world();
    let made = world.registered("ada@example.com").await;
    world.join(made.user, "viewer");
    let tokens = world
        .login(" ADA@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    assert_eq!(tokens.workspace, made.workspace);
    let claims = verifier()
        .verify(tokens.access.expose_secret(), at(0))
        .expect("genuine");
    assert_eq!(claims.sub, made.user.to_string());
    assert_eq!(claims.sid, tokens.session.to_string());
    assert_eq!(claims.workspace_id, made.workspace.to_string());
    assert_eq!(
        (claims.roles.as_slice(), claims.exp - claims.iat),
        (["owner".to_owned()].as_slice(), 900)
    );
    let fact = world.facts().await.pop().unwrap();
    assert_eq!(fact.action, "session.opened");
    assert_eq!(
        (fact.workspace, fact.target_id),
        (made.workspace, tokens.session.to_string())
    );
}

#[tokio::test]
async fn a_login_enters_the_workspace_it_names() {
    let world = world();
    let made = world.registered("ada@example.com").await;
    let other = world.join(made.user, "viewer");
    let tokens = world
        .login("ada@example.com", PASSWORD, &other.to_string())
        .await
        .expect("logged in");
    assert_eq!(tokens.workspace, other);
    let claims = verifier()
        .verify(tokens.access.expose_secret(), at(0))
        .expect("genuine");
    assert_eq!(claims.roles, ["viewer"]);
}

#[tokio::test]
async fn a_foreign_workspace_is_not_found() {
    let world = world();
    world.registered("ada@example.com").await;
    let foreign = world.registered("eve@example.com").await.workspace;
    for id in [foreign, WorkspaceId::generate()] {
        let answer = world.login("ada@example.com", PASSWORD, &id.to_string()).await;
        assert_eq!(reason(answer), "WORKSPACE_NOT_FOUND");
    }
    assert_eq!(
        reason(world.login("ada@example.com", PASSWORD, "x").await),
        "INVALID_ARGUMENT"
    );
}

#[tokio::test]
async fn a_wrong_address_and_a_wrong_password_look_alike() {
    let world = world();
    world.registered("ada@example.com").await;
    let long = "x".repeat(5000);
    for (email, password) in [
        ("ada@example.com", "not the password"),
        ("bob@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("ada@example.com", ""),
        ("ada@example.com", long.as_str()),
    ] {
        let error = ApiError::from(world.login(email, password, "").await.err().unwrap());
        assert_eq!(
            (error.reason.as_ref(), error.message.as_ref()),
            ("INVALID_CREDENTIALS", "wrong address or password")
        );
    }
    // Told to the one who has the account, and to nobody else.
    let failed = "login.failed";
    assert_eq!(
        world.actions().await,
        ["account.registered", failed, failed, failed]
    );
}

#[tokio::test]
async fn a_person_without_a_workspace_cannot_enter() {
    let world = world();
    let made = world.registered("ada@example.com").await;
    world.leave(made.user);
    assert_eq!(
        reason(world.login("ada@example.com", PASSWORD, "").await),
        "NO_WORKSPACE"
    );
}

#[tokio::test]
async fn a_tenancy_that_is_away_is_said_to_be_away() {
    let world = world();
    world.registered("ada@example.com").await;
    world.tenancy_is_away(true);
    assert_eq!(
        reason(world.login("ada@example.com", PASSWORD, "").await),
        "TENANCY_UNAVAILABLE"
    );
}

#[tokio::test]
async fn the_caller_hears_about_itself() {
    let world = world();
    let caller = world.person("ada@example.com", Role::Owner).await;
    let me = world
        .service
        .me(&call("GetMe", caller.clone(), 0))
        .await
        .expect("answered");
    assert_eq!(me.email, "ada@example.com");
    assert_eq!(me.workspaces.len(), 1);
    assert_eq!(me.principal, caller);
    let program = Caller {
        kind: CallerKind::Client,
        id: "program".to_owned(),
        ..Caller::anonymous()
    };
    let me = world
        .service
        .me(&call("GetMe", program, 0))
        .await
        .expect("answered");
    assert_eq!((me.email.as_str(), me.workspaces.len()), ("", 0));
}
