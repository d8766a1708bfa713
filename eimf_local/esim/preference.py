"""The preference for a wanted share of exemplars (SPEC 3.2: p is calibrated), and the damping that it needs.

The number of exemplars K grows with the preference p, on the whole, from 1 to n. Where p is far below the similarities
log K falls nearly linearly with x = log(top - p), top being the largest similarity; so the search runs over x, and
places each trial on a line through known ones. Locally K is not monotone in p, jumps, and may skip the wanted number:
a bracket is only ever narrowed by its own ends, and the best trial is kept, whichever came last.

Where few exemplars are wanted of points without clear clusters, messages damped by .5 swing for ever, and K means
nothing. A run whose K swings is stopped, and it and all later ones are damped more: .75, then .875. Messages
then move more slowly, so that the numbers of iterations, to convergence and at most, grow as 1 / (1 - damping).

A trial costs a full run. Large problems are therefore calibrated on a random sample of their points first: nearly the
same p makes the same fraction of them exemplars.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError
from .affinity_propagation import (
    AffinityPropagationResult,
    Progress,
    Workspace,
    as_similarities,
    check_parameters,
    prepare,
    run,
)
from .message_passing import Floats

_TOLERANCE = 0.03  # of the wanted number, but at least one exemplar
_TRIALS = 12  # runs at most
_SAMPLE = 1000  # points of the sample, or an eighth of all; problems up to twice that are calibrated directly
_SHRINKAGE = 0.2  # p that makes the same fraction exemplars falls as n^-this: .1-.3 on text vectors
_SLOPE = -1.0  # of log K over x, before two trials tell: about that of text vectors
_APART = 0.05  # difference in x from which two trials tell the slope; nearer, it is noise
_NARROW = 1e-3  # width in x, a thousandth of p, below which a bracket holds a jump and not the wanted number
_UNCONVERGED = 0.03  # how much further from the wanted log K a trial counts if it did not converge
_UNSTEADY = 1.0  # and if not even K was steady
_DAMPED = 0.85  # damping from which on it is not raised any more: it would take more iterations than it saves
_TRANSIENT = 50  # iterations in which K may swing, at damping .5
_SWING = 2  # ratio of the largest K to the smallest, lately, from which on the messages swing


class Trial(NamedTuple):
    """One run: the preference, the share of points that were exemplars at its end, convergence, and its damping."""

    preference: float
    fraction: float
    converged: bool
    damping: float


@dataclass(frozen=True, eq=False)
class CalibratedPreference:
    """The chosen preference, the ``fraction`` of exemplars that it gives, its run, and all trials in order.

    ``result`` is what ``affinity_propagation`` returns for this preference, ``damping``, ``max_iter`` and
    ``convergence_iter``. ``fraction`` lies within 3 % (or one exemplar) of the wanted one where a trial reached that;
    else it is the nearest that was found.
    """

    preference: float
    damping: float
    max_iter: int
    convergence_iter: int
    fraction: float
    result: AffinityPropagationResult
    trials: list[Trial]


def calibrate_preference(
    S: ArrayLike,
    *,
    fraction: float,
    damping: float = 0.5,
    max_iter: int = 200,
    convergence_iter: int = 15,
    random_state: int = 0,
    callback: Progress | None = None,
    overwrite_S: bool = False,
) -> CalibratedPreference:
    """Find the preference with which affinity propagation makes ``fraction`` of the n points exemplars.

    ``S``: [n, n] as for :func:`affinity_propagation`, whose other arguments these are; ``fraction`` in (0, 1];
    ``damping`` is raised, and the iterations with it, if exemplars swing. ``callback(iteration, n_exemplars)`` hears
    every iteration of every trial on all points, each from 1. Memory is that of one run.

    A trial that did not converge wins only if nothing else is near. If all similarities are equal, there are 1 or n
    exemplars; the nearer (in ratio) is taken.

    Raises :class:`InputError` for an unusable S, :class:`ConfigError` for numbers out of range.
    """
    check_parameters(damping=damping, max_iter=max_iter, convergence_iter=convergence_iter)
    if not 0 < fraction <= 1:
        raise ConfigError(f"exemplar fraction is {fraction}", hint="choose it above 0, up to 1")
    S = as_similarities(S, overwrite=overwrite_S)
    n = len(S)
    span = _span(S)
    settings = _Settings(damping, max_iter, convergence_iter)

    def search(points: Floats, callback: Progress | None) -> _Search:
        engine = _Engine(prepare(points, random_state=random_state), callback)
        return _Search(engine, settings, n=len(points), fraction=fraction, span=span)

    rehearsal = None
    if n > 2 * _SAMPLE:
        sample = np.sort(np.random.default_rng(random_state).choice(n, max(_SAMPLE, n // 8), replace=False))
        rehearsal = search(S[np.ix_(sample, sample)], None)
        rehearsal.find()
    main = search(S, callback)
    if rehearsal is not None:
        main.learn(rehearsal)
    return main.find()


def run_settled(
    workspace: Workspace,
    preference: float,
    *,
    damping: float,
    max_iter: int,
    convergence_iter: int,
    callback: Progress | None,
) -> tuple[AffinityPropagationResult, float]:
    """Run with this preference, and again with more damping while it does not converge; return the last damping too.

    The result may not have converged in the end; it says so.
    """
    engine = _Engine(workspace, callback)
    settings: _Settings | None = _Settings(damping, max_iter, convergence_iter)
    while settings is not None:
        outcome = engine.run(preference, settings)
        settings = None if outcome.converged else settings.raised()
    assert outcome.result is not None  # a run is stopped only if the damping can be raised
    return outcome.result, outcome.settings.damping


class _SwingError(Exception):
    """Raised inside a run whose number of exemplars swings, to end it."""


class _Outcome(NamedTuple):
    """What came of a run: K, its ``result`` (None if it was stopped), and whether K was ``steady`` at its end."""

    exemplars: int
    result: AffinityPropagationResult | None
    steady: bool
    settings: _Settings

    @property
    def converged(self) -> bool:
        return self.result is not None and self.result.converged


class _Settings(NamedTuple):
    """Damping, and the numbers of iterations that go with it."""

    damping: float
    max_iter: int
    convergence_iter: int

    def raised(self) -> _Settings | None:
        """Half as far from 1, iterations doubled; None if the damping is high already."""
        if self.damping >= _DAMPED:
            return None
        return _Settings((1 + self.damping) / 2, 2 * self.max_iter, 2 * self.convergence_iter)


class _Engine:
    """Runs one problem at any preference and damping, and watches the number of exemplars."""

    def __init__(self, workspace: Workspace, callback: Progress | None) -> None:
        self._workspace = workspace
        self._callback = callback

    def run(self, preference: float, settings: _Settings) -> _Outcome:
        """Run once; stopped early if K swings and the damping can be raised."""
        counts: deque[int] = deque(maxlen=settings.convergence_iter)
        patience = 0.5 * _TRANSIENT / (1 - settings.damping) + settings.convergence_iter

        def watch(iteration: int, n_exemplars: int) -> None:
            if self._callback is not None:
                self._callback(iteration, n_exemplars)
            counts.append(n_exemplars)
            if iteration >= patience and max(counts) > _SWING * min(counts) + 1 and settings.raised():
                raise _SwingError

        result = None
        with suppress(_SwingError):
            result = run(self._workspace, preference, callback=watch, **settings._asdict())
        exemplars = counts[-1] if result is None else len(result.exemplars)
        steady = not counts or max(counts) <= (1 + _TOLERANCE) * min(counts) + 1
        return _Outcome(exemplars, result, steady, settings)


class _Point(NamedTuple):
    """x = log(top - p) and y = log K."""

    x: float
    y: float


class _Search:
    """Bracketed search for y = log K over x; y falls from log n at the left end to 0 at the right."""

    def __init__(self, engine: _Engine, settings: _Settings, *, n: int, fraction: float, span: _Span) -> None:
        scale = span.top - span.lowest or 1.0
        self._engine = engine
        self._settings = settings
        self._n = n
        self._wanted = max(1, round(fraction * n))
        self._y = math.log(self._wanted)
        self._top = span.top + 1e-3 * scale
        # Beyond these ends every point is an exemplar, as p > top, or one is, as p costs more than all the rest.
        self._left = _Point(math.log(1e-4 * scale), math.log(n))
        self._right = _Point(math.log(2 * n * scale), 0.0)
        self._known: list[_Point] = []
        self._slope = _SLOPE
        self._start = math.log(0.5 * scale) + (self._y - 0.5 * math.log(n)) / _SLOPE  # a guess
        self._trials: list[Trial] = []
        self._best: tuple[float, _Outcome] | None = None

    def learn(self, rehearsal: _Search) -> None:
        """Start near where the search on a sample of the points ended, with its slope and its damping."""
        x, outcome = rehearsal._found()
        self._slope = rehearsal._slope
        missed = (rehearsal._y - math.log(outcome.exemplars)) / self._slope
        self._start = x + missed - _SHRINKAGE * math.log(self._n / rehearsal._n)
        self._settings = rehearsal._settings

    def find(self) -> CalibratedPreference:
        """Run trials until one is near enough, the bracket is empty, or there were enough; return the best."""
        x = min(max(self._start, self._left.x), self._right.x)
        while len(self._trials) < _TRIALS and self._right.x - self._left.x > _NARROW:
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
        x, best = self._found()
        assert best.result is not None
        fraction = best.exemplars / self._n
        return CalibratedPreference(self._preference(x), *best.settings, fraction, best.result, self._trials)

    def _preference(self, x: float) -> float:
        return self._top - math.exp(x)

    def _try(self, x: float, settings: _Settings) -> _Outcome:
        """Run a trial, put it down, and keep it if it is the best."""
        preference = self._preference(x)
        outcome = self._engine.run(preference, settings)
        self._trials.append(Trial(preference, outcome.exemplars / self._n, outcome.converged, settings.damping))
        if outcome.result and (self._best is None or self._distance(outcome) < self._distance(self._best[1])):
            self._best = x, outcome
        return outcome

    def _found(self) -> tuple[float, _Outcome]:
        assert self._best is not None  # the first bracket is not empty, and a run is stopped twice at most
        return self._best

    def _distance(self, outcome: _Outcome) -> float:
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
        both_tried = left in self._known and right in self._known
        if both_tried and len(self._known) % 4 == 0:
            return (left.x + right.x) / 2
        step = (self._y - last.y) / self._slope
        if not both_tried and len(self._known) > 1:  # none beyond yet: go on in longer and longer steps
            step = math.copysign(max(abs(step), 2 * abs(last.x - self._known[-2].x)), step)
        x, margin = last.x + step, 0.05 * (right.x - left.x)
        if both_tried and not left.x + margin <= x <= right.x - margin:  # the line between the ends
            x = left.x + (left.y - self._y) / (left.y - right.y) * (right.x - left.x)
        return min(max(x, left.x + margin), right.x - margin)


class _Span(NamedTuple):
    """Smallest and largest similarity off the diagonal."""

    lowest: float
    top: float


def _span(S: Floats) -> _Span:
    """Of all similarities off the diagonal; 0, 0 for a single point."""
    lowest, top = math.inf, -math.inf
    for i, row in enumerate(S):
        for part in (row[:i], row[i + 1 :]):
            if len(part):
                lowest, top = min(lowest, float(part.min())), max(top, float(part.max()))
    return _Span(lowest, top) if len(S) > 1 else _Span(0.0, 0.0)
