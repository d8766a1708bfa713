"""How the library tells what it is doing without printing: the command line draws it, tests ignore it."""

from __future__ import annotations


class Reporter:
    """Receives progress and remarks; this base class is silent."""

    def progress(self, task: str, done: int, total: int, note: str = "") -> None:
        """``task`` has finished ``done`` of ``total`` units; ``note`` is a short live remark. done == total ends it."""

    def say(self, message: str) -> None:
        """One line worth keeping: a choice made, a result, a stage skipped because it is up to date."""
