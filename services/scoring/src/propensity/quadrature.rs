//! The integral of propensities, over the logit of the rate: there a Beta density is smooth, without the poles that it
//! has at 0 and 1 for parameters below 1.
//!
//! One mesh of Gauss-Legendre panels serves all beliefs. Distribution functions are the densities' own running
//! integrals on that mesh, normalised by their totals, so that no special function is needed and large counts lose no
//! digits.

use crate::beta::Beta;

use super::panels::{NODES, rule};

/// Densities are cut off where they are e^-46 (1e-20) of their peak.
const CUT: f64 = -46.0;
/// At most this many densities are evaluated, twice.
const BUDGET: usize = 4_000_000;

/// A belief in logit space, with its peak at `peak` and of height 1.
struct Hill {
    peak: f64,
    width: f64,
    /// How fast it falls far from the peak, on either side: by e over that distance.
    tails: (f64, f64),
    /// Between which points it is not an exponential: from where 1-x to the power of beta begins to fall, to where x to
    /// the power of alpha ends to rise. There it may fall as steeply as exp(-exp(t)).
    bends: (f64, f64),
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
            tails: (1.0 / alpha, 1.0 / beta),
            bends: (-beta.max(1.0).ln() - 3.0, alpha.max(1.0).ln() + 3.0),
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

    /// How large a panel may be that starts at a point: as far as the hill begins before it; by its width, but not more
    /// than a bend allows, where it bends; by its slope where it is a mere exponential.
    fn panel(&self, at: f64, panel_width: f64) -> f64 {
        let (left, right) = self.bends;
        let (least, begun) = (panel_width * self.width.min(1.0), at.max(self.from));
        let step = if begun < left {
            least.max((panel_width * self.tails.0).min(left - begun))
        } else if begun < right {
            least
        } else {
            panel_width * self.width.max(self.tails.1)
        };
        step.max(self.from - at)
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
    let mut shares = vec![0.0; groups.len()];
    for (share, index) in integrate(&contenders, &mesh, start).into_iter().zip(live) {
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
        let smooth = panel_width * 0.35 * at.hypot(std::f64::consts::PI);
        let touched = hills.iter().filter(|(hill, _)| at < hill.to);
        let step = touched.fold(smooth, |step, (hill, _)| step.min(hill.panel(at, panel_width)));
        let next = (at + step).min(end);
        panels.push((at, next));
        at = next;
    }
    Some(panels)
}

/// A belief's density and distribution function at the nodes of one panel.
#[derive(Clone, Copy)]
struct Slice {
    density: [f64; NODES],
    below: [f64; NODES],
}

impl Hill {
    /// Heights at the nodes of a panel; nothing where the hill is cut off.
    fn heights(&self, (from, to): (f64, f64)) -> Option<[f64; NODES]> {
        let half = (to - from) / 2.0;
        (to > self.from && from < self.to).then(|| {
            rule()
                .nodes
                .map(|node| self.log_height(from - self.peak + half * (node + 1.0)).exp())
        })
    }

    fn area(&self, mesh: &[(f64, f64)]) -> f64 {
        let areas = mesh
            .iter()
            .filter_map(|panel| Some(weigh(*panel, &self.heights(*panel)?)));
        areas.sum()
    }

    /// The panel's slice of the belief, given its whole area and its distribution function before the panel, which
    /// becomes the one after it.
    fn slice(&self, panel: (f64, f64), area: f64, sum: &mut f64) -> Slice {
        let Some(heights) = self.heights(panel) else {
            return Slice {
                density: [0.0; NODES],
                below: [*sum; NODES],
            };
        };
        let (density, half) = (heights.map(|height| height / area), (panel.1 - panel.0) / 2.0);
        let below = rule().running.map(|row| {
            let within: f64 = row
                .iter()
                .zip(density)
                .map(|(weight, density)| weight * density)
                .sum();
            (*sum + half * within).max(0.0)
        });
        *sum += weigh(panel, &density);
        Slice { density, below }
    }
}

/// The integral over a panel of what has those values at its nodes.
fn weigh((from, to): (f64, f64), values: &[f64; NODES]) -> f64 {
    let sum: f64 = values
        .iter()
        .zip(rule().weights)
        .map(|(value, weight)| value * weight)
        .sum();
    sum * (to - from) / 2.0
}

/// Goes over the mesh once for the areas and once for the integral, so that memory does not grow with the mesh.
fn integrate(hills: &[(&Hill, i32)], mesh: &[(f64, f64)], start: f64) -> Vec<f64> {
    let areas: Vec<f64> = hills.iter().map(|(hill, _)| hill.area(mesh)).collect();
    let mut sums = vec![0.0; hills.len()];
    let mut shares = vec![0.0; hills.len()];
    let mut after = vec![1.0; hills.len() + 1];
    for panel in mesh.iter().copied() {
        let along = hills.iter().zip(&areas).zip(&mut sums);
        let slices: Vec<Slice> = along
            .map(|(((hill, _), area), sum)| hill.slice(panel, *area, sum))
            .collect();
        if panel.1 <= start {
            continue;
        }
        for node in 0..NODES {
            let weight = rule().weights[node] * (panel.1 - panel.0) / 2.0;
            // Products over all others, without a division: those before times those after.
            for (index, (_, count)) in hills.iter().enumerate().rev() {
                after[index] = after[index + 1] * slices[index].below[node].powi(*count);
            }
            let mut before = 1.0;
            for (index, (_, count)) in hills.iter().enumerate() {
                let Slice { density, below } = &slices[index];
                let others = before * below[node].powi(count - 1) * after[index + 1];
                shares[index] += weight * density[node] * others;
                before *= below[node].powi(*count);
            }
        }
    }
    shares
}
