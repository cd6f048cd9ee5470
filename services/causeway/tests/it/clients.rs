//! Clients that nobody here wrote: the official OpenAI SDK, grpcio by reflection, buf curl, connect-web in a browser.

use std::process::Stdio;
use std::time::Duration;

use causeway_testkit::{Answer, ScriptedUpstream};
use serde_json::Value;
use tokio::process::Command;

use crate::mesh::{Mesh, text};

/// What `scripts/clients.sh run` exits with when the clients are not installed.
const NOT_INSTALLED: i32 = 69;
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a client to its end; answers what it printed. Nothing if it is not installed and nobody said that it
/// must be.
pub(crate) async fn run(name: &str, environment: &[(&str, &str)]) -> Option<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/clients.sh");
    let mut command = Command::new("bash");
    command
        .args([script, "run", name])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command.envs(environment.iter().copied());
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("in time")
        .expect("bash runs");
    let [printed, complaints] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    if output.status.code() == Some(NOT_INSTALLED) {
        assert!(
            std::env::var_os("CAUSEWAY_TEST_CLIENTS").is_none(),
            "{complaints}"
        );
        eprintln!("skipped: {complaints}");
        return None;
    }
    assert!(output.status.success(), "{name} failed:\n{printed}\n{complaints}");
    let last = printed.trim_end().lines().last().unwrap_or_default();
    Some(
        serde_json::from_str(last)
            .or_else(|_| serde_json::from_str(&printed))
            .unwrap_or(Value::Null),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_openai_sdk_is_answered() {
    let mesh = Mesh::start().await;
    let account = mesh.account("sdk").await;
    let token = account
        .client
        .post("/v1/tokens", serde_json::json!({"name": "sdk"}))
        .await
        .json(200);
    let secret = text(&token, "secret");
    run(
        "openai_sdk",
        &[("CAUSEWAY_URL", &mesh.base), ("CAUSEWAY_TOKEN", &secret)],
    )
    .await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_of_oauth_gets_and_refreshes_tokens() {
    let mesh = Mesh::start().await;
    let account = mesh.account("oauth").await;
    let asked = serde_json::json!({"name": "library", "scopes": ["secrets.read", "secrets.write"]});
    let program = account.client.post("/v1/clients", asked).await.json(200);
    let login = serde_json::json!({"email": account.email, "password": account.password});
    let session = mesh.anonymous().post("/auth/login", login).await;
    let cookie = session.header("set-cookie").split(['=', ';']).nth(1);
    let told = run(
        "oauth_story",
        &[
            ("CAUSEWAY_URL", &mesh.base),
            ("CAUSEWAY_CLIENT_ID", &text(&program, "client_id")),
            ("CAUSEWAY_CLIENT_SECRET", &text(&program, "client_secret")),
            ("CAUSEWAY_REFRESH_TOKEN", cookie.expect("the refresh cookie")),
        ],
    )
    .await;
    if let Some(told) = told {
        assert_eq!(
            told["by_basic"],
            serde_json::json!(["secrets.read", "secrets.write"])
        );
        assert_eq!(told["by_body"], serde_json::json!(["secrets.read"]));
        assert_eq!(
            (&told["refused"], &told["refreshed"]),
            (&401.into(), &"Bearer".into())
        );
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_openai_sdk_reaches_a_real_upstream() {
    let upstream = ScriptedUpstream::start().await;
    upstream
        .then(Answer::chat("forty-two"))
        .then(Answer::chat_stream(&["forty", "-two"]))
        .otherwise(Answer::chat("forty-two"));
    let mesh = Mesh::with(&[
        ("LLM_PROVIDER_ORDER", "openai"),
        ("OPENAI_API_KEY", "sk-of-the-tests"),
        ("OPENAI_BASE_URL", &upstream.base_url()),
    ])
    .await;
    let account = mesh.account("sdk").await;
    let environment = [
        ("CAUSEWAY_URL", mesh.base.as_str()),
        ("CAUSEWAY_TOKEN", &account.access_token),
        ("CAUSEWAY_EXPECT", "forty"),
    ];
    run("openai_sdk", &environment).await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcio_tells_the_story_by_reflection() {
    let mesh = Mesh::start().await;
    run("grpcio_story", &[("CAUSEWAY_URL", &mesh.base)]).await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buf_curl_tells_the_story_by_reflection() {
    let mesh = Mesh::start().await;
    run("buf_curl", &[("CAUSEWAY_URL", &mesh.base)]).await;
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_web_tells_the_story_in_a_browser() {
    let origin = "http://127.0.0.1:38471";
    let mesh = Mesh::with(&[("CORS_ALLOWED_ORIGINS", origin)]).await;
    run(
        "connect_web",
        &[("CAUSEWAY_URL", &mesh.base), ("CAUSEWAY_ORIGIN", origin)],
    )
    .await;
    mesh.end().await;
}
