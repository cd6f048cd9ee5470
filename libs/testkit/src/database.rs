//! A database per test.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::UNIX_EPOCH;

use causeway_database::{Database, PoolOptions, Schema, migrate};
use diesel::sql_types::{Bool, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// The URL of a superuser of a server that tests may fill with databases.
const ADMIN_URL: &str = "CAUSEWAY_TEST_DATABASE_URL";
/// Host and port of a PgBouncer in transaction mode in front of the same server.
const POOLER: &str = "CAUSEWAY_TEST_PGBOUNCER";
/// The role that owns every table, as in production.
const OWNER: &str = "causeway_test_owner";
/// The role that services connect as: owns nothing, bypasses nothing.
const SERVICE: &str = "causeway_test_service";
/// One process at a time makes roles or a template.
const LOCK: i64 = 7_206_914_003;

/// A database of one test, with the owner's role and the service's. Dropped with the value.
///
/// It is a copy of a template that is migrated once per build of the test program, which takes some 50 ms.
pub struct TestDb {
    name: String,
    /// The superuser, in the server's own database.
    admin: SecretString,
    owner: SecretString,
    service: SecretString,
}

impl TestDb {
    /// A database with the newest form of `schemas`. None at home without a server: the test says so and returns.
    ///
    /// ```ignore
    /// let Some(db) = TestDb::new(&[&causeway_auth::SCHEMA]).await else { return };
    /// let store = PgUserStore::new(db.service().await);
    /// ```
    ///
    /// # Panics
    /// Without a server when `CI` is set; with a server that does not do what it is asked.
    pub async fn new(schemas: &[&'static Schema]) -> Option<Self> {
        let Ok(admin) = std::env::var(ADMIN_URL) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "{ADMIN_URL} must be set where CI is"
            );
            println!("skipped: {ADMIN_URL} is not set");
            return None;
        };
        let mut server = connect(&admin).await;
        let password = password(&mut server, &admin).await;
        let template = template_name(schemas);
        if !exists(&mut server, &template).await {
            run(&mut server, &format!("SELECT pg_advisory_lock({LOCK})")).await;
            if !exists(&mut server, &template).await {
                make_roles(&mut server, &password).await;
                make_template(&mut server, &admin, &password, &template, schemas).await;
            }
            run(&mut server, &format!("SELECT pg_advisory_unlock({LOCK})")).await;
        }
        let name = format!("causeway_test_{}", Uuid::now_v7().simple());
        run(
            &mut server,
            &format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}"),
        )
        .await;
        Some(Self {
            owner: url_of(&admin, OWNER, &password, &name),
            service: url_of(&admin, SERVICE, &password, &name),
            admin: admin.into(),
            name,
        })
    }

    /// As the service sees it: what stores are tested with.
    ///
    /// # Panics
    /// When the server has gone.
    pub async fn service(&self) -> Database {
        pool(&self.service).await
    }

    /// The URL of the service's role.
    pub fn service_url(&self) -> &SecretString {
        &self.service
    }

    /// The URL of the service's role by way of a pooler, which has two connections for each database and gives every
    /// transaction one of them. None at home without one: the test says so and returns.
    ///
    /// # Panics
    /// Without a pooler when `CI` is set.
    pub fn pooled_url(&self) -> Option<SecretString> {
        let Ok(pooler) = std::env::var(POOLER) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "{POOLER} must be set where CI is"
            );
            println!("skipped: {POOLER} is not set");
            return None;
        };
        let service = self.service.expose_secret();
        let host = service.rfind('@').map_or(0, |at| at + 1);
        let path = service[host..]
            .find('/')
            .map_or(service.len(), |slash| host + slash);
        Some(format!("{}{pooler}{}", &service[..host], &service[path..]).into())
    }

    /// The URL of the role that owns the tables.
    pub fn owner_url(&self) -> &SecretString {
        &self.owner
    }

    /// The URL of the superuser, in this database.
    pub fn admin_url(&self) -> SecretString {
        with_database(self.admin.expose_secret(), &self.name).into()
    }

    /// The URL of a role that the test made, in this database.
    pub fn url_of(&self, role: &str, password: &str) -> SecretString {
        url_of(self.admin.expose_secret(), role, password, &self.name)
    }

    /// Runs statements as the superuser, which no policy binds: to prepare what a service could not.
    ///
    /// # Panics
    /// When a statement fails.
    pub async fn admin(&self, statements: &str) {
        run(&mut connect(self.admin_url().expose_secret()).await, statements).await;
    }
}

impl Drop for TestDb {
    /// On a thread of its own: a test's runtime may have one thread only, and it is here.
    fn drop(&mut self) {
        let (admin, name) = (self.admin.expose_secret().to_owned(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                if let Ok(mut server) = AsyncPgConnection::establish(&admin).await {
                    let _ = server
                        .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                        .await;
                }
            });
            Ok::<(), std::io::Error>(())
        });
        let _ = dropped.join();
    }
}

async fn pool(url: &SecretString) -> Database {
    let options = PoolOptions {
        max_size: 8,
        application_name: "causeway-test".to_owned(),
        ..PoolOptions::default()
    };
    Database::connect(url, options)
        .await
        .expect("connect to the test database")
}

async fn connect(url: &str) -> AsyncPgConnection {
    AsyncPgConnection::establish(url)
        .await
        .expect("connect to the test server")
}

async fn run(connection: &mut AsyncPgConnection, statements: &str) {
    if let Err(error) = connection.batch_execute(statements).await {
        panic!("{statements}: {error}");
    }
}

async fn exists(connection: &mut AsyncPgConnection, database: &str) -> bool {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let answer: Answer = sql_query("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS found")
        .bind::<Text, _>(database)
        .get_result(connection)
        .await
        .expect("look for the template");
    answer.found
}

/// The password of both roles: the same in every process, and known only to who knows the superuser's URL.
async fn password(connection: &mut AsyncPgConnection, admin: &str) -> String {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        hash: String,
    }
    let answer: Answer = sql_query("SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') AS hash")
        .bind::<Text, _>(format!("causeway {admin}"))
        .get_result(connection)
        .await
        .expect("make a password");
    answer.hash
}

async fn make_roles(connection: &mut AsyncPgConnection, password: &str) {
    for role in [OWNER, SERVICE] {
        run(
            connection,
            &format!(
                "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$; \
                 ALTER ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD '{password}'"
            ),
        )
        .await;
    }
}

/// Under another name until it is complete: a crash leaves no half template.
async fn make_template(
    connection: &mut AsyncPgConnection,
    admin: &str,
    password: &str,
    template: &str,
    schemas: &[&'static Schema],
) {
    let draft = format!("{template}_draft");
    run(
        connection,
        &format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)"),
    )
    .await;
    run(
        connection,
        &format!("CREATE DATABASE {draft} OWNER {OWNER} TEMPLATE template0"),
    )
    .await;
    let owner = url_of(admin, OWNER, password, &draft);
    let service = url_of(admin, SERVICE, password, &draft);
    migrate(&owner, &service, schemas)
        .await
        .expect("migrate the template");
    let nobody_left = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{draft}'; \
         ALTER DATABASE {draft} RENAME TO {template}"
    );
    // A connection that was just closed is gone from the server a moment later.
    let mut attempts = 0;
    while let Err(error) = connection.batch_execute(&nobody_left).await {
        attempts += 1;
        assert!(attempts < 100, "rename the template: {error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Names the schemas and the build of this program, which embeds their migrations: a changed migration is a new
/// build, and so a new template.
fn template_name(schemas: &[&'static Schema]) -> String {
    let mut hasher = DefaultHasher::new();
    let program = std::env::current_exe().expect("the path of this program");
    program.hash(&mut hasher);
    if let Ok(built) = program.metadata().and_then(|metadata| metadata.modified()) {
        built.duration_since(UNIX_EPOCH).ok().hash(&mut hasher);
    }
    for schema in schemas {
        schema.name.hash(&mut hasher);
        schema.unscoped.hash(&mut hasher);
    }
    format!("causeway_template_{:016x}", hasher.finish())
}

fn with_database(url: &str, database: &str) -> String {
    let (base, query) = url
        .split_once('?')
        .map_or((url, String::new()), |(base, query)| (base, format!("?{query}")));
    let authority = base.find("://").map_or(0, |scheme| scheme + 3);
    let end = base[authority..]
        .find('/')
        .map_or(base.len(), |slash| authority + slash);
    format!("{}/{database}{query}", &base[..end])
}

fn url_of(admin: &str, role: &str, password: &str, database: &str) -> SecretString {
    let url = with_database(admin, database);
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let slash = rest.find('/').expect("with_database puts one");
    let host = rest[..slash].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{role}:{password}@{}", &rest[host..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_its_host_and_parameters() {
        for (admin, wanted) in [
            (
                "postgresql://postgres@127.0.0.1:5432/postgres",
                "postgresql://r:p@127.0.0.1:5432/d",
            ),
            ("postgresql://a:b@h", "postgresql://r:p@h/d"),
            (
                "postgresql://h:1/x?sslmode=disable",
                "postgresql://r:p@h:1/d?sslmode=disable",
            ),
        ] {
            assert_eq!(url_of(admin, "r", "p", "d").expose_secret(), wanted);
        }
    }
}
