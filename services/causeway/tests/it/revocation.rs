//! The end of sessions, roles and tokens, seen from two gateways; and auth that dies in the middle of it.

use std::time::{Duration, Instant};

use causeway_testkit::Moto;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::http::Client;
use crate::mesh::{Account, account, text};
use crate::processes::{Fleet, Whole};

/// Within this time what was revoked is refused everywhere (REF-06, TOK-04, RBAC-04).
const EVERYWHERE: Duration = Duration::from_secs(5);

/// The same credential at another gateway.
fn at(base: &str, token: &str) -> Client {
    Client::new(base).bearer(token)
}

async fn login(client: &Client, account: &Account, workspace: &str) -> Value {
    let body = json!({"email": account.email, "password": account.password, "workspace_id": workspace});
    client.post("/auth/login", body).await.json(200)
}

/// How long it takes until each of the clients is refused.
pub(crate) async fn until_refused(clients: &[Client]) -> Duration {
    let started = Instant::now();
    for client in clients {
        while client.get("/v1/me").await.status != 401 {
            assert!(started.elapsed() < EVERYWHERE, "still let in");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_at_one_gateway_is_refused_at_both_within_five_seconds() {
    let Some(mut fleet) = Fleet::with(&[]).await else {
        return;
    };
    let (one, two) = (fleet.base.clone(), fleet.gateway().await);
    let here = Client::new(&one);
    let both = |token: &str| [at(&one, token), at(&two, token)];
    let ada = account(&here, "ada").await;
    let bob = account(&here, "bob").await;
    let mut delays = Vec::new();

    // A session.
    let session = login(&here, &ada, "").await;
    let token = text(&session, "access_token");
    for client in both(&token) {
        client.get("/v1/me").await.json(200);
    }
    ada.client
        .delete(&format!("/v1/me/sessions/{}", text(&session, "session_id")))
        .await
        .json(200);
    delays.push(("session", until_refused(&both(&token)).await));
    ada.client.get("/v1/me").await.json(200);

    // A logout.
    let session = login(&here, &ada, "").await;
    let token = text(&session, "access_token");
    let cookie = "refresh_token";
    let again = here
        .post(
            "/auth/login",
            json!({"email": ada.email, "password": ada.password}),
        )
        .await;
    let set = again.header("set-cookie").to_owned();
    let other = text(&again.json(200), "access_token");
    let refresh = set.split(';').next().unwrap().to_owned();
    assert!(refresh.starts_with(cookie), "{set}");
    Client::new(&two)
        .header("cookie", &refresh)
        .post("/auth/logout", json!({}))
        .await
        .json(200);
    delays.push(("logout", until_refused(&both(&other)).await));
    at(&two, &token).get("/v1/me").await.json(200);

    // A personal access token.
    let pat = ada
        .client
        .post("/v1/tokens", json!({"name": "t"}))
        .await
        .json(200);
    let secret = text(&pat, "secret");
    for client in both(&secret) {
        client.get("/v1/me").await.json(200);
    }
    ada.client
        .delete(&format!("/v1/tokens/{}", text(&pat, "id")))
        .await
        .json(200);
    delays.push(("token", until_refused(&both(&secret)).await));

    // A role, and a membership.
    let member = format!("/v1/members/{}", bob.user_id);
    let added = json!({"user_id": bob.user_id, "role": "admin"});
    ada.client.post("/v1/members", added).await.json(200);
    let admin = text(&login(&here, &bob, &ada.workspace_id).await, "access_token");
    for client in both(&admin) {
        client.get("/v1/members").await.json(200);
    }
    let change = json!({"role": "viewer"}).to_string();
    let changed = ada
        .client
        .send("PATCH", &member, &change, Some("application/json"))
        .await;
    changed.json(200);
    let viewer = text(&login(&here, &bob, &ada.workspace_id).await, "access_token");
    delays.push(("role", until_refused(&both(&admin)).await));
    for client in both(&viewer) {
        assert_eq!(
            client.get("/v1/me").await.json(200)["principal"]["roles"],
            json!(["viewer"])
        );
    }
    ada.client.delete(&member).await.json(200);
    delays.push(("member", until_refused(&both(&viewer)).await));
    bob.client.get("/v1/me").await.json(200);

    // A person: a new password ends every other session.
    let changed = json!({"current_password": bob.password, "new_password": "a new horse of the battery"});
    let mine = text(&login(&here, &bob, "").await, "access_token");
    at(&two, &mine).post("/v1/me/password", changed).await.json(200);
    delays.push(("person", until_refused(&both(&bob.access_token)).await));
    at(&one, &mine).get("/v1/me").await.json(200);
    println!("refused at two gateways after: {delays:?}");
}

/// Refreshes for as long as auth lives and again when it is back; answers how often, and the newest token.
async fn refresh_on(client: Client, mut token: String, stop: CancellationToken) -> (usize, String) {
    let mut done = 0;
    while !stop.is_cancelled() {
        let answer = client
            .post("/auth/refresh", json!({"refresh_token": token}))
            .await;
        match answer.status.as_u16() {
            200 => {
                token = text(&answer.json(200), "refresh_token");
                done += 1;
            }
            // Nobody answered, or nobody knows whether it was done: the same token is good still (REF-03).
            502..=504 => tokio::time::sleep(Duration::from_millis(20)).await,
            other => panic!("{other}: {}", answer.body),
        }
    }
    (done, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_dies_under_load_and_nothing_is_half_rotated() {
    let Some(mut fleet) = Fleet::with(&[]).await else {
        return;
    };
    let (one, two) = (fleet.base.clone(), fleet.gateway().await);
    let client = Client::new(&one);
    let ada = account(&client, "ada").await;
    let stop = CancellationToken::new();
    let mut loads = tokio::task::JoinSet::new();
    for number in 0..8 {
        let body = json!({"email": ada.email, "password": ada.password});
        let login = client.post("/auth/login", body).await;
        let cookie = login.header("set-cookie").to_owned();
        let token = cookie.split([';', '=']).nth(1).unwrap().to_owned();
        let base = if number % 2 == 0 { &one } else { &two };
        loads.spawn(refresh_on(Client::new(base), token, stop.clone()));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..3 {
        fleet.kill("auth").await;
        let started = Instant::now();
        let mut verified = 0;
        while started.elapsed() < Duration::from_millis(700) {
            for base in [&one, &two] {
                let answer = at(base, &ada.access_token).get("/v1/secrets").await;
                answer.json(200);
                verified += 1;
            }
        }
        println!("verified while auth was away: {verified}");
        fleet.serve("auth");
        let back = Instant::now();
        while client
            .post(
                "/auth/login",
                json!({"email": ada.email, "password": ada.password}),
            )
            .await
            .status
            != 200
        {
            assert!(back.elapsed() < Duration::from_secs(30), "auth is back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    stop.cancel();
    let ended = loads.join_all().await;
    let rotations: usize = ended.iter().map(|(done, _)| done).sum();
    assert!(rotations > 100, "{rotations}");
    for (done, token) in ended {
        assert!(done > 0);
        let answer = client
            .post("/auth/refresh", json!({"refresh_token": token}))
            .await;
        answer.json(200);
    }
    let sessions = ada.client.get("/v1/me/sessions").await.json(200);
    let sessions = sessions["sessions"].as_array().unwrap();
    assert!(sessions.len() >= 9, "no family was revoked: {}", sessions.len());
    println!("rotations over three kills: {rotations}");
}

/// The text of every mail that moto took.
async fn mails(moto: &Moto) -> String {
    let all = Client::new(moto.url()).get("/moto-api/data.json").await;
    all.json(200).to_string()
}

/// The token of that kind in the mails.
async fn mailed(moto: &Moto, prefix: &str) -> String {
    let started = Instant::now();
    loop {
        let text = mails(moto).await;
        if let Some((_, rest)) = text.split_once(&format!("#token={prefix}")) {
            let token = rest.split(|letter: char| !letter.is_ascii_alphanumeric()).next();
            return format!("{prefix}{}", token.unwrap_or_default());
        }
        assert!(started.elapsed() < Duration::from_secs(20), "no mail of {prefix}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_confirmed_and_recovered_by_mail() {
    let Some(moto) = Moto::start().await else { return };
    let url = moto.url().to_owned();
    let identity = json!({"EmailIdentity": "causeway@example.com"});
    let credential =
        "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/ses/aws4_request, SignedHeaders=host, Signature=b";
    Client::new(&url)
        .header("authorization", credential)
        .post("/v2/email/identities", identity)
        .await
        .json(200);
    let environment = [
        ("NODE_ENV", "test"),
        ("SES_FROM_EMAIL", "causeway@example.com"),
        ("SES_ENDPOINT_URL", url.as_str()),
        ("AWS_REGION", "eu-west-1"),
        ("NEXTAUTH_URL", "https://door.example"),
        ("AWS_ACCESS_KEY_ID", "causeway"),
        ("AWS_SECRET_ACCESS_KEY", "of the tests"),
    ];
    let mut whole = Whole::start(&environment, &[]).await;
    let client = Client::new(&whole.base);
    let ada = account(&client, "ada").await;
    assert_eq!(ada.client.get("/v1/me").await.json(200)["email_verified"], false);
    let token = mailed(&moto, "cw_verify_").await;
    let body = json!({"token": token});
    client.post("/auth/verify-email", body.clone()).await.json(200);
    assert_eq!(
        client.post("/auth/verify-email", body).await.reason(400),
        "INVALID_MAIL_TOKEN"
    );
    assert_eq!(ada.client.get("/v1/me").await.json(200)["email_verified"], true);

    for email in [ada.email.as_str(), "nobody@example.com"] {
        let asked = client
            .post("/auth/password/forgot", json!({"email": email}))
            .await;
        assert_eq!((asked.status.as_u16(), asked.body.as_str()), (202, "{}"));
    }
    let token = mailed(&moto, "cw_reset_").await;
    let reset = |password: &str| json!({"token": token, "password": password});
    let common = client
        .post("/auth/password/reset", reset("password1234"))
        .await
        .json(400);
    assert_eq!(common["violations"][0]["field"], "password");
    let password = "a horse that was forgotten";
    client
        .post("/auth/password/reset", reset(password))
        .await
        .json(200);
    until_refused(std::slice::from_ref(&ada.client)).await;
    let old = json!({"email": ada.email, "password": ada.password});
    assert_eq!(
        client.post("/auth/login", old).await.reason(401),
        "INVALID_CREDENTIALS"
    );
    let new = json!({"email": ada.email, "password": password});
    client.post("/auth/login", new).await.json(200);
    assert!(!mails(&moto).await.contains("nobody@example.com"));
    whole.child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_end_with_429_for_everybody_alike() {
    let mesh = crate::mesh::Mesh::start().await;
    let ada = mesh.account("ada").await;
    for email in [ada.email.as_str(), "nobody@example.com"] {
        let wrong = json!({"email": email, "password": "a wrong password"});
        let refused = loop {
            let answer = mesh.anonymous().post("/auth/login", wrong.clone()).await;
            match answer.status.as_u16() {
                401 => assert_eq!(answer.reason(401), "INVALID_CREDENTIALS"),
                _ => break answer,
            }
        };
        assert_eq!(refused.reason(429), "TOO_MANY_GUESSES", "{email}");
        assert!(!refused.header("retry-after").is_empty());
    }
    let history = ada.client.get("/v1/me/sign-ins").await.json(200);
    let failures = history["sign_ins"].as_array().unwrap().iter();
    let failures = failures.filter(|sign_in| sign_in["outcome"] == "failure");
    assert_eq!(failures.count(), 6);
    assert_eq!(history["sign_ins"][0]["network"], "127.0.0.0/24");
    mesh.end().await;
}
