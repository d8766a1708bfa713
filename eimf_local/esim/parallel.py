"""Loops compiled by numba, and threads to share them out; the messages of affinity propagation run on both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numba

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


def compiled(function: _Function) -> _Function:
    """Compile by numba, without the GIL, kept on disk for the next process where there is a place for it.

    Fast-math is limited to "there is no NaN" and "-0 is 0", which maxima need to be vectorised; sums keep their order.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": {"nnan", "nsz"}}
    try:
        return cast(_Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # neither the installation nor the home can be written: compile in every process
        return cast(_Function, numba.njit(**options)(function))
