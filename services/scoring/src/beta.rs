//! Beliefs about a rate: the Beta distribution, conjugate to outcomes that are positive or negative.

use rand_chacha::ChaCha20Rng;
use rand_distr::Distribution as _;

/// What came of showing an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was taken.
    Positive,
    /// It was not.
    Negative,
}

impl Outcome {
    /// The word in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }

    /// The outcome of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Positive, Self::Negative]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// A Beta distribution over the rate of positive outcomes. Both parameters are positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beta {
    /// The prior's alpha and one for each positive outcome.
    pub alpha: f64,
    /// The prior's beta and one for each negative outcome.
    pub beta: f64,
}

impl Beta {
    /// The belief after one more outcome: exact, whatever the order of the outcomes.
    #[must_use]
    pub fn after(self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Positive => Self {
                alpha: self.alpha + 1.0,
                ..self
            },
            Outcome::Negative => Self {
                beta: self.beta + 1.0,
                ..self
            },
        }
    }

    /// The expected rate.
    pub fn mean(self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    /// A rate drawn from the belief.
    pub fn sample(self, random: &mut ChaCha20Rng) -> f64 {
        // Positive parameters are the only condition, so the mean is never what is drawn.
        rand_distr::Beta::new(self.alpha, self.beta).map_or_else(|_| self.mean(), |beta| beta.sample(random))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn outcomes_are_counted_exactly_up_to_2_53() {
        let belief = Beta {
            alpha: 9_007_199_254_740_990.0,
            beta: 1.0,
        };
        assert_eq!(belief.after(Outcome::Positive).alpha, 9_007_199_254_740_991.0);
    }

    #[test]
    fn samples_have_the_mean_and_the_variance_of_the_belief() {
        let mut random = ChaCha20Rng::from_seed([7; 32]);
        for (alpha, beta) in [(1.0, 1.0), (22.0, 80.0), (0.5, 0.5), (300.0, 2.0)] {
            let belief = Beta { alpha, beta };
            let draws: Vec<f64> = (0..40_000).map(|_| belief.sample(&mut random)).collect();
            let mean = draws.iter().sum::<f64>() / 40_000.0;
            let variance = alpha * beta / ((alpha + beta).powi(2) * (alpha + beta + 1.0));
            assert!(
                (mean - belief.mean()).abs() < 5.0 * (variance / 40_000.0).sqrt(),
                "{belief:?}: {mean}"
            );
            let spread = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 40_000.0;
            assert!(
                (spread / variance - 1.0).abs() < 0.05,
                "{belief:?}: {spread} for {variance}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_posterior_is_the_prior_plus_the_counts_in_any_order(outcomes in prop::collection::vec(any::<bool>(), 0..300)) {
            let word = |positive: &bool| if *positive { Outcome::Positive } else { Outcome::Negative };
            let prior = Beta { alpha: 1.0, beta: 1.0 };
            let posterior = outcomes.iter().map(word).fold(prior, Beta::after);
            let positives = outcomes.iter().filter(|positive| **positive).count() as f64;
            let negatives = outcomes.len() as f64 - positives;
            prop_assert_eq!(posterior, Beta { alpha: 1.0 + positives, beta: 1.0 + negatives });
            let backwards = outcomes.iter().rev().map(word).fold(prior, Beta::after);
            prop_assert_eq!(posterior, backwards);
        }
    }
}
