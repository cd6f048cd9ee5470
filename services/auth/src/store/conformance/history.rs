//! Open sessions, and how they were opened.

use std::collections::BTreeSet;

use causeway_context::{SessionId, UserId};
use causeway_revocation::Ended;
use chrono::{DateTime, Utc};

use super::{Facts, at, claimed, fact, opened, refresh, session};
use crate::domain::{NewSession, Opened, PassedBy, PasswordHash, RefreshToken, Session, Which};
use crate::store::AuthStore;
use crate::store::history::Slice;

const ALL: Slice = Slice {
    size: 100,
    before: None,
};

async fn open(store: &dyn AuthStore, session: Session) -> Session {
    let new = NewSession {
        token: Some(refresh(session.id, 0)),
        session,
        proof: None,
        password: None,
        without_factor: false,
    };
    let opened = store.open_session(&new, fact("Login")).await;
    assert_eq!(opened.expect("answered"), Opened::Done);
    new.session
}

async fn listed(store: &dyn AuthStore, user: UserId, now: DateTime<Utc>) -> Vec<SessionId> {
    let found = store.list_sessions(user, Which::default(), now, ALL).await;
    found
        .expect("answered")
        .into_iter()
        .map(|session| session.id)
        .collect()
}

/// What gateways are told that ended.
pub(super) async fn told(store: &dyn AuthStore) -> BTreeSet<Ended> {
    let page = store.revocations().after("", at(0)).await.expect("answered");
    page.revocations.into_iter().map(|row| row.ended).collect()
}

pub(crate) async fn a_rotation_lets_the_session_live_on_but_not_for_ever(
    store: &dyn AuthStore,
    _: &impl Facts,
) {
    let (session, token) = opened(store).await;
    let next = refresh(session.id, 10);
    assert!(store.rotate(&token.hash, &next).await.expect("answered"));
    let kept = store
        .find_session(session.id)
        .await
        .expect("answered")
        .expect("kept");
    assert_eq!((kept.last_used_at, kept.idle_until), (at(10), at(110)));
    let found = store.find_refresh_token(&next.hash).await.expect("answered");
    assert_eq!(found.expect("kept").token.generation, 1);
    let mut old = session;
    old.id = SessionId::generate();
    old.expires_at = at(50);
    let old = open(store, old).await;
    let first = refresh(old.id, 0);
    let new = NewSession {
        token: Some(first.clone()),
        session: Session {
            id: SessionId::generate(),
            ..old.clone()
        },
        proof: None,
        password: None,
        without_factor: false,
    };
    let first = crate::domain::RefreshToken {
        session: new.session.id,
        ..first
    };
    let new = NewSession {
        token: Some(first.clone()),
        ..new
    };
    store.open_session(&new, fact("Login")).await.expect("opened");
    let late = refresh(new.session.id, 50);
    assert!(
        !store.rotate(&first.hash, &late).await.expect("answered"),
        "the session is over, though its token is not (REF-05)"
    );
}

pub(crate) async fn open_sessions_are_listed_newest_first_and_by_page(store: &dyn AuthStore, _: &impl Facts) {
    let user = UserId::generate();
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(open(store, session(user)).await.id);
    }
    open(store, session(UserId::generate())).await;
    all.reverse();
    assert_eq!(listed(store, user, at(1)).await, all);
    let slice = Slice {
        size: 2,
        before: Some(all[1].0),
    };
    let page = store.list_sessions(user, Which::default(), at(1), slice).await;
    let page: Vec<SessionId> = page
        .expect("answered")
        .into_iter()
        .map(|session| session.id)
        .collect();
    assert_eq!(page, all[2..4]);
    assert_eq!(listed(store, user, at(100)).await, [], "nobody used them");
    store
        .close_session(all[0], at(5), fact("Logout"))
        .await
        .expect("closed");
    assert_eq!(listed(store, user, at(6)).await, all[1..]);
}

pub(crate) async fn a_persons_sessions_end_together_and_gateways_are_told(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let user = UserId::generate();
    let (one, two, kept) = (
        open(store, session(user)).await,
        open(store, session(user)).await,
        open(store, session(user)).await,
    );
    let other = open(store, session(UserId::generate())).await;
    let here = Which {
        workspace: Some(one.workspace),
        except: None,
    };
    let closed = store.close_sessions(user, here, at(5), fact("Logout")).await;
    assert_eq!(closed.expect("answered"), [one.id]);
    let but_one = Which {
        workspace: None,
        except: Some(kept.id),
    };
    let closed = store.close_sessions(user, but_one, at(6), fact("Logout")).await;
    assert_eq!(
        closed.expect("answered"),
        [two.id],
        "what ended does not end again"
    );
    assert_eq!(listed(store, user, at(7)).await, [kept.id]);
    assert_eq!(listed(store, other.user, at(7)).await, [other.id]);
    let ended = [one.id, two.id].map(Ended::Session);
    assert_eq!(told(store).await, BTreeSet::from(ended));
    let closed = facts
        .actions()
        .await
        .into_iter()
        .filter(|action| action == "session.closed");
    assert_eq!(closed.count(), 2);
}

/// Who leaves sessions behind is not told of them again when they are ended, and nobody waits for them.
pub(crate) async fn sessions_that_ended_by_age_do_not_end_again(store: &dyn AuthStore, facts: &impl Facts) {
    let user = UserId::generate();
    let old = open(store, session(user)).await;
    let mut new = session(user);
    new.idle_until = at(5000);
    new.expires_at = at(5000);
    let new = open(store, new).await;
    // An access token lives for a quarter of an hour.
    let late = at(100 + 900);
    let closed = store
        .close_sessions(user, Which::default(), late, fact("Logout"))
        .await;
    assert_eq!(closed.expect("answered"), [new.id]);
    assert_eq!(told(store).await, BTreeSet::from([Ended::Session(new.id)]));
    let another = open(store, session(user)).await;
    let soon = at(100 + 899);
    let closed = store
        .close_sessions(user, Which::default(), soon, fact("Logout"))
        .await;
    let closed: BTreeSet<_> = closed.expect("answered").into_iter().collect();
    assert_eq!(
        closed,
        BTreeSet::from([old.id, another.id]),
        "their access tokens may be in force"
    );
    let closed = facts.actions().await;
    assert_eq!(
        closed.iter().filter(|action| *action == "session.closed").count(),
        3
    );
}

pub(crate) async fn what_ended_is_deleted_and_what_goes_on_stays(store: &dyn AuthStore, _: &impl Facts) {
    let user = UserId::generate();
    let open_until = async |ends| {
        let mut new = session(user);
        (new.idle_until, new.expires_at) = (at(ends), at(ends));
        open(store, new).await
    };
    let (ended, closed, goes_on) = (open_until(10).await, open_until(500).await, open_until(500).await);
    store
        .close_session(closed.id, at(10), fact("Logout"))
        .await
        .expect("closed");
    for session in [&ended, &goes_on] {
        let passed = store.pass_factor(user, session.id.0, PassedBy::Provider, at(0));
        passed.await.expect("kept");
    }
    let used = refresh(goes_on.id, -200);
    let token = refresh(goes_on.id, 0);
    let insert = async |token: &RefreshToken| {
        let new = NewSession {
            session: Session {
                id: SessionId::generate(),
                ..session(user)
            },
            token: Some(token.clone()),
            proof: None,
            password: None,
            without_factor: false,
        };
        store.open_session(&new, fact("Login")).await
    };
    for token in [&used, &token] {
        insert(token).await.expect("opened");
    }
    store.sweep_sessions(at(11)).await.expect("swept");
    let found = async |id| store.find_session(id).await.expect("answered").is_some();
    assert!(!found(ended.id).await && !found(closed.id).await && found(goes_on.id).await);
    let standing = async |id: SessionId| store.standing(user, id.0).await.expect("answered").passed;
    assert_eq!(standing(ended.id).await, None);
    assert_eq!(standing(goes_on.id).await, Some(PassedBy::Provider));
    let kept = async |token: &RefreshToken| {
        let found = store.find_refresh_token(&token.hash).await;
        found.expect("answered").is_some()
    };
    assert!(!kept(&used).await && kept(&token).await);
}

pub(crate) async fn sign_ins_are_listed_newest_first_and_forgotten(store: &dyn AuthStore, _: &impl Facts) {
    let user = UserId::generate();
    let first = open(store, session(user)).await;
    let mut second = session(user);
    second.opened_at = at(10);
    second.trace.network = "198.51.100.0/24".to_owned();
    let second = open(store, second).await;
    let found = store.list_sign_ins(user, ALL).await.expect("answered");
    assert_eq!(
        found.iter().map(|sign_in| sign_in.session).collect::<Vec<_>>(),
        [Some(second.id), Some(first.id)]
    );
    assert_eq!((found[0].at, found[0].trace.clone()), (at(10), second.trace));
    store.forget_history(at(5)).await.expect("forgotten");
    let found = store.list_sign_ins(user, ALL).await.expect("answered");
    assert_eq!(found.len(), 1);
}

pub(crate) async fn a_session_opens_by_the_present_password_only(store: &dyn AuthStore, facts: &impl Facts) {
    let account = claimed(store, "a@example.com").await;
    let mut new = NewSession {
        session: session(account.user),
        token: None,
        proof: None,
        password: Some(PasswordHash::new("$another".to_owned())),
        without_factor: false,
    };
    let opened = store.open_session(&new, fact("Login")).await;
    assert_eq!(opened.expect("answered"), Opened::PasswordChanged);
    assert!(facts.actions().await.is_empty());
    new.password = Some(account.password);
    let opened = store.open_session(&new, fact("Login")).await;
    assert_eq!(opened.expect("answered"), Opened::Done);
}

/// The person sees who came in from where nobody came in before, and the first sign-in is no surprise.
pub(crate) async fn a_sign_in_from_a_new_place_is_told(store: &dyn AuthStore, facts: &impl Facts) {
    let user = UserId::generate();
    let alerts = async || {
        let actions = facts.actions().await;
        actions
            .iter()
            .filter(|action| *action == "login.new_place")
            .count()
    };
    for (network, agent, expected) in [
        ("198.51.100.0/24", "Firefox on Linux", 0),
        ("198.51.100.0/24", "Firefox on Linux", 0),
        ("203.0.113.0/24", "Firefox on Linux", 1),
        ("203.0.113.0/24", "curl", 2),
        ("198.51.100.0/24", "curl", 2),
        ("", "", 2),
    ] {
        let mut session = session(user);
        session.trace.network = network.to_owned();
        session.trace.agent = agent.to_owned();
        open(store, session).await;
        assert_eq!(alerts().await, expected, "{network} {agent}");
    }
    let mut other = session(UserId::generate());
    other.trace.network = "192.0.2.0/24".to_owned();
    open(store, other).await;
    assert_eq!(alerts().await, 2, "the first sign-in of somebody else");
}
