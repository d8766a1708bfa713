"""The graph of nearest neighbours: exact where it says so, as near to it as asked elsewhere."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from eimf_local.errors import ConfigError, InputError
from eimf_local.esim import neighbours as module
from eimf_local.esim.neighbours import (
    NeighbourGraph,
    distinct_rows,
    nearest_neighbours,
    nearest_of,
    similarities_to,
)


def users(n: int, seed: int = 0, width: int = 16) -> np.ndarray:
    """float32 [n, width], unit rows around n / 40 centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, n // 40), width))
    rows = centres[rng.integers(len(centres), size=n)] + 0.5 * rng.normal(size=(n, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def brute_force(T: np.ndarray, queries: np.ndarray | None = None) -> np.ndarray:
    """float64 [n, n]: similarities, -inf on the diagonal."""
    X = T.astype(np.float64)
    Q = X if queries is None else queries.astype(np.float64)
    S = -((Q[:, None] - X) ** 2).sum(axis=2)
    np.fill_diagonal(S, -np.inf)
    return S


def rows_of(graph: NeighbourGraph) -> list[np.ndarray]:
    return np.split(graph.columns, graph.starts[1:-1])


@pytest.mark.parametrize("shift", [0, 30])
def test_exhaustive_search_is_exact(shift: int) -> None:
    T = users(300) + np.float32(shift)
    graph = nearest_neighbours(T, 7)
    S = brute_force(T)
    expected = np.sort(np.argsort(-S, axis=1)[:, :7], axis=1)
    assert np.array_equal(np.array(rows_of(graph)), expected)
    assert np.array_equal(graph.similarities, np.take_along_axis(S, expected, axis=1).astype(np.float32).ravel())
    assert graph.recall == 1
    assert (graph.starts.dtype, graph.columns.dtype) == (np.int64, np.int32)


@pytest.mark.parametrize("k", [5, 6, 100])
def test_more_neighbours_than_there_are_give_the_complete_graph(k: int) -> None:
    graph = nearest_neighbours(users(6), k)
    assert [sorted({*range(6)} - {i}) for i in range(6)] == [row.tolist() for row in rows_of(graph)]


def test_a_single_point_has_no_neighbours() -> None:
    graph = nearest_neighbours(users(1), 3)
    assert graph.starts.tolist() == [0, 0]
    assert len(graph.columns) == len(graph.similarities) == 0


@pytest.mark.parametrize("approximate", [False, True])
def test_a_point_with_more_doubles_than_neighbours_has_neighbours_and_not_itself(
    monkeypatch: pytest.MonkeyPatch, approximate: bool
) -> None:
    if approximate:
        monkeypatch.setattr(module, "_EXHAUSTIVE", 0)
    T = users(200)
    T[50:120] = T[50]
    graph = nearest_neighbours(T, 10)
    for i, row in enumerate(rows_of(graph)):
        assert i not in row
        assert np.all(np.diff(row) > 0)
    assert np.all(np.diff(graph.starts)[50:120] == 10)
    doubles = graph.similarities[graph.starts[50] : graph.starts[120]]
    assert np.array_equal(doubles, np.zeros(700))


def test_queries_are_looked_for_in_place_of_the_points() -> None:
    T, queries = users(150), users(150, seed=1)
    graph = nearest_neighbours(T, 5, queries=queries)
    expected = np.argsort(-brute_force(T, queries), axis=1)[:, :5]
    assert np.array_equal(np.array(rows_of(graph)), np.sort(expected, axis=1))


@pytest.mark.parametrize("recall", [0.6, 0.9])
def test_approximate_search_reaches_the_recall_it_was_asked_for_and_says_so(
    monkeypatch: pytest.MonkeyPatch, recall: float
) -> None:
    T = users(3000)
    exact = rows_of(nearest_neighbours(T, 20))
    monkeypatch.setattr(module, "_EXHAUSTIVE", 0)
    graph = nearest_neighbours(T, 20, recall=recall)
    found = np.mean([np.isin(*pair).mean() for pair in zip(exact, rows_of(graph), strict=True)])
    assert graph.recall >= recall
    assert found == pytest.approx(graph.recall, abs=0.03)
    assert found < 1


def test_a_recall_of_one_looks_through_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    T = users(1000)
    exact = nearest_neighbours(T, 20)
    monkeypatch.setattr(module, "_EXHAUSTIVE", 0)
    monkeypatch.setattr(module, "_PROBES", (1,))
    graph = nearest_neighbours(T, 20, recall=1)
    assert graph.recall == 1
    assert np.array_equal(graph.columns, exact.columns)
    assert np.array_equal(graph.similarities, exact.similarities)


def test_cells_with_too_few_points_give_shorter_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXHAUSTIVE", 0)
    monkeypatch.setattr(module, "_PROBES", (1,))
    T = np.concatenate([users(400), users(5, seed=1) + np.float32(50)])
    graph = nearest_neighbours(T, 20, recall=0.1)
    degrees = np.diff(graph.starts)
    assert degrees[400:].max() <= 4
    assert degrees.min() >= 0
    assert len(graph.columns) == len(graph.similarities) == graph.starts[-1]
    assert graph.columns.min() >= 0


def test_the_same_for_the_same_seed_and_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXHAUSTIVE", 0)
    T = users(2000)
    graphs = []
    before = faiss.omp_get_max_threads()
    try:
        for count in (1, 2, 2):
            faiss.omp_set_num_threads(count)
            monkeypatch.setattr(module, "thread_count", lambda count=count: count)
            graphs.append(nearest_neighbours(T, 15, recall=0.8, seed=3))
    finally:
        faiss.omp_set_num_threads(before)
    for graph in graphs[1:]:
        assert np.array_equal(graph.columns, graphs[0].columns)
        assert np.array_equal(graph.similarities, graphs[0].similarities)
    assert not np.array_equal(graphs[0].columns, nearest_neighbours(T, 15, recall=0.8, seed=4).columns)


@pytest.mark.parametrize("approximate", [False, True])
def test_nearest_of_some(monkeypatch: pytest.MonkeyPatch, approximate: bool) -> None:
    if approximate:
        monkeypatch.setattr(module, "_EXHAUSTIVE", 0)
    T = users(2000)
    rows = np.sort(np.random.default_rng(0).choice(2000, 100, replace=False))
    S = -((T[:, None].astype(np.float64) - T[rows]) ** 2).sum(axis=2)
    found = nearest_of(T, rows, recall=0.95)
    right = np.mean(found.places == S.argmax(axis=1))
    assert found.recall >= 0.95
    assert right == 1 if not approximate else right >= 0.93


def test_distinct_rows_of_random_matrices() -> None:
    rng = np.random.default_rng(0)
    for n in range(1, 60):
        T = rng.integers(-1, 2, size=(n, 3)).astype(np.float32) * np.float32(rng.choice([1, -1]))
        first, inverse = distinct_rows(T)
        assert len(first) == len(np.unique(T, axis=0))
        assert np.array_equal(T[first[inverse]], T)
        assert np.all(np.diff(first) > 0)
        assert np.array_equal(first, [int(np.flatnonzero(inverse == point)[0]) for point in range(len(first))])


def test_minus_zero_is_zero() -> None:
    assert distinct_rows(np.array([[0.0, 1], [-0.0, 1]], np.float32))[0].tolist() == [0]


def test_similarities_are_those_of_float64_rounded_once() -> None:
    T = users(50) + np.float32(1000)
    rows = np.random.default_rng(0).integers(-1, 50, size=(50, 4))
    expected = np.where(rows < 0, 0, -((T[:, None].astype(np.float64) - T[rows]) ** 2).sum(axis=2))
    assert np.allclose(similarities_to(T, T, rows), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("approximate", [False, True])
def test_callback_hears_of_the_points_done(monkeypatch: pytest.MonkeyPatch, approximate: bool) -> None:
    monkeypatch.setattr(module, "_BLOCK", 100)
    if approximate:
        monkeypatch.setattr(module, "_EXHAUSTIVE", 0)
    calls: list[tuple[int, int]] = []
    nearest_neighbours(users(250), 5, callback=lambda *call: calls.append(call))
    assert calls == [(100, 250), (200, 250), (250, 250)]


def test_what_the_callback_raises_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 100)
    calls: list[int] = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nearest_neighbours(users(250), 5, callback=stop)
    assert calls == [100]


@pytest.mark.parametrize(
    "T",
    [
        np.zeros((0, 4), np.float32),
        np.zeros(4, np.float32),
        np.array([[0, np.nan]], np.float32),
        np.array([[0, np.inf]], np.float32),
        np.array([[0, 3e19]], np.float32),
    ],
)
def test_unusable_vectors_are_refused(T: np.ndarray) -> None:
    with pytest.raises(InputError, match="text vectors of shape"):
        nearest_neighbours(T, 3)


@pytest.mark.parametrize(("k", "recall"), [(0, 0.9), (3, 0), (3, 1.1)])
def test_numbers_out_of_range_are_refused(k: int, recall: float) -> None:
    with pytest.raises(ConfigError, match="neighbours with a recall of"):
        nearest_neighbours(users(10), k, recall=recall)
