//! What stands beside a sign-in: the second factor, and ID tokens that answer none.

use super::super::factors::{base32, mfa};
use super::*;
use crate::domain::Seed;
use crate::service::{ExchangeRequest, TokenRequest};

/// RFC 8693: the ID token of a provider at which people sign in here.
#[tokio::test]
async fn an_id_token_is_exchanged_like_a_token_of_clerk() {
    let all = sign_ins().await;
    let grant = async |token: &str, kind: &str| {
        let request = TokenRequest {
            grant_type: "urn:ietf:params:oauth:grant-type:token-exchange".to_owned(),
            subject_token: token.into(),
            subject_token_type: format!("urn:ietf:params:oauth:token-type:{kind}"),
            ..TokenRequest::default()
        };
        let ctx = call_of("OauthService", "Token", Caller::anonymous(), 1);
        all.world.service.grant(&ctx, request).await
    };
    all.world.clerk.0.lock().unwrap().insert(
        all.fake.id_token("ada"),
        Err(VerifyError::KeysAway {
            retry_after: std::time::Duration::from_secs(1),
        }),
    );
    let granted = grant(&all.fake.id_token("ada"), "id_token")
        .await
        .expect("granted");
    assert!(granted.exchanged && granted.refresh.is_none());
    let claims = verifier().verify(granted.access.expose_secret(), at(1));
    let signed_in = all.signed_in("ada").await;
    assert_eq!(
        claims.expect("genuine").sub,
        subject(&signed_in),
        "the same person"
    );
    all.fake.claim(json!({"aud": "another"}));
    let foreign = all.fake.id_token("ada");
    all.world
        .clerk
        .0
        .lock()
        .unwrap()
        .insert(foreign.clone(), Err(VerifyError::Pending));
    assert_eq!(reason(grant(&foreign, "jwt").await), "INVALID_REQUEST");
    let request = ExchangeRequest {
        token: foreign.into(),
        workspace_id: String::new(),
        refresh: false,
        scope: Vec::new(),
    };
    let clerk_alone = all
        .world
        .service
        .exchange(&anonymous("Exchange", 1), request)
        .await;
    assert_eq!(reason(clerk_alone), "SESSION_PENDING");
}

/// MFA-06: the provider is one factor; the person's own is asked for as after a password.
#[tokio::test]
async fn who_has_a_second_factor_is_asked_for_it() {
    let all = sign_ins().await;
    let tokens = all.signed_in("ada").await;
    let caller = Caller::person(
        CallerKind::User,
        subject(&tokens).parse().expect("an id"),
        tokens.workspace,
        &[Role::Owner],
        &[],
        tokens.session.to_string(),
    );
    let service = &all.world.service;
    let enrolled = service
        .enrol_totp(&mfa("EnrollTotp", &caller, 2), String::new())
        .await;
    let seed = Seed::opened(base32(enrolled.expect("enrolled").secret.expose_secret()).into());
    let (ctx, code) = (mfa("ConfirmTotp", &caller, 2), seed.code_at(at(2)));
    assert!(service.confirm_totp(&ctx, &code).await.is_ok());
    let browser = all.browser("ada").await;
    let (signed_in, place) = all.finish(browser.finish()).await.expect("signed in");
    let SignedIn::SecondFactor(token) = signed_in else {
        panic!("no second factor is asked for")
    };
    assert_eq!(place.as_deref(), Some(PLACE));
    let ctx = mfa("VerifyLogin", &Caller::anonymous(), 60);
    let wrong = service.verify_login(&ctx, token.expose_secret(), "000000").await;
    assert_eq!(reason(wrong), "INVALID_CODE");
    let code = seed.code_at(at(60));
    let (tokens, device) = service
        .verify_login(&ctx, token.expose_secret(), &code)
        .await
        .expect("opened");
    assert!(device.is_none(), "nobody guesses a password that there is not");
    let claims = verifier().verify(tokens.access.expose_secret(), at(60));
    let claims = claims.expect("genuine");
    assert!(claims.mfa && claims.mfa_enrolled && claims.sub == caller.id);
    let opened = all.world.facts().await.pop().expect("a fact");
    assert_eq!(opened.details["method"], "google");
    let (ctx, code) = (mfa("VerifyLogin", &Caller::anonymous(), 90), seed.code_at(at(90)));
    let again = service.verify_login(&ctx, token.expose_secret(), &code).await;
    assert_eq!(reason(again), "INVALID_MFA_TOKEN");
}
