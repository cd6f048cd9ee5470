//! Models that workspaces chose for themselves: each call goes out with the key of its own workspace.

use std::collections::BTreeMap;

use causeway_testkit::{Answer, ScriptedUpstream};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::mesh::{Account, Mesh};
use crate::platform::patch;

async fn mesh(upstream: &ScriptedUpstream) -> Mesh {
    Mesh::with(&[
        // Only there may a workspace name an address of this machine.
        ("NODE_ENV", "development"),
        ("LLM_PROVIDER_ORDER", "openai"),
        ("OPENAI_API_KEY", "sk-of-the-process"),
        ("OPENAI_BASE_URL", &upstream.base_url()),
    ])
    .await
}

/// Chooses OpenAI's API at `upstream` with that key.
async fn choose(account: &Account, upstream: &ScriptedUpstream, key: &str) {
    let secret = json!({"kind": "llm_provider", "value": key});
    account.client.put("/v1/secrets/model", secret).await.json(200);
    let ai = json!({
        "provider": "openai",
        "model": "gpt-own",
        "base_url": upstream.base_url(),
        "api_key_secret": "model",
    });
    patch(&account.client, "/v1/settings", json!({"ai": ai}))
        .await
        .json(200);
}

fn chat(who: &str, stream: bool) -> Value {
    json!({"model": "auto", "stream": stream, "messages": [{"role": "user", "content": who}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_goes_out_with_the_key_of_its_own_workspace() {
    let upstream = ScriptedUpstream::start().await;
    upstream.otherwise(Answer::chat("hello"));
    let mesh = mesh(&upstream).await;
    let [ada, bob, eve] = [
        mesh.account("ada").await,
        mesh.account("bob").await,
        mesh.account("eve").await,
    ];
    choose(&ada, &upstream, "sk-of-ada").await;
    choose(&bob, &upstream, "sk-of-bob").await;
    let keys = BTreeMap::from([
        ("ada", "Bearer sk-of-ada"),
        ("bob", "Bearer sk-of-bob"),
        ("eve", "Bearer sk-of-the-process"),
    ]);

    let mut tasks = JoinSet::new();
    for (name, account) in [("ada", &ada), ("bob", &bob), ("eve", &eve)] {
        for _ in 0..10 {
            let client = account.client.clone();
            tasks.spawn(async move { client.post("/v1/chat/completions", chat(name, false)).await });
        }
    }
    for answer in tasks.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 30);
    for call in &seen {
        let body = call.json();
        let who = body["messages"][0]["content"].as_str().expect("a question");
        assert_eq!(call.header("authorization"), keys[who]);
        assert_eq!(body["model"] == "gpt-own", who != "eve", "{body}");
    }

    for (account, uses) in [(&ada, 1), (&bob, 1), (&eve, 0)] {
        let log = account.client.get("/v1/audit/events?action=secret.used").await;
        let entries = log.json(200)["entries"].as_array().map_or(0, Vec::len);
        assert_eq!(entries, uses, "one question for many calls: {}", log.body);
        assert!(!log.body.contains("sk-of-"), "{}", log.body);
    }
    let providers = ada.client.get("/v1/llm/providers").await;
    assert_eq!(providers.json(200)["selected_by"], "tenant");
    assert!(!providers.body.contains("sk-of-"));
    let providers = eve.client.get("/v1/llm/providers").await.json(200);
    assert_eq!(providers["selected_by"], "order");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_carry_the_workspaces_key_and_fail_as_every_provider_does() {
    let upstream = ScriptedUpstream::start().await;
    upstream
        .then(Answer::chat_stream(&["he", "llo"]))
        .then(Answer::error(401, "sk-of-ada is not known"));
    let mesh = mesh(&upstream).await;
    let ada = mesh.account("ada").await;
    choose(&ada, &upstream, "sk-of-ada").await;
    let stream = ada.client.post("/v1/chat/completions", chat("ada", true)).await;
    assert!(stream.body.contains("[DONE]"), "{}", stream.body);
    assert_eq!(upstream.seen()[0].header("authorization"), "Bearer sk-of-ada");

    let refused = ada.client.post("/v1/chat/completions", chat("ada", false)).await;
    assert_eq!(refused.reason(424), "PROVIDER_UNAVAILABLE");
    assert!(!refused.body.contains("sk-of-"), "{}", refused.body);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_without_its_key_is_refused_and_the_key_of_the_process_is_not_lent() {
    let upstream = ScriptedUpstream::start().await;
    upstream.otherwise(Answer::chat("hello"));
    let mesh = mesh(&upstream).await;
    let ada = mesh.account("ada").await;
    choose(&ada, &upstream, "sk-of-ada").await;
    ada.client.delete("/v1/secrets/model").await.json(200);
    let refused = ada.client.post("/v1/chat/completions", chat("ada", false)).await;
    assert_eq!(refused.reason(424), "PROVIDER_UNAVAILABLE");
    assert!(upstream.seen().is_empty());
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_development_no_workspace_names_a_host_inside() {
    let mesh = Mesh::start().await;
    let ada = mesh.account("ada").await;
    for url in [
        "http://127.0.0.1:9",
        "https://127.0.0.1:9",
        "https://169.254.169.254",
        "http://llm.example.com",
    ] {
        let ai = json!({"provider": "openai", "base_url": url});
        let refused = patch(&ada.client, "/v1/settings", json!({"ai": ai}))
            .await
            .json(400);
        assert_eq!(refused["violations"][0]["field"], "ai.base_url", "{url}");
    }
    mesh.end().await;
}
