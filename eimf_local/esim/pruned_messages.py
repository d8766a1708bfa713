"""Affinity propagation on the few messages that matter: ``message_passing``'s numbers for a fraction of its work.

Let v(j) be the availability of column j in a row whose responsibility R(i,j) was never positive: as A(i,j) follows
min(0, c(j) - max(0, R(i,j))), it depends on j alone, and it is the largest that a row can have there. Now take the
similarities of row i that are at most theta. None of them reaches the row's two largest A + S while the second is
above theta + max v; and as R grows with S, none is positive while a similarity of theta itself would not be, and adds
to no column sum c(j). So a row keeps S, R and A only where S is above its theta (on text vectors under 1 % of the
columns, after some iterations), and compares both in every iteration. Where they do not hold, theta is lowered. An
entry that was not kept, or was dropped for a while, is computed from its S, the maxima of its row and the sums of its
column so far; but one that was its row's maximum stays.

Nothing is approximated, and no sum changes its order: in float64 every message is bit-identical to scikit-learn's.
Where little can be pruned (similarities without structure) the entries outgrow the matrices that they replace;
:class:`TooManyError` says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .message_passing import Damping, Floats, Scalar
from .parallel import Turns, compiled, thread_count, threads

Integers = NDArray[np.int64]
RowsOfS = Callable[[Integers], Floats]

_BLOCKS = 4  # of rows, a thread: few to call, enough to share out
_SAMPLE = 512  # columns that tell where a row's largest similarities begin
_SHARE = 0.01  # of the columns, with which a row begins
_SLACK = 0.1  # how much lower than it must be theta is set, of its distance to the row's largest similarity
_RAISES = frozenset(4 * 2**k for k in range(12))  # iterations after which theta is raised
_MOST = 0.35  # of all entries: with more, the matrices are smaller and faster


class TooManyError(Exception):
    """The entries have become larger than the matrices R and A."""


class _Entries(NamedTuple):
    """What a block of rows, from row ``first`` on, keeps.

    ``starts``: int64 [rows + 1]; ``diagonal``: int64 [rows], where each row has its own column; ``columns``: int32
    [m], ascending in a row; ``S``, ``R``, ``A``: [m]; ``stays``: bool [m], the diagonal and former maxima of A + S.
    """

    first: int
    starts: Integers
    diagonal: Integers
    columns: NDArray[np.int32]
    S: Floats
    R: Floats
    A: Floats
    stays: NDArray[np.bool_]


class _Rows(NamedTuple):
    """Of every row, [n].

    ``theta``: similarities that are not kept are at most this; ``bound``: the responsibility of theta; ``zero``: that
    of a similarity of 0; ``second``: largest A + S of this iteration but one; ``R``, ``A``: messages on the diagonal.
    """

    theta: Floats
    bound: Floats
    zero: Floats
    second: Floats
    R: Floats
    A: Floats


class _Step(NamedTuple):
    """An iteration t = 1, 2 ..., or 0 before the first.

    ``weight``: of S in R; ``shared``: v(j), [n], and the ``highest`` of them; ``sums``, ``largest``: [at least t, n],
    the column sums that each iteration so far began with, and the largest A + S that its rows had.
    """

    t: int
    damping: Damping
    weight: Scalar
    shared: Floats
    highest: Scalar
    sums: Floats
    largest: Floats


def pass_pruned_messages(S: RowsOfS, n: int, dtype: Any, *, damping: float) -> Generator[Floats, None, None]:
    """Iterate without end from messages of zero; yield each iteration's evidence R(i,i) + A(i,i), [n].

    ``S``: function of row numbers, int64 [m], to their similarities, ``dtype`` (float32 or float64) [m, n], preferences
    on the diagonal; called from several threads, and always to give the same for a row. Threads: every core of the
    process, or NUMBA_NUM_THREADS; their number does not change the result. Raises :class:`TooManyError` where pruning
    does not pay.
    """
    old, new = damping_shares = Damping(dtype(damping), dtype(1 - damping))
    rows = _Rows(*(np.zeros(n, dtype) for _ in _Rows._fields))
    sums, shared = np.zeros(n, dtype), np.zeros(n, dtype)
    all_sums, all_largest = np.zeros((0, n), dtype), np.zeros((0, n), dtype)
    count = thread_count()
    bounds = np.linspace(0, n, min(_BLOCKS * count, n) + 1).astype(np.int64)
    blocks = [_Block(S, rows, first, last) for first, last in itertools.pairwise(bounds)]
    with threads(count) as share_out:
        for t in itertools.count():
            if t == len(all_sums):
                all_sums, all_largest = (
                    np.concatenate([known, np.empty((32 + t, n), dtype)]) for known in (all_sums, all_largest)
                )
            step = _Step(t, damping_shares, dtype(1 - damping**t), shared, shared.max(), all_sums, all_largest)
            if t == 0:
                share_out(_beginning(blocks, step), len(blocks))
                continue
            all_sums[t - 1] = sums
            shared = old * shared + new * np.minimum(sums, dtype(0))
            step = step._replace(shared=shared, highest=shared.max())
            sums = np.zeros(n, dtype)
            share_out(_in_turn(blocks, step, sums), len(blocks))
            # The diagonal of A as the next iteration will find it, so that both messages are of this one.
            yield rows.R + (old * rows.A + new * (sums - rows.R))


def _beginning(blocks: list[_Block], step: _Step) -> Callable[[int], None]:
    return lambda number: blocks[number].begin(step)


def _in_turn(blocks: list[_Block], step: _Step, sums: Floats) -> Callable[[int], None]:
    """Work that updates a block at any time, and adds it to the sums when those before it have been added."""
    turns = Turns()

    def update(number: int) -> None:
        with turns.after(number):
            blocks[number].update(step)
            turns.wait(number)
            blocks[number].add(sums)

    return update


class _Block:
    """Some consecutive rows and their entries."""

    def __init__(self, S: RowsOfS, rows: _Rows, first: int, last: int) -> None:
        self._S = S
        self._rows = rows
        self._first, self._last = int(first), int(last)
        self._most = _MOST * (last - first) * len(rows.theta)

    def begin(self, step: _Step) -> None:
        """Keep each row's largest similarities, as a sample of the columns tells."""
        numbers = np.arange(self._first, self._last)
        S = self._S(numbers)
        self._entries = _room(self._first, np.ones(len(S), np.int64), S.dtype)
        self._entries.diagonal[:] = np.arange(len(S))
        self._entries.columns[:] = numbers
        self._entries.S[:] = S[self._entries.diagonal, numbers]
        self._entries.R[:] = self._entries.A[:] = 0
        self._entries.stays[:] = True
        sample = S[:, :: max(1, S.shape[1] // _SAMPLE)]
        place = max(0, sample.shape[1] - max(4, round(_SHARE * sample.shape[1])))
        self._lower(S, np.arange(len(S)), np.partition(sample, place, axis=1)[:, place], step)

    def update(self, step: _Step) -> None:
        """Take the rows through one iteration; let them keep more entries where they must, fewer now and then."""
        _update_availabilities(self._entries, step, self._rows.A)
        wanted = np.empty(self._last - self._first, step.shared.dtype)
        places = np.arange(len(wanted))
        _update_responsibilities(self._entries, self._rows, step, places, wanted)
        places = np.flatnonzero(wanted < np.inf)
        if len(places):
            S = self._S(self._first + places)
            while len(places):
                self._lower(S, places, wanted[places], step)
                _update_responsibilities(self._entries, self._rows, step, places, wanted)
                still = wanted[places] < np.inf
                S, places = S[still], places[still]
                wanted[places] = -np.inf  # rounding: keep the whole row
        if step.t in _RAISES:
            self._raise(step)

    def add(self, sums: Floats) -> None:
        """Add max(0, R(i,j)) to the column sums, row after row, and R(i,i) on the diagonal."""
        _add(self._entries, sums)

    def _lower(self, S: Floats, places: Integers, theta: Floats, step: _Step) -> None:
        """Lower theta of the rows at these places, whose similarities S are, and take the entries above it."""
        self._rows.theta[self._first + places] = theta
        lengths = np.diff(self._entries.starts)
        lengths[places] = _count(self._entries, S, places, theta)
        if lengths.sum() > self._most:
            raise TooManyError
        entries = _room(self._first, lengths, S.dtype)
        _merge(entries, self._entries, S, self._rows, step, places)
        self._entries = entries

    def _raise(self, step: _Step) -> None:
        """Raise theta as far as this iteration allows, and drop the entries below it."""
        lengths = _raise(self._entries, self._rows, step)
        entries = _room(self._first, lengths, step.shared.dtype)
        _drop(entries, self._entries, self._rows.theta)
        self._entries = entries


def _room(first: int, lengths: Integers, dtype: Any) -> _Entries:
    """Room for rows of these lengths."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    m = int(starts[-1])
    S, R, A = (np.empty(m, dtype) for _ in range(3))
    return _Entries(
        first, starts, np.empty(len(lengths), np.int64), np.empty(m, np.int32), S, R, A, np.empty(m, np.bool_)
    )


@compiled
def _update_availabilities(entries: _Entries, step: _Step, own: Floats) -> None:
    """Update A in all entries, and copy its diagonal to ``own``."""
    _, starts, diagonal, columns, _, R, A, _ = entries
    old, new = step.damping
    sums = step.sums[step.t - 1]
    zero = sums.dtype.type(0)
    for r in range(len(diagonal)):
        i, d = entries.first + r, diagonal[r]
        own[i] = old * A[d] + new * (sums[i] - R[d])
        for e in range(starts[r], starts[r + 1]):
            A[e] = old * A[e] + new * min(sums[columns[e]] - max(R[e], zero), zero)
        A[d] = own[i]


@compiled
def _update_responsibilities(entries: _Entries, rows: _Rows, step: _Step, places: Integers, wanted: Floats) -> None:
    """Update R in the rows at ``places``; ``wanted`` gets infinity, or theta for a row that must keep more entries."""
    _, starts, diagonal, _, S, R, A, stays = entries
    old, new = step.damping
    for r in places:
        i, lo, hi = entries.first + r, starts[r], starts[r + 1]
        largest, second, place = _two_largest(A, S, lo, hi)
        bound = old * rows.bound[i] + new * (rows.theta[i] - largest)
        zero = old * rows.zero[i] - new * largest
        if bound > 0 or not second > rows.theta[i] + step.highest:
            wanted[r] = _theta(second, zero, step, entries, r)
            continue
        wanted[r] = S.dtype.type(np.inf)
        rows.bound[i], rows.zero[i], rows.second[i], step.largest[step.t - 1, i] = bound, zero, second, largest
        at_place = old * R[place] + new * (S[place] - second)
        for e in range(lo, hi):
            R[e] = old * R[e] + new * (S[e] - largest)
        R[place] = at_place
        stays[place] = True
        rows.R[i] = R[diagonal[r]]


@compiled
def _two_largest(A: Floats, S: Floats, lo: int, hi: int) -> tuple[Scalar, Scalar, int]:
    """Largest and second largest A + S of the entries lo to hi - 1, and where the (first) largest is."""
    largest, second, place = S.dtype.type(-np.inf), S.dtype.type(-np.inf), lo
    for e in range(lo, hi):
        m = A[e] + S[e]
        if m > second:
            if m > largest:
                largest, second, place = m, largest, e
            else:
                second = m
    return largest, second, place


@compiled
def _theta(second: Scalar, zero: Scalar, step: _Step, entries: _Entries, r: int) -> Scalar:
    """Theta that this iteration allows row r of the block, but for rounding, less some slack for the next ones."""
    need = min(second - step.highest, -zero / step.weight)
    lowest = step.shared.dtype.type(-np.inf)
    top = lowest
    for e in range(entries.starts[r], entries.starts[r + 1]):
        if e != entries.diagonal[r]:
            top = max(top, entries.S[e])
    return need - step.shared.dtype.type(_SLACK) * (top - need) if top > need else lowest


@compiled
def _count(entries: _Entries, S: Floats, places: Integers, theta: Floats) -> Integers:
    """How many entries each of the rows at ``places`` keeps with these theta: those above it, and what stays."""
    counts = np.empty(len(places), np.int64)
    for k in range(len(places)):
        count = 0
        for s in S[k]:
            count += s > theta[k]
        for e in range(entries.starts[places[k]], entries.starts[places[k] + 1]):
            count += entries.stays[e] and not entries.S[e] > theta[k]
        counts[k] = count
    return counts


@compiled
def _merge(longer: _Entries, entries: _Entries, S: Floats, rows: _Rows, step: _Step, places: Integers) -> None:
    """Copy the entries; in the rows at ``places`` add those whose similarities S are now above theta."""
    k = 0
    for r in range(len(longer.diagonal)):
        i, at, old, end = entries.first + r, longer.starts[r], entries.starts[r], entries.starts[r + 1]
        if k == len(places) or places[k] != r:
            for e in range(old, end):
                _copy(longer, at + e - old, entries, e)
            longer.diagonal[r] = at + entries.diagonal[r] - old
            continue
        theta = rows.theta[i]
        rows.bound[i] = _bound(theta, i, step, step.t - 1)
        for j in range(S.shape[1]):
            known = old < end and entries.columns[old] == j
            if known:
                _copy(longer, at, entries, old)
                old += 1
            elif S[k, j] > theta:
                longer.columns[at], longer.S[at], longer.stays[at] = j, S[k, j], False
                longer.R[at], longer.A[at] = _messages(S[k, j], i, j, step)
            else:
                continue
            if j == i:
                longer.diagonal[r] = at
            at += 1
        k += 1


@compiled
def _copy(to: _Entries, at: int, entries: _Entries, e: int) -> None:
    to.columns[at], to.S[at], to.stays[at] = entries.columns[e], entries.S[e], entries.stays[e]
    to.R[at], to.A[at] = entries.R[e], entries.A[e]


@compiled
def _messages(s: Scalar, i: int, j: int, step: _Step) -> tuple[Scalar, Scalar]:
    """R(i,j) of the last iteration and A(i,j) of this one, of a similarity s that was never the row's maximum."""
    old, new = step.damping
    zero = step.shared.dtype.type(0)
    r = a = zero
    for t in range(step.t):
        a = old * a + new * min(step.sums[t, j] - max(r, zero), zero)
        if t < step.t - 1:
            r = old * r + new * (s - step.largest[t, i])
    return r, a


@compiled
def _bound(theta: Scalar, i: int, step: _Step, iterations: int) -> Scalar:
    """Responsibility, after so many iterations, of a similarity theta in row i that was never the maximum."""
    r = step.shared.dtype.type(0)
    for t in range(iterations):
        r = step.damping.old * r + step.damping.new * (theta - step.largest[t, i])
    return r


@compiled
def _raise(entries: _Entries, rows: _Rows, step: _Step) -> Integers:
    """Raise theta in every row where that keeps its promise; return how many entries each then keeps."""
    _, starts, diagonal, _, S, _, _, stays = entries
    counts = np.empty(len(diagonal), np.int64)
    for r in range(len(diagonal)):
        i, lo, hi = entries.first + r, starts[r], starts[r + 1]
        theta = _theta(rows.second[i], rows.zero[i], step, entries, r)
        bound = _bound(theta, i, step, step.t)
        if theta > rows.theta[i] and not bound > 0:
            rows.theta[i], rows.bound[i] = theta, bound
        count = 0
        for e in range(lo, hi):
            count += stays[e] or S[e] > rows.theta[i]
        counts[r] = count
    return counts


@compiled
def _drop(fewer: _Entries, entries: _Entries, theta: Floats) -> None:
    """Copy the entries that stay or are above theta."""
    for r in range(len(fewer.diagonal)):
        at = fewer.starts[r]
        for e in range(entries.starts[r], entries.starts[r + 1]):
            if entries.stays[e] or entries.S[e] > theta[entries.first + r]:
                if e == entries.diagonal[r]:
                    fewer.diagonal[r] = at
                _copy(fewer, at, entries, e)
                at += 1


@compiled
def _add(entries: _Entries, sums: Floats) -> None:
    """Add the entries to the column sums: max(0, R(i,j)), and R(i,i) on the diagonal."""
    _, starts, diagonal, columns, _, R, _, _ = entries
    zero = sums.dtype.type(0)
    for r in range(len(diagonal)):
        for e in range(starts[r], starts[r + 1]):
            if R[e] > zero and e != diagonal[r]:
                sums[columns[e]] += R[e]
        sums[entries.first + r] += R[diagonal[r]]
