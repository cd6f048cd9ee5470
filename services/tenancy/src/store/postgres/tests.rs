use std::sync::Arc;

use causeway_context::RateTier;
use causeway_contracts::Role;
use causeway_outbox::{Outcome, PgOutbox};
use causeway_testkit::{Rows, Statements, TestDb};
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};

use super::*;
use crate::domain::{Email, Invitation, KeyState, Ring, SettingChange, StoredKey};
use crate::store::conformance::{self, Fixture, envelope};
use crate::{HOLDING, KEYSTORE, LEDGER};
use diesel_async::AsyncConnection as _;

use crate::store::{KeyStore as _, MemberStore as _, SettingsStore as _, TenantRows as _};

static SCHEMAS: [&causeway_database::Schema; 3] = [&KEYSTORE, &LEDGER, &SCHEMA];

async fn fresh() -> Option<(Fixture, TestDb)> {
    let database = TestDb::new(&SCHEMAS).await?;
    let service = database.service().await;
    let outbox = Arc::new(PgOutbox::new(service.clone(), SCHEMA.name));
    let key_outbox = Arc::new(PgOutbox::new(service.clone(), KEYSTORE.name));
    let fixture = Fixture::new(Arc::new(PgStore::new(service)), outbox, key_outbox);
    Some((fixture, database))
}

crate::store::conformance::store_conformance!(fresh);

/// RLS-13: below the policies an index that begins with the workspace answers everything that the store asks.
#[tokio::test(flavor = "multi_thread")]
async fn no_statement_reads_the_whole_of_a_tenant_table() {
    let Some((_, database)) = fresh().await else {
        return;
    };
    // From here on: the first database of a build is migrated before it is copied.
    let statements = Statements::record();
    macro_rules! run {
        ($($case:ident),+ $(,)?) => { $(
            if let Some((fixture, _guard)) = fresh().await {
                conformance::$case(&fixture).await;
            }
        )+ };
    }
    run!(
        a_workspace_is_found_with_its_owner,
        memberships_come_oldest_first_and_in_pages,
        members_come_in_pages,
        what_the_actor_is_now_counts,
        invitations_come_in_pages,
        who_accepts_becomes_a_member,
        settings_begin_untouched_and_change_by_field,
        a_membership_comes_with_the_policy_of_its_workspace,
        each_ring_has_keys_of_its_own,
        versions_go_through_their_states_in_order,
        rotations_come_newest_first,
        only_what_is_still_the_same_is_sealed_anew,
        only_the_next_version_replaces_a_secret,
        secrets_come_by_name_and_in_pages,
    );
    let mut sent = statements.sent();
    // No table of a workspace, and the types of its arrays are not in the text.
    sent.retain(|statement| !statement.contains(".revocations "));
    assert!(sent.len() > 30, "{}", sent.len());
    let slow = database.slow_plans(&sent, Rows::Few).await;
    assert!(slow.is_empty(), "{slow:#?}");
}

const TENANT_TABLES: [&str; 6] = [
    "workspaces",
    "members",
    "invitations",
    "settings",
    "key_fences",
    "secrets",
];

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// A workspace with one row in each tenant table.
async fn tenant(store: &PgStore) -> WorkspaceId {
    let (id, user, now) = (WorkspaceId::generate(), UserId::generate(), DateTime::UNIX_EPOCH);
    let name = WorkspaceName::parse("Acme").expect("a name");
    let workspace = Workspace {
        id,
        name,
        region: "r".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let owner = Member {
        workspace: id,
        user,
        role: Role::Owner.into(),
        joined_at: now,
    };
    store
        .create_workspace(&workspace, &owner, fact(id))
        .await
        .expect("created");
    let invitation = Invitation {
        workspace: id,
        id: Uuid::now_v7(),
        email: Email::parse("ada@example.com").expect("an address"),
        role: Role::Viewer.into(),
        invited_by: user,
        created_at: now,
        expires_at: now,
    };
    let hash = causeway_crypto::token::hash(&id.to_string());
    store
        .insert_invitation(&invitation, &hash, fact(id))
        .await
        .expect("inserted");
    store
        .change_settings(id, &[SettingChange::RateTier(RateTier::Free)], now, fact(id))
        .await
        .expect("set");
    let wrapped = causeway_crypto::WrappedKey {
        key_id: "k".to_owned(),
        bytes: vec![1],
    };
    let key = StoredKey {
        workspace: id,
        ring: Ring::Data,
        version: 1,
        state: KeyState::Active,
        wrapped: Some(wrapped),
        created_at: now,
        destroyed_at: None,
    };
    store.insert_key(&key).await.expect("inserted");
    let secret = Secret {
        workspace: id,
        id: Uuid::now_v7(),
        name: SecretName::parse("a").expect("a name"),
        kind: crate::domain::SecretKind::Custom,
        version: 1,
        key_version: 1,
        sealed: envelope(1),
        created_at: now,
        updated_at: now,
    };
    store.insert_secret(&secret, fact(id)).await.expect("inserted");
    id
}

fn fact(workspace: WorkspaceId) -> OutboxEvent {
    OutboxEvent {
        id: Uuid::now_v7(),
        workspace,
        action: "test".to_owned(),
        actor_kind: "user".to_owned(),
        actor_id: String::new(),
        target_kind: String::new(),
        target_id: String::new(),
        outcome: Outcome::Success,
        occurred_at: DateTime::UNIX_EPOCH,
        request_id: String::new(),
        service: "tenancy".to_owned(),
        details: serde_json::Map::new(),
    }
}

async fn rows_without_workspace(database: &Database, table: &str) -> i64 {
    let query = format!("SELECT count(*) AS rows FROM tenancy.{table}");
    let query = query.as_str();
    let count = database.system(
        "test",
        async |tx: &mut SystemTx| -> Result<Count, DatabaseError> {
            Ok(sql_query(query).get_result(tx).await?)
        },
    );
    count.await.expect("counted").rows
}

async fn rows_in(database: &Database, workspace: WorkspaceId, query: &str) -> i64 {
    let count = database.workspace(
        "test",
        workspace,
        async |tx: &mut WorkspaceTx| -> Result<Count, DatabaseError> {
            Ok(sql_query(query).get_result(tx).await?)
        },
    );
    count.await.expect("counted").rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_select_without_a_workspace_returns_no_row() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let options = causeway_database::PoolOptions {
        max_size: 1,
        ..Default::default()
    };
    let database = Database::connect(test.service_url(), options)
        .await
        .expect("connected");
    for table in TENANT_TABLES {
        assert_eq!(
            rows_without_workspace(&database, table).await,
            0,
            "{table}, on a fresh connection"
        );
    }
    tenant(&PgStore::new(database.clone())).await;
    // One connection only: it has just worked inside a workspace.
    for table in TENANT_TABLES {
        assert_eq!(
            rows_without_workspace(&database, table).await,
            0,
            "{table}, on a used connection"
        );
    }
}

/// B-TEN-1, B-TEN-2.
#[tokio::test(flavor = "multi_thread")]
async fn a_raw_select_in_one_workspace_returns_no_row_of_another() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let options = causeway_database::PoolOptions {
        max_size: 1,
        ..Default::default()
    };
    let database = Database::connect(test.service_url(), options)
        .await
        .expect("connected");
    let store = PgStore::new(database.clone());
    let (ours, theirs) = (tenant(&store).await, tenant(&store).await);
    for table in TENANT_TABLES {
        for (asker, other) in [(ours, theirs), (theirs, ours)] {
            let all = format!("SELECT count(*) AS rows FROM tenancy.{table}");
            assert_eq!(rows_in(&database, asker, &all).await, 1, "{table}");
            let foreign = format!("{all} WHERE workspace_id = '{other}'");
            assert_eq!(rows_in(&database, asker, &foreign).await, 0, "{table}");
        }
    }
}

/// B-TEN-2.
#[tokio::test(flavor = "multi_thread")]
async fn a_raw_write_for_another_workspace_is_refused() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let database = test.service().await;
    let store = PgStore::new(database.clone());
    let (ours, theirs) = (tenant(&store).await, tenant(&store).await);
    let insert = format!(
        "INSERT INTO tenancy.members (workspace_id, user_id, role, joined_at) \
         VALUES ('{theirs}', gen_random_uuid(), 'owner', now())"
    );
    let steal = format!("UPDATE tenancy.secrets SET workspace_id = '{theirs}'");
    for statement in [insert.as_str(), steal.as_str()] {
        let refused = database.workspace(
            "test",
            ours,
            async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
                sql_query(statement).execute(tx).await?;
                Ok(())
            },
        );
        assert_eq!(
            refused.await.err().map(|error| error.class()),
            Some(Class::Corrupt),
            "{statement}"
        );
    }
    let blind = "UPDATE tenancy.workspaces SET name = 'x'";
    let changed = database.workspace(
        "test",
        ours,
        async |tx: &mut WorkspaceTx| -> Result<usize, DatabaseError> {
            Ok(sql_query(blind).execute(tx).await?)
        },
    );
    assert_eq!(changed.await.expect("updated"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_boot_check_finds_nothing_to_complain_about() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let findings = test.service().await.check(&SCHEMAS).await.expect("checked");
    assert_eq!(findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_migration_can_be_taken_back_and_applied_again() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    causeway_database::revert(test.owner_url(), &SCHEMAS)
        .await
        .expect("reverted");
    causeway_database::migrate(test.owner_url(), test.service_url(), &SCHEMAS)
        .await
        .expect("migrated");
    tenant(&PgStore::new(test.service().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_database_is_not_an_empty_answer() {
    let Some(test) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let store = PgStore::new(test.service().await);
    test.admin("ALTER TABLE tenancy.secrets RENAME TO gone").await;
    let name = SecretName::parse("a").expect("a name");
    let answer = store.find_secret(WorkspaceId::generate(), &name).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
}

/// EXP-01, ERA-04, ROT-04.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_registered() {
    let Some(database) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let service = database.service().await;
    let findings = service
        .system(
            "registry",
            async |tx: &mut SystemTx| -> Result<_, DatabaseError> {
                Ok(causeway_holder::check_registry(tx, &HOLDING).await?)
            },
        )
        .await
        .expect("the database answers");
    assert_eq!(findings, []);
    database
        .admin("CREATE TABLE tenancy.forgotten (workspace_id uuid, note causeway.envelope)")
        .await;
    let findings = service
        .system(
            "registry",
            async |tx: &mut SystemTx| -> Result<_, DatabaseError> {
                Ok(causeway_holder::check_registry(tx, &HOLDING).await?)
            },
        )
        .await
        .expect("the database answers");
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(
        findings
            .iter()
            .all(|finding| finding.subject == "tenancy.forgotten")
    );
}

/// How many rows of each table an export has.
async fn exported(store: &PgStore, workspace: WorkspaceId, snapshot: Option<&str>) -> Vec<(String, u64)> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
    let snapshot = snapshot.map(str::to_owned);
    store.send_rows(workspace, snapshot, sender).await.expect("sent");
    let mut tables: Vec<(String, u64)> = Vec::new();
    while let Some(part) = receiver.recv().await {
        match tables.iter_mut().find(|(table, _)| *table == part.table) {
            Some((_, rows)) => *rows += part.rows,
            None => tables.push((part.table, part.rows)),
        }
    }
    tables
}

/// EXP-02: an export whose moment was lost on the way must not pass for one of one moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_connection_was_lost_did_not_last() {
    let Some(database) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let store = PgStore::new(database.service().await);
    let snapshot = store.snapshot().await.expect("answered").expect("taken");
    assert!(snapshot.release().await);
    let snapshot = store.snapshot().await.expect("answered").expect("taken");
    let lost = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE datname = current_database() AND query LIKE 'SELECT pg_export_snapshot%'";
    database.admin(lost).await;
    assert!(!snapshot.release().await);
}

/// EXP-01, EXP-02: beside what a superuser counts.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_whole_and_of_one_moment() {
    let Some(database) = TestDb::new(&SCHEMAS).await else {
        return;
    };
    let store = PgStore::new(database.service().await);
    let (workspace, _neighbour) = (tenant(&store).await, tenant(&store).await);
    let snapshot = store.snapshot().await.expect("answered").expect("taken");
    let before = exported(&store, workspace, Some(snapshot.name())).await;
    store
        .database
        .workspace("write", workspace, async |tx: &mut WorkspaceTx| -> Result<_, DatabaseError> {
            sql_query("INSERT INTO tenancy.members SELECT workspace_id, gen_random_uuid(), 'viewer', now() FROM tenancy.workspaces")
                .execute(tx)
                .await
                .map_err(DatabaseError::from)
        })
        .await
        .expect("written");
    assert_eq!(
        exported(&store, workspace, Some(snapshot.name())).await,
        before,
        "written meanwhile"
    );
    let name = snapshot.name().to_owned();
    drop(snapshot);

    let after = exported(&store, workspace, None).await;
    assert_ne!(after, before);
    // Nothing is sent of another moment than the one that was asked for (EXP-02).
    for over in ["00000003-00000002-1", &name] {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
        let refused = store.send_rows(workspace, Some(over.to_owned()), sender).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(receiver.recv().await.is_none());
    }
    let url = database.admin_url();
    let mut superuser =
        diesel_async::AsyncPgConnection::establish(secrecy::ExposeSecret::expose_secret(&url))
            .await
            .expect("connected");
    assert!(after.len() >= 5, "{after:?}");
    for (table, rows) in after {
        let count: Count = sql_query(format!(
            "SELECT count(*) AS rows FROM {table} WHERE workspace_id = $1"
        ))
        .bind::<diesel::sql_types::Uuid, _>(workspace.0)
        .get_result(&mut superuser)
        .await
        .expect("counted");
        assert_eq!(u64::try_from(count.rows), Ok(rows), "{table}");
    }
}
