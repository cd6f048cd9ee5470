//! The caller's side of a call: credentials, deadline, trace context, retry of calls without a second effect,
//! metrics. They sit on the channel, so generated clients have them near and far.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use causeway_context::{CallContext, Caller, RequestId};
use causeway_contracts::{Idempotency, method};
use causeway_errors::ApiError;
use chrono::Utc;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};
use tracing::Span;

use crate::channel::{LinkError, MeshChannel};
use crate::server::SECRET_HEADER;
use crate::token::ServiceIdentity;
use crate::watched::Running;
use crate::{REQUEST_ID_HEADER, deadline, remote};

/// The deadline of a call that names none. Longer than three attempts at a model provider (C-13).
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(120);
/// The longest deadline that a caller may ask for.
pub const MAX_DEADLINE: Duration = Duration::from_secs(600);
/// How long to wait before a call is sent again, and how often.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(80)];

/// The way from one service to all others.
#[derive(Clone)]
pub struct Mesh {
    identity: ServiceIdentity,
    links: Arc<RwLock<HashMap<&'static str, MeshChannel>>>,
}

/// For whom a call is made: put into a request's extensions, read by the channel. The gateway puts a
/// [`Remote`](causeway_context::Remote) beside it.
#[derive(Debug, Clone)]
pub struct OnBehalf {
    /// The end user.
    pub caller: Caller,
    /// The request at the door.
    pub request_id: RequestId,
}

/// When the outer call ends: put into a request's extensions, read by the channel.
#[derive(Debug, Clone, Copy)]
struct Until(Instant);

/// A request on behalf of the caller of `ctx`, which ends when that call does. Without it the other side sees the
/// calling service itself.
pub fn on_behalf<T>(ctx: &CallContext, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    if let Some(deadline) = ctx.deadline {
        request.extensions_mut().insert(Until(deadline.into()));
    }
    request.extensions_mut().insert(OnBehalf {
        caller: ctx.caller.clone(),
        request_id: ctx.request_id.clone(),
    });
    request
}

impl Mesh {
    /// A mesh without links.
    pub fn new(identity: ServiceIdentity) -> Self {
        Self {
            identity,
            links: Arc::default(),
        }
    }

    /// The same links for another service.
    #[must_use]
    pub fn named(&self, name: &'static str) -> Self {
        Self {
            identity: self.identity.named(name),
            links: Arc::clone(&self.links),
        }
    }

    /// The identity with which it calls.
    pub fn identity(&self) -> &ServiceIdentity {
        &self.identity
    }

    /// Says how to reach `callee`, from now on and for every client that was made before.
    pub fn link(&self, callee: &'static str, channel: MeshChannel) {
        self.links
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(callee, channel);
    }

    /// The channel to `callee`. It may be linked later: services start in any order.
    pub fn to(&self, callee: &'static str) -> MeshChannel {
        BoxCloneSyncService::new(Outbound {
            mesh: self.clone(),
            callee,
        })
    }

    fn channel(&self, callee: &'static str) -> Result<MeshChannel, LinkError> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        links.get(callee).cloned().ok_or(LinkError::Unknown(callee))
    }
}

#[derive(Clone)]
struct Outbound {
    mesh: Mesh,
    callee: &'static str,
}

impl Service<Request<Body>> for Outbound {
    type Response = Response<Body>;
    type Error = LinkError;
    type Future = BoxFuture<'static, Result<Response<Body>, LinkError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.send(request).await) })
    }
}

impl Outbound {
    /// The answer, always with a status: what the transport says of a failure is for the log. Near and far a caller
    /// reads the same.
    async fn send(self, mut request: Request<Body>) -> Response<Body> {
        let started = Instant::now();
        let table = method(request.uri().path());
        let running = Running::begin("client", self.callee, table.map(|method| method.name));
        let until = until(&mut request, started);
        deadline::write(request.headers_mut(), until - started);
        causeway_telemetry::inject(request.headers_mut());
        let repeatable = table.is_some_and(|method| method.idempotency != Idempotency::Unknown);
        let response = match self.present(&mut request) {
            Ok(()) => tokio::time::timeout_at(until, self.attempt(request, repeatable)).await,
            Err(status) => Ok(Ok(status.into_http())),
        };
        let response = match response {
            Ok(Ok(response)) => response.map(|body| deadline::bound(body, until)),
            Ok(Err(error)) => self.unreachable(&error).into_http(),
            Err(_) => deadline::exceeded().into_http(),
        };
        running.answered(response, None, Span::current())
    }

    fn unreachable(&self, error: &LinkError) -> Status {
        let answer = ApiError::unavailable("SERVICE_UNAVAILABLE");
        tracing::warn!(
            error = error as &dyn std::error::Error,
            error_id = %answer.error_id,
            service = self.callee,
            "a service is not reachable"
        );
        answer.into()
    }

    /// Puts the service token and the request id on the call.
    fn present(&self, request: &mut Request<Body>) -> Result<(), Status> {
        let behalf = request.extensions_mut().remove::<OnBehalf>();
        let (caller, request_id) = match behalf {
            Some(behalf) => (Some(behalf.caller), behalf.request_id),
            None => (None, RequestId::generate()),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the life of a service token begins when it is sent"
        )]
        let now = Utc::now();
        let authorization = self
            .mesh
            .identity
            .authorization(
                self.callee,
                request.uri().path(),
                caller.as_ref(),
                &request_id,
                now,
            )
            .map_err(|error| {
                let answer = ApiError::internal();
                causeway_telemetry::report(&error, answer.error_id, "sign a service token");
                Status::from(answer)
            })?;
        remote::write(request);
        let headers = request.headers_mut();
        headers.insert(http::header::AUTHORIZATION, authorization);
        // Only the door and the channel speak for a caller: what else a request carries is nobody's word.
        headers.remove(SECRET_HEADER);
        if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
            headers.insert(REQUEST_ID_HEADER, value);
        }
        Ok(())
    }

    /// Sends the call; again, a few times, if it is idempotent and the other side did not take it. What a service
    /// itself answers is never repeated, UNAVAILABLE and OVERLOADED included: they say when to come again.
    async fn attempt(&self, request: Request<Body>, repeatable: bool) -> Result<Response<Body>, LinkError> {
        if !repeatable {
            return self.mesh.channel(self.callee)?.oneshot(request).await;
        }
        let (parts, body) = request.into_parts();
        let body: Bytes = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(status) => return Ok(status.into_http()),
        };
        let mut pauses = PAUSES.iter();
        loop {
            let request = Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
            let answer = self.mesh.channel(self.callee)?.oneshot(request).await;
            match (answer, pauses.next()) {
                (Err(error), Some(pause)) if error.is_untaken() => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        service = self.callee,
                        "a call is sent again"
                    );
                    tokio::time::sleep(*pause).await;
                }
                (answer, _) => return answer,
            }
        }
    }
}

/// When the call is over: its own deadline, or that of the call on whose behalf it is made.
fn until(request: &mut Request<Body>, now: Instant) -> Instant {
    let timeout = deadline::read(request.headers())
        .unwrap_or(DEFAULT_DEADLINE)
        .min(MAX_DEADLINE);
    let own = now + timeout;
    let outer = request.extensions_mut().remove::<Until>();
    outer.map_or(own, |Until(outer)| own.min(outer.max(now)))
}
