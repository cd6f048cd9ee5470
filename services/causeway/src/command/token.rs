//! `causeway token`: credentials for people and grpcurl.

use std::collections::BTreeSet;

use anyhow::Context as _;
use causeway_context::{Caller, UserId, WorkspaceId};
use causeway_contracts::{CallerKind, METHODS, Role};
use causeway_crypto::{AccessClaims, ServiceClaims, ServiceTokenKeys};
use causeway_mesh::OPERATOR;
use causeway_settings::{Owner, Settings, Sources, Tier};
use chrono::Utc;
use clap::Subcommand;
use uuid::Uuid;

use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A token for calling one service directly, valid for a minute, for a service in a process of its own.
    ///
    /// Needs the INTERNAL_SERVICE_SECRET of that process. For an audit service at localhost:7000:
    ///
    /// buf curl --http2-prior-knowledge --protocol grpc -d '{}' -H "authorization: Bearer $(causeway token service
    /// --for audit --workspace ID)" http://localhost:7000/causeway.audit.v1.AuditService/GetRoot
    Service {
        /// The service that is called, such as `audit`.
        #[arg(long = "for")]
        callee: String,
        /// Call as somebody in this workspace; without it, as the operator.
        #[arg(long)]
        workspace: Option<String>,
        /// What that somebody is in the workspace.
        #[arg(long, default_value = "viewer", value_parser = ["viewer", "editor", "admin", "owner"])]
        role: String,
    },
    /// An access token for the gateway, for development: refused in production.
    Dev {
        /// The workspace.
        #[arg(long)]
        workspace: String,
        /// The person; a new one if absent.
        #[arg(long)]
        user: Option<String>,
        /// The role in the workspace.
        #[arg(long, default_value = "owner", value_parser = ["viewer", "editor", "admin", "owner"])]
        role: String,
    },
}

pub(crate) fn run(command: &Command, sources: &Sources) -> Result<(), Failure> {
    let settings = Settings::resolve(sources, &[Owner::Auth, Owner::Mesh])?;
    let text = match command {
        Command::Service {
            callee,
            workspace,
            role,
        } => service(&settings, callee, workspace.as_deref(), role)?,
        Command::Dev {
            workspace,
            user,
            role,
        } => dev(&settings, workspace, user.as_deref(), role)?,
    };
    println!("{text}");
    Ok(())
}

fn service(
    settings: &Settings,
    callee: &str,
    workspace: Option<&str>,
    role: &str,
) -> Result<String, Failure> {
    let services: BTreeSet<&str> = METHODS.iter().map(|method| method.owner).collect();
    if !services.contains(callee) {
        let known = Vec::from_iter(services).join(", ");
        return Err(anyhow::anyhow!("there is no service {callee}; there are {known}").into());
    }
    let Some(secret) = settings.secret("INTERNAL_SERVICE_SECRET") else {
        return Err(Failure::setting(
            "INTERNAL_SERVICE_SECRET",
            "is needed to make a service token",
        ));
    };
    let caller = match workspace {
        None => serde_json::Value::Null,
        Some(id) => serde_json::to_value(somebody(id, None, role)?).context("write the caller")?,
    };
    #[expect(clippy::disallowed_methods, reason = "the token's life begins now")]
    let now = Utc::now().timestamp();
    let claims = ServiceClaims {
        iss: OPERATOR.to_owned(),
        aud: callee.to_owned(),
        method: "*".to_owned(),
        jti: Uuid::now_v7().simple().to_string(),
        iat: now,
        exp: now + 60,
        request_id: format!("operator-{}", Uuid::now_v7()),
        caller,
    };
    Ok(ServiceTokenKeys::new(&secret, None)
        .sign(&claims)
        .context("sign the token")?)
}

fn dev(settings: &Settings, workspace: &str, user: Option<&str>, role: &str) -> Result<String, Failure> {
    if settings.tier() == Tier::Production {
        return Err(Failure::setting(
            "NODE_ENV",
            "development tokens are not made in production",
        ));
    }
    let keys = causeway_auth::access_keys(settings)?;
    let caller = somebody(workspace, user, role)?;
    #[expect(clippy::disallowed_methods, reason = "the token's life begins now")]
    let now = Utc::now().timestamp();
    let claims = AccessClaims {
        iss: None,
        aud: None,
        sub: caller.id.clone(),
        exp: now + 900,
        nbf: now,
        iat: now,
        jti: Uuid::now_v7().to_string(),
        sid: Uuid::now_v7().to_string(),
        workspace_id: workspace.to_owned(),
        roles: caller.roles,
        perm: None,
        scope: String::new(),
        mfa: false,
        mfa_required: false,
        mfa_enrolled: false,
        act: None,
        client_id: None,
    };
    Ok(keys.sign(&claims).context("sign the token")?)
}

fn somebody(workspace: &str, user: Option<&str>, role: &str) -> Result<Caller, Failure> {
    let workspace: WorkspaceId = workspace.parse().context("read --workspace")?;
    let user: UserId = match user {
        Some(user) => user.parse().context("read --user")?,
        None => UserId::generate(),
    };
    let role = Role::parse(role).context("read --role")?;
    Ok(Caller::person(
        CallerKind::User,
        user,
        workspace,
        &[role],
        &[],
        OPERATOR.to_owned(),
    ))
}
