//! What the tokens of one request cost: the access token that the gateway reads, the service token that it makes, and
//! the same token read by the service.

use std::hint::black_box;

use causeway_crypto::{AccessClaims, AccessTokenKey, ServiceClaims, ServiceTokenKeys, token};
use chrono::{DateTime, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use secrecy::SecretString;
use serde_json::json;

const METHOD: &str = "/causeway.scoring.v1.ScoringService/GetModel";
const ID: &str = "0190a0b0-c0d0-7000-8000-000000000001";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn access_claims() -> AccessClaims {
    AccessClaims {
        iss: None,
        aud: None,
        sub: ID.to_owned(),
        exp: now().timestamp() + 900,
        nbf: now().timestamp(),
        iat: now().timestamp(),
        jti: ID.to_owned(),
        sid: ID.to_owned(),
        workspace_id: ID.to_owned(),
        roles: vec!["owner".to_owned()],
        perm: None,
        scope: String::new(),
        mfa: true,
        mfa_required: false,
        mfa_enrolled: false,
        act: None,
        client_id: None,
    }
}

/// As large as the gateway makes them for an owner of a workspace.
fn service_claims() -> ServiceClaims {
    let permissions: Vec<String> = (0..30).map(|number| format!("subject{number}.action")).collect();
    ServiceClaims {
        iss: "gateway".to_owned(),
        aud: "scoring".to_owned(),
        method: METHOD.to_owned(),
        jti: ID.to_owned(),
        iat: now().timestamp(),
        exp: now().timestamp() + 30,
        request_id: ID.to_owned(),
        caller: json!({
            "kind": "user", "id": ID, "workspace": ID, "permissions": permissions,
            "roles": ["owner"], "credential_id": ID, "mfa": true,
        }),
    }
}

fn tokens(criterion: &mut Criterion) {
    let secret = SecretString::from("a secret of the benches, 32 bytes or more");

    let key = AccessTokenKey::new(&secret, None, None);
    let text = key.sign(&access_claims()).expect("signed");
    criterion.bench_function("access token: verify", |bench| {
        bench.iter(|| key.verify(black_box(&text), now()).expect("genuine"));
    });

    let (keys, claims) = (ServiceTokenKeys::new(&secret, None), service_claims());
    criterion.bench_function("service token: sign", |bench| {
        bench.iter(|| keys.sign(black_box(&claims)).expect("signed"));
    });
    let text = keys.sign(&claims).expect("signed");
    criterion.bench_function("service token: verify", |bench| {
        bench.iter(|| {
            keys.verify(black_box(&text), "scoring", METHOD, now())
                .expect("genuine")
        });
    });

    let minted = token::mint(token::PERSONAL_ACCESS_TOKEN);
    let text = secrecy::ExposeSecret::expose_secret(&minted.secret);
    criterion.bench_function("personal access token: check and hash", |bench| {
        bench.iter(|| {
            token::check(token::PERSONAL_ACCESS_TOKEN, black_box(text)).then(|| token::hash(black_box(text)))
        });
    });
}

criterion_group!(benches, tokens);
criterion_main!(benches);
