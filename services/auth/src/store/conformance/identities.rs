//! Persons whom identity providers prove, and the sessions that their tokens open.

use causeway_context::{UserId, WorkspaceId};

use super::{Facts, at, fact, refresh, session};
use crate::domain::{AccountState, Identity, Member, NewSession, Opened, Proof, Provider};
use crate::store::AuthStore;

pub(super) fn member(issuer: &str, subject: &str) -> Member {
    Member {
        identity: Identity {
            provider: Provider::Clerk,
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        },
        user: UserId::generate(),
        state: AccountState::Pending,
        home: WorkspaceId::generate(),
        first_seen_at: at(0),
    }
}

fn opened_by(proof: Option<Proof>, seconds: i64) -> NewSession {
    let mut session = session(UserId::generate());
    session.opened_at = at(seconds);
    let token = refresh(session.id, seconds);
    NewSession {
        session,
        token: Some(token),
        proof,
        password: None,
        without_factor: false,
    }
}

pub(crate) async fn an_identity_is_claimed_once_whoever_comes_at_once(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let members: Vec<Member> = (0..16).map(|_| member("https://a.example", "u")).collect();
    let kept = futures::future::join_all(members.iter().map(|member| store.claim_identity(member))).await;
    let kept: Vec<Member> = kept
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("every claim is answered");
    assert!(
        kept.iter().all(|one| *one == kept[0]),
        "sixteen claims make one person"
    );
    assert!(members.contains(&kept[0]));
    let found = store.find_identity(&kept[0].identity).await.expect("answered");
    assert_eq!(found.as_ref(), Some(&kept[0]));
    assert!(facts.actions().await.is_empty(), "a claim is not a sign-in");
}

pub(crate) async fn identities_differ_by_issuer_and_subject(store: &dyn AuthStore, _: &impl Facts) {
    let members = [
        member("https://a.example", "u"),
        member("https://b.example", "u"),
        member("https://a.example", "U"),
    ];
    for member in &members {
        assert_eq!(store.claim_identity(member).await.expect("answered"), *member);
    }
    for member in &members {
        let found = store.find_identity(&member.identity).await.expect("answered");
        assert_eq!(found.as_ref(), Some(member));
    }
    let nobody = member("https://b.example", "U").identity;
    assert_eq!(store.find_identity(&nobody).await.expect("answered"), None);
}

pub(crate) async fn a_first_sign_in_ends_once(store: &dyn AuthStore, facts: &impl Facts) {
    let member = member("https://a.example", "u");
    store.claim_identity(&member).await.expect("claimed");
    for (user, expected) in [
        (UserId::generate(), false),
        (member.user, true),
        (member.user, false),
    ] {
        let done = store.activate_identity(user, fact("Register")).await;
        assert_eq!(done.expect("answered"), expected);
    }
    let found = store.find_identity(&member.identity).await.expect("answered");
    assert_eq!(found.expect("kept").state, AccountState::Active);
    assert_eq!(facts.actions().await, ["account.registered"]);
}

pub(crate) async fn a_session_needs_neither_an_account_nor_a_refresh_token(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let new = NewSession {
        token: None,
        ..opened_by(None, 0)
    };
    let opened = store.open_session(&new, fact("Exchange")).await;
    assert_eq!(opened.expect("answered"), Opened::Done);
    assert_eq!(facts.actions().await, ["session.opened"]);
    assert!(
        store
            .close_session(new.session.id, at(1), fact("Logout"))
            .await
            .expect("answered")
    );
}

pub(crate) async fn a_proof_opens_one_session_whoever_asks_at_once(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let proof = Proof::new("https://a.example", "j", at(60));
    let sessions: Vec<NewSession> = (0..16).map(|_| opened_by(Some(proof), 0)).collect();
    let answers = sessions
        .iter()
        .map(|new| store.open_session(new, fact("Exchange")));
    let answers = futures::future::join_all(answers).await;
    let won: Vec<bool> = answers
        .into_iter()
        .map(|answer| answer.expect("every one is answered") == Opened::Done)
        .collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    for (new, won) in sessions.iter().zip(won) {
        let hash = new.token.as_ref().expect("given").hash;
        let found = store.find_refresh_token(&hash).await.expect("answered");
        assert_eq!(found.is_some(), won);
    }
    assert_eq!(facts.actions().await, ["session.opened"]);
    let other = Proof::new("https://b.example", "j", at(60));
    let answer = store
        .open_session(&opened_by(Some(other), 0), fact("Exchange"))
        .await;
    assert_eq!(answer.expect("answered"), Opened::Done);
}

pub(crate) async fn an_ended_proof_is_forgotten(store: &dyn AuthStore, _: &impl Facts) {
    let proof = Proof::new("https://a.example", "j", at(60));
    let end = (proof.expires_at - at(0)).num_seconds();
    for (seconds, expected) in [
        (0, Opened::Done),
        (end, Opened::ProofUsed),
        (end + 1, Opened::Done),
    ] {
        let new = opened_by(Some(proof), seconds);
        let answer = store.open_session(&new, fact("Exchange")).await;
        assert_eq!(answer.expect("answered"), expected, "{seconds}");
    }
}

/// EXC-06.
pub(crate) async fn a_proof_counts_once_whoever_comes_at_once(store: &dyn AuthStore, _: &impl Facts) {
    let proof = Proof::new("sign-in", &UserId::generate().to_string(), at(600));
    let answers = futures::future::join_all((0..8).map(|_| store.use_proof(&proof, at(0)))).await;
    let won = answers.into_iter().filter(|answer| matches!(answer, Ok(true)));
    assert_eq!(won.count(), 1);
    assert!(!store.use_proof(&proof, at(599)).await.expect("answered"));
    let by_session = opened_by(Some(proof), 1);
    let opened = store.open_session(&by_session, fact("Exchange")).await;
    assert_eq!(
        opened.expect("answered"),
        Opened::ProofUsed,
        "however it was used"
    );
}
