//! What sessions and tokens say of the factor, and what a workspace demands.

use super::*;
use crate::service::session::{Assurance, Opening};

#[tokio::test]
async fn a_policy_reaches_sessions_at_their_next_refresh() {
    let world = world();
    world.registered("ada@example.com").await;
    let tokens = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("opened");
    let (user, caller) = world.session("ada@example.com").await;
    world.demand_factor(user, true);
    let claims = world.claims_after_refresh(&tokens, 60).await;
    assert!(
        claims.mfa_required && !claims.mfa,
        "it is demanded and not passed"
    );
    let enrolled = world
        .service
        .enrol_totp(&mfa("EnrollTotp", &caller, 61), String::new())
        .await
        .expect("possible");
    let seed = Seed::opened(base32(enrolled.secret.expose_secret()).into());
    let (ctx, code) = (mfa("ConfirmTotp", &caller, 61), seed.code_at(at(61)));
    let confirmed = world.service.confirm_totp(&ctx, &code);
    let access = confirmed.await.expect("confirmed").access;
    let claims = verifier()
        .verify(access.expose_secret(), at(61))
        .expect("genuine");
    assert!(claims.mfa && claims.mfa_required);
    world.demand_factor(user, false);
    let token = world.first_step("ada@example.com", 120).await;
    let tokens = world
        .second(&token, &seed.code_at(at(120)), 120)
        .await
        .expect("opened");
    assert!(!world.claims_after_refresh(&tokens, 121).await.mfa_required);
}

#[tokio::test]
async fn a_session_that_was_opened_without_the_factor_can_pass_it() {
    let world = world();
    let Person {
        user, caller, seed, ..
    } = world.with_factor("ada@example.com").await;
    // As a provider opens one that asks for no second factor.
    let ctx = anonymous("Exchange", 20);
    let membership = world.service.enter(&ctx, user, None).await.expect("a member");
    let refresh = world.service.refresh_key.first();
    let opening = Opening {
        asks_factor: false,
        user,
        membership: &membership,
        assurance: Assurance::default(),
        refresh: Some(&refresh),
        proof: None,
        password: None,
    };
    let opened = world.service.open(&ctx, opening, |fact| fact).await;
    let (session, _) = opened.expect("opened");
    let older = Caller {
        credential_id: session.to_string(),
        ..caller.clone()
    };
    let ctx = anonymous("Refresh", 30);
    let refreshed = world.service.refresh(&ctx, &refresh).await.expect("refreshed");
    let claims = verifier()
        .verify(refreshed.access.expose_secret(), at(30))
        .expect("genuine");
    assert!(claims.mfa_enrolled && !claims.mfa);
    let ctx = mfa("VerifySession", &older, 40);
    let access = world
        .service
        .verify_session(&ctx, &seed.code_at(at(40)))
        .await
        .expect("passed")
        .access;
    assert!(
        verifier()
            .verify(access.expose_secret(), at(40))
            .expect("genuine")
            .mfa
    );
    assert_eq!(user.to_string(), caller.id);
    let stranger = Caller {
        id: UserId::generate().to_string(),
        ..older
    };
    let stolen = world
        .service
        .verify_session(&mfa("VerifySession", &stranger, 70), "000000")
        .await;
    assert_eq!(reason(stolen), "SESSION_REQUIRED");
}

#[tokio::test]
async fn a_token_made_in_a_session_that_passed_has_passed_too() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    world.demand_factor(person.user, true);
    let made = async |mfa: bool| {
        let caller = Caller {
            mfa,
            ..person.caller.clone()
        };
        let request = crate::service::CreateTokenRequest {
            name: "t".to_owned(),
            scopes: Vec::new(),
            expires_at: Ok(None),
        };
        let created = world
            .service
            .create_token(&call("CreateToken", caller, 1), request)
            .await;
        let secret = created.expect("made").secret;
        let ctx = call("AuthenticateToken", Caller::service("gateway"), 2);
        let proven = world
            .service
            .authenticate_token(&ctx, &secret)
            .await
            .expect("proven")
            .caller;
        (proven.mfa, proven.mfa_required, proven.mfa_enrolled)
    };
    assert_eq!(made(true).await, (true, true, true));
    assert_eq!(made(false).await, (false, true, true));
}

#[tokio::test]
async fn without_enforcement_nothing_says_that_a_factor_is_demanded() {
    let world = world_with(|config| config.mfa_enforced = false);
    let made = world.registered("ada@example.com").await;
    world.demand_factor(made.user, true);
    let tokens = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("opened");
    let claims = verifier()
        .verify(tokens.access.expose_secret(), at(0))
        .expect("genuine");
    assert!(!claims.mfa_required && !claims.mfa_enrolled && !claims.mfa);
}

#[tokio::test]
async fn a_seed_that_cannot_be_had_is_not_a_way_around() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    let token = world.first_step("ada@example.com", 60).await;
    world.tenancy_is_away(true);
    let away = world.second(&token, &person.seed.code_at(at(60)), 60).await;
    assert_eq!(reason(away), "TENANCY_UNAVAILABLE");
    world.tenancy_is_away(false);
    assert!(
        world
            .second(&token, &person.seed.code_at(at(61)), 61)
            .await
            .is_ok()
    );
}
