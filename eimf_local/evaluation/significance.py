"""Uncertainty of a mean over test users and training seeds: percentile bootstrap, paired differences, Holm.

The test users and the training seeds are two crossed samples: every seed's model ranks for every user. One bootstrap
replicate therefore draws n users with replacement and, within that replicate, S seeds with replacement (the same
seeds for all its users), and averages the cells that both draws select (Owen 2007, "The pigeonhole bootstrap").
Drawing seeds anew for each user instead would average a good or a bad seed away, although it moves all users
together. With one seed the interval speaks about users only.

Coverage of the nominal 95 % in 400 simulated studies each: 97 % and 95 % for a level and a difference of the size
met on Office with 3 seeds, 97 % with 5; where the scatter between seeds is several times that between users, 82 %
with 3 seeds and 91 % with 5: few seeds understate their own scatter, which is why claims need five.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95
# Differences of hit rates are often exactly zero; the order of summation must not decide on which side they fall.
_ROUNDING = 1e-12
_BLOCK = 500  # replicates per matrix product: bounds the memory at _BLOCK x n doubles


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile bootstrap interval, in the unit of the values."""

    mean: float
    low: float
    high: float

    def covers(self, value: float) -> bool:
        """Whether ``value`` lies in the closed interval."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Difference:
    """Mean of a - b over the same users, its interval, and the two-sided bootstrap p-value of "no difference"."""

    mean: float
    low: float
    high: float
    p_value: float

    @property
    def distinguishable(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def bootstrap_means(values: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Float64:
    """Resampled means, float64 [..., R], of float64 [..., S, n]: S seeds, n users.

    Every leading index meets the same draws, so that resampled means of two conditions can be subtracted.

    Raises:
        ValueError: no seed or no user, or a value that is not finite.
    """
    cells = _checked(values)
    n_seeds, n_users = cells.shape[-2:]
    cells = cells.reshape(-1, n_users)  # [A S, n]
    users = _user_counts(n_users, resamples, seed)  # [R, n]
    seeds = _seed_shares(n_seeds, resamples, seed)  # [R, S]
    means = np.empty((len(cells) // n_seeds, resamples))
    for start in range(0, resamples, _BLOCK):
        stop = min(start + _BLOCK, resamples)
        by_seed = cells @ (users[start:stop].T / n_users)  # [A S, block]
        by_seed = by_seed.reshape(-1, n_seeds, stop - start)
        means[:, start:stop] = np.einsum("asr,rs->ar", by_seed, seeds[start:stop])
    return means.reshape(*np.shape(values)[:-2], resamples)


def mean_intervals(
    values: npt.ArrayLike, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> list[Interval]:
    """One :class:`Interval` for each of A quantities, float64 [A, S, n]; see :func:`bootstrap_means`."""
    cells = _checked(values)
    low, high = _percentiles(bootstrap_means(cells, resamples=resamples, seed=seed), level)
    means = cells.mean(axis=(-2, -1))
    low, high = np.minimum(low, means), np.maximum(high, means)  # where all are one value, rounding parts them
    return [Interval(float(mean), float(a), float(b)) for mean, a, b in zip(means, low, high, strict=True)]


def mean_interval(
    values: npt.ArrayLike, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Mean over seeds and users of float64 [S, n], with its percentile bootstrap interval.

    >>> mean_interval([[0.0, 1.0, 1.0, 0.0]])
    Interval(mean=0.5, low=0.0, high=1.0)
    """
    return mean_intervals(np.asarray(values)[None], resamples=resamples, level=level, seed=seed)[0]


def paired_differences(
    a: npt.ArrayLike, b: npt.ArrayLike, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> list[Difference]:
    """One :class:`Difference` a - b for each of A quantities, both float64 [A, S, n] over the same seeds and users.

    p is twice the smaller share of resampled differences on either side of zero (zeros count on both), with one
    added to numerator and denominator, so that it is never 0 (Davison and Hinkley 1997, section 4.2).

    Raises:
        ValueError: shapes differ.
    """
    if np.shape(a) != np.shape(b):
        raise ValueError(f"paired values have shapes {np.shape(a)} and {np.shape(b)}")
    cells = _checked(np.subtract(a, b, dtype=np.float64))
    draws = bootstrap_means(cells, resamples=resamples, seed=seed)
    draws[np.abs(draws) < _ROUNDING] = 0.0
    low, high = _percentiles(draws, level)
    tail = np.minimum((draws <= 0).sum(axis=-1), (draws >= 0).sum(axis=-1))
    p_values = np.minimum(1.0, 2 * (tail + 1) / (resamples + 1))
    columns = zip(cells.mean(axis=(-2, -1)), low, high, p_values, strict=True)
    return [Difference(*(float(value) for value in column)) for column in columns]


def paired_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Difference:
    """Difference a - b of float64 [S, n] and [S, n], paired over users and seeds; see :func:`paired_differences`.

    >>> paired_difference([[1.0, 1.0, 1.0]], [[0.5, 0.5, 0.5]], resamples=999).p_value
    0.002
    """
    pair = np.asarray(a)[None], np.asarray(b)[None]
    return paired_differences(*pair, resamples=resamples, level=level, seed=seed)[0]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of a family of p-values, in the order given.

    The i-th smallest of m is multiplied by m - i + 1, made monotone, and cut at 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(order) - np.arange(len(order))
    steps = np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, steps)
    return [float(value) for value in adjusted]


def _checked(values: npt.ArrayLike) -> Float64:
    cells = np.asarray(values, dtype=np.float64)
    if cells.ndim < 2 or 0 in cells.shape[-2:]:
        raise ValueError(f"values must be [..., seeds, users] with at least one of each, not {cells.shape}")
    if not np.isfinite(cells).all():
        raise ValueError("values must be finite")
    return cells


@lru_cache(maxsize=2)
def _user_counts(n_users: int, resamples: int, seed: int) -> npt.NDArray[np.uint16]:
    """uint16 [R, n]: how often each user was drawn; each row sums to n. Read-only, since it is shared."""
    generator = np.random.default_rng([seed, 0])
    counts = np.empty((resamples, n_users), dtype=np.uint16)
    for start in range(0, resamples, _BLOCK):
        rows = min(_BLOCK, resamples - start)
        drawn = generator.integers(0, n_users, size=(rows, n_users)) + n_users * np.arange(rows)[:, None]
        counts[start : start + rows] = np.bincount(drawn.ravel(), minlength=rows * n_users).reshape(rows, n_users)
    counts.flags.writeable = False
    return counts


def _seed_shares(n_seeds: int, resamples: int, seed: int) -> Float64:
    """float64 [R, S]: the share of each training seed in a replicate; each row sums to 1."""
    generator = np.random.default_rng([seed, 1])
    return generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=resamples) / n_seeds


def _percentiles(draws: Float64, level: float) -> tuple[Float64, Float64]:
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=-1)
    return low, high
