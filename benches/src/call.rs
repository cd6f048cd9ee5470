//! One prepared request, sent again and again. Every way is driven by the same generator, so that its own cost is the
//! same everywhere.

use anyhow::{Context as _, Result, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use causeway_mesh::{MeshChannel, OnBehalf};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

/// One byte of flags and four of length before every gRPC message.
const PREFIX: usize = 5;

/// A request that can be sent again.
#[derive(Clone)]
pub(crate) struct Call {
    verb: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    behalf: Option<OnBehalf>,
    grpc: bool,
}

impl Call {
    /// A gRPC call; `path` is the method's.
    pub(crate) fn grpc(path: &'static str, message: &impl Message) -> Self {
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
        body.extend_from_slice(&message.encode_to_vec());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        Self {
            verb: Method::POST,
            uri: Uri::from_static(path),
            headers,
            body: body.freeze(),
            behalf: None,
            grpc: true,
        }
    }

    /// A REST call: a GET without a body, a POST of JSON with one.
    pub(crate) fn rest(path: &str, json: Option<&serde_json::Value>) -> Result<Self> {
        let mut headers = HeaderMap::new();
        if json.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(Self {
            verb: if json.is_some() { Method::POST } else { Method::GET },
            uri: path.parse().context("read a path")?,
            headers,
            body: json.map_or_else(Bytes::new, |json| Bytes::from(json.to_string())),
            behalf: None,
            grpc: false,
        })
    }

    /// The same call with that token.
    pub(crate) fn bearer(mut self, token: &str) -> Result<Self> {
        let value = HeaderValue::try_from(format!("Bearer {token}")).context("write a token")?;
        self.headers.insert(header::AUTHORIZATION, value);
        Ok(self)
    }

    /// The same call on behalf of somebody, for a channel of the mesh, which makes the token itself.
    pub(crate) fn on_behalf(mut self, behalf: OnBehalf) -> Self {
        self.behalf = Some(behalf);
        self
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::new(Full::new(self.body.clone())));
        *request.method_mut() = self.verb.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(behalf) = &self.behalf {
            request.extensions_mut().insert(behalf.clone());
        }
        request
    }

    /// Sends it and reads the answer to its end. An answer that is not a success is an error: it would be measured as
    /// a fast one.
    pub(crate) async fn send(&self, channel: &MeshChannel) -> Result<Bytes> {
        let response = channel.clone().oneshot(self.request()).await.context("send")?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("read the answer")?;
        if self.grpc {
            let status =
                Status::from_header_map(&head.headers).or_else(|| Status::from_header_map(body.trailers()?));
            match status {
                Some(status) if status.code() == Code::Ok => {}
                Some(status) => bail!("{}: {status}", self.uri),
                None => bail!("{}: {} without a gRPC status", self.uri, head.status),
            }
        }
        let body = body.to_bytes();
        if !head.status.is_success() {
            let text = String::from_utf8_lossy(&body).into_owned();
            bail!("{} {}: {}: {text}", self.verb, self.uri, head.status);
        }
        Ok(body)
    }

    /// Sends it and reads the answer's message.
    pub(crate) async fn ask<M: Message + Default>(&self, channel: &MeshChannel) -> Result<M> {
        let body = self.send(channel).await?;
        let message = body.get(PREFIX..).context("the answer has no frame")?;
        M::decode(message).context("decode the answer")
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use causeway_contracts::scoring::v1::GetModelRequest;
    use causeway_mesh::near;
    use http::Response;
    use tower::service_fn;

    use super::*;

    /// Answers everything with that status.
    fn channel(status: Option<&'static str>) -> MeshChannel {
        near(service_fn(move |_: Request<Body>| async move {
            let mut response = Response::new(Body::empty());
            if let Some(status) = status {
                let value = HeaderValue::from_static(status);
                response.headers_mut().insert("grpc-status", value);
            }
            Ok::<_, Infallible>(response)
        }))
    }

    #[tokio::test]
    async fn an_answer_that_is_not_a_success_is_an_error() {
        let call = Call::grpc("/a.B/C", &GetModelRequest { id: "m".to_owned() });
        assert!(call.send(&channel(Some("0"))).await.is_ok());
        assert!(call.send(&channel(Some("14"))).await.is_err());
        assert!(call.send(&channel(None)).await.is_err());
    }
}
