"""The messages of affinity propagation along the edges of a graph, whose rows the threads share out.

A similarity that the graph does not have counts as minus infinity: nobody can be represented by a user who is not among
its neighbours. Edges are needed in that direction only: whether j is a neighbour of i does not matter to how well i
would represent j. As in ``message_passing``, with the last column sums c(j) = R(j,j) + sum_{k != j} max(0, R(k,j)) an
iteration takes each row once.

Noise against ties, damping and refinement are the dense engine's, and on a complete graph so are the exemplars. The
criterion of convergence lets one exemplar in 200 flicker: among very many points a few swing for ever, at any damping,
and change the net similarity in its sixth digit.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .affinity_propagation import add_noise
from .message_passing import Damping, Scalar
from .neighbours import Integers, NeighbourGraph, Vectors
from .parallel import compiled, equal_parts, in_parts, threads, threads_for
from .propagation import Progress, Settings

_NOISE = 1 << 22  # edges that get their noise at once
_FLICKER = 200  # exemplars of which one may change within the last iterations
_ALONE = np.float32(-1e30)  # in place of the largest A + S off the diagonal where there is none


class Chosen(NamedTuple):
    """Exemplars as the messages have them, int64 [K], ascending; iterations done; and whether they had settled."""

    exemplars: Integers
    n_iter: int
    converged: bool


class _Edges(NamedTuple):
    """Each row's edges: ``starts``, int64 [n + 1]; ``columns``, int32 [m]; similarities ``S``, float32 [m]."""

    starts: Integers
    columns: NDArray[np.int32]
    S: Vectors


class _Messages(NamedTuple):
    """Responsibilities and availabilities of the edges, float32 [m]."""

    R: Vectors
    A: Vectors


class _Diagonal(NamedTuple):
    """Preferences and the messages of each point to itself, float32 [n]."""

    S: Vectors
    R: Vectors
    A: Vectors


class EdgeMessages:
    """Affinity propagation on the edges of a graph, any number of times.

    ``graph``: its similarities, finite and not too large to be summed over a column, need not be symmetric;
    ``random_state`` seeds the noise against ties. ``lowest`` and ``top``: of the similarities; 0, 0 if there are none.
    Raises :class:`InputError` for other similarities.
    """

    def __init__(self, graph: NeighbourGraph, *, random_state: int) -> None:
        self.n = len(graph.starts) - 1
        self._edges = _Edges(graph.starts, graph.columns, graph.similarities.copy())
        S = self._edges.S
        self.lowest, self.top = (float(S.min()), float(S.max())) if len(S) else (0.0, 0.0)
        self._limit: float = min(1e29, float(np.finfo(np.float32).max) / (8 * self.n))
        if not max(abs(self.lowest), abs(self.top)) <= self._limit:  # false for NaN too
            raise InputError("similarities are NaN, infinite or too large", hint="look for broken vectors, or rescale")
        self._diagonal_noise = self._add_noise(np.random.RandomState(random_state))

    def run(self, preference: float, settings: Settings, callback: Progress | None) -> Chosen:
        """Pass messages from zero until the exemplars settle; ``callback(iteration, n_exemplars)`` after each one.

        All but one in 200 exemplars have to stay for ``settings.convergence_iter`` iterations. A point without
        neighbours is an exemplar. If there is none at all, the point with the most evidence is taken. If the graph is
        complete and all its similarities are equal: all points are exemplars when the preference is larger, else
        point 0.
        """
        if not abs(preference) <= self._limit:
            raise InputError(f"the preference is {preference}", hint="pass a finite, moderate number")
        if len(self._edges.S) == self.n * (self.n - 1) and self.lowest == self.top:
            above = self.n > 1 and preference > self.top
            return Chosen(np.arange(self.n if above else 1), 0, True)
        diagonal = np.full(self.n, preference, np.float32)
        evidence, n_iter, converged = _until_settled(
            self._pass(add_noise(diagonal, self._diagonal_noise), settings.damping), settings, callback
        )
        exemplars = np.flatnonzero(evidence > 0)
        return Chosen(exemplars if len(exemplars) else np.array([evidence.argmax()]), n_iter, converged)

    def assign(self, exemplars: Integers) -> Integers:
        """int64 [n]: each point's most similar exemplar among its neighbours, as a place in ``exemplars``; -1 if none.

        An exemplar is its own.
        """
        places = np.full(self.n, -1)
        places[exemplars] = np.arange(len(exemplars))
        assignment = np.empty(self.n, np.int64)
        in_parts(_assign_rows, self._edges.starts, self._edges, places, assignment)
        return assignment

    def _pass(self, preferences: Vectors, damping: float) -> Generator[Vectors, None, None]:
        """Iterate without end from messages of zero; yield each iteration's evidence R(i,i) + A(i,i), float32 [n]."""
        edges, zeros = self._edges, np.zeros_like
        messages = _Messages(zeros(edges.S), zeros(edges.S))
        diagonal = _Diagonal(preferences, zeros(preferences), zeros(preferences))
        shares = Damping(np.float32(damping), np.float32(1 - damping))
        bounds = equal_parts(edges.starts)
        sums, column_sums = np.empty((len(bounds) - 1, self.n), np.float32), zeros(preferences)

        def update(part: int) -> None:
            sums[part] = 0
            rows = bounds[part], bounds[part + 1]
            _update_rows(edges, messages, diagonal, (column_sums, sums[part]), shares, rows)

        no_rows = bounds[0], bounds[0]
        _update_rows(edges, messages, diagonal, (column_sums, sums[0]), shares, no_rows)  # compiled in this thread
        with threads(threads_for(len(edges.S))) as share_out:
            while True:
                share_out(update, len(sums))
                sums.sum(axis=0, out=column_sums)
                R, A = diagonal.R, diagonal.A
                yield R + (shares.old * A + shares.new * (column_sums - R))

    def _add_noise(self, generator: np.random.RandomState) -> NDArray[np.float64]:
        """Add noise to the similarities, in the order of a matrix's rows; return that of the diagonal, float64 [n]."""
        starts, columns, S = self._edges
        of_diagonal = np.empty(self.n)
        step = max(1, _NOISE * self.n // max(1, len(columns)))
        for first in range(0, self.n, step):
            last = min(first + step, self.n)
            edges = slice(starts[first], starts[last])
            rows = np.repeat(np.arange(first, last), np.diff(starts[first : last + 1]))
            before = np.bincount(rows[columns[edges] < rows] - first, minlength=last - first)
            on_diagonal = np.zeros(len(rows) + last - first, bool)
            on_diagonal[starts[first:last] - starts[first] + np.arange(last - first) + before] = True
            z = generator.standard_normal(len(on_diagonal))
            of_diagonal[first:last] = z[on_diagonal]
            add_noise(S[edges], z[~on_diagonal])
        return of_diagonal


def _until_settled(
    evidences: Generator[Vectors, None, None], settings: Settings, callback: Progress | None
) -> tuple[Vectors, int, bool]:
    """Iterate until the exemplars have settled; the last evidence, the number of iterations, and whether they have."""
    before: NDArray[np.bool_] | None = None
    with closing(evidences):
        for n_iter, evidence in enumerate(islice(evidences, settings.max_iter), 1):
            chosen = evidence > 0
            if before is None:
                changed_in = np.ones(len(chosen), np.int32)
            else:
                changed_in[chosen != before] = n_iter
            before = chosen
            count = int(np.count_nonzero(chosen))
            if callback is not None:
                callback(n_iter, count)
            restless = np.count_nonzero(changed_in > n_iter - settings.convergence_iter + 1)
            if n_iter > settings.convergence_iter and count and restless <= count // _FLICKER:
                return evidence, n_iter, True
    return evidence, n_iter, False


@compiled
def _update_rows(
    edges: _Edges,
    messages: _Messages,
    diagonal: _Diagonal,
    sums: tuple[Vectors, Vectors],
    damping: Damping,
    rows: tuple[int, int],
) -> None:
    """Take the rows from one to another through an iteration, from the first column ``sums``, and add to the second."""
    old, new = damping
    column_sums, new_sums = sums
    zero = np.float32(0)
    for i in range(rows[0], rows[1]):
        lo, hi = edges.starts[i], edges.starts[i + 1]
        columns, S, R, A = edges.columns[lo:hi], edges.S[lo:hi], messages.R[lo:hi], messages.A[lo:hi]
        diagonal.A[i] = old * diagonal.A[i] + new * (column_sums[i] - diagonal.R[i])
        others = np.float32(-np.inf) if len(S) else _ALONE  # the largest A + S off the diagonal
        for e in range(len(S)):
            A[e] = old * A[e] + new * min(column_sums[columns[e]] - max(R[e], zero), zero)
            others = max(others, A[e] + S[e])
        diagonal.R[i] = old * diagonal.R[i] + new * (diagonal.S[i] - others)
        new_sums[i] += diagonal.R[i]
        _update_responsibilities(S, R, A, diagonal.A[i] + diagonal.S[i], others, damping)
        for e in range(len(S)):
            if R[e] > zero:
                new_sums[columns[e]] += R[e]


@compiled
def _update_responsibilities(S: Vectors, R: Vectors, A: Vectors, own: Scalar, others: Scalar, damping: Damping) -> None:
    """Update a row of R off the diagonal; ``own`` and ``others`` are the row's maxima of A + S on and off it."""
    old, new = damping
    if own > others:
        for e in range(len(S)):
            R[e] = old * R[e] + new * (S[e] - own)
        return
    place = 0
    while A[place] + S[place] != others:
        place += 1
    second = own
    for e in range(place):
        second = max(second, A[e] + S[e])
    for e in range(place + 1, len(S)):
        second = max(second, A[e] + S[e])
    at_place = old * R[place] + new * (S[place] - second)
    for e in range(len(S)):
        R[e] = old * R[e] + new * (S[e] - others)
    R[place] = at_place


@compiled
def _assign_rows(edges: _Edges, places: Integers, assignment: Integers, first: int, last: int) -> None:
    """Assign rows ``first`` to ``last`` - 1; ``places``: those of the exemplars among them, -1 of all others."""
    for i in range(first, last):
        place, best = places[i], np.float32(-np.inf)
        if place < 0:
            for e in range(edges.starts[i], edges.starts[i + 1]):
                if places[edges.columns[e]] >= 0 and edges.S[e] > best:
                    place, best = places[edges.columns[e]], edges.S[e]
        assignment[i] = place
