//! A provider of OpenID Connect that plays by the rules, unless it is told not to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::SigningKey;

/// The id under which the provider knows the client of the tests.
pub const CLIENT_ID: &str = "causeway-of-the-tests";
/// Its secret.
pub const CLIENT_SECRET: &str = "a secret at the provider:+%";

/// Makes an ID token out of the claims that a provider would sign.
type Mint = Box<dyn Fn(&SigningKey, Value) -> String + Send>;

struct Grant {
    challenge: String,
    redirect: String,
    claims: Value,
}

struct Play {
    key: SigningKey,
    now: i64,
    grants: HashMap<String, Grant>,
    mint: Mint,
    metadata: Value,
    statuses: HashMap<&'static str, StatusCode>,
    requests: HashMap<&'static str, usize>,
}

type Shared = Arc<Mutex<Play>>;

/// What a browser comes back with.
#[derive(Debug, Clone)]
pub struct Callback {
    /// The code.
    pub code: String,
    /// The state, as it was asked for.
    pub state: String,
    /// Who answers (RFC 9207).
    pub iss: String,
}

/// A provider on a free port of 127.0.0.1, as long as the value lives.
pub struct OpenIdProvider {
    address: SocketAddr,
    shared: Shared,
    _server: JoinSet<()>,
}

impl OpenIdProvider {
    /// Starts one whose tokens are issued at `now`, in seconds since 1970.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn start(now: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let base = format!("http://{address}");
        let shared = Shared::new(Mutex::new(Play {
            key: SigningKey::generate("provider-1"),
            now,
            grants: HashMap::new(),
            mint: Box::new(|key, claims| key.token(&claims)),
            metadata: json!({
                "issuer": base, "authorization_endpoint": format!("{base}/auth?own=1"),
                "token_endpoint": format!("{base}/token"), "jwks_uri": format!("{base}/jwks"),
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256", "of tomorrow"],
                "authorization_response_iss_parameter_supported": true,
                "an_extension": {"of": "the provider"},
            }),
            statuses: HashMap::new(),
            requests: HashMap::new(),
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", axum::routing::get(metadata))
            .route("/jwks", axum::routing::get(keys))
            .route("/token", axum::routing::post(token))
            .with_state(Arc::clone(&shared));
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

    fn lock(&self) -> MutexGuard<'_, Play> {
        lock(&self.shared)
    }

    /// Its issuer.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets `subject` sign in where a client sent the browser: answers with what the browser comes back.
    ///
    /// # Panics
    /// When the client asked for something else than a code with PKCE by S256, a state and a nonce.
    pub fn sign_in(&self, location: &str, subject: &str) -> Callback {
        let uri: Uri = location.parse().expect("an address");
        assert_eq!(uri.path(), "/auth");
        let Query(asked) = Query::<HashMap<String, String>>::try_from_uri(&uri).expect("a query");
        assert_eq!(asked["own"], "1", "what the endpoint has of its own stays");
        assert_eq!(
            (&*asked["response_type"], &*asked["client_id"]),
            ("code", CLIENT_ID)
        );
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let mut play = self.lock();
        let claims = json!({
            "iss": self.url(), "aud": CLIENT_ID, "sub": subject, "iat": play.now, "exp": play.now + 3600,
            "nonce": asked["nonce"], "email": "ada@example.com", "email_verified": true,
        });
        let code = Uuid::new_v4().to_string();
        play.grants.insert(
            code.clone(),
            Grant {
                challenge: asked["code_challenge"].clone(),
                redirect: asked["redirect_uri"].clone(),
                claims,
            },
        );
        Callback {
            code,
            state: asked["state"].clone(),
            iss: self.url(),
        }
    }

    /// An ID token of that person that answers no sign-in.
    pub fn id_token(&self, subject: &str) -> String {
        let play = self.lock();
        let claims = json!({
            "iss": self.url(), "aud": CLIENT_ID, "sub": subject, "iat": play.now, "exp": play.now + 3600,
        });
        (play.mint)(&play.key, claims)
    }

    /// Makes its ID tokens that way from now on.
    pub fn mint(&self, mint: impl Fn(&SigningKey, Value) -> String + Send + 'static) {
        self.lock().mint = Box::new(mint);
    }

    /// Makes its ID tokens with these claims in the place of its own; `null` leaves one out.
    pub fn claim(&self, changes: Value) {
        self.mint(move |key, mut claims| {
            for (name, value) in changes.as_object().expect("an object") {
                match value {
                    Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                    value => claims[name.as_str()] = value.clone(),
                }
            }
            key.token(&claims)
        });
    }

    /// Says that of itself from now on.
    pub fn publish(&self, name: &str, value: Value) {
        self.lock().metadata[name] = value;
    }

    /// Answers with that status at `metadata`, `keys` or `token` from now on.
    pub fn fail(&self, endpoint: &'static str, status: StatusCode) {
        self.lock().statuses.insert(endpoint, status);
    }

    /// How often `metadata`, `keys` or `token` was asked.
    pub fn requests(&self, endpoint: &str) -> usize {
        self.lock().requests.get(endpoint).copied().unwrap_or_default()
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Play> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(shared: &Shared, endpoint: &'static str, make: impl FnOnce(&mut Play) -> (u16, Value)) -> Response {
    let mut play = lock(shared);
    *play.requests.entry(endpoint).or_default() += 1;
    let (status, body) = match play.statuses.get(endpoint) {
        Some(status) => (*status, "an error page".to_owned()),
        None => {
            let (status, json) = make(&mut play);
            (StatusCode::from_u16(status).expect("a status"), json.to_string())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn metadata(State(shared): State<Shared>) -> Response {
    answer(&shared, "metadata", |play| (200, play.metadata.clone()))
}

async fn keys(State(shared): State<Shared>) -> Response {
    answer(&shared, "keys", |play| (200, json!({"keys": [play.key.jwk()]})))
}

async fn token(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    // A form is written as a query is.
    let uri: Uri = format!("/token?{body}").parse().expect("a form");
    let Query(form) = Query::<HashMap<String, String>>::try_from_uri(&uri).expect("a form");
    answer(&shared, "token", |play| match redeem(play, &headers, &form) {
        Ok(tokens) => (200, tokens),
        Err("invalid_client") => (401, json!({"error": "invalid_client"})),
        Err(word) => (400, json!({"error": word, "error_description": "no"})),
    })
}

/// A code is good once, for the client and the redirect address that it was made for, and for who knows the verifier.
fn redeem(
    play: &mut Play,
    headers: &HeaderMap,
    form: &HashMap<String, String>,
) -> Result<Value, &'static str> {
    // "a secret at the provider:+%" as in a form (RFC 6749 §2.3.1).
    let secret = "a+secret+at+the+provider%3A%2B%25";
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{secret}")));
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if shown != Some(expected.as_str()) {
        return Err("invalid_client");
    }
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if field("grant_type") != "authorization_code" {
        return Err("unsupported_grant_type");
    }
    let grant = play.grants.remove(field("code")).ok_or("invalid_grant")?;
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, field("code_verifier").as_bytes()));
    if challenge != grant.challenge || field("redirect_uri") != grant.redirect {
        return Err("invalid_grant");
    }
    let access = "an access token of the provider";
    let mut claims = grant.claims;
    let hash = digest(&SHA256, access.as_bytes());
    claims["at_hash"] = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]).into();
    Ok(json!({
        "access_token": access, "token_type": "Bearer", "expires_in": 3600,
        "id_token": (play.mint)(&play.key, claims),
    }))
}
