//! Wrong guesses in memory.

use async_trait::async_trait;
use causeway_context::UserId;
use chrono::{DateTime, TimeDelta, Utc};

use super::MemoryStore;
use super::history::Book;
use crate::domain::{Counter, Guesses, Hash};
use crate::store::StoreError;
use crate::store::guesses::{Failure, GuessStore, Standing};

impl Book {
    fn waits(&self, counters: &[Counter], now: DateTime<Utc>) -> Vec<Option<TimeDelta>> {
        let wait = |counter: &Counter| self.guesses.get(&counter.key)?.wait(counter.rule, now);
        counters.iter().map(wait).collect()
    }

    fn count(&mut self, counters: &[Counter], now: DateTime<Utc>) {
        for counter in counters {
            let before = self.guesses.get(&counter.key).copied();
            let guesses = Guesses::and_one(before, counter.rule, now);
            self.guesses.insert(counter.key, guesses);
        }
    }

    fn stand(&self, counters: &[Counter], place: &Hash, now: DateTime<Utc>) -> Standing {
        Standing {
            waits: self.waits(counters, now),
            known: self.places.contains_key(place),
        }
    }
}

#[async_trait]
impl GuessStore for MemoryStore {
    async fn guesses(
        &self,
        counters: &[Counter],
        place: &Hash,
        now: DateTime<Utc>,
    ) -> Result<Standing, StoreError> {
        Ok(self.state().book.stand(counters, place, now))
    }

    async fn count_guess(
        &self,
        counters: &[Counter],
        place: &Hash,
        now: DateTime<Utc>,
        failure: Option<Failure>,
    ) -> Result<Option<TimeDelta>, StoreError> {
        let book = &mut self.state().book;
        let wait = book.stand(counters, place, now).wait(counters);
        if wait.is_some() {
            return Ok(wait);
        }
        book.count(counters, now);
        if let Some(failure) = failure {
            book.sign_ins.insert(failure.sign_in.id, failure.sign_in);
            self.outbox.push(failure.fact);
        }
        Ok(None)
    }

    async fn reserve_guess(
        &self,
        counters: &[Counter],
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, StoreError> {
        let book = &mut self.state().book;
        let wait = book.waits(counters, now).into_iter().flatten().max();
        if wait.is_none() {
            book.count(counters, now);
        }
        Ok(wait)
    }

    async fn forget_guesses(
        &self,
        counters: &[Counter],
        own: &Hash,
        place: &Hash,
        user: Option<UserId>,
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, StoreError> {
        let book = &mut self.state().book;
        let wait = book.stand(counters, place, now).wait(counters);
        if wait.is_some() {
            return Ok(wait);
        }
        book.guesses.remove(own);
        book.places.extend(user.map(|user| (*place, (user, now))));
        Ok(None)
    }

    async fn sweep_guesses(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let book = &mut self.state().book;
        book.guesses.retain(|_, guesses| now < guesses.forget_at);
        Ok(())
    }
}
