//! Sign-in at a provider of OpenID Connect through the whole system: the real npm `oidc-provider`, and one that says what a
//! test wants.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use causeway_testkit::{CLIENT_ID, CLIENT_SECRET, OpenIdProvider};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::http::{Answer, Client};
use crate::mesh::{Mesh, text};

/// The public address, which no name server knows: the browser of these tests finds the gateway there.
const DOOR: &str = "http://door.example";
const CALLBACK: &str = "http://door.example/auth/oidc/peer/callback";
const FRONT: &str = "https://front.example";
/// What `scripts/clients.sh run` exits with when nothing is installed.
const NOT_INSTALLED: i32 = 69;

async fn mesh(issuer: &str, more: &[(&str, &str)]) -> Mesh {
    let pairs = [
        ("NEXTAUTH_URL", DOOR),
        ("CORS_ALLOWED_ORIGINS", FRONT),
        ("OIDC_ISSUER_URL", issuer),
        ("OIDC_CLIENT_ID", CLIENT_ID),
        ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
        ("OIDC_PROVIDER_NAME", "peer"),
    ];
    Mesh::with(&[&pairs[..], more].concat()).await
}

async fn fake() -> OpenIdProvider {
    #[expect(clippy::disallowed_methods, reason = "the service compares it with the clock")]
    let now = Utc::now().timestamp();
    OpenIdProvider::start(now).await
}

/// Keeps cookies by the host, and follows nothing by itself.
#[derive(Default)]
struct Browser {
    gateway: String,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    fn of(mesh: &Mesh) -> Self {
        Self {
            gateway: mesh.base.clone(),
            ..Self::default()
        }
    }

    /// Where a host listens, and the path of an address.
    fn place<'a>(&self, url: &'a str) -> (String, &'a str) {
        let slash = url[8..].find('/').map_or(url.len(), |index| index + 8);
        let (host, path) = url.split_at(slash);
        (host.to_owned(), path)
    }

    async fn send(&mut self, verb: &str, url: &str, body: &str, kind: Option<&str>) -> Answer {
        let (host, path) = self.place(url);
        let base = if host == DOOR {
            self.gateway.as_str()
        } else {
            &host
        };
        let jar = self.cookies.entry(host.clone()).or_default();
        let cookies: Vec<String> = jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let client = Client::new(base).header("cookie", &cookies.join("; "));
        let answer = client.send(verb, path, body, kind).await;
        for set in answer.headers.get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            match value.is_empty() {
                true => jar.remove(name),
                false => jar.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    async fn get(&mut self, url: &str) -> Answer {
        self.send("GET", url, "", None).await
    }

    async fn post(&mut self, url: &str, body: Value) -> Answer {
        self.send("POST", url, &body.to_string(), Some("application/json"))
            .await
    }

    /// Where an answer sends the browser.
    #[track_caller]
    fn sent(answer: &Answer) -> String {
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.header("location").to_owned()
    }

    /// Begins a sign-in; answers where the provider is.
    async fn start(&mut self, query: &str) -> String {
        let answer = self.get(&format!("{DOOR}/auth/oidc/peer/start{query}")).await;
        assert!(answer.body.is_empty(), "{}", answer.body);
        Self::sent(&answer)
    }

    fn at_door(&self) -> &BTreeMap<String, String> {
        &self.cookies[DOOR]
    }

    /// What one is to the gateway that came back with a refresh cookie.
    async fn goes_on(&mut self, mesh: &Mesh) -> Value {
        let refreshed = self
            .post(&format!("{DOOR}/auth/refresh"), json!({}))
            .await
            .json(200);
        let client = mesh.anonymous().bearer(&text(&refreshed, "access_token"));
        client.get("/v1/me").await.json(200)
    }
}

/// npm's `oidc-provider` as a process; none where it is not installed and nobody says that it must be.
struct Peer {
    issuer: String,
    _process: Child,
}

impl Peer {
    async fn start(algorithm: &str) -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/clients.sh");
        let mut process = Command::new("bash")
            .args([script, "run", "oidc_provider"])
            .envs([("CLIENT_ID", CLIENT_ID), ("CLIENT_SECRET", CLIENT_SECRET)])
            .envs([("REDIRECT_URI", CALLBACK), ("ID_TOKEN_ALG", algorithm)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("bash runs");
        let mut said = BufReader::new(process.stdout.take().expect("piped")).lines();
        let line = tokio::time::timeout(Duration::from_secs(30), said.next_line());
        let Some(line) = line.await.expect("it starts in time").expect("a line of text") else {
            let status = process.wait().await.expect("bash ends");
            let must = std::env::var_os("CAUSEWAY_TEST_CLIENTS").is_some();
            assert!(!must && status.code() == Some(NOT_INSTALLED), "{status}");
            eprintln!("skipped: the clients are not installed: run scripts/clients.sh install");
            return None;
        };
        let told: Value = serde_json::from_str(&line).expect("a line of JSON");
        Some(Self {
            issuer: text(&told, "issuer"),
            _process: process,
        })
    }

    /// Signs in and agrees, as its pages ask for it; answers what the browser comes back with.
    async fn sign_in(&self, browser: &mut Browser, location: String, name: &str) -> String {
        let mut at = location;
        for _ in 0..12 {
            if at.starts_with(DOOR) {
                return at;
            }
            if at.starts_with('/') {
                at = format!("{}{at}", self.issuer);
            }
            let page = browser.get(&at).await;
            if page.status == 303 {
                at = Browser::sent(&page);
                continue;
            }
            let form = match page.body.contains(r#"value="login""#) {
                true => format!("prompt=login&login={name}&password=x"),
                false => "prompt=consent".to_owned(),
            };
            let kind = Some("application/x-www-form-urlencoded");
            let answer = browser.send("POST", &at, &form, kind).await;
            at = Browser::sent(&answer);
        }
        panic!("the provider does not send the browser back: {at}");
    }
}

/// Contract §2: discovery, the provider's own pages, the way back, a session at the gateway, and its refresh.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_at_a_real_provider() {
    for algorithm in ["RS256", "ES256"] {
        let Some(peer) = Peer::start(algorithm).await else {
            return;
        };
        let mesh = mesh(&peer.issuer, &[]).await;
        let mut browser = Browser::of(&mesh);
        let location = browser.start("?return_to=/welcome").await;
        assert!(location.starts_with(&format!("{}/auth?", peer.issuer)));
        let back = peer.sign_in(&mut browser, location, "ada").await;
        assert!(back.starts_with(CALLBACK) && back.contains("code=") && back.contains("iss="));
        let answer = browser.get(&back).await;
        assert_eq!(Browser::sent(&answer), "http://door.example/welcome");
        let kept: Vec<&str> = browser.at_door().keys().map(String::as_str).collect();
        assert_eq!(kept, ["refresh_token"], "{algorithm}");
        let me = browser.goes_on(&mesh).await;
        assert_eq!(me["principal"]["roles"], json!(["owner"]));
        assert_eq!(me["email"], "", "an address of the provider's is not kept");
        let again = browser.get(&back).await;
        assert_eq!(again.reason(400), "SIGN_IN_EXPIRED");
        let mut another = Browser::of(&mesh);
        let location = another.start("").await;
        let back = peer.sign_in(&mut another, location, "ada").await;
        let session = another.get(&back).await.json(200);
        assert_eq!(session["token_type"], "Bearer");
        let client = mesh.anonymous().bearer(&text(&session, "access_token"));
        let again = client.get("/v1/me").await.json(200);
        assert_eq!(again["principal"]["id"], me["principal"]["id"], "the same person");
        let history = client.get("/v1/me/sign-ins").await.json(200);
        assert!(history.to_string().contains(r#""method":"peer""#), "{history}");
        let log = client
            .get("/v1/audit/events?action=session.opened")
            .await
            .json(200);
        assert_eq!(log["entries"][0]["event"]["details"]["method"], "peer");
        mesh.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_open_to_the_browser_that_began() {
    let fake = fake().await;
    let mesh = mesh(&fake.url(), &[]).await;
    let (mut ada, mut eve) = (Browser::of(&mesh), Browser::of(&mesh));
    let location = ada.start("?return_to=https://front.example/in").await;
    let back = fake.sign_in(&location, "ada");
    let url = format!(
        "{CALLBACK}?code={}&state={}&iss={}",
        back.code, back.state, back.iss
    );
    eve.start("").await;
    assert_eq!(
        eve.get(&url).await.reason(400),
        "SIGN_IN_EXPIRED",
        "another browser"
    );
    let nobody = Browser::of(&mesh).get(&url).await;
    assert_eq!(nobody.reason(400), "SIGN_IN_EXPIRED", "no browser");
    let no = format!(
        "{CALLBACK}?error=access_denied&state={}&iss={}",
        back.state, back.iss
    );
    assert_eq!(ada.get(&no).await.reason(403), "SIGN_IN_DENIED");
    // Providers add what they like.
    let answer = ada
        .get(&format!("{url}&scope=openid+email&authuser=0&prompt=none"))
        .await;
    assert_eq!(Browser::sent(&answer), "https://front.example/in");
    assert!(!answer.header("location").contains("token"));
    assert_eq!(ada.get(&url).await.reason(400), "SIGN_IN_EXPIRED", "finished");
    ada.goes_on(&mesh).await;
    let foreign = ada
        .get(&format!(
            "{DOOR}/auth/oidc/peer/start?return_to=https://evil.example"
        ))
        .await;
    assert_eq!(foreign.reason(400), "INVALID_ARGUMENT");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_set_up_is_offered() {
    let fake = fake().await;
    let google = [("GOOGLE_CLIENT_ID", "id"), ("GOOGLE_CLIENT_SECRET", "secret")];
    let all = mesh(&fake.url(), &google).await;
    let offered = all.anonymous().get("/auth/oidc").await.json(200);
    let both = json!({"providers": [
        {"name": "google", "start_path": "/auth/oidc/google/start"},
        {"name": "peer", "start_path": "/auth/oidc/peer/start"},
    ]});
    assert_eq!(offered, both);
    all.end().await;
    let none = Mesh::start().await;
    let offered = none.anonymous().get("/v1/auth/oidc").await.json(200);
    assert_eq!(offered, json!({"providers": []}));
    for path in [
        "/auth/oidc/google/start",
        "/auth/oidc/google/callback?code=c&state=s",
    ] {
        assert_eq!(none.anonymous().get(path).await.reason(404), "PROVIDER_NOT_FOUND");
    }
    none.end().await;
}

/// MFA-06, over the way of a browser: the token of the second step is in a cookie, never in an address.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_second_factor_passes_it_in_the_front_end() {
    let fake = fake().await;
    let mesh = mesh(&fake.url(), &[]).await;
    let mut browser = Browser::of(&mesh);
    let sign_in = async |browser: &mut Browser| {
        let location = browser.start("?return_to=https://front.example/in").await;
        let back = fake.sign_in(&location, "ada");
        let url = format!(
            "{CALLBACK}?code={}&state={}&iss={}",
            back.code, back.state, back.iss
        );
        Browser::sent(&browser.get(&url).await)
    };
    sign_in(&mut browser).await;
    let refreshed = browser
        .post(&format!("{DOOR}/auth/refresh"), json!({}))
        .await
        .json(200);
    let client = mesh.anonymous().bearer(&text(&refreshed, "access_token"));
    let enrolled = client.post("/v1/me/mfa/totp", json!({})).await.json(200);
    #[expect(
        clippy::disallowed_methods,
        reason = "the service compares codes with the clock"
    )]
    let now = Utc::now().timestamp().to_string();
    let uri = text(&enrolled, "otpauth_uri");
    let app = [("CAUSEWAY_OTPAUTH_URI", uri.as_str()), ("CAUSEWAY_AT", &now)];
    let Some(told) = crate::clients::run("authenticator", &app).await else {
        return mesh.end().await;
    };
    let code = text(&told, "code");
    let confirmed = client
        .post("/v1/me/mfa/totp/confirm", json!({"code": code}))
        .await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    let mut browser = Browser::of(&mesh);
    let place = sign_in(&mut browser).await;
    assert_eq!(place, "https://front.example/in?mfa_required=true");
    let kept: Vec<&str> = browser.at_door().keys().map(String::as_str).collect();
    assert_eq!(kept, ["causeway_mfa"]);
    let recovery = &enrolled["recovery_codes"][0];
    let verified = browser
        .post(&format!("{DOOR}/auth/mfa/verify"), json!({"code": recovery}))
        .await;
    assert_eq!(verified.status, 200, "{}", verified.body);
    let kept: Vec<&str> = browser.at_door().keys().map(String::as_str).collect();
    assert_eq!(kept, ["refresh_token"]);
    let me = browser.goes_on(&mesh).await;
    assert_eq!(me["mfa"], true);
    mesh.end().await;
}

/// EXC-08.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_provider_is_down_a_sign_in_waits_and_everybody_else_works() {
    let fake = fake().await;
    fake.fail("metadata", http::StatusCode::BAD_GATEWAY);
    let mesh = mesh(&fake.url(), &[]).await;
    let answer = Browser::of(&mesh)
        .get(&format!("{DOOR}/auth/oidc/peer/start"))
        .await;
    assert_eq!(answer.reason(503), "IDENTITY_PROVIDER_UNAVAILABLE");
    let seconds = answer.header("retry-after").parse::<u64>();
    assert!(seconds.is_ok_and(|seconds| (1..=10).contains(&seconds)));
    mesh.account("local").await;
    mesh.end().await;
}

/// RFC 8693.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_of_the_provider_becomes_an_access_token() {
    let fake = fake().await;
    let mesh = mesh(&fake.url(), &[]).await;
    let exchange = async |token: String| {
        let body = json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        });
        mesh.anonymous().post("/auth/token", body).await
    };
    let granted = exchange(fake.id_token("ada")).await.json(200);
    let client = mesh.anonymous().bearer(&text(&granted, "access_token"));
    let me = client.get("/v1/me").await.json(200);
    assert_eq!(me["principal"]["roles"], json!(["owner"]));
    fake.claim(json!({"aud": "another"}));
    let refused = exchange(fake.id_token("ada")).await.json(400);
    assert_eq!(refused["error"], "invalid_request");
    mesh.end().await;
}
