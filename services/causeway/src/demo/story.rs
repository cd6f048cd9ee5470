//! The story: an account, a token, a secret, a model's answer, a decision that learns, and a log that proves it.

use std::io::Write;

use anyhow::{Context as _, bail, ensure};
use causeway_contracts::CallerKind;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::Client;
use super::merkle;

/// What the log must hold after the story, in this order.
const ACTIONS: [&str; 11] = [
    "workspace.created",
    "account.registered",
    "session.opened",
    "token.created",
    "secret.written",
    "llm.generated",
    "llm.generated",
    "scoring.model_created",
    "decision.made",
    "decision.responded",
    "audit.read",
];

/// What the story left behind.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The workspace that the story happened in.
    pub workspace_id: String,
    /// A personal access token of its owner.
    pub token: String,
    /// The root of its audit log, in hex.
    pub root: String,
    /// The number of its entries.
    pub size: u64,
}

/// Tells the story to `out`, against the gateway at `base`.
///
/// # Errors
/// The first thing that is not as it should be.
pub async fn tell(base: &str, out: &mut (dyn Write + Send)) -> anyhow::Result<Summary> {
    let mut teller = Teller { out, step: 0 };
    let client = Client::new(base);
    teller.say(&format!(
        "This happens now at {base}. To do it yourself: causeway serve, BASE=http://localhost:4000, and\n\
         TOKEN is the access_token of step 2 or the secret of step 3. Yours will be other ids."
    ))?;

    let titles = [
        "A local account registers and its workspace is made",
        "It logs in",
    ];
    let (workspace_id, session) = account(&mut teller, &client, "ada", "Analytical Engines", titles).await?;
    let token = token(&mut teller, &session).await?;
    secret(&mut teller, &session).await?;
    let caller = client.with(&token);
    generate(&mut teller, &caller).await?;
    decide(&mut teller, &caller).await?;
    let (root, size) = audit(&mut teller, &session).await?;
    stranger(&mut teller, &client, &session).await?;
    teller.say("Done: all of it happened, in order, and can be proven.")?;
    Ok(Summary {
        workspace_id,
        token,
        root,
        size,
    })
}

/// Registers and logs in; answers the workspace and a client with the session's token.
async fn account(
    teller: &mut Teller<'_>,
    client: &Client,
    name: &str,
    workspace: &str,
    [registers, logs_in]: [&str; 2],
) -> anyhow::Result<(String, Client)> {
    let email = format!("{name}-{}@example.com", Uuid::now_v7().simple());
    let password = format!("correct horse {}", Uuid::new_v4().simple());
    let body = json!({"email": email, "password": password, "workspace_name": workspace});
    let account = client.call("POST", "/auth/register", Some(&body)).await?;
    let shown = json!({"email": email, "password": "...", "workspace_name": workspace});
    teller.step(registers, "POST", "/auth/register", Some(&shown), false)?;
    teller.result(&format!(
        "user {}, workspace {}",
        text(&account, "user_id")?,
        text(&account, "workspace_id")?
    ))?;

    let body = json!({"email": email, "password": password});
    let session = client.call("POST", "/auth/login", Some(&body)).await?;
    let shown = json!({"email": email, "password": "..."});
    teller.step(logs_in, "POST", "/auth/login", Some(&shown), false)?;
    teller.result(&format!("an access token for {} seconds", session["expires_in"]))?;
    ensure!(
        session.get("refresh_token").is_none(),
        "the refresh token belongs into the cookie"
    );
    Ok((
        text(&account, "workspace_id")?,
        client.with(&text(&session, "access_token")?),
    ))
}

async fn token(teller: &mut Teller<'_>, session: &Client) -> anyhow::Result<String> {
    let body = json!({"name": "laptop"});
    let made = session.call("POST", "/v1/tokens", Some(&body)).await?;
    teller.step(
        "It makes a personal access token",
        "POST",
        "/v1/tokens",
        Some(&body),
        true,
    )?;
    let secret = text(&made, "secret")?;
    ensure!(secret.starts_with("cw_pat_"), "a token of ours");
    teller.result(&format!(
        "token {} (cw_pat_...{})",
        text(&made, "id")?,
        text(&made, "last_four")?
    ))?;
    let listed = session.call("GET", "/v1/tokens", None).await?;
    ensure!(!listed.to_string().contains(&secret), "a secret is shown once");
    Ok(secret)
}

async fn secret(teller: &mut Teller<'_>, session: &Client) -> anyhow::Result<()> {
    let value = format!("sk-{}", Uuid::new_v4().simple());
    let body = json!({"kind": "llm_provider", "value": value});
    let secret = session.call("PUT", "/v1/secrets/openai", Some(&body)).await?;
    let shown = json!({"kind": "llm_provider", "value": "..."});
    teller.step(
        "It stores a provider's secret, sealed under its data key",
        "PUT",
        "/v1/secrets/openai",
        Some(&shown),
        true,
    )?;
    teller.result(&format!(
        "secret openai, version {}, key version {}",
        secret["version"], secret["key_version"]
    ))?;
    let listed = session.call("GET", "/v1/secrets", None).await?;
    ensure!(
        listed["secrets"][0]["name"] == "openai" && !listed.to_string().contains(&value),
        "listed without its value"
    );
    Ok(())
}

async fn generate(teller: &mut Teller<'_>, caller: &Client) -> anyhow::Result<()> {
    let mut body =
        json!({"model": "auto", "messages": [{"role": "user", "content": "Say hello to the auditor."}]});
    let answer = caller.call("POST", "/v1/chat/completions", Some(&body)).await?;
    teller.step(
        "It asks a model, as OpenAI's clients do",
        "POST",
        "/v1/chat/completions",
        Some(&body),
        true,
    )?;
    let content = answer["choices"][0]["message"]["content"]
        .as_str()
        .context("an answer")?;
    teller.result(&format!(
        "{} said: {content}",
        answer["model"].as_str().unwrap_or_default()
    ))?;

    body["stream"] = json!(true);
    let (status, events) = caller.text("POST", "/v1/chat/completions", Some(&body)).await?;
    ensure!(
        status == StatusCode::OK && events.trim_end().ends_with("data: [DONE]"),
        "a whole stream: {events}"
    );
    teller.step(
        "And again, streamed",
        "POST",
        "/v1/chat/completions",
        Some(&body),
        true,
    )?;
    teller.result(&format!(
        "{} events, then [DONE]",
        events.matches("data: {").count()
    ))
}

async fn decide(teller: &mut Teller<'_>, caller: &Client) -> anyhow::Result<()> {
    let offers = json!([{"offer_id": "coffee"}, {"offer_id": "tea"}, {"offer_id": "cake"}]);
    let body = json!({"name": "welcome offer", "kind": "thompson", "offers": offers});
    let model = caller.call("POST", "/v1/scoring/models", Some(&body)).await?;
    let model_id = text(&model, "id")?;
    teller.step(
        "It makes a Thompson-sampling model of three offers",
        "POST",
        "/v1/scoring/models",
        Some(&body),
        true,
    )?;
    teller.result(&format!("model {model_id}"))?;

    let body = json!({"customer_id": "customer-1", "model_id": model_id, "limit": 1});
    let made = caller.call("POST", "/v1/recommend", Some(&body)).await?;
    let chosen = text(&made["decisions"][0], "offer_id")?;
    teller.step(
        "It asks which offer to show",
        "POST",
        "/v1/recommend",
        Some(&body),
        true,
    )?;
    teller.result(&format!(
        "{chosen}, with propensity {:.3}",
        made["decisions"][0]["propensity"].as_f64().unwrap_or(f64::NAN)
    ))?;

    let state = format!("/v1/scoring/models/{model_id}/state");
    let before = mean(&caller.call("GET", &state, None).await?, &chosen)?;
    let body =
        json!({"recommendation_id": text(&made, "recommendation_id")?, "rank": 1, "outcome": "positive"});
    caller.call("POST", "/v1/respond", Some(&body)).await?;
    let after = mean(&caller.call("GET", &state, None).await?, &chosen)?;
    teller.step(
        "The customer took it, and the posterior moves",
        "POST",
        "/v1/respond",
        Some(&body),
        true,
    )?;
    ensure!(
        after > before,
        "the posterior mean of {chosen} was {before} and is {after}"
    );
    teller.result(&format!(
        "posterior mean of {chosen}: {before:.3} before, {after:.3} after"
    ))
}

/// Reads the log, checks its sequence, and computes its root again from the leaves alone.
async fn audit(teller: &mut Teller<'_>, session: &Client) -> anyhow::Result<(String, u64)> {
    // The first reading is an entry of the log too: the second one shows it.
    session.call("GET", "/v1/audit/events?page_size=1", None).await?;
    let head = session.call("GET", "/v1/audit/root", None).await?;
    let listed = session
        .call("GET", "/v1/audit/events?page_size=1000", None)
        .await?;
    teller.step(
        "It reads its audit log",
        "GET",
        "/v1/audit/events?page_size=1000",
        None,
        true,
    )?;
    let entries = listed["entries"].as_array().context("entries")?;
    for (seq, entry) in (0_u64..).zip(entries) {
        ensure!(entry["seq"] == seq, "entry {seq} has the number {}", entry["seq"]);
        let actor = entry["event"]["actor_kind"].as_str().and_then(CallerKind::parse);
        ensure!(actor.is_some(), "entry {seq} names its actor");
        teller.result(&format!(
            "{seq:>2}  {:<22} {}",
            text(&entry["event"], "action")?,
            text(&entry["event"], "target_id")?
        ))?;
    }
    let actions: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry["event"]["action"].as_str())
        .collect();
    if actions != ACTIONS {
        bail!("the log holds {actions:?}");
    }
    let size = usize::try_from(head["size"].as_u64().context("a size")?)?;
    let leaves: Option<Vec<Vec<u8>>> = entries
        .iter()
        .take(size)
        .map(|entry| Some(entry["leaf"].as_str()?.as_bytes().to_vec()))
        .collect();
    let leaves = leaves.context("leaves")?;
    ensure!(leaves.len() == size, "{} leaves of {size}", leaves.len());
    let computed = hex(&merkle::root(&leaves));
    let told = text(&head, "root_hash")?;
    teller.step(
        "Its root, and the same root computed from the leaves alone",
        "GET",
        "/v1/audit/root",
        None,
        true,
    )?;
    teller.result(&format!("told     {told}"))?;
    teller.result(&format!("computed {computed}"))?;
    ensure!(computed == told, "the roots differ");
    Ok((told, u64::try_from(size)?))
}

/// A second workspace sees none of it.
async fn stranger(teller: &mut Teller<'_>, client: &Client, first: &Client) -> anyhow::Result<()> {
    let titles = ["Somebody else registers", "And logs in: TOKEN is now theirs"];
    let (_, other) = account(teller, client, "charles", "Difference Engines", titles).await?;
    let models = first.call("GET", "/v1/scoring/models", None).await?;
    let model_id = text(&models["models"][0], "id")?;
    let paths = [
        "/v1/secrets/openai".to_owned(),
        format!("/v1/scoring/models/{model_id}"),
    ];
    for path in &paths {
        let status = other.status("GET", path).await?;
        ensure!(
            status == StatusCode::NOT_FOUND,
            "GET {path} answered a stranger {status}"
        );
    }
    let lists = [
        ("/v1/secrets", "secrets"),
        ("/v1/scoring/models", "models"),
        ("/v1/tokens", "tokens"),
    ];
    for (path, field) in lists {
        let list = other.call("GET", path, None).await?;
        ensure!(list[field] == json!([]), "GET {path} showed a stranger {list}");
    }
    let log = other.call("GET", "/v1/audit/events", None).await?;
    ensure!(
        log["entries"]
            .as_array()
            .is_some_and(|entries| entries.len() == 3),
        "a stranger's own log: {log}"
    );
    teller.step("A second workspace sees none of it", "GET", &paths[1], None, true)?;
    teller.result("404, empty lists, and a log of its own")
}

fn mean(state: &Value, offer: &str) -> anyhow::Result<f64> {
    let offers = state["offers"].as_array().context("offers")?;
    let found = offers
        .iter()
        .find(|candidate| candidate["offer_id"] == offer)
        .context("the offer")?;
    found["mean"].as_f64().context("a mean")
}

fn text(json: &Value, field: &str) -> anyhow::Result<String> {
    json[field]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("the answer has a {field}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Prints the story.
struct Teller<'a> {
    out: &'a mut (dyn Write + Send),
    step: u32,
}

impl Teller<'_> {
    /// One step, with the curl line that does the same.
    fn step(
        &mut self,
        title: &str,
        verb: &str,
        path: &str,
        body: Option<&Value>,
        credential: bool,
    ) -> anyhow::Result<()> {
        self.step += 1;
        let method = if verb == "GET" || (verb == "POST" && body.is_some()) {
            String::new()
        } else {
            format!(" -X {verb}")
        };
        let bearer = if credential {
            " -H \"authorization: Bearer $TOKEN\""
        } else {
            ""
        };
        let data = body.map(|json| format!(" --json '{json}'")).unwrap_or_default();
        // A shell may take a question mark for a pattern.
        let quote = if path.contains('?') { "\"" } else { "" };
        writeln!(
            self.out,
            "\n{}. {title}\n   $ curl -s{method}{bearer} {quote}$BASE{path}{quote}{data}",
            self.step
        )?;
        Ok(())
    }

    fn result(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "   {text}")?;
        Ok(())
    }

    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        writeln!(self.out, "\n{text}")?;
        Ok(())
    }
}
