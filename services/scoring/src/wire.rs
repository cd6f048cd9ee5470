//! Between messages and domain types.

use std::collections::HashMap;

use causeway_context::{CallContext, from_timestamp, to_timestamp};
use causeway_contracts::scoring::v1 as wire;
use causeway_contracts::{from_struct, to_struct};
use causeway_errors::{ApiError, Violation};
use serde_json::{Map, Value, json};

use crate::beta::{Beta, Outcome};
use crate::decision::{Choice, Occasion, Recommendation, Response};
use crate::id::{ModelId, RecommendationId};
use crate::model::{Draft, Model, Offer, THOMPSON};
use crate::service::Ask;
use crate::store::Receipt;

const MAX_TEXT_BYTES: usize = 256;
const MAX_OBJECT_BYTES: usize = 16 * 1024;
const MAX_CANDIDATES: usize = 1000;
const DEFAULT_LIMIT: usize = 5;
const MAX_LIMIT: usize = 100;
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1000;
const MAX_KEY_BYTES: usize = 255;

#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn refuse(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation {
            field: field.into(),
            description: description.into(),
        });
    }

    fn text(&mut self, field: &str, text: &str, required: bool) {
        if required && text.is_empty() {
            self.refuse(field, "must not be empty");
        } else if text.len() > MAX_TEXT_BYTES {
            self.refuse(field, format!("must be at most {MAX_TEXT_BYTES} bytes"));
        } else if text.chars().any(char::is_control) {
            self.refuse(field, "must not hold control characters");
        }
    }

    fn object(&mut self, field: &str, wire: Option<&prost_types::Struct>) -> Map<String, Value> {
        let object = wire.map(from_struct).unwrap_or_default();
        if serde_json::to_string(&object).map_or(0, |text| text.len()) > MAX_OBJECT_BYTES {
            self.refuse(field, format!("must be at most {MAX_OBJECT_BYTES} bytes of JSON"));
        }
        object
    }

    fn id<T: std::str::FromStr>(&mut self, field: &str, text: &str) -> Option<T> {
        let id = text.parse().ok();
        if id.is_none() {
            self.refuse(field, "must be a UUID");
        }
        id
    }

    fn none(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ApiError::violations(self.0))
        }
    }
}

/// The id of a model.
pub(crate) fn model_id(field: &str, text: &str) -> Result<ModelId, ApiError> {
    text.parse()
        .map_err(|_| ApiError::invalid(field, "must be a UUID"))
}

/// The id of a recommendation.
pub(crate) fn recommendation_id(field: &str, text: &str) -> Result<RecommendationId, ApiError> {
    text.parse()
        .map_err(|_| ApiError::invalid(field, "must be a UUID"))
}

/// Where a page of models starts and how many it has.
pub(crate) fn page(request: &wire::ListModelsRequest) -> Result<(Option<ModelId>, usize), ApiError> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_PAGE,
        Ok(size) => size.min(MAX_PAGE),
        Err(_) => return Err(ApiError::invalid("page_size", "must not be negative")),
    };
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(
            token
                .parse()
                .map_err(|_| ApiError::invalid("page_token", "must be a token of an earlier page"))?,
        ),
    };
    Ok((after, size))
}

/// A model to make.
pub(crate) fn draft(request: wire::CreateModelRequest) -> Draft {
    let or_one = |prior: f64| if prior == 0.0 { 1.0 } else { prior };
    Draft {
        name: request.name,
        kind: request.kind,
        offers: request
            .offers
            .into_iter()
            .map(|offer| Offer {
                id: offer.offer_id,
                name: offer.name,
            })
            .collect(),
        prior: Beta {
            alpha: or_one(request.prior_alpha),
            beta: or_one(request.prior_beta),
        },
    }
}

/// A decision to make.
pub(crate) fn ask(request: wire::RecommendRequest) -> Result<Ask, ApiError> {
    let mut violations = Violations::default();
    violations.text("customer_id", &request.customer_id, true);
    violations.text("channel", &request.channel, false);
    violations.text("placement", &request.placement, false);
    violations.text("session_id", &request.session_id, false);
    let model = violations.id("model_id", &request.model_id);
    let limit = match usize::try_from(request.limit) {
        Ok(0) => DEFAULT_LIMIT,
        Ok(limit @ 1..=MAX_LIMIT) => limit,
        Ok(_) | Err(_) => {
            violations.refuse("limit", format!("must be 0 to {MAX_LIMIT}"));
            DEFAULT_LIMIT
        }
    };
    let attributes = violations.object("attributes", request.attributes.as_ref());
    let candidates = candidates(&mut violations, request.candidates);
    violations.none()?;
    Ok(Ask {
        model: model.ok_or_else(ApiError::internal)?,
        occasion: Occasion {
            customer_id: request.customer_id,
            channel: request.channel,
            placement: request.placement,
            session_id: request.session_id,
            attributes,
        },
        candidates,
        limit,
        debug: request.debug,
    })
}

fn candidates(
    violations: &mut Violations,
    candidates: Vec<wire::Candidate>,
) -> Vec<(String, Map<String, Value>)> {
    if candidates.len() > MAX_CANDIDATES {
        violations.refuse(
            "candidates",
            format!("must hold at most {MAX_CANDIDATES} options"),
        );
        return Vec::new();
    }
    let mut first = HashMap::new();
    let mut decoded = Vec::with_capacity(candidates.len());
    for (index, candidate) in candidates.into_iter().enumerate() {
        let features = violations.object(
            &format!("candidates[{index}].features"),
            candidate.features.as_ref(),
        );
        if let Some(earlier) = first.insert(candidate.offer_id.clone(), index) {
            let description = format!("is the id of candidates[{earlier}] too");
            violations.refuse(format!("candidates[{index}].offer_id"), description);
        }
        decoded.push((candidate.offer_id, features));
    }
    decoded
}

/// What came of a decision.
pub(crate) fn response(ctx: &CallContext, request: wire::RespondRequest) -> Result<Response, ApiError> {
    let mut violations = Violations::default();
    let recommendation = violations.id("recommendation_id", &request.recommendation_id);
    let outcome = Outcome::parse(&request.outcome);
    if outcome.is_none() {
        violations.refuse("outcome", "must be `positive` or `negative`");
    }
    let rank = usize::try_from(request.rank);
    if rank.is_err() {
        violations.refuse("rank", "must be at least 1");
    }
    let rank = rank.ok().filter(|rank| *rank != 0);
    violations.text("offer_id", &request.offer_id, false);
    if request.rank == 0 && request.offer_id.is_empty() {
        violations.refuse("rank", "must be there, or `offer_id`");
    }
    if request.value.is_some_and(|value| !value.is_finite()) {
        violations.refuse("value", "must be a finite number");
    }
    let at = request.at.map_or(Some(ctx.now), from_timestamp);
    if at.is_none() {
        violations.refuse("at", "must be a time");
    }
    if request.idempotency_key.len() > MAX_KEY_BYTES {
        violations.refuse(
            "idempotency_key",
            format!("must be at most {MAX_KEY_BYTES} bytes"),
        );
    }
    violations.none()?;
    Ok(Response {
        recommendation: recommendation.ok_or_else(ApiError::internal)?,
        choice: Choice {
            rank,
            offer_id: (!request.offer_id.is_empty()).then_some(request.offer_id),
        },
        outcome: outcome.ok_or_else(ApiError::internal)?,
        value: request.value,
        at: at.ok_or_else(ApiError::internal)?,
        idempotency_key: (!request.idempotency_key.is_empty()).then_some(request.idempotency_key),
    })
}

/// A count for a message.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A model for a message.
pub(crate) fn model(model: &Model) -> wire::Model {
    let offer = |offer: &Offer| wire::Offer {
        offer_id: offer.id.clone(),
        name: offer.name.clone(),
    };
    wire::Model {
        id: model.id.to_string(),
        name: model.name.clone(),
        kind: THOMPSON.to_owned(),
        offers: model.offers.iter().map(offer).collect(),
        version: number(model.version),
        created_at: Some(to_timestamp(model.created_at)),
    }
}

/// What a model has learnt, for a message.
pub(crate) fn state(model: &Model) -> wire::GetModelStateResponse {
    let offers = model
        .offers
        .iter()
        .zip(&model.arms)
        .map(|(offer, arm)| wire::OfferState {
            offer_id: offer.id.clone(),
            alpha: arm.belief.alpha,
            beta: arm.belief.beta,
            mean: arm.belief.mean(),
            shown: number(arm.shown),
            outcomes: number(arm.outcomes),
        });
    wire::GetModelStateResponse {
        model_id: model.id.to_string(),
        model_version: number(model.version),
        offers: offers.collect(),
    }
}

/// A decision for a message.
pub(crate) fn recommendation(made: &Recommendation) -> wire::RecommendResponse {
    let decision = |(index, shown): (usize, &crate::decision::Shown)| {
        let candidate = made.candidates.get(shown.candidate)?;
        Some(wire::Decision {
            decision_id: shown.decision_id.to_string(),
            rank: i32::try_from(index + 1).ok()?,
            offer_id: candidate.offer_id.clone(),
            score: candidate.score,
            propensity: candidate.propensity,
            propensity_kind: made.propensity_kind.as_str().to_owned(),
        })
    };
    wire::RecommendResponse {
        recommendation_id: made.id.to_string(),
        model_id: made.model.to_string(),
        model_version: number(made.model_version),
        decisions: made.shown.iter().enumerate().filter_map(decision).collect(),
        meta: made.debug.then(|| to_struct(&meta(made))),
    }
}

/// How a ranking came about: enough to make it again.
fn meta(made: &Recommendation) -> Map<String, Value> {
    let candidates = made.candidates.iter().map(|candidate| {
        json!({
            "offer_id": candidate.offer_id,
            "alpha": candidate.belief.alpha,
            "beta": candidate.belief.beta,
            "score": candidate.score,
            "propensity": candidate.propensity,
        })
    });
    Map::from_iter([
        ("kind".to_owned(), THOMPSON.into()),
        ("seed".to_owned(), made.seed.to_string().into()),
        ("considered".to_owned(), made.candidates.len().into()),
        ("candidates".to_owned(), candidates.collect()),
    ])
}

/// A decision as it was made, for a message.
pub(crate) fn decision(made: &Recommendation) -> wire::GetDecisionResponse {
    wire::GetDecisionResponse {
        recommendation: Some(recommendation(made)),
        customer_id: made.occasion.customer_id.clone(),
        made_at: Some(to_timestamp(made.made_at)),
    }
}

/// What became of a response, for a message.
pub(crate) fn receipt(receipt: Receipt) -> wire::RespondResponse {
    let of = |counted: bool, model: ModelId, version: u64| wire::RespondResponse {
        counted,
        parked: false,
        model_id: model.to_string(),
        model_version: number(version),
    };
    match receipt {
        Receipt::Counted { model, version } => of(true, model, version),
        Receipt::Kept { model, version } => of(false, model, version),
        Receipt::Parked => wire::RespondResponse {
            parked: true,
            ..wire::RespondResponse::default()
        },
    }
}
