"""Two steps where one cannot span the clusters: the users' own problem, groups kept together."""

from __future__ import annotations

import numpy as np
import pytest

from eimf_local.esim import hierarchical_propagation as module
from eimf_local.esim.affinity_propagation import affinity_propagation, similarities
from eimf_local.esim.hierarchical_propagation import HierarchicalProblem, sparse_problem
from eimf_local.esim.preference import calibrate_preference
from eimf_local.esim.propagation import Settings
from eimf_local.esim.sparse_propagation import SparseProblem

PLAIN = Settings(0.5, 200, 15)


def users(n: int, seed: int = 0, centres: int = 40, width: int = 16) -> np.ndarray:
    """float32 [n, width], unit rows around centres."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(centres, width))
    rows = places[rng.integers(centres, size=n)] + 0.5 * rng.normal(size=(n, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("centres", "preference"), [(40, -20.0), (200, -20.0), (200, -40.0)])
def test_net_similarity_is_within_two_per_cent_of_the_dense_engines(centres: int, preference: float) -> None:
    T = users(2000, centres=centres)
    dense = affinity_propagation(similarities(T), preference)
    problem = HierarchicalProblem(T, wanted=len(dense.exemplars))
    result = problem.run(preference, PLAIN, None)
    assert problem.groups == pytest.approx(200, rel=0.1)
    assert result.net_similarity > 1.02 * dense.net_similarity  # both are negative
    assert result.converged


def test_similarities_of_groups_are_what_their_members_lose_by_another_exemplar() -> None:
    T = users(900)
    T[300:320] = T[300]
    problem = HierarchicalProblem(T, wanted=10)
    groups, (starts, columns, S) = problem._groups, problem._messages._edges
    X = T.astype(np.float64)
    members = np.arange(problem.groups) == groups.of[problem._users.users.point_of][:, None]  # [users, groups]
    candidates = X[problem._users.users.first[groups.exemplar]]
    costs = members.T @ ((X[:, None] - candidates) ** 2).sum(axis=2)  # [groups, candidates]
    rows = np.repeat(np.arange(problem.groups), np.diff(starts))
    assert np.allclose(S, costs.diagonal()[rows] - costs[rows, columns], rtol=1e-4, atol=1e-4)
    assert len(S) > 10 * problem.groups


def test_every_user_has_its_most_similar_exemplar() -> None:
    T = users(1500)
    result = HierarchicalProblem(T, wanted=15).run(-8.0, PLAIN, None)
    S = -((T[:, None].astype(np.float64) - T[result.exemplars]) ** 2).sum(axis=2)
    assert np.array_equal(result.labels, S.argmax(axis=1))
    assert np.array_equal(result.exemplar_of[result.exemplars], result.exemplars)
    total = S.max(axis=1).sum() - 8 * len(result.exemplars)
    assert result.net_similarity == pytest.approx(total, rel=1e-6)


def test_among_groups_the_best_choice_for_their_members_is_found() -> None:
    """Three far groups, one of many users: with one exemplar only the candidate that is best for all members wins."""
    places = np.array([[0.0, 0], [10, 0], [16, 0]])
    sizes = (30, 12, 200)
    rng = np.random.default_rng(0)
    T = np.concatenate([place + rng.normal(size=(size, 2)) for place, size in zip(places, sizes, strict=True)])
    T = T.astype(np.float32)
    result = HierarchicalProblem(T, wanted=1).run(-1e5, Settings(0.5, 400, 15), None)
    costs = ((T[:, None].astype(np.float64) - T) ** 2).sum(axis=(0, 2))
    assert len(result.exemplars) == 1
    assert -result.net_similarity - 1e5 < 1.05 * costs.min()


def test_equal_users_stay_together() -> None:
    T = users(900)
    T[300:450] = T[300]
    result = HierarchicalProblem(T, wanted=10).run(-10.0, PLAIN, None)
    assert len(set(result.labels[300:450])) == 1
    assert not set(result.exemplars) & set(range(301, 450))


def test_calibration_drives_it() -> None:
    found = calibrate_preference(HierarchicalProblem(users(2000), wanted=20), fraction=0.01, settings=PLAIN)
    assert len(found.result.exemplars) == pytest.approx(20, abs=1)


def test_two_steps_only_where_one_would_need_too_many_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    T = users(1000)
    assert isinstance(sparse_problem(T), SparseProblem)
    assert isinstance(sparse_problem(T, wanted=30), SparseProblem)
    assert isinstance(sparse_problem(T, wanted=8), SparseProblem)
    assert isinstance(sparse_problem(T, wanted=7), HierarchicalProblem)
    monkeypatch.setattr(module, "_EDGES", 70_000)
    assert isinstance(sparse_problem(T, wanted=30), SparseProblem)
    assert isinstance(sparse_problem(T, wanted=20), HierarchicalProblem)


@pytest.mark.parametrize(("preference", "kind", "off"), [(-0.7, SparseProblem, 1), (-40, HierarchicalProblem, 0.3)])
def test_a_preference_tells_how_many_exemplars_to_expect(
    monkeypatch: pytest.MonkeyPatch, preference: float, kind: type, off: float
) -> None:
    monkeypatch.setattr(module, "_SAMPLE", 500)
    T = users(2000, centres=200)
    dense = affinity_propagation(similarities(T), preference)
    problem = sparse_problem(T, preference=preference)
    assert isinstance(problem, kind)
    assert module._expected(T, preference, 0) == pytest.approx(len(dense.exemplars), rel=off)
    assert len(problem.run(preference, PLAIN, None).exemplars) == pytest.approx(len(dense.exemplars), rel=0.15)


@pytest.mark.parametrize("n", [150, 1000])
def test_all_users_equal(n: int) -> None:
    result = sparse_problem(np.ones((n, 3), np.float32), wanted=1).run(-2.0, PLAIN, None)
    assert result.exemplars.tolist() == [0]
    assert not result.labels.any()
    assert result.net_similarity == -2


def test_the_same_for_the_same_seed() -> None:
    T = users(1000)
    first, second = (HierarchicalProblem(T, wanted=10, seed=3).run(-10.0, PLAIN, None) for _ in range(2))
    assert np.array_equal(first.exemplars, second.exemplars)
    assert np.array_equal(first.labels, second.labels)
