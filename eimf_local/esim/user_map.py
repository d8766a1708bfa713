"""A map of users in two dimensions, for a picture of the clusters: near users on it have similar texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from .exemplars import Exemplars

Vectors = NDArray[np.float32]

_POINTS = 2000  # users on a map at most: more take long, and hide each other
_ITERATIONS = 500  # half of scikit-learn's: the divergence is within 3 % of that after all of them
_SPREAD = 1e-4  # standard deviation of the start along its first axis, as scikit-learn's own PCA start has it


@dataclass(frozen=True, eq=False)
class UserMap:
    """P users in the plane. ``rows``: int64 [P], ascending, among all users; ``positions``: float32 [P, 2]."""

    rows: NDArray[np.int64]
    positions: Vectors


def map_users(T: Vectors, exemplars: Exemplars, *, seed: int = 0) -> UserMap:
    """Place the exemplars and a random sample of the other users, 2,000 at most together, by t-SNE from a PCA start.

    ``T``: float32 [U, T], the users' text vectors. Of more than 2,000 exemplars those of the largest clusters are
    placed. The same input and seed give the same map, bit for bit, on one machine. Up to three users lie along their
    principal components; users with equal texts all at the origin.
    """
    rows = _sample(exemplars, seed)
    start = _principal_components(T[rows])
    spread = start[:, 0].std()
    if len(rows) <= 3 or spread == 0:
        return UserMap(rows, start.astype(np.float32))
    tsne = TSNE(
        init=(start * (_SPREAD / spread)).astype(np.float32),
        perplexity=min(30, (len(rows) - 1) / 3),
        max_iter=_ITERATIONS,
        random_state=seed,
        n_jobs=1,
    )
    with threadpool_limits(1):  # sums of several threads depend on how many there are
        return UserMap(rows, tsne.fit_transform(T[rows]).astype(np.float32))


def _sample(exemplars: Exemplars, seed: int) -> NDArray[np.int64]:
    by_size = np.argsort(-np.bincount(exemplars.assignment, minlength=len(exemplars.rows)), kind="stable")
    placed = exemplars.rows[by_size[:_POINTS]]
    others = np.setdiff1d(np.arange(len(exemplars.assignment)), exemplars.rows)
    drawn = np.random.default_rng(seed).choice(others, min(len(others), _POINTS - len(placed)), replace=False)
    return np.sort(np.concatenate([placed, drawn]))


def _principal_components(vectors: Vectors) -> NDArray[np.float64]:
    """float64 [P, 2]: the first two, zero where there are fewer; each one's largest value is positive."""
    centred = vectors.astype(np.float64) - vectors[0]  # equal vectors: exactly zero
    centred -= centred.mean(axis=0)
    with threadpool_limits(1):
        left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(vectors), 2))
    found[:, : len(sizes)] = (left * sizes)[:, :2]
    largest = found[np.abs(found).argmax(axis=0), [0, 1]]
    return found * np.where(largest < 0, -1.0, 1.0)
