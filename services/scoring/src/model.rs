//! Decision models.

use std::collections::HashMap;
use std::sync::Arc;

use causeway_errors::{ApiError, Violation};
use chrono::{DateTime, Utc};

use crate::beta::{Beta, Outcome};
use crate::id::ModelId;

/// The kinds of model that there are.
pub const KINDS: [&str; 1] = [THOMPSON];
/// Beta-Bernoulli Thompson sampling.
pub const THOMPSON: &str = "thompson";
const MAX_NAME_CHARS: usize = 120;
const MAX_OFFERS: usize = 1000;
/// Priors outside of these say nothing sensible, and would cost propensities their exactness.
const PRIORS: std::ops::RangeInclusive<f64> = 0.1..=1e6;

/// An option that a model may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Unique within the model.
    pub id: String,
    /// For people.
    pub name: String,
}

/// What a model has learnt of an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm {
    /// The belief about its rate of positive outcomes.
    pub belief: Beta,
    /// How often it was shown.
    pub shown: u64,
    /// How many outcomes counted.
    pub outcomes: u64,
}

/// A decision model and what it has learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The id.
    pub id: ModelId,
    /// For people.
    pub name: String,
    /// What it may choose.
    pub offers: Arc<[Offer]>,
    /// What it has learnt, in the order of the offers.
    pub arms: Vec<Arm>,
    /// Grows with every outcome that counts.
    pub version: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A model to make, as it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// For people.
    pub name: String,
    /// One of [`KINDS`].
    pub kind: String,
    /// What it may choose.
    pub offers: Vec<Offer>,
    /// The belief about every option before the first outcome.
    pub prior: Beta,
}

impl Draft {
    /// The model.
    ///
    /// # Errors
    /// A violation for each field that is wrong.
    pub fn into_model(self, created_at: DateTime<Utc>) -> Result<Model, ApiError> {
        let violations = self.violations();
        if !violations.is_empty() {
            return Err(ApiError::violations(violations));
        }
        let arm = Arm {
            belief: self.prior,
            shown: 0,
            outcomes: 0,
        };
        Ok(Model {
            id: ModelId::generate(),
            name: self.name,
            arms: vec![arm; self.offers.len()],
            offers: self.offers.into(),
            version: 0,
            created_at,
        })
    }

    fn violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut refuse =
            |field: String, description: String| violations.push(Violation { field, description });
        if let Some(wrong) = wrong_name(&self.name, 1) {
            refuse("name".to_owned(), wrong);
        }
        if !KINDS.contains(&self.kind.as_str()) {
            refuse(
                "kind".to_owned(),
                format!("must be one of the kinds that exist: {}", KINDS.join(", ")),
            );
        }
        if !(1..=MAX_OFFERS).contains(&self.offers.len()) {
            refuse(
                "offers".to_owned(),
                format!("must hold 1 to {MAX_OFFERS} options"),
            );
        }
        let mut first = HashMap::new();
        for (index, offer) in self.offers.iter().enumerate() {
            if !is_offer_id(&offer.id) {
                let description = "must be 1 to 120 of `a-z A-Z 0-9 . _ -`".to_owned();
                refuse(format!("offers[{index}].offer_id"), description);
            } else if let Some(earlier) = first.insert(offer.id.as_str(), index) {
                refuse(
                    format!("offers[{index}].offer_id"),
                    format!("is the id of offers[{earlier}] too"),
                );
            }
            if let Some(wrong) = wrong_name(&offer.name, 0) {
                refuse(format!("offers[{index}].name"), wrong);
            }
        }
        for (field, prior) in [("prior_alpha", self.prior.alpha), ("prior_beta", self.prior.beta)] {
            if !PRIORS.contains(&prior) {
                refuse(
                    field.to_owned(),
                    format!("must be from {} to {}", PRIORS.start(), PRIORS.end()),
                );
            }
        }
        violations
    }
}

fn wrong_name(name: &str, least: usize) -> Option<String> {
    if !(least..=MAX_NAME_CHARS).contains(&name.chars().count()) {
        return Some(format!("must be {least} to {MAX_NAME_CHARS} characters"));
    }
    name.chars()
        .any(char::is_control)
        .then(|| "must not hold control characters".to_owned())
}

fn is_offer_id(text: &str) -> bool {
    (1..=120).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl Model {
    /// The position of the option with that id.
    pub fn position(&self, offer_id: &str) -> Option<usize> {
        self.offers.iter().position(|offer| offer.id == offer_id)
    }

    /// Learns from an outcome of an option. Beliefs are conjugate to outcomes: there is nothing to recompute and so
    /// nothing to wait for, and each outcome changes the next decision.
    pub fn learn(&mut self, offer_id: &str, outcome: Outcome) -> bool {
        let Some(arm) = self
            .position(offer_id)
            .and_then(|position| self.arms.get_mut(position))
        else {
            return false;
        };
        arm.belief = arm.belief.after(outcome);
        arm.outcomes += 1;
        self.version += 1;
        true
    }

    /// Counts that an option was shown.
    pub fn show(&mut self, offer_id: &str) {
        if let Some(arm) = self
            .position(offer_id)
            .and_then(|position| self.arms.get_mut(position))
        {
            arm.shown += 1;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn draft(offers: &[&str]) -> Draft {
        Draft {
            name: "banner".to_owned(),
            kind: THOMPSON.to_owned(),
            offers: offers
                .iter()
                .map(|id| Offer {
                    id: (*id).to_owned(),
                    name: String::new(),
                })
                .collect(),
            prior: Beta {
                alpha: 1.0,
                beta: 1.0,
            },
        }
    }

    fn fields(draft: Draft) -> Vec<String> {
        let error = draft.into_model(DateTime::UNIX_EPOCH).unwrap_err();
        error
            .violations
            .into_iter()
            .map(|violation| violation.field)
            .collect()
    }

    #[test]
    fn every_wrong_field_is_named() {
        let wrong = Draft {
            name: String::new(),
            kind: "linucb".to_owned(),
            prior: Beta {
                alpha: -1.0,
                beta: f64::NAN,
            },
            ..draft(&["a", "b/c", "a"])
        };
        let expected = [
            "name",
            "kind",
            "offers[1].offer_id",
            "offers[2].offer_id",
            "prior_alpha",
            "prior_beta",
        ];
        assert_eq!(fields(wrong), expected);
        assert_eq!(fields(draft(&[])), ["offers"]);
        assert_eq!(fields(draft(&["a"; 1001]))[0], "offers");
        assert_eq!(
            fields(Draft {
                name: "n".repeat(121),
                ..draft(&["a"])
            }),
            ["name"]
        );
    }

    #[test]
    fn an_unknown_kind_is_told_which_exist() {
        let error = Draft {
            kind: "onnx".to_owned(),
            ..draft(&["a"])
        }
        .into_model(DateTime::UNIX_EPOCH);
        assert!(error.unwrap_err().violations[0].description.contains("thompson"));
    }

    #[test]
    fn a_model_learns_of_its_own_options_only() {
        let mut model = draft(&["a", "b"]).into_model(DateTime::UNIX_EPOCH).unwrap();
        assert!(model.learn("b", Outcome::Positive));
        assert!(!model.learn("c", Outcome::Positive));
        assert_eq!((model.version, model.arms[0].outcomes), (1, 0));
        assert_eq!(
            model.arms[1].belief,
            Beta {
                alpha: 2.0,
                beta: 1.0
            }
        );
    }
}
