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

use crate::refusal::refuse_request;
use crate::rpc::Origin;
use crate::wire::Wire;
use crate::{Gateway, rpc};

/// What of a client's metadata goes on to a service.
const PASSED: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::TE,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("grpc-accept-encoding"),
];

const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Passes a call to the service that answers it. Every RPC takes one message: it is read whole, so that a cut one is
/// refused here, and can be sent again.
pub(crate) async fn pass(
    gateway: &Arc<Gateway>,
    method: &'static Method,
    request: Request<Body>,
) -> Response {
    let forward = Forward {
        gateway: Arc::clone(gateway),
        method,
        origin: Arc::new(Origin::of(&request)),
    };
    let (parts, body) = request.into_parts();
    match rpc::read(body).await {
        Ok(body) => unwrapped(forward, Request::from_parts(parts, Body::from(body))).await,
        Err(error) => refuse_request(&Request::from_parts(parts, ()), error),
    }
}

/// Answers health and reflection.
pub(crate) async fn own(gateway: &Arc<Gateway>, request: Request<Body>) -> Response {
    unwrapped(gateway.health.clone(), request).await
}

/// Lets `service` answer gRPC; gRPC-web is unwrapped before and wrapped after.
async fn unwrapped<S>(service: S, mut request: Request<Body>) -> Response
where
    S: Service<Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let wire = Wire::of(request.headers());
    let answer = if wire.is_some_and(Wire::is_web) {
        answer_in_kind(request.headers_mut(), wire);
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

/// Says the types as the unwrapping reads them: plainly, and the answer in the kind of the request unless another
/// kind of gRPC-web is asked for.
fn answer_in_kind(headers: &mut HeaderMap, wire: Option<Wire>) {
    let Some(own) = wire.and_then(Wire::media_type) else {
        return;
    };
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let accept = if accepted.contains("application/grpc-web-text") {
        Wire::WebText.media_type()
    } else if accepted.contains("application/grpc-web") {
        Wire::Web.media_type()
    } else {
        Some(own.clone())
    };
    headers.insert(header::ACCEPT, accept.unwrap_or_else(|| own.clone()));
    headers.insert(header::CONTENT_TYPE, own);
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
                Err(error) => refused(error),
            })
        })
    }
}

/// An error as gRPC's answer; it always says that nothing but plain messages are accepted.
fn refused(error: ApiError) -> http::Response<tonic::body::Body> {
    let mut response = Status::from(error).into_http();
    response
        .headers_mut()
        .insert(ACCEPT_ENCODING, http::HeaderValue::from_static("identity"));
    response
}

impl Forward {
    async fn forward(
        self,
        request: Request<tonic::body::Body>,
    ) -> Result<http::Response<tonic::body::Body>, ApiError> {
        let (parts, body) = request.into_parts();
        if !is_plain(&parts.headers) {
            return Err(ApiError::new(
                Code::Unimplemented,
                "COMPRESSION_UNSUPPORTED",
                "compressed messages are not accepted",
            ));
        }
        // It came whole: what can fail now is the unwrapping of gRPC-web's text.
        let body = body
            .collect()
            .await
            .map_err(|_| malformed("the body is not base64"))?
            .to_bytes();
        if !is_one_frame(&body) {
            return Err(malformed("the message is cut, compressed or has no frame"));
        }
        let mut request = Request::new(tonic::body::Body::new(http_body_util::Full::new(body)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static(self.method.path);
        *request.headers_mut() = passed(&parts.headers);
        request.extensions_mut().insert(OnBehalf {
            caller: self.origin.caller.clone(),
            request_id: self.origin.request_id.clone(),
        });
        if let Some(remote) = self.origin.remote.clone() {
            request.extensions_mut().insert(remote);
        }
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

fn malformed(message: &'static str) -> ApiError {
    ApiError::new(Code::InvalidArgument, "MALFORMED_MESSAGE", message)
}

fn passed(headers: &HeaderMap) -> HeaderMap {
    let of = |name: &HeaderName| headers.get(name).map(|value| (name.clone(), value.clone()));
    PASSED.iter().filter_map(of).collect()
}

/// Whether the messages of a call are not compressed.
fn is_plain(headers: &HeaderMap) -> bool {
    headers
        .get_all("grpc-encoding")
        .iter()
        .all(|encoding| encoding == "identity")
}

/// Whether `body` is one whole gRPC message with its prefix, not compressed.
fn is_one_frame(body: &Bytes) -> bool {
    if body.first() != Some(&0) {
        return false;
    }
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
        for bad in [
            &[][..],
            &[0, 0, 0],
            &[0, 0, 0, 0, 2, 8],
            &[0, 0, 0, 0, 1, 8, 1],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 255, 255, 255, 255, 8, 1],
        ] {
            assert!(!is_one_frame(&Bytes::copy_from_slice(bad)));
        }
    }

    #[test]
    fn a_text_call_is_answered_in_text_unless_it_asks_otherwise() {
        let answered = |kind: &'static str, accept: &'static str| {
            let mut headers = HeaderMap::from_iter([
                (header::CONTENT_TYPE, http::HeaderValue::from_static(kind)),
                (header::ACCEPT, http::HeaderValue::from_static(accept)),
            ]);
            let wire = Wire::of(&headers);
            answer_in_kind(&mut headers, wire);
            headers[header::ACCEPT].to_str().unwrap().to_owned()
        };
        let text = "application/grpc-web-text+proto";
        assert_eq!(answered("application/grpc-web-text", "*/*"), text);
        assert_eq!(
            answered("application/grpc-web", "application/grpc-web-text"),
            text
        );
        assert_eq!(
            answered("application/grpc-web-text", "application/grpc-web"),
            "application/grpc-web+proto"
        );
    }
}
