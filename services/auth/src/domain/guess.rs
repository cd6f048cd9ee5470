//! How often somebody may guess.
//!
//! A wrong guess counts under several keys, each with a rule of its own. Below a rule's free guesses nothing happens;
//! from then on each wrong one makes the next wait twice as long.

use chrono::{DateTime, TimeDelta, Utc};

use super::Hash;

/// What wrong guesses under one key lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Wrong guesses without consequence.
    pub(crate) free: i32,
    /// How long to wait after the first one past them.
    pub(crate) first: TimeDelta,
    /// The longest wait.
    pub(crate) longest: TimeDelta,
    /// After how long without a wrong guess all are forgotten.
    pub(crate) forget: TimeDelta,
    /// Each time that long without a wrong guess takes one away; without it they add up until all are forgotten.
    pub(crate) drain: Option<TimeDelta>,
}

/// At one thing from one address: whoever guesses there is slowed soon, and nobody else is.
pub(crate) const BY_PAIR: Rule = Rule {
    free: 5,
    first: TimeDelta::seconds(2),
    longest: TimeDelta::minutes(15),
    forget: TimeDelta::hours(1),
    drain: None,
};
/// From one address, at anything: many people may share it, and mistype now and then.
pub(crate) const BY_ADDRESS: Rule = Rule {
    free: 50,
    first: TimeDelta::seconds(1),
    longest: TimeDelta::minutes(15),
    forget: TimeDelta::hours(1),
    drain: Some(TimeDelta::seconds(30)),
};
/// At one thing, from anywhere that its owner did not come from before. Short, as it keeps the owner out too who comes
/// from a new place.
pub(crate) const BY_TARGET: Rule = Rule {
    free: 10,
    first: TimeDelta::seconds(1),
    longest: TimeDelta::minutes(1),
    forget: TimeDelta::hours(1),
    drain: None,
};
/// At one account, from a device on which its owner signed in before: others' guesses do not count there.
pub(crate) const BY_DEVICE: Rule = Rule {
    free: 10,
    first: TimeDelta::seconds(2),
    longest: TimeDelta::minutes(15),
    forget: TimeDelta::hours(1),
    drain: None,
};
/// Mails of one kind to one address.
pub(crate) const MAILS: Rule = Rule {
    free: 3,
    first: TimeDelta::minutes(10),
    longest: TimeDelta::hours(6),
    forget: TimeDelta::hours(24),
    drain: None,
};

/// A key and its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counter {
    /// The keyed hash of what is guessed at, and from where.
    pub(crate) key: Hash,
    /// The rule.
    pub(crate) rule: Rule,
}

/// The wrong guesses under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guesses {
    /// How many.
    pub(crate) failures: i32,
    /// When the last one was.
    pub(crate) last_at: DateTime<Utc>,
    /// When they are forgotten.
    pub(crate) forget_at: DateTime<Utc>,
}

impl Guesses {
    /// These and one more at `now`; the first if there were none.
    pub(crate) fn and_one(before: Option<Self>, rule: Rule, now: DateTime<Utc>) -> Self {
        let before = before.filter(|before| now < before.forget_at);
        Self {
            failures: before.map_or(1, |before| before.left(rule, now).saturating_add(1)),
            last_at: before.map_or(now, |before| before.last_at.max(now)),
            forget_at: now + rule.forget,
        }
    }

    /// How many are left of them at `now`.
    fn left(&self, rule: Rule, now: DateTime<Utc>) -> i32 {
        let Some(drain) = rule.drain else {
            return self.failures;
        };
        let drained = (now - self.last_at).num_seconds().max(0) / drain.num_seconds().max(1);
        let drained = i32::try_from(drained).unwrap_or(i32::MAX);
        self.failures.saturating_sub(drained).max(0)
    }

    /// How long the next guess has to wait.
    pub(crate) fn wait(&self, rule: Rule, now: DateTime<Utc>) -> Option<TimeDelta> {
        let past = self
            .left(rule, now)
            .checked_sub(rule.free)
            .filter(|past| *past > 0)?;
        let doublings = u32::try_from(past - 1).unwrap_or_default().min(20);
        let delay = rule
            .first
            .checked_mul(1 << doublings)
            .unwrap_or(rule.longest)
            .min(rule.longest);
        let until = self.last_at + delay;
        (now < self.forget_at && now < until).then(|| until - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    #[test]
    fn each_wrong_guess_past_the_free_ones_doubles_the_wait() {
        let mut guesses = None;
        let mut waits = Vec::new();
        for _ in 0..20 {
            let counted = Guesses::and_one(guesses, BY_PAIR, at(0));
            waits.push(counted.wait(BY_PAIR, at(0)).map(|wait| wait.num_seconds()));
            guesses = Some(counted);
        }
        assert_eq!(waits[..5], [None; 5]);
        assert_eq!(waits[5..9], [Some(2), Some(4), Some(8), Some(16)]);
        assert_eq!(waits[19], Some(900), "and no longer than the longest");
        let guesses = guesses.expect("counted");
        assert_eq!(guesses.wait(BY_PAIR, at(899)), Some(TimeDelta::seconds(1)));
        assert_eq!(guesses.wait(BY_PAIR, at(900)), None);
        assert_eq!(Guesses::and_one(Some(guesses), BY_PAIR, at(3600)).failures, 1);
    }

    /// Who shares an address with people that mistype is not kept out by them.
    #[test]
    fn what_many_people_mistype_at_one_address_does_not_add_up() {
        let (mut guesses, mut now) = (None, 0);
        for _ in 0..500 {
            let counted = Guesses::and_one(guesses, BY_ADDRESS, at(now));
            assert_eq!(counted.wait(BY_ADDRESS, at(now)), None);
            guesses = Some(counted);
            now += 30;
        }
        let mut guesses = None;
        for _ in 0..60 {
            guesses = Some(Guesses::and_one(guesses, BY_ADDRESS, at(0)));
        }
        let burst = guesses.expect("counted");
        assert!(burst.wait(BY_ADDRESS, at(1)).is_some(), "a burst does");
        assert_eq!(Guesses::and_one(guesses, BY_ADDRESS, at(600)).failures, 41);
        assert_eq!(Guesses::and_one(guesses, BY_PAIR, at(600)).failures, 61);
    }

    #[test]
    fn no_number_of_guesses_overflows() {
        let guesses = Guesses {
            failures: i32::MAX,
            last_at: at(0),
            forget_at: at(3600),
        };
        assert_eq!(Guesses::and_one(Some(guesses), MAILS, at(1)).failures, i32::MAX);
        assert_eq!(guesses.wait(BY_TARGET, at(0)), Some(TimeDelta::minutes(1)));
    }
}
