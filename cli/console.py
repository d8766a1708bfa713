"""What people see: progress bars, remarks and tables, all on stderr; stdout is for JSON alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as ElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn
from rich.table import Column, Table
from rich.text import Text

from eimf_local.plain_text import one_line
from eimf_local.progress import Reporter

_LOG_SECONDS = 30


class ConsoleReporter(Reporter):
    """Draws each task of the library as a bar with its count, the time left, and a live remark.

    Where stderr is no terminal (a log file), a line is written every ``_LOG_SECONDS`` instead.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._logged: dict[str, float] = {}

    def progress(self, task: str, done: int, total: int, note: str = "") -> None:
        if not self._progress.console.is_terminal:
            self._log(task, done, total, note)
            return
        if task not in self._tasks:
            self._tasks[task] = self._progress.add_task(escape(task), total=total or None, note="")
        self._progress.update(self._tasks[task], completed=done, total=total or None, note=note)
        if total and done >= total:
            self._progress.refresh()
            del self._tasks[task]

    def say(self, message: str) -> None:
        self._progress.console.print(escape(message), highlight=False, soft_wrap=True)

    def _log(self, task: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        finished = total > 0 and done >= total
        if finished or now - self._logged.setdefault(task, now) >= _LOG_SECONDS:
            self._logged[task] = now
            self.say(f"{task} {done}/{total} {note}".rstrip() if total else f"{task}, {note}")


class _Count(MofNCompleteColumn):
    """Done of total; nothing where the total is unknown."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


class _Note(ProgressColumn):
    """The live remark on one line, or on as many as it needs where it must tell what the count cannot."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["note"], no_wrap=task.total is not None, overflow="ellipsis")


@contextmanager
def reporting() -> Iterator[ConsoleReporter]:
    """Progress bars for the time of a command, which Ctrl-C ends wherever it waits.

    The handler that polars installs when it is imported would let a wait for another process go on.
    """
    signal.siginterrupt(signal.SIGINT, True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        _Count(),
        ElapsedColumn(),
        TimeLeftColumn(),
        _Note(table_column=Column(ratio=1)),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, expand=True, disable=not console.is_terminal) as progress:
        yield ConsoleReporter(progress)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """A table for people, on stderr; text from data is never read as markup, nor obeyed by the terminal."""
    table = Table(title=escape(one_line(title)), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    for row in rows:
        table.add_row(*(escape(one_line(cell)) for cell in row))
    Console(stderr=True).print(table)
