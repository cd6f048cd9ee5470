//! Credentials that were found in public, and how a stranger finds the endpoints.

use causeway_testkit::Scanner;
use serde_json::{Value, json};

use super::{FORM, Program, form, refused};
use crate::mesh::{Mesh, text};

const GITHUB: &str = "/auth/tokens/leaked/github";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_s_secret_that_was_found_is_ended_without_its_id() {
    let mesh = Mesh::start().await;
    let account = mesh.account("leaked").await;
    let program = Program::of(&account, json!({"name": "batch", "scopes": ["secrets.read"]})).await;
    let nobody = mesh.anonymous();
    let token = program.token(&nobody).await;
    nobody
        .post("/auth/tokens/leaked", json!({"token": program.secret}))
        .await
        .json(200);
    let basic = program.basic(&nobody);
    let late = form(&basic, "/auth/token", "grant_type=client_credentials").await;
    assert_eq!(refused(&late, 401), "invalid_client");
    super::gateways::until_refused(&[nobody.bearer(&token)]).await;
    let events = account
        .client
        .get("/v1/audit/events?action=token.leaked")
        .await
        .json(200);
    assert_eq!(events["entries"].as_array().map(Vec::len), Some(1), "{events}");
    assert!(!events.to_string().contains(&program.secret));
    mesh.end().await;
}

/// As GitHub's secret scanning partner programme says: a signed list, answered with labels (TOK-05).
#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_github_is_believed_by_its_signature_alone() {
    let scanner = Scanner::start().await;
    let mesh = Mesh::with(&[("GITHUB_SECRET_SCANNING_KEYS_URL", &scanner.keys_url())]).await;
    let account = mesh.account("scanned").await;
    let key = json!({"name": "ci", "scopes": ["secrets.read"]});
    let key = text(
        &account.client.post("/v1/api-keys", key).await.json(200),
        "secret",
    );
    let shown = mesh.anonymous().header("x-api-key", &key);
    shown.get("/v1/secrets").await.json(200);
    // The blanks are of the sender's choice, and signed.
    let report = format!(
        r#"[ {{"token":"{key}","type":"causeway_api_key","url":"https://github.com/o/r/blob/x","source":"content"}},
           {{"token":"cw_key_unknown","type":"causeway_api_key","url":"","source":"issue_title"}} ]"#
    );
    let signed = |signature: &str| {
        let client = mesh
            .anonymous()
            .header("Github-Public-Key-Identifier", &scanner.key.id);
        client.header("Github-Public-Key-Signature", signature)
    };
    let send = async |signature: &str, report: &str| {
        signed(signature)
            .send("POST", GITHUB, report, Some("application/json"))
            .await
    };
    let genuine = scanner.key.sign(&report);
    for (signature, report) in [
        (genuine.as_str(), report.replace(' ', "")),
        (&scanner.key.sign("[]"), report.clone()),
        ("", report.clone()),
    ] {
        assert_eq!(send(signature, &report).await.reason(403), "SIGNATURE_REFUSED");
    }
    let unsigned = mesh
        .anonymous()
        .send("POST", GITHUB, &report, Some("application/json"))
        .await;
    assert_eq!(unsigned.reason(403), "SIGNATURE_REFUSED");
    shown.get("/v1/secrets").await.json(200);

    let labels = send(&genuine, &report).await.json(200);
    let label = |token: &str, label: &str| json!({"token_raw": token, "token_type": "causeway_api_key", "label": label});
    let expected = json!([
        label(&key, "true_positive"),
        label("cw_key_unknown", "false_positive")
    ]);
    assert_eq!(labels, expected);
    super::gateways::until_refused(&[shown]).await;
    let empty = send(&scanner.key.sign("[]"), "[]").await.json(200);
    assert_eq!(empty, json!([]));
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_address_of_the_keys_no_report_is_taken() {
    let mesh = Mesh::start().await;
    let answer = mesh
        .anonymous()
        .send("POST", GITHUB, "[]", Some("application/json"))
        .await;
    assert_eq!(answer.reason(404), "SCANNING_DISABLED");
    mesh.end().await;
}

/// RFC 8414: what it says is true of the endpoints that it names.
#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_can_be_found_by_who_knows_the_issuer() {
    let mesh = Mesh::with(&[("NEXTAUTH_URL", "https://door.example")]).await;
    let nobody = mesh.anonymous();
    let told = nobody
        .get("/.well-known/oauth-authorization-server")
        .await
        .json(200);
    assert_eq!(told["issuer"], "https://door.example");
    assert_eq!(told["response_types_supported"], json!([]));
    let path = |name: &str| {
        let address = text(&told, name);
        address
            .strip_prefix("https://door.example")
            .expect("at the public address")
            .to_owned()
    };
    nobody.get(&path("jwks_uri")).await.json(200);
    for (name, error) in [
        ("token_endpoint", "unsupported_grant_type"),
        ("introspection_endpoint", "invalid_client"),
        ("revocation_endpoint", "invalid_request"),
    ] {
        let answer = nobody
            .send("POST", &path(name), "grant_type=password", FORM)
            .await;
        let json: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(json["error"], error, "{name}");
    }
    let grants: Vec<&str> = told["grant_types_supported"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(grants.len(), 3);
    for grant in grants {
        let answer = form(&nobody, &path("token_endpoint"), &format!("grant_type={grant}")).await;
        let json: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_ne!(json["error"], "unsupported_grant_type", "{grant}");
    }
    mesh.end().await;
}
