//! `causeway db` and the start of a process on databases that are not as they should be.

use causeway_testkit::TestDb;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::processes::output;

pub(crate) const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

async fn database() -> Option<TestDb> {
    TestDb::new(&causeway::serve::database::schemas()).await
}

/// Runs `causeway db <command>`: whether it succeeded, and what it printed.
pub(crate) async fn db(test: &TestDb, command: &str, more: &[(&str, &str)]) -> (bool, String) {
    let mut environment = vec![
        ("DATABASE_URL", test.service_url().expose_secret()),
        ("DATABASE_OWNER_URL", test.owner_url().expose_secret()),
        ("CAUSELOOP_MASTER_KEY", MASTER_KEY),
    ];
    environment.extend_from_slice(more);
    let ended = output(&["db", command], &environment).await;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    (ended.status.success(), text)
}

/// A table of a workspace that a careless migration left open.
async fn open_a_table(test: &TestDb) {
    test.admin(
        "SET ROLE causeway_test_owner; \
         CREATE TABLE tenancy.careless (workspace_id uuid PRIMARY KEY); \
         ALTER TABLE tenancy.members DISABLE ROW LEVEL SECURITY",
    )
    .await;
}

const OPEN: &str = "RLS-02 tenancy.careless: row-level security is not enabled";

/// B-TEN-3.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_left_open_is_closed_by_the_next_migration() {
    let Some(test) = database().await else { return };
    open_a_table(&test).await;
    let (sound, found) = db(&test, "check", &[]).await;
    assert!(!sound && found.contains(OPEN), "{found}");
    let (done, said) = db(&test, "migrate", &[]).await;
    assert!(done, "{said}");
    for table in ["careless", "members"] {
        assert!(
            said.contains(&format!("enabled row-level security on tenancy.{table}")),
            "{said}"
        );
    }
    let (sound, found) = db(&test, "check", &[]).await;
    assert!(sound && found.contains("nothing to complain about"), "{found}");
}

/// B-TEN-3.
#[tokio::test(flavor = "multi_thread")]
async fn neither_a_false_switch_nor_the_tier_test_closes_it() {
    let Some(test) = database().await else { return };
    open_a_table(&test).await;
    for more in [
        &[("RLS_AUTO_ENABLE", "false")][..],
        &[("NODE_ENV", "test")],
        &[("NODE_ENV", "test"), ("RLS_AUTO_ENABLE", "true")],
    ] {
        let (done, said) = db(&test, "migrate", more).await;
        assert!(done && !said.contains("enabled row-level security"), "{said}");
        let (sound, found) = db(&test, "check", more).await;
        assert!(!sound && found.contains(OPEN), "{found}");
    }
}

/// What production asks for, on this database.
pub(crate) fn production(url: &str) -> Vec<(&str, &str)> {
    vec![
        ("NODE_ENV", "production"),
        ("DATABASE_URL", url),
        ("CAUSELOOP_MASTER_KEY", MASTER_KEY),
        ("JWT_SIGNING_SECRET", "tokens-1b9e5d7c3f0a48e6b2c4d6f8a0b1c3e5"),
        ("NEXTAUTH_SECRET", "session-7d0f3a9be15c46f8a2d4c6b8e0f1a3c5"),
        ("NEXTAUTH_URL", "https://causeway.example"),
        ("API_KEY_PEPPER", "pepper-5c3a1e9f7b0d42c6a8e4f6d8b0c1a3e5"),
        (
            "WEBHOOK_SIGNING_SECRET",
            "webhook-9e7c5a3f1b0d46e8c2a4b6d8f0e1c3a5",
        ),
        ("INTERNAL_SERVICE_SECRET", "mesh-3f1d9b7e5c0a48f6d2b4c6e8a0f1d3b5"),
        ("WORKER_SECRET", "worker-8a6e4c2f0b1d47c9a3e5f7d9b0c2a4e6"),
        ("CORS_ALLOWED_ORIGINS", "https://app.causeway.example"),
        ("BIND_ADDR", "127.0.0.1"),
        ("PORT", "0"),
        ("ADMIN_PORT", "0"),
        // Nobody is asked there: the process ends before.
        ("MESH_AUTH_ADDR", "http://127.0.0.1:1"),
        ("MESH_LLM_ADDR", "http://127.0.0.1:1"),
        ("MESH_SCORING_ADDR", "http://127.0.0.1:1"),
        ("MESH_AUDIT_ADDR", "http://127.0.0.1:1"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn production_does_not_start_on_a_hole_and_does_not_close_it_without_the_owner() {
    let Some(test) = database().await else { return };
    open_a_table(&test).await;
    let url = test.service_url().expose_secret();
    let ended = output(&["serve", "tenancy"], &production(url)).await;
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(64), "{complaint}");
    assert!(
        complaint.contains("keeps tenants apart by itself") && complaint.contains("RLS-02 tenancy."),
        "{complaint}"
    );
}

/// B-TEN-4.
#[tokio::test(flavor = "multi_thread")]
async fn production_does_not_start_as_a_superuser() {
    let Some(test) = database().await else { return };
    let url = test.admin_url();
    let ended = output(&["serve", "tenancy"], &production(url.expose_secret())).await;
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(64), "{complaint}");
    assert!(complaint.contains("is a superuser"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_maintenance_gets_its_rights_and_is_checked_too() {
    let Some(test) = database().await else { return };
    let role = format!("worker_{}", Uuid::now_v7().simple());
    test.admin(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'"))
        .await;
    let url = test.url_of(&role, "x");
    let worker = [("DATABASE_WORKER_URL", url.expose_secret())];

    let (sound, found) = db(&test, "check", &worker).await;
    let wanted = format!("GRANT tenancy: {role} has no rights");
    assert!(!sound && found.contains(&wanted), "{found}");
    let (done, said) = db(&test, "migrate", &worker).await;
    assert!(done, "{said}");
    let (sound, found) = db(&test, "check", &worker).await;
    assert!(sound, "{found}");
    test.admin(&format!("ALTER ROLE {role} BYPASSRLS")).await;
    let (sound, found) = db(&test, "check", &worker).await;
    let wanted = format!("RLS-01 {role}: may bypass row-level security");
    assert!(!sound && found.contains(&wanted), "{found}");
    test.admin(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}
