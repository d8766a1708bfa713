"""Progress on terminals and in logs."""

from __future__ import annotations

import io

import pytest
from eimf_local_cli import console
from eimf_local_cli.console import ConsoleReporter, reporting
from rich.console import Console

NOTE = "trial 2: iteration 34 of at most 200, 512 exemplars, at most 0:12 left"


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> tuple[io.StringIO, list[float]]:
    """Where the console writes, and its clock."""
    out, now = io.StringIO(), [0.0]
    made = Console(file=out, force_terminal=terminal, width=80)
    monkeypatch.setattr(console, "Console", lambda stderr: made)
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return out, now


def test_logs_have_a_line_every_half_minute_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = shown(monkeypatch, terminal=False)
    with reporting() as reporter:
        for second in range(65):
            now[0] = float(second)
            reporter.progress("affinity propagation", 1, 0, NOTE)
            reporter.progress("train", second, 100, "loss 1")
        reporter.progress("train", 100, 100)
    assert out.getvalue().splitlines() == [
        f"affinity propagation, {NOTE}",
        "train 30/100 loss 1",
        f"affinity propagation, {NOTE}",
        "train 60/100 loss 1",
        "train 100/100",
    ]


def test_a_terminal_of_80_columns_shows_the_whole_note_where_the_total_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, _ = shown(monkeypatch, terminal=True)

    def draw(reporter: ConsoleReporter, total: int) -> str:
        reporter.progress("affinity propagation", 34, total, NOTE)
        out.truncate(0)
        reporter._progress.refresh()
        return out.getvalue()

    with reporting() as reporter:
        unknown, known = draw(reporter, 0), draw(reporter, 200)
    assert all(word in unknown for word in NOTE.split())
    assert "34/" not in unknown
    assert "34/200" in known
    assert "…" in known


def test_markup_in_notes_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = shown(monkeypatch, terminal=True)
    with reporting() as reporter:
        reporter.progress("train", 1, 2, "[red]loss")
        reporter.say("[bold]x")
    assert "[red]loss" in out.getvalue()
    assert "[bold]x" in out.getvalue()
