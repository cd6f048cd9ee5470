//! The callee's side of a call, in front of every handler, near and far: panic guard, trace and metrics, load shed,
//! proof of the caller, authorization by the method table, deadline.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use causeway_context::{CallContext, Caller, RequestId};
use causeway_contracts::{Method, method};
use causeway_errors::ApiError;
use chrono::Utc;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use crate::OPERATOR;
use crate::listen::PeerAddr;
use crate::outbound::{DEFAULT_DEADLINE, MAX_DEADLINE};
use crate::token::{Proven, ServiceIdentity};
use crate::watched::Running;
use crate::{deadline, panic_guard, remote};

/// Where an operator may present the internal secret itself (design §4).
pub const SECRET_HEADER: &str = "x-internal-service-secret";

const HEALTH: &str = "/grpc.health.v1.Health/";
/// By these a proxy says that it speaks for somebody else.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// What a guard needs to know.
pub struct GuardOptions {
    /// The mesh's keys; the name does not matter, the callee's name comes from the method table.
    pub identity: ServiceIdentity,
    /// The secrets that an operator may present, current and previous.
    pub secrets: Vec<SecretString>,
    /// Whether reflection answers anybody: in development.
    pub open_reflection: bool,
    /// How many calls may be answered at once; more are refused at once.
    pub max_in_flight: usize,
}

/// A router behind all the checks.
#[derive(Clone)]
pub struct Guard {
    routes: Routes,
    shared: Arc<Shared>,
}

struct Shared {
    options: GuardOptions,
    permits: Arc<Semaphore>,
}

impl Guard {
    /// Puts `routes` behind the checks.
    pub fn new(routes: Routes, options: GuardOptions) -> Self {
        let permits = Arc::new(Semaphore::new(options.max_in_flight));
        Self {
            routes: routes.prepare(),
            shared: Arc::new(Shared { options, permits }),
        }
    }
}

impl Service<Request<Body>> for Guard {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.observed(request).await) })
    }
}

impl Guard {
    /// Trace and metrics around everything, until the answer's body has ended.
    async fn observed(self, request: Request<Body>) -> Response<Body> {
        let table = method(request.uri().path());
        let (owner, name) = table.map_or(("mesh", "unknown"), |method| (method.owner, method.name));
        let running = Running::begin("server", owner, table.map(|method| method.name));
        let span = tracing::info_span!("rpc", otel.name = name, rpc.service = owner, rpc.method = name);
        causeway_telemetry::continue_trace(&span, request.headers());
        let permit = match self.permit(&request) {
            Ok(permit) => permit,
            Err(error) => return running.answered(Status::from(error).into_http(), None, span),
        };
        let answer = panic_guard::guarded(self.checked(request, table), owner, name);
        let response = answer.instrument(span.clone()).await;
        running.answered(response, permit, span)
    }

    /// Refuses at once what is too much. Health answers under any load: a busy process is not a dead one.
    fn permit(&self, request: &Request<Body>) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        if request.uri().path().starts_with(HEALTH) {
            return Ok(None);
        }
        let permit = Arc::clone(&self.shared.permits).try_acquire_owned();
        permit.map(Some).map_err(|_| ApiError::unavailable("OVERLOADED"))
    }

    async fn checked(self, mut request: Request<Body>, table: Option<&'static Method>) -> Response<Body> {
        let timeout = deadline::read(request.headers())
            .unwrap_or(DEFAULT_DEADLINE)
            .min(MAX_DEADLINE);
        let at = Instant::now() + timeout;
        if let Err(error) = self.shared.admit(&mut request, table, at) {
            return Status::from(error).into_http();
        }
        match tokio::time::timeout_at(at, self.routes.oneshot(request)).await {
            Ok(Ok(response)) => ours(response).map(|body| deadline::bound(body, at)),
            Ok(Err(never)) => match never {},
            Err(_) => deadline::exceeded().into_http(),
        }
    }
}

impl Shared {
    /// Proves the caller, checks the method table, and leaves the context for the handler.
    fn admit(
        &self,
        request: &mut Request<Body>,
        table: Option<&'static Method>,
        until: Instant,
    ) -> Result<(), ApiError> {
        let path = request.uri().path();
        if path.starts_with(HEALTH) {
            return Ok(());
        }
        let Some(method) = table else {
            let open = self.options.open_reflection || self.operator(request).is_some();
            return if open { Ok(()) } else { self.any_token(request) };
        };
        let Proven {
            caller,
            request_id,
            by_door,
        } = match self.operator(request) {
            Some(caller) => Proven {
                caller,
                request_id: request_id(request.headers()),
                by_door: false,
            },
            None => self.by_token(request, method.owner, method.path)?,
        };
        let remote = by_door.then(|| remote::read(request.headers())).flatten();
        caller.authorize(method)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the one clock of a call: handlers take the time from the context"
        )]
        let context = CallContext::new(caller, method, request_id, Utc::now())
            .from_remote(remote)
            .until(until.into_std());
        request.extensions_mut().insert(context);
        Ok(())
    }

    /// Reflection and unknown paths: any token of the mesh for any of its services.
    fn any_token(&self, request: &Request<Body>) -> Result<(), ApiError> {
        let path = request.uri().path();
        let known = causeway_contracts::METHODS.iter().map(|method| method.owner);
        let owners: std::collections::BTreeSet<&'static str> = known.collect();
        let proven = owners
            .into_iter()
            .any(|owner| self.by_token(request, owner, path).is_ok());
        if proven {
            Ok(())
        } else {
            Err(ApiError::unauthenticated())
        }
    }

    fn by_token(&self, request: &Request<Body>, owner: &'static str, path: &str) -> Result<Proven, ApiError> {
        let mut values = request.headers().get_all(http::header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(ApiError::unauthenticated());
        };
        let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
        let token = token.ok_or_else(ApiError::unauthenticated)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the life of a service token is checked when it arrives"
        )]
        let now = Utc::now();
        self.options
            .identity
            .named(owner)
            .verify(token, path, now)
            .map_err(|error| {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    owner,
                    "a service token is refused"
                );
                ApiError::unauthenticated()
            })
    }

    /// The secret itself, on loopback only: it would be readable on any other wire. What a proxy forwards comes from
    /// elsewhere, though the proxy be on this machine.
    fn operator(&self, request: &Request<Body>) -> Option<Caller> {
        let mut values = request.headers().get_all(SECRET_HEADER).iter();
        let (Some(given), None) = (values.next(), values.next()) else {
            return None;
        };
        let loopback = |peer: &PeerAddr| SocketAddr::from(*peer).ip().to_canonical().is_loopback();
        let is_forwarded = FORWARDED.iter().any(|name| request.headers().contains_key(*name));
        if is_forwarded || !request.extensions().get::<PeerAddr>().is_some_and(loopback) {
            return None;
        }
        let mut right = subtle::Choice::from(0);
        for secret in self.options.secrets.iter().map(ExposeSecret::expose_secret) {
            // An empty secret is none.
            right |= given.as_bytes().ct_eq(secret.as_bytes())
                & subtle::Choice::from(u8::from(!secret.is_empty()));
        }
        bool::from(right).then(|| Caller::service(OPERATOR))
    }
}

/// A failure that tonic answered before any handler ran, in our words and without its own.
fn ours(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key("grpc-status") || headers.contains_key("grpc-status-details-bin") {
        return response;
    }
    let Some(status) = Status::from_header_map(headers).filter(|status| status.code() != tonic::Code::Ok)
    else {
        return response;
    };
    let undecodable = status.message().starts_with("failed to decode Protobuf message");
    let status = if undecodable {
        Status::invalid_argument("")
    } else {
        status
    };
    Status::from(ApiError::from(status)).into_http()
}

fn request_id(headers: &HeaderMap) -> RequestId {
    headers
        .get(crate::REQUEST_ID_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::generate)
}
