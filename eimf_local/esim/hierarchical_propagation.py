"""Affinity propagation in two steps, where clusters are wanted that a graph of neighbours cannot span.

First the users are clustered into small groups, on the graph of their neighbours; then the groups. A group moves as one
and its exemplar stands for election: with m_i users around the mean mu_i, all of them represented by x_j cost
m_i ||mu_i - x_j||^2 plus what they cost around mu_i, which is the same for all j. So

    S(i,j) = -m_i (||mu_i - x_j||^2 - ||mu_i - x_i||^2),    S(i,i) = p

has, but for a constant, the net similarities of the users' own problem among all choices that keep groups together.
(m_i ||x_i - x_j||^2 in its place is far off: 2.7 to 6.5 % of net similarity lost on Beauty where this loses .3 to .8.)
In the end each cluster's best member becomes its exemplar, and every user is assigned anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .edge_messages import EdgeMessages
from .neighbours import (
    Integers,
    NeighbourGraph,
    Progress,
    Vectors,
    check_vectors,
    nearest_neighbours,
    similarities_to,
)
from .preference import calibrate_preference
from .propagation import AffinityPropagationResult, Preference, Settings
from .sparse_propagation import SparseProblem, one_preference

_NEIGHBOURS = 64  # of a user, unless clusters are wanted of more than half as many
_EDGES = 1 << 27  # affordable: 2 GiB of memory
_MOST = 256  # neighbours up to which one step takes less time than two
_GROUPS = 0.1  # of the number of users
_SAMPLE = 5000  # users who tell how many exemplars a preference gives
_SHRINKAGE = 0.2  # with this preference the share of users who are exemplars falls as n^-this


def sparse_problem(
    T: Vectors,
    *,
    wanted: int | None = None,
    preference: float | None = None,
    seed: int = 0,
    callback: Progress | None = None,
) -> SparseProblem | HierarchicalProblem:
    """Users to be clustered on a graph of neighbours, in one step or two.

    ``T``: float32 [n, d]; ``wanted``: about how many exemplars; if that is not known, a sample of the users tells how
    many the ``preference`` gives; without either, clusters of about 32 are expected. One step needs 2 n / ``wanted``
    neighbours of each user: it is taken up to 256 of them and 2^27 edges. ``seed``, ``callback`` and errors as for
    :class:`SparseProblem`.
    """
    n = len(T)
    if wanted is None and preference is not None:
        wanted = _expected(T, preference, seed)
    neighbours = _NEIGHBOURS if wanted is None else max(_NEIGHBOURS, -(-2 * n // wanted))
    if wanted is None or (neighbours <= _MOST and neighbours * n <= _EDGES):
        return SparseProblem(T, neighbours=neighbours, seed=seed, callback=callback)
    return HierarchicalProblem(T, wanted=wanted, seed=seed, callback=callback)


def _expected(T: Vectors, preference: float, seed: int) -> int:
    """About how many of the n users are exemplars with this preference, by a sample of them."""
    check_vectors(T)
    rows = np.random.default_rng(seed).choice(len(T), min(_SAMPLE, len(T)), replace=False)
    sample = SparseProblem(T[np.sort(rows)], neighbours=_MOST, seed=seed)
    exemplars = sample.messages.run(one_preference(preference), Settings(0.5, 200, 15), None).exemplars
    growth: float = (len(T) / len(rows)) ** (1 - _SHRINKAGE)
    return max(1, round(len(exemplars) * growth))


class _Groups(NamedTuple):
    """Small clusters of users: of each its ``exemplar``, int64 [g], ``mean``, float32 [g, d], and ``size``, [g].

    ``exemplar`` is the number of a distinct user; ``of``: int64 [m], the group of each of them.
    """

    exemplar: Integers
    of: Integers
    mean: Vectors
    size: Vectors


class HierarchicalProblem:
    """Users clustered by way of groups, a tenth as many; see :class:`Problem`.

    ``T``: float32 [n, d]; ``wanted``: about how many exemplars. The groups are made here, once. ``groups``: how many.
    """

    def __init__(self, T: Vectors, *, wanted: int, seed: int = 0, callback: Progress | None = None) -> None:
        self.n = len(T)
        self._users = SparseProblem(T, neighbours=_NEIGHBOURS, seed=seed, callback=callback)
        self.recall = self._users.recall
        self._groups = groups = self._grouped()
        self.groups = len(groups.exemplar)
        candidates = self._users.users.points[groups.exemplar]
        k = min(max(_NEIGHBOURS, -(-2 * self.groups // wanted)), _EDGES // self.groups)
        graph = nearest_neighbours(candidates, k, queries=groups.mean, seed=seed)
        own = similarities_to(groups.mean, candidates, np.arange(self.groups)[:, None])[:, 0]
        degrees = np.diff(graph.starts)
        S = (graph.similarities - np.repeat(own, degrees)) * np.repeat(groups.size, degrees)
        self._messages = EdgeMessages(
            NeighbourGraph(graph.starts, graph.columns, S.astype(np.float32), graph.recall), random_state=seed
        )
        self.lowest, self.top = self._messages.lowest, self._messages.top

    def run(self, preference: Preference, settings: Settings, callback: Progress | None) -> AffinityPropagationResult:
        """As :meth:`SparseProblem.run`."""
        chosen = self._messages.run(one_preference(preference), settings, callback)
        owners = self._messages.assign(chosen.exemplars)[self._groups.of]
        points = chosen._replace(exemplars=self._groups.exemplar[chosen.exemplars])
        return self._users.conclude(points, owners, one_preference(preference), settings)

    def sample(self) -> None:
        """None: a run costs little."""

    def _grouped(self) -> _Groups:
        users = self._users.users
        found = calibrate_preference(self._users, fraction=_GROUPS, settings=Settings(0.5, 200, 15)).result
        of = found.labels[users.first]
        order = np.argsort(of, kind="stable")
        starts = np.searchsorted(of[order], np.arange(len(found.exemplars)))
        size = np.add.reduceat(users.weights[order], starts)
        mean = np.empty((len(starts), users.points.shape[1]), np.float32)
        for group, members in enumerate(np.split(order, starts[1:])):
            weights = users.weights[members]
            mean[group] = weights @ users.points[members] / weights.sum()
        return _Groups(users.point_of[found.exemplars], of, mean, size.astype(np.float32))
