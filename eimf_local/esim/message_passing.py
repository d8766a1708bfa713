"""The kernel of affinity propagation: responsibilities R and availabilities A, one traversal per iteration.

In the paper's letters (SPEC 3.2, eq. 2; Frey and Dueck, Science 315, 2007), with damping added:

    R(i,j) = S(i,j) - max_{k != j} (A(i,k) + S(i,k))
    A(i,j) = min(0, R(j,j) + sum_{k not in {i,j}} max(0, R(k,j))),    A(j,j) = sum_{k != j} max(0, R(k,j))

How one traversal is enough: with the last iteration's column sums c(j) = R(j,j) + sum_{k != j} max(0, R(k,j)),
A(i,j) = min(0, c(j) - max(0, R(i,j))) and A(j,j) = c(j) - R(j,j) need nothing but row i. So each row is taken once:
its availabilities are brought up to date, its two largest A + S found, its responsibilities computed and added to the
new column sums, all while it lies in cache. Threads share the rows.

The result never depends on the number of threads. In float64 column sums are added row after row, as scikit-learn
adds, and every message is bit-identical to its: threads update blocks of rows at once and add them up in turn. In
float32 up to 64 parts of the rows, cut by n alone, have sums of their own (a third faster, and more exact).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from .parallel import ShareOut, Turns, compiled, thread_count, threads

Floats = NDArray[np.floating[Any]]
Scalar = Any  # numba's float32 or float64; Python's float will not do for mypy

_COLUMNS = 128  # columns whose maximum is taken at once: in L1, and few to search for the place of the maximum
_SMALL = 512  # rows up to which a second thread costs more than it brings
_PARTS = 64  # of the rows, float32: enough for the threads of any machine
_BLOCK_BYTES = 1 << 20  # of R, float64: so that a block of rows is still in cache when its turn to be added comes


class Messages(NamedTuple):
    """Similarities (preferences on the diagonal), responsibilities and availabilities, [n, n]; or one row, [n]."""

    S: Floats
    R: Floats
    A: Floats


class Damping(NamedTuple):
    """Shares of the old and of the new message, in the dtype of the messages."""

    old: Scalar
    new: Scalar


def pass_messages(messages: Messages, *, damping: float) -> Generator[Floats, None, None]:
    """Iterate without end from the messages as they are, in place; yield each iteration's evidence R(i,i) + A(i,i).

    float32 or float64 [n]; points where it is positive are exemplars. The messages' A is one iteration behind. Threads:
    every core of the process, or NUMBA_NUM_THREADS. Closing the iterator ends them.
    """
    S, R, A = messages
    shares = Damping(S.dtype.type(damping), S.dtype.type(1 - damping))
    column_sums = np.zeros(len(S), S.dtype)
    sweep = _sweep_in_order if S.dtype == np.float64 else _sweep_in_parts
    _compile(messages, column_sums, shares)
    with threads(1 if len(S) <= _SMALL else thread_count()) as share_out:
        while True:
            column_sums = sweep(messages, column_sums, shares, share_out)
            # The diagonal of A as the next traversal will find it, so that both messages are of this iteration.
            own = R.diagonal()
            yield own + (shares.old * A.diagonal() + shares.new * (column_sums - own))


def _sweep_in_parts(messages: Messages, column_sums: Floats, damping: Damping, share_out: ShareOut) -> Floats:
    """Do one iteration, each part of the rows with column sums of its own; return the new column sums [n]."""
    n = len(column_sums)
    parts = 1 if n <= _SMALL else min(_PARTS, n // 64)
    bounds = np.linspace(0, n, parts + 1).astype(np.int64)
    sums = np.zeros((parts, n), column_sums.dtype)

    def update(part: int) -> None:
        _update_rows(messages, column_sums, sums[part], damping, bounds[part], bounds[part + 1])

    share_out(update, parts)
    return cast(Floats, sums.sum(axis=0))


def _sweep_in_order(messages: Messages, column_sums: Floats, damping: Damping, share_out: ShareOut) -> Floats:
    """Do one iteration, column sums added row after row; return the new ones [n]."""
    n = len(column_sums)
    rows = n if n <= _SMALL else max(1, _BLOCK_BYTES // messages.R[0].nbytes)
    sums, unused = np.zeros(n, column_sums.dtype), column_sums[:0]
    turns = Turns()

    def update(block: int) -> None:
        first, last = block * rows, min((block + 1) * rows, n)
        with turns.after(block):
            _update_rows(messages, column_sums, unused, damping, first, last)
            turns.wait(block)
            _add_rows(messages.R, sums, first, last)

    share_out(update, -(-n // rows))
    return sums


def _compile(messages: Messages, column_sums: Floats, damping: Damping) -> None:
    """Compile, or load, what will run: in the caller's thread, so that a failure is the caller's."""
    _update_rows(messages, column_sums, column_sums, damping, 0, 0)
    if column_sums.dtype == np.float64:
        _add_rows(messages.R, column_sums, 0, 0)


@compiled
def _update_block(row: Messages, column_sums: Floats, damping: Damping, lo: int, hi: int, m: Scalar) -> Scalar:
    """Update A(i,j) for j from lo to hi - 1, none on the diagonal; return the maximum of m and their A + S."""
    S, R, A = row
    old, new = damping
    zero = S.dtype.type(0)
    for j in range(lo, hi):
        a = old * A[j] + new * min(column_sums[j] - max(R[j], zero), zero)
        A[j] = a
        m = max(m, a + S[j])
    return m


@compiled
def _update_availabilities(row: Messages, column_sums: Floats, damping: Damping, i: int) -> tuple[Scalar, Scalar, int]:
    """Update row i of A; return the largest and second largest A(i,j) + S(i,j), and the (first) j of the largest."""
    S, R, A = row
    lowest = S.dtype.type(-np.inf)
    largest, second, best = lowest, lowest, 0
    diagonal = damping.old * A[i] + damping.new * (column_sums[i] - R[i])
    for lo in range(0, len(S), _COLUMNS):
        hi = min(lo + _COLUMNS, len(S))
        if lo <= i < hi:
            m = _update_block(row, column_sums, damping, lo, i, diagonal + S[i])
            m = _update_block(row, column_sums, damping, i + 1, hi, m)
            A[i] = diagonal
        else:
            m = _update_block(row, column_sums, damping, lo, hi, lowest)
        if m > largest:
            largest, second, best = m, largest, lo
        else:
            second = max(second, m)
    place = best
    while A[place] + S[place] != largest:
        place += 1
    for j in range(best, min(best + _COLUMNS, len(S))):
        if j != place:
            second = max(second, A[j] + S[j])
    return largest, second, place


@compiled
def _update_rows(
    messages: Messages, column_sums: Floats, new_sums: Floats, damping: Damping, first: int, last: int
) -> None:
    """Take rows ``first`` to ``last`` - 1 through one iteration and add them to new_sums, unless that is empty."""
    old, new = damping
    zero = column_sums.dtype.type(0)
    for i in range(first, last):
        row = Messages(messages.S[i], messages.R[i], messages.A[i])
        S, R = row.S, row.R
        largest, second, place = _update_availabilities(row, column_sums, damping, i)
        # Two columns are not like the rest: that of the maximum, which is compared with the second; and the diagonal,
        # which is counted with its sign.
        at_place = old * R[place] + new * (S[place] - second)
        if len(new_sums):
            sum_at_place, sum_at_i = new_sums[place], new_sums[i]
            for j in range(len(S)):
                r = old * R[j] + new * (S[j] - largest)
                R[j] = r
                new_sums[j] += max(r, zero)
            R[place] = at_place
            new_sums[place] = sum_at_place + max(at_place, zero)
            new_sums[i] = sum_at_i + R[i]
        else:
            for j in range(len(S)):
                R[j] = old * R[j] + new * (S[j] - largest)
            R[place] = at_place


@compiled
def _add_rows(R: Floats, sums: Floats, first: int, last: int) -> None:
    """Add rows ``first`` to ``last`` - 1 to the column sums: max(0, R(i,j)), and R(i,i) on the diagonal."""
    zero = R.dtype.type(0)
    for i in range(first, last):
        R_i = R[i]
        sum_at_i = sums[i]
        for j in range(len(sums)):
            sums[j] += max(R_i[j], zero)
        sums[i] = sum_at_i + R_i[i]
