"""Calibration: the wanted share of exemplars where the data allow it, the nearest found where they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eimf_local.errors import ConfigError
from eimf_local.esim import affinity_propagation as dense
from eimf_local.esim import preference as module
from eimf_local.esim.affinity_propagation import DenseProblem, affinity_propagation, similarities
from eimf_local.esim.preference import CalibratedPreference
from eimf_local.esim.propagation import AffinityPropagationResult, Progress, Settings

PLAIN = Settings(0.5, 200, 15)


def calibrate_preference(
    S: np.ndarray, *, fraction: float, settings: Settings = PLAIN, callback: Progress | None = None, seed: int = 0
) -> CalibratedPreference:
    problem = DenseProblem(S.copy(), random_state=seed)
    return module.calibrate_preference(problem, fraction=fraction, settings=settings, callback=callback)


def blobs(n: int, seed: int, width: int = 8) -> np.ndarray:
    """float32 [n, n]: similarities of points around n / 20 centres."""
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(n // 20, width))
    return similarities(centres[rng.integers(len(centres), size=n)] + rng.normal(size=(n, width)))


def cloud(n: int, seed: int) -> np.ndarray:
    """float32 [n, n]: similarities of points in the plane without clusters: few exemplars swing at damping .5."""
    return similarities(np.random.default_rng(seed).normal(size=(n, 2)))


def assert_near(calibrated: CalibratedPreference, fraction: float) -> None:
    n = len(calibrated.result.labels)
    wanted = max(1, round(fraction * n))
    assert abs(len(calibrated.result.exemplars) - wanted) <= max(1, 0.05 * wanted)
    assert calibrated.fraction == len(calibrated.result.exemplars) / n


@pytest.mark.parametrize("fraction", [0.003, 0.03, 0.05, 0.2, 0.5, 0.8, 1.0])
def test_reaches_the_wanted_fraction_of_blobs(fraction: float) -> None:
    assert_near(calibrate_preference(blobs(400, seed=0), fraction=fraction), fraction)


@pytest.mark.parametrize("fraction", [0.01, 0.03, 0.2])
def test_reaches_the_wanted_fraction_of_a_cloud_without_clusters(fraction: float) -> None:
    calibrated = calibrate_preference(cloud(300, seed=1), fraction=fraction)
    assert_near(calibrated, fraction)
    assert calibrated.result.converged


@pytest.mark.parametrize("make", [blobs, cloud])
def test_result_is_that_of_a_plain_run_with_the_settings_found(make: Any) -> None:
    S = make(200, seed=2)
    found = calibrate_preference(S, fraction=0.03, seed=4)
    plain = affinity_propagation(S, found.result.preference, *found.settings, random_state=4, settle=False)
    assert np.array_equal(found.result.exemplars, plain.exemplars)
    assert np.array_equal(found.result.labels, plain.labels)
    assert (found.result.n_iter, found.result.net_similarity) == (plain.n_iter, plain.net_similarity)


def test_when_exemplars_swing_damping_and_iterations_are_raised() -> None:
    found = calibrate_preference(cloud(300, seed=1), fraction=0.03)
    assert not found.trials[0].converged
    assert found.trials[0].damping == 0.5
    assert found.settings == (0.75, 400, 30)
    assert found.trials[-1].damping == 0.75


def test_large_problems_are_calibrated_on_a_sample_first(monkeypatch: pytest.MonkeyPatch) -> None:
    S = blobs(700, seed=3)
    direct = calibrate_preference(S, fraction=0.04)
    monkeypatch.setattr(dense, "_SAMPLE", 150)
    rehearsed = calibrate_preference(S, fraction=0.04)
    assert_near(rehearsed, 0.04)
    assert {trial.points for trial in direct.trials} == {700}
    assert {trial.points for trial in rehearsed.trials} == {150, 700}
    assert sum(trial.points == 700 for trial in rehearsed.trials) <= 4


def test_is_deterministic_and_leaves_similarities_alone() -> None:
    S = blobs(200, seed=4)
    original = S.copy()
    first, second = (calibrate_preference(S, fraction=0.1) for _ in range(2))
    assert np.array_equal(S, original)
    assert first.trials == second.trials
    assert np.array_equal(first.result.labels, second.result.labels)


def test_trials_hold_the_chosen_one() -> None:
    found = calibrate_preference(blobs(300, seed=5), fraction=0.15)
    result = found.result
    assert (result.preference, found.fraction, result.converged, result.damping, 300) in found.trials
    assert found.monotone


@pytest.mark.parametrize(("fraction", "exemplars"), [(0.03, 1), (0.05, 1), (0.3, 60), (1.0, 60)])
def test_when_all_points_are_the_same_one_or_all_are_exemplars(fraction: float, exemplars: int) -> None:
    found = calibrate_preference(similarities(np.ones((60, 4))), fraction=fraction)
    assert len(found.result.exemplars) == exemplars
    assert found.fraction == exemplars / 60


def test_when_the_wanted_number_is_skipped_the_nearest_is_taken() -> None:
    groups = 50 * np.eye(4)[np.arange(80) // 20]  # of 4 groups of equal points: 4 exemplars or 80, hardly between
    found = calibrate_preference(similarities(groups), fraction=0.1)
    assert len(found.result.exemplars) == 4
    assert found.fraction == 0.05


def test_when_there_is_one_point_or_two() -> None:
    assert calibrate_preference(np.zeros((1, 1)), fraction=0.03).fraction == 1
    assert calibrate_preference(np.array([[0.0, -1.0], [-1.0, 0.0]]), fraction=0.03).fraction == 0.5


def test_when_too_few_iterations_are_allowed_something_is_returned_and_says_so() -> None:
    found = calibrate_preference(blobs(100, seed=6), fraction=0.05, settings=Settings(0.5, 5, 15))
    assert not found.result.converged
    assert not any(trial.converged for trial in found.trials)
    assert found.result.labels.max() == len(found.result.exemplars) - 1


def test_callback_hears_every_trial_from_its_first_iteration() -> None:
    heard: list[int] = []
    found = calibrate_preference(
        blobs(200, seed=7), fraction=0.2, callback=lambda iteration, n_exemplars: heard.append(iteration)
    )
    assert heard.count(1) == len(found.trials)


def test_similarities_without_the_scale_of_distances_are_calibrated_too() -> None:
    rng = np.random.default_rng(8)
    T = rng.normal(size=(20, 6))[rng.integers(20, size=200)] + 0.2 * rng.normal(size=(200, 6))
    T /= np.linalg.norm(T, axis=1, keepdims=True)
    cosine = T @ T.T  # positive and negative, float64
    assert_near(calibrate_preference(cosine, fraction=0.1), 0.1)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, np.nan])
def test_fractions_out_of_range_are_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="fraction"):
        calibrate_preference(np.zeros((3, 3)), fraction=fraction)


class Scripted:
    """A problem of pretended points: their exemplars as a function of preference and damping, steady and converged."""

    lowest, top = -4.0, 0.0

    def __init__(self, n: int, outcome: Callable[[float, float], tuple[float, bool, bool]]) -> None:
        self.n = n
        self.outcome = outcome

    def run(self, preference: Any, settings: Settings, callback: Progress | None) -> AffinityPropagationResult:
        share, steady, converged = self.outcome(preference, settings.damping)
        count = min(self.n, max(1, round(share * self.n)))
        assert callback is not None
        for iteration in range(1, 400):
            callback(iteration, count if steady or iteration % 2 else 5 * count + 5)
        exemplars, labels = np.arange(count), np.zeros(self.n, np.int64)
        return AffinityPropagationResult(exemplars, labels, 399, converged, 0.0, preference, settings.damping)

    def sample(self) -> Scripted | None:
        return Scripted(400, self.outcome) if self.n > 1000 else None


def calibrate(
    fraction: float, outcome: Callable[[float, float], tuple[float, bool, bool]], n: int = 1000
) -> CalibratedPreference:
    return module.calibrate_preference(Scripted(n, outcome), fraction=fraction, settings=PLAIN)


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.3])
def test_when_the_number_is_not_monotone_in_the_preference(fraction: float) -> None:
    def wavy(preference: float, damping: float) -> tuple[float, bool, bool]:
        return 0.1 * abs(preference) ** -0.8 * (1 + 0.3 * np.sin(17 * np.log(abs(preference) + 1e-9))), True, True

    found = calibrate(fraction, wavy)
    assert abs(found.fraction - fraction) <= 0.05 * fraction
    preferences = [trial.preference for trial in found.trials]
    assert len(set(preferences)) == len(preferences)


def test_when_larger_preferences_gave_fewer_exemplars_it_is_told() -> None:
    found = calibrate_preference(blobs(100, seed=9), fraction=0.2)
    trials = [module.Trial(-1.0 * k, fraction, True, 0.5, 100) for k, fraction in enumerate([0.4, 0.2, 0.3])]
    assert not module.CalibratedPreference(found.result, found.settings, trials).monotone
    ignored = [trials[2]._replace(converged=False), trials[2]._replace(points=50)]
    assert module.CalibratedPreference(found.result, found.settings, trials[:2] + ignored).monotone


def test_when_the_number_jumps_over_the_wanted_one_trials_close_in_on_the_jump() -> None:
    found = calibrate(0.1, lambda preference, damping: (0.2 if preference > -3 else 0.02, True, True))
    assert found.fraction == 0.2  # twice too many is nearer than a fifth
    assert min(abs(trial.preference + 3) for trial in found.trials) < 0.1
    assert len({trial.preference for trial in found.trials}) == len(found.trials) <= 12


def test_when_a_few_points_flicker_one_more_run_lets_them_settle() -> None:
    found = calibrate(0.1, lambda preference, damping: (0.1 * abs(preference) ** -1, True, damping > 0.5))
    assert abs(found.fraction - 0.1) <= 0.003
    assert [trial.converged for trial in found.trials[-2:]] == [False, True]
    assert (found.settings.damping, found.trials[-2].damping) == (0.75, 0.5)


def test_when_the_sample_swings_all_points_are_damped_from_the_start() -> None:
    def calm_when_damped(preference: float, damping: float) -> tuple[float, bool, bool]:
        return 0.1 * abs(preference) ** -1, damping > 0.5, damping > 0.5

    found = calibrate(0.05, calm_when_damped, n=2000)
    assert found.trials[0].damping == 0.5
    assert {trial.damping for trial in found.trials if trial.points == 2000} == {0.75}
    assert abs(found.fraction - 0.05) <= 0.0015
