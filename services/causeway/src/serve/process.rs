//! One process of the mesh: its services, its links to the others, its listeners.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use causeway_contracts::{DESCRIPTOR_SET, Rule};
use causeway_crypto::ServiceTokenKeys;
use causeway_mesh::{
    Background, Drain, DrainReport, Guard, GuardOptions, Health, Listener, Mesh, Service, ServiceIdentity,
    far, near,
};
use causeway_settings::{Problem, Settings, Tier};

use http::{Request, Response};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use uuid::Uuid;

use super::admin::MetricsText;
use super::{Role, Roles, admin, database, services, verifiers};
use crate::failure::Failure;

/// How many calls the services of a process answer at once; more are refused.
const MAX_IN_FLIGHT: usize = 4096;

/// What a process is started with.
pub struct Options {
    /// Its settings, resolved for its roles.
    pub settings: Settings,
    /// What it runs.
    pub roles: Roles,
    /// What `/metrics` shows.
    pub metrics: MetricsText,
    /// Where to listen instead of where the settings say: free ports of tests and of the demo.
    pub bind: Bind,
}

/// Addresses that take the place of the settings'.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bind {
    /// For the gateway.
    pub gateway: Option<SocketAddr>,
    /// For the services.
    pub mesh: Option<SocketAddr>,
    /// For metrics.
    pub admin: Option<SocketAddr>,
}

/// A process that answers.
pub struct Running {
    /// Where the gateway listens, if it runs here.
    pub gateway: Option<SocketAddr>,
    /// Where the services listen, if some run here and others elsewhere.
    pub mesh: Option<SocketAddr>,
    /// Where `/metrics` is.
    pub admin: SocketAddr,
    drain: Drain,
}

impl Running {
    /// Cancelled when the process has to end: background work ended early.
    pub fn stopped(&self) -> CancellationToken {
        self.drain.requests.clone()
    }

    /// Ends it: no new requests, open ones end, then background work.
    pub async fn end(self) -> DrainReport {
        self.drain.end().await
    }
}

/// Starts a process. When this returns, its listeners answer.
///
/// # Errors
/// Every setting that is wrong, or what could not be started.
pub async fn start(options: Options) -> Result<Running, Failure> {
    let Options {
        settings,
        roles,
        metrics,
        bind,
    } = options;
    announce(&settings, &roles);
    let (secrets, links, mut configs) = read(&settings, &roles)?;
    let database = if roles.has(Role::Auth) || roles.has(Role::Tenancy) {
        database::open(&settings).await?
    } else {
        None
    };

    let drain = Drain::new(seconds(&settings, "SHUTDOWN_GRACE_SECONDS", 25));
    let mesh = Mesh::new(ServiceIdentity::new("gateway", Arc::new(secrets.keys())));
    for (callee, address) in links {
        mesh.link(callee, far(address, &drain.workers));
    }
    let gateway_config = configs.gateway.take();
    // Apart, as every service's start is a part of it.
    let services = Box::pin(services::start(configs, &mesh, database)).await?;
    let guard = guarded(services, &settings, secrets, &mesh, &drain).await?;

    let mut running = Running {
        gateway: None,
        mesh: None,
        admin: SocketAddr::from(([127, 0, 0, 1], 0)),
        drain,
    };
    if roles.has_service() && !roles.is_all() {
        let listener = listen(&settings, "MESH_LISTEN_ADDR", None, bind.mesh).await?;
        running.mesh = Some(listener.address());
        running
            .drain
            .listener(listener.serve(guard, running.drain.requests.clone()));
    }
    let listener = listen(&settings, "ADMIN_PORT", Some("ADMIN_ADDR"), bind.admin).await?;
    running.admin = listener.address();
    running
        .drain
        .listener(listener.serve(admin::service(metrics), running.drain.requests.clone()));
    if let Some(config) = gateway_config {
        let router = gateway(config, mesh, &running.drain).await?;
        let listener = listen(&settings, "PORT", Some("BIND_ADDR"), bind.gateway).await?;
        running.gateway = Some(listener.address());
        running
            .drain
            .listener(listener.serve(as_service(router), running.drain.requests.clone()));
    }
    tracing::info!(roles = %roles, gateway = ?running.gateway, mesh = ?running.mesh, admin = %running.admin, "serving");
    Ok(running)
}

/// The services that run elsewhere, and where.
type Links = Vec<(&'static str, http::Uri)>;

/// What a process is told, or everything that is wrong with it at once.
fn read(settings: &Settings, roles: &Roles) -> Result<(Secrets, Links, services::Configs), Vec<Problem>> {
    let secrets = Secrets::read(settings, roles);
    let links = far_links(settings, roles);
    let verifiers = verifiers::check(settings, roles);
    match (
        secrets,
        links,
        verifiers,
        services::Configs::read(settings, roles),
    ) {
        (Ok(secrets), Ok(links), Ok(()), Ok(configs)) => Ok((secrets, links, configs)),
        (secrets, links, verifiers, configs) => {
            let found = [secrets.err(), links.err(), verifiers.err(), configs.err()];
            Err(found.into_iter().flatten().flatten().collect())
        }
    }
}

fn announce(settings: &Settings, roles: &Roles) {
    tracing::info!(tier = ?settings.tier(), roles = %roles, "starting");
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    for note in settings.notes() {
        tracing::info!("{note}");
    }
    let volatile: Vec<&str> = [Role::Llm, Role::Scoring, Role::Audit]
        .into_iter()
        .filter(|role| roles.has(*role))
        .map(Role::name)
        .collect();
    if settings.secret("DATABASE_URL").is_some() && !volatile.is_empty() {
        tracing::warn!(
            services = volatile.join(","),
            "these services keep their data in memory in this release"
        );
    }
}

/// The roots of the service tokens.
struct Secrets {
    current: SecretString,
    previous: Option<SecretString>,
}

impl Secrets {
    /// The all-in-one program makes a secret of its own when none is set: nobody else has to know it.
    fn read(settings: &Settings, roles: &Roles) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let current = settings.secret("INTERNAL_SERVICE_SECRET");
        if !roles.is_all() {
            let mut missing = |name: &str, why: &str| {
                problems.push(Problem {
                    setting: name.to_owned(),
                    message: why.to_owned(),
                });
            };
            if current.is_none() {
                missing(
                    "INTERNAL_SERVICE_SECRET",
                    "is needed by services in processes of their own",
                );
            }
            let stateful = roles.has_service();
            if stateful && settings.secret("DATABASE_URL").is_none() {
                missing(
                    "DATABASE_URL",
                    "is needed by services in processes of their own: memory is not shared",
                );
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let minted = || SecretString::from(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
        Ok(Self {
            current: current.unwrap_or_else(minted),
            previous: settings.secret("INTERNAL_SERVICE_SECRET_PREVIOUS"),
        })
    }

    fn keys(&self) -> ServiceTokenKeys {
        ServiceTokenKeys::new(&self.current, self.previous.as_ref())
    }
}

/// Where the services are that do not run here.
fn far_links(settings: &Settings, roles: &Roles) -> Result<Links, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut links = Vec::new();
    for role in Role::ALL.into_iter().filter(|role| !roles.has(*role)) {
        let Some(setting) = role.address_setting() else {
            continue;
        };
        let message = match settings.text(setting).map(|text| text.parse::<http::Uri>()) {
            Some(Ok(uri)) if uri.scheme_str() == Some("http") && uri.host().is_some() => {
                links.push((role.name(), uri));
                continue;
            }
            Some(_) => "must be http://host:port",
            None => "is needed: the service does not run in this process",
        };
        problems.push(Problem {
            setting: setting.to_owned(),
            message: message.to_owned(),
        });
    }
    if problems.is_empty() {
        Ok(links)
    } else {
        Err(problems)
    }
}

/// Puts the services behind one guard, links them near, and starts their background work and health.
async fn guarded(
    services: Vec<Service>,
    settings: &Settings,
    secrets: Secrets,
    mesh: &Mesh,
    drain: &Drain,
) -> Result<Guard, Failure> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = Routes::new(health).add_service(reflection(Told::Everything)?);
    let mut names = Vec::new();
    let mut readiness = Vec::new();
    for service in services {
        routes = merged(routes, service.routes);
        readiness.push((service.name, service.ready));
        names.push(service.name);
        for work in service.background {
            background(drain, service.name, work);
        }
    }
    let guard = Guard::new(
        routes,
        GuardOptions {
            identity: mesh.identity().clone(),
            secrets: [Some(secrets.current), secrets.previous]
                .into_iter()
                .flatten()
                .collect(),
            open_reflection: settings.tier() != Tier::Production,
            max_in_flight: MAX_IN_FLIGHT,
        },
    );
    for name in names {
        mesh.link(name, near(guard.clone()));
    }
    report_health(reporter, readiness, drain).await;
    Ok(guard)
}

/// Adds the RPCs of a service. Only the RPCs: the fallback stays the first router's.
fn merged(routes: Routes, more: Routes) -> Routes {
    let router = routes
        .into_axum_router()
        .merge(more.into_axum_router().reset_fallback());
    Routes::from(router)
}

fn background(drain: &Drain, name: &'static str, work: Background) {
    drain.worker(name, work(drain.workers.clone()));
}

async fn report_health(
    reporter: HealthReporter,
    readiness: Vec<(&'static str, causeway_mesh::Readiness)>,
    drain: &Drain,
) {
    let health = Health::new(reporter, readiness);
    health.check().await;
    drain.worker("health", health.run(drain.requests.clone()));
}

/// What the gateway itself answers over gRPC, and its routes.
async fn gateway(
    config: causeway_gateway::Config,
    mesh: Mesh,
    drain: &Drain,
) -> Result<axum::Router, Failure> {
    let (reporter, health) = tonic_health::server::health_reporter();
    report_health(reporter, Vec::new(), drain).await;
    let own = Routes::new(health).add_service(reflection(Told::WithoutInternal)?);
    let (router, work) = causeway_gateway::router(config, mesh, own);
    background(drain, "gateway", work);
    Ok(router)
}

/// What reflection tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// All there is, to operators.
    Everything,
    /// What the gateway knows.
    WithoutInternal,
}

/// The contracts as they are told: a service without RPCs is none.
fn contracts(told: Told) -> Result<FileDescriptorSet, Failure> {
    let mut set = FileDescriptorSet::decode(DESCRIPTOR_SET).context("read the contracts")?;
    if told == Told::Everything {
        return Ok(set);
    }
    for file in &mut set.file {
        let package = file.package().to_owned();
        for service in &mut file.service {
            let name = format!("{package}.{}", service.name());
            let is_told = |rpc: &str| {
                let method = causeway_contracts::method(&format!("/{name}/{rpc}"));
                method.is_none_or(|method| method.rule != Rule::Internal)
            };
            service.method.retain(|rpc| is_told(rpc.name()));
        }
        file.service.retain(|service| !service.method.is_empty());
    }
    Ok(set)
}

fn reflection(
    told: Told,
) -> Result<
    tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>,
    Failure,
> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_file_descriptor_set(contracts(told)?)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    Ok(builder.build_v1().context("build reflection")?)
}

/// The router with the body type of the listener.
fn as_service(
    router: axum::Router,
) -> impl tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync {
    tower::ServiceBuilder::new()
        .map_response(|response: Response<axum::body::Body>| response.map(Body::new))
        .service(router)
}

/// Binds the address that a setting names: host and port in one, or the port beside a setting with the host.
async fn listen(
    settings: &Settings,
    name: &str,
    host: Option<&str>,
    instead: Option<SocketAddr>,
) -> Result<Listener, Failure> {
    let address = match instead {
        Some(address) => address,
        None => address(settings, name, host)
            .ok_or_else(|| Failure::setting(name, "must be an address to listen at"))?,
    };
    let bound = Listener::bind(address).await;
    Ok(bound.with_context(|| format!("listen at {address} ({name})"))?)
}

fn address(settings: &Settings, name: &str, host: Option<&str>) -> Option<SocketAddr> {
    let text = settings.text(name)?;
    match host {
        None => text.parse().ok(),
        Some(host) => Some(SocketAddr::new(
            settings.text(host)?.parse().ok()?,
            text.parse().ok()?,
        )),
    }
}

fn seconds(settings: &Settings, name: &str, default: u64) -> Duration {
    let seconds = settings
        .integer(name)
        .and_then(|number| u64::try_from(number).ok());
    Duration::from_secs(seconds.unwrap_or(default))
}
