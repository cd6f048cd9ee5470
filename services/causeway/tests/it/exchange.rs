//! A session of Clerk becomes one of ours, over the whole system, against an issuer on this machine.

use causeway_testkit::{Issuer, SigningKey};
use chrono::Utc;
use serde_json::{Value, json};

use crate::http::{Answer, Client};
use crate::mesh::{Mesh, text};

const PARTY: &str = "https://app.example.com";

/// The system with a Clerk instance beside it.
pub(crate) struct World {
    pub(crate) mesh: Mesh,
    issuer: Issuer,
    key: SigningKey,
}

impl World {
    pub(crate) async fn start() -> Self {
        let key = SigningKey::generate("ins_1");
        let issuer = Issuer::start(&[&key]).await;
        let mesh = with_clerk(&issuer).await;
        Self { mesh, issuer, key }
    }

    fn claims(&self, subject: &str) -> Value {
        #[expect(clippy::disallowed_methods, reason = "the service compares it with the clock")]
        let now = Utc::now().timestamp();
        json!({
            "iss": self.issuer.url(), "azp": PARTY, "sub": subject, "sid": "sess_1", "sts": "active", "v": 2,
            "iat": now, "nbf": now - 10, "exp": now + 60, "fva": [1, -1],
        })
    }

    pub(crate) fn token(&self, subject: &str) -> String {
        self.key.token(&self.claims(subject))
    }

    /// The answer to an exchange of that bearer.
    pub(crate) async fn exchange(&self, token: &str, body: Value) -> Answer {
        let client = self.mesh.anonymous().bearer(token);
        client.post("/auth/exchange", body).await
    }
}

async fn with_clerk(issuer: &Issuer) -> Mesh {
    Mesh::with(&[
        ("CLERK_JWKS_URL", &issuer.jwks_url()),
        ("CLERK_AUTHORIZED_PARTIES", PARTY),
    ])
    .await
}

async fn whoami(client: &Client) -> Value {
    client.get("/v1/me").await.json(200)["principal"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_clerk_becomes_one_of_ours() {
    let world = World::start().await;
    let answer = world.exchange(&world.token("user_1"), json!({})).await;
    let session = answer.json(200);
    assert_eq!(
        (&session["token_type"], &session["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    assert_eq!(
        session["issued_token_type"],
        "urn:ietf:params:oauth:token-type:access_token"
    );
    assert!(session.get("refresh_token").is_none() && answer.header("set-cookie").is_empty());
    assert_eq!(answer.header("cache-control"), "no-store");
    let client = world.mesh.anonymous().bearer(&text(&session, "access_token"));
    let principal = whoami(&client).await;
    assert_eq!(principal["workspace_id"], session["workspace_id"]);
    assert_eq!(principal["roles"], json!(["owner"]));
    let log = client
        .get("/v1/audit/events?action=session.opened")
        .await
        .json(200);
    let event = &log["entries"][0]["event"];
    assert_eq!(
        (&event["actor_id"], &event["details"]["method"]),
        (&principal["id"], &json!("clerk")),
        "{log}"
    );
    // Again, with the token in the body, under the other prefix.
    let body = json!({"token": world.token("user_1"), "workspace_id": session["workspace_id"]});
    let again = world
        .mesh
        .anonymous()
        .post("/v1/auth/exchange", body)
        .await
        .json(200);
    let again = world.mesh.anonymous().bearer(&text(&again, "access_token"));
    assert_eq!(whoami(&again).await["id"], principal["id"]);
    world.mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_goes_on_with_a_cookie() {
    let world = World::start().await;
    let answer = world
        .exchange(&world.token("user_1"), json!({"refresh": true}))
        .await;
    let cookie = answer.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with("refresh_token=cw_rt_") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    assert!(!answer.body.contains("cw_rt_"));
    let pair = cookie.split(';').next().unwrap();
    let browser = world.mesh.anonymous().header("cookie", pair);
    let next = browser.post("/auth/refresh", json!({})).await.json(200);
    assert_eq!(next["workspace_id"], answer.json(200)["workspace_id"]);
    world.mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_token_looks_the_same() {
    let world = World::start().await;
    let with = |name: &str, value: Value| {
        let mut claims = world.claims("user_1");
        claims[name] = value;
        world.key.token(&claims)
    };
    let stranger = SigningKey::generate("ins_1");
    let account = world.mesh.account("local").await;
    let bad = [
        with("azp", json!("https://evil.example")),
        with("azp", json!(null)),
        with("iss", json!("https://clerk.example.com")),
        with("exp", json!(1)),
        stranger.token(&world.claims("user_1")),
        account.access_token.clone(),
        "a.b.c".to_owned(),
        "x".repeat(9000),
        "".to_owned(),
    ];
    let mut shown = std::collections::BTreeSet::new();
    for token in &bad {
        let answer = world.exchange(token, json!({})).await;
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        let mut problem = answer.json(401);
        for own in ["error_id", "request_id"] {
            problem.as_object_mut().unwrap().remove(own);
        }
        shown.insert(problem.to_string());
    }
    assert_eq!(shown.len(), 1, "{shown:?}");
    let pending = world.exchange(&with("sts", json!("pending")), json!({})).await;
    assert_eq!(pending.reason(403), "SESSION_PENDING");
    let twice = world
        .exchange(&world.token("user_1"), json!({"token": world.token("user_1")}))
        .await;
    assert_eq!(twice.reason(400), "SEVERAL_CREDENTIALS");
    world.mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_clerk_the_exchange_is_off_and_says_so() {
    let sample = "https://regular-mosquito-10.clerk.accounts.dev/.well-known/jwks.json";
    for settings in [&[][..], &[("CLERK_JWKS_URL", sample)]] {
        let mesh = Mesh::with(settings).await;
        let answer = mesh
            .anonymous()
            .bearer("a.b.c")
            .post("/auth/exchange", json!({}))
            .await;
        assert_eq!(answer.reason(503), "EXCHANGE_DISABLED");
        mesh.account("local").await;
        mesh.end().await;
    }
}

/// EXC-08, B-AUTH-29.
#[tokio::test(flavor = "multi_thread")]
async fn while_clerk_is_down_nobody_is_called_a_liar_and_everybody_else_works() {
    let key = SigningKey::generate("ins_1");
    let issuer = Issuer::start(&[&key]).await;
    issuer.answer(http::StatusCode::BAD_GATEWAY, "");
    let mesh = with_clerk(&issuer).await;
    let world = World { mesh, issuer, key };
    let answer = world.exchange(&world.token("user_1"), json!({})).await;
    assert_eq!(answer.reason(503), "IDENTITY_PROVIDER_UNAVAILABLE");
    let seconds = answer.header("retry-after").parse::<u64>();
    assert!(seconds.is_ok_and(|seconds| (1..=10).contains(&seconds)));
    let account = world.mesh.account("local").await;
    let token = account
        .client
        .post("/v1/tokens", json!({"name": "t"}))
        .await
        .json(200);
    let client = world.mesh.anonymous().bearer(&text(&token, "secret"));
    assert_eq!(whoami(&client).await["id"], json!(account.user_id));
    world.mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_answer_of_its_own_token_alone() {
    let world = World::start().await;
    let exchange = async |token: &str| {
        let client = world
            .mesh
            .anonymous()
            .header("idempotency-key", "k")
            .bearer(token);
        let answer = client.post("/auth/exchange", json!({})).await;
        let session = answer.json(200);
        let client = world.mesh.anonymous().bearer(&text(&session, "access_token"));
        (
            text(&whoami(&client).await, "id"),
            answer.header("idempotency-replayed") == "true",
        )
    };
    let (one, two) = (world.token("user_1"), world.token("user_2"));
    let (ada, _) = exchange(&one).await;
    let (eve, replayed) = exchange(&two).await;
    assert!(ada != eve && !replayed);
    assert_eq!(exchange(&one).await, (ada, true));
    world.mesh.end().await;
}
