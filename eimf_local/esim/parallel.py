"""Loops compiled by numba, and threads to share them out; the messages of affinity propagation run on both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

_PARTS = 16  # of rows: enough for the threads of most machines
_SMALL = 1 << 17  # entries up to which a second thread costs more than it brings

_Function = TypeVar("_Function", bound=Callable[..., Any])
ShareOut = Callable[[Callable[[int], None], int], None]


class Turns:
    """Lets threads do one part of their work in the order of its numbers 0, 1, 2 ..."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = 0

    def wait(self, number: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._next >= number)

    @contextmanager
    def after(self, number: int) -> Iterator[None]:
        """Let the next number have its turn afterwards, also after a failure, which must not leave others waiting."""
        try:
            yield
        finally:
            with self._changed:
                self._next = max(self._next, number + 1)
                self._changed.notify_all()


def thread_count() -> int:
    """Every core of the process, or NUMBA_NUM_THREADS."""
    return int(numba.config.NUMBA_NUM_THREADS)


@contextmanager
def threads(count: int) -> Iterator[ShareOut]:
    """Give a function that has work done on the numbers 0..m-1, each by whichever of ``count`` threads is free."""
    if count == 1:

        def do_all(work: Callable[[int], None], m: int) -> None:
            for number in range(m):
                work(number)

        yield do_all
        return
    with ThreadPoolExecutor(count) as pool:

        def share_out(work: Callable[[int], None], m: int) -> None:
            numbers = iter(range(m))  # next() on it is atomic

            def take() -> None:
                for number in numbers:
                    work(number)

            for job in [pool.submit(take) for _ in range(count)]:
                job.result()

        yield share_out


def equal_parts(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut rows, which begin at ``starts``, into parts of about as many entries: bounds, int64 [parts + 1]."""
    n = len(starts) - 1
    parts = _PARTS if starts[-1] > _SMALL else 1
    bounds = np.searchsorted(starts, np.linspace(0, starts[-1], parts + 1))
    bounds[0], bounds[-1] = 0, n
    return np.minimum(bounds, n)


def threads_for(entries: int) -> int:
    """How many threads so many entries are worth."""
    return thread_count() if entries > _SMALL else 1


def in_parts(work: Callable[..., None], starts: NDArray[np.int64], *arguments: Any) -> None:
    """Have ``work(*arguments, first, last)`` done for all rows, by all threads if there are many entries in them."""
    bounds = equal_parts(starts)
    work(*arguments, 0, 0)  # compiled, or loaded, in this thread: a failure is the caller's
    with threads(threads_for(int(starts[-1]))) as share_out:
        share_out(lambda part: work(*arguments, bounds[part], bounds[part + 1]), len(bounds) - 1)


def compiled(function: _Function) -> _Function:
    """Compile by numba, without the GIL, kept on disk for the next process where there is a place for it.

    Fast-math is limited to "there is no NaN" and "-0 is 0", which maxima need to be vectorised; sums keep their order.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": {"nnan", "nsz"}}
    try:
        return cast(_Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # neither the installation nor the home can be written: compile in every process
        return cast(_Function, numba.njit(**options)(function))
