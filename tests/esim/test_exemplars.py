"""Exemplars: distinct users, everyone with the most similar one, controls of equal number."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from eimf_local.errors import ConfigError, InputError
from eimf_local.esim.affinity_propagation import affinity_propagation, similarities
from eimf_local.esim.exemplars import assign_to, choose_exemplars, complete_centres
from eimf_local.esim.propagation import Settings

METHODS = pytest.mark.parametrize("method", ["affinity-propagation", "kmeans", "random"])


def users(n: int = 200, seed: int = 0) -> np.ndarray:
    """float32 [n, 12]: unit vectors around ten centres."""
    rng = np.random.default_rng(seed)
    T = rng.normal(size=(10, 12))[rng.integers(10, size=n)] + 0.3 * rng.normal(size=(n, 12))
    return (T / np.linalg.norm(T, axis=1, keepdims=True)).astype(np.float32)


@METHODS
def test_every_user_has_its_most_similar_exemplar(method: Any) -> None:
    T = users()
    chosen = choose_exemplars(T, method=method, fraction=0.05)
    S = similarities(T)[:, chosen.rows]
    np.testing.assert_allclose(chosen.similarity, S.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(S[np.arange(200), chosen.assignment], S.max(axis=1), atol=1e-6)


@METHODS
def test_exemplars_are_distinct_ascending_and_their_own(method: Any) -> None:
    chosen = choose_exemplars(users(), method=method, fraction=0.05)
    assert (np.diff(chosen.rows) > 0).all()
    assert np.array_equal(chosen.assignment[chosen.rows], np.arange(len(chosen.rows)))
    assert not chosen.similarity[chosen.rows].any()
    assert (chosen.rows.dtype, chosen.assignment.dtype, chosen.similarity.dtype) == (np.int64, np.int64, np.float32)


@METHODS
def test_is_deterministic(method: Any) -> None:
    first, second = (choose_exemplars(users(), method=method, fraction=0.05, seed=3) for _ in range(2))
    assert np.array_equal(first.rows, second.rows)
    assert np.array_equal(first.assignment, second.assignment)
    assert first.record == second.record


@METHODS
def test_record_is_plain_json_and_true(method: Any) -> None:
    chosen = choose_exemplars(users(), method=method, fraction=0.05, seed=2)
    record = json.loads(json.dumps(chosen.record))
    assert record["method"] == method
    assert record["users"] == 200
    assert record["wanted"] == 10
    assert record["exemplars"] == len(chosen.rows)
    assert record["fraction"] == len(chosen.rows) / 200
    assert record["seed"] == 2
    if method == "affinity-propagation":
        assert record["converged"] is True
        assert record["repaired"] == 0
        assert record["preference"] in [trial["preference"] for trial in record["trials"]]


def test_calibrated_number_is_near_the_wanted_one() -> None:
    assert abs(len(choose_exemplars(users(300), fraction=0.08).rows) - 24) <= 1


def test_given_preference_is_not_calibrated() -> None:
    T = users()
    chosen = choose_exemplars(T, preference=-0.7)
    assert np.array_equal(chosen.rows, affinity_propagation(similarities(T), -0.7).exemplars)
    assert chosen.record["preference"] == -0.7
    assert "trials" not in chosen.record


@pytest.mark.parametrize("method", ["kmeans", "random"])
@pytest.mark.parametrize("wanted", [1, 7, 200])
def test_controls_reach_the_number_exactly(method: Any, wanted: int) -> None:
    chosen = choose_exemplars(users(), method=method, fraction=wanted / 200)
    assert len(np.unique(chosen.rows)) == wanted


@METHODS
def test_when_users_have_the_same_text_exemplars_are_still_distinct_users(method: Any) -> None:
    T = np.repeat(users(4), 10, axis=0)  # four texts, forty users
    chosen = choose_exemplars(T, method=method, fraction=6 / 40)
    assert len(np.unique(chosen.rows)) == len(chosen.rows)
    assert len(chosen.rows) == (4 if method == "affinity-propagation" else 6)
    assert np.array_equal(chosen.assignment[chosen.rows], np.arange(len(chosen.rows)))


@METHODS
def test_when_all_users_have_the_same_text(method: Any) -> None:
    chosen = choose_exemplars(np.ones((30, 5), np.float32), method=method, fraction=0.1)
    assert len(np.unique(chosen.rows)) == (1 if method == "affinity-propagation" else 3)
    assert not chosen.similarity.any()


@METHODS
def test_when_there_is_one_user(method: Any) -> None:
    chosen = choose_exemplars(users(1), method=method)
    assert (chosen.rows.tolist(), chosen.assignment.tolist(), chosen.similarity.tolist()) == ([0], [0], [0.0])


def test_k_means_exemplar_is_the_member_nearest_the_mean() -> None:
    T = np.array([[0, 0], [1, 0], [3, 0], [100, 0], [101, 0], [104, 0]], np.float32)  # means 4/3 and 101 2/3
    chosen = choose_exemplars(T, method="kmeans", fraction=2 / 6)
    assert chosen.rows.tolist() == [1, 4]
    assert chosen.assignment.tolist() == [0, 0, 0, 1, 1, 1]
    assert chosen.similarity.tolist() == [-1, 0, -4, -1, 0, -9]
    assert chosen.record["repaired"] == 2


def test_random_draw_depends_on_the_seed_only() -> None:
    rows = [
        choose_exemplars(users(seed=s), method="random", fraction=0.1, seed=d).rows for s, d in [(0, 0), (1, 0), (0, 1)]
    ]
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_a_cluster_without_its_centre_takes_the_member_nearest_its_mean() -> None:
    T = np.array([[0.0], [1.0], [5.0], [10.0], [11.0], [20.0]], np.float32)
    labels = np.array([0, 0, 0, 1, 1, 2])
    centres, repaired = complete_centres(T, labels, np.array([-1, 0, 5]))  # none; not a member; right
    assert centres.tolist() == [1, 3, 5]
    assert repaired == 2


def test_given_exemplars_get_their_users() -> None:
    T = users()
    rows = np.array([3, 50, 120])
    assignment, similarity = assign_to(T[rows], T, rows=rows)
    S = similarities(T)[:, rows]
    assert np.array_equal(assignment, S.argmax(axis=1))
    np.testing.assert_allclose(similarity, S.max(axis=1), atol=1e-6)
    assert similarity[rows].tolist() == [0, 0, 0]


def test_when_given_exemplars_have_the_same_text_each_is_its_own_and_others_take_the_first() -> None:
    T = np.repeat(users(3), 3, axis=0)
    rows = np.array([1, 0, 5])
    assignment, _ = assign_to(T[rows], T, rows=rows)
    assert assignment[[0, 1, 2]].tolist() == [1, 0, 0]
    assert assignment[[3, 4, 5]].tolist() == [2, 2, 2]
    strangers, _ = assign_to(T[rows], T)
    assert strangers[[0, 1, 2]].tolist() == [0, 0, 0]


def test_of_given_exemplars_with_the_same_text_the_first_is_taken_whatever_rounds() -> None:
    rng = np.random.default_rng(0)
    T = rng.normal(size=(500, 384)).astype(np.float32)
    for exemplars in range(2, 60):  # the number decides in which order products are summed
        same = np.repeat(rng.normal(size=(1, 384)), exemplars, axis=0).astype(np.float32)
        assert not assign_to(same, T)[0].any()


def test_the_sparse_engine_assigns_every_user_to_its_most_similar_exemplar() -> None:
    T = users(600)
    searched: list[tuple[int, int]] = []
    chosen = choose_exemplars(
        T, fraction=0.05, engine="sparse", search_callback=lambda *arguments: searched.append(arguments)
    )
    assignment, similarity = assign_to(T[chosen.rows], T, rows=chosen.rows)
    assert np.array_equal(chosen.assignment, assignment)
    np.testing.assert_allclose(chosen.similarity, similarity, atol=1e-6)
    assert abs(len(chosen.rows) - 30) <= 2
    assert (chosen.record["engine"], chosen.record["recall"]) == ("sparse", 1.0)
    assert searched[-1] == (600, 600)


def test_callback_hears_affinity_propagation() -> None:
    heard: list[tuple[int, int]] = []
    choose_exemplars(users(), callback=lambda *arguments: heard.append(arguments))
    assert heard[0][0] == 1


@pytest.mark.parametrize("T", [np.zeros((0, 3)), np.zeros(3), np.full((2, 2), np.nan)])
@METHODS
def test_unusable_vectors_are_refused(method: Any, T: np.ndarray) -> None:
    with pytest.raises(InputError, match="text vectors"):
        choose_exemplars(T.astype(np.float32), method=method)


@pytest.mark.parametrize(
    "options",
    [{"fraction": 0.0}, {"fraction": 1.5}, {"method": "k-medoids"}, {"settings": Settings(0.1, 9, 9)}],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"exemplar|method|damping"):
        choose_exemplars(users(), **options)
