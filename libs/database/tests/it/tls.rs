//! Connections that are promised to be encrypted are, or are not made.

use causeway_database::{Database, DatabaseError, PoolOptions, SystemTx};
use causeway_testkit::TestDb;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::words;

async fn connect(url: &str) -> Result<Database, DatabaseError> {
    let options = PoolOptions {
        max_size: 1,
        start: std::time::Duration::ZERO,
        ..PoolOptions::default()
    };
    Database::connect(&SecretString::from(url), options).await
}

/// Says that it has no TLS; answers what it was sent after that.
async fn refuse_tls(listener: &TcpListener) -> Vec<u8> {
    let (mut socket, _) = listener.accept().await.unwrap();
    let (mut request, mut more) = ([0; 8], Vec::new());
    socket.read_exact(&mut request).await.unwrap();
    socket.write_all(b"N").await.unwrap();
    let _ = socket.read_to_end(&mut more).await;
    more
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing_but_the_question() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = format!("postgresql://u:hunter2@{address}/x?sslmode={mode}");
        let (sent, answer) = tokio::join!(refuse_tls(&listener), connect(&url));
        assert!(matches!(answer, Err(DatabaseError::Connect(_))), "{mode}");
        assert_eq!(sent, b"", "{mode}");
    }
}

#[tokio::test]
async fn a_certificate_is_checked_against_the_given_root() {
    let Some(test) = TestDb::new(&[]).await else {
        return;
    };
    let Ok(root) = std::env::var("CAUSEWAY_TEST_DATABASE_CERTIFICATE") else {
        println!("skipped: the server has no certificate");
        return;
    };
    let url = test.service_url().expose_secret();
    for mode in ["require", "verify-full"] {
        assert!(
            connect(&format!("{url}?sslmode={mode}")).await.is_err(),
            "nobody vouches for it: {mode}"
        );
        let database = connect(&format!("{url}?sslmode={mode}&sslrootcert={root}"))
            .await
            .unwrap();
        let version = "SELECT version AS word FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()";
        let versions = database
            .system("test", async |tx: &mut SystemTx| words(tx, version).await)
            .await
            .unwrap();
        assert_eq!(versions, ["TLSv1.3"]);
    }
}
