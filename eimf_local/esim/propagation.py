"""What every engine of affinity propagation has in common: its problem, its result, and settling.

Where few exemplars are wanted of points without clear clusters, messages damped by .5 swing for ever. A run that
swings, or does not converge, is repeated with more damping: .75, then .875. Messages then move more slowly, so that the
numbers of iterations, to convergence and at most, grow as 1 / (1 - damping).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

Progress = Callable[[int, int], None]
Preference = float | NDArray[np.float64]

STEADY = 0.03  # relative change of the number of exemplars, lately, up to which it is steady
_DAMPED = 0.85  # damping from which on it is not raised any more: it would take more iterations than it saves
_TRANSIENT = 50  # iterations in which the number of exemplars may swing, at damping .5
_SWING = 2  # ratio of the largest number of exemplars to the smallest, lately, from which on the messages swing


@dataclass(frozen=True, eq=False)
class AffinityPropagationResult:
    """Exemplars and clusters of n points.

    ``exemplars``: int64 [K], ascending; ``labels``: int64 [n], each point's cluster 0..K-1, whose exemplar is
    ``exemplars[label]``; ``n_iter``: iterations done (0 when all similarities are equal: nothing to iterate);
    ``converged``: whether the exemplars stayed the same for ``convergence_iter`` iterations (on a graph of neighbours
    all but one in 200); ``net_similarity``: sum of the points' similarities to their exemplars and of the exemplars'
    preferences; ``preference`` and ``damping``: as used in the end.
    """

    exemplars: NDArray[np.int64]
    labels: NDArray[np.int64]
    n_iter: int
    converged: bool
    net_similarity: float
    preference: float | NDArray[np.float64]
    damping: float

    @property
    def exemplar_of(self) -> NDArray[np.int64]:
        """int64 [n]: each point's exemplar as the number of a point; an exemplar's is its own."""
        return self.exemplars[self.labels]


class Settings(NamedTuple):
    """Damping, and the numbers of iterations that go with it."""

    damping: float
    max_iter: int
    convergence_iter: int

    def checked(self) -> Settings:
        """Raise :class:`ConfigError` unless the numbers are in range."""
        if not 0.5 <= self.damping < 1:
            raise ConfigError(f"damping is {self.damping}", hint="choose it from 0.5 up to, but not including, 1")
        if self.max_iter < 1 or self.convergence_iter < 1:
            raise ConfigError(
                f"max_iter is {self.max_iter} and convergence_iter {self.convergence_iter}",
                hint="both must be at least 1",
            )
        return self

    def raised(self) -> Settings | None:
        """Half as far from 1, iterations doubled; None if the damping is high already."""
        if self.damping >= _DAMPED:
            return None
        return Settings((1 + self.damping) / 2, 2 * self.max_iter, 2 * self.convergence_iter)


class Problem(Protocol):
    """Points whose exemplars are wanted; it may be run any number of times.

    ``n`` points; ``lowest`` and ``top``: the smallest and largest similarity between two of them (0, 0 of one point).
    """

    n: int
    lowest: float
    top: float

    def run(self, preference: Preference, settings: Settings, callback: Progress | None) -> AffinityPropagationResult:
        """Affinity propagation from messages of zero; ``callback(iteration, n_exemplars)`` after each iteration."""

    def sample(self) -> Problem | None:
        """A small part of the points, whose preference tells much of the whole's; None if they are few already."""


class Outcome(NamedTuple):
    """What came of a run: K, its ``result`` (None if it was stopped), and whether K was ``steady`` at its end."""

    exemplars: int
    result: AffinityPropagationResult | None
    steady: bool
    settings: Settings

    @property
    def converged(self) -> bool:
        return self.result is not None and self.result.converged


def run_watched(problem: Problem, preference: Preference, settings: Settings, callback: Progress | None) -> Outcome:
    """Run once; stopped early if the number of exemplars swings and the damping can be raised."""
    counts: deque[int] = deque(maxlen=settings.convergence_iter)
    patience = 0.5 * _TRANSIENT / (1 - settings.damping) + settings.convergence_iter

    def watch(iteration: int, n_exemplars: int) -> None:
        if callback is not None:
            callback(iteration, n_exemplars)
        counts.append(n_exemplars)
        if iteration >= patience and max(counts) > _SWING * min(counts) + 1 and settings.raised():
            raise _SwingError

    result = None
    with suppress(_SwingError):
        result = problem.run(preference, settings, watch)
    exemplars = counts[-1] if result is None else len(result.exemplars)
    steady = not counts or max(counts) <= (1 + STEADY) * min(counts) + 1
    return Outcome(exemplars, result, steady, settings)


def run_settled(
    problem: Problem, preference: Preference, settings: Settings, callback: Progress | None
) -> AffinityPropagationResult:
    """Run with this preference, and again with more damping while it does not converge.

    The result may not have converged in the end; it says so.
    """
    trying: Settings | None = settings
    while trying is not None:
        outcome = run_watched(problem, preference, trying, callback)
        trying = None if outcome.converged else trying.raised()
    assert outcome.result is not None  # a run is stopped only if the damping can be raised
    return outcome.result


class _SwingError(Exception):
    """Raised inside a run whose number of exemplars swings, to end it."""
