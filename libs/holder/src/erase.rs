//! Erases what the registry names, once per tombstone.

use causeway_database::Finding;
use chrono::{DateTime, Utc};
use diesel::result::Error as DieselError;
use diesel::sql_types::{Array, BigInt, Bool, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension as _, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use uuid::Uuid;

use crate::{Buried, ErasedRows, Holding, RowOwner, Rows, TenantTable, Tombstone};

/// The schema applied another tombstone with this number: the ledger that wrote the one at hand was restored from a
/// backup older than the schema. Nothing may be taken for erased by it.
#[derive(Debug, thiserror::Error)]
#[error(
    "tombstone {0} was applied here for another workspace or person: the ledger is older than the schema {1}"
)]
struct AnotherTombstone(i64, &'static str);

/// What a schema did with a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Every table, those without a row included.
    pub erased: Vec<ErasedRows>,
    /// The persons whom [`mark_applied`] noted.
    pub leavers: Vec<Uuid>,
}

#[derive(QueryableByName)]
struct AppliedRow {
    #[diesel(sql_type = SqlUuid)]
    workspace: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    subject: Option<Uuid>,
    #[diesel(sql_type = Json)]
    erased: serde_json::Value,
    #[diesel(sql_type = Array<SqlUuid>)]
    leavers: Vec<Uuid>,
}

/// What the schema did with that tombstone, if it did already. Waits for an erasure of the same workspace that is
/// under way, and makes those to come wait for this transaction.
///
/// # Errors
/// As any statement; and where the number is that of a tombstone of somebody else.
pub async fn find_applied(
    tx: &mut AsyncPgConnection,
    holding: &Holding,
    tombstone: &Tombstone,
) -> Result<Option<Applied>, DieselError> {
    // The same lock as that of `causeway.refuse_erased`.
    sql_query("SELECT pg_advisory_xact_lock(7206914, hashtext($1::text))")
        .bind::<SqlUuid, _>(tombstone.workspace.0)
        .execute(tx)
        .await?;
    let query = format!(
        "SELECT workspace, subject, erased, leavers FROM \"{}\".erasures_applied WHERE tombstone = $1",
        holding.schema
    );
    let row: Option<AppliedRow> = sql_query(query)
        .bind::<BigInt, _>(tombstone.number)
        .get_result(tx)
        .await
        .optional()?;
    row.map(|row| {
        let subject = tombstone.subject.map(|subject| subject.0);
        if (row.workspace, row.subject) != (tombstone.workspace.0, subject) {
            let error = AnotherTombstone(tombstone.number, holding.schema);
            return Err(DieselError::DeserializationError(error.into()));
        }
        let erased = serde_json::from_value(row.erased)
            .map_err(|error| DieselError::DeserializationError(error.into()))?;
        Ok(Applied {
            erased,
            leavers: row.leavers,
        })
    })
    .transpose()
}

/// Erases the rows that the registry names, those of the person if the tombstone names one. Call it within the
/// transaction that asked [`find_applied`] and will call [`mark_applied`].
///
/// # Errors
/// As any statement.
pub async fn erase_rows(
    tx: &mut AsyncPgConnection,
    holding: &Holding,
    tombstone: &Tombstone,
) -> Result<Vec<ErasedRows>, DieselError> {
    // What a large tenant has takes its time; whoever orders it waits for ten minutes.
    sql_query("SELECT set_config('statement_timeout', '540000', true)")
        .execute(tx)
        .await?;
    let mut erased = Vec::new();
    for table in holding.tables {
        let Some(statement) = statement(holding, table, tombstone.subject.is_some()) else {
            continue;
        };
        let subject = tombstone.subject.map(|subject| subject.0);
        let rows = sql_query(statement)
            .bind::<SqlUuid, _>(tombstone.workspace.0)
            .bind::<Nullable<SqlUuid>, _>(subject)
            .execute(tx)
            .await?;
        erased.push(ErasedRows {
            table: holding.qualified(table),
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
        });
    }
    Ok(erased)
}

/// Keeps, within the transaction that erased, that the tombstone was applied: a restored database shows what it misses.
///
/// # Errors
/// As any statement.
pub async fn mark_applied(
    tx: &mut AsyncPgConnection,
    holding: &Holding,
    tombstone: &Tombstone,
    applied: &Applied,
    at: DateTime<Utc>,
) -> Result<(), DieselError> {
    let erased = serde_json::to_value(&applied.erased)
        .map_err(|error| DieselError::SerializationError(error.into()))?;
    let query = format!(
        "INSERT INTO \"{}\".erasures_applied (tombstone, workspace, subject, erased, leavers, applied_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        holding.schema
    );
    sql_query(query)
        .bind::<BigInt, _>(tombstone.number)
        .bind::<SqlUuid, _>(tombstone.workspace.0)
        .bind::<Nullable<SqlUuid>, _>(tombstone.subject.map(|subject| subject.0))
        .bind::<Json, _>(erased)
        .bind::<Array<SqlUuid>, _>(&applied.leavers)
        .bind::<Timestamptz, _>(at)
        .execute(tx)
        .await?;
    Ok(())
}

/// The statement that erases a table; `$1` is the workspace, `$2` the person. None where nothing is to do.
fn statement(holding: &Holding, table: &TenantTable, person: bool) -> Option<String> {
    if table.rows == Rows::Objects {
        return None;
    }
    let name = format!("\"{}\".\"{}\"", holding.schema, table.name);
    let mine = belongs(holding, table);
    if !person {
        return Some(format!("DELETE FROM {name} WHERE {mine} AND $2::uuid IS NULL"));
    }
    if let Some(column) = table.anonymise {
        return Some(format!(
            "UPDATE {name} SET \"{column}\" = NULL WHERE {mine} AND \"{column}\" = $2"
        ));
    }
    match (table.subject, table.owner) {
        (Some(column), _) => Some(format!("DELETE FROM {name} WHERE {mine} AND \"{column}\" = $2")),
        (None, RowOwner::Parent { column, table, key }) => {
            let subject = holding.table(table)?.subject?;
            Some(format!(
                "DELETE FROM {name} WHERE \"{column}\" IN (SELECT \"{key}\" FROM \"{}\".\"{table}\" \
                 WHERE workspace = $1 AND \"{subject}\" = $2)",
                holding.schema
            ))
        }
        (None, RowOwner::Policy | RowOwner::Column) => None,
    }
}

/// The condition that a row belongs to the workspace `$1`.
pub(crate) fn belongs(holding: &Holding, table: &TenantTable) -> String {
    match table.owner {
        RowOwner::Policy => "workspace_id = $1".to_owned(),
        RowOwner::Column => "workspace = $1".to_owned(),
        RowOwner::Parent { column, table, key } => format!(
            "\"{column}\" IN (SELECT \"{key}\" FROM \"{}\".\"{table}\" WHERE workspace = $1)",
            holding.schema
        ),
    }
}

/// Where the schema and the ledger do not fit, as findings for the boot check: the schema misses an erasure that is
/// finished, as it was restored from a backup that is older; or it applied one that the ledger does not know, as the
/// ledger was (ERA-03).
///
/// # Errors
/// As any statement.
pub async fn unapplied(
    tx: &mut AsyncPgConnection,
    holding: &Holding,
    ledger: &[Buried],
) -> Result<Vec<Finding>, DieselError> {
    let same = "ledger.number = applied.tombstone AND ledger.workspace = applied.workspace \
         AND ledger.subject IS NOT DISTINCT FROM applied.subject";
    let entries = "unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::boolean[]) \
         AS ledger (number, workspace, subject, finished)";
    let applied = format!("\"{}\".erasures_applied AS applied", holding.schema);
    let missing = format!(
        "SELECT number FROM {entries} WHERE finished AND NOT EXISTS (SELECT FROM {applied} WHERE {same}) ORDER BY number"
    );
    let unknown = format!(
        "SELECT tombstone AS number FROM {applied} WHERE NOT EXISTS (SELECT FROM {entries} WHERE {same}) ORDER BY number"
    );
    let mut findings = Vec::new();
    for number in numbers(tx, missing, ledger).await? {
        findings.push(misfit(
            holding,
            format!(
                "tombstone {number} is not applied: what it erased was restored; run `causeway db replay`"
            ),
        ));
    }
    for number in numbers(tx, unknown, ledger).await? {
        findings.push(misfit(
            holding,
            format!(
                "tombstone {number} was applied and the ledger does not have it: restore a newer backup of the ledger"
            ),
        ));
    }
    Ok(findings)
}

async fn numbers(
    tx: &mut AsyncPgConnection,
    query: String,
    ledger: &[Buried],
) -> Result<Vec<i64>, DieselError> {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    let tombstones = || ledger.iter().map(|buried| &buried.tombstone);
    let subjects = tombstones().map(|tombstone| tombstone.subject.map(|subject| subject.0));
    let found: Vec<Number> = sql_query(query)
        .bind::<Array<BigInt>, _>(tombstones().map(|tombstone| tombstone.number).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(
            tombstones()
                .map(|tombstone| tombstone.workspace.0)
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<SqlUuid>>, _>(subjects.collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(ledger.iter().map(|buried| buried.finished).collect::<Vec<_>>())
        .load(tx)
        .await?;
    Ok(found.into_iter().map(|found| found.number).collect())
}

fn misfit(holding: &Holding, message: String) -> Finding {
    Finding {
        rule: "ERA-03".to_owned(),
        subject: holding.schema.to_owned(),
        message,
    }
}

/// Compares the registry with the catalogue: every table of the schema is registered, or is among the others with a
/// reason; what is registered exists, with the columns that the registry names (ROT-04, EXP-01).
///
/// # Errors
/// As any statement.
pub async fn check_registry(
    tx: &mut AsyncPgConnection,
    holding: &Holding,
) -> Result<Vec<Finding>, DieselError> {
    #[derive(QueryableByName)]
    struct Column {
        #[diesel(sql_type = Text)]
        relation: String,
        #[diesel(sql_type = Text)]
        column: String,
        #[diesel(sql_type = Text)]
        kind: String,
    }
    let columns: Vec<Column> = sql_query(
        "SELECT c.relname::text AS relation, a.attname::text AS column, format_type(a.atttypid, NULL) AS kind \
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
         WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 'p') \
           AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> '__diesel_schema_migrations'",
    )
    .bind::<Text, _>(holding.schema)
    .load(tx)
    .await?;
    let mut findings = Vec::new();
    let mut complain = |table: &str, message: String| {
        findings.push(Finding {
            rule: "ERA-04".to_owned(),
            subject: format!("{}.{table}", holding.schema),
            message,
        });
    };
    let exists = |table: &str, column: &str| {
        columns
            .iter()
            .any(|found| found.relation == table && found.column == column)
    };
    let relations: std::collections::BTreeSet<&str> =
        columns.iter().map(|column| column.relation.as_str()).collect();
    for relation in relations {
        let other = holding.others.iter().any(|(name, _)| *name == relation);
        match holding.table(relation) {
            None if !other => complain(
                relation,
                "is not registered: no erasure and no export reaches it".to_owned(),
            ),
            Some(_) if other => complain(relation, "is registered twice".to_owned()),
            None | Some(_) => {}
        }
    }
    for table in holding.tables {
        for column in registered_columns(table) {
            if !exists(table.name, column) {
                complain(
                    table.name,
                    format!("has no column {column}, which the registry names"),
                );
            }
        }
    }
    for column in columns.iter().filter(|column| column.kind.ends_with("envelope")) {
        let sealed = holding.table(&column.relation).and_then(|table| table.sealed);
        if sealed.is_none_or(|sealed| sealed.column != column.column) {
            complain(
                &column.relation,
                format!("{} is sealed and not registered as such", column.column),
            );
        }
    }
    // What an export shows is text: bytes are hashes of secrets, sealed values, parts of objects.
    for column in &columns {
        let shown = holding
            .table(&column.relation)
            .is_some_and(|table| table.rows == Rows::Plain && !table.omit.contains(&column.column.as_str()));
        if shown && (column.kind == "bytea" || column.kind.ends_with("envelope")) {
            complain(
                &column.relation,
                format!("an export would show the bytes of {}", column.column),
            );
        }
    }
    Ok(findings)
}

fn registered_columns(table: &TenantTable) -> Vec<&'static str> {
    let owner = match table.owner {
        RowOwner::Policy => "workspace_id",
        RowOwner::Column => "workspace",
        RowOwner::Parent { column, .. } => column,
    };
    let mut columns = vec![owner];
    columns.extend(table.key);
    columns.extend(table.omit);
    columns.extend(table.subject);
    columns.extend(table.anonymise);
    if let Some(sealed) = &table.sealed {
        columns.extend([sealed.column, sealed.key_version]);
    }
    columns
}
