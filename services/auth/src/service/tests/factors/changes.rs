//! A factor that comes, goes, or is asked for more strictly.

use super::*;

/// MFA-07.
#[tokio::test]
async fn to_change_a_factor_takes_a_code_and_takes_the_mark_from_the_session_that_stays() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    let token = world.first_step("ada@example.com", 60).await;
    let tokens = world
        .second(&token, &person.seed.code_at(at(60)), 60)
        .await
        .expect("opened");
    let stays = Caller {
        credential_id: tokens.session.to_string(),
        ..person.caller.clone()
    };
    let remove = async |seconds, code: &str| {
        let ctx = mfa("RemoveTotp", &stays, seconds);
        world.service.remove_totp(&ctx, code).await
    };
    assert_eq!(reason(remove(61, "").await), "INVALID_ARGUMENT");
    assert_eq!(reason(remove(61, "000000").await), "INVALID_CODE");
    let enrol = world
        .service
        .enrol_totp(&mfa("EnrollTotp", &person.caller, 62), String::new())
        .await;
    assert_eq!(reason(enrol), "MFA_ENROLLED");
    remove(90, &person.seed.code_at(at(90))).await.expect("removed");
    assert_eq!(reason(remove(91, "000000").await), "MFA_NOT_ENROLLED");
    let claims = world.claims_after_refresh(&tokens, 100).await;
    assert!(!claims.mfa && !claims.mfa_enrolled, "what was passed is gone");
    assert!(world.login("ada@example.com", PASSWORD, "").await.is_ok());
}

/// RBAC-04: a session that is narrowed neither takes over the second factor nor comes back whole from it.
#[tokio::test]
async fn a_narrowed_session_has_no_say_over_the_second_factor() {
    let world = world();
    world.registered("ada@example.com").await;
    let (_, whole) = world.session("ada@example.com").await;
    let narrowed = Caller {
        permissions: ["secrets.read"].iter().collect(),
        ..whole.clone()
    };
    let enrolled = world
        .service
        .enrol_totp(&mfa("EnrollTotp", &narrowed, 1), String::new())
        .await;
    assert_eq!(reason(enrolled), "SCOPES_NOT_HELD");
    let enrolled = world
        .service
        .enrol_totp(&mfa("EnrollTotp", &whole, 1), String::new())
        .await;
    let seed = Seed::opened(base32(enrolled.expect("enrolled").secret.expose_secret()).into());
    let confirm = async |caller: &Caller| {
        let ctx = mfa("ConfirmTotp", caller, 30);
        world.service.confirm_totp(&ctx, &seed.code_at(at(30))).await
    };
    assert_eq!(reason(confirm(&narrowed).await), "SCOPES_NOT_HELD");
    confirm(&whole).await.expect("confirmed");
    let ctx = mfa("VerifySession", &narrowed, 60);
    let verified = world.service.verify_session(&ctx, &seed.code_at(at(60))).await;
    assert_eq!(reason(verified), "SCOPES_NOT_HELD");
    let code = seed.code_at(at(60));
    let remove = mfa("RemoveTotp", &narrowed, 60);
    assert_eq!(
        reason(world.service.remove_totp(&remove, &code).await),
        "SCOPES_NOT_HELD"
    );
    let regenerate = mfa("RegenerateRecoveryCodes", &narrowed, 60);
    let codes = world.service.regenerate_recovery_codes(&regenerate, &code).await;
    assert_eq!(reason(codes), "SCOPES_NOT_HELD");
}

/// MFA-07: an access token alone does not enrol a factor that keeps its owner out.
#[tokio::test]
async fn an_enrolment_takes_a_session_of_a_moment_ago_or_the_password() {
    let world = world();
    world.registered("ada@example.com").await;
    let (_, caller) = world.session("ada@example.com").await;
    let enrol = async |seconds, password: &str| {
        let ctx = mfa("EnrollTotp", &caller, seconds);
        world.service.enrol_totp(&ctx, password.to_owned()).await
    };
    assert!(enrol(599, "").await.is_ok());
    assert_eq!(reason(enrol(600, "").await), "REAUTHENTICATION_REQUIRED");
    assert_eq!(reason(enrol(600, "a wrong password").await), "INVALID_ARGUMENT");
    assert!(enrol(600, PASSWORD).await.is_ok());
    for _ in 0..60 {
        enrol(601, "a wrong password").await.err().expect("refused");
    }
    assert_eq!(reason(enrol(601, PASSWORD).await), "TOO_MANY_GUESSES");
}

/// MFA-04: who tries codes in an open session locks the person out once, and not again and again.
#[tokio::test]
async fn the_session_in_which_codes_were_tried_until_they_locked_is_ended() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    let verify = async |seconds, code: &str| {
        let ctx = mfa("VerifySession", &person.caller, seconds);
        world.service.verify_session(&ctx, code).await
    };
    for second in 1..=5 {
        assert_eq!(reason(verify(second, "000000").await), "INVALID_CODE");
    }
    assert_eq!(reason(verify(6, "000000").await), "MFA_LOCKED");
    assert_eq!(reason(verify(3600, "000000").await), "SESSION_REQUIRED");
}

/// REF-06, MFA-07: what a factor was worth in other sessions, or was not asked for there, ends with the change.
#[tokio::test]
async fn a_factor_that_comes_or_goes_ends_every_other_session() {
    let world = world();
    world.registered("ada@example.com").await;
    let before = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("opened");
    let (_, caller) = world.session("ada@example.com").await;
    let enrolled = world
        .service
        .enrol_totp(&mfa("EnrollTotp", &caller, 1), String::new())
        .await;
    let seed = Seed::opened(base32(enrolled.expect("enrolled").secret.expose_secret()).into());
    let refreshed = async |tokens: &Tokens, seconds| {
        let ctx = anonymous("Refresh", seconds);
        world.service.refresh(&ctx, &tokens.refresh).await
    };
    let before = refreshed(&before, 2)
        .await
        .expect("an enrolment alone ends nothing");
    let ctx = mfa("ConfirmTotp", &caller, 30);
    world
        .service
        .confirm_totp(&ctx, &seed.code_at(at(30)))
        .await
        .expect("confirmed");
    assert_eq!(reason(refreshed(&before, 31).await), "INVALID_REFRESH_TOKEN");

    let token = world.first_step("ada@example.com", 60).await;
    let other = world
        .second(&token, &seed.code_at(at(60)), 60)
        .await
        .expect("opened");
    let ctx = mfa("RemoveTotp", &caller, 90);
    world
        .service
        .remove_totp(&ctx, &seed.code_at(at(90)))
        .await
        .expect("removed, from the session that had confirmed it");
    assert_eq!(reason(refreshed(&other, 91).await), "INVALID_REFRESH_TOKEN");
    let facts = world.facts().await;
    let closed = facts.iter().filter(|fact| fact.action == "session.closed");
    let causes: Vec<_> = closed.map(|fact| fact.details["cause"].clone()).collect();
    assert_eq!(causes, ["mfa_enrolled", "mfa_removed"]);
}

#[tokio::test]
async fn where_it_is_strict_a_code_of_the_step_before_is_wrong_mfa_03() {
    for (strict, expected) in [(false, None), (true, Some("INVALID_CODE"))] {
        let world = world_with(|config| config.mfa_strict = strict);
        let person = world.with_factor("ada@example.com").await;
        let token = world.first_step("ada@example.com", 65).await;
        let late = world.second(&token, &person.seed.code_at(at(59)), 65).await;
        assert_eq!(
            late.err().map(|error| ApiError::from(error).reason.into_owned()),
            expected.map(str::to_owned)
        );
        let token = world.first_step("ada@example.com", 95).await;
        let own = world.second(&token, &person.seed.code_at(at(95)), 95).await;
        own.expect("a code of its own step");
    }
}
