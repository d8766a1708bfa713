"""Affinity propagation on a graph of nearest neighbours: for users whose n x n similarities do not fit in memory.

The messages themselves are in ``edge_messages``. Users with equal vectors are one point, and S(i,j) the sum of their
similarities: they would fill each other's neighbourhoods, and be cut off from all others.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..machine import available_memory
from .edge_messages import Chosen, EdgeMessages
from .neighbours import (
    Integers,
    Vectors,
    check_vectors,
    distinct_rows,
    local_order,
    nearest_neighbours,
    nearest_of,
    similarities_to,
    squared_distance,
)
from .parallel import compiled, in_parts
from .propagation import AffinityPropagationResult, Preference, Progress, Settings

Engine = Literal["dense", "sparse"]

_SAMPLE = 20_000  # users up to whom a run costs too little for a sample to pay
_SCATTERED = 1 << 16  # points beyond which the column sums leave the processor's nearest caches
_PAIRS = 10_000  # of users, to estimate the lowest similarity
_DENSE = 30_000  # users for whom the dense engine takes about a minute
_UNKNOWN_MEMORY = 4 << 30  # taken for available where the machine does not say


def choose_engine(n: int, *, memory_bytes: float | None = None) -> Engine:
    """Choose how n users are clustered: exactly, or on the graph of their nearest neighbours.

    Dense up to 30,000 users (its time grows as n^2), if S, R and A, which it may need at the worst, 12 n^2 bytes, fit
    into ``memory_bytes``: by default half of the memory that is available (4 GiB where nobody knows).
    """
    if memory_bytes is None:
        available = available_memory()
        memory_bytes = (_UNKNOWN_MEMORY if available is None else available) / 2
    return "dense" if n <= _DENSE and 12 * n * n <= memory_bytes else "sparse"


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
    in_parts(_best_of_clusters, starts, (starts, order), points, weights, best)
    return best


def _lowest_of_pairs(points: Vectors, seed: int) -> float:
    """The lowest similarity of some random pairs of points."""
    rows = np.random.default_rng(seed).integers(len(points), size=(2, _PAIRS))
    return float(similarities_to(points[rows[0]], points, rows[1][:, None]).min())


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
