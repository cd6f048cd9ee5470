use std::collections::BTreeMap;
use std::io::Read as _;

use aws_lc_rs::digest::{SHA256, digest};
use causeway_context::Caller;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use serde_json::Value;

use super::*;
use crate::domain::{SecretKind, hex, recipient};
use crate::service::erasure::tests::{Elsewhere, holders};
use crate::service::tests::{World, context, name, reason, value, world};
use crate::store::TenancyStore;

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn job(world: &World) -> ExportJob {
    let store = Arc::clone(&world.store) as Arc<dyn TenancyStore>;
    ExportJob {
        holders: holders(&store, &Arc::new(Elsewhere::default())),
        store,
        clock: now,
    }
}

async fn export(world: &World, by: &Caller, recipient: Option<String>) -> Export {
    let ctx = context("CreateExport", by.clone());
    let ordered = world
        .tenancy
        .create_export(&ctx, recipient)
        .await
        .expect("ordered");
    assert_eq!(ordered.state, ExportState::Running);
    assert!(job(world).round().await.expect("made"));
    let ctx = context("GetExport", by.clone());
    world.tenancy.export(&ctx, ordered.id).await.expect("found")
}

async fn bytes(world: &World, by: &Caller, id: Uuid, offset: u64) -> Vec<u8> {
    let ctx = context("DownloadExport", by.clone());
    let (_, pieces) = world
        .tenancy
        .download_export(&ctx, id, offset)
        .await
        .expect("begun");
    let pieces: Vec<_> = pieces.collect().await;
    pieces
        .into_iter()
        .flat_map(|piece| piece.expect("whole").to_vec())
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// EXP-01, B-TEN-25.
#[tokio::test]
async fn an_export_has_every_table_with_its_hash_and_no_secret() {
    let world = world();
    let (owner, other) = (world.owner().await, world.owner().await);
    for (by, text) in [(&owner, "canary-of-mine"), (&other, "canary-of-others")] {
        let ctx = context("PutSecret", by.clone());
        let kind = SecretKind::Connector;
        world
            .tenancy
            .put_secret(&ctx, &name(text), kind, &value("sk-hidden"))
            .await
            .expect("stored");
    }
    let made = export(&world, &owner, None).await;
    assert_eq!(made.state, ExportState::Ready);
    let bytes = bytes(&world, &owner, made.id, 0).await;
    assert_eq!(
        (bytes.len() as u64, sha256(&bytes)),
        (made.content.size_bytes, made.content.sha256.clone())
    );
    let text = String::from_utf8(bytes).expect("text");
    assert!(
        text.contains("canary-of-mine") && !text.contains("canary-of-others") && !text.contains("sk-hidden")
    );
    let lines: Vec<&str> = text.lines().collect();
    let header: Value = serde_json::from_str(lines[0]).expect("JSON");
    assert_eq!(header["workspace_id"], owner.workspace.expect("one").to_string());
    let mut tables: BTreeMap<String, (u64, Vec<u8>)> = BTreeMap::new();
    for line in &lines[1..lines.len() - 1] {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let table = tables
            .entry(row["table"].as_str().expect("a name").to_owned())
            .or_default();
        table.0 += 1;
        table.1.extend_from_slice(format!("{line}\n").as_bytes());
    }
    let manifest: Value = serde_json::from_str(lines[lines.len() - 1]).expect("JSON");
    let listed = manifest["manifest"]["tables"].as_array().expect("tables").clone();
    assert_eq!(listed.len(), made.content.tables.len());
    for table in &made.content.tables {
        let (rows, lines) = tables.get(&table.table).cloned().unwrap_or_default();
        assert_eq!(
            (table.rows, &table.sha256),
            (rows, &sha256(&lines)),
            "{}",
            table.table
        );
    }
    assert_eq!(tables["tenancy.members"].0, 1);
}

/// EXP-01.
#[tokio::test]
async fn an_encrypted_export_opens_for_its_recipient_alone() {
    let world = world();
    let owner = world.owner().await;
    let identity = age::x25519::Identity::generate();
    let to = recipient(&identity.to_public().to_string()).expect("a recipient");
    let made = export(&world, &owner, to).await;
    let sealed = bytes(&world, &owner, made.id, 0).await;
    assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
    let open = |identity: &age::x25519::Identity| -> Option<String> {
        let decryptor = age::Decryptor::new(&sealed[..]).expect("an age file");
        let mut text = String::new();
        let mut reader = decryptor
            .decrypt(std::iter::once(identity as &dyn age::Identity))
            .ok()?;
        reader.read_to_string(&mut text).ok()?;
        Some(text)
    };
    let text = open(&identity).expect("opens");
    assert!(text.starts_with("{") && text.contains("\"manifest\""));
    assert_eq!(open(&age::x25519::Identity::generate()), None);
}

/// EXP-01.
#[tokio::test]
async fn a_download_goes_on_where_it_broke() {
    let world = world();
    let owner = world.owner().await;
    for number in 0..1200 {
        let ctx = context("PutSecret", owner.clone());
        let long = name(&format!("{number}-{}", "n".repeat(100)));
        world
            .tenancy
            .put_secret(&ctx, &long, SecretKind::Custom, &value("v"))
            .await
            .expect("stored");
    }
    let made = export(&world, &owner, None).await;
    let whole = bytes(&world, &owner, made.id, 0).await;
    assert!(whole.len() > CHUNK_BYTES, "{}", whole.len());
    for offset in [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, whole.len() - 1] {
        assert_eq!(
            bytes(&world, &owner, made.id, offset as u64).await,
            whole[offset..],
            "{offset}"
        );
    }
    let ctx = context("DownloadExport", owner.clone());
    let past = world
        .tenancy
        .download_export(&ctx, made.id, whole.len() as u64)
        .await;
    assert_eq!(reason(past.map(|_| ())).1, "RANGE_NOT_SATISFIABLE");
}

#[tokio::test]
async fn an_export_that_is_not_ready_and_one_of_others_are_not_fetched() {
    let world = world();
    let (owner, stranger) = (world.owner().await, world.owner().await);
    let ordered = world
        .tenancy
        .create_export(&context("CreateExport", owner.clone()), None)
        .await
        .expect("ordered");
    let ctx = context("DownloadExport", owner.clone());
    let early = world.tenancy.download_export(&ctx, ordered.id, 0).await;
    assert_eq!(reason(early.map(|_| ())).1, "EXPORT_NOT_READY");
    let foreign = world
        .tenancy
        .download_export(&context("DownloadExport", stranger), ordered.id, 0)
        .await;
    assert_eq!(reason(foreign.map(|_| ())).1, "EXPORT_NOT_FOUND");
}
