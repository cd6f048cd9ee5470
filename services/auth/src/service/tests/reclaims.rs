//! An account that somebody else registered, and the moment in which its owner takes it over.

use super::factors::Person;
use super::recovery::{NEW, mailed, recovery};
use super::*;
use crate::service::CreateTokenRequest;

/// What somebody leaves in an account to come back by.
struct LeftBehind {
    token: SecretString,
    key: SecretString,
    client: (String, SecretString),
}

async fn leave_behind(world: &World, person: &Person) -> LeftBehind {
    let request = CreateTokenRequest {
        name: "left behind".to_owned(),
        scopes: Vec::new(),
        expires_at: Ok(None),
    };
    let ctx = call("CreateToken", person.caller.clone(), 1);
    let token = world
        .service
        .create_token(&ctx, request)
        .await
        .expect("made")
        .secret;
    let key = world.key(&person.caller, &["secrets.read"]).await.secret;
    let client = world.client(&person.caller, &["secrets.read"]).await;
    LeftBehind {
        token,
        key,
        client: (client.client.id.to_string(), client.secret),
    }
}

impl LeftBehind {
    /// Which of them still open the account.
    async fn opens(&self, world: &World) -> [bool; 3] {
        [
            world.proves(&self.token, 70).await.is_ok(),
            world.proves(&self.key, 70).await.is_ok(),
            world.granted(&self.client.0, &self.client.1, 70).await.is_ok(),
        ]
    }
}

/// Whoever registers an address need not read its mail (pre-hijacking).
#[tokio::test]
async fn who_registered_anothers_address_is_out_when_its_owner_proves_it() {
    let mailed = mailed();
    let world = &mailed.world;
    let stranger = world.with_factor("ada@example.com").await;
    let left = leave_behind(world, &stranger).await;
    assert_eq!(left.opens(world).await, [true; 3]);
    let forgot = recovery("ForgotPassword", 5);
    let asked = world.service.forgot_password(&forgot, "ada@example.com").await;
    asked.expect("accepted");
    let mails = mailed.mails().await;
    let token = mails.iter().find(|(_, token)| token.starts_with("cw_reset_"));
    let (_, token) = token.expect("mailed");
    let ctx = recovery("ResetPassword", 6);
    let done = world.service.reset_password(&ctx, token, NEW.to_owned()).await;
    done.expect("set");
    assert_eq!(left.opens(world).await, [false; 3]);
    let login = world.login("ada@example.com", NEW, "").await;
    assert!(login.is_ok(), "no factor of a stranger is asked for");
    let actions = world.actions().await;
    for action in [
        "mfa.removed",
        "token.revoked",
        "api_key.revoked",
        "client.deleted",
    ] {
        assert_eq!(
            actions.iter().filter(|one| *one == action).count(),
            1,
            "{action} in {actions:?}"
        );
    }
}

/// Who had proven the address forgot a password, and nothing else.
#[tokio::test]
async fn a_reset_of_a_proven_account_leaves_its_factor_and_its_programs() {
    let mailed = mailed();
    let world = &mailed.world;
    let ada = world.with_factor("ada@example.com").await;
    let left = leave_behind(world, &ada).await;
    let forgot = recovery("ForgotPassword", 5);
    let asked = world.service.forgot_password(&forgot, "ada@example.com").await;
    asked.expect("accepted");
    let mails = mailed.mails().await;
    let of = |prefix: &str| {
        let mail = mails.iter().find(|(_, token)| token.starts_with(prefix));
        mail.expect("mailed").1.clone()
    };
    let verified = world
        .service
        .verify_email(&recovery("VerifyEmail", 6), &of("cw_verify_"))
        .await;
    verified.expect("proven");
    let ctx = recovery("ResetPassword", 7);
    let done = world
        .service
        .reset_password(&ctx, &of("cw_reset_"), NEW.to_owned())
        .await;
    done.expect("set");
    assert_eq!(left.opens(world).await, [true; 3]);
    let request = LoginRequest {
        email: "ada@example.com".to_owned(),
        password: NEW.to_owned(),
        workspace_id: String::new(),
        device_token: String::new(),
    };
    let login = world.service.login(&anonymous("Login", 90), request).await;
    assert!(matches!(login, Ok(LoggedIn::SecondFactor(_))));
}
