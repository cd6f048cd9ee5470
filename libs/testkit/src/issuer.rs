//! An identity provider that publishes what it is told and signs anything.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// An RSA key of 2048 bits that signs tokens.
pub struct SigningKey {
    kid: String,
    pair: RsaKeyPair,
}

impl SigningKey {
    /// A new key under that id.
    ///
    /// # Panics
    /// Without randomness.
    pub fn generate(kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            pair: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
        }
    }

    /// Its public half as a JWK.
    pub fn jwk(&self) -> Value {
        let numbers = PublicKeyComponents::<Vec<u8>>::from(self.pair.public_key());
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(numbers.n), "e": URL_SAFE_NO_PAD.encode(numbers.e),
        })
    }

    /// Its public half as PEM.
    ///
    /// # Panics
    /// Never, for a key that was generated.
    pub fn public_pem(&self) -> String {
        let der = self.pair.public_key().as_der().expect("an encoding");
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .filter_map(|line| str::from_utf8(line).ok())
            .collect();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
    }

    /// A token as an identity provider makes it.
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.kid});
        self.sign(&header.to_string(), &claims.to_string())
    }

    /// A token with a genuine signature over any text for a header and any text for claims.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = self.signature(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.pair
            .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
            .expect("a signature");
        signature
    }
}

struct Published {
    status: StatusCode,
    body: String,
    delay: Duration,
    fetches: usize,
}

type Shared = Arc<Mutex<Published>>;

/// Publishes keys on a free port of 127.0.0.1 as long as the value lives.
pub struct Issuer {
    address: SocketAddr,
    shared: Shared,
    _server: JoinSet<()>,
}

impl Issuer {
    /// Starts publishing `keys`.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Shared::new(Mutex::new(Published {
            status: StatusCode::OK,
            body: set(keys),
            delay: Duration::ZERO,
            fetches: 0,
        }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            shared,
            _server: server,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its tokens carry as `iss`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its keys are.
    pub fn jwks_url(&self) -> String {
        format!("{}/.well-known/jwks.json", self.url())
    }

    /// Publishes these keys and no others from now on.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.answer(StatusCode::OK, &set(keys));
    }

    /// Answers with that from now on.
    pub fn answer(&self, status: StatusCode, body: &str) {
        let mut published = self.lock();
        (published.status, published.body) = (status, body.to_owned());
    }

    /// Waits so long before each answer from now on.
    pub fn delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// How often the keys were asked for.
    pub fn fetches(&self) -> usize {
        self.lock().fetches
    }
}

fn set(keys: &[&SigningKey]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

async fn answer(State(shared): State<Shared>) -> Response {
    let (status, body, delay) = {
        let mut published = shared.lock().unwrap_or_else(PoisonError::into_inner);
        published.fetches += 1;
        (published.status, published.body.clone(), published.delay)
    };
    tokio::time::sleep(delay).await;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
        .headers_mut()
        .insert(header::LOCATION, http::HeaderValue::from_static("/moved"));
    response
}
