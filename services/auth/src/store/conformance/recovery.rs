//! Mailed tokens, addresses and passwords.

use causeway_context::SessionId;
use causeway_crypto::token;
use causeway_revocation::Ended;
use chrono::TimeDelta;

use super::history::told;
use super::{Facts, at, claimed, fact, opened};
use crate::domain::{Account, Email, MailPurpose, NewSession, Opened, PasswordHash};
use crate::store::AuthStore;
use crate::store::recovery::{MailToken, NewPassword};

fn mailed(purpose: MailPurpose) -> MailToken {
    MailToken {
        hash: token::mint(purpose.prefix()).hash,
        purpose,
        created_at: at(0),
        expires_at: at(0) + TimeDelta::minutes(30),
    }
}

async fn active(store: &dyn AuthStore, email: &str) -> Account {
    let account = claimed(store, email).await;
    store
        .activate_account(account.user, account.claimed_at, fact("Register"))
        .await
        .expect("activated");
    account
}

async fn issued(store: &dyn AuthStore, email: &Email, purpose: MailPurpose) -> Option<MailToken> {
    let token = mailed(purpose);
    let issued = store.issue_mail_token(email, &token).await.expect("answered");
    issued.then_some(token)
}

fn replacement(account: &Account, hash: &str) -> NewPassword {
    NewPassword {
        user: account.user,
        hash: PasswordHash::new(hash.to_owned()),
        instead_of: None,
        keep: None,
        token: None,
    }
}

async fn set(store: &dyn AuthStore, new: &NewPassword, seconds: i64) -> Option<usize> {
    let (fact, closed) = (fact("Register"), fact("Logout"));
    store
        .set_password(new, at(seconds), fact, closed)
        .await
        .expect("answered")
}

pub(crate) async fn a_mailed_token_is_for_an_account_that_can_use_it(store: &dyn AuthStore, _: &impl Facts) {
    let nobody = Email::parse("nobody@example.com").expect("an address");
    assert_eq!(issued(store, &nobody, MailPurpose::Reset).await, None);
    let pending = claimed(store, "pending@example.com").await;
    assert_eq!(issued(store, &pending.email, MailPurpose::Reset).await, None);
    let account = active(store, "a@example.com").await;
    let token = issued(store, &account.email, MailPurpose::Reset)
        .await
        .expect("issued");
    let found = |purpose, seconds| store.find_mail_token(&token.hash, purpose, at(seconds));
    let holder = found(MailPurpose::Reset, 1)
        .await
        .expect("answered")
        .expect("good");
    assert_eq!(
        (holder.user, holder.email, holder.home),
        (account.user, account.email, account.home)
    );
    assert_eq!(found(MailPurpose::Verify, 1).await.expect("answered"), None);
    assert_eq!(found(MailPurpose::Reset, 1800).await.expect("answered"), None);
    store.sweep_mail_tokens(at(1800)).await.expect("swept");
    assert_eq!(found(MailPurpose::Reset, 1).await.expect("answered"), None);
}

pub(crate) async fn an_address_is_proven_once(store: &dyn AuthStore, _: &impl Facts) {
    let account = active(store, "a@example.com").await;
    let token = issued(store, &account.email, MailPurpose::Verify)
        .await
        .expect("issued");
    for (seconds, expected) in [(1800, false), (5, true), (6, false)] {
        let done = store
            .verify_email(&token.hash, at(seconds), fact("Register"))
            .await;
        assert_eq!(done.expect("answered"), expected, "{seconds}");
    }
    let proven = store.email_verified_at(account.user).await.expect("answered");
    assert_eq!(proven, Some(at(5)));
    assert_eq!(
        issued(store, &account.email, MailPurpose::Verify).await,
        None,
        "nothing is left to prove"
    );
}

pub(crate) async fn a_password_is_reset_once_and_ends_every_session(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let (session, _) = opened(store).await;
    let account = store
        .find_account(session.user)
        .await
        .expect("answered")
        .expect("kept");
    store
        .activate_account(account.user, account.claimed_at, fact("Register"))
        .await
        .expect("activated");
    let token = issued(store, &account.email, MailPurpose::Reset)
        .await
        .expect("issued");
    let other = issued(store, &account.email, MailPurpose::Reset)
        .await
        .expect("issued");
    let mut new = replacement(&account, "$new");
    new.token = Some(token.hash);
    assert_eq!(set(store, &new, 1800).await, None, "too late");
    assert_eq!(set(store, &new, 5).await, Some(1));
    for used in [token, other] {
        new.token = Some(used.hash);
        assert_eq!(set(store, &new, 6).await, None, "used, as are all others with it");
    }
    let changed = store
        .find_account(account.user)
        .await
        .expect("answered")
        .expect("kept");
    assert_eq!(changed.password.as_str(), "$new");
    assert!(told(store).await.contains(&Ended::Session(session.id)));
    let proven = store.email_verified_at(account.user).await.expect("answered");
    assert_eq!(proven, Some(at(5)), "who has the mail has the address");
    assert!(facts.actions().await.contains(&"session.closed".to_owned()));
    let late = NewSession {
        session: crate::domain::Session {
            id: SessionId::generate(),
            ..session
        },
        token: None,
        proof: None,
        password: Some(account.password),
        without_factor: false,
    };
    let late = store.open_session(&late, fact("Login")).await.expect("answered");
    assert_eq!(late, Opened::PasswordChanged);
}

pub(crate) async fn a_password_is_changed_if_it_is_still_the_one_proven(
    store: &dyn AuthStore,
    _: &impl Facts,
) {
    let (session, _) = opened(store).await;
    let account = store
        .find_account(session.user)
        .await
        .expect("answered")
        .expect("kept");
    let mut new = replacement(&account, "$new");
    new.instead_of = Some(account.password.clone());
    assert_eq!(set(store, &new, 5).await, None, "the registration has not ended");
    store
        .activate_account(account.user, account.claimed_at, fact("Register"))
        .await
        .expect("activated");
    new.keep = Some(session.id);
    assert_eq!(
        set(store, &new, 5).await,
        Some(0),
        "the session that asks goes on"
    );
    assert_eq!(set(store, &new, 6).await, None, "the password is another by now");
}
