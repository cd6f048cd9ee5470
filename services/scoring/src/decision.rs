//! Decisions: drawn from beliefs by a seed that is kept, so that each can be made again; and what came of them.

use std::fmt;

use chrono::{DateTime, Utc};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::beta::{Beta, Outcome};
use crate::id::{ModelId, RecommendationId};
use crate::propensity::PropensityKind;

/// From what a decision's draws are made. Kept with the decision: the same seed and the same beliefs decide the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// The seed of a recommendation by a model. Ids hold 74 random bits, so no two decisions share their draws.
    pub fn of(recommendation: RecommendationId, model: ModelId) -> Self {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(recommendation.0.as_bytes());
        bytes[16..].copy_from_slice(model.0.as_bytes());
        Self(bytes)
    }

    /// The draws that decide.
    fn draws(self) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(self.0)
    }

    /// Draws apart from those that decide.
    pub fn other_draws(self) -> ChaCha20Rng {
        let mut random = self.draws();
        random.set_stream(1);
        random
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One rate per belief, drawn in their order. The largest wins.
pub fn draw(seed: Seed, beliefs: &[Beta]) -> Vec<f64> {
    let mut random = seed.draws();
    beliefs.iter().map(|belief| belief.sample(&mut random)).collect()
}

/// Positions by score, the largest first; equal ones in their order.
pub fn ranking(scores: &[f64]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..scores.len()).collect();
    positions.sort_by(|left, right| scores[*right].total_cmp(&scores[*left]));
    positions
}

/// An option that was considered.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The option.
    pub offer_id: String,
    /// What the caller said of it.
    pub features: Map<String, Value>,
    /// What the model believed of it then.
    pub belief: Beta,
    /// What was drawn for it.
    pub score: f64,
    /// How likely it was to be at rank 1.
    pub propensity: f64,
}

/// An option that was shown; its rank is its place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The id of this option in this decision.
    pub decision_id: Uuid,
    /// Its position among the candidates.
    pub candidate: usize,
}

/// For whom and where a decision is made: kept with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Occasion {
    /// An id of the caller's own.
    pub customer_id: String,
    /// Where it is shown.
    pub channel: String,
    /// Where in the channel.
    pub placement: String,
    /// The customer's session.
    pub session_id: String,
    /// Facts about the customer.
    pub attributes: Map<String, Value>,
}

/// A decision as it was made, with all that it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// The id to respond to.
    pub id: RecommendationId,
    /// By which model.
    pub model: ModelId,
    /// What the model knew.
    pub model_version: u64,
    /// For whom and where.
    pub occasion: Occasion,
    /// From what the draws were made.
    pub seed: Seed,
    /// All options that were considered.
    pub candidates: Vec<Candidate>,
    /// Those that were shown, by rank.
    pub shown: Vec<Shown>,
    /// How the propensities were found.
    pub propensity_kind: PropensityKind,
    /// Whether the caller asked how the ranking came about.
    pub debug: bool,
    /// When.
    pub made_at: DateTime<Utc>,
}

impl Recommendation {
    /// The option at a rank, from 1.
    pub fn at_rank(&self, rank: usize) -> Option<&Candidate> {
        self.candidates
            .get(self.shown.get(rank.checked_sub(1)?)?.candidate)
    }

    /// Which shown option a response means: by rank, by id, or by both when they agree.
    ///
    /// # Errors
    /// [`NotShown`] with the field that names no shown option, or that disagrees.
    pub fn choose(&self, choice: &Choice) -> Result<&str, NotShown> {
        let by_rank = match choice.rank {
            Some(rank) => Some(self.at_rank(rank).ok_or(NotShown::Rank)?),
            None => None,
        };
        let Some(offer_id) = &choice.offer_id else {
            return by_rank
                .map(|candidate| candidate.offer_id.as_str())
                .ok_or(NotShown::Rank);
        };
        let mut ranks = 1..=self.shown.len();
        let by_id = ranks
            .find_map(|rank| {
                self.at_rank(rank)
                    .filter(|candidate| candidate.offer_id == *offer_id)
            })
            .ok_or(NotShown::OfferId)?;
        match by_rank {
            Some(by_rank) if by_rank.offer_id != by_id.offer_id => Err(NotShown::OfferId),
            Some(_) | None => Ok(&by_id.offer_id),
        }
    }
}

/// Which option a response is about; at least one is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Choice {
    /// From 1.
    pub rank: Option<usize>,
    /// The option's id.
    pub offer_id: Option<String>,
}

/// Why a response is about no option that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// No option was shown at that rank.
    #[error("no option was shown at that rank")]
    Rank,
    /// The option was not shown, or at another rank.
    #[error("the option was not shown, or at another rank")]
    OfferId,
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Of which decision.
    pub recommendation: RecommendationId,
    /// Of which option.
    pub choice: Choice,
    /// What came of it.
    pub outcome: Outcome,
    /// What it was worth.
    pub value: Option<f64>,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// By which it counts once; without one it counts once per decision, option and outcome.
    pub idempotency_key: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn recommendation(model: ModelId, offers: &[&str]) -> Recommendation {
        let id = RecommendationId::generate();
        let candidate = |offer: &&str| Candidate {
            offer_id: (*offer).to_owned(),
            features: Map::new(),
            belief: Beta {
                alpha: 1.0,
                beta: 1.0,
            },
            score: 0.5,
            propensity: 0.5,
        };
        Recommendation {
            id,
            model,
            model_version: 0,
            occasion: Occasion {
                customer_id: "c".to_owned(),
                ..Occasion::default()
            },
            seed: Seed::of(id, model),
            candidates: offers.iter().map(candidate).collect(),
            shown: (0..offers.len())
                .map(|candidate| Shown {
                    decision_id: Uuid::now_v7(),
                    candidate,
                })
                .collect(),
            propensity_kind: PropensityKind::Exact,
            debug: false,
            made_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_choice_is_by_rank_or_id_and_both_must_agree() {
        let mut made = recommendation(ModelId::generate(), &["a", "b", "c"]);
        made.shown.truncate(2);
        let choose = |rank: Option<usize>, offer_id: Option<&str>| {
            made.choose(&Choice {
                rank,
                offer_id: offer_id.map(str::to_owned),
            })
            .map(str::to_owned)
        };
        assert_eq!(choose(Some(2), None).as_deref(), Ok("b"));
        assert_eq!(choose(None, Some("a")).as_deref(), Ok("a"));
        assert_eq!(choose(Some(1), Some("a")).as_deref(), Ok("a"));
        assert_eq!(choose(Some(1), Some("b")), Err(NotShown::OfferId));
        assert_eq!(choose(Some(0), None), Err(NotShown::Rank));
        assert_eq!(choose(Some(3), None), Err(NotShown::Rank));
        assert_eq!(
            choose(None, Some("c")),
            Err(NotShown::OfferId),
            "considered, but not shown"
        );
        assert_eq!(choose(None, None), Err(NotShown::Rank));
    }

    proptest! {
        #[test]
        fn the_same_seed_decides_the_same(seed in any::<[u8; 32]>(), counts in prop::collection::vec((1_u32..500, 1_u32..500), 1..60)) {
            let beliefs: Vec<Beta> =
                counts.iter().map(|(alpha, beta)| Beta { alpha: f64::from(*alpha), beta: f64::from(*beta) }).collect();
            let first = draw(Seed(seed), &beliefs);
            let again = draw(Seed(seed), &beliefs);
            prop_assert!(first.iter().zip(&again).all(|(one, other)| one.to_bits() == other.to_bits()));
            let order = ranking(&first);
            prop_assert!(order.is_sorted_by(|left, right| first[*left] >= first[*right]));
        }
    }

    #[test]
    fn the_largest_draw_is_at_rank_one_as_often_as_its_propensity_says() {
        let beliefs = [(4.0, 9.0), (2.0, 3.0), (30.0, 50.0)].map(|(alpha, beta)| Beta { alpha, beta });
        let model = ModelId::generate();
        let exact = crate::propensity::propensities(&beliefs, &mut ChaCha20Rng::from_seed([0; 32])).values;
        let mut wins = [0_u32; 3];
        for _ in 0..40_000 {
            let seed = Seed::of(RecommendationId(Uuid::new_v4()), model);
            wins[ranking(&draw(seed, &beliefs))[0]] += 1;
        }
        for (wins, exact) in wins.into_iter().zip(exact) {
            let error = (exact * (1.0 - exact) / 40_000.0).sqrt();
            assert!(
                (f64::from(wins) / 40_000.0 - exact).abs() < 5.0 * error,
                "{wins} for {exact}"
            );
        }
    }
}
