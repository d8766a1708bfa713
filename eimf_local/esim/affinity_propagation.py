"""Affinity propagation (SPEC 3.2, eq. 2): exact, usable on its own.

``message_passing`` and ``pruned_messages`` have the kernels. Here are what goes in (checked, noise added against ties)
and what comes out (the exemplars refined, every point assigned). The order of operations, the noise, the criterion of
convergence and the refinement are scikit-learn's: in float64 exemplars, labels and the number of iterations equal its.
float32 takes half the memory; where similarities tie to the last place its exemplars may differ from float64's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from ..errors import InputError
from .message_passing import Floats, Messages, pass_messages
from .parallel import thread_count, threads
from .propagation import AffinityPropagationResult, Preference, Progress, Settings, run_settled
from .pruned_messages import TooManyError, pass_pruned_messages

_ELEMENTS = 1 << 22  # elements of S handled at once outside the kernels, so that temporaries stay small
_TILE = 256  # of S, built at once: in cache with its factors
_SMALL = 512  # points up to which pruning costs more than it brings
_SAMPLE = 1000  # points of a sample, or an eighth of all; no sample of problems up to twice that


def affinity_propagation(
    S: ArrayLike,
    preference: float | NDArray[Any] | None = None,
    damping: float = 0.5,
    max_iter: int = 200,
    convergence_iter: int = 15,
    random_state: int = 0,
    *,
    settle: bool = True,
    refine: bool = True,
    callback: Progress | None = None,
    overwrite_S: bool = False,
) -> AffinityPropagationResult:
    """Cluster n points by affinity propagation.

    ``S``: [n, n] similarities, S[i, j] how well j would serve as the exemplar of i, any finite values, not necessarily
    symmetric; the diagonal is not used, but for the median. Computed in float64 if S is float64, else in float32.
    ``preference``: scalar or [n], the larger the more exemplars; None is the median of S (all of it, as in
    scikit-learn). ``damping`` in [.5, 1). It stops when the exemplars have not changed for ``convergence_iter``
    iterations, or after ``max_iter``. ``random_state`` seeds the noise that breaks ties (about one unit in the last
    place). ``settle``: a run that does not converge is repeated with more damping, up to .875 (the result has the
    ``damping`` used); without it the one run's result is returned. ``refine``: each exemplar gives way to its cluster's
    best member in the end, as in scikit-learn. ``callback(iteration, n_exemplars)`` is called after each iteration,
    from 1 (anew where messages are started again); what it raises ends the run. ``overwrite_S`` lets S be changed:
    without a copy of it the memory is S and the messages that matter (at most S, R and A).

    Not converged: the exemplars of the last iteration are returned with ``converged`` False; if there are none, the
    one point most similar to all. If all similarities are equal and all preferences too: every point is an exemplar
    when the preference is above the similarities, else point 0 alone.

    Raises :class:`InputError` for an S or a preference that is not finite, too large to be summed, of a wrong shape or
    empty; :class:`ConfigError` for numbers out of range.
    """
    settings = Settings(damping, max_iter, convergence_iter).checked()
    matrix = as_similarities(S, overwrite=overwrite_S)
    if preference is None:
        preference = float(np.median(matrix))
    problem = DenseProblem(matrix, random_state=random_state, refine=refine)
    if settle:
        return run_settled(problem, preference, settings, callback)
    return problem.run(preference, settings, callback)


def similarities(T: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Negative squared distances, S(i,j) = -||T_i - T_j||^2 (eq. 2).

    ``T``: [n, d], finite. Returns float32 [n, n], symmetric, at most 0, exactly 0 on the diagonal and between equal
    rows (what is less than the rounding of float64 products is taken for 0). Built tile by tile in the one array that
    is returned. Raises :class:`InputError` for any other T.
    """
    if T.ndim != 2 or not T.size or not np.isfinite(T).all():
        raise InputError(
            f"text vectors of shape {list(T.shape)} are not a finite, non-empty matrix",
            hint="encode the users' titles again",
        )
    n = len(T)
    X = T.astype(np.float64)
    squares = np.einsum("ij,ij->i", X, X)
    rounding = X.shape[1] * np.finfo(np.float64).eps * squares
    S = np.empty((n, n), np.float32)
    parts = [slice(lo, lo + _TILE) for lo in range(0, n, _TILE)]
    tiles = [(rows, columns) for k, rows in enumerate(parts) for columns in parts[k:]]

    def fill(number: int) -> None:
        rows, columns = tiles[number]
        tile = X[rows] @ X[columns].T
        tile *= 2
        tile -= squares[rows, None]
        tile -= squares[columns]
        tile[tile > -(rounding[rows, None] + rounding[columns])] = 0
        if rows == columns:
            tile = np.triu(tile, 1)
            tile += tile.T
        S[rows, columns] = tile
        S[columns, rows] = tile.T  # the lower half, from the same numbers

    with threadpool_limits(1, "blas"), threads(thread_count()) as share_out:
        share_out(fill, len(tiles))
    return S


def as_similarities(S: ArrayLike, *, overwrite: bool) -> Floats:
    """S as a C-ordered matrix of its own (or, with ``overwrite``, itself) in float64 or float32, checked.

    Raises :class:`InputError` unless it is square, not empty, finite, and small enough to be summed over a column.
    """
    given = np.asarray(S)
    if given.dtype.kind not in "biuf" or given.ndim != 2 or given.shape[0] != given.shape[1] or not given.size:
        raise InputError(
            f"similarities of shape {list(given.shape)} and type {given.dtype} are not a square matrix of numbers",
            hint="pass one row and one column per point",
        )
    dtype = np.float64 if given.dtype == np.float64 else np.float32
    if overwrite:
        matrix: Floats = np.require(given, dtype, ["C", "W"])
    else:
        matrix = np.array(given, dtype, order="C")
    limit = _limit(matrix)
    for lo, hi in _row_blocks(len(matrix)):
        rows = matrix[lo:hi]
        if not (rows.min() >= -limit and rows.max() <= limit):  # false for NaN too
            raise InputError(
                f"similarities in rows {lo} to {hi - 1} are NaN, infinite or beyond {limit:.1e}",
                hint="look for empty or broken vectors, or rescale",
            )
    return matrix


class DenseProblem:
    """Points given by all their similarities; see :class:`Problem`.

    ``device``: torch's name of an accelerator to pass the messages on; None is the processor.
    ``S``: as :func:`as_similarities` returns it; it is changed: noise against ties is added, and its diagonal is each
    run's. The noise is scikit-learn's: (eps S + 100 tiny) z, z standard normal from ``RandomState(random_state)`` in
    row order; that on the diagonal waits for the preference.
    """

    def __init__(self, S: Floats, *, random_state: int, refine: bool = True, device: str | None = None) -> None:
        self.n = len(S)
        self.lowest, self.top = _span(S)
        self._S = S
        self._random_state = random_state
        self._refine = refine
        self._device = device
        generator = np.random.RandomState(random_state)
        self._diagonal_noise = np.empty(self.n)
        for lo, hi in _row_blocks(self.n):
            z = generator.standard_normal((hi - lo, self.n))
            self._diagonal_noise[lo:hi] = z[np.arange(hi - lo), np.arange(lo, hi)]
            add_noise(S[lo:hi], z)

    def run(self, preference: Preference, settings: Settings, callback: Progress | None) -> AffinityPropagationResult:
        """Affinity propagation with this preference, from messages of zero; see :func:`affinity_propagation`."""
        S, n = self._S, self.n
        preferences = _as_preferences(preference, S)
        converged, n_iter = True, 0
        if n == 1 or (self.lowest == self.top and bool(np.all(preferences == preferences[0]))):
            above = n > 1 and preferences[0] > self.top
            exemplars = np.arange(n if above else 1)
            labels = np.arange(n) if above else np.zeros(n, np.int64)
        else:
            S.flat[:: n + 1] = preferences
            S.flat[:: n + 1] = add_noise(S.diagonal().copy(), self._diagonal_noise)
            evidence, n_iter, converged = _iterate(S, settings, callback, self._device)
            chosen = np.flatnonzero(evidence > 0)
            exemplars = chosen if len(chosen) else np.array([evidence.argmax()])
            if self._refine:
                exemplars = _best_members(S, exemplars)
            exemplars, labels = _in_order(exemplars, _assign(S, exemplars))
        owners = exemplars[labels]
        others = np.flatnonzero(owners != np.arange(n))
        net_similarity = S[others, owners[others]].sum(dtype=np.float64) + preferences[exemplars].sum()
        used = preferences if np.ndim(preference) else float(preferences[0])
        return AffinityPropagationResult(
            exemplars, labels, n_iter, converged, float(net_similarity), used, settings.damping
        )

    def sample(self) -> DenseProblem | None:
        """An eighth of the points, at least 1,000, with noise of their own."""
        if self.n <= 2 * _SAMPLE:
            return None
        size = max(_SAMPLE, self.n // 8)
        points = np.sort(np.random.default_rng(self._random_state).choice(self.n, size, replace=False))
        S = self._S[np.ix_(points, points)]
        return DenseProblem(S, random_state=self._random_state, refine=self._refine, device=self._device)


def _iterate(S: Floats, settings: Settings, callback: Progress | None, device: str | None) -> tuple[Floats, int, bool]:
    """Iterate until the exemplars stay; return the evidence R(i,i) + A(i,i) [n], iterations, and whether they did."""
    if device is not None:
        from .device_messages import pass_messages_on  # torch takes seconds to load

        return _until_unchanged(pass_messages_on(device, S, damping=settings.damping), settings, callback)
    if len(S) > _SMALL:
        with suppress(TooManyError):
            messages = pass_pruned_messages(_rows_of(S), len(S), S.dtype.type, damping=settings.damping)
            return _until_unchanged(messages, settings, callback)
    messages = pass_messages(Messages(S, np.zeros_like(S), np.zeros_like(S)), damping=settings.damping)
    return _until_unchanged(messages, settings, callback)


def _rows_of(S: Floats) -> Callable[[NDArray[np.int64]], Floats]:
    """Rows of S by their numbers; not copied where they are consecutive."""

    def rows(numbers: NDArray[np.int64]) -> Floats:
        first, last = int(numbers[0]), int(numbers[-1])
        return S[first : last + 1] if last - first == len(numbers) - 1 else S[numbers]

    return rows


def _until_unchanged(
    evidences: Generator[Floats, None, None], settings: Settings, callback: Progress | None
) -> tuple[Floats, int, bool]:
    unchanged = 0
    before: NDArray[np.bool_] | None = None
    with closing(evidences):
        for n_iter, evidence in enumerate(islice(evidences, settings.max_iter), 1):
            chosen = evidence > 0
            unchanged = unchanged + 1 if before is not None and np.array_equal(chosen, before) else 1
            before = chosen
            if callback is not None:
                callback(n_iter, int(np.count_nonzero(chosen)))
            if n_iter > settings.convergence_iter <= unchanged and chosen.any():
                return evidence, n_iter, True
    return evidence, n_iter, False


def _best_members(S: Floats, exemplars: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [K]: of each exemplar's cluster the member to which the others are most similar in sum."""
    clusters = _assign(S, exemplars)
    order = np.argsort(clusters, kind="stable")
    members_of = np.split(order, np.cumsum(np.bincount(clusters, minlength=len(exemplars)))[:-1])
    return np.array([members[_within(S, members).argmax()] for members in members_of])


def _in_order(exemplars: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exemplars ascending, and the labels that go with that order."""
    ranks = np.argsort(exemplars)
    return exemplars[ranks], np.argsort(ranks)[labels]


def _assign(S: Floats, exemplars: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [n]: each point's most similar exemplar, the first of equals, as its place in ``exemplars``; their own."""
    nearest = [S[lo:hi].take(exemplars, axis=1).argmax(axis=1) for lo, hi in _row_blocks(len(S))]
    assignment = np.concatenate(nearest)
    assignment[exemplars] = np.arange(len(exemplars))
    return assignment


def _within(S: Floats, members: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 [m]: for each member of a cluster the sum of S(member', member), row after row as scikit-learn adds."""
    total = np.zeros(len(members))
    for member in members:
        total += S[member].take(members)
    return total


def _as_preferences(preference: float | NDArray[Any], S: Floats) -> NDArray[np.float64]:
    """float64 [n]; raises :class:`InputError` unless there are one or n finite numbers."""
    given = np.asarray(preference, np.float64)
    if given.shape not in {(), (len(S),)}:
        raise InputError(
            f"preferences of shape {list(given.shape)} for {len(S)} points", hint="pass one number, or one per point"
        )
    limit = _limit(S)
    if not np.all(np.abs(given) <= limit):
        raise InputError(f"a preference is NaN, infinite or beyond {limit:.1e}", hint="pass finite numbers")
    return np.array(np.broadcast_to(given, len(S)))


def _limit(S: Floats) -> float:
    """Largest magnitude whose messages can be summed over a column without overflow."""
    return float(np.finfo(S.dtype).max) / (8 * len(S))


def _span(S: Floats) -> tuple[float, float]:
    """Smallest and largest similarity off the diagonal; 0, 0 for a single point."""
    if len(S) == 1:
        return 0.0, 0.0
    lowest, top = math.inf, -math.inf
    for i, row in enumerate(S):
        for part in (row[:i], row[i + 1 :]):
            if len(part):
                lowest, top = min(lowest, float(part.min())), max(top, float(part.max()))
    return lowest, top


def add_noise(values: Floats, z: NDArray[np.float64]) -> Floats:
    """Add (eps x + 100 tiny) z to the values x, in place, rounded as scikit-learn rounds; return them."""
    limits = np.finfo(values.dtype)
    values += (limits.eps * values + limits.tiny * 100) * z
    return values


def _row_blocks(n: int) -> Iterator[tuple[int, int]]:
    """Cut n rows of n into blocks (first, last + 1) of bounded size."""
    step = max(1, _ELEMENTS // n)
    return ((lo, min(lo + step, n)) for lo in range(0, n, step))
