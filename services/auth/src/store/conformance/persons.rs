//! Persons who are kept out.

use causeway_context::UserId;
use causeway_outbox::OutboxEvent;
use causeway_revocation::Ended;

use super::{Facts, at, claimed, fact, opened, refresh, session, told};
use crate::domain::{Disabled, MailPurpose, NewSession, Opened, Reason};
use crate::store::AuthStore;
use crate::store::recovery::MailToken;

fn disabled(seconds: i64) -> Disabled {
    Disabled {
        at: at(seconds),
        by: "somebody".to_owned(),
        reason: Reason::parse("left").expect("a reason"),
    }
}

fn facts_of(rpc: &str) -> [OutboxEvent; 2] {
    [rpc, rpc].map(|rpc| super::fact_of("PersonService", rpc))
}

async fn disable(store: &dyn AuthStore, user: UserId, seconds: i64) -> bool {
    let (disabled, facts) = (disabled(seconds), facts_of("DisablePlatformUser"));
    let done = store.disable_person(user, &disabled, &facts, fact("Logout"));
    done.await.expect("answered")
}

async fn enable(store: &dyn AuthStore, user: UserId) -> bool {
    let done = store.enable_person(user, &facts_of("EnablePlatformUser")).await;
    done.expect("answered")
}

fn another(user: UserId) -> NewSession {
    let session = session(user);
    NewSession {
        token: Some(refresh(session.id, 0)),
        session,
        proof: None,
        password: None,
        without_factor: false,
    }
}

/// REF-06.
pub(crate) async fn a_person_who_is_kept_out_opens_no_session(store: &dyn AuthStore, facts: &impl Facts) {
    let (session, token) = opened(store).await;
    let user = session.user;
    assert!(!store.is_disabled(user).await.expect("answered"));
    assert!(disable(store, user, 5).await);
    assert!(!disable(store, user, 6).await, "a second time changes nothing");
    assert!(store.is_disabled(user).await.expect("answered"));
    let kept = store.find_session(session.id).await.expect("answered");
    assert_eq!(kept.expect("kept").closed_at, Some(at(5)));
    assert!(
        !store
            .rotate(&token.hash, &refresh(session.id, 7))
            .await
            .expect("answered")
    );
    let ended = told(store).await;
    assert!(ended.contains(&Ended::User(user)) && ended.contains(&Ended::Session(session.id)));
    let refused = store.open_session(&another(user), fact("Login")).await;
    assert_eq!(refused.expect("answered"), Opened::Disabled);
    assert!(enable(store, user).await);
    assert!(!enable(store, user).await);
    let opened = store.open_session(&another(user), fact("Login")).await;
    assert_eq!(opened.expect("answered"), Opened::Done);
    let (out, back) = ("platform.user_disabled", "platform.user_enabled");
    assert_eq!(
        facts.actions().await,
        [
            "session.opened",
            out,
            out,
            "session.closed",
            back,
            back,
            "session.opened"
        ]
    );
}

pub(crate) async fn nobody_slips_in_while_a_person_is_being_kept_out(store: &dyn AuthStore, _: &impl Facts) {
    let user = UserId::generate();
    let sessions: Vec<NewSession> = (0..16).map(|_| another(user)).collect();
    let opening =
        futures::future::join_all(sessions.iter().map(|new| store.open_session(new, fact("Login"))));
    let (answers, done) = tokio::join!(opening, disable(store, user, 5));
    assert!(done);
    for (new, answer) in sessions.iter().zip(answers) {
        let found = store.find_session(new.session.id).await.expect("answered");
        match answer.expect("answered") {
            Opened::Disabled => assert_eq!(found, None),
            opened => {
                assert_eq!(opened, Opened::Done);
                assert!(
                    found.expect("kept").closed_at.is_some(),
                    "opened before, and ended"
                );
            }
        }
    }
}

pub(crate) async fn a_person_is_found_however_they_come_in(store: &dyn AuthStore, _: &impl Facts) {
    let account = claimed(store, "a@example.com").await;
    store
        .activate_account(account.user, account.claimed_at, fact("Register"))
        .await
        .expect("activated");
    let found = async |user| store.find_person(user).await.expect("answered");
    assert_eq!(found(UserId::generate()).await, None);
    let person = found(account.user).await.expect("known");
    assert_eq!(
        (person.email, person.home),
        (Some(account.email.clone()), account.home)
    );
    assert_eq!(person.disabled, None);
    let member = super::member("https://a.example", "u");
    store.claim_identity(&member).await.expect("claimed");
    let person = found(member.user).await.expect("known");
    assert_eq!((person.email, person.home), (None, member.home));

    assert!(disable(store, account.user, 5).await);
    assert_eq!(
        found(account.user).await.expect("known").disabled,
        Some(disabled(5))
    );
    let token = MailToken {
        hash: [5; 32],
        purpose: MailPurpose::Reset,
        created_at: at(6),
        expires_at: at(100),
    };
    let issued = store.issue_mail_token(&account.email, &token).await;
    assert!(!issued.expect("answered"), "no way back by mail");
}
