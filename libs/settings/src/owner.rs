//! Who reads a setting.

use std::fmt;

/// The part of the system that reads a setting. A process checks only the settings of the owners it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The public door.
    Gateway,
    /// Users, sessions and tokens.
    Auth,
    /// Workspaces, members and secrets.
    Tenancy,
    /// Language model providers.
    Llm,
    /// Decision models and interactions.
    Scoring,
    /// The audit log, provenance and search.
    Audit,
    /// The task runner and attachments.
    Tasks,
    /// The event publisher and consumers.
    Events,
    /// Background jobs.
    Worker,
    /// Deliveries and inbound callbacks.
    Webhooks,
    /// Scheduled endpoints.
    Cron,
    /// Logs, traces and metrics of every process.
    Observability,
    /// What all processes of the mesh share.
    Mesh,
    /// Compose files and charts; no program reads these.
    Deploy,
    /// The browser bundle; no server reads these.
    Frontend,
    /// A JavaScript framework's own variables: recognised, without effect.
    FrameworkOnly,
    /// Names kept free: recognised, without effect.
    Reserved,
    /// Tools beside the servers.
    ScriptOnly,
    /// Test runs only.
    TestOnly,
}

impl Owner {
    /// All owners: what the all-in-one program resolves.
    pub const ALL: &'static [Self] = &[
        Self::Gateway,
        Self::Auth,
        Self::Tenancy,
        Self::Llm,
        Self::Scoring,
        Self::Audit,
        Self::Tasks,
        Self::Events,
        Self::Worker,
        Self::Webhooks,
        Self::Cron,
        Self::Observability,
        Self::Mesh,
        Self::Deploy,
        Self::Frontend,
        Self::FrameworkOnly,
        Self::Reserved,
        Self::ScriptOnly,
        Self::TestOnly,
    ];

    /// The owner's word in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Auth => "auth",
            Self::Tenancy => "tenancy",
            Self::Llm => "llm",
            Self::Scoring => "scoring",
            Self::Audit => "audit",
            Self::Tasks => "tasks",
            Self::Events => "events",
            Self::Worker => "worker",
            Self::Webhooks => "webhooks",
            Self::Cron => "cron",
            Self::Observability => "observability",
            Self::Mesh => "mesh",
            Self::Deploy => "deploy",
            Self::Frontend => "frontend",
            Self::FrameworkOnly => "framework-only",
            Self::Reserved => "reserved",
            Self::ScriptOnly => "script-only",
            Self::TestOnly => "test-only",
        }
    }

    /// Whether every process checks this owner's settings, whatever it runs.
    pub const fn concerns_every_process(self) -> bool {
        !matches!(
            self,
            Self::Gateway
                | Self::Auth
                | Self::Tenancy
                | Self::Llm
                | Self::Scoring
                | Self::Audit
                | Self::Tasks
                | Self::Events
                | Self::Worker
                | Self::Webhooks
                | Self::Cron
        )
    }

    /// Why no server reads this owner's settings; `None` for the owners that are servers.
    pub(crate) const fn not_for_servers(self) -> Option<&'static str> {
        match self {
            Self::Deploy => Some("read by compose files only, not by the program"),
            Self::Frontend => Some("for the frontend build, the server ignores it"),
            Self::FrameworkOnly => Some("framework variable, recognised without effect"),
            Self::Reserved => Some("reserved name, recognised without effect"),
            Self::ScriptOnly => Some("for a tool beside the servers, the server ignores it"),
            Self::TestOnly => Some("for test runs, the server ignores it"),
            Self::Gateway
            | Self::Auth
            | Self::Tenancy
            | Self::Llm
            | Self::Scoring
            | Self::Audit
            | Self::Tasks
            | Self::Events
            | Self::Worker
            | Self::Webhooks
            | Self::Cron
            | Self::Observability
            | Self::Mesh => None,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
