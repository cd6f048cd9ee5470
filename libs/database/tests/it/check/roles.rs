//! RLS-01, RLS-06: the role that the program connects as.

use causeway_testkit::TestDb;
use uuid::Uuid;

use super::{as_role, findings};
use crate::NOTES;

/// What is found for a role of the test's own with these attributes; `more` runs with `{role}` as its name.
async fn found_as(attributes: &str, more: &str) -> Option<(String, Vec<String>)> {
    let test = TestDb::new(&[&NOTES]).await?;
    let role = format!("role_{}", Uuid::now_v7().simple());
    test.admin(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x' {attributes}; CREATE ROLE {role}_free BYPASSRLS; \
         SELECT causeway.grant_service('notes', '{role}'); {}",
        more.replace("{role}", &role)
    ))
    .await;
    let found = as_role(&test.url_of(&role, "x")).await;
    test.admin(&format!(
        "REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}; DROP ROLE {role}_free"
    ))
    .await;
    Some((role, found))
}

async fn finds(attributes: &str, more: &str, finding: &str) {
    let Some((role, found)) = found_as(attributes, more).await else {
        return;
    };
    let wanted = finding.replace("{role}", &role);
    assert!(found.contains(&wanted), "{wanted}: {found:?}");
}

#[tokio::test]
async fn a_role_with_nothing_but_its_grants_is_fine() {
    if let Some((_, found)) = found_as("NOBYPASSRLS", "").await {
        assert_eq!(found, [""; 0]);
    }
}

#[tokio::test]
async fn attributes_that_lead_past_the_policies_are_found() {
    for (attributes, finding) in [
        ("SUPERUSER", "RLS-01 {role}: is a superuser"),
        ("BYPASSRLS", "RLS-01 {role}: may bypass row-level security"),
        (
            "CREATEROLE",
            "RLS-01 {role}: may create roles, and so become others",
        ),
        (
            "REPLICATION",
            "RLS-01 {role}: may replicate, which reads every row",
        ),
    ] {
        finds(attributes, "", finding).await;
    }
}

#[tokio::test]
async fn security_that_was_switched_off_is_found() {
    finds(
        "",
        "ALTER ROLE {role} SET row_security = off",
        "RLS-01 {role}: has row_security turned off",
    )
    .await;
}

#[tokio::test]
async fn a_role_that_may_become_another_is_found() {
    for (more, finding) in [
        (
            "GRANT {role}_free TO {role}",
            "RLS-01 {role}: may become {role}_free, which bypasses row-level security",
        ),
        (
            "CREATE ROLE {role}_between ROLE {role}; GRANT {role}_free TO {role}_between",
            "RLS-01 {role}: may become {role}_free, which bypasses row-level security",
        ),
        (
            "GRANT pg_read_server_files TO {role}",
            "RLS-01 {role}: may become pg_read_server_files, which reaches past the grants of the tables",
        ),
        (
            "GRANT pg_read_all_data TO {role}",
            "RLS-01 {role}: may become pg_read_all_data, which reaches past the grants of the tables",
        ),
    ] {
        finds("", more, finding).await;
    }
}

#[tokio::test]
async fn a_role_that_owns_anything_is_found() {
    for (more, finding) in [
        (
            "ALTER TABLE notes.counters OWNER TO {role}",
            "RLS-01 {role}: owns or may become the owner of notes.counters",
        ),
        (
            "CREATE TABLE public.own (id int); ALTER TABLE public.own OWNER TO {role}",
            "RLS-01 {role}: owns or may become the owner of public.own",
        ),
        (
            "CREATE ROLE {role}_between ROLE {role}; CREATE TABLE public.own (id int); \
             ALTER TABLE public.own OWNER TO {role}_between",
            "RLS-01 {role}: owns or may become the owner of public.own",
        ),
        (
            "ALTER SCHEMA notes OWNER TO {role}",
            "RLS-01 {role}: owns or may become the owner of the schema notes",
        ),
    ] {
        finds("", more, finding).await;
    }
}

#[tokio::test]
async fn the_owner_of_the_tables_is_found() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let found = as_role(test.owner_url()).await;
    let wanted =
        "RLS-01 causeway_test_owner: owns or may become the owner of notes.__diesel_schema_migrations, ";
    assert!(found.iter().any(|found| found.starts_with(wanted)), "{found:?}");
}

#[tokio::test]
async fn a_role_that_may_make_tables_is_found() {
    finds(
        "",
        "GRANT CREATE ON SCHEMA notes TO {role}",
        "RLS-01 {role}: may create objects in the schema notes",
    )
    .await;
    finds(
        "",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "RLS-01 {role}: may create objects in the schema public",
    )
    .await;
}

#[tokio::test]
async fn a_role_without_grants_is_told_so() {
    finds(
        "",
        "REVOKE ALL ON SCHEMA notes FROM {role}",
        "GRANT notes: {role} has no rights in the schema; `causeway db migrate` grants them",
    )
    .await;
}

#[tokio::test]
async fn a_scope_that_is_there_before_the_transaction_is_found() {
    finds(
        "",
        "ALTER ROLE {role} SET app.workspace_id = '018f0000-0000-7000-8000-000000000001'",
        "RLS-06 {role}: presets app.workspace_id",
    )
    .await;
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    test.admin("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET app.workspace_id = ''x''', current_database()); END $$")
        .await;
    let found = findings(&test).await;
    assert!(
        found
            .iter()
            .any(|found| found.starts_with("RLS-06 causeway_test_")),
        "{found:?}"
    );
}
