//! What is asked at the same time is asked together: while a statement or a call runs, the questions that come gather for
//! the next one, which answers all of them. Alone, a question goes at once; under load, a round trip and a commit are
//! shared.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

/// How many questions are asked at once at most.
pub(crate) const MOST: usize = 64;

/// How long a question waits for its turn. Whatever holds others up that long is not to hold up this one.
const PATIENCE: Duration = Duration::from_millis(250);

/// Questions that wait for their turn.
pub(crate) struct Together<Q, A> {
    waiting: Mutex<Waiting<Q, A>>,
    turns: Semaphore,
}

struct Waiting<Q, A> {
    questions: Vec<Question<Q, A>>,
    next: u64,
}

struct Question<Q, A> {
    id: u64,
    question: Q,
    asker: oneshot::Sender<A>,
}

impl<Q, A> Together<Q, A> {
    /// As many may be under way at the same time as there are turns. Few: what comes meanwhile is then one statement and
    /// not several.
    pub(crate) fn new(turns: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                questions: Vec::new(),
                next: 0,
            }),
            turns: Semaphore::new(turns),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<Q, A>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to `question`. Whoever has the turn asks `answer` for all who wait by then: it answers one for each, in
    /// their order. None for who was asked for by another whose asking failed or who gave up, and for who waited too long:
    /// the question may or may not have been asked, and has to be asked alone.
    ///
    /// # Errors
    /// What `answer` says to this caller.
    pub(crate) async fn ask<E, F>(&self, question: Q, answer: impl Fn(Vec<Q>) -> F) -> Result<Option<A>, E>
    where
        F: Future<Output = Result<Vec<A>, E>>,
    {
        let (asker, mut answered) = oneshot::channel();
        let id = self.wait(question, asker);
        let mut patience = pin!(tokio::time::sleep(PATIENCE));
        loop {
            let turn = tokio::select! {
                biased;
                told = &mut answered => return Ok(told.ok()),
                turn = self.turns.acquire() => turn,
                () = &mut patience => match self.leave(id) {
                    true => return Ok(None),
                    false => return Ok(answered.await.ok()),
                },
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

    fn wait(&self, question: Q, asker: oneshot::Sender<A>) -> u64 {
        let mut waiting = self.waiting();
        let id = waiting.next;
        waiting.next += 1;
        waiting.questions.push(Question { id, question, asker });
        id
    }

    /// Whether the question was still waiting; it does not any more.
    fn leave(&self, id: u64) -> bool {
        let mut waiting = self.waiting();
        let place = waiting.questions.iter().position(|one| one.id == id);
        place.map(|place| waiting.questions.remove(place)).is_some()
    }

    /// The questions that have waited longest.
    fn take(&self) -> (Vec<Q>, Vec<oneshot::Sender<A>>) {
        let questions = &mut self.waiting().questions;
        // Who gave up wants nothing done any more: a rotation that is made late would make a thief of who tries again.
        questions.retain(|one| !one.asker.is_closed());
        let count = questions.len().min(MOST);
        let taken = questions.drain(..count);
        taken.map(|one| (one.question, one.asker)).unzip()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_asks_while_others_are_answered_is_answered_together() {
        let (together, statements) = (Together::new(1), AtomicUsize::new(0));
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
        let together = Together::<u8, u8>::new(1);
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
        let together = Together::<u8, u8>::new(1);
        let turn = together.turns.acquire().await.unwrap();
        let asked = Mutex::new(Vec::new());
        let echo = |questions: Vec<u8>| {
            asked.lock().unwrap().extend(questions.iter().copied());
            async { Ok::<_, Infallible>(questions) }
        };
        let mut gone = Box::pin(together.ask(1, echo));
        assert!(futures::poll!(gone.as_mut()).is_pending());
        drop(gone);
        drop(turn);
        assert_eq!(together.ask(2, echo).await, Ok(Some(2)));
        assert_eq!(*asked.lock().unwrap(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_held_up_by_others_asks_alone() {
        let together = Together::<u8, u8>::new(1);
        let never = |_| std::future::pending::<Result<Vec<u8>, Infallible>>();
        let mut stuck = Box::pin(together.ask(1, never));
        assert!(futures::poll!(stuck.as_mut()).is_pending());
        let echo = |questions| async { Ok::<_, Infallible>(questions) };
        let late = tokio::time::timeout(2 * PATIENCE, together.ask(2, echo)).await;
        assert_eq!(late, Ok(Ok(None)));
        // When who is stuck gives up, nobody is held up any more.
        drop(stuck);
        assert_eq!(together.ask(3, echo).await, Ok(Some(3)));
    }
}
