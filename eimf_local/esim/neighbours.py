"""The most similar users of each user, by FAISS: the graph along which ``edge_messages`` passes messages.

While it is affordable the search is exhaustive. Beyond that it goes through an inverted file: k-means cells, of which
the few nearest to a query are looked through. How many is found on a sample of queries, for the recall that is wanted,
and the recall reached there is returned. Queries go cell by cell, so that the vectors they are compared with stay in
the processor's cache (1.5 times as fast). The similarities of what was found are then computed as the dense engine's.

The result is the same for the same seed, and in our measurements for any number of threads; FAISS promises neither of
its matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, InputError
from .parallel import compiled, thread_count, threads

Vectors = NDArray[np.float32]
Integers = NDArray[np.int64]
Progress = Callable[[int, int], None]

_EXHAUSTIVE = 500_000_000  # pairs of a query and a vector that are affordable: some 3 s on two cores
_CELLS = 0.6  # times n^(2/3): training, assigning to cells and looking through them then cost alike at a million
_TRAINING = 39  # vectors a cell, FAISS's own minimum; more, and more iterations, gave no better cells
_ITERATIONS = 4  # of k-means
_PROBES = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128)  # cells, in turn
_SAMPLE = 500  # queries on which the recall is measured
_BLOCK = 8192  # queries between two looks at the callback
_PARTS = 64  # of a block, for the threads to share


@dataclass(frozen=True, eq=False)
class NeighbourGraph:
    """Edges from each of n points to its neighbours, in compressed sparse rows; none to itself.

    ``starts``: int64 [n + 1], where rows begin; ``columns``: int32 [m], ascending in a row; ``similarities``: float32
    [m]; ``recall``: share of the true nearest that the search found on a sample, 1 if it was exhaustive.
    """

    starts: Integers
    columns: NDArray[np.int32]
    similarities: Vectors
    recall: float


class Nearest(NamedTuple):
    """``places``: int64 [n], of each point the most similar of some rows, as a place among them; and the ``recall``."""

    places: Integers
    recall: float


def nearest_neighbours(
    T: Vectors,
    k: int,
    *,
    queries: Vectors | None = None,
    recall: float = 0.9,
    seed: int = 0,
    callback: Progress | None = None,
) -> NeighbourGraph:
    """Connect each point to its k most similar, S(i,j) = -||T_i - T_j||^2 (eq. 2).

    ``T``: float32 [n, d]; where k > n - 1 all others are taken. ``queries``: float32 [n, d], what point i looks for if
    that is not T_i; it is still not its own neighbour. ``recall`` in (0, 1]: what an approximate search should reach.
    Of more than k points in the same place any k are taken; see :func:`distinct_rows`. ``callback(done, total)`` hears
    of the points done, block by block; what it raises ends the search. Memory: the graph and a copy of T.

    Raises :class:`InputError` for vectors that are empty or not finite; :class:`ConfigError` for numbers out of range.
    """
    check_vectors(T)
    if k < 1 or not 0 < recall <= 1:
        raise ConfigError(f"{k} neighbours with a recall of {recall}", hint="at least 1, and a recall above 0, up to 1")
    sought = T if queries is None else queries
    n, k = len(T), min(k, len(T) - 1)
    index = _Index(T, queries=n, seed=seed)
    reached = index.tune(T, sought, k + 1, recall=recall, seed=seed)
    columns, values = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    for done, rows in _blocks(index.order):
        found = _all_but(index.search(sought[rows], k + 1), rows)
        columns[rows] = np.sort(found, axis=1)
        values[rows] = similarities_to(sought[rows], T, columns[rows])
        if callback is not None:
            callback(done, n)
    present = columns >= 0
    starts = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    if present.all():
        return NeighbourGraph(starts, columns.reshape(-1), values.reshape(-1), reached)
    return NeighbourGraph(starts, columns[present], values[present], reached)


def nearest_of(
    T: Vectors, rows: Integers, *, recall: float = 0.99, seed: int = 0, callback: Progress | None = None
) -> Nearest:
    """Find for each of the n points the most similar of the points ``rows``, int64 [m]; their places among these.

    ``T``: float32 [n, d], checked; ``recall`` and ``callback`` as for :func:`nearest_neighbours`. Of several in the
    same place any one is taken.
    """
    index = _Index(T[rows], queries=len(T), seed=seed)
    reached = index.tune(T[rows], T, 1, recall=recall, seed=seed)
    places = np.empty(len(T), np.int64)
    for done, block in _blocks(np.arange(len(T))):
        places[block] = index.search(T[block], 1)[:, 0]
        if callback is not None:
            callback(done, len(T))
    return Nearest(places, reached)


def similarities_to(queries: Vectors, T: Vectors, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """float64 [m, k]: S = -||q_i - T_j||^2 of query i and each j in ``rows``, [m, k], computed in float64; 0 for j < 0.

    ``queries``: float32 [m, d]; ``T``: float32 [n, d].
    """
    values = np.empty(rows.shape)
    bounds = np.linspace(0, len(rows), 1 + (_PARTS if rows.size > _PARTS else 1)).astype(np.int64)
    _fill_similarities(queries, T, rows, values, 0, 0)  # compiled, or loaded, in this thread: a failure is the caller's
    with threads(thread_count()) as share_out:
        share_out(
            lambda part: _fill_similarities(queries, T, rows, values, bounds[part], bounds[part + 1]), len(bounds) - 1
        )
    return values


@compiled
def squared_distance(x: Any, y: Any) -> Any:
    """Of two vectors, added up in float64, one number after the other."""
    total = 0.0
    for t in range(len(x)):
        total += (np.float64(x[t]) - np.float64(y[t])) ** 2
    return total


def local_order(T: Vectors, *, seed: int = 0) -> Integers:
    """int64 [n]: an order of the points in which similar ones mostly stand near each other, by cells of k-means."""
    cells = math.isqrt(len(T))
    rows = np.random.default_rng(seed).choice(len(T), min(len(T), _TRAINING * cells), replace=False)
    kmeans = faiss.Kmeans(T.shape[1], cells, niter=_ITERATIONS, seed=seed, min_points_per_centroid=1)
    kmeans.train(T[np.sort(rows)])
    cell = np.concatenate([kmeans.index.search(T[block], 1)[1][:, 0] for _, block in _blocks(np.arange(len(T)))])
    return np.argsort(cell, kind="stable")


def distinct_rows(T: Vectors) -> tuple[Integers, Integers]:
    """Tell rows that are equal in every number: ``first``, int64 [m], ascending, and ``inverse``, int64 [n].

    ``first`` are the rows that no earlier one equals, and row i equals row ``first[inverse[i]]``.
    """
    seen: dict[bytes, int] = {}
    digests = (blake2b(row + np.float32(0), digest_size=16).digest() for row in T)  # + 0: -0 equals 0
    inverse = np.fromiter((seen.setdefault(digest, len(seen)) for digest in digests), np.int64, len(T))
    return np.unique(inverse, return_index=True)[1], inverse


def check_vectors(T: Vectors) -> None:
    """Raise :class:`InputError` unless T is a finite, non-empty matrix, of numbers whose squares can be summed."""
    if T.ndim == 2 and T.size:
        largest = max(abs(float(T.min())), abs(float(T.max())))  # NaN if any number is
        if largest**2 * T.shape[1] < float(np.finfo(np.float32).max) / 8:
            return
    raise InputError(
        f"text vectors of shape {list(T.shape)} are not a matrix of finite, moderate numbers",
        hint="encode the users' titles again",
    )


class _Index:
    """Vectors to be searched: exhaustively if that is affordable for so many queries, else by cells.

    ``order``: int64 [n], the vectors, those of a cell together.
    """

    def __init__(self, vectors: Vectors, *, queries: int, seed: int) -> None:
        n, d = vectors.shape
        # About their mean, so that little is lost where FAISS has the difference of squares of a product.
        self._centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._cells = 0 if n * queries <= _EXHAUSTIVE else min(n, math.ceil(_CELLS * n ** (2 / 3)))
        self._faiss: Any = faiss.IndexFlatL2(d)
        if self._cells:
            self._faiss.add(self._train(vectors, seed))
            self._faiss = faiss.IndexIVFFlat(self._faiss, d, self._cells)
            self._faiss.is_trained = True
        for _, block in _blocks(np.arange(n)):
            self._faiss.add(vectors[block] - self._centre)
        self.order = self._by_cell() if self._cells else np.arange(n)

    def search(self, queries: Vectors, k: int) -> Integers:
        """int64 [m, k]: the k nearest vectors of each query, the nearest first; -1 where there are less."""
        found: Integers = self._faiss.search(queries - self._centre, k)[1]
        return found

    def tune(self, vectors: Vectors, queries: Vectors, k: int, *, recall: float, seed: int) -> float:
        """Look through as many cells as that recall of the k nearest takes on a sample of queries; return it."""
        if not self._cells:
            return 1.0
        rows = np.random.default_rng(seed).choice(len(queries), min(_SAMPLE, len(queries)), replace=False)
        nearest = faiss.knn(queries[rows], vectors, k)[1]
        for probes in (*(p for p in _PROBES if p < self._cells), self._cells):
            self._faiss.nprobe = probes
            found = self.search(queries[rows], k)
            reached = float(np.mean([np.isin(*pair).mean() for pair in zip(nearest, found, strict=True)]))
            if reached >= recall:
                break
        return reached

    def _train(self, vectors: Vectors, seed: int) -> Vectors:
        """Float32 [cells, d]: centres of k-means on a sample."""
        n, d = vectors.shape
        rows = np.random.default_rng(seed).choice(n, min(n, _TRAINING * self._cells), replace=False)
        kmeans = faiss.Kmeans(d, self._cells, niter=_ITERATIONS, seed=seed, min_points_per_centroid=1)
        kmeans.train(vectors[np.sort(rows)] - self._centre)
        return np.asarray(kmeans.centroids, np.float32)

    def _by_cell(self) -> Integers:
        lists = self._faiss.invlists
        sizes = [lists.list_size(cell) for cell in range(self._cells)]
        cells = [faiss.rev_swig_ptr(lists.get_ids(cell), size).copy() for cell, size in enumerate(sizes) if size]
        return np.concatenate(cells)


def _blocks(order: Integers) -> Iterator[tuple[int, Integers]]:
    """Cut the rows into blocks; how many there will have been, and the block."""
    for lo in range(0, len(order), _BLOCK):
        block = order[lo : lo + _BLOCK]
        yield lo + len(block), block


def _all_but(found: Integers, rows: Integers) -> Integers:
    """int64 [m, k]: of k + 1 found in each row not that row itself, or else not the last."""
    others: NDArray[np.bool_] = found != rows[:, None]
    others[others.all(axis=1), -1] = False
    return found[others].reshape(len(rows), found.shape[1] - 1)


@compiled
def _fill_similarities(queries: Any, T: Any, rows: Any, values: Any, first: int, last: int) -> None:
    for i in range(first, last):
        for e in range(rows.shape[1]):
            values[i, e] = -squared_distance(queries[i], T[rows[i, e]]) if rows[i, e] >= 0 else 0.0
