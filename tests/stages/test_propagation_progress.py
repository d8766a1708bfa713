"""What is said while affinity propagation runs."""

from __future__ import annotations

from eimf_local.progress import Reporter
from eimf_local.stages.propagation_progress import PropagationProgress


class Heard(Reporter):
    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int, str]] = []

    def progress(self, task: str, done: int, total: int, note: str = "") -> None:
        self.lines.append((task, done, total, note))


def heard(iterations: list[int], max_iterations: int, seconds: float) -> list[tuple[str, int, int, str]]:
    reporter, now = Heard(), [0.0]
    progress = PropagationProgress(reporter, max_iterations, clock=lambda: now[0])
    for iteration in iterations:
        now[0] += seconds
        progress(iteration, 512)
    progress.finish()
    return reporter.lines


def test_iteration_exemplars_and_an_upper_bound_on_the_time_left() -> None:
    *lines, last = heard([1, 2, 3, 4], max_iterations=200, seconds=0.5)
    assert lines[0] == ("affinity propagation", 1, 0, "trial 1: iteration 1 of at most 200, 512 exemplars")
    assert lines[3][3] == "trial 1: iteration 4 of at most 200, 512 exemplars, at most 1:38 left"
    assert last == ("affinity propagation", 4, 4, "1 trial")


def test_every_trial_counts_and_measures_anew() -> None:
    lines = heard([1, 2, 1, 2, 3], max_iterations=3601, seconds=1.0)
    assert [note.split(":")[0] for *_, note in lines[:-1]] == ["trial 1"] * 2 + ["trial 2"] * 3
    assert lines[3][3].endswith("at most 59:59 left")
    assert lines[0][3].count("left") == lines[2][3].count("left") == 0
    assert lines[-1][1:] == (5, 5, "2 trials")


def test_long_times_have_hours_and_a_trial_beyond_the_bound_doubles_it() -> None:
    lines = heard([1, 2, 3, 4, 5], max_iterations=4, seconds=3600.0)
    assert lines[1][3].endswith("iteration 2 of at most 4, 512 exemplars, at most 2:00:00 left")
    assert "iteration 5 of at most 8" in lines[4][3]


def test_nothing_is_said_where_nothing_ran() -> None:
    assert heard([], 200, 1.0) == []
