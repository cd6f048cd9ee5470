//! Limits on guessing (ASVS 6.3.1): at one thing from one address, from one address, and at one thing from anywhere that
//! its owner did not come from before.
//!
//! Nobody is locked out by others: whoever signed in on a device before, or from a network, is not slowed by what strangers
//! guess elsewhere, and a stranger's guesses keep a newcomer waiting for a minute at most. Accounts that do not exist are
//! counted like those that do, so the answers say nothing.
//!
//! Guesses that are made at the same time are settled one after the other once they are checked: whichever comes past the
//! limit is answered as one that was never made, right or wrong.

use causeway_context::{CallContext, Remote, UserId};
use chrono::TimeDelta;

use super::AuthService;
use crate::domain::{BY_ADDRESS, BY_DEVICE, BY_PAIR, BY_TARGET, Counter, Hash, MAILS};
use crate::error::AuthError;
use crate::store::guesses::Failure;

/// What can be guessed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// The password of the account with an address.
    Password {
        /// The address, as it was given.
        email: &'a str,
        /// What the device shows that was told so at an earlier login.
        device: &'a str,
    },
    /// The present password of a person who is signed in.
    PresentPassword(UserId),
    /// A mailed token: any of them.
    MailToken,
    /// Which addresses have an account, by registering them.
    Registration,
    /// What finishes a sign-in at a provider.
    SignIn,
}

impl Target<'_> {
    fn text(&self) -> String {
        match self {
            Self::Password { email, .. } => format!("password {}", email.trim().to_ascii_lowercase()),
            Self::PresentPassword(user) => format!("present password {user}"),
            Self::MailToken => "mail token".to_owned(),
            Self::Registration => "registration".to_owned(),
            Self::SignIn => "sign-in at a provider".to_owned(),
        }
    }

    /// Whether there is one such thing to guess, so that guesses from everywhere count together.
    const fn is_one(&self) -> bool {
        match self {
            Self::Password { .. } | Self::PresentPassword(_) => true,
            Self::MailToken | Self::Registration | Self::SignIn => false,
        }
    }
}

/// A guess that may be made.
#[derive(Debug, Clone)]
pub(crate) struct Guess {
    counters: Vec<Counter>,
    /// The counter that a right guess forgets.
    own: Hash,
    place: Hash,
}

impl AuthService {
    /// Whether a guess may be made now.
    ///
    /// # Errors
    /// [`AuthError::TooManyGuesses`], or a store that is away.
    pub(super) async fn may_guess(&self, ctx: &CallContext, target: Target<'_>) -> Result<Guess, AuthError> {
        let guess = self.guess(ctx, target);
        let standing = self.store.guesses(&guess.counters, &guess.place, ctx.now);
        may(standing.await?.wait(&guess.counters))?;
        Ok(guess)
    }

    /// Counts a guess before it is made: for what is so cheap to check that many would be checked at once.
    ///
    /// # Errors
    /// [`AuthError::TooManyGuesses`], or a store that is away.
    pub(super) async fn reserve_guess(
        &self,
        ctx: &CallContext,
        target: Target<'_>,
    ) -> Result<Guess, AuthError> {
        let guess = self.guess(ctx, target);
        may(self.store.reserve_guess(&guess.counters, ctx.now).await?)?;
        Ok(guess)
    }

    /// Counts a guess that was wrong, with what its victim is to see.
    ///
    /// # Errors
    /// [`AuthError::TooManyGuesses`] for one of many at once past the limit, or a store that is away.
    pub(super) async fn was_wrong(
        &self,
        ctx: &CallContext,
        guess: &Guess,
        failure: Option<Failure>,
    ) -> Result<(), AuthError> {
        let counted = self
            .store
            .count_guess(&guess.counters, &guess.place, ctx.now, failure);
        may(counted.await?)
    }

    /// Forgets the wrong guesses from the address, or the device, of one that was right; the place is known from now on.
    ///
    /// # Errors
    /// As [`AuthService::was_wrong`]: past the limit a right one is as good as none.
    pub(super) async fn was_right(
        &self,
        ctx: &CallContext,
        guess: &Guess,
        user: Option<UserId>,
    ) -> Result<(), AuthError> {
        let forgotten = self
            .store
            .forget_guesses(&guess.counters, &guess.own, &guess.place, user, ctx.now);
        may(forgotten.await?)
    }

    /// Notes that a person has shown to read the mail of an address: from where they did it, they may guess.
    pub(super) async fn know_place(
        &self,
        ctx: &CallContext,
        email: &str,
        user: UserId,
    ) -> Result<(), AuthError> {
        let guess = self.guess(ctx, Target::Password { email, device: "" });
        // What was guessed at the old password from there is nothing to wait for.
        let counters = Vec::new();
        self.was_right(ctx, &Guess { counters, ..guess }, Some(user))
            .await
    }

    /// Whether one more mail of that kind may go to an address. Networks from which its owner signed in before are counted
    /// by themselves: nobody can use up the mails of others.
    pub(super) async fn may_mail(
        &self,
        ctx: &CallContext,
        kind: &str,
        email: &str,
    ) -> Result<bool, AuthError> {
        let place = self.guess(ctx, Target::Password { email, device: "" }).place;
        let known = self.store.guesses(&[], &place, ctx.now).await?.known;
        let network = ctx.remote.as_ref().filter(|_| known).map(Remote::network);
        let counter = Counter {
            key: self.key(&["mails", kind, email, &network.unwrap_or_default()]),
            rule: MAILS,
        };
        Ok(self.store.reserve_guess(&[counter], ctx.now).await?.is_none())
    }

    fn guess(&self, ctx: &CallContext, target: Target<'_>) -> Guess {
        let (text, remote) = (target.text(), ctx.remote.as_ref());
        let address = remote.map(slot).unwrap_or_default();
        let network = remote.map(Remote::network).unwrap_or_default();
        let place = self.key(&["place", &text, &network]);
        if let Target::Password { email, device } = target
            && let Some(device) = self.known_device(ctx, email, device)
        {
            let own = self.key(&["device", &text, &device.name()]);
            return Guess {
                counters: vec![Counter {
                    key: own,
                    rule: BY_DEVICE,
                }],
                own,
                place,
            };
        }
        let pair = self.key(&["pair", &text, &address]);
        let mut counters = Vec::new();
        let mut count = |key, rule| counters.push(Counter { key, rule });
        if target.is_one() {
            count(pair, BY_PAIR);
            count(self.key(&["target", &text]), BY_TARGET);
        }
        if remote.is_some() {
            count(self.key(&["address", &address]), BY_ADDRESS);
        }
        Guess {
            counters,
            own: pair,
            place,
        }
    }

    /// What is stored of a text that must not be readable.
    fn key(&self, parts: &[&str]) -> Hash {
        self.refresh_key.hash(&format!("guess {}", parts.join("\n")))
    }
}

/// One network of IPv6 belongs to one customer: it counts as one address.
fn slot(remote: &Remote) -> String {
    match remote.address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn may(wait: Option<TimeDelta>) -> Result<(), AuthError> {
    wait.map_or(Ok(()), |wait| Err(too_many(wait)))
}

fn too_many(wait: TimeDelta) -> AuthError {
    // Told in whole seconds, of which one that is over helps nobody.
    let wait = wait + TimeDelta::milliseconds(999);
    let seconds = u64::try_from(wait.num_seconds()).unwrap_or_default();
    AuthError::TooManyGuesses(std::time::Duration::from_secs(seconds.max(1)))
}
