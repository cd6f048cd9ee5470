//! Access tokens that are signed with a pair of keys (JWT-12, JWT-14), and every kind of credential at the doors of the
//! others (JWT-06), over the whole system.

use causeway_context::WorkspaceId;
use causeway_contracts::Role;
use causeway_crypto::{AccessTokenKeys, MfaTokenKey, PublicKey, ServiceClaims, ServiceTokenKeys};
use chrono::Utc;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::Client;
use crate::mesh::{Mesh, SIGNING_SECRET, access_token, account, text};
use crate::processes::Fleet;

/// Everybody has it: RFC 8037, appendix A.
const PAIR: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// The public half of RFC 7515, appendix A.3.
const NEXT: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"next"}]}"#;
const INTERNAL_SECRET: &str = "an internal secret of the tests, 32 bytes or more";

async fn signed_by_a_pair() -> Mesh {
    Mesh::with(&[
        ("JWT_SIGNING_ALGORITHM", "EdDSA"),
        ("JWT_SIGNING_PRIVATE_KEY", PAIR),
        ("JWT_VERIFYING_PUBLIC_KEYS", NEXT),
    ])
    .await
}

fn header(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').next().unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// JWT-12, JWT-14.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_keys_signs_and_the_published_half_verifies() {
    let mesh = signed_by_a_pair().await;
    let account = mesh.account("pair").await;
    assert_eq!(account.client.get("/v1/me").await.status, 200);
    let answer = mesh.anonymous().get("/.well-known/jwks.json").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let set = answer.json(200);
    let names: Vec<&str> = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap())
        .collect();
    let own = header(&account.access_token);
    assert_eq!((&own["alg"], &own["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
    assert_eq!(
        names,
        [own["kid"].as_str().unwrap(), "next"],
        "the next key is there before it signs"
    );
    // Anybody can verify by what is published.
    let keys = PublicKey::read_jwks(set.to_string().as_bytes()).unwrap();
    let anybody = AccessTokenKeys::verify_only(None, None).accepting(keys).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the token was made by the clock")]
    let now = Utc::now();
    assert_eq!(
        anybody.verify(&account.access_token, now).unwrap().sub,
        account.user_id
    );
    // A token of the secret that is set beside it, and that used to sign, proves nothing.
    let old = access_token(WorkspaceId::generate(), &[Role::Owner]);
    assert_eq!(mesh.anonymous().bearer(&old).get("/v1/me").await.status, 401);
    mesh.end().await;
}

/// JWT-14, over six processes: auth alone has the private half, and gateways go on without it.
#[tokio::test(flavor = "multi_thread")]
async fn gateways_verify_with_what_auth_publishes_and_go_on_while_it_is_away() {
    let private = [
        ("JWT_SIGNING_PRIVATE_KEY", PAIR),
        ("JWT_VERIFYING_PUBLIC_KEYS", NEXT),
    ];
    let everybody = [("JWT_SIGNING_ALGORITHM", "EdDSA")];
    let Some(mut fleet) = Fleet::with_secrets_of("auth", &private, &everybody).await else {
        return;
    };
    let (one, two) = (fleet.base.clone(), fleet.gateway().await);
    let ada = account(&Client::new(&one), "ada").await;
    assert_eq!(header(&ada.access_token)["alg"], "EdDSA");
    let at = |base: &str, token: &str| Client::new(base).bearer(token);
    for base in [&one, &two] {
        at(base, &ada.access_token).get("/v1/secrets").await.json(200);
        let set = Client::new(base).get("/.well-known/jwks.json").await.json(200);
        assert_eq!(set["keys"].as_array().unwrap().len(), 2, "{set}");
    }
    // What the secret signed, which every process still has, proves nothing.
    let by_secret = access_token(WorkspaceId::generate(), &[Role::Owner]);
    fleet.kill("auth").await;
    for base in [&one, &two] {
        at(base, &ada.access_token).get("/v1/secrets").await.json(200);
        assert_eq!(at(base, &by_secret).get("/v1/secrets").await.status, 401);
    }
    fleet.serve("auth");
    let login = json!({"email": ada.email, "password": ada.password});
    let back = std::time::Instant::now();
    let session = loop {
        let answer = Client::new(&one).post("/auth/login", login.clone()).await;
        if answer.status == 200 {
            break answer.json(200);
        }
        assert!(
            back.elapsed() < std::time::Duration::from_secs(30),
            "auth is back"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let again = text(&session, "access_token");
    assert_eq!(header(&again)["kid"], header(&ada.access_token)["kid"]);
    at(&two, &again).get("/v1/secrets").await.json(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_publishes_nothing() {
    let mesh = Mesh::start().await;
    let answer = mesh.anonymous().get("/.well-known/jwks.json").await;
    assert_eq!(answer.json(200), json!({"keys": []}));
    mesh.end().await;
}

/// JWT-06: each credential where another one is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_credential_is_refused_wherever_another_is_asked_for() {
    let mesh = Mesh::with(&[("INTERNAL_SERVICE_SECRET", INTERNAL_SECRET)]).await;
    let account = mesh.account("kinds").await;
    let personal = account
        .client
        .post("/v1/tokens", json!({"name": "t"}))
        .await
        .json(200);
    let asked = json!({"name": "c", "scopes": ["secrets.read"]});
    let program = account.client.post("/v1/clients", asked).await.json(200);
    let login = json!({"email": account.email, "password": account.password});
    let session = mesh.anonymous().post("/auth/login", login).await;
    let refresh = session
        .header("set-cookie")
        .split(['=', ';'])
        .nth(1)
        .unwrap()
        .to_owned();
    let kinds = [
        ("access", account.access_token.clone()),
        ("personal", text(&personal, "secret")),
        ("refresh", refresh),
        ("client secret", text(&program, "client_secret")),
        ("mfa", mfa_token(&account.user_id)),
        ("service", service_token()),
    ];
    for (kind, credential) in &kinds {
        let who = mesh.anonymous().bearer(credential).get("/v1/me").await.status;
        let known = ["access", "personal"].contains(kind);
        assert_eq!(who, if known { 200 } else { 401 }, "{kind} as a bearer");
        if *kind != "refresh" {
            let body = json!({"refresh_token": credential});
            let status = mesh.anonymous().post("/auth/refresh", body).await.status;
            assert!(
                [400, 401].contains(&status.as_u16()),
                "{kind} as a refresh token: {status}"
            );
        }
        let body = json!({"mfa_token": credential, "code": "123456"});
        let status = mesh.anonymous().post("/auth/mfa/verify", body).await.status;
        assert!(
            [400, 401].contains(&status.as_u16()),
            "{kind} between the steps of a login: {status}"
        );
        if *kind != "client secret" {
            let body = json!({
                "grant_type": "client_credentials", "client_id": text(&program, "client_id"), "client_secret": credential,
            });
            let status = mesh.anonymous().post("/auth/token", body).await.status;
            assert_eq!(status, 401, "{kind} as a client's secret");
        }
    }
    mesh.end().await;
}

fn mfa_token(user: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the token is compared with the clock")]
    let now = Utc::now().timestamp();
    let claims = json!({
        "aud": "auth", "sub": user, "exp": now + 300, "nbf": now, "iat": now, "jti": Uuid::now_v7(),
        "workspace_id": Uuid::now_v7(), "method": "password", "proof": "p",
    });
    let key = MfaTokenKey::new(&SecretString::from(SIGNING_SECRET));
    key.sign(&serde_json::from_value(claims).unwrap()).unwrap()
}

fn service_token() -> String {
    #[expect(clippy::disallowed_methods, reason = "the token is compared with the clock")]
    let now = Utc::now().timestamp();
    let claims = ServiceClaims {
        iss: "operator".to_owned(),
        aud: "auth".to_owned(),
        method: "*".to_owned(),
        jti: Uuid::now_v7().to_string(),
        iat: now,
        exp: now + 60,
        request_id: Uuid::now_v7().to_string(),
        caller: Value::Null,
    };
    ServiceTokenKeys::new(&SecretString::from(INTERNAL_SECRET), None)
        .sign(&claims)
        .unwrap()
}
