"""Affinity propagation (SPEC 3.2, eq. 2): exact and dense, usable on its own.

``message_passing`` has the kernel. Here are what goes in (checked, noise added against ties) and what comes out (the
exemplars refined, every point assigned). The order of operations, the noise, the criterion of convergence and the
refinement are scikit-learn's: in float64 exemplars, labels and the number of iterations equal its. float32 takes half
the memory and time; where similarities tie to the last place its exemplars may differ from float64's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, InputError
from .message_passing import Floats, Messages, pass_messages

Progress = Callable[[int, int], None]

_ELEMENTS = 1 << 22  # elements of S handled at once outside the kernel, so that temporaries stay small


@dataclass(frozen=True, eq=False)
class AffinityPropagationResult:
    """Exemplars and clusters of n points.

    ``exemplars``: int64 [K], ascending; ``labels``: int64 [n], each point's cluster 0..K-1, whose exemplar is
    ``exemplars[label]``; ``n_iter``: iterations done (0 when all similarities are equal: nothing to iterate);
    ``converged``: whether the exemplars stayed the same for ``convergence_iter`` iterations; ``net_similarity``: sum
    of the points' similarities to their exemplars and of the exemplars' preferences; ``preference``: as used.
    """

    exemplars: NDArray[np.int64]
    labels: NDArray[np.int64]
    n_iter: int
    converged: bool
    net_similarity: float
    preference: float | NDArray[np.float64]

    @property
    def exemplar_of(self) -> NDArray[np.int64]:
        """int64 [n]: each point's exemplar as the number of a point; an exemplar's is its own."""
        return self.exemplars[self.labels]


class Workspace(NamedTuple):
    """What one problem needs in memory; several runs, each with its own preference, may share it.

    ``messages``: S [n, n], noise against ties added, its diagonal the run's, and room for R and A of the same dtype.
    ``diagonal_noise``: float64 [n], standard normal. ``equal``: the value that all similarities off the diagonal
    share, or None.
    """

    messages: Messages
    diagonal_noise: NDArray[np.float64]
    equal: float | None


def affinity_propagation(
    S: ArrayLike,
    preference: float | NDArray[Any] | None = None,
    damping: float = 0.5,
    max_iter: int = 200,
    convergence_iter: int = 15,
    random_state: int = 0,
    *,
    callback: Progress | None = None,
    overwrite_S: bool = False,
) -> AffinityPropagationResult:
    """Cluster n points by affinity propagation.

    ``S``: [n, n] similarities, S[i, j] how well j would serve as the exemplar of i, any finite values, not necessarily
    symmetric; the diagonal is not used, but for the median. Computed in float64 if S is float64, else in float32.
    ``preference``: scalar or [n], the larger the more exemplars; None is the median of S (all of it, as in
    scikit-learn). ``damping`` in [.5, 1). It stops when the exemplars have not changed for ``convergence_iter``
    iterations, or after ``max_iter``. ``random_state`` seeds the noise that breaks ties (about one unit in the last
    place). ``callback(iteration, n_exemplars)`` is called after each iteration, from 1; what it raises ends the run.
    ``overwrite_S`` lets S be changed: without a copy of it the memory is S, R, A.

    Not converged: the exemplars of the last iteration are returned with ``converged`` False; if there are none, the
    one point most similar to all. If all similarities are equal and all preferences too: every point is an exemplar
    when the preference is above the similarities, else point 0 alone.

    Raises :class:`InputError` for an S or a preference that is not finite, too large to be summed, of a wrong shape or
    empty; :class:`ConfigError` for numbers out of range.
    """
    check_parameters(damping=damping, max_iter=max_iter, convergence_iter=convergence_iter)
    S = as_similarities(S, overwrite=overwrite_S)
    if preference is None:
        preference = float(np.median(S))
    workspace = prepare(S, random_state=random_state)
    return run(
        workspace,
        preference,
        damping=damping,
        max_iter=max_iter,
        convergence_iter=convergence_iter,
        callback=callback,
    )


def similarities(T: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Negative squared distances, S(i,j) = -||T_i - T_j||^2 (eq. 2).

    ``T``: [n, d], finite. Returns float32 [n, n], symmetric, at most 0, exactly 0 on the diagonal and between equal
    rows (what is less than the rounding of float64 products is taken for 0). Built block by block in the one array
    that is returned. Raises :class:`InputError` for any other T.
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
    for lo, hi in _row_blocks(n):
        block = X[lo:hi] @ X[lo:].T  # [rows, n - lo]
        block *= 2
        block -= squares[lo:hi, None]
        block -= squares[lo:]
        block[block > -(rounding[lo:hi, None] + rounding[lo:])] = 0
        S[lo:hi, lo:] = block
        S[lo:, lo:hi] = block.T  # the lower half, from the same numbers
        corner = np.triu(block[:, : hi - lo], 1)
        S[lo:hi, lo:hi] = corner + corner.T
    return S


def check_parameters(*, damping: float, max_iter: int, convergence_iter: int) -> None:
    """Raise :class:`ConfigError` unless the numbers are in range."""
    if not 0.5 <= damping < 1:
        raise ConfigError(f"damping is {damping}", hint="choose it from 0.5 up to, but not including, 1")
    if max_iter < 1 or convergence_iter < 1:
        raise ConfigError(
            f"max_iter is {max_iter} and convergence_iter {convergence_iter}", hint="both must be at least 1"
        )


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


def prepare(S: Floats, *, random_state: int) -> Workspace:
    """Add the noise against ties to S, in place, and set the messages' memory aside.

    The noise is scikit-learn's: (eps S + 100 tiny) z, z standard normal from ``RandomState(random_state)`` in row
    order. That on the diagonal waits for the preference.
    """
    n = len(S)
    equal = _common_value(S)
    generator = np.random.RandomState(random_state)
    diagonal_noise = np.empty(n)
    for lo, hi in _row_blocks(n):
        z = generator.standard_normal((hi - lo, n))
        diagonal_noise[lo:hi] = z[np.arange(hi - lo), np.arange(lo, hi)]
        _add_noise(S[lo:hi], z)
    return Workspace(Messages(S, np.empty_like(S), np.empty_like(S)), diagonal_noise, equal)


def run(
    workspace: Workspace,
    preference: float | NDArray[Any],
    *,
    damping: float,
    max_iter: int,
    convergence_iter: int,
    callback: Progress | None,
) -> AffinityPropagationResult:
    """Affinity propagation with this preference, from messages of zero; see :func:`affinity_propagation`."""
    messages, diagonal_noise, equal = workspace
    S = messages.S
    n = len(S)
    preferences = _as_preferences(preference, S)
    converged, n_iter = True, 0
    if n == 1 or (equal is not None and bool(np.all(preferences == preferences[0]))):
        above = n > 1 and preferences[0] > cast(float, equal)
        exemplars = np.arange(n if above else 1)
        labels = np.arange(n) if above else np.zeros(n, np.int64)
    else:
        S.flat[:: n + 1] = preferences
        S.flat[:: n + 1] = _add_noise(S.diagonal().copy(), diagonal_noise)
        messages.R.fill(0)
        messages.A.fill(0)
        evidence, n_iter, converged = _iterate(
            messages, damping=damping, max_iter=max_iter, convergence_iter=convergence_iter, callback=callback
        )
        exemplars, labels = _refine(S, np.flatnonzero(evidence > 0), fallback=int(evidence.argmax()))
    owners = exemplars[labels]
    others = np.flatnonzero(owners != np.arange(n))
    net_similarity = S[others, owners[others]].sum(dtype=np.float64) + preferences[exemplars].sum()
    used = preferences if np.ndim(preference) else float(preferences[0])
    return AffinityPropagationResult(exemplars, labels, n_iter, converged, float(net_similarity), used)


def _iterate(
    messages: Messages, *, damping: float, max_iter: int, convergence_iter: int, callback: Progress | None
) -> tuple[Floats, int, bool]:
    """Iterate until the exemplars stay; return the evidence R(i,i) + A(i,i) [n], iterations, and whether they did."""
    before = np.zeros(len(messages.S), bool)
    unchanged = 0
    with closing(pass_messages(messages, damping=damping)) as evidences:
        for n_iter, evidence in enumerate(islice(evidences, max_iter), 1):
            chosen = evidence > 0
            unchanged = unchanged + 1 if np.array_equal(chosen, before) else 1
            before = chosen
            if callback is not None:
                callback(n_iter, int(np.count_nonzero(chosen)))
            if n_iter > convergence_iter <= unchanged and chosen.any():
                return evidence, n_iter, True
    return evidence, n_iter, False


def _refine(S: Floats, chosen: NDArray[np.int64], *, fallback: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Make each cluster's best member its exemplar, then assign all points anew, as scikit-learn does.

    ``fallback`` is the exemplar where none was chosen. Returns exemplars [K], ascending, and labels [n].
    """
    exemplars = chosen if len(chosen) else np.array([fallback])
    clusters = _assign(S, exemplars)
    order = np.argsort(clusters, kind="stable")
    members_of = np.split(order, np.cumsum(np.bincount(clusters, minlength=len(exemplars)))[:-1])
    best = np.array([members[_within(S, members).argmax()] for members in members_of])
    labels = _assign(S, best)
    ranks = np.argsort(best)
    return best[ranks], np.argsort(ranks)[labels]


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


def _common_value(S: Floats) -> float | None:
    """The value of all similarities off the diagonal if they share one, else None; mostly from a look at row 0."""
    n = len(S)
    if n == 1:
        return None
    value = S[0, n - 1]
    for i in range(n):
        if np.count_nonzero(S[i] != value) != int(S[i, i] != value):
            return None
    return float(value)


def _add_noise(values: Floats, z: NDArray[np.float64]) -> Floats:
    """Add (eps x + 100 tiny) z to the values x, in place, rounded as scikit-learn rounds; return them."""
    limits = np.finfo(values.dtype)
    values += (limits.eps * values + limits.tiny * 100) * z
    return values


def _row_blocks(n: int) -> Iterator[tuple[int, int]]:
    """Cut n rows of n into blocks (first, last + 1) of bounded size."""
    step = max(1, _ELEMENTS // n)
    return ((lo, min(lo + step, n)) for lo in range(0, n, step))
