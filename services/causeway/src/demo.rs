//! `causeway demo`: the whole story once, over HTTP, against everything in one process. Needs no database and no
//! network.

mod client;
mod merkle;
mod story;

pub use story::{Summary, tell};

use std::net::SocketAddr;

use anyhow::Context as _;
use causeway_settings::{Settings, Sources};

use crate::failure::Failure;
use crate::serve::{self, Bind, Options, Roles};

/// Starts everything on free ports, tells the story to the terminal, ends everything.
pub(crate) async fn run() -> Result<(), Failure> {
    let roles = Roles::all();
    let sources = Sources::from_pairs([("NODE_ENV", "development"), ("USE_MOCK_LLM", "true")]);
    let settings = Settings::resolve(&sources, &roles.owners())?;
    let local = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let bind = Bind {
        gateway: local,
        mesh: local,
        admin: local,
    };
    let running = serve::start(Options {
        settings,
        roles,
        metrics: std::sync::Arc::new(String::new),
        bind,
    })
    .await?;
    let address = running.gateway.context("the gateway listens")?;
    let told = tell(&format!("http://{address}"), &mut std::io::stdout()).await;
    running.end().await;
    told?;
    Ok(())
}
