use causeway_context::{Caller, UserId};
use causeway_contracts::CallerKind;
use causeway_crypto::{LocalKeys, LocalRing, WrappedKey};
use causeway_errors::Code;
use causeway_outbox::{OutboxStore as _, RelayHandle};
use secrecy::SecretString;
use uuid::Uuid;

use super::*;
use crate::domain::{KeyState, StoredKey, WorkspaceName};
use crate::service::tests::{World, context, name, person, reason, world, world_with};
use crate::store::{KeyStore as _, SecretStore as _};

fn item(content: &[u8], context: &[u8]) -> Item {
    Item {
        content: Zeroizing::new(content.to_vec()),
        context: context.to_vec(),
    }
}

impl World {
    async fn seal(&self, by: &Caller, content: &[u8], context_bytes: &[u8]) -> Vec<u8> {
        let ctx = context("Encrypt", by.clone());
        let sealed = self.tenancy.encrypt(&ctx, &[item(content, context_bytes)]).await;
        sealed.expect("sealed").remove(0).content
    }

    async fn open(&self, by: &Caller, content: &[u8], context_bytes: &[u8]) -> Result<Vec<u8>, TenancyError> {
        let ctx = context("Decrypt", by.clone());
        let mut opened = self
            .tenancy
            .decrypt(&ctx, &[item(content, context_bytes)])
            .await?;
        Ok(opened.remove(0).content.to_vec())
    }
}

#[tokio::test]
async fn what_was_sealed_opens_with_the_same_context_only() {
    let world = world();
    let owner = world.owner().await;
    for sealed_with in [&b""[..], b"a", b"order 7", b"\xff\x00"] {
        let sealed = world.seal(&owner, b"4111 1111", sealed_with).await;
        assert!(!sealed.windows(4).any(|part| part == b"4111"));
        for opened_with in [&b""[..], b"a", b"order 7", b"order 7 ", b"\xff\x00", b"YQ=="] {
            let answer = world.open(&owner, &sealed, opened_with).await;
            if opened_with == sealed_with {
                assert_eq!(answer.expect("opened"), b"4111 1111");
            } else {
                assert_eq!(
                    reason(answer),
                    (Code::InvalidArgument, "DECRYPTION_FAILED".to_owned())
                );
            }
        }
    }
}

#[tokio::test]
async fn every_reason_not_to_open_has_one_answer() {
    let world = world();
    let (owner, stranger) = (world.owner().await, world.owner().await);
    let sealed = world.seal(&owner, b"content", b"c").await;
    world.seal(&stranger, b"content", b"c").await;
    let mut wrong = vec![
        vec![0],
        sealed[..sealed.len() - 1].to_vec(),
        b"not an envelope".repeat(10),
    ];
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        wrong.push(changed);
    }
    // A version that no store can hold.
    let mut impossible = sealed.clone();
    impossible[6..10].fill(0xff);
    wrong.push(impossible);
    for bytes in wrong {
        let error = world.open(&owner, &bytes, b"c").await.expect_err("refused");
        let error = error.to_api();
        assert_eq!(
            (error.code, error.reason.as_ref(), error.message.as_ref()),
            (
                Code::InvalidArgument,
                "DECRYPTION_FAILED",
                "ciphertext 0 does not open with this context in this workspace"
            )
        );
    }
    let foreign = world.open(&stranger, &sealed, b"c").await;
    assert_eq!(reason(foreign).1, "DECRYPTION_FAILED");
    assert_eq!(
        world.open(&owner, &sealed, b"c").await.expect("opened"),
        b"content"
    );
}

#[tokio::test]
async fn a_stored_secret_does_not_open_here() {
    let world = world();
    let owner = world.owner().await;
    world.put(&owner, "openai", "sk-1").await.expect("stored");
    let workspace = owner.workspace.expect("has one");
    let stored = world.store.find_secret(workspace, &name("openai")).await;
    let stored = stored.expect("read").expect("there");
    let row = format!("{}:{}", stored.id, stored.name);
    for guess in [row.as_bytes(), b"openai", b""] {
        let answer = world.open(&owner, &stored.sealed, guess).await;
        assert_eq!(reason(answer).1, "DECRYPTION_FAILED");
    }
}

#[tokio::test]
async fn a_batch_opens_as_a_whole_or_names_what_does_not() {
    let world = world();
    let owner = world.owner().await;
    let ctx = context("BatchEncrypt", owner.clone());
    let items = [item(b"a", b"1"), item(b"b", b"2"), item(b"a", b"1")];
    let sealed = world.tenancy.encrypt(&ctx, &items).await.expect("sealed");
    assert_ne!(sealed[0], sealed[2]);
    let mut back: Vec<Item> = sealed
        .iter()
        .zip(&items)
        .map(|(sealed, item)| self::item(&sealed.content, &item.context))
        .collect();
    let ctx = context("BatchDecrypt", owner);
    let opened = world.tenancy.decrypt(&ctx, &back).await.expect("opened");
    let contents: Vec<&[u8]> = opened.iter().map(|item| item.content.as_slice()).collect();
    assert_eq!(contents, [b"a", b"b", b"a"]);
    back.swap(1, 2);
    back[1].context = b"2".to_vec();
    let error = world.tenancy.decrypt(&ctx, &back).await.err().expect("refused");
    let message = error.to_api().message.into_owned();
    assert!(message.starts_with("ciphertext 1 "), "{message}");
}

#[tokio::test]
async fn what_was_sealed_before_a_rotation_opens_and_can_follow_it_unseen() {
    let world = world();
    let owner = world.owner().await;
    let sealed = world.seal(&owner, b"content", b"c").await;
    let ctx = context("RotateKey", owner.clone());
    let rotation = world.tenancy.rotate_key(&ctx, Ring::Transit, false).await;
    let rotation = rotation.expect("rotated");
    assert_eq!((rotation.from_version, rotation.to_version), (1, 2));
    assert!(rotation.finished_at.is_some());
    let ctx = context("RewrapItems", owner.clone());
    let anew = world.tenancy.rewrap(&ctx, &[item(&sealed, b"c")]).await;
    let anew = anew.expect("sealed anew").remove(0);
    assert_eq!((key_version_of(&anew.content), anew.key_version), (Ok(2), 2));
    for ciphertext in [&sealed, &anew.content] {
        let opened = world.open(&owner, ciphertext, b"c").await;
        assert_eq!(opened.expect("opened"), b"content");
    }
    let wrong = world.tenancy.rewrap(&ctx, &[item(&sealed, b"d")]).await;
    assert_eq!(reason(wrong).1, "DECRYPTION_FAILED");
}

#[tokio::test]
async fn each_call_is_a_fact_without_content_or_context() {
    let world = world();
    let owner = world.owner().await;
    let sealed = world.seal(&owner, b"very-secret", b"order-of-ada").await;
    world
        .open(&owner, &sealed, b"order-of-ada")
        .await
        .expect("opened");
    let facts = world.store.outbox().unsent(10).await.expect("read");
    let actions: Vec<&str> = facts.iter().map(|fact| fact.action.as_str()).collect();
    assert_eq!(
        actions,
        ["workspace.created", "crypto.encrypted", "crypto.decrypted"]
    );
    assert_eq!(facts[2].details["key_versions"], serde_json::json!([1]));
    let text = serde_json::to_string(&facts).expect("JSON");
    assert!(!text.contains("very-secret") && !text.contains("order-of-ada"));
}

/// KEY-05: what is sealed is known from where it stands, and nobody tries whether it opens.
#[tokio::test]
async fn what_is_sealed_already_is_sealed_again_and_opens_layer_by_layer() {
    let world = world();
    let owner = world.owner().await;
    let once = world.seal(&owner, b"content", b"c").await;
    let twice = world.seal(&owner, &once, b"c").await;
    assert_eq!(twice.len(), once.len() + causeway_crypto::OVERHEAD_BYTES);
    assert_eq!(world.open(&owner, &twice, b"c").await.expect("opened"), once);
    assert_eq!(world.open(&owner, &once, b"c").await.expect("opened"), b"content");
}

/// KEY-05, B-TEN-8.
#[tokio::test]
async fn without_a_master_key_nothing_is_sealed() {
    let ring = LocalRing::new(&LocalKeys::default(), false).expect("a ring");
    let world = world_with(ring, RelayHandle::detached());
    let owner = world.owner().await;
    let ctx = context("Encrypt", owner);
    let refused = world.tenancy.encrypt(&ctx, &[item(b"a", b"")]).await;
    assert_eq!(reason(refused), (Code::Unavailable, "KEY_UNAVAILABLE".to_owned()));
}

/// What lies outside cannot be sealed again: ciphertexts of every release must open.
#[tokio::test]
async fn a_ciphertext_of_the_first_release_opens() {
    const WRAPPED: &str = "Q1dFVgEBAAAAASz43JrOwstX9GVGADf7m6U1rw64Ovw+3msvNoYR2KocqeOOr9efWXTUbiJ7QtPZhAjQJrem9ZoI\
                           QVz8gn7NOBaIyFfB9RznQzOK8KSMoe3KNwHIrqLXCGAZyuDJ3vuPxRA5tUXz+Ito";
    const SEALED: &str = "Q1dFVgEBAAAAAR1BWns7De3UT7j4dE5FoPq5DQLPcPgbSA6OApkHcZiXWHK7QnxbCmP11uhw9lLeiC4xIHcyhooD\
                          7LjhVoxyHrx+z0P3YFRS0PMzhUqr0a8=";
    let keys = LocalKeys {
        master: Some(SecretString::from(STANDARD.encode([7; 32]))),
        ..LocalKeys::default()
    };
    let ring = LocalRing::new(&keys, false).expect("a ring");
    let world = world_with(ring, RelayHandle::detached());
    let (workspace, user) = (WorkspaceId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    let ctx = context("ProvisionWorkspace", Caller::service("auth"));
    let acme = WorkspaceName::parse("Acme").expect("a name");
    world
        .tenancy
        .provision_workspace(&ctx, workspace, acme, user)
        .await
        .expect("made");
    let key = StoredKey {
        workspace,
        ring: Ring::Transit,
        version: 1,
        state: KeyState::Active,
        wrapped: Some(WrappedKey {
            key_id: "master-873ba3665b715233".to_owned(),
            bytes: STANDARD.decode(WRAPPED).expect("base64"),
        }),
        created_at: ctx.now,
        destroyed_at: None,
    };
    world.store.insert_key(&key).await.expect("inserted");
    let owner = person(CallerKind::User, user, workspace);
    let sealed = STANDARD.decode(SEALED).expect("base64");
    let opened = world.open(&owner, &sealed, b"context").await.expect("opened");
    assert_eq!(opened, b"content");
}
