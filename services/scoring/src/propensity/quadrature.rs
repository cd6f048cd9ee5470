//! The integral of propensities, over the logit of the rate: there a Beta density is smooth, without the poles that it
//! has at 0 and 1 for parameters below 1.
//!
//! One mesh of Gauss-Legendre panels serves all beliefs. Distribution functions are the densities' own running
//! integrals on that mesh, normalised by their totals, so that no special function is needed and large counts lose no
//! digits.

use crate::beta::Beta;

use super::panels::{NODES, Rule, rule};

/// Densities are cut off where they are e^-46 (1e-20) of their peak.
const CUT: f64 = -46.0;
/// At most this many densities are evaluated; about 0.1 s.
const BUDGET: usize = 2_000_000;

/// A belief in logit space, with its peak at `peak` and of height 1.
struct Hill {
    peak: f64,
    width: f64,
    from: f64,
    to: f64,
    total: f64,
    /// Of the two sides, the smaller share, and the sign that mirrors it to the left.
    share: f64,
    sign: f64,
}

impl Hill {
    fn of(belief: Beta) -> Self {
        let Beta { alpha, beta } = belief;
        let total = alpha + beta;
        let mut hill = Self {
            peak: alpha.ln() - beta.ln(),
            width: (1.0 / alpha + 1.0 / beta).sqrt(),
            from: 0.0,
            to: 0.0,
            total,
            share: alpha.min(beta) / total,
            sign: if alpha <= beta { 1.0 } else { -1.0 },
        };
        hill.from = hill.peak - hill.reach(-1.0);
        hill.to = hill.peak + hill.reach(1.0);
        hill
    }

    /// The logarithm of the height at a distance from the peak. Written with the smaller share, and as a difference
    /// from the peak, so that nothing large cancels.
    fn log_height(&self, distance: f64) -> f64 {
        let d = distance * self.sign;
        let log = if d > 30.0 {
            d + (self.share + (1.0 - self.share) * (-d).exp()).ln()
        } else {
            (self.share * d.exp_m1()).ln_1p()
        };
        self.total * (self.share * d - log)
    }

    /// How far from the peak the hill is cut off in that direction.
    fn reach(&self, direction: f64) -> f64 {
        let mut far = self.width;
        while self.log_height(direction * far) > CUT {
            far *= 2.0;
        }
        let mut near = far / 2.0;
        for _ in 0..12 {
            let middle = (near + far) / 2.0;
            if self.log_height(direction * middle) > CUT {
                near = middle
            } else {
                far = middle
            }
        }
        far
    }
}

/// The probability that one member of each group draws the largest rate of all; nothing if it costs too much.
/// `panel_width` is in widths of the narrowest hill around.
pub(super) fn shares(groups: &[(Beta, usize)], panel_width: f64) -> Option<Vec<f64>> {
    let hills: Vec<Hill> = groups.iter().map(|(belief, _)| Hill::of(*belief)).collect();
    // Below the largest lower end at least one belief has all of its mass still to come: nobody else can win there.
    let start = hills
        .iter()
        .map(|hill| hill.from)
        .fold(f64::NEG_INFINITY, f64::max);
    let live: Vec<usize> = (0..hills.len())
        .filter(|index| hills[*index].to > start)
        .collect();
    let contenders: Vec<(&Hill, i32)> = live
        .iter()
        .map(|index| {
            (
                &hills[*index],
                i32::try_from(groups[*index].1).unwrap_or(i32::MAX),
            )
        })
        .collect();
    let mesh = mesh(&contenders, panel_width, BUDGET / (contenders.len() * NODES))?;
    let tables: Vec<Table> = contenders
        .iter()
        .map(|(hill, _)| Table::of(hill, &mesh))
        .collect();
    let mut shares = vec![0.0; groups.len()];
    for (share, index) in integrate(&contenders, &tables, &mesh, start)
        .into_iter()
        .zip(live)
    {
        shares[index] = share;
    }
    Some(shares)
}

/// The ends of the panels, fine enough for every hill that they touch.
fn mesh(hills: &[(&Hill, i32)], panel_width: f64, most: usize) -> Option<Vec<(f64, f64)>> {
    let end = hills
        .iter()
        .map(|(hill, _)| hill.to)
        .fold(f64::NEG_INFINITY, f64::max);
    let mut at = hills
        .iter()
        .map(|(hill, _)| hill.from)
        .fold(f64::INFINITY, f64::min);
    let mut panels = Vec::new();
    while at < end {
        if panels.len() == most {
            return None;
        }
        // Beta densities have their nearest singularity at ±iπ.
        let smooth = panel_width * 0.5 * at.hypot(std::f64::consts::PI);
        let step = hills
            .iter()
            .filter(|(hill, _)| at < hill.to)
            .fold(smooth, |step, (hill, _)| {
                step.min((panel_width * hill.width).max(hill.from - at))
            });
        let next = (at + step).min(end);
        panels.push((at, next));
        at = next;
    }
    Some(panels)
}

/// A belief's density and distribution function at every node of the mesh.
struct Table {
    density: Vec<f64>,
    below: Vec<f64>,
}

impl Table {
    fn of(hill: &Hill, mesh: &[(f64, f64)]) -> Self {
        let rule = rule();
        let mut table = Self {
            density: vec![0.0; mesh.len() * NODES],
            below: vec![0.0; mesh.len() * NODES],
        };
        let mut sum = 0.0;
        for (panel, (from, to)) in mesh.iter().copied().enumerate() {
            let nodes = panel * NODES..(panel + 1) * NODES;
            if to > hill.from && from < hill.to {
                let half = (to - from) / 2.0;
                let density = &mut table.density[nodes.clone()];
                for (height, node) in density.iter_mut().zip(rule.nodes) {
                    *height = hill.log_height(from - hill.peak + half * (node + 1.0)).exp();
                }
                running(rule, density, half, sum, &mut table.below[nodes]);
                sum += half
                    * density
                        .iter()
                        .zip(rule.weights)
                        .map(|(height, weight)| height * weight)
                        .sum::<f64>();
            } else {
                table.below[nodes].fill(sum);
            }
        }
        table
            .density
            .iter_mut()
            .chain(&mut table.below)
            .for_each(|value| *value /= sum);
        table
    }
}

/// The running integral at the nodes of a panel, from the integral before it.
fn running(rule: &Rule, heights: &[f64], half: f64, before: f64, below: &mut [f64]) {
    for (value, row) in below.iter_mut().zip(&rule.running) {
        let within: f64 = row
            .iter()
            .zip(heights)
            .map(|(weight, height)| weight * height)
            .sum();
        *value = (before + half * within).max(0.0);
    }
}

fn integrate(hills: &[(&Hill, i32)], tables: &[Table], mesh: &[(f64, f64)], start: f64) -> Vec<f64> {
    let rule = rule();
    let mut shares = vec![0.0; hills.len()];
    let mut after = vec![1.0; hills.len() + 1];
    for (panel, (from, to)) in mesh.iter().enumerate().filter(|(_, (_, to))| *to > start) {
        for (position, weight) in rule.weights.iter().enumerate() {
            let (node, weight) = (panel * NODES + position, weight * (to - from) / 2.0);
            // Products over all others, without a division: those before times those after.
            for (index, (_, count)) in hills.iter().enumerate().rev() {
                after[index] = after[index + 1] * tables[index].below[node].powi(*count);
            }
            let mut before = 1.0;
            for (index, (_, count)) in hills.iter().enumerate() {
                let below = tables[index].below[node];
                let others = before * below.powi(count - 1) * after[index + 1];
                shares[index] += weight * tables[index].density[node] * others;
                before *= below.powi(*count);
            }
        }
    }
    shares
}
