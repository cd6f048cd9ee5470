//! RLS-05, RLS-07, RLS-09, RLS-11: what leads past the policies.

use causeway_testkit::TestDb;

use super::{findings, plant};
use crate::NOTES;

#[tokio::test]
async fn views_with_the_rights_of_their_owner_are_found() {
    plant(&[
        (
            "CREATE VIEW notes.leak AS SELECT * FROM notes.notes",
            "DROP VIEW notes.leak",
            "RLS-07 notes.leak: is a view without security_invoker",
        ),
        (
            "CREATE VIEW notes.leak WITH (security_invoker = false) AS SELECT * FROM notes.notes",
            "DROP VIEW notes.leak",
            "RLS-07 notes.leak: is a view without security_invoker",
        ),
        (
            "CREATE VIEW public.leak AS SELECT body FROM notes.notes",
            "DROP VIEW public.leak",
            "RLS-07 public.leak: is a view without security_invoker",
        ),
        (
            "CREATE MATERIALIZED VIEW notes.leak AS SELECT * FROM notes.notes",
            "DROP MATERIALIZED VIEW notes.leak",
            "RLS-07 notes.leak: is a materialized view, which no policy covers",
        ),
        (
            "CREATE MATERIALIZED VIEW public.leak AS SELECT * FROM notes.notes",
            "DROP MATERIALIZED VIEW public.leak",
            "RLS-07 public.leak: is a materialized view, which no policy covers",
        ),
    ])
    .await;
}

#[tokio::test]
async fn views_of_the_invoker_are_fine() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    test.admin(
        "CREATE VIEW notes.mine WITH (security_invoker = true) AS SELECT * FROM notes.notes; \
         CREATE VIEW notes.own WITH (security_invoker) AS SELECT * FROM notes.mine; \
         CREATE VIEW public.one WITH (security_invoker = on) AS SELECT 1 FROM notes.own",
    )
    .await;
    assert_eq!(findings(&test).await, [""; 0]);
}

#[tokio::test]
async fn foreign_tables_and_rules_are_found() {
    plant(&[
        (
            "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing; \
             CREATE FOREIGN TABLE notes.far (workspace_id uuid NOT NULL) SERVER nowhere",
            "DROP FOREIGN DATA WRAPPER nothing CASCADE",
            "RLS-07 notes.far: is a foreign table, which no policy covers",
        ),
        (
            "CREATE RULE copy AS ON INSERT TO notes.notes DO ALSO NOTIFY somebody",
            "DROP RULE copy ON notes.notes",
            "RLS-07 notes.notes: the rule copy makes other statements out of those that are sent",
        ),
    ])
    .await;
}

#[tokio::test]
async fn security_definer_functions_have_to_be_declared_and_to_name_their_search_path() {
    plant(&[
        (
            "CREATE FUNCTION notes.leak() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            "DROP FUNCTION notes.leak",
            "RLS-07 notes.leak: is a SECURITY DEFINER function that is not declared",
        ),
        (
            "CREATE FUNCTION public.leak() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            "DROP FUNCTION public.leak",
            "RLS-07 public.leak: is a SECURITY DEFINER function that is not declared",
        ),
        (
            "CREATE FUNCTION notes.leak() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; \
             SELECT causeway.declare_definer('notes.leak()')",
            "DROP FUNCTION notes.leak",
            "RLS-07 notes.leak: is a SECURITY DEFINER function without a search_path of its own",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_declared_security_definer_function_is_fine() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    test.admin(
        "CREATE FUNCTION notes.search() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog \
         AS 'SELECT 1'; SELECT causeway.declare_definer('notes.search()'); \
         CREATE FUNCTION public.kept() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; \
         REVOKE ALL ON FUNCTION public.kept FROM PUBLIC",
    )
    .await;
    assert_eq!(findings(&test).await, [""; 0]);
}

#[tokio::test]
async fn a_function_that_sets_the_scope_is_found() {
    for body in [
        "SELECT set_config(''app.workspace_id'', ''x'', false)",
        "SET LOCAL app.workspace_id = 'x'",
    ] {
        let body = body.replace("''", "'");
        plant(&[(
            &format!("CREATE FUNCTION notes.enter() RETURNS void LANGUAGE sql AS $$ {body} $$"),
            "DROP FUNCTION notes.enter",
            "RLS-05 notes.enter: sets app.workspace_id, which only the start of a transaction may",
        )])
        .await;
    }
    plant(&[(
        "CREATE FUNCTION notes.enter() RETURNS int LANGUAGE sql SET app.workspace_id = 'x' AS 'SELECT 1'",
        "DROP FUNCTION notes.enter",
        "RLS-05 notes.enter: sets app.workspace_id, which only the start of a transaction may",
    )])
    .await;
}

#[tokio::test]
async fn rights_that_no_policy_covers_are_found() {
    for right in ["TRUNCATE", "REFERENCES", "TRIGGER"] {
        plant(&[(
            &format!("GRANT {right} ON notes.notes TO causeway_test_service"),
            &format!("REVOKE {right} ON notes.notes FROM causeway_test_service"),
            &format!("RLS-09 notes.notes: causeway_test_service may {right}"),
        )])
        .await;
    }
    plant(&[(
        "GRANT TRUNCATE ON notes.counters TO PUBLIC",
        "REVOKE TRUNCATE ON notes.counters FROM PUBLIC",
        "RLS-09 notes.counters: causeway_test_service may TRUNCATE",
    )])
    .await;
}

#[tokio::test]
async fn functions_that_somebody_marked_as_leakproof_are_found() {
    plant(&[
        (
            "ALTER FUNCTION pg_catalog.enum_eq LEAKPROOF",
            // The row stays touched, yet no mark, no finding.
            "ALTER FUNCTION pg_catalog.enum_eq NOT LEAKPROOF",
            "RLS-11 enum_eq(anyenum,anyenum): was marked as leakproof, so it may run on rows that a policy hides",
        ),
        (
            "CREATE FUNCTION notes.same(text, text) RETURNS bool LANGUAGE sql LEAKPROOF AS 'SELECT $1 = $2'",
            "DROP FUNCTION notes.same",
            "RLS-11 notes.same(text,text): was marked as leakproof, so it may run on rows that a policy hides",
        ),
    ])
    .await;
}
