//! Erasure, export and sealing anew.

use causeway_context::{SessionId, TokenId, UserId, WorkspaceId};
use causeway_crypto::{Scheme, StoredSecret, token};
use causeway_holder::{Applied, Part, Tombstone};
use tokio::sync::mpsc;

use super::{Facts, account, at, fact, fact_of, refresh, session};
use crate::domain::{
    Account, Factor, Hash, NewFactor, NewSession, Opened, PersonalToken, SealedSeed, Session, TokenKind,
    TokenName,
};
use crate::store::history::Slice;
use crate::store::{AuthStore, StoreError};

/// A person with an account, a session, a token and a seed in one workspace.
struct Guest {
    account: Account,
    session: Session,
    refresh: Hash,
    token: Hash,
}

pub(super) fn tombstone(
    number: i64,
    workspace: WorkspaceId,
    subject: Option<UserId>,
    leavers: &[UserId],
) -> Tombstone {
    Tombstone {
        number,
        workspace,
        subject,
        leavers: leavers.to_vec(),
        addresses: Vec::new(),
    }
}

async fn add_token(store: &dyn AuthStore, workspace: WorkspaceId, user: UserId) -> Result<Hash, StoreError> {
    let minted = token::mint("t_");
    let token = PersonalToken {
        kind: TokenKind::Personal,
        id: TokenId::generate(),
        workspace,
        user,
        name: TokenName::parse("ci").expect("a name"),
        scopes: Vec::new(),
        created_at: at(0),
        expires_at: at(1000),
        last_used_at: None,
        revoked_at: None,
        last_four: minted.last_four,
    };
    let stored = StoredSecret {
        scheme: Scheme::Sha256,
        hash: minted.hash,
    };
    store
        .insert_token(&token, &stored, fact("CreateToken"))
        .await
        .map(|()| minted.hash)
}

async fn open(store: &dyn AuthStore, session: &Session, token: Hash) -> Result<Opened, StoreError> {
    let mut first = refresh(session.id, 0);
    first.hash = token;
    let new = NewSession {
        session: session.clone(),
        token: Some(first),
        proof: None,
        password: None,
        without_factor: false,
    };
    store.open_session(&new, fact("Login")).await
}

fn seed(version: i32, filling: u8) -> SealedSeed {
    let mut sealed = b"CWEV".to_vec();
    sealed.resize(causeway_crypto::OVERHEAD_BYTES + 1, filling);
    SealedSeed {
        sealed,
        key_version: version,
    }
}

fn factor(workspace: WorkspaceId, user: UserId) -> NewFactor {
    NewFactor {
        factor: Factor {
            user,
            enrolment: uuid::Uuid::new_v4(),
            workspace,
            enrolled_at: at(0),
            confirmed_at: None,
        },
        seed: seed(1, 7),
        recovery_codes: vec![token::mint("c_").hash],
    }
}

async fn guest(store: &dyn AuthStore, workspace: WorkspaceId, email: &str) -> Guest {
    let account = account(email, at(0));
    store.claim_address(&account).await.expect("claimed");
    let session = Session {
        workspace,
        id: SessionId::generate(),
        ..session(account.user)
    };
    let refresh = token::mint("r_").hash;
    assert_eq!(
        open(store, &session, refresh).await.expect("answered"),
        Opened::Done
    );
    let factor = factor(workspace, account.user);
    assert!(
        store
            .enrol_factor(&factor, fact_of("MfaService", "EnrollTotp"))
            .await
            .expect("answered")
    );
    Guest {
        token: add_token(store, workspace, account.user).await.expect("added"),
        account,
        session,
        refresh,
    }
}

impl Guest {
    /// What is left: the account, the session, the token, the seed.
    async fn left(&self, store: &dyn AuthStore, workspace: WorkspaceId) -> [bool; 4] {
        let seeds = store.seeds_below(workspace, 100, None, 100).await.expect("read");
        [
            store
                .find_account(self.account.user)
                .await
                .expect("read")
                .is_some(),
            store
                .find_refresh_token(&self.refresh)
                .await
                .expect("read")
                .is_some(),
            store.find_token(&[self.token]).await.expect("read").is_some(),
            seeds.iter().any(|(user, _)| *user == self.account.user),
        ]
    }
}

fn rows(applied: &Applied, table: &str) -> u64 {
    let table = format!("auth.{table}");
    let found = applied.erased.iter().find(|count| count.table == table);
    found.map_or(0, |count| count.rows)
}

async fn parts(store: &dyn AuthStore, workspace: WorkspaceId) -> Vec<Part> {
    let (sender, mut receiver) = mpsc::channel(100);
    store.send_rows(workspace, None, sender).await.expect("sent");
    let mut parts = Vec::new();
    while let Some(part) = receiver.recv().await {
        parts.push(part);
    }
    parts
}

pub(crate) async fn an_erased_workspace_keeps_nothing_and_takes_nothing(
    store: &dyn AuthStore,
    _: &impl Facts,
) {
    let (workspace, neighbour) = (WorkspaceId::generate(), WorkspaceId::generate());
    let ada = guest(store, workspace, "ada@example.com").await;
    let bob = guest(store, workspace, "bob@example.com").await;
    let eve = guest(store, neighbour, "eve@example.com").await;
    let before = parts(store, neighbour).await;
    let text = format!("{:?}", parts(store, workspace).await);
    assert!(text.contains(&ada.account.user.to_string()) && !text.contains(&eve.account.user.to_string()));

    let tombstone = tombstone(7, workspace, None, &[ada.account.user]);
    let applied = store.apply_tombstone(&tombstone, at(10)).await.expect("erased");
    for (table, expected) in [
        ("tokens", 2),
        ("sessions", 2),
        ("refresh_tokens", 2),
        ("factors", 2),
        ("accounts", 1),
    ] {
        assert_eq!(rows(&applied, table), expected, "{table}");
    }
    assert_eq!(
        store
            .apply_tombstone(&tombstone, at(11))
            .await
            .expect("erased again"),
        applied
    );
    assert_eq!(ada.left(store, workspace).await, [false; 4]);
    assert_eq!(
        bob.left(store, workspace).await,
        [true, false, false, false],
        "belongs elsewhere too"
    );
    assert_eq!(eve.left(store, neighbour).await, [true; 4]);
    assert_eq!(parts(store, neighbour).await, before);
    assert!(parts(store, workspace).await.iter().all(|part| part.rows == 0));
    assert_eq!(store.address_of(ada.account.user).await.expect("read"), None);

    let late = add_token(store, workspace, bob.account.user).await;
    assert!(matches!(late, Err(StoreError::Erased)), "{late:?}");
    let late = Session {
        id: SessionId::generate(),
        ..bob.session.clone()
    };
    let late = open(store, &late, token::mint("r_").hash).await;
    assert!(matches!(late, Err(StoreError::Erased)));
    let late = factor(workspace, bob.account.user);
    let late = store
        .enrol_factor(&late, fact_of("MfaService", "EnrollTotp"))
        .await;
    assert!(matches!(late, Err(StoreError::Erased)));
    assert!(add_token(store, neighbour, bob.account.user).await.is_ok());
}

pub(crate) async fn a_number_that_erased_somebody_else_erases_nobody(store: &dyn AuthStore, _: &impl Facts) {
    let (erased, other) = (WorkspaceId::generate(), WorkspaceId::generate());
    let ada = guest(store, other, "ada@example.com").await;
    let first = tombstone(7, erased, None, &[]);
    store.apply_tombstone(&first, at(10)).await.expect("erased");
    // As a ledger that was restored from an old backup would number it.
    let numbered_anew = tombstone(7, other, None, &[ada.account.user]);
    let answer = store.apply_tombstone(&numbered_anew, at(11)).await;
    assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
    assert_eq!(ada.left(store, other).await, [true; 4]);
}

pub(crate) async fn an_erased_person_leaves_the_others(store: &dyn AuthStore, _: &impl Facts) {
    let workspace = WorkspaceId::generate();
    let ada = guest(store, workspace, "ada@example.com").await;
    let bob = guest(store, workspace, "bob@example.com").await;
    assert_eq!(
        store.address_of(ada.account.user).await.expect("read").as_deref(),
        Some("ada@example.com")
    );
    let stays = tombstone(8, workspace, Some(ada.account.user), &[]);
    let applied = store.apply_tombstone(&stays, at(10)).await.expect("erased");
    assert_eq!(
        (
            rows(&applied, "tokens"),
            rows(&applied, "sessions"),
            rows(&applied, "accounts")
        ),
        (1, 1, 0)
    );
    assert_eq!(ada.left(store, workspace).await, [true, false, false, false]);
    assert_eq!(bob.left(store, workspace).await, [true; 4]);
    let leaves = tombstone(9, workspace, Some(bob.account.user), &[bob.account.user]);
    store.apply_tombstone(&leaves, at(11)).await.expect("erased");
    assert_eq!(bob.left(store, workspace).await, [false; 4]);
    assert_eq!(store.find_factor(bob.account.user).await.expect("read"), None);
    assert!(
        add_token(store, workspace, ada.account.user).await.is_ok(),
        "the workspace goes on"
    );
}

pub(crate) async fn a_seed_is_sealed_anew_if_it_is_still_the_same(store: &dyn AuthStore, _: &impl Facts) {
    let workspace = WorkspaceId::generate();
    let ada = guest(store, workspace, "ada@example.com").await.account.user;
    guest(store, workspace, "bob@example.com").await;
    assert_eq!(store.count_seeds_below(workspace, 2).await.expect("read"), (2, 2));
    let first = store.seeds_below(workspace, 2, None, 1).await.expect("read");
    let second = store
        .seeds_below(workspace, 2, Some(first[0].0), 10)
        .await
        .expect("read");
    assert_eq!((first.len(), second.len()), (1, 1));
    let (old, new) = (seed(1, 7), seed(2, 8));
    assert!(
        store
            .reseal_seed(workspace, ada, &old, &new)
            .await
            .expect("answered")
    );
    assert!(
        !store
            .reseal_seed(workspace, ada, &old, &seed(2, 9))
            .await
            .expect("answered"),
        "somebody was faster"
    );
    assert_eq!(store.count_seeds_below(workspace, 2).await.expect("read"), (2, 1));
    assert!(
        !format!("{:?}", parts(store, workspace).await).contains("43574556"),
        "no seed in an export"
    );
}

pub(crate) async fn sign_ins_into_one_workspace_are_forgotten_alone(store: &dyn AuthStore, _: &impl Facts) {
    let [short, other] = [(); 2].map(|()| WorkspaceId::generate());
    let ada = guest(store, short, "ada@example.com").await.account.user;
    let bob = guest(store, other, "bob@example.com").await.account.user;
    let (first, second) = (short.min(other), short.max(other));
    let found = store.workspaces_with_history(None, 10).await.expect("read");
    assert_eq!(found, [first, second]);
    assert_eq!(
        store.workspaces_with_history(None, 1).await.expect("read"),
        [first]
    );
    assert_eq!(
        store
            .workspaces_with_history(Some(first), 10)
            .await
            .expect("read"),
        [second]
    );
    let all = Slice {
        size: 10,
        before: None,
    };
    let opened = store.list_sign_ins(ada, all).await.expect("read")[0].at;
    store.forget_sign_ins(short, opened).await.expect("none is older");
    assert_eq!(store.list_sign_ins(ada, all).await.expect("read").len(), 1);
    store
        .forget_sign_ins(short, opened + chrono::TimeDelta::seconds(1))
        .await
        .expect("forgotten");
    assert!(store.list_sign_ins(ada, all).await.expect("read").is_empty());
    assert_eq!(store.list_sign_ins(bob, all).await.expect("read").len(), 1);
}
