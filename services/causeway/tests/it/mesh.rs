//! Everything in one process, on free ports.

use std::net::SocketAddr;
use std::sync::Arc;

use causeway::serve::{Bind, Options, Roles, Running, start};
use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::Role;
use causeway_crypto::{AccessClaims, AccessTokenKey};
use causeway_settings::{Settings, Sources};
use chrono::Utc;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::Client;

/// The key that signs access tokens in these tests.
pub(crate) const SIGNING_SECRET: &str = "a signing secret of the tests, 32 bytes or more";

/// A running system.
pub(crate) struct Mesh {
    pub(crate) base: String,
    pub(crate) address: SocketAddr,
    running: Option<Running>,
}

/// An account with a session.
pub(crate) struct Account {
    pub(crate) workspace_id: String,
    pub(crate) user_id: String,
    pub(crate) email: String,
    pub(crate) password: String,
    /// With the session's access token.
    pub(crate) client: Client,
    pub(crate) access_token: String,
}

impl Mesh {
    /// In memory, with the mock model, in tier `test`.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with more settings.
    pub(crate) async fn with(more: &[(&str, &str)]) -> Self {
        crate::logs::of_this_process();
        let mut pairs = vec![("NODE_ENV", "test"), ("JWT_SIGNING_SECRET", SIGNING_SECRET)];
        if !more
            .iter()
            .any(|(name, _)| name.contains("LLM") || name.contains("AI_"))
        {
            pairs.push(("USE_MOCK_LLM", "true"));
        }
        pairs.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        pairs.extend_from_slice(more);
        let roles = Roles::all();
        let settings =
            Settings::resolve(&Sources::from_pairs(pairs), &roles.owners()).expect("sound settings");
        let local = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let bind = Bind {
            gateway: local,
            mesh: local,
            admin: local,
        };
        let running = start(Options {
            settings,
            roles,
            metrics: Arc::new(String::new),
            bind,
        })
        .await
        .expect("it starts");
        let address = running.gateway.expect("the gateway listens");
        Self {
            base: format!("http://{address}"),
            address,
            running: Some(running),
        }
    }

    /// A client without a credential.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(&self.base)
    }

    /// A new account with its workspace.
    pub(crate) async fn account(&self, name: &str) -> Account {
        account(&self.anonymous(), name).await
    }

    /// Ends it, and checks that everything ended in time.
    pub(crate) async fn end(mut self) {
        let report = self.running.take().expect("not ended yet").end().await;
        assert!(report.requests_ended && report.workers_ended, "{report:?}");
    }
}

/// A new account with its workspace, wherever the gateway runs.
pub(crate) async fn account(client: &Client, name: &str) -> Account {
    let email = format!("{name}-{}@example.com", Uuid::now_v7().simple());
    let password = format!("correct horse {}", Uuid::new_v4());
    let body = json!({"email": email, "password": password, "workspace_name": name});
    let made = client.post("/auth/register", body).await.json(201);
    let session = client
        .post("/auth/login", json!({"email": email, "password": password}))
        .await
        .json(200);
    let access_token = text(&session, "access_token");
    Account {
        workspace_id: text(&made, "workspace_id"),
        user_id: text(&made, "user_id"),
        email,
        password,
        client: client.bearer(&access_token),
        access_token,
    }
}

/// A text field of an answer.
pub(crate) fn text(json: &Value, field: &str) -> String {
    json[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} in {json}"))
        .to_owned()
}

/// An access token that auth did not make but would have.
pub(crate) fn access_token(workspace: WorkspaceId, roles: &[Role]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the gateway compares it with the clock")]
    let now = Utc::now().timestamp();
    let claims = AccessClaims {
        iss: None,
        aud: None,
        sub: UserId::generate().to_string(),
        exp: now + 600,
        nbf: now,
        iat: now,
        jti: Uuid::now_v7().to_string(),
        sid: Uuid::now_v7().to_string(),
        workspace_id: workspace.to_string(),
        roles: roles.iter().map(|role| role.as_str().to_owned()).collect(),
        perm: None,
        scope: String::new(),
        mfa: false,
        mfa_required: false,
        mfa_enrolled: false,
        act: None,
        client_id: None,
    };
    AccessTokenKey::new(&SecretString::from(SIGNING_SECRET), None, None)
        .sign(&claims)
        .expect("it is signed")
}
