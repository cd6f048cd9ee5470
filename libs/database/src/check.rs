//! The boot check: does the catalogue hold what the program relies on?

use std::collections::BTreeSet;
use std::fmt;

use diesel::sql_types::{Array, Bool, Integer, Text};
use diesel::{OptionalExtension as _, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use crate::{Database, DatabaseError, Schema, SystemTx};

/// Something in the database that breaks a promise. A production process does not start with one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, QueryableByName)]
pub struct Finding {
    /// The rule, such as `RLS-02`.
    #[diesel(sql_type = Text)]
    pub rule: String,
    /// The role, table, index or server that it is about.
    #[diesel(sql_type = Text)]
    pub subject: String,
    /// What is wrong with it.
    #[diesel(sql_type = Text)]
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.rule, self.subject, self.message)
    }
}

/// Each takes the names of the schemas as `$1` and the unscoped tables, as `schema.table`, as `$2`.
const QUERIES: [&str; 5] = [
    include_str!("check/role.sql"),
    include_str!("check/tables.sql"),
    include_str!("check/keys.sql"),
    include_str!("check/objects.sql"),
    include_str!("check/indexes.sql"),
];

/// The first minor release of each major one without a known hole in row-level security (CVE-2024-10976,
/// CVE-2025-8713). Older major releases have no `security_invoker` for views.
const FLOORS: [(i32, i32); 3] = [(15, 14), (16, 10), (17, 6)];

impl Database {
    /// Looks at the role of this connection and at every table of `schemas`. An empty answer means that tenants are
    /// kept apart by the database itself, whatever statement the program sends.
    ///
    /// # Errors
    /// No answer from the database.
    pub async fn check(&self, schemas: &[&'static Schema]) -> Result<Vec<Finding>, DatabaseError> {
        let names: Vec<String> = schemas.iter().map(|schema| schema.name.to_owned()).collect();
        let unscoped: Vec<String> = schemas.iter().flat_map(|schema| unscoped(schema)).collect();
        let mut findings = self
            .system(
                "database.check",
                async |tx: &mut SystemTx| -> Result<Vec<Finding>, DatabaseError> {
                    let mut findings = Vec::from_iter(server(tx).await?);
                    for query in QUERIES {
                        let query = sql_query(query)
                            .bind::<Array<Text>, _>(names.as_slice())
                            .bind::<Array<Text>, _>(unscoped.as_slice());
                        findings.extend(query.load::<Finding>(tx).await?);
                    }
                    Ok(findings)
                },
            )
            .await?;
        for schema in schemas {
            findings.extend(self.pending(schema).await?);
        }
        findings.sort();
        Ok(findings)
    }

    /// A program that is newer than the schema would fail at the first statement, and a role without grants at all.
    async fn pending(&self, schema: &'static Schema) -> Result<Option<Finding>, DatabaseError> {
        let applied = self
            .system("database.pending", async |tx: &mut SystemTx| {
                applied(tx, schema.name).await
            })
            .await?;
        let applied = match applied {
            Ok(applied) => applied,
            Err(role) => {
                return Ok(Some(Finding {
                    rule: "GRANT".to_owned(),
                    subject: schema.name.to_owned(),
                    message: format!("{role} has no rights in the schema; `causeway db migrate` grants them"),
                }));
            }
        };
        let missing: Vec<String> = schema
            .versions()?
            .into_iter()
            .filter(|version| !applied.contains(version))
            .collect();
        Ok((!missing.is_empty()).then(|| Finding {
            rule: "MIGRATION".to_owned(),
            subject: schema.name.to_owned(),
            message: format!("not migrated to {}", missing.join(", ")),
        }))
    }
}

fn unscoped(schema: &'static Schema) -> impl Iterator<Item = String> {
    schema
        .unscoped
        .iter()
        .map(|table| format!("{}.{table}", schema.name))
}

/// The versions that were applied; or the name of this role, when it may not know.
async fn applied(
    tx: &mut AsyncPgConnection,
    schema: &str,
) -> Result<Result<BTreeSet<String>, String>, DatabaseError> {
    #[derive(QueryableByName)]
    struct List {
        #[diesel(sql_type = Text)]
        role: String,
        #[diesel(sql_type = Bool)]
        readable: bool,
    }
    #[derive(QueryableByName)]
    struct Version {
        #[diesel(sql_type = Text)]
        version: String,
    }
    let list: Option<List> = sql_query(
        "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable, \
         current_user::text AS role \
         FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid \
         WHERE n.nspname = $1 AND c.relname = '__diesel_schema_migrations'",
    )
    .bind::<Text, _>(schema)
    .get_result(tx)
    .await
    .optional()?;
    match list {
        None => return Ok(Ok(BTreeSet::new())),
        Some(list) if !list.readable => return Ok(Err(list.role)),
        Some(_) => {}
    }
    let versions = sql_query(format!(
        "SELECT version::text FROM \"{schema}\".__diesel_schema_migrations"
    ));
    let versions = versions.load::<Version>(tx).await?;
    Ok(Ok(versions.into_iter().map(|row| row.version).collect()))
}

async fn server(tx: &mut AsyncPgConnection) -> Result<Option<Finding>, DatabaseError> {
    #[derive(QueryableByName)]
    struct Version {
        #[diesel(sql_type = Integer)]
        number: i32,
    }
    let version: Version = sql_query("SELECT current_setting('server_version_num')::int AS number")
        .get_result(tx)
        .await?;
    Ok(too_old(version.number))
}

/// `number` as the server gives it: 150014 is 15.14.
fn too_old(number: i32) -> Option<Finding> {
    let (major, minor) = (number / 10_000, number % 10_000);
    let message = match FLOORS.iter().find(|(floor, _)| *floor == major) {
        Some((_, floor)) if minor < *floor => format!("at least {major}.{floor} is needed"),
        None if major < FLOORS[0].0 => format!("at least {}.{} is needed", FLOORS[0].0, FLOORS[0].1),
        Some(_) | None => return None,
    };
    Some(Finding {
        rule: "RLS-14".to_owned(),
        subject: format!("PostgreSQL {major}.{minor}"),
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_with_known_holes_is_too_old() {
        for (number, old) in [
            (140_019, true),
            (150_013, true),
            (150_014, false),
            (160_009, true),
            (160_010, false),
            (170_005, true),
            (170_006, false),
            (180_000, false),
        ] {
            assert_eq!(too_old(number).is_some(), old, "{number}");
        }
    }
}
