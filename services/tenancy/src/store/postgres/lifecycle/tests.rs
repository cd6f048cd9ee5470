//! What only a database can get wrong: what others write meanwhile, and how much of a large table is in memory.

use std::sync::Arc;
use std::time::Duration;

use causeway_contracts::Role;
use causeway_database::{Database, DatabaseError, Schema, SystemTx};
use causeway_holder::check_registry;
use causeway_testkit::TestDb;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;

use super::*;
use crate::domain::{
    Content, EXPORT_LIFE, Erasure, ErasureState, Export, ExportState, Member, MemberChange, MemberStep,
    Workspace, WorkspaceName,
};
use crate::service::background_fact;
use crate::store::{ExportStore as _, LedgerStore as _, MemberStore as _, WorkLease, WorkspaceStore as _};
use crate::{KEYSTORE, LEDGER, SCHEMA};

static SCHEMAS: [&Schema; 3] = [&KEYSTORE, &LEDGER, &SCHEMA];

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("a time")
}

async fn tenant(store: &PgStore) -> Member {
    let workspace = Workspace {
        id: WorkspaceId::generate(),
        name: WorkspaceName::parse("Acme").expect("a name"),
        region: "r".to_owned(),
        created_at: time(0),
        updated_at: time(0),
    };
    let owner = Member {
        workspace: workspace.id,
        user: UserId::generate(),
        role: Role::Owner.into(),
        joined_at: time(0),
    };
    let fact = background_fact(workspace.id, "workspace.created", time(0));
    store
        .create_workspace(&workspace, &owner, fact)
        .await
        .expect("made");
    owner
}

fn erasure(workspace: WorkspaceId, subject: Option<UserId>) -> Erasure {
    Erasure {
        id: Uuid::now_v7(),
        workspace,
        subject,
        state: ErasureState::Scheduled,
        requested_by: UserId::generate(),
        requested_at: time(0),
        scheduled_for: time(0),
        receipt: None,
    }
}

async fn ordered(store: &PgStore, erasure: &Erasure) {
    let fact = background_fact(erasure.workspace, "erasure.requested", time(0));
    store.order_erasure(erasure, fact).await.expect("ordered");
}

async fn superuser(database: &TestDb) -> AsyncPgConnection {
    let url = database.admin_url();
    AsyncPgConnection::establish(url.expose_secret())
        .await
        .expect("connected")
}

async fn count(connection: &mut AsyncPgConnection, query: &str) -> i64 {
    let query = format!("SELECT count(*) AS rows FROM {query}");
    let count: Count = sql_query(query).get_result(connection).await.expect("counted");
    count.rows
}

/// Waits until a transaction waits for another one.
async fn somebody_waits(database: &TestDb) {
    let mut connection = superuser(database).await;
    let waiting = "pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let waits = async {
        while count(&mut connection, waiting).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waits)
        .await
        .expect("one waits");
}

/// ERA-05: the first bytes of an export that commit while the workspace is erased are on the list too.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_written_while_a_workspace_is_erased_are_thrown_away_too() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let store = PgStore::new(test.service().await);
    let owner = tenant(&store).await;
    let export = Export {
        id: Uuid::now_v7(),
        workspace: owner.workspace,
        requested_by: Some(owner.user),
        state: ExportState::Running,
        age_recipient: None,
        created_at: time(0),
        expires_at: time(0) + EXPORT_LIFE,
        content: Content::default(),
    };
    let fact = background_fact(owner.workspace, "export.requested", time(0));
    store.insert_export(&export, fact).await.expect("added");
    let lease = WorkLease {
        token: Uuid::now_v7(),
        until: time(60),
    };
    store.claim_export(time(0), lease).await.expect("claimed");
    let erasure = erasure(owner.workspace, None);
    ordered(&store, &erasure).await;
    let tombstone = store.bury(&erasure, time(1)).await.expect("buried");

    // As `append_chunk` does it, with time between its last statement and its commit.
    let (written, release) = (&Arc::new(Notify::new()), &Arc::new(Notify::new()));
    let writing = store.database.workspace(
        "write",
        owner.workspace,
        async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
            sql_query("UPDATE tenancy.export_jobs SET leased_until = now() WHERE export = $1")
                .bind::<SqlUuid, _>(export.id)
                .execute(tx)
                .await?;
            sql_query(
                "INSERT INTO tenancy.export_chunks (workspace_id, export, number, bytes) VALUES ($1, $2, 0, 'x')",
            )
            .bind::<SqlUuid, _>(owner.workspace.0)
            .bind::<SqlUuid, _>(export.id)
            .execute(tx)
            .await?;
            written.notify_one();
            release.notified().await;
            Ok(())
        },
    );
    let erasing = async {
        written.notified().await;
        let (applied, ()) = tokio::join!(store.apply_tombstone(&tombstone, time(2)), async {
            somebody_waits(&test).await;
            release.notify_one();
        });
        applied.expect("erased");
    };
    let (wrote, ()) = tokio::join!(writing, erasing);
    wrote.expect("written");
    assert_eq!(store.doomed_objects(owner.workspace).await.expect("read"), 1);
    store.purge_exports(time(3), 10).await.expect("purged");
    let left = count(&mut superuser(&test).await, "tenancy.export_chunks").await;
    assert_eq!(left, 0);
}

/// ERA-04: whichever of the two is first, the workspace has an owner.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_is_erased_and_one_who_leaves_do_not_go_both() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let store = PgStore::new(test.service().await);
    for _ in 0..10 {
        let first = tenant(&store).await;
        let second = Member {
            user: tenant(&store).await.user,
            ..first.clone()
        };
        let change = |actor: &Member, step| MemberChange {
            workspace: first.workspace,
            actor: actor.user,
            target: second.user,
            step,
            at: time(1),
        };
        let fact = background_fact(first.workspace, "member.added", time(1));
        let joins = change(&first, MemberStep::Join(Role::Owner.into()));
        store.change_member(&joins, fact.clone()).await.expect("joined");
        let erasure = erasure(first.workspace, Some(first.user));
        ordered(&store, &erasure).await;
        let leaves = change(&second, MemberStep::Leave);
        let (buried, left) = tokio::join!(
            store.bury(&erasure, time(2)),
            store.change_member(
                &leaves,
                causeway_outbox::OutboxEvent {
                    id: Uuid::now_v7(),
                    ..fact
                }
            )
        );
        assert_ne!(buried.is_ok(), left.is_ok());
        if let Ok(tombstone) = buried {
            store.apply_tombstone(&tombstone, time(3)).await.expect("erased");
        }
        assert_eq!(store.owners(first.workspace).await.expect("read").len(), 1);
    }
}

async fn complaints(service: &Database) -> Vec<causeway_database::Finding> {
    service
        .system(
            "registry",
            async |tx: &mut SystemTx| -> Result<_, DatabaseError> {
                let mut found = check_registry(tx, &HOLDING).await?;
                found.extend(check_registry(tx, &KEYSTORE_HOLDING).await?);
                Ok(found)
            },
        )
        .await
        .expect("the database answers")
}

/// EXP-01, B-TEN-25: a column of bytes is a hash or something sealed, and no export may show it.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_bytes_that_an_export_would_show_is_a_finding() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let service = test.service().await;
    assert_eq!(complaints(&service).await, []);
    test.admin("ALTER TABLE tenancy.members ADD COLUMN hash bytea")
        .await;
    let found = complaints(&service).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].subject == "tenancy.members" && found[0].message.contains("hash"));
}

/// The most memory that this process has had, in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// EXP-01: what is exported may be larger than memory.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_table_a_small_part_is_in_memory() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let store = PgStore::new(test.service().await);
    let owner = tenant(&store).await;
    test.admin(&format!(
        "INSERT INTO tenancy.members (workspace_id, user_id, role, joined_at) \
         SELECT '{}', gen_random_uuid(), 'viewer', now() FROM generate_series(1, 200000)",
        owner.workspace
    ))
    .await;
    let Some(before) = peak() else { return };
    let (sender, mut taken) = mpsc::channel(4);
    let sending = store.send_rows(owner.workspace, None, sender);
    let taking = async {
        let (mut bytes, mut rows, mut largest) = (0, 0, 0);
        while let Some(part) = taken.recv().await {
            bytes += part.lines.len();
            rows += part.rows;
            largest = largest.max(part.lines.len());
        }
        (bytes, rows, largest)
    };
    let (sent, (bytes, rows, largest)) = tokio::join!(sending, taking);
    sent.expect("sent");
    assert!(rows > 200_000 && bytes > 24 << 20, "{rows} rows, {bytes} bytes");
    assert!(largest < 512 * 1024, "{largest}");
    let grown = (peak().expect("as before") - before) * 1024;
    assert!(grown < bytes as u64 / 2, "{grown} of {bytes} bytes");
}
