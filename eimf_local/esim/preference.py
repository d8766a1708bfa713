"""The preference for a wanted share of exemplars (SPEC 3.2: p is calibrated).

The number of exemplars K grows with the preference p, on the whole, from 1 to n. Where p is far below the similarities
log K falls nearly linearly with x = log(top - p), top being the largest similarity; so the search runs over x, and
places each trial on a line through known ones. Locally K is not monotone in p, jumps, and may skip the wanted number:
a bracket is only ever narrowed by its own ends, and the best trial is kept, whichever came last.

A trial costs a full run. Large problems are therefore calibrated on a random sample of their points first: nearly the
same p makes the same fraction of them exemplars. A trial whose K swings is repeated with more damping, and so are all
later ones (see ``propagation``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ..errors import ConfigError
from .propagation import (
    STEADY,
    AffinityPropagationResult,
    Outcome,
    Problem,
    Progress,
    Settings,
    run_watched,
)

_TOLERANCE = STEADY  # of the wanted number, but at least one exemplar
_TRIALS = 12  # runs at most
_SHRINKAGE = 0.2  # p that makes the same fraction exemplars falls as n^-this: .1-.3 on text vectors
_SLOPE = -1.0  # of log K over x, before two trials tell: about that of text vectors
_APART = 0.05  # difference in x from which two trials tell the slope; nearer, it is noise
_NARROW = 1e-3  # width in x, a thousandth of p, below which a bracket holds a jump and not the wanted number
_UNCONVERGED = 0.03  # how much further from the wanted log K a trial counts if it did not converge
_UNSTEADY = 1.0  # and if not even K was steady


class Trial(NamedTuple):
    """One run: the preference, the share of points that were exemplars at its end, convergence, and its damping.

    ``points``: how many it had, all or those of a sample.
    """

    preference: float
    fraction: float
    converged: bool
    damping: float
    points: int


@dataclass(frozen=True, eq=False)
class CalibratedPreference:
    """The run that came nearest to the wanted fraction of exemplars, and all trials in order, the sample's first.

    ``fraction`` lies within 3 % (or one exemplar) of the wanted one where a trial on all points reached that;
    else it is the nearest that was found.
    """

    result: AffinityPropagationResult
    settings: Settings
    trials: list[Trial]

    @property
    def fraction(self) -> float:
        """The share of points that are exemplars."""
        return len(self.result.exemplars) / len(self.result.labels)

    @property
    def monotone(self) -> bool:
        """Whether, of the trials on all points that converged, those with larger preferences had more exemplars."""
        n = len(self.result.labels)
        settled = sorted(trial for trial in self.trials if trial.points == n and trial.converged)
        return all(below.fraction <= above.fraction for below, above in pairwise(settled))


def calibrate_preference(
    problem: Problem, *, fraction: float, settings: Settings, callback: Progress | None = None
) -> CalibratedPreference:
    """Find the preference with which affinity propagation makes ``fraction`` of the n points exemplars.

    ``fraction`` in (0, 1]; damping is raised above that of ``settings``, and the iterations with it, if exemplars
    swing. ``callback(iteration, n_exemplars)`` hears every iteration of every trial on all points, each from 1. Memory
    is that of one run.

    A trial that did not converge wins only if nothing else is near. If all similarities are equal, there are 1 or n
    exemplars; the nearer (in ratio) is taken. Raises :class:`ConfigError` for numbers out of range.
    """
    settings.checked()
    if not 0 < fraction <= 1:
        raise ConfigError(f"exemplar fraction is {fraction}", hint="choose it above 0, up to 1")
    main = _Search(problem, settings, fraction, callback)
    sample = problem.sample()
    if sample is not None:
        rehearsal = _Search(sample, settings, fraction, None)
        rehearsal.find()
        main.learn(rehearsal)
    return main.find()


class _Point(NamedTuple):
    """x = log(top - p) and y = log K."""

    x: float
    y: float


class _Search:
    """Bracketed search for y = log K over x; y falls from log n at the left end to 0 at the right."""

    def __init__(self, problem: Problem, settings: Settings, fraction: float, callback: Progress | None) -> None:
        n, scale = problem.n, problem.top - problem.lowest or 1.0
        self._problem = problem
        self._settings = settings
        self._callback = callback
        self._wanted = max(1, round(fraction * n))
        self._y = math.log(self._wanted)
        self._top = problem.top + 1e-3 * scale
        # Beyond these ends every point is an exemplar, as p > top, or one is, as p costs more than all the rest.
        self._left = _Point(math.log(1e-4 * scale), math.log(n))
        self._right = _Point(math.log(2 * n * scale), 0.0)
        self._known: list[_Point] = []
        self._slope = _SLOPE
        self._start = math.log(0.5 * scale) + (self._y - 0.5 * math.log(n)) / _SLOPE  # a guess
        self._trials: list[Trial] = []
        self._most = _TRIALS
        self._best: tuple[float, Outcome] | None = None

    def learn(self, rehearsal: _Search) -> None:
        """Start near where the search on a sample of the points ended, with its slope and its damping."""
        x, outcome = rehearsal._found()
        self._slope = rehearsal._slope
        missed = (rehearsal._y - math.log(outcome.exemplars)) / self._slope
        self._start = x + missed - _SHRINKAGE * math.log(self._problem.n / rehearsal._problem.n)
        self._settings = rehearsal._settings
        self._trials = rehearsal._trials
        self._most = len(self._trials) + _TRIALS

    def find(self) -> CalibratedPreference:
        """Run trials until one is near enough, the bracket is empty, or there were enough; return the best."""
        x = min(max(self._start, self._left.x), self._right.x)
        while len(self._trials) < self._most and self._right.x - self._left.x > _NARROW:
            outcome = self._try(x, self._settings)
            more = self._settings.raised()
            if more and not outcome.steady:
                self._settings = more
                continue
            if abs(outcome.exemplars - self._wanted) <= max(1, _TOLERANCE * self._wanted):
                if more and not outcome.converged:  # a few points flicker: they may settle
                    self._try(x, more)
                break
            self._note(_Point(x, math.log(outcome.exemplars)))
            x = self._next()
        _, best = self._found()
        assert best.result is not None
        return CalibratedPreference(best.result, best.settings, self._trials)

    def _preference(self, x: float) -> float:
        return self._top - math.exp(x)

    def _try(self, x: float, settings: Settings) -> Outcome:
        """Run a trial, put it down, and keep it if it is the best."""
        preference, n = self._preference(x), self._problem.n
        outcome = run_watched(self._problem, preference, settings, self._callback)
        self._trials.append(Trial(preference, outcome.exemplars / n, outcome.converged, settings.damping, n))
        if outcome.result and (self._best is None or self._distance(outcome) < self._distance(self._best[1])):
            self._best = x, outcome
        return outcome

    def _found(self) -> tuple[float, Outcome]:
        assert self._best is not None  # the first bracket is not empty, and a run is stopped twice at most
        return self._best

    def _distance(self, outcome: Outcome) -> float:
        doubt = 0.0 if outcome.converged else _UNCONVERGED if outcome.steady else _UNSTEADY
        return abs(math.log(outcome.exemplars) - self._y) + doubt

    def _note(self, point: _Point) -> None:
        """Take a trial in: it becomes an end of the bracket, and corrects the slope."""
        if self._known and abs(point.x - self._known[-1].x) > _APART:
            last = self._known[-1]
            slope = (point.y - last.y) / (point.x - last.x)
            if 0.1 <= -slope <= 10:  # else the two lie across a jump, or where K is not monotone
                self._slope = slope
        self._known.append(point)
        if point.y > self._y:
            self._left = point
        else:
            self._right = point

    def _next(self) -> float:
        """x of the next trial: along the last slope, kept within the bracket; now and then the bracket is halved."""
        left, right, last = self._left, self._right, self._known[-1]
        step = (self._y - last.y) / self._slope
        if not (left in self._known and right in self._known):
            if len(self._known) > 1:  # none beyond yet: go on in longer and longer steps
                step = math.copysign(max(abs(step), 2 * abs(last.x - self._known[-2].x)), step)
            return min(max(last.x + step, left.x), right.x)
        if len(self._known) % 4 == 0:
            return (left.x + right.x) / 2
        x, margin = last.x + step, 0.05 * (right.x - left.x)
        if not left.x + margin <= x <= right.x - margin:  # the line between the ends
            x = left.x + (left.y - self._y) / (left.y - right.y) * (right.x - left.x)
        return min(max(x, left.x + margin), right.x - margin)
