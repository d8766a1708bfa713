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
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from ..config import Config
from ..errors import EimfError

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
    """A finished cell; ``error`` is the one line of its failure, None where it succeeded."""

    cell: Cell
    error: str | None


def run_cells(cells: Sequence[Cell], *, workers: int) -> Iterator[Outcome]:
    """Train every cell, ``workers`` at a time (0: one a core), and yield outcomes as they finish."""
    orphaned: list[Cell] = []
    for outcome in _run_pool(cells, workers or len(os.sched_getaffinity(0))):
        if outcome.error == _DIED:
            orphaned.append(outcome.cell)
        else:
            yield outcome
    for cell in orphaned:
        yield from _run_pool([cell], 1)


def _run_pool(cells: Sequence[Cell], workers: int) -> Iterator[Outcome]:
    if not cells:
        return
    context = multiprocessing.get_context("spawn")  # a fork would inherit OpenMP's broken thread pools
    n_workers = min(workers, len(cells))
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_die_with, initargs=(os.getpid(),)) as pool:
        futures = {pool.submit(run_cell, cell): cell for cell in cells}
        try:
            for future in as_completed(futures):
                yield _outcome(futures[future], future)
        except BaseException:
            for future in futures:
                future.cancel()
            for process in list((pool._processes or {}).values()):
                process.terminate()  # checkpoints are whole at any moment; waiting for the cells would take minutes
            raise


def run_cell(cell: Cell) -> str | None:
    """Train one cell in this process; returns the one line of a named error, None on success."""
    from ..esim.encoder import load_encoder
    from ..progress import Reporter
    from ..stages.datasets import open_dataset
    from ..stages.interests import open_interests
    from ..stages.training import train

    try:
        dataset, encoder = open_dataset(cell.dataset, cell.config), load_encoder(cell.encoder)
        train(
            dataset,
            interests=open_interests(cell.interests, dataset, cell.config, encoder) if cell.interests else None,
            encoder=encoder,
            out=cell.out,
            config=cell.config,
            reporter=Reporter(),
        )
    except EimfError as error:
        return str(error)
    return None


def _outcome(cell: Cell, future: Future[str | None]) -> Outcome:
    try:
        return Outcome(cell, future.result())
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
