use std::time::Duration;

use causeway_egress::EgressOptions;
use futures::StreamExt as _;
use serde_json::json;

use super::*;
use crate::scripted::{Reply, Upstream, call};

const KEY: &str = "sk-very-secret-0123456789";

fn provider(upstream: &Upstream) -> OpenAi {
    OpenAi::new(
        "openai",
        &upstream.url,
        Some(&KEY.into()),
        Egress::new(EgressOptions::default()),
    )
}

fn answer() -> serde_json::Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi!", "refusal": null}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    })
}

fn chunk(delta: &serde_json::Value, finish: Option<&str>) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": null,
    });
    format!("data: {chunk}\n\n")
}

const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n";

async fn pieces(reply: Reply) -> Vec<Result<Piece, ErrorClass>> {
    let upstream = Upstream::start([reply]).await;
    let pieces = provider(&upstream).stream(&call("gpt-4o-mini")).await.unwrap();
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
    let upstream = Upstream::start([Reply::json(200, &answer())]).await;
    let completion = provider(&upstream).generate(&call("gpt-4o-mini")).await.unwrap();
    assert_eq!(completion.model, "gpt-4o-mini-2024-07-18");
    assert_eq!(
        (completion.content.as_str(), completion.finish),
        ("Hi!", Finish::Stop)
    );
    assert_eq!(
        completion.usage,
        Some(Usage {
            input_tokens: 9,
            output_tokens: 2,
            estimated: false
        })
    );
    let asked = upstream.asked().remove(0);
    assert_eq!(asked.uri, "/v1/chat/completions");
    assert_eq!(
        asked.header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    let body = json!({
        "model": "gpt-4o-mini", "max_tokens": 100, "temperature": 0.2,
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
    });
    assert_eq!(asked.body, body);
}

#[tokio::test]
async fn a_stream_is_read_up_to_its_marker_and_has_the_usage() {
    let reply = Reply::events(&[
        &chunk(&json!({"role": "assistant", "content": ""}), None),
        &chunk(&json!({"content": "Hi"}), None),
        &chunk(&json!({"content": " there"}), None),
        &chunk(&json!({}), Some("length")),
        USAGE,
        "data: [DONE]\n\n",
    ]);
    let upstream = Upstream::start([reply.hang()]).await;
    let read = provider(&upstream).stream(&call("gpt-4o-mini")).await.unwrap();
    let read: Vec<_> = read
        .map(|piece| piece.map_err(|error| error.class))
        .collect()
        .await;
    let usage = Some(Usage {
        input_tokens: 9,
        output_tokens: 2,
        estimated: false,
    });
    assert_eq!(
        read,
        [
            text("Hi"),
            text(" there"),
            Ok(Piece::End {
                finish: Finish::Length,
                usage
            })
        ]
    );
    let body = upstream.asked().remove(0).body;
    assert_eq!(
        (&body["stream"], &body["stream_options"]),
        (&json!(true), &json!({"include_usage": true}))
    );
}

#[tokio::test]
async fn a_stream_without_its_marker_is_an_error() {
    let (hi, stop) = (
        chunk(&json!({"content": "Hi"}), None),
        chunk(&json!({}), Some("stop")),
    );
    let broken = [text("Hi"), Err(ErrorClass::Malformed)];
    assert_eq!(pieces(Reply::events(&[&hi])).await, broken);
    assert_eq!(pieces(Reply::events(&[&hi, &stop, USAGE])).await, broken);
    assert_eq!(pieces(Reply::events(&[&hi, "data: [DONE]\n\n"])).await, broken);
    assert_eq!(pieces(Reply::events(&[&hi, "data: [DO"])).await, broken);
    // What was sent just before the cut may be lost with it.
    assert_eq!(
        pieces(Reply::events(&[&hi]).cut()).await.pop(),
        Some(Err(ErrorClass::Connect))
    );
}

#[tokio::test]
async fn an_error_inside_of_a_stream_has_its_class() {
    let hi = chunk(&json!({"content": "Hi"}), None);
    for (error, class) in [
        (
            json!({"error": {"type": "rate_limit_error", "message": "x"}}),
            ErrorClass::RateLimited,
        ),
        (json!({"error": {"type": "server_error"}}), ErrorClass::Server),
        (json!({"error": "overloaded"}), ErrorClass::Server),
        (json!([]), ErrorClass::Malformed),
    ] {
        let reply = Reply::events(&[&hi, &format!("data: {error}\n\n"), "data: [DONE]\n\n"]);
        assert_eq!(pieces(reply).await, [text("Hi"), Err(class)], "{error}");
    }
    assert_eq!(
        pieces(Reply::events(&[&hi, "data: nonsense\n\n"])).await,
        [text("Hi"), Err(ErrorClass::Malformed)]
    );
}

#[tokio::test]
async fn silence_inside_of_a_stream_ends_it() {
    let upstream = Upstream::start([Reply::events(&[&chunk(&json!({"content": "Hi"}), None)]).hang()]).await;
    let call = ModelCall {
        timeout: Duration::from_millis(100),
        ..call("gpt-4o-mini")
    };
    let read = provider(&upstream).stream(&call).await.unwrap();
    let read: Vec<_> = read
        .map(|piece| piece.map_err(|error| error.class))
        .collect()
        .await;
    assert_eq!(read, [text("Hi"), Err(ErrorClass::Timeout)]);
}

#[tokio::test]
async fn a_line_without_end_is_cut_off() {
    let endless = format!("data: {}", "x".repeat(300 * 1024));
    assert_eq!(
        pieces(Reply::events(&[&endless])).await,
        [Err(ErrorClass::Malformed)]
    );
}

#[tokio::test]
async fn each_status_has_its_class_and_nothing_of_key_or_body_gets_out() {
    for (status, class) in [
        (400, ErrorClass::InvalidRequest),
        (401, ErrorClass::Auth),
        (404, ErrorClass::UnknownModel),
        (429, ErrorClass::RateLimited),
        (500, ErrorClass::Server),
        (503, ErrorClass::Server),
    ] {
        let body =
            json!({"error": {"message": format!("Incorrect API key provided: {KEY}. Hello"), "type": "x"}});
        let reply = Reply::json(status, &body).header("retry-after", "2");
        let upstream = Upstream::start([reply.clone(), reply]).await;
        let whole = provider(&upstream).generate(&call("gpt-4o")).await.unwrap_err();
        let streamed = provider(&upstream).stream(&call("gpt-4o")).await.err().unwrap();
        for error in [whole, streamed] {
            assert_eq!(
                (error.class, error.retry_after),
                (class, Some(Duration::from_secs(2))),
                "{status}"
            );
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("secret") && !shown.contains("Hello"), "{shown}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_malformed() {
    for body in [json!({"choices": []}), json!({"choices": "no"}), json!("text")] {
        let upstream = Upstream::start([Reply::json(200, &body)]).await;
        let error = provider(&upstream).generate(&call("gpt-4o")).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Malformed, "{body}");
    }
    let upstream = Upstream::start([Reply::json(200, &answer())]).await;
    let error = provider(&upstream).stream(&call("gpt-4o")).await.err().unwrap();
    assert_eq!(error.class, ErrorClass::Malformed);
}

#[tokio::test]
async fn a_slow_answer_is_a_timeout() {
    let upstream = Upstream::start([Reply::json(200, &json!({})).hang()]).await;
    let call = ModelCall {
        timeout: Duration::from_millis(100),
        ..call("gpt-4o")
    };
    assert_eq!(
        provider(&upstream).generate(&call).await.unwrap_err().class,
        ErrorClass::Timeout
    );
}

#[tokio::test]
async fn a_server_without_a_key_gets_none() {
    let upstream = Upstream::start([Reply::json(200, &answer())]).await;
    let base = format!("{}/openai/v2/", upstream.url);
    let provider = OpenAi::new("ollama", &base, None, Egress::new(EgressOptions::default()));
    provider.generate(&call("llama3")).await.unwrap();
    let asked = upstream.asked().remove(0);
    assert_eq!(
        (asked.uri.path(), asked.header("authorization")),
        ("/openai/v2/chat/completions", None)
    );
}

#[test]
fn reasoning_models_are_asked_in_their_own_way() {
    for (model, is_one) in [
        ("o1", true),
        ("o3-mini", true),
        ("gpt-5.1", true),
        ("gpt-5", true),
        ("gpt-4o", false),
        ("o1x", false),
    ] {
        let call = call(model);
        let ask = serde_json::to_value(Ask::new(&call, false)).unwrap();
        assert_eq!(ask.get("max_completion_tokens").is_some(), is_one, "{model}");
        assert_eq!(ask.get("max_tokens").is_none(), is_one, "{model}");
        assert_eq!(ask.get("temperature").is_none(), is_one, "{model}");
    }
}
