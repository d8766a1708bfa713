"""Bootstrap intervals, paired differences and Holm: hand cases, an independent resampler, and coverage."""

import doctest
from dataclasses import astuple

import numpy as np
import pytest

import eimf_local.evaluation.significance as module
from eimf_local.evaluation.significance import (
    bootstrap_means,
    holm,
    mean_interval,
    mean_intervals,
    paired_difference,
    paired_differences,
)


def study(seed, *, n_seeds=3, n_users=80, user=0.3, run=0.05, residual=0.1, mean=0.0):
    """Values float64 [S, n] with known scatter of users, of seeds, and of their combination."""
    generator = np.random.default_rng(seed)
    users = generator.normal(0, user, (1, n_users))
    runs = generator.normal(0, run, (n_seeds, 1))
    return mean + users + runs + generator.normal(0, residual, (n_seeds, n_users))


def slow_bootstrap(values, resamples, seed):
    """Index users and seeds one replicate at a time."""
    generator = np.random.default_rng(seed)
    n_seeds, n_users = values.shape
    means = []
    for _ in range(resamples):
        runs, users = generator.integers(0, n_seeds, n_seeds), generator.integers(0, n_users, n_users)
        means.append(values[np.ix_(runs, users)].mean())
    return np.array(means)


def test_docstring_examples_hold():
    result = doctest.testmod(module)
    assert result.attempted >= 3
    assert result.failed == 0


def test_bootstrap_has_the_distribution_of_drawing_users_and_seeds_one_by_one():
    values = study(0, run=0.2)
    fast, slow = bootstrap_means(values, resamples=4000), slow_bootstrap(values, 4000, seed=1)
    assert fast.mean() == pytest.approx(values.mean(), abs=0.01)
    assert fast.std() == pytest.approx(slow.std(), rel=0.06)
    np.testing.assert_allclose(np.quantile(fast, [0.025, 0.975]), np.quantile(slow, [0.025, 0.975]), atol=0.02)


def test_seeds_that_disagree_widen_the_interval_as_a_whole():
    users = np.random.default_rng(0).normal(0, 0.01, (1, 500))
    apart = mean_interval(users + np.array([[-1.0], [0.0], [1.0]]))
    assert apart.low < -0.6
    assert apart.high > 0.6
    assert mean_interval(users + np.zeros((3, 1))).high < 0.01


def test_one_seed_equals_the_bootstrap_over_users():
    values = study(2, n_seeds=1, n_users=400)
    interval = mean_interval(values)
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert interval.mean == pytest.approx(values.mean())
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.05)


def test_is_deterministic_and_seeded():
    values = study(3)
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values) != mean_interval(values, seed=1)


def test_constant_values_have_an_interval_of_no_width():
    interval = mean_interval(np.full((2, 10), 0.25), resamples=500)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.25, 0.25, 0.25))


def test_scaling_and_shifting_values_scales_and_shifts_the_interval():
    values = study(4)
    plain, moved = mean_interval(values, resamples=800), mean_interval(3 * values + 1, resamples=800)
    assert (moved.mean, moved.low, moved.high) == pytest.approx(
        (3 * plain.mean + 1, 3 * plain.low + 1, 3 * plain.high + 1)
    )


def test_many_quantities_at_once_equal_one_at_a_time():
    values = np.stack([study(5), study(6)])
    together, alone = mean_intervals(values, resamples=700), [mean_interval(one, resamples=700) for one in values]
    np.testing.assert_allclose([astuple(one) for one in together], [astuple(one) for one in alone], rtol=1e-12)
    pairs, pair = paired_differences(values, values[::-1], resamples=700), paired_difference(*values, resamples=700)
    assert astuple(pairs[0]) == pytest.approx(astuple(pair))
    assert pairs[0].mean == pytest.approx(-pairs[1].mean)


def test_difference_of_equal_conditions_is_nothing():
    values = study(7)
    difference = paired_difference(values, values)
    assert (difference.mean, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)
    assert not difference.distinguishable


def test_pairing_removes_the_scatter_of_users():
    base = study(8, user=1.0, run=0.0, residual=0.01)
    difference = paired_difference(base + 0.02, base + study(9, user=0.0, run=0.0, residual=0.01))
    assert difference.distinguishable
    assert difference.low < 0.02 < difference.high
    assert difference.p_value < 0.01
    assert mean_interval(base).high - mean_interval(base).low > 0.2


def test_p_value_and_interval_agree():
    for seed in range(30):
        difference = paired_difference(study(seed, mean=0.05), np.zeros((3, 80)), resamples=1000)
        if abs(difference.p_value - 0.05) > 0.01:
            assert difference.distinguishable == (difference.p_value < 0.05)


def test_a_replicate_that_is_zero_but_for_rounding_is_zero():
    # Three users, differences +.1, +.2 and -.3 in every order: whole replicates cancel, and so does the mean.
    a = np.array([[0.1, 0.2, 0.0], [0.2, 0.1, 0.0]])
    b = np.array([[0.0, 0.0, 0.3], [0.0, 0.0, 0.3]])
    one, other = paired_difference(a, b), paired_difference(a[:, ::-1], b[:, ::-1])
    assert one.p_value == other.p_value == 1.0
    assert not paired_difference(np.full((1, 9), 0.1 + 0.2), np.full((1, 9), 0.3)).distinguishable


def test_p_value_of_a_hand_case():
    # Two users, differences -1 and +1, one seed: a replicate is -1, 0, 0 or +1 with equal chance, so 3/4 of the
    # replicates lie at or below zero, 3/4 at or above, and p is cut at 1.
    difference = paired_difference([[0.0, 1.0]], [[1.0, 0.0]])
    assert difference.p_value == 1.0
    assert (difference.low, difference.high) == (-1.0, 1.0)


def test_holm_is_the_hand_computed_step_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_holm_never_lowers_a_p_value_and_keeps_the_order():
    p_values = np.random.default_rng(0).random(20).tolist()
    adjusted = holm(p_values)
    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))
    assert np.argsort(p_values).tolist() == np.argsort(adjusted, kind="stable").tolist() or max(adjusted) == 1.0


@pytest.mark.parametrize("values", [np.zeros((0, 5)), np.zeros((3, 0)), np.zeros(5), np.full((1, 2), np.nan)])
def test_when_there_is_nothing_to_average(values):
    with pytest.raises(ValueError, match="values must be"):
        bootstrap_means(values)


def test_when_pairs_do_not_match():
    with pytest.raises(ValueError, match="shapes"):
        paired_difference(np.zeros((3, 5)), np.zeros((2, 5)))


@pytest.mark.parametrize(
    ("n_seeds", "run", "least"), [(1, 0.0, 0.92), (3, 0.01, 0.92), (5, 0.01, 0.92), (5, 0.1, 0.84)]
)
def test_interval_covers_the_true_mean_about_as_often_as_it_says(n_seeds, run, least):
    covered = [
        mean_interval(study(seed, n_seeds=n_seeds, n_users=200, run=run), resamples=1000).covers(0.0)
        for seed in range(400)
    ]
    assert least <= np.mean(covered) <= 0.99


def test_null_differences_are_called_distinguishable_about_as_often_as_the_level_says():
    called = [
        paired_difference(study(seed, n_seeds=5, run=0.01), study(seed + 9999, n_seeds=5, run=0.01), resamples=1000)
        for seed in range(400)
    ]
    assert 0.01 <= np.mean([difference.p_value < 0.05 for difference in called]) <= 0.09
