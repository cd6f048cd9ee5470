use std::time::Duration;

use causeway_crypto::Actor;
use causeway_errors::Code;
use causeway_oidc::Organization;

use super::*;
use crate::service::{ExchangeRequest, Exchanged};
use crate::store::HistoryStore as _;

const ISSUER: &str = "https://clerk.example.com";

fn session_of(subject: &str, token: Option<&str>) -> ClerkSession {
    ClerkSession {
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        session: Some("sess_1".to_owned()),
        party: "https://app.example.com".to_owned(),
        token: token.map(str::to_owned),
        expires_at: at(60),
        actor: None,
        organization: None,
        second_factor: false,
    }
}

impl World {
    /// From now on that token proves that session.
    fn knows(&self, token: &str, session: ClerkSession) {
        self.answers(token, Ok(session));
    }

    fn answers(&self, token: &str, answer: Result<ClerkSession, VerifyError>) {
        self.clerk.0.lock().unwrap().insert(token.to_owned(), answer);
    }

    async fn exchange(&self, token: &str, workspace: &str, refresh: bool) -> Result<Exchanged, AuthError> {
        let request = ExchangeRequest {
            token: token.into(),
            workspace_id: workspace.to_owned(),
            refresh,
            scope: Vec::new(),
        };
        self.service.exchange(&anonymous("Exchange", 0), request).await
    }
}

fn subject(exchanged: &Exchanged) -> String {
    let claims = verifier().verify(exchanged.access.expose_secret(), at(0));
    claims.expect("genuine").sub
}

#[tokio::test]
async fn the_first_exchange_makes_a_person_and_a_workspace_and_the_next_one_finds_them() {
    let world = world();
    world.knows("one", session_of("user_1", None));
    let first = world.exchange("one", "", false).await.expect("exchanged");
    let claims = verifier()
        .verify(first.access.expose_secret(), at(0))
        .expect("genuine");
    assert_eq!(claims.roles, ["owner"]);
    assert_eq!(claims.workspace_id, first.workspace.to_string());
    assert_eq!(claims.sid, first.session.to_string());
    assert!(first.refresh.is_none() && !claims.mfa && claims.act.is_none());
    let facts = world.facts().await;
    assert_eq!(
        facts.iter().map(|fact| fact.action.as_str()).collect::<Vec<_>>(),
        ["account.registered", "session.opened"]
    );
    for fact in &facts {
        assert_eq!((fact.workspace, &fact.actor_id), (first.workspace, &claims.sub));
        assert_eq!(fact.details["method"], "clerk");
    }
    assert_eq!(facts[1].details["provider_session"], "sess_1");
    let second = world.exchange("one", "", false).await.expect("exchanged");
    assert_eq!(
        (subject(&second), second.workspace),
        (claims.sub, first.workspace)
    );
    assert_ne!(second.session, first.session);
    assert_eq!(world.actions().await.len(), 3);
}

/// EXC-07.
#[tokio::test]
async fn a_person_is_who_the_issuer_says_and_never_an_address() {
    let world = world();
    let local = world.registered("user_1@example.com").await;
    world.knows("one", session_of("user_1", None));
    world.knows("two", session_of("user_2", None));
    let elsewhere = ClerkSession {
        issuer: "https://clerk.example.org".to_owned(),
        ..session_of("user_1", None)
    };
    world.knows("elsewhere", elsewhere);
    let mut people = vec![local.user.to_string()];
    for token in ["one", "two", "elsewhere"] {
        people.push(subject(
            &world.exchange(token, "", false).await.expect("exchanged"),
        ));
    }
    let distinct: std::collections::BTreeSet<_> = people.iter().collect();
    assert_eq!(distinct.len(), 4);
}

#[tokio::test]
async fn first_sign_ins_at_once_make_one_person() {
    let world = Arc::new(world());
    world.knows("one", session_of("user_1", None));
    let exchanges = (0..32).map(|_| world.exchange("one", "", false));
    let people = futures::future::join_all(exchanges).await;
    let people: Vec<String> = people
        .into_iter()
        .map(|answer| subject(&answer.expect("exchanged")))
        .collect();
    assert!(people.iter().all(|person| *person == people[0]));
    let registered = world.actions().await.into_iter();
    assert_eq!(
        registered.filter(|action| action == "account.registered").count(),
        1
    );
    assert_eq!(world.tenancy.memberships.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_first_sign_in_that_broke_off_goes_on_with_the_same_workspace() {
    let world = world();
    world.knows("one", session_of("user_1", None));
    world.tenancy_is_away(true);
    assert_eq!(
        reason(world.exchange("one", "", false).await),
        "TENANCY_UNAVAILABLE"
    );
    assert!(world.actions().await.is_empty());
    world.tenancy_is_away(false);
    world.exchange("one", "", false).await.expect("exchanged");
    assert_eq!(world.tenancy.memberships.lock().unwrap().len(), 1);
    assert_eq!(world.actions().await, ["account.registered", "session.opened"]);
}

#[tokio::test]
async fn a_workspace_may_be_named_and_must_be_ones_own() {
    let world = world();
    world.knows("one", session_of("user_1", None));
    let first = world.exchange("one", "", false).await.expect("exchanged");
    let user: UserId = subject(&first).parse().expect("an id");
    let other = world.join(user, "viewer");
    let entered = world.exchange("one", &other.to_string(), false).await;
    assert_eq!(entered.expect("exchanged").workspace, other);
    let foreign = world.registered("eve@example.com").await.workspace;
    assert_eq!(
        reason(world.exchange("one", &foreign.to_string(), false).await),
        "WORKSPACE_NOT_FOUND"
    );
    assert_eq!(
        reason(world.exchange("one", "x", false).await),
        "INVALID_ARGUMENT"
    );
    world.leave(user);
    assert_eq!(
        reason(world.exchange("one", "", false).await),
        "NO_WORKSPACE",
        "a workspace is made once"
    );
}

#[tokio::test]
async fn a_refresh_token_goes_on_as_after_a_login() {
    let world = world();
    world.knows("one", session_of("user_1", None));
    let first = world.exchange("one", "", true).await.expect("exchanged");
    let token = first.refresh.expect("asked for");
    let next = world
        .service
        .refresh(&anonymous("Refresh", 60), &token)
        .await
        .expect("refreshed");
    assert_eq!((next.session, next.workspace), (first.session, first.workspace));
}

/// EXC-06.
#[tokio::test]
async fn a_token_with_an_id_is_exchanged_once_whatever_for() {
    let world = world();
    for (name, refresh) in [("access", false), ("lasting", true)] {
        world.knows(name, session_of("user_1", Some(name)));
        assert!(world.exchange(name, "", refresh).await.is_ok());
        for again in [false, true] {
            assert_eq!(reason(world.exchange(name, "", again).await), "INVALID_TOKEN");
        }
    }
    world.knows("one", session_of("user_1", Some("lasting")));
    assert_eq!(
        reason(world.exchange("one", "", true).await),
        "INVALID_TOKEN",
        "the id counts"
    );
    let elsewhere = ClerkSession {
        issuer: "https://clerk.example.org".to_owned(),
        ..session_of("user_1", Some("lasting"))
    };
    world.knows("elsewhere", elsewhere);
    assert!(world.exchange("elsewhere", "", true).await.is_ok());
}

/// EXC-06.
#[tokio::test]
async fn a_session_at_the_provider_has_so_many_families_here_and_no_more() {
    let world = world();
    world.knows("one", session_of("user_1", None));
    let first = world.exchange("one", "", true).await.expect("exchanged");
    let user: UserId = subject(&first).parse().expect("an id");
    let oldest = first.refresh.expect("asked for");
    for _ in 0..60 {
        world.exchange("one", "", true).await.expect("exchanged");
    }
    let refused = world.service.refresh(&anonymous("Refresh", 1), &oldest).await;
    assert_eq!(reason(refused), "INVALID_REFRESH_TOKEN");
    let slice = crate::store::history::Slice {
        size: 100,
        before: None,
    };
    let open = world
        .store
        .list_sessions(user, Default::default(), at(1), slice)
        .await;
    assert_eq!(open.expect("listed").len(), 50);
}

/// EXC-04.
#[tokio::test]
async fn who_acts_in_the_name_of_another_is_named_and_gets_no_refresh_token() {
    let world = world();
    let actor = Actor {
        iss: Some("https://dashboard.clerk.com".to_owned()),
        sub: "user_9".to_owned(),
    };
    let session = ClerkSession {
        actor: Some(actor.clone()),
        organization: Some(Organization {
            id: "org_1".to_owned(),
            role: None,
        }),
        ..session_of("user_1", Some("j"))
    };
    world.knows("one", session);
    let exchanged = world.exchange("one", "", true).await.expect("exchanged");
    assert!(exchanged.refresh.is_none());
    let claims = verifier()
        .verify(exchanged.access.expose_secret(), at(0))
        .expect("genuine");
    assert_eq!(claims.act, Some(actor));
    let ends = session_of("user_1", None).expires_at.timestamp();
    assert_eq!(claims.exp, ends, "no longer than the provider's token says");
    assert_eq!(exchanged.access_life.num_seconds(), ends - at(0).timestamp());
    let fact = world.facts().await.pop().expect("a fact");
    assert_eq!(
        (&fact.details["actor"], &fact.details["organization"]),
        (&"user_9".into(), &"org_1".into())
    );
}

/// EXC-05.
#[tokio::test]
async fn a_second_factor_at_the_provider_is_one_here() {
    let world = world();
    let session = ClerkSession {
        second_factor: true,
        ..session_of("user_1", None)
    };
    world.knows("one", session);
    let exchanged = world.exchange("one", "", false).await.expect("exchanged");
    let claims = verifier().verify(exchanged.access.expose_secret(), at(0));
    assert!(claims.expect("genuine").mfa);
}

#[tokio::test]
async fn what_is_not_proven_is_told_apart_only_where_that_helps_the_person() {
    let world = world();
    world.answers("pending", Err(VerifyError::Pending));
    let retry_after = Duration::from_secs(7);
    world.answers("away", Err(VerifyError::KeysAway { retry_after }));
    let error = |answer: Result<Exchanged, AuthError>| ApiError::from(answer.err().expect("refused"));
    let pending = error(world.exchange("pending", "", true).await);
    assert_eq!(
        (pending.code, pending.reason.as_ref()),
        (Code::PermissionDenied, "SESSION_PENDING")
    );
    let away = error(world.exchange("away", "", true).await);
    assert_eq!(
        (away.code, away.retry_after),
        (Code::Unavailable, Some(retry_after))
    );
    assert!(world.actions().await.is_empty());
}
