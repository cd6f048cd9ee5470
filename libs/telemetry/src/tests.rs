use std::fmt;
use std::io;

use http::HeaderMap;
use uuid::Uuid;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn captured(level: LogLevel, format: LogFormat) -> (Telemetry, CapturedLog) {
    let log = CapturedLog::default();
    let options = TelemetryOptions {
        level,
        format,
        writer: Some(BoxMakeWriter::new(log.clone())),
        ..TelemetryOptions::new("test")
    };
    (init(options).unwrap(), log)
}

fn logged(level: LogLevel, format: LogFormat, work: impl FnOnce()) -> String {
    let (telemetry, log) = captured(level, format);
    tracing::dispatcher::with_default(telemetry.dispatch(), work);
    log.text()
}

#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("load key")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn json_lines_are_json_and_carry_the_fields_of_their_span() {
    let text = logged(LogLevel::Info, LogFormat::Json, || {
        let _span = tracing::info_span!("rpc", request_id = "r1").entered();
        tracing::info!(answer = 42, "done");
    });
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["message"], "done");
    assert_eq!(line["answer"], 42);
    assert_eq!(line["span"]["request_id"], "r1");
}

#[test]
fn each_level_keeps_what_is_at_or_above_it() {
    let write_all = || {
        tracing::error!("e");
        tracing::warn!("w");
        tracing::info!("i");
        tracing::debug!("d");
    };
    let levels = [
        LogLevel::Silent,
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
    ];
    for (expected, level) in levels.into_iter().enumerate() {
        assert_eq!(
            logged(level, LogFormat::Pretty, write_all).lines().count(),
            expected,
            "{level:?}"
        );
    }
}

#[test]
fn transports_do_not_fill_the_log() {
    let text = logged(LogLevel::Debug, LogFormat::Json, || {
        tracing::error!(target: "h2::codec", "noise");
        tracing::error!(target: "hyper_util::client", "noise");
        tracing::error!(target: "tonic::transport", "noise");
    });
    assert_eq!(text, "");
}

#[test]
fn a_report_has_the_whole_chain_and_the_id_once() {
    let id = Uuid::new_v4();
    let text = logged(LogLevel::Error, LogFormat::Json, || {
        report(&Outer(io::Error::other("disk on fire")), id, "read the store");
    });
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["error"], "load key: disk on fire");
    assert_eq!(line["error_id"], id.to_string());
    assert_eq!(line["message"], "read the store");
}

#[test]
fn what_looks_like_a_credential_is_not_logged() {
    for (text, safe) in [
        (
            "Authorization: Bearer abc.def",
            "Authorization: Bearer [redacted]",
        ),
        ("key sk-live-1234567890 refused", "key [redacted] refused"),
        (
            "connect postgresql://u:p@host/db failed",
            "connect [redacted] failed",
        ),
        ("token=\"cw_pat_0123456789abcdef\"", "token=\"[redacted]\""),
        ("a\nb\tc", "a b c"),
        ("nothing to hide", "nothing to hide"),
    ] {
        assert_eq!(sanitise(text), safe);
    }
    assert_eq!(sanitise(&"x".repeat(5000)).len(), 2003);
}

#[test]
fn a_slow_route_is_named_and_a_fast_one_is_not() {
    let threshold = Duration::from_millis(150);
    let text = logged(LogLevel::Warn, LogFormat::Json, || {
        slow_api("/v1/models", Duration::from_millis(150), threshold);
        slow_api("/v1/recommend", Duration::from_millis(151), threshold);
    });
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (&line["event"], &line["route"]),
        (&"slow_api".into(), &"/v1/recommend".into())
    );
    assert_eq!(line["elapsed_ms"], 151);
}

#[test]
fn a_trace_from_outside_is_passed_on_without_an_endpoint() {
    let (telemetry, _log) = captured(LogLevel::Silent, LogFormat::Json);
    let incoming = HeaderMap::from_iter([(
        http::header::HeaderName::from_static("traceparent"),
        PARENT.parse().unwrap(),
    )]);
    let mut outgoing = HeaderMap::new();
    tracing::dispatcher::with_default(telemetry.dispatch(), || {
        let span = tracing::info_span!("rpc");
        continue_trace(&span, &incoming);
        assert_eq!(trace_id(&span).as_deref(), Some(&PARENT[3..35]));
        span.in_scope(|| inject(&mut outgoing));
    });
    let sent = outgoing["traceparent"].to_str().unwrap();
    assert_eq!(sent[..36], PARENT[..36]);
    assert!(sent.ends_with("-01"), "{sent}");
}

#[test]
fn a_broken_traceparent_is_as_good_as_none() {
    let (telemetry, _log) = captured(LogLevel::Silent, LogFormat::Json);
    let incoming = HeaderMap::from_iter([(
        http::header::HeaderName::from_static("traceparent"),
        "00-zz".parse().unwrap(),
    )]);
    tracing::dispatcher::with_default(telemetry.dispatch(), || {
        let span = tracing::info_span!("rpc");
        continue_trace(&span, &incoming);
        assert_ne!(trace_id(&span).as_deref(), Some("zz"));
    });
}

#[test]
fn calls_are_counted_under_their_labels() {
    let (telemetry, _log) = captured(LogLevel::Silent, LogFormat::Json);
    metrics::record_call("server", "audit", "ListEvents", "OK", 0.002);
    let running = metrics::in_flight("server", "audit");
    let text = telemetry.prometheus();
    let labels = r#"code="OK",method="ListEvents",service="audit",side="server""#;
    assert!(
        text.contains(&format!("causeway_mesh_call_seconds_count{{{labels}}} 1")),
        "{text}"
    );
    assert!(
        text.contains(r#"causeway_mesh_calls_in_flight{service="audit",side="server"} 1"#),
        "{text}"
    );
    drop(running);
    assert!(
        telemetry
            .prometheus()
            .contains(r#"causeway_mesh_calls_in_flight{service="audit",side="server"} 0"#)
    );
}

#[test]
fn a_second_start_does_not_panic_and_reads_the_same_metrics() {
    let (first, _log) = captured(LogLevel::Info, LogFormat::Json);
    let (second, _log) = captured(LogLevel::Info, LogFormat::Json);
    metrics::record_call("client", "llm", "ListModels", "OK", 0.1);
    assert!(!second.is_installed());
    assert_eq!(first.prometheus(), second.prometheus());
}

#[test]
fn an_endpoint_that_is_no_url_is_refused() {
    for endpoint in ["collector:4317", "ftp://collector", "http://", "not a url"] {
        let options = TelemetryOptions {
            otlp_endpoint: Some(endpoint.to_owned()),
            ..TelemetryOptions::new("test")
        };
        assert!(
            matches!(init(options), Err(TelemetryError::Endpoint(_))),
            "{endpoint}"
        );
    }
}
