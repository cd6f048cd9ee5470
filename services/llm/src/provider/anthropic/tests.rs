use causeway_egress::EgressOptions;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::*;
use crate::domain::Turn;
use crate::scripted::{Reply, Upstream, call};

const KEY: &str = "sk-ant-very-secret";

fn provider(base_url: &str) -> Anthropic {
    Anthropic::new(base_url, &KEY.into(), Egress::new(EgressOptions::default()))
}

fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

fn start() -> String {
    event(&json!({"type": "message_start", "message": {
        "id": "msg_1", "model": "claude-haiku-4-5", "content": [], "stop_reason": null,
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 1},
    }}))
}

fn delta(text: &str) -> String {
    event(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}))
}

fn ending(reason: &str) -> String {
    event(&json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 7}}))
}

const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

async fn pieces(chunks: &[&str]) -> Vec<Result<Piece, ErrorClass>> {
    let upstream = Upstream::start([Reply::events(chunks)]).await;
    let pieces = provider(&upstream.url)
        .stream(&call("claude-haiku-4-5"))
        .await
        .unwrap();
    pieces
        .map(|piece| piece.map_err(|error| error.class))
        .collect()
        .await
}

fn text(text: &str) -> Result<Piece, ErrorClass> {
    Ok(Piece::Text(text.to_owned()))
}

#[tokio::test]
async fn a_whole_answer_is_asked_for_and_read() {
    let answer = json!({
        "id": "msg_1", "type": "message", "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "thinking", "thinking": "..."}, {"type": "text", "text": "Hi"}, {"type": "text", "text": "!"}],
        "stop_reason": "max_tokens", "usage": {"input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 7},
    });
    let upstream = Upstream::start([Reply::json(200, &answer)]).await;
    let call = ModelCall {
        temperature: Some(1.7),
        stop: vec!["END".to_owned()],
        ..call("claude-haiku-4-5")
    };
    let completion = provider(&upstream.url).generate(&call).await.unwrap();
    assert_eq!(
        (completion.content.as_str(), completion.finish),
        ("Hi!", Finish::Length)
    );
    assert_eq!(
        completion.usage,
        Some(Usage {
            input_tokens: 7,
            output_tokens: 7,
            estimated: false
        })
    );
    let asked = upstream.asked().remove(0);
    assert_eq!(asked.uri, "/v1/messages");
    assert_eq!(
        (asked.header("x-api-key"), asked.header("anthropic-version")),
        (Some(KEY), Some("2023-06-01"))
    );
    let body = json!({
        "model": "claude-haiku-4-5", "max_tokens": 100, "system": "Be kind.", "temperature": 1.0,
        "messages": [{"role": "user", "content": "Hello"}], "stop_sequences": ["END"],
    });
    assert_eq!(asked.body, body);
}

#[tokio::test]
async fn a_stream_is_read_up_to_its_marker_and_has_the_usage() {
    let block = event(
        &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    );
    let read = pieces(&[
        &start(),
        &block,
        PING,
        &delta("Hi"),
        &delta("!"),
        &ending("end_turn"),
        STOP,
    ])
    .await;
    let usage = Some(Usage {
        input_tokens: 9,
        output_tokens: 7,
        estimated: false,
    });
    assert_eq!(
        read,
        [
            text("Hi"),
            text("!"),
            Ok(Piece::End {
                finish: Finish::Stop,
                usage
            })
        ]
    );
}

#[tokio::test]
async fn a_stream_without_its_marker_is_an_error() {
    let broken = [text("Hi"), Err(ErrorClass::Malformed)];
    assert_eq!(pieces(&[&start(), &delta("Hi")]).await, broken);
    assert_eq!(
        pieces(&[&start(), &delta("Hi"), &ending("end_turn")]).await,
        broken
    );
    assert_eq!(pieces(&[&start(), &delta("Hi"), STOP]).await, broken);
}

#[tokio::test]
async fn an_error_inside_of_a_stream_has_its_class() {
    for (kind, class) in [
        ("overloaded_error", ErrorClass::Server),
        ("rate_limit_error", ErrorClass::RateLimited),
        ("not_found_error", ErrorClass::UnknownModel),
    ] {
        let error = event(&json!({"type": "error", "error": {"type": kind, "message": "x"}}));
        assert_eq!(
            pieces(&[&start(), &delta("Hi"), &error, STOP]).await,
            [text("Hi"), Err(class)],
            "{kind}"
        );
    }
}

#[tokio::test]
async fn both_forms_of_the_base_url_are_understood() {
    let answer = json!({"content": [], "stop_reason": "refusal"});
    for suffix in ["", "/", "/v1", "/v1/"] {
        let upstream = Upstream::start([Reply::json(200, &answer)]).await;
        let base = format!("{}{suffix}", upstream.url);
        let completion = provider(&base).generate(&call("claude-haiku-4-5")).await.unwrap();
        assert_eq!(
            (completion.finish, completion.usage),
            (Finish::ContentFilter, None)
        );
        assert_eq!(upstream.asked().remove(0).uri, "/v1/messages", "{suffix}");
    }
}

#[tokio::test]
async fn a_conversation_of_the_system_alone_is_not_sent() {
    let turns = [Turn {
        role: Role::System,
        content: "Be kind.".to_owned(),
    }]
    .into();
    let call = ModelCall {
        turns,
        ..call("claude-haiku-4-5")
    };
    let error = provider("http://127.0.0.1:9").generate(&call).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::InvalidRequest);
}
