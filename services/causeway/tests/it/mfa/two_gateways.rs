//! The same through two processes over one database.

use causeway_testkit::TestDb;
use secrecy::ExposeSecret as _;

use super::*;
use crate::revocation::until_refused;

const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Two processes, each with a gateway and all services, over one database.
async fn two_gateways() -> Option<(TestDb, Mesh, Mesh)> {
    let database = TestDb::new(&causeway::serve::database::schemas()).await?;
    let settings = [
        ("DATABASE_URL", database.service_url().expose_secret()),
        ("DATABASE_OWNER_URL", database.owner_url().expose_secret()),
        ("CAUSELOOP_MASTER_KEY", MASTER_KEY),
        ("PG_POOL_MAX", "8"),
    ];
    let (one, other) = (Mesh::with(&settings).await, Mesh::with(&settings).await);
    Some((database, one, other))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_take_one_code_once_and_lock_together() {
    let Some((_database, one, other)) = two_gateways().await else {
        return;
    };
    let Some(ada) = enrol(&one, "ada").await else {
        return;
    };
    let (here, there) = (one.anonymous(), other.anonymous());
    let (first, second) = (ada.mfa_token(&here).await, ada.mfa_token(&there).await);
    let code = ada
        .authenticator
        .code(early_in_a_step().await)
        .await
        .expect("installed");
    let verify = async |client: &Client, token: &str| {
        client
            .post("/auth/mfa/verify", json!({"mfa_token": token, "code": code}))
            .await
    };
    let answers = tokio::join!(verify(&here, &first), verify(&there, &second));
    let mut statuses = [answers.0.status.as_u16(), answers.1.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "exactly one wins: {answers:?}");

    let eve = enrol(&other, "eve").await.expect("installed");
    let mut wrong = Vec::new();
    for client in [&here, &there, &here, &there, &here] {
        wrong.push(eve.login(client, "000000").await.reason(401));
    }
    assert_eq!(wrong, ["INVALID_CODE"; 5]);
    let right = eve
        .authenticator
        .code(early_in_a_step().await)
        .await
        .expect("installed");
    for client in [&there, &here] {
        let locked = eve.login(client, &right).await;
        assert_eq!(locked.reason(429), "MFA_LOCKED");
        let seconds: u64 = locked.header("retry-after").parse().expect("a number");
        assert!((800..=900).contains(&seconds), "{seconds}");
    }
    assert_eq!(
        eve.login(&there, &eve.recovery_codes[0]).await.status,
        429,
        "a recovery code waits too"
    );
    assert_eq!(actions(&eve.client, "mfa.locked").await.len(), 1);
    let stranger = json!({"mfa_token": "x.y.z", "code": "000000"});
    for _ in 0..8 {
        let answer = here.post("/auth/mfa/verify", stranger.clone()).await;
        assert_eq!(
            answer.reason(401),
            "INVALID_MFA_TOKEN",
            "nobody is locked without the password"
        );
    }
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_reaches_every_session_at_its_next_refresh() {
    let Some((_database, one, other)) = two_gateways().await else {
        return;
    };
    let ada = one.account("ada").await;
    let body = json!({"email": ada.email, "password": ada.password});
    let login = other.anonymous().post("/auth/login", body).await;
    let cookie = login.header("set-cookie").split(';').next().unwrap().to_owned();
    let change = json!({"mfa_policy": "required"});
    let patched = ada
        .client
        .send(
            "PATCH",
            "/v1/settings",
            &change.to_string(),
            Some("application/json"),
        )
        .await;
    patched.json(200);
    let browser = one.anonymous().header("cookie", &cookie);
    let refreshed = browser.post("/auth/refresh", json!({})).await.json(200);
    let access = text(&refreshed, "access_token");
    let here = other.anonymous().bearer(&access);
    let secret = json!({"kind": "custom", "value": "v"});
    for client in [&here, &one.anonymous().bearer(&access)] {
        let refused = client.put("/v1/secrets/a", secret.clone()).await;
        assert_eq!(refused.reason(403), "MFA_REQUIRED");
        assert_eq!(
            client.post("/v1/tokens", json!({"name": "t"})).await.reason(403),
            "MFA_REQUIRED"
        );
    }
    let write = causeway_contracts::method("/causeway.tenancy.v1.TenancyService/PutSecret").unwrap();
    let read = causeway_contracts::method("/causeway.tenancy.v1.TenancyService/ListSecrets").unwrap();
    assert_eq!(grpc(&other, write, Some(&access)).await, Code::PermissionDenied);
    assert_eq!(grpc(&other, read, Some(&access)).await, Code::Ok);
    here.get("/v1/secrets").await.json(200);
    let me = here.get("/v1/me").await.json(200);
    assert_eq!(
        (&me["second_factor"]["required"], &me["second_factor"]["passed"]),
        (&json!(true), &json!(false))
    );

    let made = here.post("/v1/me/mfa/totp", json!({})).await.json(200);
    let authenticator = Authenticator(text(&made, "otpauth_uri"));
    let Some(code) = authenticator.code(early_in_a_step().await).await else {
        return;
    };
    let confirmed = here
        .post("/v1/me/mfa/totp/confirm", json!({"code": code}))
        .await
        .json(200);
    let passed = other.anonymous().bearer(&text(&confirmed, "access_token"));
    passed.put("/v1/secrets/a", secret.clone()).await.json(200);
    let token = passed.post("/v1/tokens", json!({"name": "t"})).await.json(200);
    let token = one.anonymous().bearer(&text(&token, "secret"));
    token.put("/v1/secrets/b", secret).await.json(200);
    assert_eq!(token.get("/v1/me").await.json(200)["mfa"], true);
    one.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_survives_the_rotation_of_its_key() {
    let Some((database, one, other)) = two_gateways().await else {
        return;
    };
    let Some(ada) = enrol(&one, "ada").await else {
        return;
    };
    let started = ada.client.post("/v1/keys/rotate", json!({})).await.json(202);
    let path = format!("/v1/keys/rotations/{}", text(&started, "id"));
    let until = now() + 60;
    let ended = loop {
        let rotation = ada.client.get(&path).await.json(200);
        if ["succeeded", "incomplete"].contains(&text(&rotation, "state").as_str()) || now() > until {
            break rotation;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert_eq!(
        (&ended["state"], &ended["unreadable"]),
        (&json!("succeeded"), &json!(0)),
        "{ended}"
    );
    assert!(
        ended["proof"]
            .as_array()
            .unwrap()
            .iter()
            .any(|proof| proof["table"] == "auth.factors"),
        "{ended}"
    );
    let code = ada
        .authenticator
        .code(early_in_a_step().await)
        .await
        .expect("installed");
    ada.login(&other.anonymous(), &code).await.json(200);
    drop(database);
    one.end().await;
    other.end().await;
}

/// REF-06, MFA-07: what was opened with less, or with a factor that is gone, ends with the change.
#[tokio::test(flavor = "multi_thread")]
async fn a_factor_that_comes_or_goes_ends_the_other_sessions_within_five_seconds() {
    let Some((_database, one, other)) = two_gateways().await else {
        return;
    };
    let both = |token: &str| [one.anonymous().bearer(token), other.anonymous().bearer(token)];
    let ada = one.account("ada").await;
    let body = json!({"email": ada.email, "password": ada.password});
    let before = other.anonymous().post("/auth/login", body).await.json(200);
    let before = both(&text(&before, "access_token"));
    for client in &before {
        client.get("/v1/me").await.json(200);
    }
    let Some(ada) = enrol_in(ada).await else { return };
    let enrolled = until_refused(&before).await;
    let code = &ada.recovery_codes[0];
    let session = ada.login(&other.anonymous(), code).await.json(200);
    let session = both(&text(&session, "access_token"));
    for client in &session {
        client.get("/v1/me").await.json(200);
    }
    let code = json!({"code": ada.recovery_codes[1]}).to_string();
    let kind = Some("application/json");
    let wrong = json!({"code": "000000"}).to_string();
    let refused = ada.client.send("DELETE", "/v1/me/mfa/totp", &wrong, kind).await;
    assert_eq!(refused.reason(400), "INVALID_CODE");
    let removed = ada.client.send("DELETE", "/v1/me/mfa/totp", &code, kind).await;
    removed.json(200);
    let gone = until_refused(&session).await;
    println!("others ended after the enrolment {enrolled:?}, after the removal {gone:?}");
    ada.client.get("/v1/me").await.json(200);
    one.end().await;
    other.end().await;
}
