//! gRPC, passed through without decoding, and gRPC-web, unwrapped first.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use causeway_contracts::Method;
use causeway_errors::{ApiError, Code};
use causeway_mesh::OnBehalf;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, Request, header};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, Service, ServiceExt as _};

use crate::rpc::Origin;
use crate::{Gateway, rpc};

/// What of a client's metadata goes on to a service.
const PASSED: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::TE,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("grpc-accept-encoding"),
];

/// Passes a call to the service that answers it.
pub(crate) async fn pass(
    gateway: &Arc<Gateway>,
    method: &'static Method,
    request: Request<Body>,
) -> Response {
    let origin = Origin::of(&request);
    let forward = Forward {
        gateway: Arc::clone(gateway),
        method,
        origin: Arc::new(origin),
    };
    unwrapped(forward, request).await
}

/// Answers health and reflection.
pub(crate) async fn own(gateway: &Arc<Gateway>, request: Request<Body>) -> Response {
    unwrapped(gateway.health.clone(), request).await
}

/// Lets `service` answer gRPC; gRPC-web is unwrapped before and wrapped after.
async fn unwrapped<S>(service: S, request: Request<Body>) -> Response
where
    S: Service<Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let web = request.headers().get(header::CONTENT_TYPE);
    let web = web.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc-web"));
    let answer = if web {
        GrpcWebLayer::new()
            .layer(service)
            .oneshot(request)
            .await
            .map(|response| response.map(Body::new))
    } else {
        service
            .oneshot(request.map(tonic::body::Body::new))
            .await
            .map(|response| response.map(Body::new))
    };
    match answer {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[derive(Clone)]
struct Forward {
    gateway: Arc<Gateway>,
    method: &'static Method,
    origin: Arc<Origin>,
}

impl Service<Request<tonic::body::Body>> for Forward {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            Ok(match this.forward(request).await {
                Ok(response) => response,
                Err(error) => Status::from(error).into_http(),
            })
        })
    }
}

impl Forward {
    async fn forward(
        self,
        request: Request<tonic::body::Body>,
    ) -> Result<http::Response<tonic::body::Body>, ApiError> {
        let (parts, body) = request.into_parts();
        // Every RPC takes one message: it is read whole, so that a cut one is refused here, and can be sent again.
        let body = rpc::read(Body::new(body.map_err(axum::Error::new))).await?;
        if !is_one_frame(&body) {
            return Err(ApiError::new(
                Code::InvalidArgument,
                "MALFORMED_MESSAGE",
                "the message is cut or has no frame",
            ));
        }
        let mut request = Request::new(tonic::body::Body::new(http_body_util::Full::new(body)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static(self.method.path);
        *request.headers_mut() = passed(&parts.headers);
        request.extensions_mut().insert(OnBehalf {
            caller: self.origin.caller.clone(),
            request_id: self.origin.request_id.clone(),
        });
        self.gateway
            .mesh
            .to(self.method.owner)
            .oneshot(request)
            .await
            .map_err(|error| {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    service = self.method.owner,
                    "a service is not reachable"
                );
                ApiError::unavailable("SERVICE_UNAVAILABLE")
            })
    }
}

fn passed(headers: &HeaderMap) -> HeaderMap {
    let of = |name: &HeaderName| headers.get(name).map(|value| (name.clone(), value.clone()));
    PASSED.iter().filter_map(of).collect()
}

/// Whether `body` is one whole gRPC message with its prefix.
fn is_one_frame(body: &Bytes) -> bool {
    let length = body
        .get(1..5)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_be_bytes);
    length
        .and_then(|length| usize::try_from(length).ok())
        .is_some_and(|length| body.len() == 5 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_message_is_not_a_frame() {
        assert!(is_one_frame(&Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1])));
        for bad in [&[][..], &[0, 0, 0], &[0, 0, 0, 0, 2, 8], &[0, 0, 0, 0, 1, 8, 1]] {
            assert!(!is_one_frame(&Bytes::copy_from_slice(bad)));
        }
    }
}
