//! Deadlines cut a call, near and far, whatever it is doing.

use std::time::Duration;

use causeway_contracts::Role;
use causeway_errors::Code;
use causeway_mesh::{DEFAULT_DEADLINE, on_behalf};
use tokio::time::Instant;

use crate::fixture::{PATIENCE, Sides, by_editor, error_of, person, pieces, say, say_in_pieces};

const DEADLINE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_deadline_cuts_a_call_that_hangs() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let mut request = by_editor(say("hang"));
        request.set_timeout(DEADLINE);
        let started = Instant::now();
        let error = error_of(client.generate(request).await);
        assert_eq!(
            (error.0, error.1.as_str()),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            "{side}"
        );
        assert!(
            started.elapsed() >= DEADLINE - Duration::from_millis(10),
            "{side}"
        );
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{side}: {:?}",
            started.elapsed()
        );
        sides.fake.has_alive(0).await;
    }
}

#[tokio::test]
async fn a_deadline_cuts_a_stream_that_hangs_and_one_that_does_not() {
    let sides = Sides::start().await;
    for (side, client) in sides.clients {
        for word in ["hang", "busy"] {
            let mut request = by_editor(say_in_pieces(word));
            request.set_timeout(DEADLINE);
            let started = Instant::now();
            let (deltas, end) = pieces(client.clone(), request).await;
            assert!(!deltas.is_empty(), "{side} {word}");
            assert_eq!(error_of(end).0, Code::DeadlineExceeded, "{side} {word}");
            assert!(
                started.elapsed() < Duration::from_secs(2),
                "{side} {word}: {:?}",
                started.elapsed()
            );
            sides.fake.has_alive(0).await;
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_handler() {
    let sides = Sides::start().await;
    for (_, mut client) in sides.clients {
        let begun = sides.fake.begun();
        tokio::select! {
            _ = client.generate(by_editor(say("hang"))) => panic!("it hangs"),
            () = sides.fake.has_begun(begun + 1) => {}
        }
        sides.fake.has_alive(0).await;
        let stream = client
            .generate_stream(by_editor(say_in_pieces("hang")))
            .await
            .expect("a stream");
        sides.fake.has_alive(1).await;
        drop(stream);
        sides.fake.has_alive(0).await;
    }
}

#[tokio::test]
async fn the_handler_knows_when_its_caller_stops_waiting() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let mut request = by_editor(say("echo"));
        request.set_timeout(Duration::from_secs(7));
        client.generate(request).await.expect(side);
        let left = left(&sides.fake);
        assert!(
            left <= Duration::from_secs(7) && left > Duration::from_secs(5),
            "{side}: {left:?}"
        );
        client.generate(by_editor(say("echo"))).await.expect(side);
        let left = self::left(&sides.fake);
        assert!(
            left <= DEFAULT_DEADLINE && left > DEFAULT_DEADLINE / 2,
            "{side}: {left:?}"
        );
    }
}

fn left(fake: &crate::fixture::Fake) -> Duration {
    let deadline = fake.last_seen().ctx.deadline.expect("a deadline");
    deadline.saturating_duration_since(std::time::Instant::now())
}

#[tokio::test]
async fn a_call_on_behalf_of_another_ends_when_that_one_does() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let outer = person(Role::Editor).until(std::time::Instant::now() + DEADLINE);
        let mut request = on_behalf(&outer, say("hang"));
        request.set_timeout(PATIENCE);
        let started = Instant::now();
        assert_eq!(
            error_of(client.generate(request).await).0,
            Code::DeadlineExceeded,
            "{side}"
        );
        assert!(started.elapsed() < Duration::from_secs(2), "{side}");
        let over = person(Role::Editor).until(std::time::Instant::now());
        let begun = sides.fake.begun();
        let error = error_of(client.generate(on_behalf(&over, say("hang"))).await);
        assert_eq!(error.0, Code::DeadlineExceeded, "{side}: {begun}");
    }
}
