"""How far inference is, told to a reporter: tokens a second, the share that needed repair, time left."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..esim.interests import InterestRecord
from ..progress import Reporter

_TASK = "infer interests"


class InferenceProgress:
    """A callback of inference; the first ``known`` records come from the journal and say nothing of the speed."""

    def __init__(self, reporter: Reporter, *, known: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._reporter = reporter
        self._known = known
        self._clock = clock
        self._started = clock()
        self._tokens = 0
        self._repaired = 0

    def __call__(self, done: int, total: int, record: InterestRecord) -> None:
        self._repaired += record.path != "constrained"
        notes = [f"{100 * self._repaired / done:.0f} % repaired"]
        inferred, seconds = done - self._known, self._clock() - self._started
        if inferred > 0 and seconds > 0:
            self._tokens += record.tokens
            left = seconds / inferred * (total - done)
            notes = [f"{self._tokens / seconds:.0f} tokens/s", *notes, f"{_duration(left)} left"]
        self._reporter.progress(_TASK, done, total, ", ".join(notes))


def _duration(seconds: float) -> str:
    """Rounded to what matters.

    >>> _duration(11.2), _duration(700), _duration(9000)
    ('11 s', '12 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
