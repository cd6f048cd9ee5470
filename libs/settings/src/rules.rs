//! The rules between settings and of the production tier.

pub(crate) mod keys;
pub(crate) mod llm;
pub(crate) mod presence;
pub(crate) mod production;
pub(crate) mod together;
pub(crate) mod tokens;

use crate::resolve::Resolution;

/// Applies every rule; what they find is added to `resolution`.
pub(crate) fn apply(resolution: &mut Resolution) {
    presence::apply(resolution);
    production::apply(resolution);
    together::apply(resolution);
    tokens::apply(resolution);
    keys::apply(resolution);
    llm::apply(resolution);
}
