use causeway_context::{TokenId, UserId, WorkspaceId};
use causeway_crypto::{Peppers, Scheme, StoredSecret, token};
use chrono::TimeDelta;

use super::{Facts, at, fact};
use crate::domain::{Hash, PersonalToken, Revocation, TokenKind, TokenName, Whose};
use crate::page::Page;
use crate::store::{AuthStore, StoreError};

fn personal(workspace: WorkspaceId, user: UserId) -> (PersonalToken, Hash) {
    let minted = token::mint("t_");
    let token = PersonalToken {
        kind: TokenKind::Personal,
        id: TokenId::generate(),
        workspace,
        user,
        name: TokenName::parse("ci").expect("a name"),
        scopes: vec!["secrets.read".to_owned()],
        created_at: at(0),
        expires_at: at(1000),
        last_used_at: None,
        revoked_at: None,
        last_four: minted.last_four,
    };
    (token, minted.hash)
}

fn plain(hash: Hash) -> StoredSecret {
    StoredSecret {
        scheme: Scheme::Sha256,
        hash,
    }
}

async fn found(store: &dyn AuthStore, hash: &Hash) -> Option<PersonalToken> {
    let found = store.find_token(&[[7; 32], *hash]).await.expect("answered");
    found.map(|(token, stored)| {
        assert_eq!(stored, plain(*hash));
        token
    })
}

async fn added(store: &dyn AuthStore, workspace: WorkspaceId, user: UserId) -> (PersonalToken, Hash) {
    let (token, hash) = personal(workspace, user);
    store
        .insert_token(&token, &plain(hash), fact("CreateToken"))
        .await
        .expect("added");
    (token, hash)
}

const ALL: Page = Page {
    size: 1000,
    after: None,
};

pub(crate) async fn a_token_is_found_by_its_hash(store: &dyn AuthStore, facts: &impl Facts) {
    let (token, hash) = added(store, WorkspaceId::generate(), UserId::generate()).await;
    assert_eq!(found(store, &hash).await, Some(token));
    assert_eq!(found(store, &[0; 32]).await, None);
    assert_eq!(store.find_token(&[]).await.expect("answered"), None);
    assert_eq!(facts.actions().await, ["token.created"]);
}

pub(crate) async fn a_token_is_not_added_twice(store: &dyn AuthStore, facts: &impl Facts) {
    let (token, hash) = added(store, WorkspaceId::generate(), UserId::generate()).await;
    let again = store
        .insert_token(&token, &plain([1; 32]), fact("CreateToken"))
        .await;
    assert!(matches!(again, Err(StoreError::Conflict(_))));
    let (other, _) = personal(WorkspaceId::generate(), UserId::generate());
    let same_hash = store
        .insert_token(&other, &plain(hash), fact("CreateToken"))
        .await;
    assert!(matches!(same_hash, Err(StoreError::Conflict(_))));
    assert_eq!(
        facts.actions().await,
        ["token.created"],
        "what was not done leaves no fact"
    );
}

pub(crate) async fn tokens_are_listed_newest_first_and_by_page(store: &dyn AuthStore, _: &impl Facts) {
    let (workspace, user) = (WorkspaceId::generate(), UserId::generate());
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.insert(0, added(store, workspace, user).await.0);
    }
    assert_eq!(
        store
            .list_tokens(workspace, Whose::Person(user), ALL)
            .await
            .expect("answered"),
        expected
    );
    let mut listed: Vec<PersonalToken> = Vec::new();
    loop {
        let page = Page {
            size: 2,
            after: listed.last().map(|last| last.id),
        };
        let part = store
            .list_tokens(workspace, Whose::Person(user), page)
            .await
            .expect("answered");
        if part.is_empty() {
            break;
        }
        listed.extend(part);
    }
    assert_eq!(listed, expected);
}

pub(crate) async fn nobody_else_lists_or_revokes_a_token(store: &dyn AuthStore, facts: &impl Facts) {
    let (workspace, user) = (WorkspaceId::generate(), UserId::generate());
    let (token, hash) = added(store, workspace, user).await;
    for (workspace, user) in [(workspace, UserId::generate()), (WorkspaceId::generate(), user)] {
        assert_eq!(
            store
                .list_tokens(workspace, Whose::Person(user), ALL)
                .await
                .expect("answered"),
            []
        );
        let revoked = store
            .revoke_token(
                workspace,
                Whose::Person(user),
                token.id,
                at(1),
                fact("DeleteToken"),
            )
            .await;
        assert_eq!(revoked.expect("answered"), Revocation::Missing);
    }
    assert_eq!(found(store, &hash).await, Some(token));
    assert_eq!(facts.actions().await, ["token.created"]);
}

pub(crate) async fn a_token_is_revoked_once(store: &dyn AuthStore, facts: &impl Facts) {
    let (workspace, user) = (WorkspaceId::generate(), UserId::generate());
    let (token, hash) = added(store, workspace, user).await;
    for (time, expected) in [(1, Revocation::Done), (2, Revocation::Before)] {
        let revoked = store
            .revoke_token(
                workspace,
                Whose::Person(user),
                token.id,
                at(time),
                fact("DeleteToken"),
            )
            .await;
        assert_eq!(revoked.expect("answered"), expected);
    }
    let found = found(store, &hash).await.expect("kept");
    assert_eq!(found.revoked_at, Some(at(1)));
    assert_eq!(
        store
            .list_tokens(workspace, Whose::Person(user), ALL)
            .await
            .expect("answered"),
        []
    );
    assert_eq!(facts.actions().await, ["token.created", "token.revoked"]);
}

pub(crate) async fn the_last_use_never_goes_back(store: &dyn AuthStore, _: &impl Facts) {
    let (workspace, user) = (WorkspaceId::generate(), UserId::generate());
    let (token, hash) = added(store, workspace, user).await;
    for (time, expected) in [(10, 10), (5, 10), (20, 20)] {
        store
            .touch_token(workspace, token.id, at(time))
            .await
            .expect("answered");
        let found = found(store, &hash).await.expect("kept");
        assert_eq!(found.last_used_at, Some(at(expected)));
    }
    store
        .touch_token(WorkspaceId::generate(), token.id, at(30))
        .await
        .expect("answered");
    let found = found(store, &hash).await.expect("kept");
    assert_eq!(
        found.last_used_at,
        Some(at(20)),
        "another workspace's call touches nothing"
    );
}

pub(crate) async fn twins_in_two_workspaces_see_nothing_of_each_other(store: &dyn AuthStore, _: &impl Facts) {
    let (a, b, user) = (
        WorkspaceId::generate(),
        WorkspaceId::generate(),
        UserId::generate(),
    );
    let (in_a, hash_a) = added(store, a, user).await;
    let before = store
        .list_tokens(a, Whose::Person(user), ALL)
        .await
        .expect("answered");
    let twin = PersonalToken {
        workspace: b,
        ..in_a.clone()
    };
    let hash_b: Hash = token::mint("t_").hash;
    store
        .insert_token(&twin, &plain(hash_b), fact("CreateToken"))
        .await
        .expect("the same id in another workspace");
    assert_eq!(
        store
            .list_tokens(a, Whose::Person(user), ALL)
            .await
            .expect("answered"),
        before
    );
    store
        .revoke_token(b, Whose::Person(user), twin.id, at(1), fact("DeleteToken"))
        .await
        .expect("answered");
    store
        .touch_token(b, twin.id, at(TimeDelta::minutes(1).num_seconds()))
        .await
        .expect("answered");
    assert_eq!(found(store, &hash_a).await, Some(in_a));
    assert_eq!(
        store
            .list_tokens(b, Whose::Person(user), ALL)
            .await
            .expect("answered"),
        []
    );
}

pub(crate) async fn keys_of_a_workspace_and_tokens_of_persons_do_not_mix(
    store: &dyn AuthStore,
    _: &impl Facts,
) {
    let (workspace, user) = (WorkspaceId::generate(), UserId::generate());
    let (personal_token, _) = added(store, workspace, user).await;
    let (token, hash) = personal(workspace, user);
    let key = PersonalToken {
        kind: TokenKind::Key,
        ..token
    };
    store
        .insert_token(&key, &plain(hash), fact("CreateToken"))
        .await
        .expect("added");
    for (whose, expected, other) in [
        (Whose::Person(user), &personal_token, &key),
        (Whose::Workspace, &key, &personal_token),
    ] {
        let listed = store.list_tokens(workspace, whose, ALL).await.expect("answered");
        assert_eq!(listed, std::slice::from_ref(expected));
        let revoked = store.revoke_token(workspace, whose, other.id, at(1), fact("DeleteToken"));
        assert_eq!(revoked.await.expect("answered"), Revocation::Missing);
    }
    for (workspace, expected) in [(workspace, Some(key.clone())), (WorkspaceId::generate(), None)] {
        let found = store.token_by_id(workspace, key.id).await.expect("answered");
        assert_eq!(found, expected);
    }
}

pub(crate) async fn a_secret_moves_to_another_form(store: &dyn AuthStore, _: &impl Facts) {
    let peppers = Peppers::new(Some(&"pepper".into()), None);
    let (token, hash) = added(store, WorkspaceId::generate(), UserId::generate()).await;
    let renewed = peppers.forms("t").newest().clone();
    for _ in 0..2 {
        store.rehash_token(&hash, &renewed).await.expect("answered");
    }
    assert_eq!(found(store, &hash).await, None);
    let moved = store.find_token(&[hash, renewed.hash]).await.expect("answered");
    assert_eq!(moved, Some((token, renewed)));
}
