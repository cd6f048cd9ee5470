//! Gauss-Legendre quadrature on one panel, and the running integral at its nodes.

use std::sync::LazyLock;

/// Nodes of a panel.
pub(super) const NODES: usize = 16;

/// The rule on -1 to 1.
pub(super) struct Rule {
    /// Where.
    pub(super) nodes: [f64; NODES],
    /// How much.
    pub(super) weights: [f64; NODES],
    /// `running[k][m]`: how much the value at node m adds to the integral from -1 to node k.
    pub(super) running: [[f64; NODES]; NODES],
}

/// The rule, computed once.
pub(super) fn rule() -> &'static Rule {
    static RULE: LazyLock<Rule> = LazyLock::new(Rule::new);
    &RULE
}

impl Rule {
    fn new() -> Self {
        let mut rule = Self {
            nodes: [0.0; NODES],
            weights: [0.0; NODES],
            running: [[0.0; NODES]; NODES],
        };
        for index in 0..NODES {
            let (node, weight) = root(index);
            rule.nodes[index] = node;
            rule.weights[index] = weight;
        }
        for at in 0..NODES {
            for of in 0..NODES {
                rule.running[at][of] = rule.weights[of] * running(rule.nodes[at], rule.nodes[of]);
            }
        }
        rule
    }
}

/// The polynomials of Legendre to degree `NODES`, at a point.
fn legendre(point: f64) -> [f64; NODES + 1] {
    let mut values = [1.0; NODES + 1];
    values[1] = point;
    for degree in 1..NODES {
        let n = degree as f64;
        values[degree + 1] = ((2.0 * n + 1.0) * point * values[degree] - n * values[degree - 1]) / (n + 1.0);
    }
    values
}

/// A root of the last polynomial, by Newton's method, and its weight; from left to right.
fn root(index: usize) -> (f64, f64) {
    let mut point = -(std::f64::consts::PI * (index as f64 + 0.75) / (NODES as f64 + 0.5)).cos();
    let mut slope = 1.0;
    for _ in 0..10 {
        let values = legendre(point);
        slope = NODES as f64 * (point * values[NODES] - values[NODES - 1]) / (point * point - 1.0);
        point -= values[NODES] / slope;
    }
    (point, 2.0 / ((1.0 - point * point) * slope * slope))
}

/// The integral from -1 to `at` of the interpolating kernel at `of`: the integrals of Legendre polynomials are
/// differences of their neighbours.
fn running(at: f64, of: f64) -> f64 {
    let (ends, values) = (legendre(at), legendre(of));
    let higher: f64 = (1..NODES)
        .map(|degree| values[degree] * (ends[degree + 1] - ends[degree - 1]))
        .sum();
    (at + 1.0 + higher) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        let rule = rule();
        for power in 0..(2 * NODES as i32) {
            let sum: f64 = rule
                .nodes
                .iter()
                .zip(rule.weights)
                .map(|(node, weight)| weight * node.powi(power))
                .sum();
            let exact = if power % 2 == 0 {
                2.0 / f64::from(power + 1)
            } else {
                0.0
            };
            assert!((sum - exact).abs() < 1e-14, "x^{power}: {sum}");
        }
    }

    #[test]
    fn running_integrals_of_polynomials_are_exact() {
        let rule = rule();
        for power in 0..NODES as i32 {
            for (at, row) in rule.running.iter().enumerate() {
                let sum: f64 = row
                    .iter()
                    .zip(rule.nodes)
                    .map(|(weight, node)| weight * node.powi(power))
                    .sum();
                let exact =
                    (rule.nodes[at].powi(power + 1) - (-1.0_f64).powi(power + 1)) / f64::from(power + 1);
                assert!(
                    (sum - exact).abs() < 1e-14,
                    "x^{power} to node {at}: {sum} and {exact}"
                );
            }
        }
    }
}
