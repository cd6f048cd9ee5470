//! The answers of the last day, within bounds: of all, and of each workspace, so that no tenant pushes out the others'.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

pub(super) const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Past these bounds the oldest answers go first.
const ALL: Bound = Bound {
    answers: 20_000,
    bytes: 64 << 20,
};
/// What one workspace, or one address without a credential, may keep.
const EACH: Bound = Bound {
    answers: 4_000,
    bytes: 8 << 20,
};
/// What an answer takes beside its text.
const OVERHEAD: usize = 512;

/// Who sent which key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// The workspace; the address of a caller who has none. Answers are counted by it.
    pub(super) tenant: String,
    /// Who in it. Keys of different callers never meet.
    pub(super) caller: String,
    /// The key.
    pub(super) key: String,
}

/// An answer as it is given again.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What is known of a key.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing: the call runs, under this number.
    New(u64),
    /// The first call still runs.
    Running,
    /// It was another request's.
    Other,
    /// Its answer.
    Stored(Answer),
}

#[derive(Clone, Copy)]
struct Bound {
    answers: usize,
    bytes: usize,
}

/// The answers of the last day.
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Calls that run, and calls that are answered.
    entries: HashMap<Scope, Entry>,
    /// The answered ones by their numbers: the oldest first.
    order: BTreeMap<u64, (Instant, Scope)>,
    tenants: HashMap<String, Share>,
    bytes: usize,
    last: u64,
}

struct Entry {
    number: u64,
    fingerprint: [u8; 32],
    answer: Option<Answer>,
}

#[derive(Default)]
struct Share {
    order: VecDeque<u64>,
    bytes: usize,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call under a key, unless there was one.
    pub(super) fn begin(&self, scope: &Scope, fingerprint: [u8; 32], now: Instant) -> Found {
        let mut kept = self.lock();
        kept.expire(now);
        match kept.entries.get(scope) {
            Some(entry) if entry.fingerprint != fingerprint => Found::Other,
            Some(Entry { answer: None, .. }) => Found::Running,
            Some(Entry {
                answer: Some(answer), ..
            }) => Found::Stored(answer.clone()),
            None => {
                let number = kept.number();
                let entry = Entry {
                    number,
                    fingerprint,
                    answer: None,
                };
                kept.entries.insert(scope.clone(), entry);
                Found::New(number)
            }
        }
    }

    /// Keeps the answer of the call that runs under that number.
    pub(super) fn finish(&self, scope: &Scope, running: u64, answer: Answer, now: Instant) {
        let mut kept = self.lock();
        let number = kept.number();
        let size = size(scope, &answer);
        match kept.entries.get_mut(scope) {
            Some(entry) if entry.number == running => {
                entry.number = number;
                entry.answer = Some(answer);
            }
            Some(_) | None => return,
        }
        kept.order.insert(number, (now, scope.clone()));
        kept.bytes += size;
        let share = kept.tenants.entry(scope.tenant.clone()).or_default();
        share.order.push_back(number);
        share.bytes += size;
        kept.shrink(&scope.tenant);
    }

    /// Forgets the call that runs under that number: it has no answer to keep.
    pub(super) fn forget(&self, scope: &Scope, running: u64) {
        let mut kept = self.lock();
        if kept
            .entries
            .get(scope)
            .is_some_and(|entry| entry.number == running)
        {
            kept.entries.remove(scope);
        }
    }
}

impl Kept {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn expire(&mut self, now: Instant) {
        while let Some((number, (at, _))) = self.order.first_key_value() {
            if now.duration_since(*at) < KEPT_FOR {
                break;
            }
            let number = *number;
            self.remove(number);
        }
    }

    fn shrink(&mut self, tenant: &str) {
        while let Some(share) = self.tenants.get(tenant)
            && (share.order.len() > EACH.answers || share.bytes > EACH.bytes)
            && let Some(oldest) = share.order.front().copied()
        {
            self.remove(oldest);
        }
        while (self.order.len() > ALL.answers || self.bytes > ALL.bytes)
            && let Some((oldest, _)) = self.order.first_key_value()
        {
            let oldest = *oldest;
            self.remove(oldest);
        }
    }

    /// Removes an answer: always the oldest of its tenant.
    fn remove(&mut self, number: u64) {
        let Some((_, scope)) = self.order.remove(&number) else {
            return;
        };
        let entry = self.entries.remove(&scope);
        let size = entry
            .and_then(|entry| entry.answer)
            .map_or(0, |answer| size(&scope, &answer));
        self.bytes -= size;
        if let Some(share) = self.tenants.get_mut(&scope.tenant) {
            share.order.pop_front();
            share.bytes -= size;
            if share.order.is_empty() {
                self.tenants.remove(&scope.tenant);
            }
        }
    }
}

/// What an answer takes.
fn size(scope: &Scope, answer: &Answer) -> usize {
    let headers: usize = answer
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    OVERHEAD + scope.key.len() + headers + answer.body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(tenant: &str, key: &str) -> Scope {
        Scope {
            tenant: tenant.to_owned(),
            caller: "caller".to_owned(),
            key: key.to_owned(),
        }
    }

    fn answer(size: usize) -> Answer {
        Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from(vec![b'a'; size]),
        }
    }

    fn begin(answers: &Answers, scope: &Scope, now: Instant) -> Option<u64> {
        match answers.begin(scope, [1; 32], now) {
            Found::New(number) => Some(number),
            Found::Running | Found::Other | Found::Stored(_) => None,
        }
    }

    fn store(answers: &Answers, scope: &Scope, size: usize, now: Instant) {
        let number = begin(answers, scope, now).unwrap();
        answers.finish(scope, number, answer(size), now);
    }

    fn is_stored(answers: &Answers, scope: &Scope, now: Instant) -> bool {
        matches!(answers.begin(scope, [1; 32], now), Found::Stored(_))
    }

    /// What is counted is what is there.
    fn check(answers: &Answers) {
        let kept = answers.lock();
        let answered = |scope: &Scope| {
            kept.entries[scope]
                .answer
                .as_ref()
                .map(|answer| size(scope, answer))
        };
        let sizes: Vec<usize> = kept
            .order
            .values()
            .filter_map(|(_, scope)| answered(scope))
            .collect();
        assert_eq!(sizes.len(), kept.order.len());
        assert_eq!(sizes.iter().sum::<usize>(), kept.bytes);
        assert_eq!(
            kept.tenants.values().map(|share| share.bytes).sum::<usize>(),
            kept.bytes
        );
        let numbered: usize = kept.tenants.values().map(|share| share.order.len()).sum();
        assert_eq!(numbered, kept.order.len());
    }

    #[test]
    fn a_key_runs_once_and_then_replays() {
        let (answers, now, key) = (Answers::new(), Instant::now(), scope("t", "k"));
        let number = begin(&answers, &key, now).unwrap();
        assert!(matches!(answers.begin(&key, [1; 32], now), Found::Running));
        assert!(matches!(answers.begin(&key, [2; 32], now), Found::Other));
        answers.finish(&key, number, answer(2), now);
        assert!(is_stored(&answers, &key, now));
        assert!(matches!(answers.begin(&key, [2; 32], now), Found::Other));
        assert!(begin(&answers, &key, now + KEPT_FOR).is_some());
        check(&answers);
    }

    #[test]
    fn a_day_begins_with_the_answer_and_not_with_an_earlier_try() {
        let (answers, now, key) = (Answers::new(), Instant::now(), scope("t", "k"));
        let first = begin(&answers, &key, now).unwrap();
        answers.forget(&key, first);
        let later = now + KEPT_FOR - Duration::from_secs(1);
        store(&answers, &key, 2, later);
        assert!(is_stored(&answers, &key, now + KEPT_FOR));
    }

    #[test]
    fn calls_that_fail_leave_nothing_behind() {
        let (answers, now) = (Answers::new(), Instant::now());
        for index in 0..100 {
            let key = scope("t", &index.to_string());
            let number = begin(&answers, &key, now).unwrap();
            answers.forget(&key, number);
        }
        let kept = answers.lock();
        assert!(kept.entries.is_empty() && kept.order.is_empty() && kept.tenants.is_empty());
    }

    #[test]
    fn a_call_that_was_forgotten_cannot_answer_for_the_next_one() {
        let (answers, now, key) = (Answers::new(), Instant::now(), scope("t", "k"));
        let first = begin(&answers, &key, now).unwrap();
        answers.forget(&key, first);
        let second = begin(&answers, &key, now).unwrap();
        answers.finish(&key, first, answer(1), now);
        answers.forget(&key, first);
        assert!(matches!(answers.begin(&key, [1; 32], now), Found::Running));
        answers.finish(&key, second, answer(2), now);
        check(&answers);
    }

    #[test]
    fn one_tenant_pushes_out_its_own_answers_only() {
        let (answers, now, other) = (Answers::new(), Instant::now(), scope("other", "k"));
        store(&answers, &other, 2, now);
        for index in 0..EACH.answers + 10 {
            store(&answers, &scope("t", &index.to_string()), 2, now);
        }
        assert!(is_stored(&answers, &other, now));
        assert!(!is_stored(&answers, &scope("t", "9"), now));
        assert!(is_stored(&answers, &scope("t", "10"), now));
        check(&answers);
    }

    #[test]
    fn memory_is_bounded_and_a_running_call_is_never_pushed_out() {
        let (answers, now, running) = (Answers::new(), Instant::now(), scope("t", "running"));
        begin(&answers, &running, now).unwrap();
        for index in 0..100 {
            store(&answers, &scope(&index.to_string(), "k"), 1 << 20, now);
        }
        check(&answers);
        assert!(answers.lock().bytes <= ALL.bytes);
        assert!(matches!(answers.begin(&running, [1; 32], now), Found::Running));
    }
}
