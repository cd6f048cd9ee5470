//! How likely Thompson sampling is to put each option at rank 1: the probability that its draw is the largest.
//!
//! P(i) = ∫ fᵢ ∏ⱼ≠ᵢ Fⱼ over the beliefs' densities f and distribution functions F, by quadrature (see `quadrature`).
//! The sum of all P is the integral of the derivative of ∏F and so is 1; a computed sum that is not is refused. That
//! check does not see everything, so the tests compare with closed forms and with finer meshes. Only what would cost
//! too much, or fails the check, is estimated by drawing.

mod panels;
mod quadrature;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use rand_chacha::ChaCha20Rng;

use crate::beta::Beta;

/// The most that the quadrature's sum may be off for the answer to be called exact.
const TOLERANCE: f64 = 1e-9;
/// How many draws an estimate makes, over all options.
const DRAWS: usize = 1_000_000;

/// How propensities were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropensityKind {
    /// By quadrature, to about 1e-9.
    Exact,
    /// By drawing.
    Estimated,
}

impl PropensityKind {
    /// The word in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Estimated => "estimated",
        }
    }
}

/// One probability per option; they sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Propensities {
    /// In the order of the options.
    pub values: Vec<f64>,
    /// How they were found.
    pub kind: PropensityKind,
}

/// Beliefs that are the same have the same propensity: they are computed once.
struct Group {
    belief: Beta,
    members: Vec<usize>,
}

/// The propensity of each belief. `random` is used for an estimate only, and is not to be the one that decides: a
/// draw that was served may not also be counted.
pub fn propensities(beliefs: &[Beta], random: &mut ChaCha20Rng) -> Propensities {
    let groups = group(beliefs);
    let weights: Vec<(Beta, usize)> = groups
        .iter()
        .map(|group| (group.belief, group.members.len()))
        .collect();
    match exact(&weights) {
        Some(shares) => {
            let mut values = vec![0.0; beliefs.len()];
            for (group, share) in groups.iter().zip(shares) {
                group.members.iter().for_each(|member| values[*member] = share);
            }
            Propensities {
                values,
                kind: PropensityKind::Exact,
            }
        }
        None => Propensities {
            values: estimate(beliefs, random),
            kind: PropensityKind::Estimated,
        },
    }
}

fn group(beliefs: &[Beta]) -> Vec<Group> {
    let mut by_bits: HashMap<(u64, u64), usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (member, belief) in beliefs.iter().enumerate() {
        let index = *by_bits
            .entry((belief.alpha.to_bits(), belief.beta.to_bits()))
            .or_insert_with(|| {
                groups.push(Group {
                    belief: *belief,
                    members: Vec::new(),
                });
                groups.len() - 1
            });
        groups[index].members.push(member);
    }
    groups
}

/// The propensity of one member of each group, if quadrature finds it to the tolerance at a bearable cost.
fn exact(groups: &[(Beta, usize)]) -> Option<Vec<f64>> {
    if let [(_, count)] = groups {
        return Some(vec![1.0 / *count as f64]);
    }
    [2.0, 1.0].into_iter().find_map(|panel_width| {
        let shares = quadrature::shares(groups, panel_width)?;
        let sum: f64 = shares
            .iter()
            .zip(groups)
            .map(|(share, (_, count))| share * *count as f64)
            .sum();
        ((sum - 1.0).abs() <= TOLERANCE).then(|| shares.iter().map(|share| share / sum).collect())
    })
}

/// Counts who wins in repeated draws. Every option keeps a small probability: it was possible, even if not seen.
fn estimate(beliefs: &[Beta], random: &mut ChaCha20Rng) -> Vec<f64> {
    let draws = (DRAWS / beliefs.len().max(1)).clamp(1_000, 20_000);
    let mut wins = vec![1.0 / beliefs.len() as f64; beliefs.len()];
    for _ in 0..draws {
        let scores = beliefs.iter().map(|belief| belief.sample(random));
        if let Some((winner, _)) = scores
            .enumerate()
            .max_by(|(_, left), (_, right)| left.total_cmp(right))
        {
            wins[winner] += 1.0;
        }
    }
    let total = draws as f64 + 1.0;
    wins.into_iter().map(|wins| wins / total).collect()
}
