//! Second factors.

use causeway_context::{CallContext, Caller, RequestId, UserId, WorkspaceId};
use causeway_outbox::OutboxEvent;
use uuid::Uuid;

use super::{Facts, at};
use crate::domain::{
    Admission, Factor, FactorStanding, Hash, NewFactor, NewSession, Opened, PassedBy, SealedSeed,
};
use crate::store::history::Closing;
use crate::store::{AuthStore, StoreError};

fn fact(rpc: &str) -> OutboxEvent {
    let path = format!("/causeway.auth.v1.MfaService/{rpc}");
    let method = causeway_contracts::method(&path).expect("a known RPC");
    let ctx = CallContext::new(Caller::anonymous(), method, RequestId::generate(), at(0));
    OutboxEvent::of(&ctx)
        .expect("an audited RPC")
        .in_workspace(WorkspaceId::generate())
}

fn closing(seconds: i64) -> Closing {
    Closing {
        keep: None,
        at: at(seconds),
        fact: super::fact("Logout"),
    }
}

fn sealed(version: i32, filling: u8) -> SealedSeed {
    let mut envelope = b"CWEV".to_vec();
    envelope.resize(102, filling);
    SealedSeed {
        sealed: envelope,
        key_version: version,
    }
}

fn new_factor(user: UserId, workspace: WorkspaceId) -> NewFactor {
    NewFactor {
        factor: Factor {
            user,
            enrolment: Uuid::new_v4(),
            workspace,
            enrolled_at: at(0),
            confirmed_at: None,
        },
        seed: sealed(1, 7),
        recovery_codes: vec![[1; 32], [2; 32]],
    }
}

async fn enrolled(store: &dyn AuthStore, user: UserId) -> NewFactor {
    let new = new_factor(user, WorkspaceId::generate());
    assert!(
        store
            .enrol_factor(&new, fact("EnrollTotp"))
            .await
            .expect("answered")
    );
    new
}

/// A confirmed factor, and the credential that passed it at step 100.
async fn confirmed(store: &dyn AuthStore) -> (Factor, Uuid) {
    let new = enrolled(store, UserId::generate()).await;
    let credential = Uuid::now_v7();
    let done = store
        .confirm_factor(&new.factor, 100, credential, fact("ConfirmTotp"), &closing(5))
        .await;
    assert!(done.expect("answered"));
    let factor = store.find_factor(new.factor.user).await.expect("answered");
    (factor.expect("there"), credential)
}

pub(crate) async fn an_enrolment_takes_the_place_of_one_that_was_not_confirmed(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let user = UserId::generate();
    assert_eq!(store.find_factor(user).await.expect("answered"), None);
    let first = enrolled(store, user).await;
    let second = NewFactor {
        seed: sealed(2, 8),
        recovery_codes: vec![[3; 32]],
        ..new_factor(user, first.factor.workspace)
    };
    assert!(
        store
            .enrol_factor(&second, fact("EnrollTotp"))
            .await
            .expect("answered")
    );
    let found = store.find_factor(user).await.expect("answered");
    assert_eq!(found.as_ref(), Some(&second.factor));
    let seed = store.find_seed(&second.factor).await.expect("answered");
    assert_eq!(seed, Some(second.seed));
    assert_eq!(store.count_recovery_codes(user).await.expect("answered"), 1);
    let (late, others) = (Uuid::now_v7(), closing(1));
    let late = store.confirm_factor(&first.factor, 1, late, fact("ConfirmTotp"), &others);
    assert!(!late.await.expect("answered"), "the first is gone");
    let stands = store.standing(user, Uuid::now_v7()).await.expect("answered");
    assert_eq!(
        stands,
        FactorStanding::default(),
        "and the second does not count yet"
    );
    assert_eq!(facts.actions().await, ["mfa.enrolled", "mfa.enrolled"]);
}

pub(crate) async fn a_confirmed_factor_is_not_replaced(store: &dyn AuthStore, facts: &impl Facts) {
    let (factor, credential) = confirmed(store).await;
    assert_eq!(factor.confirmed_at, Some(at(5)));
    let another = new_factor(factor.user, factor.workspace);
    let replaced = store.enrol_factor(&another, fact("EnrollTotp")).await;
    assert!(!replaced.expect("answered"));
    let others = closing(9);
    let again = store.confirm_factor(&factor, 200, credential, fact("ConfirmTotp"), &others);
    assert!(!again.await.expect("answered"));
    assert_eq!(
        store.find_factor(factor.user).await.expect("answered"),
        Some(factor)
    );
    assert_eq!(facts.actions().await, ["mfa.enrolled", "mfa.confirmed"]);
}

pub(crate) async fn enrolments_at_once_leave_one_whole_factor(store: &dyn AuthStore, _: &impl Facts) {
    let (user, workspace) = (UserId::generate(), WorkspaceId::generate());
    let new: Vec<NewFactor> = (0..8)
        .map(|index| NewFactor {
            seed: sealed(1, index),
            recovery_codes: vec![[index; 32]],
            ..new_factor(user, workspace)
        })
        .collect();
    let done = new.iter().map(|new| store.enrol_factor(new, fact("EnrollTotp")));
    futures::future::join_all(done).await;
    let factor = store.find_factor(user).await.expect("answered").expect("there");
    let kept = new.iter().find(|new| new.factor == factor).expect("one of them");
    let seed = store.find_seed(&factor).await.expect("answered");
    assert_eq!(
        seed.as_ref(),
        Some(&kept.seed),
        "the seed is the one that was shown"
    );
    let code = kept.recovery_codes[0];
    let used = store
        .use_recovery_code(user, &code, at(1), fact("VerifySession"))
        .await;
    assert!(used.expect("answered"), "and so is the recovery code");
}

pub(crate) async fn the_code_of_the_enrolment_is_used_up(store: &dyn AuthStore, _: &impl Facts) {
    let (factor, _) = confirmed(store).await;
    for (step, right) in [(100, false), (99, false), (101, true), (101, false), (100, false)] {
        let used = store.use_step(&factor, step).await;
        assert_eq!(used.expect("answered"), right, "{step}");
    }
}

/// MFA-02.
pub(crate) async fn a_code_is_used_once_whoever_asks_at_once(store: &dyn AuthStore, _: &impl Facts) {
    let (factor, _) = confirmed(store).await;
    let tries = (0..16).map(|_| store.use_step(&factor, 101));
    let used = futures::future::join_all(tries).await;
    let right = used
        .into_iter()
        .filter(|used| *used.as_ref().expect("answered"))
        .count();
    assert_eq!(right, 1);
    let other = Factor {
        enrolment: Uuid::new_v4(),
        ..factor
    };
    let used = store.use_step(&other, 102).await;
    assert!(!used.expect("answered"), "of another enrolment");
}

/// MFA-05.
pub(crate) async fn a_recovery_code_is_used_once_whoever_asks_at_once(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let (factor, _) = confirmed(store).await;
    let code: Hash = [1; 32];
    let tries = (0..16).map(|_| store.use_recovery_code(factor.user, &code, at(9), fact("VerifySession")));
    let used = futures::future::join_all(tries).await;
    let right = used
        .into_iter()
        .filter(|used| *used.as_ref().expect("answered"))
        .count();
    assert_eq!(right, 1);
    assert_eq!(
        store.count_recovery_codes(factor.user).await.expect("answered"),
        1
    );
    for (user, hash) in [(UserId::generate(), [2; 32]), (factor.user, [9; 32])] {
        let used = store.use_recovery_code(user, &hash, at(9), fact("VerifySession"));
        assert!(!used.await.expect("answered"));
    }
    let others = [[4; 32], [5; 32], [6; 32]];
    let replaced = store.replace_recovery_codes(&factor, &others, fact("RegenerateRecoveryCodes"));
    assert!(replaced.await.expect("answered"));
    assert_eq!(
        store.count_recovery_codes(factor.user).await.expect("answered"),
        3
    );
    let old = store.use_recovery_code(factor.user, &[2; 32], at(9), fact("VerifySession"));
    assert!(!old.await.expect("answered"), "the old ones are void");
    assert_eq!(
        facts.actions().await,
        [
            "mfa.enrolled",
            "mfa.confirmed",
            "mfa.passed",
            "mfa.recovery_codes_made"
        ]
    );
}

pub(crate) async fn who_passed_a_factor_has_until_it_is_removed(store: &dyn AuthStore, facts: &impl Facts) {
    let (factor, credential) = confirmed(store).await;
    let (user, other) = (factor.user, Uuid::now_v7());
    let provider = Uuid::now_v7();
    store
        .pass_factor(user, provider, PassedBy::Provider, at(6))
        .await
        .expect("kept");
    let passed = async |user, credential| {
        let standing = store.standing(user, credential).await.expect("answered");
        (standing.enrolled, standing.passed)
    };
    assert_eq!(passed(user, credential).await, (true, Some(PassedBy::Totp)));
    assert_eq!(passed(user, provider).await, (true, Some(PassedBy::Provider)));
    assert_eq!(passed(user, other).await, (true, None));
    assert_eq!(passed(UserId::generate(), credential).await, (false, None));
    let nobody = closing(7);
    for expected in [true, false] {
        let removed = store.remove_factor(&factor, fact("RemoveTotp"), Some(&nobody));
        assert_eq!(removed.await.expect("answered"), expected);
    }
    assert_eq!(passed(user, credential).await, (false, None));
    assert_eq!(passed(user, provider).await, (false, Some(PassedBy::Provider)));
    assert_eq!(store.find_seed(&factor).await.expect("answered"), None);
    assert_eq!(store.count_recovery_codes(user).await.expect("answered"), 0);
    assert_eq!(
        facts.actions().await,
        ["mfa.enrolled", "mfa.confirmed", "mfa.removed"]
    );
}

/// MFA-04: of tries at once, no more than five are made.
pub(crate) async fn parallel_tries_do_not_slip_through(store: &dyn AuthStore, facts: &impl Facts) {
    let user = UserId::generate();
    let tries = (0..32).map(|_| store.admit_try(user, at(0), fact("VerifySession")));
    let answers = futures::future::join_all(tries).await;
    let answers: Vec<Admission> = answers.into_iter().collect::<Result<_, _>>().expect("answered");
    let count = |kind: fn(&Admission) -> bool| answers.iter().filter(|one| kind(one)).count();
    assert_eq!(count(|one| matches!(one, Admission::Admitted)), 5);
    assert_eq!(count(|one| matches!(one, Admission::Locks(_))), 1);
    assert_eq!(count(|one| matches!(one, Admission::Locked(_))), 26);
    assert_eq!(facts.actions().await.len(), 1, "one fact for one lock");
    let other = store
        .admit_try(UserId::generate(), at(0), fact("VerifySession"))
        .await;
    assert_eq!(
        other.expect("answered"),
        Admission::Admitted,
        "nobody else is locked"
    );
    let still = store.admit_try(user, at(899), fact("VerifySession")).await;
    assert_eq!(still.expect("answered"), Admission::Locked(at(900)));
    let over = store.admit_try(user, at(900), fact("VerifySession")).await;
    assert_eq!(over.expect("answered"), Admission::Admitted);
}

pub(crate) async fn a_right_code_forgives_the_wrong_ones(store: &dyn AuthStore, _: &impl Facts) {
    let (factor, _) = confirmed(store).await;
    let admit = async |seconds| {
        let admitted = store
            .admit_try(factor.user, at(seconds), fact("VerifySession"))
            .await;
        admitted.expect("answered")
    };
    for _ in 0..4 {
        assert_eq!(admit(0).await, Admission::Admitted);
    }
    assert!(store.use_step(&factor, 101).await.expect("answered"));
    for _ in 0..5 {
        assert_eq!(admit(1).await, Admission::Admitted);
    }
    let code = store.use_recovery_code(factor.user, &[1; 32], at(2), fact("VerifySession"));
    assert!(code.await.expect("answered"));
    assert_eq!(admit(2).await, Admission::Admitted);
}

pub(crate) async fn no_seed_is_written_under_a_key_behind_the_fence(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let (user, workspace) = (UserId::generate(), WorkspaceId::generate());
    store.raise_seed_fence(workspace, 2).await.expect("raised");
    store
        .raise_seed_fence(workspace, 1)
        .await
        .expect("it never goes down");
    let mut new = new_factor(user, workspace);
    let refused = store.enrol_factor(&new, fact("EnrollTotp")).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    assert_eq!(
        store.find_factor(user).await.expect("answered"),
        None,
        "nothing is left of it"
    );
    new.seed = sealed(2, 7);
    assert!(
        store
            .enrol_factor(&new, fact("EnrollTotp"))
            .await
            .expect("answered")
    );
    let elsewhere = new_factor(UserId::generate(), WorkspaceId::generate());
    let added = store.enrol_factor(&elsewhere, fact("EnrollTotp")).await;
    assert!(added.expect("answered"), "other workspaces have their own fence");
    assert_eq!(facts.actions().await, ["mfa.enrolled", "mfa.enrolled"]);
}

/// MFA-07: who removes an enrolment shows no code, and must not take away a factor that was confirmed meanwhile.
pub(crate) async fn a_factor_is_not_removed_as_an_enrolment(store: &dyn AuthStore, facts: &impl Facts) {
    let user = UserId::generate();
    let factor = enrolled(store, user).await.factor;
    let others = closing(5);
    let confirmed = store.confirm_factor(&factor, 100, Uuid::now_v7(), fact("ConfirmTotp"), &others);
    assert!(confirmed.await.expect("answered"));
    let removed = store.remove_factor(&factor, fact("RemoveTotp"), None).await;
    assert!(!removed.expect("answered"));
    let kept = store.find_factor(user).await.expect("answered").expect("kept");
    assert!(kept.confirmed_at.is_some());
    assert!(!facts.actions().await.contains(&"mfa.removed".to_owned()));
}

/// MFA-06: between the look for a factor and the opening of the session one may be confirmed.
pub(crate) async fn no_session_is_opened_without_a_factor_that_is_confirmed_by_then(
    store: &dyn AuthStore,
    _: &impl Facts,
) {
    let user = UserId::generate();
    let open = async |without_factor| {
        let session = super::session(user);
        let new = NewSession {
            token: Some(super::refresh(session.id, 0)),
            session,
            proof: None,
            password: None,
            without_factor,
        };
        let opened = store.open_session(&new, super::fact("Login")).await;
        opened.expect("answered")
    };
    assert_eq!(open(true).await, Opened::Done, "nobody has one");
    let factor = enrolled(store, user).await.factor;
    assert_eq!(open(true).await, Opened::Done, "an enrolment is none");
    let others = closing(5);
    let confirmed = store.confirm_factor(&factor, 100, Uuid::now_v7(), fact("ConfirmTotp"), &others);
    assert!(confirmed.await.expect("answered"));
    assert_eq!(open(true).await, Opened::FactorConfirmed);
    assert_eq!(
        open(false).await,
        Opened::Done,
        "it was passed, or is not asked for"
    );
}

/// REF-06: what was opened by less than what is asked for now ends with the change.
pub(crate) async fn a_factor_that_comes_or_goes_ends_the_other_sessions(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let user = UserId::generate();
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let session = super::session(user);
        let new = NewSession {
            token: Some(super::refresh(session.id, 0)),
            session,
            proof: None,
            password: None,
            without_factor: false,
        };
        let opened = store.open_session(&new, super::fact("Login")).await;
        assert_eq!(opened.expect("answered"), Opened::Done);
        sessions.push(new.session.id);
    }
    let open = async || {
        let mut open = Vec::new();
        for id in &sessions {
            let session = store.find_session(*id).await.expect("answered").expect("kept");
            open.push(session.closed_at.is_none());
        }
        open
    };
    let keep = |index: usize| Closing {
        keep: Some(sessions[index]),
        ..closing(5)
    };
    let factor = enrolled(store, user).await.factor;
    assert_eq!(open().await, [true; 3], "an enrolment alone ends nothing");
    let others = keep(0);
    let done = store.confirm_factor(&factor, 100, sessions[0].0, fact("ConfirmTotp"), &others);
    assert!(done.await.expect("answered"));
    assert_eq!(open().await, [true, false, false]);
    let ended = super::told(store).await;
    assert_eq!(ended.len(), 2, "{ended:?}");
    let another = keep(2);
    let removed = store.remove_factor(&factor, fact("RemoveTotp"), Some(&another));
    assert!(removed.await.expect("answered"));
    assert_eq!(open().await, [false; 3]);
    let closed = facts.actions().await;
    let closed = closed.iter().filter(|action| *action == "session.closed");
    assert_eq!(closed.count(), 3);
}
