//! What every store promises. Each case runs against each store, as a test of its own.

mod clients;
mod data;
mod factors;
mod guesses;
mod history;
mod identities;
mod persons;
mod recovery;
mod tokens;

use causeway_context::{CallContext, Caller, RequestId, SessionId, UserId, WorkspaceId};
use causeway_crypto::token;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};

use super::AuthStore;
use crate::domain::{
    Account, AccountState, Claim, Email, NewSession, Opened, PasswordHash, RefreshToken, Session, Trace,
};

pub(crate) use clients::*;
pub(crate) use data::*;
pub(crate) use factors::*;
pub(crate) use guesses::*;
pub(crate) use history::*;
pub(crate) use identities::*;
pub(crate) use persons::*;
pub(crate) use recovery::*;
pub(crate) use tokens::*;

/// What lies in the outbox of the store under test.
pub(crate) trait Facts {
    /// The actions of the facts, in order.
    async fn actions(&self) -> Vec<String>;
}

/// Makes a test of each case. `$fresh` answers an `Option` or a plain pair of a store and its facts.
#[macro_export]
macro_rules! store_conformance {
    ($fresh:path) => {
        $crate::store_conformance!(@cases $fresh:
            an_erased_workspace_keeps_nothing_and_takes_nothing,
            an_erased_person_leaves_the_others,
            a_number_that_erased_somebody_else_erases_nobody,
            sign_ins_into_one_workspace_are_forgotten_alone,
            a_seed_is_sealed_anew_if_it_is_still_the_same,
            an_address_is_claimed_once,
            a_lapsed_claim_is_taken_over_with_its_ids,
            an_account_becomes_active_once,
            a_claim_that_was_taken_over_does_not_become_active,
            an_address_is_found_by_its_account_only,
            a_session_is_found_by_its_token,
            a_token_rotates_once_whoever_asks_at_once,
            tokens_that_rotate_at_once_do_so_each_for_itself,
            an_ended_token_does_not_rotate,
            a_closed_session_does_not_rotate,
            a_session_closes_once,
            a_rotation_lets_the_session_live_on_but_not_for_ever,
            open_sessions_are_listed_newest_first_and_by_page,
            a_persons_sessions_end_together_and_gateways_are_told,
            sessions_that_ended_by_age_do_not_end_again,
            what_ended_is_deleted_and_what_goes_on_stays,
            sign_ins_are_listed_newest_first_and_forgotten,
            a_session_opens_by_the_present_password_only,
            wrong_guesses_add_up_until_they_are_forgotten,
            a_failure_is_kept_for_its_victim,
            of_many_guesses_at_once_no_more_pass_than_may,
            of_guesses_that_were_checked_at_once_no_more_are_answered_than_may,
            a_person_who_is_kept_out_opens_no_session,
            a_person_is_found_however_they_come_in,
            nobody_slips_in_while_a_person_is_being_kept_out,
            a_sign_in_from_a_new_place_is_told,
            a_factor_that_comes_or_goes_ends_the_other_sessions,
            a_factor_is_not_removed_as_an_enrolment,
            no_session_is_opened_without_a_factor_that_is_confirmed_by_then,
            a_mailed_token_is_for_an_account_that_can_use_it,
            an_address_is_proven_once,
            a_password_is_reset_once_and_ends_every_session,
            a_password_is_changed_if_it_is_still_the_one_proven,
            an_identity_is_claimed_once_whoever_comes_at_once,
            identities_differ_by_issuer_and_subject,
            a_proof_counts_once_whoever_comes_at_once,
            a_first_sign_in_ends_once,
            a_session_needs_neither_an_account_nor_a_refresh_token,
            a_proof_opens_one_session_whoever_asks_at_once,
            an_ended_proof_is_forgotten,
            a_token_is_found_by_its_hash,
            a_token_is_not_added_twice,
            tokens_are_listed_newest_first_and_by_page,
            nobody_else_lists_or_revokes_a_token,
            a_token_is_revoked_once,
            the_last_use_never_goes_back,
            keys_of_a_workspace_and_tokens_of_persons_do_not_mix,
            a_secret_moves_to_another_form,
            a_client_is_found_with_its_secrets,
            clients_are_listed_newest_first_without_those_that_ended,
            of_two_changes_at_once_one_is_kept,
            a_foreign_workspace_neither_sees_nor_changes_a_client,
            a_client_s_secret_moves_to_another_form,
            a_client_that_ends_is_told_to_every_gateway_in_one_step,
            a_client_is_found_by_each_secret_that_it_has,
            an_erased_workspace_takes_no_client,
            an_access_token_is_revoked_once_and_forgotten_after_its_end,
            twins_in_two_workspaces_see_nothing_of_each_other,
            an_enrolment_takes_the_place_of_one_that_was_not_confirmed,
            a_confirmed_factor_is_not_replaced,
            enrolments_at_once_leave_one_whole_factor,
            the_code_of_the_enrolment_is_used_up,
            a_code_is_used_once_whoever_asks_at_once,
            a_recovery_code_is_used_once_whoever_asks_at_once,
            who_passed_a_factor_has_until_it_is_removed,
            parallel_tries_do_not_slip_through,
            a_right_code_forgives_the_wrong_ones,
            no_seed_is_written_under_a_key_behind_the_fence
        );
    };
    (@cases $fresh:path: $($case:ident),+) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let fresh: Option<_> = $fresh().await.into();
            let Some((store, facts)) = fresh else { return };
            $crate::store::conformance::$case(&store, &facts).await;
        }
    )+ };
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 123_456_000).expect("a time")
}

pub(crate) fn fact(rpc: &str) -> OutboxEvent {
    fact_of("AuthService", rpc)
}

fn fact_of(service: &str, rpc: &str) -> OutboxEvent {
    let path = format!("/causeway.auth.v1.{service}/{rpc}");
    let method = causeway_contracts::method(&path).expect("a known RPC");
    let ctx = CallContext::new(Caller::anonymous(), method, RequestId::generate(), at(0));
    OutboxEvent::of(&ctx)
        .expect("an audited RPC")
        .in_workspace(WorkspaceId::generate())
}

fn account(email: &str, claimed_at: DateTime<Utc>) -> Account {
    Account {
        user: UserId::generate(),
        email: Email::parse(email).expect("an address"),
        password: PasswordHash::new(format!("$hash of {email} at {claimed_at}")),
        state: AccountState::Pending,
        home: WorkspaceId::generate(),
        claimed_at,
    }
}

fn session(user: UserId) -> Session {
    let workspace = WorkspaceId::generate();
    Session {
        id: SessionId::generate(),
        user,
        workspace,
        trace: Trace::default(),
        opened_at: at(0),
        last_used_at: at(0),
        idle_until: at(100),
        expires_at: at(1000),
        closed_at: None,
    }
}

fn refresh(session: SessionId, issued: i64) -> RefreshToken {
    let hash = token::mint("t_").hash;
    RefreshToken {
        hash,
        session,
        generation: 0,
        issued_at: at(issued),
        expires_at: at(issued + 100),
        used_at: None,
    }
}

async fn claimed(store: &dyn AuthStore, email: &str) -> Account {
    match store
        .claim_address(&account(email, at(0)))
        .await
        .expect("answered")
    {
        Claim::Made(account) => account,
        Claim::Taken(_) => panic!("the address was free"),
    }
}

async fn opened(store: &dyn AuthStore) -> (Session, RefreshToken) {
    let account = claimed(store, "a@example.com").await;
    let session = session(account.user);
    let token = refresh(session.id, 0);
    let new = NewSession {
        session,
        token: Some(token),
        proof: None,
        password: None,
        without_factor: false,
    };
    let opened = store.open_session(&new, fact("Login")).await.expect("answered");
    assert_eq!(opened, Opened::Done);
    (new.session, new.token.expect("given"))
}

pub(crate) async fn an_address_is_claimed_once(store: &dyn AuthStore, facts: &impl Facts) {
    let first = claimed(store, "a@example.com").await;
    let second = store
        .claim_address(&account("a@example.com", at(1)))
        .await
        .expect("answered");
    assert_eq!(second, Claim::Taken(first));
    assert!(facts.actions().await.is_empty(), "a claim is not a registration");
}

pub(crate) async fn a_lapsed_claim_is_taken_over_with_its_ids(store: &dyn AuthStore, _: &impl Facts) {
    let first = claimed(store, "a@example.com").await;
    let later = account("a@example.com", at(15 * 60 + 1));
    let expected = Account {
        user: first.user,
        home: first.home,
        ..later.clone()
    };
    assert_eq!(
        store.claim_address(&later).await.expect("answered"),
        Claim::Made(expected.clone())
    );
    assert_eq!(
        store.find_account(first.user).await.expect("answered"),
        Some(expected)
    );
    assert_eq!(store.find_account(later.user).await.expect("answered"), None);
}

pub(crate) async fn an_account_becomes_active_once(store: &dyn AuthStore, facts: &impl Facts) {
    let account = claimed(store, "a@example.com").await;
    for expected in [true, false] {
        let done = store
            .activate_account(account.user, account.claimed_at, fact("Register"))
            .await;
        assert_eq!(done.expect("answered"), expected);
    }
    assert_eq!(facts.actions().await, ["account.registered"]);
    let later = self::account("a@example.com", at(100_000));
    assert!(matches!(
        store.claim_address(&later).await.expect("answered"),
        Claim::Taken(_)
    ));
}

pub(crate) async fn a_claim_that_was_taken_over_does_not_become_active(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let first = claimed(store, "a@example.com").await;
    store
        .claim_address(&account("a@example.com", at(15 * 60 + 1)))
        .await
        .expect("taken over");
    let done = store
        .activate_account(first.user, first.claimed_at, fact("Register"))
        .await;
    assert!(!done.expect("answered"));
    assert!(facts.actions().await.is_empty());
}

pub(crate) async fn an_address_is_found_by_its_account_only(store: &dyn AuthStore, _: &impl Facts) {
    let one = claimed(store, "one@example.com").await;
    let two = claimed(store, "two@example.com").await;
    assert_eq!(
        store.find_by_email(&one.email).await.expect("answered"),
        Some(one.clone())
    );
    assert_eq!(store.find_account(two.user).await.expect("answered"), Some(two));
    let nobody = Email::parse("three@example.com").expect("an address");
    assert_eq!(store.find_by_email(&nobody).await.expect("answered"), None);
    assert_eq!(
        store.find_account(UserId::generate()).await.expect("answered"),
        None
    );
}

pub(crate) async fn a_session_is_found_by_its_token(store: &dyn AuthStore, facts: &impl Facts) {
    let (session, token) = opened(store).await;
    let found = store
        .find_refresh_token(&token.hash)
        .await
        .expect("answered")
        .expect("found");
    assert_eq!((found.session, found.token), (session, token));
    assert_eq!(store.find_refresh_token(&[0; 32]).await.expect("answered"), None);
    assert_eq!(facts.actions().await, ["session.opened"]);
}

/// REF-02.
pub(crate) async fn a_token_rotates_once_whoever_asks_at_once(store: &dyn AuthStore, _: &impl Facts) {
    let (session, token) = opened(store).await;
    let successors: Vec<RefreshToken> = (0..64).map(|_| refresh(session.id, 10)).collect();
    let answers = successors
        .iter()
        .map(|successor| store.rotate(&token.hash, successor));
    let answers = futures::future::join_all(answers).await;
    let winners: Vec<usize> = (0..64)
        .filter(|index| answers[*index].as_ref().is_ok_and(|won| *won))
        .collect();
    assert_eq!(winners.len(), 1);
    assert!(answers.iter().all(Result::is_ok));
    for (index, successor) in successors.iter().enumerate() {
        let found = store.find_refresh_token(&successor.hash).await.expect("answered");
        assert_eq!(found.is_some(), winners == [index]);
    }
    let used = store
        .find_refresh_token(&token.hash)
        .await
        .expect("answered")
        .expect("kept");
    assert_eq!(used.token.used_at, Some(at(10)));
}

pub(crate) async fn tokens_that_rotate_at_once_do_so_each_for_itself(store: &dyn AuthStore, _: &impl Facts) {
    let account = claimed(store, "a@example.com").await;
    let mut tokens = Vec::new();
    for index in 0..100 {
        let session = session(account.user);
        let (id, token) = (session.id, refresh(session.id, 0));
        let new = NewSession {
            session,
            token: Some(token.clone()),
            proof: None,
            password: None,
            without_factor: false,
        };
        store.open_session(&new, fact("Login")).await.expect("opened");
        let is_alive = index % 3 > 0;
        if !is_alive {
            let closed = store.close_session(id, at(5), fact("Logout")).await;
            assert!(closed.expect("answered"));
        }
        tokens.push((token, refresh(id, 10), is_alive));
    }
    // Each of them twice.
    let asked = tokens.iter().chain(&tokens);
    let rotating = asked.map(|(used, successor, _)| store.rotate(&used.hash, successor));
    let answers = futures::future::join_all(rotating).await;
    let (first, second) = answers.split_at(tokens.len());
    let finding = tokens
        .iter()
        .map(|(_, successor, _)| store.find_refresh_token(&successor.hash));
    let found = futures::future::join_all(finding).await;
    for (index, (_, successor, is_alive)) in tokens.iter().enumerate() {
        let won = [&first[index], &second[index]].map(|answer| *answer.as_ref().expect("answered"));
        assert_eq!(won.iter().filter(|won| **won).count(), usize::from(*is_alive));
        let found = found[index].as_ref().expect("answered").as_ref();
        let expected = is_alive.then_some((successor.hash, successor.session, 1));
        let found = found.map(|found| (found.token.hash, found.session.id, found.token.generation));
        assert_eq!(found, expected);
    }
}

pub(crate) async fn an_ended_token_does_not_rotate(store: &dyn AuthStore, _: &impl Facts) {
    let (session, token) = opened(store).await;
    assert!(
        !store
            .rotate(&token.hash, &refresh(session.id, 100))
            .await
            .expect("answered")
    );
    assert!(
        !store
            .rotate(&[0; 32], &refresh(session.id, 10))
            .await
            .expect("answered")
    );
    assert!(
        store
            .rotate(&token.hash, &refresh(session.id, 99))
            .await
            .expect("answered")
    );
}

pub(crate) async fn a_closed_session_does_not_rotate(store: &dyn AuthStore, _: &impl Facts) {
    let (session, token) = opened(store).await;
    store
        .close_session(session.id, at(5), fact("Logout"))
        .await
        .expect("closed");
    assert!(
        !store
            .rotate(&token.hash, &refresh(session.id, 10))
            .await
            .expect("answered")
    );
}

pub(crate) async fn a_session_closes_once(store: &dyn AuthStore, facts: &impl Facts) {
    let (session, token) = opened(store).await;
    assert!(
        store
            .close_session(session.id, at(5), fact("Logout"))
            .await
            .expect("answered")
    );
    assert!(
        !store
            .close_session(session.id, at(6), fact("Logout"))
            .await
            .expect("answered")
    );
    assert!(
        !store
            .close_session(SessionId::generate(), at(6), fact("Logout"))
            .await
            .expect("answered")
    );
    let found = store
        .find_refresh_token(&token.hash)
        .await
        .expect("answered")
        .expect("kept");
    assert_eq!(found.session.closed_at, Some(at(5)));
    assert_eq!(facts.actions().await, ["session.opened", "session.closed"]);
}
