"""Maps of users: who is on one, where similar users lie, the same map every time."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from eimf_local.esim import user_map
from eimf_local.esim.exemplars import Exemplars, choose_exemplars
from eimf_local.esim.user_map import map_users


def exemplars_at(T: np.ndarray, rows: list[int], assignment: np.ndarray | None = None) -> Exemplars:
    users = len(T)
    assignment = np.zeros(users, np.int64) if assignment is None else assignment
    return Exemplars(np.array(rows), assignment, np.zeros(users, np.float32), {})


def blobs(sizes: tuple[int, ...] = (40, 30, 20)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(len(sizes)), sizes)
    return (rng.normal(size=(len(sizes), 24))[label] + 0.1 * rng.normal(size=(len(label), 24))).astype(
        np.float32
    ), label


def test_similar_users_are_neighbours_on_the_map() -> None:
    T, label = blobs()
    drawn = map_users(T, choose_exemplars(T, method="random", fraction=3 / len(T)))
    assert drawn.rows.tolist() == list(range(len(T)))
    assert drawn.positions.shape == (len(T), 2)
    assert drawn.positions.dtype == np.float32
    distance = ((drawn.positions[:, None] - drawn.positions) ** 2).sum(-1) + np.diag(np.full(len(T), np.inf))
    assert (label[distance.argmin(1)] == label).all()


def test_is_deterministic_whatever_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_map, "_POINTS", 60)
    T, _ = blobs()
    exemplars = choose_exemplars(T, method="random", fraction=3 / len(T))
    maps = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            drawn = map_users(T, exemplars)
            maps.append((drawn.rows.tobytes(), drawn.positions.tobytes()))
    assert maps[0] == maps[1]


def test_every_exemplar_is_on_the_map_and_the_seed_draws_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_map, "_POINTS", 30)
    T, _ = blobs()
    exemplars = choose_exemplars(T, method="random", fraction=10 / len(T))
    first, again, other = (map_users(T, exemplars, seed=seed).rows for seed in (0, 0, 1))
    assert len(first) == len(set(first.tolist())) == 30
    assert set(exemplars.rows) <= set(first)
    assert set(exemplars.rows) <= set(other)
    assert first.tolist() == again.tolist() != other.tolist()


def test_when_there_are_too_many_exemplars_those_of_the_largest_clusters_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_map, "_POINTS", 2)
    T, label = blobs((5, 9, 7))
    assert map_users(T, exemplars_at(T, [0, 5, 14], label)).rows.tolist() == [5, 14]


@pytest.mark.parametrize("users", [1, 2, 3, 4, 7])
def test_few_users_and_equal_ones(users: int) -> None:
    T = np.random.default_rng(0).normal(size=(users, 5)).astype(np.float32)
    drawn = map_users(T, exemplars_at(T, [0]))
    assert drawn.rows.tolist() == list(range(users))
    assert np.isfinite(drawn.positions).all()
    assert len(np.unique(drawn.positions, axis=0)) == users
    equal = map_users(np.full_like(T, 0.3), exemplars_at(T, [0]))
    assert not equal.positions.any()


def test_three_users_keep_their_distances() -> None:
    T = np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0]], np.float32)
    x = map_users(T, exemplars_at(T, [1])).positions
    assert np.linalg.norm(x[[0, 0, 1]] - x[[1, 2, 2]], axis=1) == pytest.approx([3, 4, 5], rel=1e-5)


def test_one_dimension_and_hardly_any_spread_are_no_failure() -> None:
    line = np.arange(12, dtype=np.float32)[:, None]
    assert np.isfinite(map_users(line, exemplars_at(line, [0])).positions).all()
    nearly = np.ones((12, 8), np.float32)
    nearly[0, 0] = np.nextafter(np.float32(1), np.float32(2))
    assert np.isfinite(map_users(nearly, exemplars_at(nearly, [0])).positions).all()
