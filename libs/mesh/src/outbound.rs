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
use tonic::body::Body;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::channel::{LinkError, MeshChannel};
use crate::token::ServiceIdentity;
use crate::{REQUEST_ID_HEADER, deadline};

/// The deadline of a call that names none. Longer than three attempts at a model provider (C-13).
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(120);
/// The longest deadline that a caller may ask for.
pub const MAX_DEADLINE: Duration = Duration::from_secs(600);
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The way from one service to all others.
#[derive(Clone)]
pub struct Mesh {
    identity: ServiceIdentity,
    links: Arc<RwLock<HashMap<&'static str, MeshChannel>>>,
}

/// For whom a call is made: put into a request's extensions, read by the channel.
#[derive(Debug, Clone)]
pub struct OnBehalf {
    /// The end user.
    pub caller: Caller,
    /// The request at the door.
    pub request_id: RequestId,
}

/// A request on behalf of the caller of `ctx`. Without it the other side sees the calling service itself.
pub fn on_behalf<T>(ctx: &CallContext, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
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
        Box::pin(self.clone().send(request))
    }
}

impl Outbound {
    async fn send(self, mut request: Request<Body>) -> Result<Response<Body>, LinkError> {
        let started = Instant::now();
        let table = method(request.uri().path());
        let timeout = deadline::read(request.headers())
            .unwrap_or(DEFAULT_DEADLINE)
            .min(MAX_DEADLINE);
        deadline::write(request.headers_mut(), timeout);
        causeway_telemetry::inject(request.headers_mut());
        if let Err(status) = self.present(&mut request) {
            return Ok(status.into_http());
        }
        let repeatable = table.is_some_and(|method| method.idempotency != Idempotency::Unknown);
        let answer = tokio::time::timeout(timeout, self.attempt(request, repeatable)).await;
        let answer = answer.unwrap_or_else(|_| Ok(deadline::exceeded().into_http()));
        let code = match &answer {
            Ok(response) => code_of(response),
            Err(_) => Code::Unavailable,
        };
        causeway_telemetry::metrics::record_call(
            "client",
            self.callee,
            table.map_or("unknown", |method| method.name),
            code_name(code),
            started.elapsed().as_secs_f64(),
        );
        answer.map(|response| response.map(|body| deadline::bound(body, started + timeout)))
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
                tracing::error!(error = &error as &dyn std::error::Error, "sign a service token");
                Status::from(ApiError::internal())
            })?;
        let headers = request.headers_mut();
        headers.insert(http::header::AUTHORIZATION, authorization);
        if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
            headers.insert(REQUEST_ID_HEADER, value);
        }
        Ok(())
    }

    async fn attempt(&self, request: Request<Body>, repeatable: bool) -> Result<Response<Body>, LinkError> {
        if !repeatable {
            return self.mesh.channel(self.callee)?.oneshot(request).await;
        }
        let (parts, body) = request.into_parts();
        let body: Bytes = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(status) => return Ok(status.into_http()),
        };
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            let request = Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
            let answer = self.mesh.channel(self.callee)?.oneshot(request).await;
            if !is_passing(&answer) {
                return answer;
            }
            tokio::time::sleep(pause).await;
            pause *= 4;
        }
        self.mesh
            .channel(self.callee)?
            .oneshot(Request::from_parts(parts, Body::new(Full::new(body))))
            .await
    }
}

/// Whether another attempt may succeed: the other side did not take the call.
fn is_passing(answer: &Result<Response<Body>, LinkError>) -> bool {
    match answer {
        Ok(response) => {
            response.headers().contains_key("grpc-status") && code_of(response) == Code::Unavailable
        }
        Err(LinkError::Transport(_)) => true,
        Err(LinkError::Unknown(_)) => false,
    }
}

/// The code in the headers: only a failed call has one there, a good one says it in the trailers.
pub(crate) fn code_of(response: &Response<Body>) -> Code {
    response
        .headers()
        .get("grpc-status")
        .map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

/// The code as a metric label.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
