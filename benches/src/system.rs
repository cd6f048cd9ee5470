//! The systems under test: split as in production, all in one, and without a socket.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use causeway_mesh::{Guard, GuardOptions, Mesh, MeshChannel, Service, ServiceIdentity, far, near};
use causeway_telemetry::{Telemetry, TelemetryOptions};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::program::{Place, Program, free_address};
use crate::subject::{Cast, Rpc, Secrets, Way};

/// A split service must name a database. These two keep their data in memory and never open it.
const NO_DATABASE: &str = "postgresql://nobody@127.0.0.1:1/none";

/// What every process is told: limits that count but are never reached, the log as in production.
fn shared(secrets: &Secrets) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("NODE_ENV", "development".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
        ("JWT_SIGNING_SECRET", secrets.signing.clone()),
        ("INTERNAL_SERVICE_SECRET", secrets.internal.clone()),
        ("RATE_LIMIT_PER_MINUTE", "1000000000".to_owned()),
        ("RATE_LIMIT_TIER", "unlimited".to_owned()),
        ("BIND_ADDR", "127.0.0.1".to_owned()),
        ("ADMIN_PORT", free_address()?.port().to_string()),
    ])
}

/// Everything in one process, as `causeway serve all` runs it.
pub(crate) async fn whole(place: &Place, secrets: &Secrets) -> Result<(Program, SocketAddr)> {
    let address = free_address()?;
    let mut environment = shared(secrets)?;
    environment.push(("PORT", address.port().to_string()));
    let mut program = Program::start(place, "whole", "all", &environment)?;
    program.answers(address, Some("/ready")).await?;
    Ok((program, address))
}

/// The gateway in one process, scoring and audit in another, TCP between them.
struct Split {
    gateway: Program,
    gateway_at: SocketAddr,
    services: Program,
    services_at: SocketAddr,
}

impl Split {
    async fn start(place: &Place, secrets: &Secrets) -> Result<Self> {
        let (gateway_at, services_at) = (free_address()?, free_address()?);
        // The three that are not measured are said to be there too; nobody calls them.
        let links = [
            "MESH_AUTH_ADDR",
            "MESH_TENANCY_ADDR",
            "MESH_LLM_ADDR",
            "MESH_SCORING_ADDR",
            "MESH_AUDIT_ADDR",
        ]
        .map(|name| (name, format!("http://{services_at}")));
        let mut environment = shared(secrets)?;
        environment.extend(links.clone());
        environment.push(("DATABASE_URL", NO_DATABASE.to_owned()));
        environment.push(("MESH_LISTEN_ADDR", services_at.to_string()));
        let mut services = Program::start(place, "services", "scoring,audit", &environment)?;
        let mut environment = shared(secrets)?;
        environment.extend(links);
        environment.push(("PORT", gateway_at.port().to_string()));
        let mut gateway = Program::start(place, "gateway", "gateway", &environment)?;
        services.answers(services_at, None).await?;
        gateway.answers(gateway_at, Some("/health")).await?;
        Ok(Self {
            gateway,
            gateway_at,
            services,
            services_at,
        })
    }
}

/// The services in this process, behind the guard that they have everywhere.
struct Near {
    mesh: Mesh,
    background: JoinSet<()>,
    stop: CancellationToken,
    // Calls are counted and traced here too, as in the real processes.
    _telemetry: Telemetry,
}

impl Near {
    async fn start(secrets: &Secrets) -> Result<Self> {
        let options = TelemetryOptions::new("causeway-bench");
        let telemetry = causeway_telemetry::init(options).context("start telemetry")?;
        let mesh = Mesh::new(ServiceIdentity::new("gateway", Arc::new(secrets.service_keys())));
        let audit = causeway_audit::Parts {
            mesh: mesh.named("audit"),
        };
        let scoring = causeway_scoring::Parts {
            mesh: mesh.named("scoring"),
        };
        let services = [
            causeway_audit::start(causeway_audit::Config::default(), audit)
                .await
                .context("start audit")?,
            causeway_scoring::start(causeway_scoring::Config::default(), scoring)
                .await
                .context("start scoring")?,
        ];
        let mut this = Self {
            mesh,
            background: JoinSet::new(),
            stop: CancellationToken::new(),
            _telemetry: telemetry,
        };
        for service in services {
            this.add(service);
        }
        Ok(this)
    }

    fn add(&mut self, service: Service) {
        for work in service.background {
            self.background.spawn(work(self.stop.clone()));
        }
        let options = GuardOptions {
            identity: self.mesh.identity().clone(),
            secrets: Vec::new(),
            open_reflection: false,
            max_in_flight: 4096,
        };
        self.mesh
            .link(service.name, near(Guard::new(service.routes, options)));
    }

    async fn end(self) {
        self.stop.cancel();
        self.background.join_all().await;
    }
}

/// All systems, warm connections to them, and the id that the model has in each.
pub(crate) struct Systems {
    split: Split,
    whole: Program,
    near: Near,
    direct: MeshChannel,
    gateway: MeshChannel,
    all_in_one: MeshChannel,
    models: [String; 3],
    _resolver: DropGuard,
}

/// The processes whose CPU time is read.
pub(crate) struct Processes {
    pub(crate) gateway: u32,
    pub(crate) services: u32,
    pub(crate) whole: u32,
}

impl Systems {
    /// Starts what is missing beside the running program `whole`.
    pub(crate) async fn start(
        place: &Place,
        secrets: &Secrets,
        cast: &Cast,
        (whole, whole_at): (Program, SocketAddr),
    ) -> Result<Self> {
        let (split, near) = (Split::start(place, secrets).await?, Near::start(secrets).await?);
        let stop = CancellationToken::new();
        let connect = |address: SocketAddr| -> Result<MeshChannel> {
            let uri = format!("http://{address}").parse().context("read an address")?;
            Ok(far(uri, &stop))
        };
        let (direct, gateway) = (connect(split.services_at)?, connect(split.gateway_at)?);
        let all_in_one = connect(whole_at)?;
        let models = [
            cast.set_up(&gateway, Way::GatewayGrpc, secrets).await?,
            cast.set_up(&all_in_one, Way::WholeGrpc, secrets).await?,
            cast.set_up(&near.mesh.to("scoring"), Way::Near, secrets).await?,
        ];
        Ok(Self {
            split,
            whole,
            near,
            direct,
            gateway,
            all_in_one,
            models,
            _resolver: stop.drop_guard(),
        })
    }

    /// The channel on which `rpc` is called on `way`.
    pub(crate) fn channel(&self, way: Way, rpc: Rpc) -> MeshChannel {
        match way {
            Way::Direct => self.direct.clone(),
            Way::GatewayGrpc | Way::GatewayRest => self.gateway.clone(),
            Way::WholeGrpc | Way::WholeRest => self.all_in_one.clone(),
            Way::Near => self.near.mesh.to(rpc.owner()),
        }
    }

    /// The id of the model at the end of `way`.
    pub(crate) fn model(&self, way: Way) -> &str {
        let [split, whole, near] = &self.models;
        match way {
            Way::Direct | Way::GatewayGrpc | Way::GatewayRest => split,
            Way::WholeGrpc | Way::WholeRest => whole,
            Way::Near => near,
        }
    }

    pub(crate) fn processes(&self) -> Processes {
        Processes {
            gateway: self.split.gateway.process(),
            services: self.split.services.process(),
            whole: self.whole.process(),
        }
    }

    /// Ends all of them.
    pub(crate) async fn end(self) -> Result<()> {
        self.near.end().await;
        self.split.gateway.end().await?;
        self.split.services.end().await?;
        self.whole.end().await
    }
}
