"""Affinity propagation on a graph of nearest neighbours: for users whose n x n similarities do not fit in memory.

Messages pass along edges only; a similarity that the graph does not have counts as minus infinity: nobody can be
represented by a user who is not among its neighbours. Edges are needed in that direction only: whether j is a neighbour
of i does not matter to how well i would represent j. As in ``message_passing``, with the last column sums
c(j) = R(j,j) + sum_{k != j} max(0, R(k,j)) an iteration takes each row once.

Users with equal vectors are one point, and S(i,j) the sum of their similarities: they would fill each other's
neighbourhoods, and be cut off from all others.

Noise against ties, damping and refinement are the dense engine's, and on a complete graph so are the exemplars. The
criterion of convergence lets one exemplar in 200 flicker: among very many points a few swing for ever, at any damping,
and change the net similarity in its sixth digit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .affinity_propagation import add_noise
from .message_passing import Damping, Scalar
from .neighbours import (
    Integers,
    NeighbourGraph,
    Vectors,
    check_vectors,
    distinct_rows,
    local_order,
    nearest_neighbours,
    nearest_of,
    similarities_to,
    squared_distance,
)
from .parallel import compiled, thread_count, threads
from .propagation import AffinityPropagationResult, Preference, Progress, Settings

Engine = Literal["dense", "sparse"]

_PARTS = 16  # of the rows, each with column sums of its own: enough for the threads of most machines
_SMALL = 1 << 17  # edges up to which a second thread costs more than it brings
_NOISE = 1 << 22  # edges that get their noise at once
_FLICKER = 200  # exemplars of which one may change within the last iterations
_SAMPLE = 20_000  # users up to whom a run costs too little for a sample to pay
_SCATTERED = 1 << 16  # points beyond which the column sums leave the processor's nearest caches
_PAIRS = 10_000  # of users, to estimate the lowest similarity
_ALONE = np.float32(-1e30)  # in place of the largest A + S off the diagonal where there is none
_DENSE = 30_000  # users for whom the dense engine takes about a minute


def choose_engine(n: int, *, memory_bytes: float | None = None) -> Engine:
    """Choose how n users are clustered: exactly, or on the graph of their nearest neighbours.

    Dense up to 30,000 users (its time grows as n^2), if S, R and A, which it may need at the worst, 12 n^2 bytes, fit
    into ``memory_bytes``: by default half of the memory that is available.
    """
    budget = _available_memory() // 2 if memory_bytes is None else memory_bytes
    return "dense" if n <= _DENSE and 12 * n * n <= budget else "sparse"


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
        _in_parts(_assign_rows, self._edges.starts, self._edges, places, assignment)
        return assignment

    def _pass(self, preferences: Vectors, damping: float) -> Generator[Vectors, None, None]:
        """Iterate without end from messages of zero; yield each iteration's evidence R(i,i) + A(i,i), float32 [n]."""
        edges, zeros = self._edges, np.zeros_like
        messages = _Messages(zeros(edges.S), zeros(edges.S))
        diagonal = _Diagonal(preferences, zeros(preferences), zeros(preferences))
        shares = Damping(np.float32(damping), np.float32(1 - damping))
        bounds = _equal_parts(edges.starts)
        sums, column_sums = np.empty((len(bounds) - 1, self.n), np.float32), zeros(preferences)

        def update(part: int) -> None:
            sums[part] = 0
            rows = bounds[part], bounds[part + 1]
            _update_rows(edges, messages, diagonal, (column_sums, sums[part]), shares, rows)

        no_rows = bounds[0], bounds[0]
        _update_rows(edges, messages, diagonal, (column_sums, sums[0]), shares, no_rows)  # compiled in this thread
        with threads(_thread_count(len(edges.S))) as share_out:
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


class Users(NamedTuple):
    """Users to be clustered, equal ones taken together.

    ``points``: float32 [m, d], the distinct vectors; ``weights``: float64 [m], how many users have each; ``first``:
    int64 [m], the first user who has it; ``point_of``: int64 [n], each user's. Where they are many, similar ones stand
    near each other, so that what a row of messages needs of its columns lies together in memory.
    """

    points: Vectors
    weights: NDArray[np.float64]
    first: Integers
    point_of: Integers

    @classmethod
    def of(cls, T: Vectors, *, seed: int) -> Users:
        """From float32 [n, d], checked; not copied if all are distinct and not many."""
        check_vectors(T)
        first, point_of = distinct_rows(T)
        if len(first) > _SCATTERED:
            order = local_order(T[first], seed=seed)
            first, point_of = first[order], np.argsort(order)[point_of]
        elif len(first) == len(T):
            return cls(T, np.ones(len(T)), first, point_of)
        return cls(T[first], np.bincount(point_of).astype(np.float64), first, point_of)


class SparseProblem:
    """Users clustered on the graph of their nearest neighbours; see :class:`Problem`.

    ``T``: float32 [n, d], text vectors. ``neighbours``: how many each distinct user has, twice the wanted size of
    clusters: with fewer, more users than need be are exemplars. ``seed``: of the search, the noise and the sample.
    ``callback(done, total)`` hears of the search. ``recall``: of the search, 1 if it was exhaustive. Memory: T, while
    the search lasts as much again, and 16 bytes an edge. Raises :class:`InputError` for vectors that are not finite.
    """

    def __init__(self, T: Vectors, *, neighbours: int = 64, seed: int = 0, callback: Progress | None = None) -> None:
        self.n = len(T)
        self.users = Users.of(T, seed=seed)
        self._T = T
        self._neighbours = neighbours
        self._seed = seed
        graph = nearest_neighbours(self.users.points, neighbours, seed=seed, callback=callback)
        graph.similarities[:] *= np.repeat(self.users.weights.astype(np.float32), np.diff(graph.starts))
        self.recall = graph.recall
        self.messages = EdgeMessages(graph, random_state=seed)
        self.lowest = min(self.messages.lowest, _lowest_of_pairs(self.users.points, seed))
        self.top = self.messages.top

    def run(self, preference: Preference, settings: Settings, callback: Progress | None) -> AffinityPropagationResult:
        """Affinity propagation with one preference for all; every user ends with its most similar exemplar.

        Each cluster's best member has become its exemplar before that, as in the dense engine. Beyond 5 10^8 pairs of
        users and exemplars the most similar is found for about 99 % of the users, else one nearly as similar.
        Raises :class:`InputError` for a preference that is not one finite number.
        """
        chosen = self.messages.run(one_preference(preference), settings, callback)
        owners = self.messages.assign(chosen.exemplars)
        return self.conclude(chosen, owners, one_preference(preference), settings)

    def sample(self) -> SparseProblem | None:
        """An eighth of the users, with a graph of their own."""
        if self.n <= _SAMPLE:
            return None
        rows = np.sort(np.random.default_rng(self._seed).choice(self.n, self.n // 8, replace=False))
        return SparseProblem(self._T[rows], neighbours=self._neighbours, seed=self._seed)

    def conclude(
        self, chosen: Chosen, owners: Integers, preference: float, settings: Settings
    ) -> AffinityPropagationResult:
        """Refine ``chosen`` points, with clusters ``owners`` (int64 [m], -1 for none), and assign every user."""
        points, weights, first, point_of = self.users
        exemplars = best_members(points, weights, owners, chosen.exemplars)
        exemplars = exemplars[np.argsort(first[exemplars])]
        labels, similarities = self._assign(exemplars)
        net_similarity = float(weights @ similarities) + len(exemplars) * preference
        return AffinityPropagationResult(
            first[exemplars],
            labels[point_of],
            chosen.n_iter,
            chosen.converged,
            net_similarity,
            preference,
            settings.damping,
        )

    def _assign(self, exemplars: Integers) -> tuple[Integers, NDArray[np.float64]]:
        """Each point's most similar exemplar, as a place among them, int64 [m]; and how similar it is, float64 [m]."""
        points = self.users.points
        labels, recall = nearest_of(points, exemplars, seed=self._seed)
        labels[exemplars] = np.arange(len(exemplars))
        similarities = similarities_to(points, points, exemplars[labels][:, None])[:, 0]
        if recall < 1:  # perhaps a neighbour is more similar than what was found
            near = self.messages.assign(exemplars)
            of_near = similarities_to(points, points, np.where(near >= 0, exemplars[near], -1)[:, None])[:, 0]
            of_near[near < 0] = -np.inf
            labels = np.where(of_near > similarities, near, labels)
            similarities = np.maximum(similarities, of_near)
        return labels, similarities


def one_preference(preference: Preference) -> float:
    """The preference as a number; raises :class:`InputError` if there is one per user."""
    if np.ndim(preference):
        raise InputError("one preference per user on a sparse graph", hint="pass one number, or use the dense engine")
    return float(preference)


def best_members(points: Vectors, weights: NDArray[np.float64], owners: Integers, exemplars: Integers) -> Integers:
    """int64 [K]: of each cluster the member from which the squared distances to all others are least in sum.

    That is the one nearest to their mean; between equals the exemplar stays. ``points``: float32 [m, d]; ``weights``:
    float64 [m]; ``owners``: int64 [m], clusters as places in ``exemplars``, int64 [K], -1 for none; an exemplar belongs
    to its own.
    """
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(len(exemplars) + 1))
    best = exemplars.copy()
    _in_parts(_best_of_clusters, starts, (starts, order), points, weights, best)
    return best


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


def _lowest_of_pairs(points: Vectors, seed: int) -> float:
    """The lowest similarity of some random pairs of points."""
    rows = np.random.default_rng(seed).integers(len(points), size=(2, _PAIRS))
    return float(similarities_to(points[rows[0]], points, rows[1][:, None]).min())


def _equal_parts(starts: Integers) -> Integers:
    """Cut rows, which begin at ``starts``, into parts of about as many entries: bounds, int64 [parts + 1]."""
    n = len(starts) - 1
    parts = _PARTS if starts[-1] > _SMALL else 1
    bounds = np.searchsorted(starts, np.linspace(0, starts[-1], parts + 1))
    bounds[0], bounds[-1] = 0, n
    return np.minimum(bounds, n)


def _thread_count(entries: int) -> int:
    return thread_count() if entries > _SMALL else 1


def _in_parts(work: Callable[..., None], starts: Integers, *arguments: Any) -> None:
    """Have ``work(*arguments, first, last)`` done for all rows, by all threads if there are many entries in them."""
    bounds = _equal_parts(starts)
    work(*arguments, 0, 0)  # compiled, or loaded, in this thread: a failure is the caller's
    with threads(_thread_count(int(starts[-1]))) as share_out:
        share_out(lambda part: work(*arguments, bounds[part], bounds[part + 1]), len(bounds) - 1)


def _available_memory() -> int:
    """Bytes: what Linux says is available, elsewhere all there is, 4 GiB where nobody knows."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) << 10
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 << 30


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


@compiled
def _best_of_clusters(
    clusters: tuple[Integers, Integers],
    points: Vectors,
    weights: NDArray[np.float64],
    best: Integers,
    first: int,
    last: int,
) -> None:
    """Replace ``best`` of clusters ``first`` to ``last`` - 1 by the member nearest to their mean, unless it is that.

    ``clusters``: where each begins among the members, and the members.
    """
    starts, members = clusters
    mean = np.empty(points.shape[1])
    for cluster in range(first, last):
        mean[:] = 0
        total = 0.0
        for member in members[starts[cluster] : starts[cluster + 1]]:
            total += weights[member]
            for t in range(len(mean)):
                mean[t] += weights[member] * points[member, t]
        mean /= total
        least = squared_distance(points[best[cluster]], mean) * (1 - 1e-9)  # less than that is rounding
        for member in members[starts[cluster] : starts[cluster + 1]]:
            distance = squared_distance(points[member], mean)
            if distance < least:
                least, best[cluster] = distance, member
