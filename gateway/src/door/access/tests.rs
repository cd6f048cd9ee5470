//! The door with public keys alone, and an auth service that publishes them, changes them, or is away.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::{BufMut as _, Bytes, BytesMut};
use causeway_contracts::auth::v1::GetJwksResponse;
use causeway_contracts::to_struct;
use causeway_crypto::{JwkSet, ServiceTokenKeys};
use causeway_mesh::ServiceIdentity;
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message as _;
use tonic::Status;
use tower::service_fn;
use tower::util::BoxCloneSyncService;

use super::*;

/// Everybody has them: RFC 8037, appendix A, and RFC 7515, appendix A.3.
const FIRST: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const SECOND: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
const SECRET: &str = "a secret of the tests, 32 bytes or more";
const NOW: i64 = 1_800_000_000;
const COOL_DOWN: Duration = Duration::from_secs(30);

/// An auth service that only publishes keys.
#[derive(Default)]
struct Auth {
    published: Mutex<JwkSet>,
    asked: AtomicUsize,
    is_away: AtomicBool,
}

struct World {
    auth: Arc<Auth>,
    door: Published,
    elapsed: Arc<AtomicU64>,
}

fn world(first: &AccessTokenKeys) -> World {
    let auth = Arc::new(Auth::default());
    auth.publish(first);
    let keys = Arc::new(ServiceTokenKeys::new(&SECRET.into(), None));
    let mesh = Mesh::new(ServiceIdentity::new("gateway", keys));
    let answering = Arc::clone(&auth);
    let link = service_fn(move |_: Request<tonic::body::Body>| {
        let auth = Arc::clone(&answering);
        async move { Ok(auth.answer()) }
    });
    mesh.link("auth", BoxCloneSyncService::new(link));
    let (elapsed, start) = (Arc::<AtomicU64>::default(), Instant::now());
    let offset = Arc::clone(&elapsed);
    let clock: Clock = Arc::new(move || start + Duration::from_secs(offset.load(Ordering::SeqCst)));
    World {
        auth,
        door: Published::by(&config(), &mesh, clock),
        elapsed,
    }
}

fn config() -> AccessConfig {
    AccessConfig {
        secret: None,
        issuer: Some("us".to_owned()),
        audience: None,
        longest: TimeDelta::minutes(15),
    }
}

impl Auth {
    fn publish(&self, keys: &AccessTokenKeys) {
        *self.published.lock().unwrap() = keys.jwks();
    }

    fn answer(&self) -> http::Response<tonic::body::Body> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Status::unavailable("away").into_http();
        }
        let set = serde_json::to_value(&*self.published.lock().unwrap()).unwrap();
        let keys = set["keys"].as_array().unwrap().iter();
        let keys = keys.map(|key| to_struct(key.as_object().unwrap())).collect();
        let message = GetJwksResponse { keys }.encode_to_vec();
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).unwrap());
        frame.extend_from_slice(&message);
        let end = (
            HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        );
        let frames = [
            Frame::data(Bytes::from(frame)),
            Frame::trailers(HeaderMap::from_iter([end])),
        ];
        let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Status>)));
        http::Response::new(tonic::body::Body::new(body))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl World {
    async fn verdict(&self, token: &str, seconds: i64) -> Result<String, String> {
        let claims = self.door.verify(token, at(seconds)).await;
        let claims = claims.map_err(|error| error.reason.into_owned())?;
        Ok(claims.sub.clone())
    }

    fn pass(&self, time: Duration) {
        self.elapsed.fetch_add(time.as_secs(), Ordering::SeqCst);
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(NOW + seconds, 0).unwrap()
}

fn ring(text: &str) -> AccessTokenKeys {
    AccessTokenKeys::from_private_key(&text.into(), Some("us".to_owned()), None).unwrap()
}

fn claims(sub: &str, life: i64) -> AccessClaims {
    let claims = json!({
        "sub": sub, "iat": NOW, "nbf": NOW, "exp": NOW + life, "jti": "j", "sid": "s", "workspace_id": "w",
        "roles": ["owner"], "scope": "", "mfa": false,
    });
    serde_json::from_value(claims).unwrap()
}

fn token(ring: &AccessTokenKeys, sub: &str) -> String {
    ring.sign(&claims(sub, 900)).unwrap()
}

const ACCEPTED: &str = "person";
const REFUSED: &str = "UNAUTHENTICATED";

#[tokio::test]
async fn a_token_is_verified_by_what_auth_publishes_and_by_one_fetch() {
    let ring = ring(FIRST);
    let world = world(&ring);
    for person in 0..50 {
        let sub = format!("person-{person}");
        assert_eq!(world.verdict(&token(&ring, &sub), 0).await, Ok(sub));
    }
    assert_eq!(world.auth.asked(), 1);
}

/// JWT-01, JWT-14: nothing that is signed with a secret counts, and the door asks nobody about it.
#[tokio::test]
async fn a_secret_signs_nothing_here() {
    let world = world(&ring(FIRST));
    let published = serde_json::to_string(&ring(FIRST).jwks()).unwrap();
    for secret in [SECRET, "dev-secret-change-me", &published, ""] {
        let forged = AccessTokenKeys::new(&secret.into(), Some("us".to_owned()), None);
        let refused = world.verdict(&token(&forged, ACCEPTED), 0).await;
        assert_eq!(refused, Err(REFUSED.to_owned()));
    }
    assert_eq!(world.auth.asked(), 0);
}

/// JWT-12: the next key is known before it signs, or by the one fetch that its first token costs.
#[tokio::test]
async fn keys_roll_and_the_door_follows() {
    let (old, new) = (ring(FIRST), ring(SECOND));
    let before = token(&old, ACCEPTED);
    let world = world(&old);
    assert!(world.verdict(&before, 0).await.is_ok());
    let rolled = ring(SECOND).accepting(old.public_keys().cloned()).unwrap();
    world.auth.publish(&rolled);
    world.pass(COOL_DOWN);
    assert_eq!(
        world.verdict(&token(&new, "after"), 0).await.as_deref(),
        Ok("after")
    );
    assert!(world.verdict(&before, 0).await.is_ok());
    assert_eq!(world.auth.asked(), 2);
    // The old key is taken back: it counts no longer than the keys are fresh, and what was verified half a minute more.
    world.auth.publish(&new);
    world.pass(Duration::from_secs(600));
    world.door.keys.refresh().await;
    assert!(world.verdict(&before, 1).await.is_ok(), "remembered");
    assert_eq!(world.verdict(&before, 31).await, Err(REFUSED.to_owned()));
    assert_eq!(
        world.verdict(&token(&old, "late"), 1).await,
        Err(REFUSED.to_owned())
    );
}

/// JWK-03, JWK-04.
#[tokio::test]
async fn while_auth_is_away_what_is_known_goes_on_and_the_rest_may_come_again() {
    let (known, unknown) = (ring(FIRST), ring(SECOND));
    let world = world(&known);
    assert!(world.verdict(&token(&known, ACCEPTED), 0).await.is_ok());
    world.auth.is_away.store(true, Ordering::SeqCst);
    world.pass(Duration::from_secs(3600));
    world.door.keys.refresh().await;
    assert_eq!(
        world.verdict(&token(&known, "another"), 0).await.as_deref(),
        Ok("another")
    );
    let asked = world.auth.asked();
    for _ in 0..1000 {
        let refused = world.verdict(&token(&unknown, ACCEPTED), 0).await;
        assert_eq!(refused, Err("KEYS_UNAVAILABLE".to_owned()), "never 401");
    }
    assert!(world.auth.asked() <= asked + 1, "asked again and again");
    let fresh = super::tests::world(&known);
    fresh.auth.is_away.store(true, Ordering::SeqCst);
    let error = fresh
        .door
        .verify(&token(&known, ACCEPTED), at(0))
        .await
        .unwrap_err();
    assert!(
        error
            .retry_after
            .is_some_and(|delay| delay >= Duration::from_secs(1)),
        "{error:?}"
    );
}

/// JWK-06.
#[tokio::test]
async fn an_empty_set_takes_no_key_away() {
    let ring = ring(FIRST);
    let world = world(&ring);
    assert!(world.verdict(&token(&ring, ACCEPTED), 0).await.is_ok());
    world
        .auth
        .publish(&AccessTokenKeys::new(&SECRET.into(), None, None));
    world.pass(Duration::from_secs(600));
    world.door.keys.refresh().await;
    assert!(world.verdict(&token(&ring, "another"), 0).await.is_ok());
}

#[tokio::test]
async fn what_was_verified_is_known_for_half_a_minute_and_never_beyond_its_end() {
    let ring = ring(FIRST);
    let world = world(&ring);
    let short = ring.sign(&claims(ACCEPTED, 10)).unwrap();
    let digest = token::hash(&short);
    assert!(world.verdict(&short, 0).await.is_ok());
    assert!(world.door.verified.get(&digest, at(9)).is_some());
    assert!(world.door.verified.get(&digest, at(10)).is_none());
    assert!(
        world.door.verified.get(&digest, at(-1)).is_none(),
        "the clock was put back"
    );
    let long = super::tests::token(&ring, ACCEPTED);
    assert!(world.verdict(&long, 0).await.is_ok());
    let digest = token::hash(&long);
    assert!(world.door.verified.get(&digest, at(29)).is_some());
    assert!(world.door.verified.get(&digest, at(30)).is_none());
    // One byte more is another token.
    assert_eq!(
        world.verdict(&format!("{long}A"), 0).await,
        Err(REFUSED.to_owned())
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let (verified, claims) = (Verified::default(), Arc::new(claims(ACCEPTED, 900)));
    let put = |index: usize, now| {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&index.to_be_bytes());
        verified.put(digest, &claims, now);
    };
    (0..MOST + 10).for_each(|index| put(index, at(0)));
    assert_eq!(verified.entries().tokens.len(), MOST);
    put(MOST + 10, at(30));
    assert_eq!(verified.entries().tokens.len(), 1, "what is over made room");
}
