//! Starts the services of a process, each from its own settings.

use anyhow::Context as _;
use causeway_database::Database;
use causeway_mesh::{Mesh, Service};
use causeway_settings::{Problem, Settings};

use super::{Role, Roles};
use crate::failure::Failure;

/// The settings of every service that runs here; all mistakes of all of them at once.
pub(super) struct Configs {
    auth: Option<causeway_auth::Config>,
    tenancy: Option<causeway_tenancy::Config>,
    llm: Option<causeway_llm::Config>,
    scoring: Option<causeway_scoring::Config>,
    audit: Option<causeway_audit::Config>,
    pub(super) gateway: Option<causeway_gateway::Config>,
}

impl Configs {
    pub(super) fn read(settings: &Settings, roles: &Roles) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let configs = Self {
            auth: one(
                roles.has(Role::Auth),
                settings,
                causeway_auth::Config::from_settings,
                &mut problems,
            ),
            tenancy: one(
                roles.has(Role::Tenancy),
                settings,
                causeway_tenancy::Config::from_settings,
                &mut problems,
            ),
            llm: one(
                roles.has(Role::Llm),
                settings,
                causeway_llm::Config::from_settings,
                &mut problems,
            ),
            scoring: one(
                roles.has(Role::Scoring),
                settings,
                causeway_scoring::Config::from_settings,
                &mut problems,
            ),
            audit: one(
                roles.has(Role::Audit),
                settings,
                causeway_audit::Config::from_settings,
                &mut problems,
            ),
            gateway: one(
                roles.has(Role::Gateway),
                settings,
                causeway_gateway::Config::from_settings,
                &mut problems,
            ),
        };
        if problems.is_empty() {
            Ok(configs)
        } else {
            Err(problems)
        }
    }
}

fn one<T>(
    here: bool,
    settings: &Settings,
    read: impl FnOnce(&Settings) -> Result<T, Vec<Problem>>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    if !here {
        return None;
    }
    read(settings)
        .map_err(|mut found| problems.append(&mut found))
        .ok()
}

/// Starts them. The order does not matter: links are looked up when a call is made.
pub(super) async fn start(
    configs: Configs,
    mesh: &Mesh,
    database: Option<Database>,
) -> Result<Vec<Service>, Failure> {
    let mut services = Vec::new();
    if let Some(config) = configs.audit {
        let parts = causeway_audit::Parts {
            mesh: mesh.named("audit"),
        };
        services.push(
            causeway_audit::start(config, parts)
                .await
                .context("start audit")?,
        );
    }
    if let Some(config) = configs.tenancy {
        let parts = causeway_tenancy::Parts {
            mesh: mesh.named("tenancy"),
            database: database.clone(),
        };
        services.push(
            causeway_tenancy::start(config, parts)
                .await
                .context("start tenancy")?,
        );
    }
    if let Some(config) = configs.auth {
        let parts = causeway_auth::Parts {
            mesh: mesh.named("auth"),
            database,
        };
        services.push(causeway_auth::start(config, parts).await.context("start auth")?);
    }
    if let Some(config) = configs.llm {
        let parts = causeway_llm::Parts {
            mesh: mesh.named("llm"),
        };
        services.push(causeway_llm::start(config, parts).await.context("start llm")?);
    }
    if let Some(config) = configs.scoring {
        let parts = causeway_scoring::Parts {
            mesh: mesh.named("scoring"),
        };
        services.push(
            causeway_scoring::start(config, parts)
                .await
                .context("start scoring")?,
        );
    }
    Ok(services)
}
