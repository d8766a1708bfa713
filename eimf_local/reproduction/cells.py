"""The cells of the grid, trained by worker processes: one condition under one seed each.

A worker uses one thread, so that a cell's result does not depend on how many run beside it. A cell that fails is
reported and does not stop the others; a cell that is finished is never computed again. Where a worker dies (the kernel
killed it for its memory, say), the cells that it left undone are tried again, one at a time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Config
from ..errors import EimfError

if TYPE_CHECKING:
    from ..progress import Reporter

NOT_STARTED = "the time was up before it started"
_DIED = "its process died (out of memory?) — run the same command to go on"


@dataclass(frozen=True)
class Cell:
    """One training: where its inputs are, where its run goes, and its full config."""

    condition: str
    seed: int
    dataset: Path
    interests: Path | None
    encoder: str
    out: Path
    config: Config


@dataclass(frozen=True)
class Outcome:
    """A cell that is through; ``error`` is the one line of its failure, None where it succeeded.

    :data:`NOT_STARTED` is no failure: the deadline came first. ``seconds``: that it took in its worker.
    """

    cell: Cell
    error: str | None
    seconds: float = 0.0


def run_cells(cells: Sequence[Cell], *, workers: int, deadline: float | None = None) -> Iterator[Outcome]:
    """Train every cell, ``workers`` at a time, and yield outcomes as they finish.

    After ``deadline`` (of ``time.monotonic()``) no further cell is started.
    """
    orphaned: list[Cell] = []
    for outcome in _run_pool(cells, workers, deadline):
        if outcome.error == _DIED:
            orphaned.append(outcome.cell)
        else:
            yield outcome
    for cell in orphaned:
        yield from _run_pool([cell], 1, deadline)


def worker_count(workers: int) -> int:
    """``workers``, or one a core for 0."""
    return workers or len(os.sched_getaffinity(0))


def _run_pool(cells: Sequence[Cell], workers: int, deadline: float | None) -> Iterator[Outcome]:
    if not cells:
        return
    context = multiprocessing.get_context("spawn")  # a fork would inherit OpenMP's broken thread pools
    n_workers = min(workers, len(cells))
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_die_with, initargs=(os.getpid(),)) as pool:
        # Handed out one a worker, never cancelled: CPython's pool, when it breaks, trips over a cancelled future.
        waiting, running = deque(cells), dict[Future[Outcome], Cell]()
        try:
            while waiting or running:
                while waiting and len(running) < n_workers:
                    cell = waiting.popleft()
                    if refused := _hand_out(pool, cell, running, deadline):
                        yield Outcome(cell, refused)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield _outcome(running.pop(future), future)
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()  # checkpoints are whole at any moment; waiting for the cells would take minutes
            raise


def _hand_out(
    pool: ProcessPoolExecutor, cell: Cell, running: dict[Future[Outcome], Cell], deadline: float | None
) -> str | None:
    """Put the cell among those ``running``, or say why it is not."""
    if deadline is not None and time.monotonic() > deadline:
        return NOT_STARTED
    try:
        running[pool.submit(run_cell, cell)] = cell
    except BrokenProcessPool:
        return _DIED
    return None


def run_cell(cell: Cell) -> Outcome:
    """Train one cell in this process; a named error is told in the outcome."""
    from ..progress import Reporter

    begin, told = time.perf_counter(), None
    try:
        train_cell(cell, Reporter())
    except EimfError as error:
        told = str(error)
    return Outcome(cell, told, time.perf_counter() - begin)


def train_cell(cell: Cell, reporter: Reporter) -> None:
    """Train one cell in this process; a named error is raised."""
    from ..esim.encoder import load_encoder
    from ..stages.datasets import open_dataset
    from ..stages.interest_artifact import open_interests
    from ..stages.training import train

    dataset, encoder = open_dataset(cell.dataset, cell.config), load_encoder(cell.encoder)
    train(
        dataset,
        interests=open_interests(cell.interests, dataset, cell.config, encoder) if cell.interests else None,
        encoder=encoder,
        out=cell.out,
        config=cell.config,
        reporter=reporter,
    )


def _outcome(cell: Cell, future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(cell, _DIED)
    except Exception as error:
        return Outcome(cell, f"{type(error).__name__}: {error}".splitlines()[0])


def _die_with(parent: int) -> None:
    """End this worker when the parent is gone: an orphan would go on writing into a directory that a new run uses.

    Ctrl-C reaches the whole process group; the parent alone answers it, and ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
