"""How far affinity propagation is, told to a reporter: trial, iteration, exemplars so far, time left at most."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..progress import Reporter

_TASK = "affinity propagation"


class PropagationProgress:
    """A callback of affinity propagation; ``max_iterations`` bounds a trial, which mostly converges before.

    A calibration runs several trials, each from iteration 1. One that is damped more may take twice the iterations:
    that shows where it goes past the bound, which is then doubled.
    """

    def __init__(self, reporter: Reporter, max_iterations: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._reporter = reporter
        self._bound = max_iterations
        self._clock = clock
        self._started = 0.0
        self._trials = 0
        self._iterations = 0

    def __call__(self, iteration: int, n_exemplars: int) -> None:
        now = self._clock()
        if iteration == 1:
            self._trials += 1
            self._started = now
        self._iterations += 1
        while iteration > self._bound:
            self._bound *= 2
        note = f"trial {self._trials}: iteration {iteration} of at most {self._bound}, {n_exemplars:,} exemplars"
        if iteration > 1:
            left = (now - self._started) / (iteration - 1) * (self._bound - iteration)
            note += f", at most {_duration(left)} left"
        self._reporter.progress(_TASK, iteration, 0, note)

    def finish(self) -> None:
        """Nothing more will come; says nothing if nothing ran."""
        if self._trials:
            trials = "1 trial" if self._trials == 1 else f"{self._trials} trials"
            self._reporter.progress(_TASK, self._iterations, self._iterations, trials)


def _duration(seconds: float) -> str:
    """m:ss, or h:mm:ss; rounded up, as it is a bound.

    >>> _duration(11.2), _duration(3600)
    ('0:12', '1:00:00')
    """
    minutes, rest = divmod(int(-(-seconds // 1)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
