use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::stream;

use super::*;
use crate::domain::Finish;
use crate::scripted::call;

/// Answers with what it was told; hangs when there is nothing left to say.
struct Scripted(Mutex<VecDeque<Result<(), ProviderError>>>);

impl Scripted {
    fn new(answers: impl IntoIterator<Item = Result<(), ProviderError>>) -> Self {
        Self(Mutex::new(answers.into_iter().collect()))
    }

    async fn next(&self) -> Result<(), ProviderError> {
        let next = self.0.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn generate(&self, call: &ModelCall) -> Result<Completion, ProviderError> {
        self.next().await?;
        let model = call.model.clone();
        Ok(Completion {
            model,
            content: "hi".to_owned(),
            finish: Finish::Stop,
            usage: None,
        })
    }

    async fn stream(&self, _: &ModelCall) -> Result<Pieces, ProviderError> {
        // The failure is the first item of the stream: the head was fine.
        let first = self.next().await.map(|()| Piece::Text("hi".to_owned()));
        let second = Err(fault(ErrorClass::Server));
        Ok(stream::iter([first, second]).boxed())
    }
}

fn fault(class: ErrorClass) -> ProviderError {
    ProviderError::new("scripted", class, "was told to fail")
}

fn wish(seconds: u64) -> ProviderError {
    ProviderError::status("scripted", 429, Some(Duration::from_secs(seconds)))
}

async fn ask(provider: &Scripted, budget: Duration) -> (Result<Completion, LlmError>, u32, Duration) {
    let (attempts, begun) = (Attempts::default(), Instant::now());
    let answer = generate(provider, &call("m"), begun + budget, &attempts).await;
    (answer, attempts.made(), begun.elapsed())
}

const BUDGET: Duration = Duration::from_secs(120);

#[tokio::test(start_paused = true)]
async fn two_more_attempts_after_transient_errors() {
    for class in [
        ErrorClass::Connect,
        ErrorClass::Timeout,
        ErrorClass::RateLimited,
        ErrorClass::Server,
    ] {
        let provider = Scripted::new([Err(fault(class)), Err(fault(class)), Ok(())]);
        let (answer, made, _) = ask(&provider, BUDGET).await;
        assert!(answer.is_ok());
        assert_eq!(made, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn not_a_fourth() {
    let provider = Scripted::new([(); 4].map(|()| Err(fault(ErrorClass::Server))));
    let (answer, made, _) = ask(&provider, BUDGET).await;
    assert!(matches!(answer, Err(LlmError::Failed { attempts: 3, .. })));
    assert_eq!(made, 3);
}

#[tokio::test(start_paused = true)]
async fn no_second_attempt_after_an_error_that_stays() {
    for class in [
        ErrorClass::Auth,
        ErrorClass::InvalidRequest,
        ErrorClass::UnknownModel,
        ErrorClass::Malformed,
    ] {
        let (answer, made, elapsed) = ask(&Scripted::new([Err(fault(class)), Ok(())]), BUDGET).await;
        assert!(answer.is_err());
        assert_eq!((made, elapsed), (1, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_are_spread() {
    let provider = Scripted::new([
        Err(fault(ErrorClass::Server)),
        Err(fault(ErrorClass::Server)),
        Ok(()),
    ]);
    let (_, _, elapsed) = ask(&provider, BUDGET).await;
    // 250 ms and 500 ms, each from half to one and a half; the timer counts in milliseconds.
    let bounds = Duration::from_millis(375)..Duration::from_millis(1128);
    assert!(bounds.contains(&elapsed), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_wish_of_the_provider_is_respected() {
    let (answer, made, elapsed) = ask(&Scripted::new([Err(wish(20)), Ok(())]), BUDGET).await;
    assert!(answer.is_ok());
    assert_eq!(made, 2);
    assert!(
        (Duration::from_secs(20)..Duration::from_millis(20_100)).contains(&elapsed),
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wish_beyond_the_deadline_ends_at_once_and_is_passed_on() {
    let (answer, made, elapsed) = ask(&Scripted::new([Err(wish(130)), Ok(())]), BUDGET).await;
    assert_eq!((made, elapsed), (1, Duration::ZERO));
    assert_eq!(
        answer.unwrap_err().to_api().retry_after,
        Some(Duration::from_secs(130))
    );
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_timeout() {
    let (answer, made, elapsed) = ask(&Scripted::new([]), BUDGET).await;
    assert!(matches!(answer, Err(LlmError::Failed { last, .. }) if last.class == ErrorClass::Timeout));
    assert_eq!(made, 3);
    assert!(
        (Duration::from_secs(15)..Duration::from_secs(17)).contains(&elapsed),
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_tried_again_before_its_first_piece_and_never_after() {
    let provider = Scripted::new([Err(fault(ErrorClass::Server)), Ok(()), Ok(())]);
    let attempts = Attempts::default();
    let (first, mut rest) = stream(&provider, &call("m"), Instant::now() + BUDGET, &attempts)
        .await
        .unwrap();
    assert_eq!(first, Piece::Text("hi".to_owned()));
    assert_eq!(
        rest.next().await.map(|piece| piece.map_err(|error| error.class)),
        Some(Err(ErrorClass::Server))
    );
    assert!(rest.next().await.is_none());
    assert_eq!(attempts.made(), 2);
}
