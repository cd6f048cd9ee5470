//! Traces and metrics of a call, on both of its sides.

use std::time::Duration;

use causeway_telemetry::{CapturedLog, Telemetry, TelemetryOptions, trace_id};
use tracing::Instrument as _;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::fixture::{Sides, by_editor, pieces, say, say_in_pieces};

fn telemetry() -> (Telemetry, CapturedLog) {
    let log = CapturedLog::default();
    let options = TelemetryOptions {
        writer: Some(BoxMakeWriter::new(log.clone())),
        ..TelemetryOptions::new("mesh-test")
    };
    (causeway_telemetry::init(options).expect("telemetry"), log)
}

#[tokio::test]
async fn a_trace_goes_on_in_the_handler() {
    let (telemetry, _) = telemetry();
    let _default = tracing::dispatcher::set_default(telemetry.dispatch());
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let span = tracing::info_span!("door");
        let trace = trace_id(&span).expect("a trace");
        client
            .generate(by_editor(say("echo")))
            .instrument(span)
            .await
            .expect("an answer");
        let seen = sides.fake.last_seen();
        let parent = seen.headers["traceparent"].to_str().expect("text").to_owned();
        assert!(parent.starts_with(&format!("00-{trace}-")), "{side}: {parent}");
        assert_eq!(seen.trace, Some(trace), "{side}");
    }
}

#[tokio::test]
async fn a_call_is_counted_with_the_code_of_its_end() {
    let (telemetry, _) = telemetry();
    let sides = Sides::start().await;
    for (_, client) in sides.clients {
        let mut request = by_editor(say_in_pieces("hang"));
        request.set_timeout(Duration::from_millis(50));
        pieces(client.clone(), request).await.1.expect_err("cut");
        pieces(client.clone(), by_editor(say_in_pieces("three")))
            .await
            .1
            .expect("whole");
        pieces(client, by_editor(say_in_pieces("broken")))
            .await
            .1
            .expect_err("broken");
        sides.fake.has_alive(0).await;
    }
    let text = telemetry.prometheus();
    let counted = |side: &str, code: &str| {
        let of = |name: &str, value: &str| format!("{name}=\"{value}\"");
        let line = text.lines().find(|line| {
            line.starts_with("causeway_mesh_call_seconds_count")
                && [("side", side), ("code", code), ("method", "GenerateStream")]
                    .iter()
                    .all(|(name, value)| line.contains(&of(name, value)))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("{side} {code} in {text}"))
    };
    for code in ["ok", "deadline_exceeded", "invalid_argument"] {
        assert_eq!(counted("client", code), 2, "{code}");
    }
    assert_eq!(counted("server", "ok"), 2);
    assert_eq!(counted("server", "invalid_argument"), 2);
    let running: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("causeway_mesh_calls_in_flight"))
        .filter(|line| !line.ends_with(" 0"))
        .collect();
    assert_eq!(running, Vec::<&str>::new(), "nothing runs any more");
}

#[tokio::test]
async fn a_panic_is_logged_once_without_its_text() {
    let (telemetry, log) = telemetry();
    let _default = tracing::dispatcher::set_default(telemetry.dispatch());
    let sides = Sides::start().await;
    for (_, mut client) in sides.clients {
        let before = log.text().len();
        let status = client
            .generate(by_editor(say("panic")))
            .await
            .expect_err("a panic");
        let text = log.text().split_off(before);
        assert_eq!(text.matches("a handler panicked").count(), 1, "{text}");
        let id = causeway_errors::ApiError::from(status).error_id.to_string();
        assert!(text.contains(&id) && !text.contains("1234"), "{text}");
    }
}
