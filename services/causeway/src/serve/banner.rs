//! What a person at a terminal wants to know when everything runs: where, and what to try.

use std::net::{Ipv4Addr, SocketAddr};

use causeway_settings::{Settings, Tier};

use super::Running;

/// Whether somebody reads along: in development, unless the log is for machines.
pub(super) fn wanted(settings: &Settings) -> bool {
    settings.tier() == Tier::Development && settings.text("LOG_FORMAT").as_deref() == Some("pretty")
}

/// The addresses of a process with a gateway; nothing for other processes.
pub(super) fn text(running: &Running) -> String {
    let Some(gateway) = running.gateway else {
        return String::new();
    };
    let (base, admin) = (url(gateway), url(running.admin));
    // As it was called, so that the lines can be copied.
    let program = std::env::args().next().unwrap_or_else(|| "causeway".to_owned());
    let open = if gateway.ip().is_unspecified() {
        "\n  Others on your network can reach it; BIND_ADDR=127.0.0.1 keeps it to this machine."
    } else {
        ""
    };
    format!(
        "
  Causeway listens at {base}, for development.{open}

  {docs:<34} the routes; openapi.json and llms.txt beside it
  {metrics:<34} Prometheus metrics
  {demo:<34} the whole story once, with the curl lines
  {check:<34} what each setting is and where it came from

",
        docs = format!("{base}/docs"),
        metrics = format!("{admin}/metrics"),
        demo = format!("{program} demo"),
        check = format!("{program} config check"),
    )
}

/// Where a browser of this machine finds it.
fn url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() || address.ip() == Ipv4Addr::LOCALHOST {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_a_browser_can_open() {
        for (address, expected) in [
            ("0.0.0.0:4000", "http://localhost:4000"),
            ("[::]:4000", "http://localhost:4000"),
            ("127.0.0.1:9464", "http://localhost:9464"),
            ("192.0.2.7:80", "http://192.0.2.7:80"),
            ("[::1]:80", "http://[::1]:80"),
        ] {
            assert_eq!(url(address.parse().unwrap()), expected);
        }
    }
}
