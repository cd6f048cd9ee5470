//! Second factors, from the enrolment to the lock.

mod changes;
mod policy;

use causeway_context::{CallContext, Caller};
use causeway_contracts::CallerKind;
use causeway_errors::Code;
use causeway_outbox::Outcome;
use zeroize::Zeroizing;

use super::*;
use crate::domain::{SealedSeed, Seed};
use crate::sealer::Sealer;

/// "Seals" by turning bits over, and tells a foreign place from the right one.
#[async_trait]
impl Sealer for FakeTenancy {
    async fn seal(
        &self,
        _: &RequestId,
        workspace: WorkspaceId,
        user: UserId,
        seed: &Seed,
    ) -> Result<SealedSeed, TenancyError> {
        self.answer()?;
        let turned = seed.as_bytes().iter().map(|byte| !byte);
        Ok(SealedSeed {
            sealed: place(workspace, user).into_iter().chain(turned).collect(),
            key_version: 1,
        })
    }

    async fn open(
        &self,
        _: &RequestId,
        workspace: WorkspaceId,
        user: UserId,
        sealed: &SealedSeed,
    ) -> Result<Option<Seed>, TenancyError> {
        self.answer()?;
        let (found, turned) = sealed.sealed.split_at(32);
        let right = place(workspace, user) == found;
        let bytes = Zeroizing::new(turned.iter().map(|byte| !byte).collect());
        Ok(right.then(|| Seed::opened(bytes)))
    }
}

fn place(workspace: WorkspaceId, user: UserId) -> Vec<u8> {
    workspace
        .0
        .into_bytes()
        .into_iter()
        .chain(user.0.into_bytes())
        .collect()
}

/// Somebody with a session in which the factor was enrolled, and the authenticator.
pub(super) struct Person {
    user: UserId,
    pub(super) caller: Caller,
    seed: Seed,
    recovery_codes: Vec<SecretString>,
}

pub(super) fn mfa(rpc: &str, caller: &Caller, seconds: i64) -> CallContext {
    let path = format!("/causeway.auth.v1.MfaService/{rpc}");
    let method = causeway_contracts::method(&path).expect("a known RPC");
    CallContext::new(caller.clone(), method, RequestId::generate(), at(seconds))
}

pub(super) fn base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut buffer, mut bits) = (Vec::new(), 0_u32, 0_u32);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            _ => letter - b'2' + 26,
        };
        buffer = buffer << 5 | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xFF).unwrap());
        }
    }
    bytes
}

impl World {
    /// A session as the gateway would present it.
    async fn session(&self, email: &str) -> (UserId, Caller) {
        let tokens = self.login(email, PASSWORD, "").await.expect("logged in");
        let claims = verifier()
            .verify(tokens.access.expose_secret(), at(0))
            .expect("genuine");
        let user: UserId = claims.sub.parse().unwrap();
        let caller = Caller::person(
            CallerKind::User,
            user,
            tokens.workspace,
            &[Role::Owner],
            &[],
            tokens.session.to_string(),
        );
        (user, caller)
    }

    async fn pending(&self, email: &str) -> Person {
        self.registered(email).await;
        let (user, caller) = self.session(email).await;
        let enrolled = self
            .service
            .enrol_totp(&mfa("EnrollTotp", &caller, 0), String::new())
            .await;
        let enrolled = enrolled.expect("enrolled");
        let seed = base32(enrolled.secret.expose_secret());
        Person {
            user,
            caller,
            seed: Seed::opened(seed.into()),
            recovery_codes: enrolled.recovery_codes,
        }
    }

    /// A person with a factor that was confirmed at the second 0.
    pub(super) async fn with_factor(&self, email: &str) -> Person {
        let person = self.pending(email).await;
        let code = person.seed.code_at(at(0));
        let ctx = mfa("ConfirmTotp", &person.caller, 0);
        let confirmed = self.service.confirm_totp(&ctx, &code).await.expect("confirmed");
        let claims = verifier()
            .verify(confirmed.access.expose_secret(), at(0))
            .expect("genuine");
        assert!(claims.mfa && claims.mfa_enrolled && !claims.mfa_required);
        assert_eq!(claims.sid, person.caller.credential_id);
        person
    }

    async fn first_step(&self, email: &str, seconds: i64) -> SecretString {
        let request = LoginRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            workspace_id: String::new(),
            device_token: String::new(),
        };
        match self
            .service
            .login(&anonymous("Login", seconds), request)
            .await
            .expect("right")
        {
            LoggedIn::SecondFactor(token) => token,
            LoggedIn::Open(..) => panic!("no second factor is asked for"),
        }
    }

    async fn second(&self, token: &SecretString, code: &str, seconds: i64) -> Result<Tokens, AuthError> {
        let ctx = mfa("VerifyLogin", &Caller::anonymous(), seconds);
        let finished = self.service.verify_login(&ctx, token.expose_secret(), code);
        finished.await.map(|(tokens, _)| tokens)
    }

    async fn claims_after_refresh(&self, tokens: &Tokens, seconds: i64) -> causeway_crypto::AccessClaims {
        let ctx = anonymous("Refresh", seconds);
        let refreshed = self.service.refresh(&ctx, &tokens.refresh);
        let access = refreshed.await.expect("refreshed").access;
        verifier()
            .verify(access.expose_secret(), at(seconds))
            .expect("genuine")
    }
}

/// B-AUTH-21, MFA-01: and nothing of the factor is in the log.
#[tokio::test]
async fn a_login_with_a_factor_has_two_steps_and_its_session_remembers_that() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    let token = world.first_step("ada@example.com", 60).await;
    assert!(
        verifier().verify(token.expose_secret(), at(60)).is_err(),
        "no access token"
    );
    let tokens = world
        .second(&token, &person.seed.code_at(at(60)), 60)
        .await
        .expect("opened");
    let claims = verifier()
        .verify(tokens.access.expose_secret(), at(60))
        .expect("genuine");
    assert!(claims.mfa && claims.mfa_enrolled);
    let claims = world.claims_after_refresh(&tokens, 120).await;
    assert!(
        claims.mfa && claims.mfa_enrolled,
        "and so do its refreshed tokens"
    );
    let facts = world.facts().await;
    let opened = facts
        .iter()
        .rev()
        .find(|fact| fact.action == "session.opened")
        .unwrap();
    assert_eq!(
        (
            &opened.details["method"],
            &opened.details["factor"],
            opened.actor_id.as_str()
        ),
        (
            &"password".into(),
            &"totp".into(),
            person.user.to_string().as_str()
        )
    );
    let told = serde_json::to_string(&facts).unwrap();
    for secret in [
        person.seed.base32().as_str(),
        person.recovery_codes[0].expose_secret(),
    ] {
        assert!(!told.contains(secret), "no seed and no code is in the log");
    }
}

#[tokio::test]
async fn without_a_confirmed_factor_the_password_is_enough() {
    let world = world();
    world.pending("ada@example.com").await;
    let tokens = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("opened");
    let claims = verifier()
        .verify(tokens.access.expose_secret(), at(0))
        .expect("genuine");
    assert!(!claims.mfa && !claims.mfa_enrolled);
}

/// MFA-06.
#[tokio::test]
async fn a_token_of_the_first_step_opens_one_session_within_five_minutes() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    let token = world.first_step("ada@example.com", 60).await;
    let code = |seconds| person.seed.code_at(at(seconds));
    assert!(world.second(&token, &code(60), 60).await.is_ok());
    let again = world.second(&token, &code(120), 120).await;
    assert_eq!(reason(again), "INVALID_MFA_TOKEN");
    let late = world.first_step("ada@example.com", 200).await;
    assert_eq!(
        reason(world.second(&late, &code(510), 510).await),
        "INVALID_MFA_TOKEN"
    );
    let access = world.login("bob@example.com", "x", "").await;
    assert_eq!(reason(access), "INVALID_CREDENTIALS");
    for other in ["", "a.b.c", "cw_pat_x"] {
        assert_eq!(
            reason(world.second(&other.into(), &code(600), 600).await),
            "INVALID_MFA_TOKEN"
        );
    }
}

/// MFA-02.
#[tokio::test]
async fn a_code_works_once_and_the_one_of_the_enrolment_is_used() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    let token = world.first_step("ada@example.com", 10).await;
    let enrolment = person.seed.code_at(at(0));
    assert_eq!(reason(world.second(&token, &enrolment, 10).await), "INVALID_CODE");
    let code = person.seed.code_at(at(40));
    let (one, other) = (
        world.first_step("ada@example.com", 40).await,
        world.first_step("ada@example.com", 40).await,
    );
    let (one, other) = tokio::join!(world.second(&one, &code, 40), world.second(&other, &code, 41));
    assert!(one.is_ok() != other.is_ok(), "exactly one of two");
    let refused = [one, other].into_iter().find(Result::is_err).unwrap();
    assert_eq!(reason(refused), "INVALID_CODE");
}

/// MFA-04.
#[tokio::test]
async fn the_sixth_wrong_code_locks_and_the_right_one_waits_too() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    for second in 60..65 {
        // A token each time: the tries are the person's, not the session's.
        let token = world.first_step("ada@example.com", second).await;
        assert_eq!(
            reason(world.second(&token, "000000", second).await),
            "INVALID_CODE"
        );
    }
    let token = world.first_step("ada@example.com", 70).await;
    for code in [
        "000000",
        &person.seed.code_at(at(70)),
        person.recovery_codes[0].expose_secret(),
    ] {
        let error = ApiError::from(world.second(&token, code, 70).await.err().unwrap());
        assert_eq!(
            (error.reason.as_ref(), error.code),
            ("MFA_LOCKED", Code::ResourceExhausted)
        );
        assert_eq!(error.retry_after.unwrap().as_secs(), 900);
    }
    let ctx = mfa("VerifySession", &person.caller, 71);
    let own = world
        .service
        .verify_session(&ctx, &person.seed.code_at(at(71)))
        .await;
    assert_eq!(reason(own), "MFA_LOCKED", "from whatever session");
    let token = world.first_step("ada@example.com", 970).await;
    assert!(
        world
            .second(&token, &person.seed.code_at(at(970)), 970)
            .await
            .is_ok()
    );
    let facts = world.facts().await;
    let count = |action: &str| facts.iter().filter(|fact| fact.action == action).count();
    assert_eq!((count("mfa.failed"), count("mfa.locked")), (5, 1));
    let denied = facts
        .iter()
        .filter(|fact| fact.action.starts_with("mfa.f") || fact.action == "mfa.locked");
    assert!(
        denied
            .map(|fact| fact.outcome)
            .all(|outcome| outcome == Outcome::Denied)
    );
}

#[tokio::test]
async fn a_code_without_the_form_of_one_is_no_try() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    let token = world.first_step("ada@example.com", 60).await;
    for _ in 0..10 {
        for odd in ["", "12345", "1234567", "abcdef"] {
            assert_eq!(reason(world.second(&token, odd, 60).await), "INVALID_ARGUMENT");
        }
    }
    assert!(
        world
            .second(&token, &person.seed.code_at(at(60)), 60)
            .await
            .is_ok()
    );
}

/// MFA-05.
#[tokio::test]
async fn a_recovery_code_takes_the_place_of_a_code_once() {
    let world = world();
    let person = world.with_factor("ada@example.com").await;
    let code = person.recovery_codes[3].expose_secret();
    let token = world.first_step("ada@example.com", 60).await;
    assert!(world.second(&token, code, 60).await.is_ok());
    let token = world.first_step("ada@example.com", 61).await;
    assert_eq!(reason(world.second(&token, code, 61).await), "INVALID_CODE");
    let state = world.service.factor_state(person.user).await.expect("answered");
    assert_eq!((state.recovery_codes_left, state.confirmed_at), (9, Some(at(0))));
    assert!(
        world
            .actions()
            .await
            .contains(&"mfa.recovery_code_used".to_owned())
    );
    let ctx = mfa("RegenerateRecoveryCodes", &person.caller, 62);
    let code = person.seed.code_at(at(62));
    let fresh = world.service.regenerate_recovery_codes(&ctx, &code);
    let fresh = fresh.await.expect("made");
    let token = world.first_step("ada@example.com", 63).await;
    let old = person.recovery_codes[4].expose_secret();
    assert_eq!(reason(world.second(&token, old, 63).await), "INVALID_CODE");
    assert!(world.second(&token, fresh[0].expose_secret(), 64).await.is_ok());
}
