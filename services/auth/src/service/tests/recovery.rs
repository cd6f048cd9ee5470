use causeway_context::SessionId;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::mailer::tests::Sent;

pub(super) const NEW: &str = "another horse battery staple";

/// A world whose mail is kept.
pub(super) struct Mailed {
    pub(super) world: World,
    sent: Sent,
    carrier: Mutex<Option<crate::mailer::Carrier>>,
}

pub(super) fn mailed() -> Mailed {
    let sent = Sent::default();
    let (post, carrier) = crate::mailer::with(Box::new(sent.clone()), "https://door.example".to_owned());
    let mut world = world();
    world.service = world.service.with_mail(post);
    Mailed {
        world,
        sent,
        carrier: Mutex::new(Some(carrier)),
    }
}

impl Mailed {
    /// Everything that was mailed until now: to whom, and the token. Nothing is mailed afterwards.
    pub(super) async fn mails(&self) -> Vec<(String, String)> {
        let stop = CancellationToken::new();
        stop.cancel();
        let carrier = self.carrier.lock().unwrap().take().expect("asked once");
        carrier.run(stop).await;
        let mails = self.sent.mails().into_iter().map(|(to, text)| {
            let token = text.split("#token=").nth(1).expect("a link").split('\n').next();
            (to, token.expect("a token").to_owned())
        });
        mails.collect()
    }
}

pub(super) fn recovery(rpc: &str, seconds: i64) -> CallContext {
    call_of("RecoveryService", rpc, Caller::anonymous(), seconds)
}

fn person(user: UserId, tokens: &Tokens, seconds: i64) -> CallContext {
    let caller = Caller::person(
        CallerKind::User,
        user,
        tokens.workspace,
        &[Role::Owner],
        &[],
        tokens.session.to_string(),
    );
    call_of("RecoveryService", "ChangePassword", caller, seconds)
}

/// B-AUTH-23.
#[tokio::test]
async fn a_registration_mails_a_proof_that_works_once() {
    let mailed = mailed();
    let world = &mailed.world;
    let made = world.registered("ada@example.com").await;
    let resend = recovery("ResendVerification", 1);
    for email in ["ada@example.com", "nobody@example.com"] {
        world
            .service
            .resend_verification(&resend, email)
            .await
            .expect("accepted");
    }
    let mails = mailed.mails().await;
    assert_eq!(mails.len(), 2, "the registration's, and one more");
    let verify = |token: String| async move {
        world
            .service
            .verify_email(&recovery("VerifyEmail", 2), &token)
            .await
    };
    assert_eq!(
        reason(verify(format!("{}x", mails[0].1)).await),
        "INVALID_MAIL_TOKEN"
    );
    verify(mails[0].1.clone()).await.expect("proven");
    assert_eq!(reason(verify(mails[0].1.clone()).await), "INVALID_MAIL_TOKEN");
    let ctx = call(
        "GetMe",
        Caller::person(
            CallerKind::User,
            made.user,
            made.workspace,
            &[],
            &[],
            String::new(),
        ),
        3,
    );
    assert!(world.service.me(&ctx).await.expect("known").email_verified);
    assert!(
        world
            .actions()
            .await
            .contains(&"account.email_verified".to_owned())
    );
}

/// REF-06: by a reset.
#[tokio::test]
async fn a_forgotten_password_is_set_by_mail_and_ends_every_session() {
    let mailed = mailed();
    let world = &mailed.world;
    world.registered("ada@example.com").await;
    let session = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    for email in ["ADA@example.com", "nobody@example.com"] {
        let ctx = recovery("ForgotPassword", 5);
        world
            .service
            .forgot_password(&ctx, email)
            .await
            .expect("accepted");
    }
    let mails = mailed.mails().await;
    let resets: Vec<&(String, String)> = mails
        .iter()
        .filter(|(_, token)| token.starts_with("cw_reset_"))
        .collect();
    let [(to, token)] = resets[..] else {
        panic!("one mail to reset: {}", resets.len())
    };
    assert_eq!(to, "ada@example.com");
    let reset = |password: &str, seconds| {
        let (ctx, password) = (recovery("ResetPassword", seconds), password.to_owned());
        async move { world.service.reset_password(&ctx, token, password).await }
    };
    assert_eq!(reason(reset("short", 6).await), "INVALID_ARGUMENT");
    assert_eq!(reason(reset("password123456", 6).await), "INVALID_ARGUMENT");
    assert_eq!(reason(reset(NEW, 5 + 1801).await), "INVALID_MAIL_TOKEN");
    reset(NEW, 7).await.expect("set");
    assert_eq!(reason(reset(NEW, 8).await), "INVALID_MAIL_TOKEN");
    let refreshed = world
        .service
        .refresh(&anonymous("Refresh", 9), &session.refresh)
        .await;
    assert_eq!(reason(refreshed), "INVALID_REFRESH_TOKEN");
    assert_eq!(
        reason(world.login("ada@example.com", PASSWORD, "").await),
        "INVALID_CREDENTIALS"
    );
    world
        .login("ada@example.com", NEW, "")
        .await
        .expect("the new one");
}

#[tokio::test]
async fn mails_to_one_address_are_few() {
    let mailed = mailed();
    for _ in 0..20 {
        let ctx = recovery("ForgotPassword", 5);
        let asked = mailed
            .world
            .service
            .forgot_password(&ctx, "ada@example.com")
            .await;
        asked.expect("accepted");
    }
    mailed.world.registered("ada@example.com").await;
    let ctx = recovery("ForgotPassword", 6);
    let asked = mailed
        .world
        .service
        .forgot_password(&ctx, "ada@example.com")
        .await;
    asked.expect("accepted, and nothing is mailed");
    let mails = mailed.mails().await;
    assert_eq!(mails.len(), 1, "the registration's own");
}

/// Whoever asks for the mails of others uses up no mails of theirs.
#[tokio::test]
async fn strangers_do_not_keep_the_owner_of_an_address_from_its_mails() {
    let mailed = mailed();
    let world = &mailed.world;
    let from = |rpc: &str, address: [u8; 4]| {
        let remote = causeway_context::Remote::new(address.into(), "curl/8");
        let ctx = match rpc {
            "Login" => anonymous(rpc, 5),
            _ => recovery(rpc, 5),
        };
        ctx.from_remote(Some(remote))
    };
    world.registered("ada@example.com").await;
    let own = [198, 51, 100, 7];
    let request = LoginRequest {
        email: "ada@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        workspace_id: String::new(),
        device_token: String::new(),
    };
    let logged_in = world.service.login(&from("Login", own), request).await;
    assert!(logged_in.is_ok(), "a known place from now on");
    let forgot = async |address, times| {
        for _ in 0..times {
            let ctx = from("ForgotPassword", address);
            let asked = world.service.forgot_password(&ctx, "ada@example.com").await;
            asked.expect("accepted");
        }
    };
    forgot([203, 0, 113, 9], 20).await;
    forgot([198, 51, 100, 99], 1).await;
    forgot(own, 1).await;
    let mails = mailed.mails().await;
    let resets = mails.iter().filter(|(_, token)| token.starts_with("cw_reset_"));
    assert_eq!(
        resets.count(),
        4 + 2,
        "what strangers may ask for, and the owner's own"
    );
}

#[tokio::test]
async fn a_list_of_passwords_is_asked_for_those_alone_who_have_a_token() {
    #[derive(Default)]
    struct Asked(std::sync::atomic::AtomicUsize);
    #[async_trait]
    impl crate::breached::BreachedPasswords for Asked {
        async fn knows(&self, _: &SecretString) -> bool {
            self.0.fetch_add(1, Ordering::SeqCst);
            true
        }
    }
    let asked = Arc::new(Asked::default());
    let mut world = world();
    world.service = world.service.with_breached(asked.clone());
    let invented = causeway_crypto::token::mint("cw_reset_").secret;
    for token in ["x", invented.expose_secret()] {
        let ctx = recovery("ResetPassword", 1);
        let refused = world.service.reset_password(&ctx, token, NEW.to_owned()).await;
        assert_eq!(reason(refused), "INVALID_MAIL_TOKEN");
    }
    assert_eq!(asked.0.load(Ordering::SeqCst), 0);
    let request = registration("ada@example.com", NEW);
    let refused = world.service.register(&anonymous("Register", 2), request).await;
    assert_eq!(reason(refused), "INVALID_ARGUMENT");
    assert_eq!(asked.0.load(Ordering::SeqCst), 1);
}

/// REF-06: by a change.
#[tokio::test]
async fn a_password_is_changed_by_who_knows_it_and_other_sessions_end() {
    let world = world();
    let made = world.registered("ada@example.com").await;
    let (mine, other) = (
        world
            .login("ada@example.com", PASSWORD, "")
            .await
            .expect("logged in"),
        world
            .login("ada@example.com", PASSWORD, "")
            .await
            .expect("logged in"),
    );
    let ctx = person(made.user, &mine, 5);
    let change = |present: &str, new: &str| {
        let (present, new) = (present.to_owned(), new.to_owned());
        let (world, ctx) = (&world, &ctx);
        async move { world.service.change_password(ctx, present, new).await }
    };
    assert_eq!(reason(change("wrong", NEW).await), "INVALID_ARGUMENT");
    assert_eq!(
        reason(change(PASSWORD, "qwertyuiop123").await),
        "INVALID_ARGUMENT"
    );
    change(PASSWORD, NEW).await.expect("changed");
    let refresh = |token: &SecretString| {
        let (world, token) = (&world, token.clone());
        async move { world.service.refresh(&anonymous("Refresh", 6), &token).await }
    };
    assert!(
        refresh(&mine.refresh).await.is_ok(),
        "the session that asked goes on"
    );
    assert_eq!(reason(refresh(&other.refresh).await), "INVALID_REFRESH_TOKEN");
    let closed: Vec<_> = world
        .facts()
        .await
        .into_iter()
        .filter(|fact| fact.action == "session.closed")
        .map(|fact| fact.target_id)
        .collect();
    assert_eq!(closed, [other.session.to_string()]);
}

#[tokio::test]
async fn a_common_password_is_not_taken() {
    let world = world();
    let request = registration("ada@example.com", "Password1234");
    let refused = world.service.register(&anonymous("Register", 0), request).await;
    let Err(AuthError::Invalid(violations)) = refused else {
        panic!("refused")
    };
    assert_eq!(violations[0].field, "password");
}

/// REF-10.
#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_person() {
    let world = world();
    let made = world.registered("ada@example.com").await;
    let mut sessions: Vec<SessionId> = Vec::new();
    for _ in 0..3 {
        let tokens = world
            .login("ada@example.com", PASSWORD, "")
            .await
            .expect("logged in");
        sessions.push(tokens.session);
    }
    let caller = |session: SessionId| {
        let id = session.to_string();
        Caller::person(
            CallerKind::User,
            made.user,
            made.workspace,
            &[Role::Owner],
            &[],
            id,
        )
    };
    let ctx = |rpc: &str| call_of("SessionService", rpc, caller(sessions[0]), 5);
    let listed = || async {
        let (found, _) = world
            .service
            .list_sessions(&ctx("ListSessions"), 0, "")
            .await
            .expect("listed");
        found.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [sessions[2], sessions[1], sessions[0]]);
    let foreign = SessionId::generate().to_string();
    let ended = world
        .service
        .delete_session(&ctx("DeleteSession"), &foreign)
        .await;
    assert_eq!(reason(ended), "SESSION_NOT_FOUND");
    let one = sessions[1].to_string();
    for _ in 0..2 {
        let ended = world.service.delete_session(&ctx("DeleteSession"), &one).await;
        ended.expect("a second time is as good as the first");
    }
    assert_eq!(listed().await, [sessions[2], sessions[0]]);
    let ended = world.service.delete_sessions(&ctx("DeleteSessions"), false).await;
    assert_eq!(ended.expect("ended"), 1);
    assert_eq!(listed().await, [sessions[0]], "the one that asks");
    let ended = world.service.delete_sessions(&ctx("DeleteSessions"), true).await;
    assert_eq!(ended.expect("ended"), 1);
    assert_eq!(listed().await, []);
}

/// REF-10.
#[tokio::test]
async fn an_admin_ends_sessions_in_the_own_workspace_up_to_the_own_role() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let workspace = owner.workspace.expect("in one");
    let tokens = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    let as_role = |role: Role, workspace| {
        let id = UserId::generate();
        let caller = Caller::person(CallerKind::User, id, workspace, &[role], &[], String::new());
        call_of("SessionService", "DeleteMemberSessions", caller, 5)
    };
    let end = |ctx: CallContext, user: String| {
        let world = &world;
        async move { world.service.delete_member_sessions(&ctx, &user).await }
    };
    let admin = end(as_role(Role::Admin, workspace), owner.id.clone()).await;
    assert_eq!(reason(admin), "ROLE_ABOVE_OWN");
    let stranger = end(as_role(Role::Owner, WorkspaceId::generate()), owner.id.clone()).await;
    assert_eq!(reason(stranger), "MEMBER_NOT_FOUND");
    let ended = end(as_role(Role::Owner, workspace), owner.id.clone()).await;
    assert_eq!(ended.expect("ended"), 1);
    let refreshed = world
        .service
        .refresh(&anonymous("Refresh", 9), &tokens.refresh)
        .await;
    assert_eq!(reason(refreshed), "INVALID_REFRESH_TOKEN");
}

#[tokio::test]
async fn a_session_ends_for_good_and_the_grace_is_a_setting() {
    let world = world_with(|config| {
        config.session_life = TimeDelta::days(40);
        config.refresh_grace = TimeDelta::zero();
    });
    world.registered("ada@example.com").await;
    let first = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    const DAY: i64 = 24 * 60 * 60;
    let refresh = |token: &SecretString, seconds| {
        let (world, token) = (&world, token.clone());
        async move {
            world
                .service
                .refresh(&anonymous("Refresh", seconds), &token)
                .await
        }
    };
    let second = refresh(&first.refresh, 29 * DAY)
        .await
        .expect("within the idle time");
    let last = refresh(&second.refresh, 40 * DAY - 60)
        .await
        .expect("the last minute");
    let claims = verifier().verify(last.access.expose_secret(), at(40 * DAY - 60));
    assert_eq!(claims.expect("genuine").exp, at(40 * DAY).timestamp());
    assert_eq!(
        last.access_life,
        TimeDelta::seconds(60),
        "no longer than its session"
    );
    assert_eq!(
        reason(refresh(&last.refresh, 40 * DAY).await),
        "INVALID_REFRESH_TOKEN",
        "no rotation makes a session longer (REF-05)"
    );
    let again = refresh(&first.refresh, 29 * DAY + 1).await;
    assert_eq!(reason(again), "INVALID_REFRESH_TOKEN", "no grace (REF-03)");
    let facts = world.facts().await;
    let reused = facts
        .iter()
        .find(|fact| fact.action == "session.closed")
        .expect("told");
    assert_eq!(reused.details["cause"], "refresh_token_reused");
    assert_eq!(reused.details["generation"], 0);
    assert!(second.access.expose_secret().len() > 20);
}
