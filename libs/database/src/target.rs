//! Where the database is and how it is reached.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::CacheSize;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::DatabaseError;
use crate::connection::Driver;

/// Parameters that Prisma writes into URLs. They concern its own client only.
const FOREIGN_PARAMETERS: [&str; 6] = [
    "schema",
    "connection_limit",
    "pool_timeout",
    "socket_timeout",
    "statement_cache_size",
    "prepared_statements",
];

/// A parsed database URL.
///
/// `sslmode=require`, `verify-ca` and `verify-full` all check the certificate and the name in it, against
/// `sslrootcert` if it is there: stricter than libpq. Without `sslmode`, a remote server is asked for TLS and its
/// refusal, or a certificate that we cannot check, is accepted, as there nothing was promised.
///
/// `pgbouncer=true`, as Prisma has it, is for a pooler that gives each transaction another connection and does not know
/// prepared statements: no statement outlives its transaction then.
#[derive(Clone)]
pub(crate) struct Target {
    config: Config,
    tls: Tls,
    timeout: Duration,
    unprepared: bool,
}

#[derive(Clone)]
enum Tls {
    Off,
    IfPossible(MakeRustlsConnect),
    Required(MakeRustlsConnect),
}

impl Target {
    pub(crate) fn parse(
        url: &SecretString,
        application_name: &str,
        connect_timeout: Duration,
    ) -> Result<Self, DatabaseError> {
        let (base, query) = split(url.expose_secret());
        let (mut kept, mut mode, mut root, mut unprepared) = (Vec::new(), "prefer", None, false);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => root = Some(value),
                Some(("pgbouncer", value)) => unprepared = matches!(value, "true" | "1"),
                Some((name, _)) if FOREIGN_PARAMETERS.contains(&name) => {}
                _ => kept.push(pair),
            }
        }
        // The parser's own text could quote a part of the URL.
        let mut config = Config::from_str(&format!("{base}?{}", kept.join("&"))).map_err(|_| {
            DatabaseError::Url("it is not of the form postgresql://user:password@host/name".to_owned())
        })?;
        config
            .application_name(application_name)
            .connect_timeout(connect_timeout);
        let tls = tls(mode, root, config.get_hosts())?;
        Ok(Self {
            config,
            tls,
            timeout: connect_timeout,
            unprepared,
        })
    }

    /// Whether statements end with their transaction.
    pub(crate) fn unprepared(&self) -> bool {
        self.unprepared
    }

    /// Opens one connection, which a task of its own drives.
    pub(crate) async fn connect(&self) -> Result<AsyncPgConnection, DatabaseError> {
        let (connection, mut driver) = self.connect_driven().await?;
        #[expect(clippy::disallowed_methods, reason = "ends with its connection")]
        tokio::spawn(async move { driver.drive(std::future::pending::<()>()).await });
        Ok(connection)
    }

    /// Opens one connection.
    pub(crate) async fn connect_driven(&self) -> Result<(AsyncPgConnection, Driver), DatabaseError> {
        tokio::time::timeout(self.timeout, self.negotiate())
            .await
            .unwrap_or(Err(DatabaseError::Silent))
    }

    async fn negotiate(&self) -> Result<(AsyncPgConnection, Driver), DatabaseError> {
        match &self.tls {
            Tls::Off => self.plain().await,
            Tls::Required(tls) => self.secured(tls, SslMode::Require).await,
            Tls::IfPossible(tls) => match self.secured(tls, SslMode::Prefer).await {
                Err(DatabaseError::Connect(error)) if is_tls(&error) => self.plain().await,
                answer => answer,
            },
        }
    }

    async fn plain(&self) -> Result<(AsyncPgConnection, Driver), DatabaseError> {
        let mut config = self.config.clone();
        config.ssl_mode(SslMode::Disable);
        let (client, connection) = config.connect(NoTls).await.map_err(DatabaseError::Connect)?;
        self.set_up(client, Driver::new(connection)).await
    }

    async fn secured(
        &self,
        tls: &MakeRustlsConnect,
        mode: SslMode,
    ) -> Result<(AsyncPgConnection, Driver), DatabaseError> {
        let mut config = self.config.clone();
        config.ssl_mode(mode);
        let (client, connection) = config
            .connect(tls.clone())
            .await
            .map_err(DatabaseError::Connect)?;
        self.set_up(client, Driver::new(connection)).await
    }

    /// Diesel sets the session up by prepared statements: where these end with the transaction, they need one.
    async fn set_up(
        &self,
        client: Client,
        mut driver: Driver,
    ) -> Result<(AsyncPgConnection, Driver), DatabaseError> {
        let unprepared = self.unprepared;
        let set_up = async move {
            if !unprepared {
                return AsyncPgConnection::try_from(client)
                    .await
                    .map_err(DatabaseError::SetUp);
            }
            client
                .batch_execute("BEGIN; DEALLOCATE ALL")
                .await
                .map_err(DatabaseError::Connect)?;
            let mut connection = AsyncPgConnection::try_from(client)
                .await
                .map_err(DatabaseError::SetUp)?;
            connection.set_prepared_statement_cache_size(CacheSize::Disabled);
            connection.batch_execute("COMMIT").await?;
            Ok(connection)
        };
        let connection = driver.drive(set_up).await?;
        Ok((connection, driver))
    }
}

fn split(url: &str) -> (&str, &str) {
    url.split_once('?').unwrap_or((url, ""))
}

fn tls(mode: &str, root: Option<&str>, hosts: &[Host]) -> Result<Tls, DatabaseError> {
    match mode {
        "disable" => Ok(Tls::Off),
        "allow" | "prefer" if hosts.iter().all(is_local) => Ok(Tls::Off),
        "allow" | "prefer" => Ok(Tls::IfPossible(connector(root)?)),
        "require" | "verify-ca" | "verify-full" => Ok(Tls::Required(connector(root)?)),
        _ => Err(DatabaseError::Url(
            "sslmode is one of disable, allow, prefer, require, verify-ca and verify-full".to_owned(),
        )),
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn is_tls(error: &tokio_postgres::Error) -> bool {
    error.to_string().starts_with("error performing TLS handshake")
}

fn connector(root: Option<&str>) -> Result<MakeRustlsConnect, DatabaseError> {
    let roots = match root {
        Some(path) => roots_of(path)?,
        None => roots_of_the_system(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| DatabaseError::Certificates(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn roots_of(path: &str) -> Result<RootCertStore, DatabaseError> {
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| DatabaseError::Certificates(error.into()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| DatabaseError::Certificates(error.into()))?;
        roots
            .add(certificate)
            .map_err(|error| DatabaseError::Certificates(error.into()))?;
    }
    Ok(roots)
}

/// The machine's certificates; Mozilla's in an image that has none.
fn roots_of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, DatabaseError> {
        Target::parse(&SecretString::from(url), "test", Duration::from_secs(1))
    }

    #[test]
    fn neon_and_prisma_urls_are_understood() {
        let target = parse("postgresql://u:p@x.neon.tech/db?sslmode=require&channel_binding=require&schema=public&connection_limit=5").unwrap();
        assert!(matches!(target.tls, Tls::Required(_)));
        assert_eq!(target.config.get_dbname(), Some("db"));
    }

    #[test]
    fn without_sslmode_only_a_remote_server_is_asked_for_tls() {
        for (url, asked) in [
            ("postgresql://u@localhost/db", false),
            ("postgresql://u@127.0.0.1/db", false),
            ("postgresql://u@%2Frun%2Fpostgresql/db", false),
            ("postgresql://u@db.example/db", true),
            ("postgresql://u@db.example/db?sslmode=disable", false),
        ] {
            assert_eq!(
                matches!(parse(url).unwrap().tls, Tls::IfPossible(_)),
                asked,
                "{url}"
            );
        }
    }

    #[test]
    fn a_bad_url_is_refused_without_quoting_it() {
        for url in [
            "postgresql://u:hunter2@h/db?sslmode=maybe",
            "postgresql://u:hunter2@h:port/db",
            "hunter2",
        ] {
            let error = parse(url).err().expect("refused");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
