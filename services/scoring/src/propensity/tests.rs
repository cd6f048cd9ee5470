use proptest::prelude::*;
use rand_chacha::rand_core::SeedableRng as _;

use super::*;

fn belief(alpha: f64, beta: f64) -> Beta {
    Beta { alpha, beta }
}

fn found(beliefs: &[Beta]) -> Vec<f64> {
    let found = propensities(beliefs, &mut ChaCha20Rng::from_seed([1; 32]));
    assert_eq!(found.kind, PropensityKind::Exact, "{beliefs:?}");
    found.values
}

/// P(X > Y) of two Beta draws by the finite sum for whole parameters.
fn first_wins(x: Beta, y: Beta) -> f64 {
    let mut log_term: f64 = (0..x.beta as u64)
        .map(|k| ((y.beta + k as f64) / (y.alpha + y.beta + k as f64)).ln())
        .sum();
    let mut sum = 0.0;
    for i in 0..x.alpha as u64 {
        sum += log_term.exp();
        let i = i as f64;
        log_term += ((y.alpha + i) / (y.alpha + i + x.beta + y.beta) * (x.beta + i) / (1.0 + i)).ln();
    }
    sum
}

#[test]
fn three_arms_are_those_of_an_adaptive_quadrature() {
    let close = |arms: [(f64, f64); 3], expected: [f64; 3]| {
        let values = found(&arms.map(|(alpha, beta)| belief(alpha, beta)));
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-10, "{value} and {expected}");
        }
    };
    close(
        [(11.0, 91.0), (13.0, 89.0), (9.0, 93.0)],
        [0.287_237_884_0, 0.601_511_585_4, 0.111_250_530_6],
    );
    close(
        [(22.0, 80.0), (65.0, 38.0), (12.0, 90.0)],
        [4e-10, 0.999_999_999_6, 0.0],
    );
}

#[test]
fn a_new_arm_takes_what_the_reference_says_it_takes() {
    let incumbents = [belief(30.0, 270.0), belief(28.0, 272.0), belief(33.0, 267.0)];
    for (alpha, beta, expected) in [(1.0, 1.0, 0.882), (1.0, 9.0, 0.327), (10.0, 90.0, 0.282)] {
        let values = found(&[&incumbents[..], &[belief(alpha, beta)]].concat());
        assert!(
            (values[3] - expected).abs() < 6e-4,
            "Beta({alpha}, {beta}) takes {}",
            values[3]
        );
    }
}

#[test]
fn two_arms_are_those_of_the_finite_sum() {
    let whole = [1.0, 2.0, 3.0, 10.0, 47.0, 300.0, 5_000.0];
    for a in whole {
        for b in whole {
            for (x, y) in [
                (belief(a, b), belief(b, a)),
                (belief(a, b), belief(2.0, 3.0)),
                (belief(a, b), belief(30.0, 31.0)),
            ] {
                let (value, exact) = (found(&[x, y])[0], first_wins(x, y));
                if x != y {
                    assert!(
                        (value - exact).abs() < 1e-10,
                        "{x:?} over {y:?}: {value} and {exact}"
                    );
                }
            }
        }
    }
}

/// The expected regret of two-armed Thompson sampling from Beta(1, 1), by dynamic programming over all histories with
/// our own propensities as the policy.
fn regret(steps: usize, rates: [f64; 2]) -> Vec<f64> {
    let best = rates[0].max(rates[1]);
    let mut states: std::collections::BTreeMap<[u32; 4], f64> = [([1, 1, 1, 1], 1.0)].into();
    let (mut regrets, mut total) = (Vec::new(), 0.0);
    for _ in 0..steps {
        let mut next = std::collections::BTreeMap::new();
        for (state, probability) in states {
            let [a, b, c, d] = state.map(f64::from);
            let policy = found(&[belief(a, b), belief(c, d)]);
            for arm in 0..2 {
                let chosen = probability * policy[arm];
                total += chosen * (best - rates[arm]);
                for (side, share) in [(0, rates[arm]), (1, 1.0 - rates[arm])] {
                    let mut after = state;
                    after[arm * 2 + side] += 1;
                    *next.entry(after).or_insert(0.0) += chosen * share;
                }
            }
        }
        states = next;
        regrets.push(total);
    }
    regrets
}

#[test]
fn expected_regret_is_that_of_the_reference_table() {
    let table = [
        ([0.5, 0.4], [0.05, 0.098_333_333, 0.237_006_139, 0.454_547_102]),
        ([0.9, 0.6], [0.15, 0.285, 0.618_809_5, 1.022_287_981]),
        ([0.05, 0.03], [0.01, 0.019_933_333, 0.049_527_548, 0.098_219_049]),
    ];
    for (rates, expected) in table {
        let regrets = regret(10, rates);
        for (step, expected) in [1, 2, 5, 10].into_iter().zip(expected) {
            let value = regrets[step - 1];
            assert!(
                (value - expected).abs() < 1e-9,
                "{rates:?} after {step}: {value} and {expected}"
            );
        }
    }
}

#[test]
fn equal_arms_share_equally() {
    for count in [1, 2, 7, 50, 1000] {
        let values = found(&vec![belief(3.0, 5.0); count]);
        assert!(
            values
                .iter()
                .all(|value| (value * count as f64 - 1.0).abs() < 1e-12)
        );
    }
}

#[test]
fn a_thousand_different_arms_are_still_exact() {
    let beliefs: Vec<Beta> = (0..1000)
        .map(|arm| belief(1.0 + f64::from(arm % 37), 20.0 + f64::from(arm) / 7.0))
        .collect();
    let values = found(&beliefs);
    assert!((values.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn wide_and_very_narrow_beliefs_go_together() {
    let narrow = belief(600_000.0, 400_000.0);
    let values = found(&[narrow, belief(1.0, 1.0), belief(0.1, 0.1), belief(2.0, 1e6)]);
    // The narrow belief is as good as a known rate of 0.6, over which a uniform draw goes with 0.4.
    assert!(values[1] > 0.2 && values[1] < 0.4, "{values:?}");
    assert!(values[3] < 1e-12);
    let alone = found(&[narrow, belief(1.0, 1.0)]);
    assert!((alone[1] - 0.4).abs() < 1e-6, "{alone:?}");
}

#[test]
fn draws_win_as_often_as_the_propensities_say() {
    let beliefs = [
        belief(4.0, 9.0),
        belief(0.5, 0.5),
        belief(30.0, 50.0),
        belief(2.0, 3.0),
    ];
    let (values, mut random) = (found(&beliefs), ChaCha20Rng::from_seed([2; 32]));
    let counted = estimate(&beliefs, &mut random);
    for (value, counted) in values.iter().zip(&counted) {
        let error = (value * (1.0 - value) / 20_000.0).sqrt();
        assert!(
            (value - counted).abs() < 5.0 * error,
            "{values:?} and {counted:?}"
        );
    }
    assert!((counted.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

fn any_belief() -> impl Strategy<Value = Beta> {
    // From the least prior to a million outcomes, evenly over the magnitudes.
    (-1.0_f64..6.0, -1.0_f64..6.0).prop_map(|(alpha, beta)| belief(10_f64.powf(alpha), 10_f64.powf(beta)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn propensities_are_exact_and_sum_to_one(beliefs in prop::collection::vec(any_belief(), 1..40)) {
        let values = found(&beliefs);
        prop_assert!((values.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        prop_assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    }

    #[test]
    fn a_much_finer_mesh_changes_nothing(beliefs in prop::collection::vec(any_belief(), 2..12)) {
        let groups: Vec<(Beta, usize)> = beliefs.iter().map(|belief| (*belief, 1)).collect();
        let (coarse, fine) = (quadrature::shares(&groups, 2.0).unwrap(), quadrature::shares(&groups, 0.5).unwrap());
        // The sum does not see an error that moves probability from one option to another.
        for (coarse, fine) in coarse.iter().zip(&fine) {
            prop_assert!((coarse - fine).abs() < 1e-11, "{} and {}", coarse, fine);
        }
    }

    #[test]
    fn the_order_of_the_options_changes_nothing(beliefs in prop::collection::vec(any_belief(), 2..8)) {
        let forwards = found(&beliefs);
        let mut backwards = found(&beliefs.iter().rev().copied().collect::<Vec<_>>());
        backwards.reverse();
        for (one, other) in forwards.iter().zip(&backwards) {
            prop_assert!((one - other).abs() < 1e-11);
        }
    }

    #[test]
    fn a_mirrored_pair_swaps(a in any_belief(), b in any_belief()) {
        let mirrored = [belief(a.beta, a.alpha), belief(b.beta, b.alpha)];
        let (straight, mirrored) = (found(&[a, b]), found(&mirrored));
        prop_assert!((straight[0] - mirrored[1]).abs() < 1e-9, "{:?} {:?}", straight, mirrored);
    }
}
