"""Seconds of every stage of a grid, kept over resumed runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..disk import write_json


class StageClock:
    """Seconds per stage, kept over resumed runs; a stage that finds its work done does not add to its cost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        if path.exists():
            with suppress(ValueError, TypeError, AttributeError):  # damaged: not worth an error, measured anew
                self._seconds = {str(name): float(value) for name, value in json.loads(path.read_text("utf-8")).items()}

    @contextmanager
    def stage(self, name: str, *, done: bool = False) -> Iterator[None]:
        """Measure a stage; ``done`` says that its result is already there."""
        started = time.perf_counter()
        try:
            yield
        finally:
            if not done or name not in self._seconds:
                self._seconds[name] = round(self._seconds.get(name, 0.0) + time.perf_counter() - started, 2)
                write_json(self._path, self._seconds)

    def seconds(self) -> list[dict[str, Any]]:
        """The stages in the order in which they first ran."""
        return [{"stage": name, "seconds": seconds} for name, seconds in self._seconds.items()]
