//! Secrets.

use std::sync::Arc;

use causeway_context::WorkspaceId;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Fixture, envelope, fact, name, secret, time};
use crate::domain::{Secret, SecretKind};
use crate::page::Page;
use crate::store::StoreError;

pub(crate) async fn a_secret_is_found_by_its_name(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let stored = fixture.stored(workspace.id, "openai").await;
    let found = |text| async move {
        fixture
            .store
            .find_secret(workspace.id, &name(text))
            .await
            .expect("read")
    };
    assert_eq!(found("openai").await, Some(stored));
    assert_eq!(found("OpenAI").await, None);
    let again = secret(workspace.id, "openai");
    let refused = fixture
        .store
        .insert_secret(&again, fact(workspace.id, "never"))
        .await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
}

pub(crate) async fn a_secret_needs_its_workspace(fixture: &Fixture) {
    let bad = secret(WorkspaceId::generate(), "a");
    let refused = fixture
        .store
        .insert_secret(&bad, fact(bad.workspace, "never"))
        .await;
    assert!(matches!(refused, Err(StoreError::NoParent)), "{refused:?}");
    assert_eq!(fixture.actions().await, [""; 0]);
}

pub(crate) async fn only_the_next_version_replaces_a_secret(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let first = fixture.stored(workspace.id, "a").await;
    let second = Secret {
        version: 2,
        kind: SecretKind::Webhook,
        sealed: envelope(9),
        updated_at: time(1),
        ..first.clone()
    };
    for bad in [
        first.clone(),
        Secret {
            version: 3,
            ..second.clone()
        },
        Secret {
            id: Uuid::now_v7(),
            ..second.clone()
        },
        Secret {
            name: name("b"),
            ..second.clone()
        },
    ] {
        let refused = fixture
            .store
            .replace_secret(&bad, fact(workspace.id, "never"))
            .await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    fixture
        .store
        .replace_secret(&second, fact(workspace.id, "secret.written"))
        .await
        .expect("replaced");
    assert_eq!(
        fixture
            .store
            .find_secret(workspace.id, &first.name)
            .await
            .expect("read"),
        Some(second)
    );
    assert_eq!(
        fixture.actions().await,
        ["workspace.created", "secret.written", "secret.written"]
    );
}

pub(crate) async fn of_concurrent_replacements_one_is_kept(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let first = fixture.stored(workspace.id, "a").await;
    let mut tasks = JoinSet::new();
    for writer in 0..8 {
        let (store, fact) = (Arc::clone(&fixture.store), fact(workspace.id, "secret.written"));
        let next = Secret {
            version: 2,
            sealed: envelope(writer),
            ..first.clone()
        };
        tasks.spawn(async move { (store.replace_secret(&next, fact).await, next) });
    }
    let (kept, refused): (Vec<_>, Vec<_>) = tasks
        .join_all()
        .await
        .into_iter()
        .partition(|(answer, _)| answer.is_ok());
    assert_eq!(kept.len(), 1);
    assert!(
        refused
            .iter()
            .all(|(answer, _)| matches!(answer, Err(StoreError::Conflict))),
        "{refused:?}"
    );
    assert_eq!(
        fixture
            .store
            .find_secret(workspace.id, &first.name)
            .await
            .expect("read"),
        Some(kept[0].1.clone())
    );
    assert_eq!(fixture.actions().await.len(), 3);
}

pub(crate) async fn a_deleted_secret_is_gone(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let stored = fixture.stored(workspace.id, "a").await;
    for found in [true, false] {
        let answer = fixture
            .store
            .delete_secret(workspace.id, &stored.name, fact(workspace.id, "secret.deleted"))
            .await;
        assert_eq!(answer.expect("deleted"), found);
    }
    assert_eq!(
        fixture
            .store
            .find_secret(workspace.id, &stored.name)
            .await
            .expect("read"),
        None
    );
    assert_eq!(
        fixture.actions().await,
        ["workspace.created", "secret.written", "secret.deleted"]
    );
}

pub(crate) async fn secrets_come_by_name_and_in_pages(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    for text in ["b", "a", "B", "a.b", "a-b", "_", "1"] {
        fixture.stored(workspace.id, text).await;
    }
    let mut found: Vec<Secret> = Vec::new();
    for _ in 0..3 {
        let page = Page {
            size: 3,
            after: found.last().map(|secret| secret.name.clone()),
        };
        found.extend(
            fixture
                .store
                .list_secrets(workspace.id, &page)
                .await
                .expect("read"),
        );
    }
    let names: Vec<&str> = found.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["1", "B", "_", "a", "a-b", "a.b", "b"]);
}
