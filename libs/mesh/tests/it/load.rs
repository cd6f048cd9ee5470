//! Load shed: what is too much is refused at once, and a call counts until its answer has ended.

use std::time::Duration;

use causeway_contracts::llm::v1::ListModelsRequest;
use causeway_errors::Code;
use causeway_mesh::GuardOptions;
use tokio::time::Instant;

use crate::fixture::{Sides, by_editor, error_of, options, say, say_in_pieces};

const LIMIT: usize = 3;

async fn narrow() -> Sides {
    Sides::with(|| GuardOptions {
        max_in_flight: LIMIT,
        ..options()
    })
    .await
}

#[tokio::test]
async fn more_calls_than_allowed_are_refused_at_once() {
    let sides = narrow().await;
    for (side, mut client) in sides.clients {
        let begun = sides.fake.begun();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..LIMIT {
            let mut client = client.clone();
            waiting.spawn(async move { client.generate(by_editor(say("wait"))).await });
        }
        sides.fake.has_begun(begun + LIMIT).await;
        let started = Instant::now();
        let error = error_of(client.generate(by_editor(say("echo"))).await);
        assert_eq!(
            (error.0, error.1.as_str()),
            (Code::Unavailable, "OVERLOADED"),
            "{side}"
        );
        // Not an idempotent call either: sent again it would only add to the load.
        let error = error_of(client.list_models(by_editor(ListModelsRequest {})).await);
        assert_eq!(error.1, "OVERLOADED", "{side}");
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{side}: {:?}",
            started.elapsed()
        );
        sides.fake.release(LIMIT);
        while let Some(answer) = waiting.join_next().await {
            answer.expect("no panic").expect("an answer");
        }
        client
            .generate(by_editor(say("echo")))
            .await
            .expect("there is room again");
        assert_eq!(
            sides.fake.begun(),
            begun + LIMIT + 1,
            "{side}: no refused call reached the handler"
        );
    }
}

#[tokio::test]
async fn a_stream_counts_until_it_has_ended() {
    let sides = narrow().await;
    for (side, mut client) in sides.clients {
        let mut streams = Vec::new();
        for _ in 0..LIMIT {
            let stream = client.generate_stream(by_editor(say_in_pieces("hang"))).await;
            streams.push(stream.expect("a stream"));
        }
        assert_eq!(
            error_of(client.generate(by_editor(say("echo"))).await).1,
            "OVERLOADED",
            "{side}"
        );
        streams.pop();
        sides.fake.has_alive(LIMIT - 1).await;
        client
            .generate(by_editor(say("echo")))
            .await
            .expect("room for one");
        drop(streams);
        sides.fake.has_alive(0).await;
    }
}

#[tokio::test]
async fn a_call_that_fails_gives_its_place_back() {
    let sides = narrow().await;
    for (side, mut client) in sides.clients {
        for word in ["violations", "panic", "nonsense"].repeat(LIMIT + 1) {
            let error = error_of(client.generate(by_editor(say(word))).await);
            assert_ne!(error.1, "OVERLOADED", "{side} {word}");
        }
    }
}
