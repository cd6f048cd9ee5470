use causeway_context::{TokenId, UserId, WorkspaceId};
use causeway_crypto::{Peppers, Scheme, StoredSecret, token};
use causeway_outbox::OutboxEvent;
use causeway_revocation::Ended;
use chrono::TimeDelta;
use uuid::Uuid;

use super::data::tombstone;
use super::{Facts, at, fact_of};
use crate::domain::{Client, ClientId, ClientSecret, Grant, TokenName};
use crate::page::Page;
use crate::store::{AuthStore, Revoked, RevokedAccess, StoreError};

fn fact(rpc: &str) -> OutboxEvent {
    fact_of("ClientService", rpc)
}

fn secret(byte: u8) -> ClientSecret {
    ClientSecret {
        id: Uuid::now_v7(),
        stored: StoredSecret {
            scheme: Scheme::Sha256,
            hash: token::hash(&format!("{byte} {}", Uuid::now_v7())),
        },
        last_four: "four".to_owned(),
        created_at: at(0),
        expires_at: None,
    }
}

fn client(workspace: WorkspaceId) -> Client {
    Client {
        id: ClientId::generate(),
        workspace,
        name: TokenName::parse("batch").expect("a name"),
        scopes: vec!["secrets.read".to_owned()],
        grants: vec![Grant::ClientCredentials, Grant::TokenExchange],
        disabled: false,
        granted_by: UserId::generate(),
        created_at: at(0),
        deleted_at: None,
        revision: 0,
        secrets: vec![secret(1)],
    }
}

async fn added(store: &dyn AuthStore, workspace: WorkspaceId) -> Client {
    let client = client(workspace);
    store
        .insert_client(&client, fact("CreateClient"))
        .await
        .expect("added");
    client
}

async fn found(store: &dyn AuthStore, client: &Client) -> Client {
    let found = store.find_client(client.workspace, client.id).await;
    found.expect("answered").expect("kept")
}

const ALL: Page = Page {
    size: 1000,
    after: None,
};

pub(crate) async fn a_client_is_found_with_its_secrets(store: &dyn AuthStore, facts: &impl Facts) {
    let client = added(store, WorkspaceId::generate()).await;
    assert_eq!(found(store, &client).await, client);
    let place = store.workspace_of_client(client.id).await.expect("answered");
    assert_eq!(place, Some(client.workspace));
    let nowhere = store.workspace_of_client(ClientId::generate()).await;
    assert_eq!(nowhere.expect("answered"), None);
    let again = store.insert_client(&client, fact("CreateClient")).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))));
    assert_eq!(facts.actions().await, ["client.created"]);
}

pub(crate) async fn clients_are_listed_newest_first_without_those_that_ended(
    store: &dyn AuthStore,
    _: &impl Facts,
) {
    let workspace = WorkspaceId::generate();
    let mut expected = Vec::new();
    for _ in 0..4 {
        expected.insert(0, added(store, workspace).await);
    }
    added(store, WorkspaceId::generate()).await;
    let mut ended = expected.remove(2);
    ended.deleted_at = Some(at(1));
    ended.secrets.clear();
    assert!(
        store
            .change_client(&ended, None, fact("DeleteClient"))
            .await
            .expect("answered")
    );
    assert_eq!(
        store.list_clients(workspace, ALL).await.expect("answered"),
        expected
    );
    let rest = Page {
        size: 1,
        after: Some(TokenId(expected[0].id.0)),
    };
    let listed = store.list_clients(workspace, rest).await.expect("answered");
    assert_eq!(listed, expected[1..2]);
    assert_eq!(found(store, &ended).await.secrets, []);
}

pub(crate) async fn of_two_changes_at_once_one_is_kept(store: &dyn AuthStore, facts: &impl Facts) {
    let client = added(store, WorkspaceId::generate()).await;
    let changed = Client {
        disabled: true,
        scopes: Vec::new(),
        secrets: vec![client.secrets[0].clone(), secret(2)],
        ..client.clone()
    };
    let answers = [changed.clone(), client.clone()];
    let answers = answers
        .iter()
        .map(|one| store.change_client(one, None, fact("RotateClient")));
    let answers = futures::future::join_all(answers).await;
    let kept = answers
        .iter()
        .filter(|answer| *answer.as_ref().expect("answered"))
        .count();
    assert_eq!(kept, 1);
    let now = found(store, &client).await;
    assert_eq!(now.revision, 1);
    let next = Client {
        revision: 1,
        ..changed
    };
    assert!(
        store
            .change_client(&next, None, fact("RotateClient"))
            .await
            .expect("answered")
    );
    let expected = Client { revision: 2, ..next };
    assert_eq!(found(store, &client).await, expected);
    assert_eq!(
        facts.actions().await,
        ["client.created", "client.secret_rotated", "client.secret_rotated"]
    );
}

pub(crate) async fn a_foreign_workspace_neither_sees_nor_changes_a_client(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let client = added(store, WorkspaceId::generate()).await;
    let foreign = Client {
        workspace: WorkspaceId::generate(),
        ..client.clone()
    };
    let seen = store.find_client(foreign.workspace, client.id).await;
    assert_eq!(seen.expect("answered"), None);
    let changed = store.change_client(&foreign, None, fact("UpdateClient")).await;
    assert!(!changed.expect("answered"));
    store
        .rehash_client_secret(foreign.workspace, client.secrets[0].id, &secret(9).stored)
        .await
        .expect("answered");
    assert_eq!(found(store, &client).await, client);
    assert_eq!(facts.actions().await, ["client.created"]);
}

pub(crate) async fn a_client_s_secret_moves_to_another_form(store: &dyn AuthStore, _: &impl Facts) {
    let client = added(store, WorkspaceId::generate()).await;
    let peppers = Peppers::new(Some(&"pepper".into()), None);
    let renewed = peppers.forms("t").newest().clone();
    store
        .rehash_client_secret(client.workspace, client.secrets[0].id, &renewed)
        .await
        .expect("answered");
    assert_eq!(found(store, &client).await.secrets[0].stored, renewed);
}

pub(crate) async fn a_client_that_ends_is_told_to_every_gateway_in_one_step(
    store: &dyn AuthStore,
    _: &impl Facts,
) {
    let client = added(store, WorkspaceId::generate()).await;
    let disabled = Client {
        disabled: true,
        ..client.clone()
    };
    let ended = Revoked::before(Ended::Client(client.id.0), at(5), TimeDelta::minutes(15));
    for expected in [true, false] {
        let changed = store
            .change_client(&disabled, Some(ended), fact("UpdateClient"))
            .await;
        assert_eq!(changed.expect("answered"), expected, "it was changed since");
    }
    let page = store.revocations().after("", at(5)).await.expect("answered");
    assert_eq!(page.revocations, [ended], "told once: the second change was none");
}

pub(crate) async fn a_client_is_found_by_each_secret_that_it_has(store: &dyn AuthStore, _: &impl Facts) {
    let client = added(store, WorkspaceId::generate()).await;
    let (first, second) = (client.secrets[0].clone(), secret(2));
    let of = async |secret: &ClientSecret| {
        let found = store.client_of_secret(&[[9; 32], secret.stored.hash]).await;
        found.expect("answered")
    };
    let place = Some((client.workspace, client.id));
    assert_eq!((of(&first).await, of(&second).await), (place, None));
    let rotating = Client {
        secrets: vec![first.clone(), second.clone()],
        ..client.clone()
    };
    let changed = store.change_client(&rotating, None, fact("RotateClient")).await;
    assert!(changed.expect("answered"));
    assert_eq!((of(&first).await, of(&second).await), (place, place));
    let renewed = ClientSecret {
        stored: secret(3).stored,
        ..second.clone()
    };
    store
        .rehash_client_secret(client.workspace, second.id, &renewed.stored)
        .await
        .expect("answered");
    assert_eq!(
        (of(&second).await, of(&renewed).await),
        (None, place),
        "it moves with the form"
    );
    let ended = Client {
        secrets: Vec::new(),
        revision: 1,
        ..client
    };
    let changed = store.change_client(&ended, None, fact("DeleteClient")).await;
    assert!(changed.expect("answered"));
    assert_eq!((of(&first).await, of(&renewed).await), (None, None));
}

pub(crate) async fn an_access_token_is_revoked_once_and_forgotten_after_its_end(
    store: &dyn AuthStore,
    facts: &impl Facts,
) {
    let token = RevokedAccess {
        workspace: WorkspaceId::generate(),
        jti: "one".to_owned(),
        credential: "cw_client_1".to_owned(),
        expires_at: at(100),
    };
    for expected in [true, false] {
        let revoked = store
            .revoke_access_token(&token, at(0), fact("DeleteClient"))
            .await;
        assert_eq!(revoked.expect("answered"), expected);
    }
    let known = async |workspace, credential: &str, now| {
        let known = store.revoked_access_tokens(workspace, credential, now).await;
        known.expect("answered")
    };
    assert_eq!(known(token.workspace, "cw_client_1", at(100)).await, ["one"]);
    assert!(known(token.workspace, "cw_client_1", at(101)).await.is_empty());
    assert!(known(token.workspace, "cw_client_2", at(1)).await.is_empty());
    assert!(
        known(WorkspaceId::generate(), "cw_client_1", at(1))
            .await
            .is_empty()
    );
    let later = RevokedAccess {
        jti: "two".to_owned(),
        expires_at: at(300),
        ..token.clone()
    };
    store
        .revoke_access_token(&later, at(200), fact("DeleteClient"))
        .await
        .expect("answered");
    assert_eq!(
        known(token.workspace, "cw_client_1", at(0)).await,
        ["two"],
        "the one that ended is swept"
    );
    assert_eq!(facts.actions().await, ["client.deleted", "client.deleted"]);
}

pub(crate) async fn an_erased_workspace_takes_no_client(store: &dyn AuthStore, _: &impl Facts) {
    let kept = added(store, WorkspaceId::generate()).await;
    let tombstone = tombstone(71, kept.workspace, None, &[]);
    store.apply_tombstone(&tombstone, at(1)).await.expect("erased");
    let place = store.client_of_secret(&[kept.secrets[0].stored.hash]).await;
    assert_eq!(place.expect("answered"), None);
    let late = store
        .insert_client(&client(kept.workspace), fact("CreateClient"))
        .await;
    assert!(matches!(late, Err(StoreError::Erased)), "{late:?}");
}
