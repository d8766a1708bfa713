"""Affinity propagation: scikit-learn's answers, the oracle's messages, and every degenerate case defined."""

from __future__ import annotations

import threading
import tracemalloc
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import affinity_propagation as scikit_learn

from eimf_local.errors import ConfigError, InputError
from eimf_local.esim import affinity_propagation as module
from eimf_local.esim import message_passing, parallel, pruned_messages
from eimf_local.esim.affinity_propagation import affinity_propagation, similarities
from eimf_local.esim.message_passing import Messages, pass_messages
from tests.reference.affinity_propagation import iterate

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
QUIET = pytest.mark.filterwarnings("ignore:Affinity propagation did not converge", "ignore:All samples have mutually")


def blobs(n: int, seed: int, *, centres: int = 6, width: int = 4) -> np.ndarray:
    """float64 [n, n]: similarities of points around some centres."""
    rng = np.random.default_rng(seed)
    points = 4 * rng.normal(size=(centres, width))[rng.integers(centres, size=n)] + rng.normal(size=(n, width))
    return -((points[:, None] - points) ** 2).sum(axis=-1)


PROBLEMS = [
    (n, damping, kind)
    for kind, damping in [("median", 0.5), ("lowest", 0.7), ("high", 0.9), ("per point", 0.6), ("low", 0.8)]
    for n in (30, 110, 260, 700)
]


def preference_of(kind: str, S: np.ndarray) -> Any:
    return {
        "median": None,
        "lowest": S.min(),
        "high": -0.5,
        "per point": np.linspace(-40, -10, len(S)),
        "low": -3.0 * len(S),
    }[kind]


@QUIET
@pytest.mark.parametrize(("n", "damping", "kind"), PROBLEMS)
def test_answers_equal_scikit_learn(n: int, damping: float, kind: str) -> None:
    S = blobs(n, seed=n)
    preference = preference_of(kind, S)
    centres, labels, n_iter = scikit_learn(
        S, preference=preference, damping=damping, random_state=7, return_n_iter=True
    )
    ours = affinity_propagation(S, preference, damping, random_state=7, settle=False)
    assert np.array_equal(ours.exemplars, centres)
    assert np.array_equal(ours.labels, labels)
    assert ours.n_iter == n_iter


@QUIET
@pytest.mark.parametrize("n", [40, 600])  # one part and many
@pytest.mark.parametrize("kind", ["grid of ties", "not symmetric"])
def test_answers_equal_scikit_learn_when_noise_decides(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    if kind == "grid of ties":
        points = rng.integers(5, size=(n, 2)).astype(float)  # every point has doubles
        S = -((points[:, None] - points) ** 2).sum(axis=-1)
    else:
        S = rng.normal(size=(n, n))
    centres, labels, n_iter = scikit_learn(S, preference=-4.0, max_iter=120, random_state=0, return_n_iter=True)
    ours = affinity_propagation(S, -4.0, max_iter=120, settle=False)
    assert ours.n_iter == n_iter
    assert np.array_equal(ours.exemplars, centres)
    assert np.array_equal(ours.labels, labels)


@BOTH
def test_messages_equal_reference(dtype: type) -> None:
    S = blobs(24, seed=1).astype(dtype)
    np.fill_diagonal(S, -9)
    ours = Messages(S, np.zeros_like(S), np.zeros_like(S))
    R, A = np.zeros((24, 24)), np.zeros((24, 24))
    with closing(pass_messages(ours, damping=0.6)) as evidences:
        for evidence, _ in zip(evidences, range(6), strict=False):
            before = A
            R, A = iterate(S.astype(float), R, A, 0.6)
            tolerance = 1e-4 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(ours.R, R, rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(ours.A, before, rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(evidence, np.diag(R) + np.diag(A), rtol=tolerance, atol=tolerance)


@BOTH
def test_messages_do_not_depend_on_threads(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(message_passing, "thread_count", lambda threads=threads: threads)
        S = blobs(700, seed=2).astype(dtype)
        messages = Messages(S, np.zeros_like(S), np.zeros_like(S))
        with closing(pass_messages(messages, damping=0.5)) as evidences:
            runs.append([next(evidences).tobytes() for _ in range(4)])
    assert runs[0] == runs[1] == runs[2]


def test_float32_finds_the_clusters_that_float64_finds() -> None:
    S = blobs(900, seed=3)
    single, double = affinity_propagation(S.astype(np.float32), -90.0), affinity_propagation(S, -90.0)
    assert np.array_equal(single.exemplars, double.exemplars)
    assert np.array_equal(single.labels, double.labels)
    assert single.net_similarity == pytest.approx(double.net_similarity, rel=1e-5)


def test_is_deterministic() -> None:
    S = blobs(80, seed=4)
    first, second = affinity_propagation(S, random_state=5), affinity_propagation(S, random_state=5)
    assert np.array_equal(first.labels, second.labels)
    assert (first.n_iter, first.net_similarity) == (second.n_iter, second.net_similarity)


@BOTH
def test_permuting_points_permutes_labels(dtype: type) -> None:
    S = blobs(90, seed=5).astype(dtype)
    order = np.random.default_rng(0).permutation(90)
    plain, permuted = affinity_propagation(S, -20.0), affinity_propagation(S[np.ix_(order, order)], -20.0)
    assert np.array_equal(order[permuted.exemplar_of], plain.exemplar_of[order])
    assert len(plain.exemplars) > 1


def test_similarities_given_stay_as_they_are_unless_overwritten() -> None:
    S = blobs(30, seed=6).astype(np.float32)
    original = S.copy()
    copied = affinity_propagation(S, -5.0)
    assert np.array_equal(S, original)
    overwritten = affinity_propagation(S, -5.0, overwrite_S=True)
    assert not np.array_equal(S, original)
    assert np.array_equal(copied.labels, overwritten.labels)


def test_memory_is_three_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ELEMENTS", 1 << 14)
    S = blobs(600, seed=7).astype(np.float32)
    affinity_propagation(S[:20, :20])  # compiled
    tracemalloc.start()
    affinity_propagation(S, -20.0, overwrite_S=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.4 * S.nbytes  # R and A; S was there


def test_net_similarity_by_hand() -> None:
    points = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 12.5])
    result = affinity_propagation(-((points[:, None] - points) ** 2), -3.0)
    assert result.exemplars.tolist() == [1, 4]
    assert result.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert result.exemplar_of.tolist() == [1, 1, 1, 4, 4, 4]
    assert result.net_similarity == pytest.approx(-3 - 3 - 1 - 1 - 1 - 2.25)
    assert result.preference == -3.0
    assert result.converged


def test_when_points_are_doubled_doubles_share_a_cluster() -> None:
    rng = np.random.default_rng(8)
    centres = 9 * rng.normal(size=(4, 3))
    T = np.repeat(centres[np.arange(40) % 4] + 0.1 * rng.normal(size=(40, 3)), 3, axis=0)
    result = affinity_propagation(similarities(T), damping=0.7)
    assert result.converged
    assert (result.labels.reshape(40, 3) == result.labels.reshape(40, 3)[:, :1]).all()


def test_a_run_that_does_not_settle_is_repeated_with_more_damping() -> None:
    rng = np.random.default_rng(8)
    centres = 9 * rng.normal(size=(4, 3))
    S = similarities(np.repeat(centres[np.arange(40) % 4] + 0.1 * rng.normal(size=(40, 3)), 3, axis=0))
    once, settled = affinity_propagation(S, settle=False), affinity_propagation(S)
    assert (once.converged, once.damping) == (False, 0.5)
    assert (settled.converged, settled.damping, len(settled.exemplars)) == (True, 0.75, 4)


def test_without_refinement_exemplars_are_those_of_the_messages() -> None:
    S = blobs(200, seed=16)
    raw, refined = (affinity_propagation(S, -30.0, max_iter=9, settle=False, refine=refine) for refine in (False, True))
    assert len(raw.exemplars) == len(refined.exemplars)
    assert raw.net_similarity <= refined.net_similarity
    assert not np.array_equal(raw.exemplars, refined.exemplars)
    assert np.array_equal(raw.exemplar_of[raw.exemplars], raw.exemplars)


def test_when_there_is_one_point() -> None:
    result = affinity_propagation(np.zeros((1, 1)), -5.0)
    assert (result.exemplars.tolist(), result.labels.tolist()) == ([0], [0])
    assert (result.converged, result.n_iter, result.net_similarity) == (True, 0, -5.0)


@QUIET
@pytest.mark.parametrize("S", [[[0.0, -1.0], [-1.0, 0.0]], [[0.0, -1.0], [-2.0, 0.0]]])
@pytest.mark.parametrize("preference", [-3.0, -1.0, -0.5, 1.0])
def test_when_there_are_two_points(S: list[list[float]], preference: float) -> None:
    centres, labels = scikit_learn(np.array(S), preference=preference, random_state=0)
    result = affinity_propagation(S, preference)
    assert result.exemplars.tolist() == list(centres)
    assert result.labels.tolist() == labels.tolist()


@pytest.mark.parametrize(("preference", "exemplars"), [(-2.0, [0]), (-1.0, [0]), (-0.5, [0, 1, 2, 3, 4])])
def test_when_all_similarities_are_equal(preference: float, exemplars: list[int]) -> None:
    S = np.full((5, 5), -1.0)
    np.fill_diagonal(S, 0)
    result = affinity_propagation(S, preference)
    assert result.exemplars.tolist() == exemplars
    assert result.labels.tolist() == (exemplars if len(exemplars) > 1 else [0] * 5)
    assert (result.converged, result.n_iter) == (True, 0)


@QUIET
def test_when_all_similarities_are_equal_but_preferences_differ() -> None:
    S, preferences = np.full((5, 5), -1.0), np.array([-9.0, -2.0, -9.0, -9.0, -9.0])
    assert affinity_propagation(S, preferences).exemplars.tolist() == [1]


@BOTH
def test_when_preference_is_above_all_similarities_every_point_is_an_exemplar(dtype: type) -> None:
    result = affinity_propagation(blobs(50, seed=9).astype(dtype), 1.0)
    assert np.array_equal(result.exemplars, np.arange(50))
    assert np.array_equal(result.labels, np.arange(50))
    assert result.converged
    assert result.net_similarity == 50


def test_when_it_does_not_converge_every_point_still_has_an_exemplar() -> None:
    result = affinity_propagation(blobs(60, seed=10), max_iter=12, settle=False)
    assert (result.converged, result.n_iter) == (False, 12)
    assert len(result.exemplars) >= 1
    assert np.array_equal(result.exemplar_of[result.exemplars], result.exemplars)


def test_when_no_point_is_an_exemplar_the_most_central_one_is() -> None:
    S = blobs(60, seed=11)
    counts: list[int] = []
    result = affinity_propagation(
        S, -500.0, max_iter=1, settle=False, callback=lambda _, n_exemplars: counts.append(n_exemplars)
    )
    assert counts == [0]
    assert not result.converged
    assert result.exemplars.tolist() == [S.sum(axis=0).argmax()]
    assert not result.labels.any()


def test_callback_hears_every_iteration() -> None:
    heard: list[tuple[int, int]] = []
    result = affinity_propagation(blobs(60, seed=12), callback=lambda *arguments: heard.append(arguments))
    assert [iteration for iteration, _ in heard] == list(range(1, result.n_iter + 1))
    assert heard[-1][1] == len(result.exemplars)


def test_interrupt_in_callback_ends_the_run_and_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruned_messages, "thread_count", lambda: 3)  # what so many points are passed by
    before = set(threading.enumerate())

    def interrupt(iteration: int, n_exemplars: int) -> None:
        assert set(threading.enumerate()) - before
        if iteration == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        affinity_propagation(blobs(600, seed=13), callback=interrupt)
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize(
    ("S", "message"),
    [
        (np.zeros((0, 0)), "not a square matrix"),
        (np.zeros((2, 3)), "not a square matrix"),
        (np.zeros(4), "not a square matrix"),
        (np.array([["a", "b"], ["c", "d"]]), "not a square matrix of numbers"),
        (np.array([[0, np.nan], [-1, 0]]), "NaN"),
        (np.array([[0, -np.inf], [-1, 0]]), "infinite"),
        (np.array([[0, -1e38], [-1, 0]], np.float32), "beyond"),
    ],
)
def test_unusable_similarities_are_refused(S: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        affinity_propagation(S)


@pytest.mark.parametrize("preference", [np.nan, np.inf, -1e308, np.zeros(3), np.zeros((2, 2))])
def test_unusable_preferences_are_refused(preference: Any) -> None:
    with pytest.raises(InputError, match="preference"):
        affinity_propagation(np.array([[0.0, -1], [-2, 0]]), preference)


@pytest.mark.parametrize(
    "options", [{"damping": 0.4}, {"damping": 1.0}, {"damping": np.nan}, {"max_iter": 0}, {"convergence_iter": 0}]
)
def test_parameters_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"damping|max_iter"):
        affinity_propagation(np.zeros((2, 2)), **options)


def test_kernel_compiles_when_nothing_can_be_stored() -> None:
    namespace: dict[str, Any] = {}
    exec("def double(x):\n    return 2 * x", namespace)  # no file beside which numba could store it
    assert parallel.compiled(namespace["double"])(4) == 8


def test_a_failing_thread_does_not_leave_the_others_waiting() -> None:
    turns = parallel.Turns()
    done: list[int] = []

    def work(number: int) -> None:
        with turns.after(number):
            if number == 1:
                raise MemoryError
            turns.wait(number)
            done.append(number)

    with pytest.raises(MemoryError), parallel.threads(3) as share_out:
        share_out(work, 6)
    assert done == sorted(done)
    assert 1 not in done


@pytest.mark.parametrize("tile", [256, 5])
def test_similarities_equal_squared_distances(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TILE", tile)
    T = np.random.default_rng(14).normal(size=(37, 5)).astype(np.float32)
    T[20] = T[3]
    S = similarities(T)
    direct = -((T[:, None].astype(float) - T.astype(float)) ** 2).sum(axis=-1)
    assert S.dtype == np.float32
    np.testing.assert_allclose(S, direct, rtol=1e-6)
    assert np.array_equal(S, S.T)
    assert not np.diag(S).any()
    assert S[20, 3] == 0


def test_similarities_of_equal_rows_are_exactly_0() -> None:
    T = np.repeat(np.random.default_rng(15).normal(size=(13, 384)), 3, axis=0)  # wide enough for products to round
    owner = np.arange(39) // 3
    assert np.array_equal(similarities(T) == 0, owner[:, None] == owner)


@pytest.mark.parametrize("T", [np.zeros((0, 3)), np.zeros(3), np.array([[np.nan, 1.0]])])
def test_unusable_vectors_are_refused(T: np.ndarray) -> None:
    with pytest.raises(InputError, match="text vectors"):
        similarities(T)
