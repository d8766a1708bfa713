"""The sparse engine: the dense one on complete graphs, an oracle's messages on others, and near it on real tasks."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from eimf_local.errors import InputError
from eimf_local.esim import neighbours, parallel
from eimf_local.esim import sparse_propagation as module
from eimf_local.esim.affinity_propagation import DenseProblem, affinity_propagation, similarities
from eimf_local.esim.edge_messages import EdgeMessages, _until_settled
from eimf_local.esim.neighbours import NeighbourGraph
from eimf_local.esim.preference import calibrate_preference
from eimf_local.esim.propagation import Settings
from eimf_local.esim.sparse_propagation import SparseProblem, choose_engine

PLAIN = Settings(0.5, 200, 15)


def users(n: int, seed: int = 0, width: int = 16) -> np.ndarray:
    """float32 [n, width], unit rows around n / 40 centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, n // 40), width))
    rows = centres[rng.integers(len(centres), size=n)] + 0.5 * rng.normal(size=(n, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def graph_of(S: np.ndarray) -> NeighbourGraph:
    """The graph that has every finite similarity off the diagonal."""
    present = np.isfinite(S)
    np.fill_diagonal(present, False)
    starts = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    return NeighbourGraph(starts, np.nonzero(present)[1].astype(np.int32), S[present].astype(np.float32), 1.0)


def oracle(S: np.ndarray, iterations: int, damping: float = 0.5) -> np.ndarray:
    """float64 [n]: evidence after so many iterations, by the equations, -inf being a similarity that is not there."""
    n = len(S)
    R, A = np.where(np.isfinite(S), 0.0, -np.inf), np.zeros((n, n))
    for _ in range(iterations):
        AS = A + S
        for j in range(n):
            others = np.delete(AS, j, axis=1).max(axis=1)
            R[:, j] = damping * R[:, j] + (1 - damping) * (S[:, j] - others)
        positive = np.maximum(R, 0)
        np.fill_diagonal(positive, R.diagonal())
        new = positive.sum(axis=0) - positive
        on_diagonal = new.diagonal().copy()
        new = np.minimum(new, 0)
        np.fill_diagonal(new, on_diagonal)
        A = damping * A + (1 - damping) * new
    return R.diagonal() + A.diagonal()


def test_on_complete_graphs_the_exemplars_are_the_dense_engines() -> None:
    for seed in range(150):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 70))
        if seed % 2:
            S = similarities(rng.normal(size=(n, int(rng.integers(2, 9)))))
        else:
            S = rng.normal(size=(n, n)).astype(np.float32)  # not symmetric
        preference = float(rng.uniform(-3, 0.2) * np.abs(S).max())
        dense = DenseProblem(S.copy(), random_state=seed, refine=False).run(preference, PLAIN, None)
        sparse = EdgeMessages(graph_of(S), random_state=seed).run(preference, PLAIN, None)
        assert np.array_equal(sparse.exemplars, dense.exemplars)
        assert (sparse.n_iter, sparse.converged) == (dense.n_iter, dense.converged)


def test_refined_and_assigned_like_the_dense_engine() -> None:
    compared = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        T = rng.normal(size=(int(rng.integers(10, 80)), int(rng.integers(2, 9)))).astype(np.float32)
        preference = -float(rng.uniform(1, 10)) * T.shape[1]
        S = similarities(T)
        dense = DenseProblem(S.copy(), random_state=seed).run(preference, PLAIN, None)
        sparse = SparseProblem(T, neighbours=len(T), seed=seed).run(preference, PLAIN, None)
        raw = DenseProblem(S, random_state=seed, refine=False).run(preference, PLAIN, None)
        if np.bincount(raw.labels).min() == 2:
            continue  # of two either is as good: the engines may disagree
        compared += 1
        assert np.array_equal(sparse.exemplars, dense.exemplars)
        assert np.array_equal(sparse.labels, dense.labels)
        assert sparse.net_similarity == pytest.approx(dense.net_similarity, rel=1e-5)
    assert compared > 60


@pytest.mark.parametrize("damping", [0.5, 0.8])
def test_on_other_graphs_a_missing_similarity_is_minus_infinity(damping: float) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(4, 40))
        S = np.where(rng.random((n, n)) < rng.uniform(0.2, 0.9), -rng.random((n, n)), -np.inf)
        S[np.arange(n), (np.arange(n) + 1) % n] = -rng.random(n)  # each has a neighbour
        np.fill_diagonal(S, -rng.uniform(0.1, 3))
        settings = Settings(damping, 30, 1000)
        found = EdgeMessages(graph_of(S), random_state=0).run(float(S[0, 0]), settings, None)
        evidence = oracle(S, 30, damping)
        clear = np.abs(evidence) > 1e-3  # float32
        chosen = np.zeros(n, bool)
        chosen[found.exemplars] = True
        assert np.array_equal(chosen[clear], (evidence > 0)[clear])


@pytest.mark.parametrize("fraction", [0.02, 0.03, 0.1])
def test_net_similarity_is_within_one_per_cent_of_the_dense_engines(fraction: float) -> None:
    T = users(1500)
    found = calibrate_preference(DenseProblem(similarities(T), random_state=0), fraction=fraction, settings=PLAIN)
    dense = found.result
    sparse = SparseProblem(T, neighbours=round(2 / fraction)).run(dense.preference, found.settings, None)
    assert sparse.net_similarity > 1.01 * dense.net_similarity  # both are negative
    assert abs(len(sparse.exemplars) / len(dense.exemplars) - 1) < 0.1


@pytest.mark.parametrize("exhaustive", [True, False])
def test_every_user_has_its_most_similar_exemplar(monkeypatch: pytest.MonkeyPatch, exhaustive: bool) -> None:
    if not exhaustive:
        monkeypatch.setattr(neighbours, "_EXHAUSTIVE", 0)
    T = users(2000)
    result = SparseProblem(T, neighbours=40).run(-0.8, PLAIN, None)
    S = -((T[:, None].astype(np.float64) - T[result.exemplars]) ** 2).sum(axis=2)
    right = np.mean(result.labels == S.argmax(axis=1))
    assert right == 1 if exhaustive else right > 0.98
    assert np.array_equal(result.exemplar_of[result.exemplars], result.exemplars)
    total = S[np.arange(2000), result.labels].sum() - 0.8 * len(result.exemplars)
    assert result.net_similarity == pytest.approx(total, rel=1e-6)
    assert (result.preference, result.damping) == (-0.8, 0.5)


def test_an_approximate_search_costs_little_net_similarity(monkeypatch: pytest.MonkeyPatch) -> None:
    T = users(3000)
    exact = SparseProblem(T, neighbours=64).run(-0.8, PLAIN, None)
    monkeypatch.setattr(neighbours, "_EXHAUSTIVE", 0)
    problem = SparseProblem(T, neighbours=64)
    assert 0.9 <= problem.recall < 1
    assert problem.run(-0.8, PLAIN, None).net_similarity > 1.01 * exact.net_similarity


def test_equal_users_are_one_point_of_their_weight() -> None:
    T = users(300)
    T[100:180] = T[100]  # more than anyone has neighbours
    T[200:203] = T[5]
    dense = affinity_propagation(similarities(T), -0.9)
    result = SparseProblem(T, neighbours=40).run(-0.9, PLAIN, None)
    assert result.net_similarity == pytest.approx(dense.net_similarity, rel=0.005)
    assert len(set(result.labels[100:180])) == 1
    assert len({*result.labels[200:203], result.labels[5]}) == 1
    assert not set(result.exemplars) & {*range(101, 180), 200, 201, 202}


def test_weights_count_in_the_choice() -> None:
    line = np.array([[0.0], [1.0], [3.0]], np.float32)
    alone = SparseProblem(line, neighbours=2).run(-100, PLAIN, None)
    crowd = SparseProblem(np.concatenate([line, np.repeat(line[2:], 9, axis=0)]), neighbours=2).run(-100, PLAIN, None)
    assert alone.exemplars.tolist() == [1]
    assert crowd.exemplars.tolist() == [2]
    assert crowd.net_similarity == pytest.approx(-100 - 9 - 4)


@pytest.mark.parametrize("n", [1, 2, 5, 100])
def test_all_users_equal(n: int) -> None:
    result = SparseProblem(np.ones((n, 4), np.float32)).run(-1.0, PLAIN, None)
    assert result.exemplars.tolist() == [0]
    assert result.labels.tolist() == [0] * n
    assert (result.converged, result.n_iter, result.net_similarity) == (True, 0, -1)


@pytest.mark.parametrize(("preference", "exemplars"), [(-3.0, [0]), (-1.0, [0, 1, 2, 3])])
def test_all_similarities_equal(preference: float, exemplars: list[int]) -> None:
    result = SparseProblem(np.eye(4, dtype=np.float32)).run(preference, PLAIN, None)  # each -2
    assert result.exemplars.tolist() == exemplars
    assert result.converged


def test_two_users() -> None:
    T = np.array([[0.0], [1.0]], np.float32)
    apart = SparseProblem(T).run(-0.4, PLAIN, None)
    together = SparseProblem(T).run(-5.0, PLAIN, None)
    assert apart.exemplars.tolist() == [0, 1]
    assert len(together.exemplars) == 1
    assert together.net_similarity == pytest.approx(-6)


def test_a_point_without_neighbours_is_an_exemplar_whom_others_may_have() -> None:
    S = np.full((4, 4), -np.inf)
    S[1, 0] = S[2, 0] = -0.1
    S[1, 2] = S[2, 1] = -5
    messages = EdgeMessages(graph_of(S), random_state=0)  # 0 and 3 have no neighbours
    chosen = messages.run(-1.0, PLAIN, None)
    assert chosen.exemplars.tolist() == [0, 3]
    assert messages.assign(chosen.exemplars).tolist() == [0, 0, 0, 1]
    assert chosen.converged


def test_a_point_with_no_exemplar_among_its_neighbours_has_none_in_the_graph() -> None:
    S = np.full((3, 3), -np.inf)
    S[0, 1] = S[1, 0] = S[2, 1] = -1
    assert EdgeMessages(graph_of(S), random_state=0).assign(np.array([0])).tolist() == [0, 0, -1]


def test_groups_that_no_edge_connects_have_exemplars_each() -> None:
    T = np.concatenate([users(60, seed) + np.float32(100 * seed) for seed in range(3)])
    result = SparseProblem(T, neighbours=20).run(-1e4, Settings(0.5, 400, 15), None)
    assert {*(result.exemplars // 60)} == {0, 1, 2}
    assert np.array_equal(result.exemplar_of // 60, np.arange(180) // 60)


def test_a_preference_above_all_similarities_makes_all_exemplars() -> None:
    result = SparseProblem(users(200), neighbours=10).run(0.5, PLAIN, None)
    assert np.array_equal(result.exemplars, np.arange(200))
    assert result.net_similarity == pytest.approx(100)


def test_one_exemplar_in_200_may_flicker_and_no_more() -> None:
    def evidences(flickering: int) -> Generator[np.ndarray, None, None]:
        sign = 1
        while True:
            evidence = np.ones(600, np.float32)
            evidence[:flickering] = sign = -sign
            yield evidence

    settled = _until_settled(evidences(3), PLAIN, None)
    restless = _until_settled(evidences(4), PLAIN, None)
    assert settled[1:] == (16, True)
    assert restless[1:] == (200, False)


def test_without_any_exemplar_the_point_with_the_most_evidence_is_taken() -> None:
    result = SparseProblem(users(100), neighbours=99).run(-1e4, Settings(0.5, 1, 15), None)
    assert len(result.exemplars) == 1
    assert not result.converged
    assert not result.labels.any()


def test_the_same_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    T = users(1000)
    monkeypatch.setattr(parallel, "_SMALL", 0)
    results = []
    for count in (1, 2, 3):
        for where in (neighbours, parallel):
            monkeypatch.setattr(where, "thread_count", lambda count=count: count)
        results.append(SparseProblem(T, neighbours=30).run(-0.7, PLAIN, None))
    for result in results[1:]:
        assert np.array_equal(result.exemplars, results[0].exemplars)
        assert np.array_equal(result.labels, results[0].labels)
        assert (result.n_iter, result.net_similarity) == (results[0].n_iter, results[0].net_similarity)


def test_runs_do_not_depend_on_those_before() -> None:
    problem = SparseProblem(users(500), neighbours=30)
    first, _, again = (problem.run(preference, PLAIN, None) for preference in (-0.7, -2.0, -0.7))
    assert np.array_equal(first.exemplars, again.exemplars)
    assert first.net_similarity == again.net_similarity


def test_callbacks_hear_of_the_search_and_the_iterations() -> None:
    searched: list[tuple[int, int]] = []
    heard: list[tuple[int, int]] = []
    problem = SparseProblem(users(300), neighbours=20, callback=lambda *call: searched.append(call))
    result = problem.run(-0.7, PLAIN, lambda *call: heard.append(call))
    assert searched == [(300, 300)]
    assert [iteration for iteration, _ in heard] == list(range(1, result.n_iter + 1))


def test_what_the_callback_raises_ends_the_run() -> None:
    def stop(iteration: int, exemplars: int) -> None:
        if iteration == 3:
            raise KeyboardInterrupt

    problem = SparseProblem(users(300), neighbours=20)
    with pytest.raises(KeyboardInterrupt):
        problem.run(-0.7, PLAIN, stop)
    assert problem.run(-0.7, PLAIN, None).converged


@pytest.mark.parametrize("fraction", [0.01, 0.03, 0.2])
def test_calibration_drives_it(monkeypatch: pytest.MonkeyPatch, fraction: float) -> None:
    monkeypatch.setattr(module, "_SAMPLE", 1000)
    found = calibrate_preference(SparseProblem(users(4000), neighbours=200), fraction=fraction, settings=PLAIN)
    assert found.fraction == pytest.approx(fraction, rel=0.05)
    assert {trial.points for trial in found.trials} == {500, 4000}


def test_a_sample_is_an_eighth_of_the_users_and_few_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = SparseProblem(users(400), neighbours=20)
    assert problem.sample() is None
    monkeypatch.setattr(module, "_SAMPLE", 399)
    sample = problem.sample()
    assert sample is not None
    assert sample.n == 50


def test_the_span_covers_pairs_that_are_no_neighbours() -> None:
    T = np.concatenate([users(100), users(100, seed=1) + np.float32(10)])
    problem = SparseProblem(T, neighbours=5)
    assert problem.lowest < -1000
    assert -1 < problem.top <= 0


@pytest.mark.parametrize("preference", [np.nan, -np.inf, -1e35, np.full(50, -1.0)])
def test_unusable_preferences_are_refused(preference: float) -> None:
    with pytest.raises(InputError, match="preference"):
        SparseProblem(users(50)).run(preference, PLAIN, None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -3e38])
def test_unusable_similarities_are_refused(value: float) -> None:
    graph = graph_of(-np.ones((3, 3)))
    graph.similarities[2] = value
    with pytest.raises(InputError, match="similarities are"):
        EdgeMessages(graph, random_state=0)


def test_unusable_vectors_are_refused() -> None:
    with pytest.raises(InputError, match="text vectors"):
        SparseProblem(np.full((3, 2), np.nan, np.float32))


@pytest.mark.parametrize(
    ("n", "memory", "engine"),
    [
        (10_000, 1.3e9, "dense"),
        (10_000, 1.1e9, "sparse"),
        (30_000, 1e12, "dense"),
        (30_001, 1e12, "sparse"),
        (10, 1e6, "dense"),
    ],
)
def test_the_engine_is_chosen_by_number_and_memory(n: int, memory: float, engine: str) -> None:
    assert choose_engine(n, memory_bytes=memory) == engine


def test_by_default_half_of_the_available_memory_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: 2 * 12 * 1000**2)
    assert choose_engine(1000) == "dense"
    assert choose_engine(1001) == "sparse"
    monkeypatch.setattr(module, "available_memory", lambda: None)
    assert choose_engine(13_377) == "dense"  # 12 n^2 bytes are 2 GiB at 13,377.4
    assert choose_engine(13_378) == "sparse"
