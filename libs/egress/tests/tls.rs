//! TLS against a server with a certificate of its own authority.
#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causeway_egress::{Egress, EgressError, EgressOptions, RootCertStore};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

async fn version(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from(format!(
        "{:?}",
        request.version()
    )))))
}

/// Serves `https://localhost:<port>`, offering `protocols`; answers the authority to trust.
async fn server(protocols: &[&str]) -> (u16, RootCertStore, JoinSet<()>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                // A client that does not trust us hangs up here.
                let Ok(tls) = acceptor.accept(tcp).await else {
                    return;
                };
                let connection = auto::Builder::new(TokioExecutor::new());
                let _ = connection
                    .serve_connection(TokioIo::new(tls), service_fn(version))
                    .await;
            });
        }
    });
    (port, roots, tasks)
}

async fn ask(port: u16, options: EgressOptions) -> Result<Bytes, EgressError> {
    let request = Request::get(format!("https://localhost:{port}/"))
        .body(Bytes::new())
        .unwrap();
    let response = Egress::new(options).send(request, Duration::from_secs(5)).await?;
    response.into_body().collect(100).await
}

#[tokio::test]
async fn a_trusted_server_is_asked_in_the_version_that_it_speaks() {
    for (protocols, expected) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let (port, roots, _server) = server(protocols).await;
        let answer = ask(
            port,
            EgressOptions {
                roots: Some(roots),
                ..EgressOptions::default()
            },
        )
        .await
        .unwrap();
        assert_eq!(answer, expected);
    }
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_refused() {
    let (port, _, _server) = server(&["h2"]).await;
    assert!(matches!(
        ask(port, EgressOptions::default()).await,
        Err(EgressError::Tls(_))
    ));
}
