//! What is asked at the same time is asked together: while statements run, the questions that come gather for the next
//! one, which answers all of them. Alone, a question goes at once; under load, a round trip and a commit are shared.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

/// How many statements run at once. With one, whatever holds it up would hold up everybody.
const AT_ONCE: usize = 2;
/// How many questions one statement answers at most.
const MOST: usize = 64;

/// Questions that wait for a statement.
pub(super) struct Together<Q, A> {
    waiting: Mutex<Vec<Waiting<Q, A>>>,
    turns: Semaphore,
}

struct Waiting<Q, A> {
    question: Q,
    asker: oneshot::Sender<A>,
}

impl<Q, A> Together<Q, A> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<Q, A>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to `question`. Whoever has a turn asks `answer` for all who wait by then: it answers one for each, in
    /// their order. None for who was asked for by another whose statement failed or who gave up: the question may or may
    /// not have been asked, and has to be asked alone.
    ///
    /// # Errors
    /// What `answer` says to this caller.
    pub(super) async fn ask<E, F>(&self, question: Q, answer: impl Fn(Vec<Q>) -> F) -> Result<Option<A>, E>
    where
        F: Future<Output = Result<Vec<A>, E>>,
    {
        let (asker, mut answered) = oneshot::channel();
        self.waiting().push(Waiting { question, asker });
        loop {
            let turn = tokio::select! {
                biased;
                told = &mut answered => return Ok(told.ok()),
                turn = self.turns.acquire() => turn,
            };
            // Whose turn it was before may have taken this question, and is about to answer it.
            let (questions, askers) = self.take();
            if questions.is_empty() {
                drop(turn);
                return Ok(answered.await.ok());
            }
            let answers = answer(questions).await?;
            drop(turn);
            for (asker, answer) in askers.into_iter().zip(answers) {
                // Who gave up hears nothing.
                let _ = asker.send(answer);
            }
        }
    }

    /// The questions that have waited longest.
    fn take(&self) -> (Vec<Q>, Vec<oneshot::Sender<A>>) {
        let mut waiting = self.waiting();
        // Who gave up wants nothing done any more: a rotation that is made late would make a thief of who tries again.
        waiting.retain(|one| !one.asker.is_closed());
        let count = waiting.len().min(MOST);
        let taken = waiting.drain(..count);
        taken.map(|one| (one.question, one.asker)).unzip()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn who_asks_while_others_are_answered_is_answered_together() {
        let (together, statements) = (Together::new(), AtomicUsize::new(0));
        let doubled = |questions: Vec<usize>| {
            statements.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(questions.iter().map(|question| question * 2).collect())
            }
        };
        let asking = (0..200).map(|question| together.ask(question, doubled));
        let answers = futures::future::join_all(asking).await;
        for (question, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer, Ok(Some(question * 2)));
        }
        assert!(statements.load(Ordering::SeqCst) <= 8);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_one_and_the_others_ask_alone() {
        let together = Together::<u8, u8>::new();
        let failing = |_| async {
            tokio::task::yield_now().await;
            Err::<Vec<u8>, _>("away")
        };
        let asking = (0..6).map(|question| together.ask(question, failing));
        let answers = futures::future::join_all(asking).await;
        assert!(answers.contains(&Err("away")));
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer, Err("away") | Ok(None)))
        );
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_asked() {
        let together = Together::<u8, u8>::new();
        let turns = together.turns.acquire_many(2).await.unwrap();
        let asked = Mutex::new(Vec::new());
        let echo = |questions: Vec<u8>| {
            asked.lock().unwrap().extend(questions.iter().copied());
            async { Ok::<_, Infallible>(questions) }
        };
        let mut gone = Box::pin(together.ask(1, echo));
        assert!(futures::poll!(gone.as_mut()).is_pending());
        drop(gone);
        drop(turns);
        assert_eq!(together.ask(2, echo).await, Ok(Some(2)));
        assert_eq!(*asked.lock().unwrap(), [2]);
    }

    #[tokio::test]
    async fn who_gives_up_takes_nobody_along() {
        let together = Arc::new(Together::<u8, u8>::new());
        let never = Arc::new(Notify::new());
        let mut stuck = Vec::new();
        for question in 0..2 {
            let (together, never) = (Arc::clone(&together), Arc::clone(&never));
            stuck.push(Box::pin(async move {
                let wait = |questions: Vec<u8>| {
                    let never = Arc::clone(&never);
                    async move {
                        never.notified().await;
                        Ok::<_, Infallible>(questions)
                    }
                };
                together.ask(question, wait).await
            }));
        }
        for one in &mut stuck {
            assert!(futures::poll!(one.as_mut()).is_pending());
        }
        let echo = |questions| async { Ok::<_, Infallible>(questions) };
        let mut late = Box::pin(together.ask(7, echo));
        assert!(futures::poll!(late.as_mut()).is_pending());
        drop(stuck);
        assert_eq!(late.await, Ok(Some(7)));
    }
}
