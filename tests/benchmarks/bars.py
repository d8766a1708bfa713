"""Measured values beside what they must reach."""

from __future__ import annotations


class Bars:
    """Prints each comparison with "kept" or "MISSED", and remembers whether one was missed."""

    def __init__(self) -> None:
        self.missed = 0

    def at_most(self, what: str, value: float, bar: float, unit: str) -> None:
        self._print(what, value, f"at most {bar:g} {unit}", kept=value <= bar)

    def at_least(self, what: str, value: float, bar: float, unit: str) -> None:
        self._print(what, value, f"at least {bar:g} {unit}", kept=value >= bar)

    def exit_status(self) -> int:
        """1 if a bar was missed."""
        return 1 if self.missed else 0

    def _print(self, what: str, value: float, bar: str, *, kept: bool) -> None:
        self.missed += not kept
        print(f"{what}: {value:.3g} ({bar}): {'kept' if kept else 'MISSED'}", flush=True)
