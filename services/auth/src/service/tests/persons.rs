//! Persons who are kept out.

use causeway_oidc::ClerkSession;
use secrecy::ExposeSecret as _;

use super::*;
use crate::service::ExchangeRequest;
use crate::service::tokens::CreateTokenRequest;
use crate::store::AccountStore as _;

const RPC: &str = "DisablePlatformUser";

/// A world whose platform is that workspace, and somebody in charge there.
fn owned() -> (World, Caller) {
    let platform = WorkspaceId::generate();
    let world = world_with(|config| config.platform_owner = Some(platform));
    let owner = UserId::generate();
    let caller = Caller::person(
        CallerKind::User,
        owner,
        platform,
        &[Role::Owner],
        &[],
        "session".to_owned(),
    );
    (world, caller)
}

fn ctx(rpc: &str, caller: &Caller, seconds: i64) -> CallContext {
    call_of("PersonService", rpc, caller.clone(), seconds)
}

async fn disable(world: &World, platform: &Caller, user: UserId, seconds: i64) {
    let ctx = ctx(RPC, platform, seconds);
    let person = world
        .service
        .disable_user(&ctx, &user.to_string(), "left the company")
        .await
        .expect("kept out");
    let disabled = person.disabled.expect("is kept out");
    assert_eq!(
        (disabled.by.as_str(), disabled.reason.as_str()),
        (platform.id.as_str(), "left the company")
    );
}

/// REF-06, TOK-03.
#[tokio::test]
async fn who_is_kept_out_comes_in_by_no_way_and_hears_what_a_stranger_hears() {
    let (world, platform) = owned();
    let caller = world.person("ada@example.com", Role::Owner).await;
    let user = caller.user().unwrap();
    let tokens = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    let ask = CreateTokenRequest {
        name: "ci".to_owned(),
        scopes: Vec::new(),
        expires_at: Ok(None),
    };
    let made = call("CreateToken", caller.clone(), 1);
    let token = world.service.create_token(&made, ask).await.expect("made").secret;
    let proves = async |seconds| {
        let ctx = call("AuthenticateToken", Caller::service("gateway"), seconds);
        world.service.authenticate_token(&ctx, &token).await
    };
    proves(2).await.expect("in force");
    disable(&world, &platform, user, 5).await;

    let refused = world.login("ada@example.com", PASSWORD, "").await;
    let stranger = world.login("nobody@example.com", PASSWORD, "").await;
    let [refused, stranger] = [refused, stranger].map(|answer| ApiError::from(answer.err().unwrap()));
    assert_eq!(
        (refused.code, refused.reason, refused.message),
        (stranger.code, stranger.reason, stranger.message)
    );
    let refreshed = world
        .service
        .refresh(&anonymous("Refresh", 6), &tokens.refresh)
        .await;
    assert_eq!(reason(refreshed), "INVALID_REFRESH_TOKEN");
    assert_eq!(reason(proves(6).await), "UNAUTHENTICATED", "TOK-03");
    let forgot = call_of("RecoveryService", "ForgotPassword", Caller::anonymous(), 6);
    world
        .service
        .forgot_password(&forgot, "ada@example.com")
        .await
        .expect("accepted as every address is");

    let back = ctx("EnablePlatformUser", &platform, 10);
    let person = world.service.enable_user(&back, &user.to_string()).await;
    assert_eq!(person.expect("back").disabled, None);
    world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("let in");
    proves(11).await.expect("was never revoked");
    let refreshed = world
        .service
        .refresh(&anonymous("Refresh", 11), &tokens.refresh)
        .await;
    assert_eq!(reason(refreshed), "INVALID_REFRESH_TOKEN", "what ended stays so");
}

#[tokio::test]
async fn who_is_kept_out_finishes_no_login_that_has_begun() {
    let (world, platform) = owned();
    let made = world.registered("ada@example.com").await;
    let account = world.store.find_account(made.user).await.unwrap().unwrap();
    disable(&world, &platform, made.user, 5).await;
    assert!(
        world
            .service
            .in_force(Some(account))
            .await
            .expect("asked")
            .is_none()
    );
}

#[tokio::test]
async fn who_is_kept_out_comes_in_by_no_provider_either_exc_07() {
    let (world, platform) = owned();
    let session = ClerkSession {
        issuer: "https://clerk.example.com".to_owned(),
        subject: "user_1".to_owned(),
        session: None,
        party: "https://front.example.com".to_owned(),
        token: None,
        organization: None,
        actor: None,
        second_factor: false,
        expires_at: at(60),
    };
    world.clerk.0.lock().unwrap().insert("t".to_owned(), Ok(session));
    let exchange = async |seconds| {
        let request = ExchangeRequest {
            token: "t".into(),
            workspace_id: String::new(),
            refresh: false,
            scope: Vec::new(),
        };
        world
            .service
            .exchange(&anonymous("Exchange", seconds), request)
            .await
    };
    let opened = exchange(0).await.expect("opened");
    let claims = verifier()
        .verify(opened.access.expose_secret(), at(0))
        .expect("genuine");
    disable(&world, &platform, claims.sub.parse().unwrap(), 5).await;
    world.leave(claims.sub.parse().unwrap());
    assert_eq!(reason(exchange(6).await), "INVALID_TOKEN");
}

#[tokio::test]
async fn only_the_platform_keeps_people_out_and_nobody_themselves() {
    let (world, platform) = owned();
    let ada = world.person("ada@example.com", Role::Owner).await;
    let nobody = world_with(|_| {});
    let id = ada.id.as_str();
    for (world, caller) in [(&world, &ada), (&nobody, &platform)] {
        let refused = world.service.disable_user(&ctx(RPC, caller, 1), id, "").await;
        assert_eq!(reason(refused), "NOT_PLATFORM_OWNER");
        let refused = world
            .service
            .platform_user(&ctx("GetPlatformUser", caller, 1), "x")
            .await;
        assert_eq!(
            reason(refused),
            "NOT_PLATFORM_OWNER",
            "before anything is looked at"
        );
    }
    for unknown in [UserId::generate().to_string(), "x".to_owned()] {
        let refused = world
            .service
            .disable_user(&ctx(RPC, &platform, 1), &unknown, "")
            .await;
        assert_eq!(reason(refused), "USER_NOT_FOUND");
    }
    let two_lines = world
        .service
        .disable_user(&ctx(RPC, &platform, 1), id, "a\nb")
        .await;
    assert_eq!(reason(two_lines), "INVALID_ARGUMENT");

    let in_charge = Caller {
        id: id.to_owned(),
        ..platform.clone()
    };
    let own = world.service.disable_user(&ctx(RPC, &in_charge, 1), id, "").await;
    assert_eq!(reason(own), "OWN_ACCOUNT");
}

#[tokio::test]
async fn both_logs_tell_who_was_kept_out_and_by_whom() {
    let (world, platform) = owned();
    let ada = world.person("ada@example.com", Role::Owner).await;
    let user = ada.user().unwrap();
    for seconds in [5, 6] {
        disable(&world, &platform, user, seconds).await;
    }
    let back = ctx("EnablePlatformUser", &platform, 7);
    for _ in 0..2 {
        world
            .service
            .enable_user(&back, &user.to_string())
            .await
            .expect("back");
    }
    let facts = world.facts().await;
    let told: Vec<_> = facts
        .iter()
        .filter(|fact| fact.action.starts_with("platform."))
        .map(|fact| (fact.action.as_str(), fact.workspace, fact.actor_id.as_str()))
        .collect();
    let (own, home) = (platform.workspace.unwrap(), ada.workspace.unwrap());
    let (out, back, by) = (
        "platform.user_disabled",
        "platform.user_enabled",
        platform.id.as_str(),
    );
    assert_eq!(
        told,
        [(out, own, by), (out, home, by), (back, own, by), (back, home, by)],
        "once each"
    );
    let reasons = facts.iter().filter(|fact| fact.action == out);
    assert!(
        reasons
            .into_iter()
            .all(|fact| fact.details["reason"] == "left the company")
    );
}

/// TOK-03: the maker of a key is kept out.
#[tokio::test]
async fn what_a_person_granted_to_programs_is_dead_while_the_person_is_kept_out() {
    let (world, platform) = owned();
    let ada = world.person("ada@example.com", Role::Owner).await;
    let ask = CreateTokenRequest {
        name: "key".to_owned(),
        scopes: vec!["secrets.read".to_owned()],
        expires_at: Ok(None),
    };
    let ctx = call_of("ClientService", "CreateApiKey", ada.clone(), 1);
    let key = world
        .service
        .create_api_key(&ctx, ask)
        .await
        .expect("made")
        .secret;
    let proves = async |seconds| {
        let ctx = call("AuthenticateToken", Caller::service("gateway"), seconds);
        world.service.authenticate_token(&ctx, &key).await
    };
    proves(2).await.expect("in force");
    disable(&world, &platform, ada.user().unwrap(), 5).await;
    assert_eq!(reason(proves(6).await), "UNAUTHENTICATED");
}
