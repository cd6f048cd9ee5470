//! What authentication adds at the door. The whole gateway in this process, without a socket, in front of a service that
//! answers at once: a call that needs no credential, and one that needs any, by turns.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use causeway_contracts::auth::v1::GetJwksResponse;
use causeway_contracts::to_struct;
use causeway_crypto::{AccessTokenKeys, ServiceTokenKeys};
use causeway_gateway::Config;
use causeway_mesh::{Mesh, ServiceIdentity};
use causeway_settings::{Owner, Settings, Sources};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use secrecy::SecretString;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

use crate::program::SECRET;
use crate::spread::{Spread, nanos};
use crate::{Kind, added, at_the_door};

const CALLS: usize = 20_000;
/// Anybody may ask.
const OPEN: &str = "/.well-known/oauth-authorization-server";
/// Any known caller may ask.
const KNOWN: &str = "/v1/permissions";

pub(crate) async fn measure() -> Result<()> {
    println!("\nat the door, in process and without a socket, warm:\n");
    println!("| | p50 µs | p99 µs | p50 added µs | p99 added µs |");
    println!("|---|---:|---:|---:|---:|");
    for kind in [Kind::secret()?, Kind::ed25519()?] {
        let door = door(&kind)?;
        let (mut open, mut known) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
        for call in 0..CALLS + CALLS / 10 {
            let without = ask(&door, OPEN, None).await?;
            let with = ask(&door, KNOWN, Some(&kind.token)).await?;
            if call >= CALLS / 10 {
                open.push(without);
                known.push(with);
            }
        }
        let (open, known) = (Spread::of(open), Spread::of(known));
        let row = |name: &str, seen: &Spread| {
            format!(
                "| {name}, {} | {:.1} | {:.1} | {:.1} | {:.1} |",
                kind.name,
                seen.at(50.0),
                seen.at(99.0),
                added(seen, &open, 50.0),
                added(seen, &open, 99.0)
            )
        };
        println!("{}\n{}", row("no credential", &open), row("a token", &known));
        at_the_door(added(&known, &open, 99.0), kind.name);
    }
    Ok(())
}

async fn ask(door: &Router, path: &str, token: Option<&str>) -> Result<u64> {
    let mut request = Request::get(path).header("host", "bench");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::empty())?;
    let began = Instant::now();
    let Ok(answer) = door.clone().oneshot(request).await;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    let took = nanos(began);
    if status != StatusCode::OK {
        bail!("{path} answers {status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(took)
}

/// A gateway that verifies tokens of that kind.
fn door(kind: &Kind) -> Result<Router> {
    let pairs = [
        ("NODE_ENV", "test"),
        ("JWT_SIGNING_SECRET", SECRET),
        ("JWT_SIGNING_ALGORITHM", kind.name),
    ];
    let settings = Settings::resolve(&Sources::from_pairs(pairs), &[Owner::Gateway]);
    let settings = settings.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let config = Config::from_settings(&settings).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let keys = ServiceTokenKeys::new(&SecretString::from(SECRET), None);
    let mesh = Mesh::new(ServiceIdentity::new("gateway", Arc::new(keys)));
    let published = published(&kind.keys)?;
    let auth = service_fn(move |request: Request<tonic::body::Body>| {
        let keys = request.uri().path().ends_with("/GetJwks");
        let message = if keys { published.clone() } else { Bytes::new() };
        async move { Ok(answer(&message)) }
    });
    mesh.link("auth", BoxCloneSyncService::new(auth));
    let (router, _work) = causeway_gateway::router(config, mesh, tonic::service::Routes::default());
    Ok(router)
}

fn published(keys: &AccessTokenKeys) -> Result<Bytes> {
    let set = serde_json::to_value(keys.jwks())?;
    let keys = set["keys"].as_array().context("a set has keys")?;
    let keys = keys.iter().filter_map(|key| key.as_object().map(to_struct));
    let message = GetJwksResponse { keys: keys.collect() };
    Ok(message.encode_to_vec().into())
}

/// A message and a good end.
fn answer(message: &[u8]) -> Response<tonic::body::Body> {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or_default());
    frame.extend_from_slice(message);
    let mut end = HeaderMap::new();
    end.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(async move { Some(Ok(end)) });
    let mut response = Response::new(tonic::body::Body::new(
        body.map_err(|never: Infallible| match never {}),
    ));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
