"""Pruned messages: bit for bit those of the full matrices, whatever was pruned, dropped and computed again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import affinity_propagation as scikit_learn

from eimf_local.esim import affinity_propagation as dense
from eimf_local.esim import parallel, pruned_messages
from eimf_local.esim.affinity_propagation import affinity_propagation, similarities
from eimf_local.esim.message_passing import Messages, pass_messages
from eimf_local.esim.pruned_messages import TooManyError, pass_pruned_messages
from tests.reference.affinity_propagation import iterate

Matrix = NDArray[np.float64]


@pytest.fixture
def prune_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "_SMALL", 1)
    monkeypatch.setattr(pruned_messages, "_MOST", 1.1)
    monkeypatch.setattr(pruned_messages, "_SHARE", 0.0)  # begin with few, so that theta is lowered again and again
    monkeypatch.setattr(pruned_messages, "_RAISES", frozenset({2, 5, 6, 11, 20, 21, 40}))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Matrix, float]:
    """Similarities of 2 to 60 points of many kinds, and a preference from below all of them to above."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 60))
    kind = draw(st.sampled_from(["blobs", "cloud", "grid", "doubles", "directions", "not symmetric", "two values"]))
    if kind == "not symmetric":
        S = rng.normal(size=(n, n))
    elif kind == "two values":
        S = -rng.integers(1, 3, size=(n, n)).astype(float)
    else:
        points = rng.normal(size=(n, draw(st.integers(1, 6))))
        if kind == "blobs":
            points = (
                0.3 * points
                + 2 * rng.normal(size=(max(1, n // 8), points.shape[1]))[rng.integers(max(1, n // 8), size=n)]
            )
        elif kind == "grid":
            points = np.round(points)
        elif kind == "doubles":
            points = points[rng.integers(max(1, n // 3), size=n)]
        elif kind == "directions":
            points /= np.linalg.norm(points, axis=1, keepdims=True)
        S = -((points[:, None] - points) ** 2).sum(axis=-1)
    off = S[~np.eye(n, dtype=bool)]
    share = draw(st.floats(-0.2, 8))
    return S, float(off.max() - share * (off.max() - off.min() + 0.1))


def evidences(S: Matrix, iterations: int, damping: float) -> Iterator[tuple[bytes, bytes]]:
    """Bytes of the evidence of each iteration: pruned, and by full matrices."""
    dtype = S.dtype.type
    full = Messages(S, np.zeros_like(S), np.zeros_like(S))
    with (
        closing(pass_pruned_messages(lambda rows: S[rows], len(S), dtype, damping=damping)) as pruned,
        closing(pass_messages(full, damping=damping)) as whole,
    ):
        for some, all_ in islice(zip(pruned, whole, strict=True), iterations):
            yield some.tobytes(), all_.tobytes()


@pytest.mark.usefixtures("prune_always")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(problem=problems(), damping=st.sampled_from([0.5, 0.7, 0.9]))
def test_every_message_is_bit_identical_to_that_of_the_full_matrices(
    problem: tuple[Matrix, float], damping: float
) -> None:
    S, preference = problem
    S += 1e-12 * np.random.default_rng(0).normal(size=S.shape)
    np.fill_diagonal(S, preference)
    for some, whole in evidences(S, 45, damping):
        assert some == whole


@pytest.mark.usefixtures("prune_always")
@pytest.mark.filterwarnings("ignore:Affinity propagation did not converge", "ignore:All samples have mutually")
@settings(max_examples=200, deadline=None, derandomize=True)
@given(problem=problems(), damping=st.sampled_from([0.5, 0.6, 0.8]), seed=st.integers(0, 99))
def test_answers_equal_scikit_learn(problem: tuple[Matrix, float], damping: float, seed: int) -> None:
    S, preference = problem
    centres, labels, n_iter = scikit_learn(
        S, preference=preference, damping=damping, random_state=seed, return_n_iter=True
    )
    ours = affinity_propagation(S, preference, damping, random_state=seed, settle=False)
    if ours.n_iter == 0:  # all equal: scikit-learn says so by a warning, and has its own labels for it
        assert len(ours.exemplars) == len(centres)
    elif len(centres):  # none: scikit-learn then labels every point -1; we name the one most similar to all
        assert np.array_equal(ours.exemplars, centres)
        assert np.array_equal(ours.labels, labels)
        assert ours.n_iter == n_iter
    else:
        assert len(ours.exemplars) == 1


@pytest.mark.usefixtures("prune_always")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(problem=problems())
def test_messages_are_those_of_the_oracle(problem: tuple[Matrix, float]) -> None:
    S, preference = problem
    S = S[:12, :12].copy()
    np.fill_diagonal(S, preference)
    n = len(S)
    R, A = np.zeros((n, n)), np.zeros((n, n))
    with closing(pass_pruned_messages(lambda rows: S[rows], n, np.float64, damping=0.5)) as pruned:
        for evidence in islice(pruned, 8):
            R, A = iterate(S, R, A, 0.5)
            np.testing.assert_allclose(evidence, np.diag(R) + np.diag(A), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_changes_nothing(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    T = np.random.default_rng(1).normal(size=(900, 5)) + 4 * np.repeat(
        np.random.default_rng(2).normal(size=(90, 5)), 10, 0
    )
    S = similarities(T).astype(dtype)
    np.fill_diagonal(S, -20)
    runs = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(pruned_messages, "thread_count", lambda threads=threads: threads)
        with closing(pass_pruned_messages(lambda rows: S[rows], 900, dtype, damping=0.5)) as pruned:
            runs.append([evidence.tobytes() for evidence in islice(pruned, 20)])
    assert runs[0] == runs[1] == runs[2]


def test_few_entries_are_kept_of_clustered_points(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    room = pruned_messages._room
    monkeypatch.setattr(
        pruned_messages,
        "_room",
        lambda first, lengths, dtype: kept.append(lengths.sum()) or room(first, lengths, dtype),
    )
    rng = np.random.default_rng(3)
    S = similarities(np.repeat(rng.normal(size=(60, 30)), 20, axis=0) + 0.4 * rng.normal(size=(1200, 30)))
    result = affinity_propagation(S, -25.0)
    assert result.converged
    assert max(kept) < 0.1 * S.size / (4 * parallel.thread_count())  # of a block
    assert 40 < len(result.exemplars) < 80


def test_without_structure_the_matrices_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    S = np.random.default_rng(4).normal(size=(600, 600))
    np.fill_diagonal(S, -50)
    pruned = pass_pruned_messages(lambda rows: S[rows], 600, np.float64, damping=0.5)
    with closing(pruned), pytest.raises(TooManyError):
        list(islice(pruned, 5))
    result = affinity_propagation(S, -50.0, max_iter=30, settle=False)
    monkeypatch.setattr(dense, "_SMALL", 600)
    plain = affinity_propagation(S, -50.0, max_iter=30, settle=False)
    assert np.array_equal(result.labels, plain.labels)
