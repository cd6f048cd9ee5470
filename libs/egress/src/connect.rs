//! Name, TCP and TLS under one timeout.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::builderstates::WantsSchemes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::{BoxError, Service};

use crate::EgressOptions;
use crate::reach::Resolver;

/// What hyper dials with.
#[derive(Clone)]
pub(crate) struct Dial {
    inner: HttpsConnector<HttpConnector<Resolver>>,
    timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
struct ConnectTimeout(Duration);

impl Dial {
    pub(crate) fn new(options: &EgressOptions) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new(options.reach));
        // The scheme is checked by `Egress::send`.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let builder = trust(options.roots.clone());
        Self {
            inner: builder.https_or_http().enable_all_versions().wrap_connector(tcp),
            timeout: options.connect_timeout,
        }
    }
}

/// The provider is named, so that nothing depends on a process-wide default.
fn trust(roots: Option<RootCertStore>) -> HttpsConnectorBuilder<WantsSchemes> {
    let provider = aws_lc_rs::default_provider();
    let known = "aws-lc-rs supports the default versions of TLS";
    if let Some(roots) = roots {
        let config =
            ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
        let config = config
            .expect(known)
            .with_root_certificates(roots)
            .with_no_client_auth();
        return HttpsConnectorBuilder::new().with_tls_config(config);
    }
    let native = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider.clone());
    native.unwrap_or_else(|_| {
        HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(provider)
            .expect(known)
    })
}

impl Service<Uri> for Dial {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, timeout) = (self.inner.call(uri), self.timeout);
        Box::pin(async move {
            match tokio::time::timeout(timeout, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectTimeout(timeout).into()),
            }
        })
    }
}
