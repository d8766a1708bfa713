from __future__ import annotations

from eimf_local.esim.interests import InterestRecord
from eimf_local.progress import Reporter
from eimf_local.stages.inference_progress import InferenceProgress


class Notes(Reporter):
    def __init__(self) -> None:
        self.told: list[tuple[int, int, str]] = []

    def progress(self, task: str, done: int, total: int, note: str = "") -> None:
        self.told.append((done, total, note))


def record(path: str, tokens: int) -> InterestRecord:
    return InterestRecord("u", ("tea",), path, "m", "0", 1, tokens, 0)


def test_the_note_tells_speed_repaired_share_and_time_left_and_the_journal_does_not_count_as_speed() -> None:
    now, notes = [0.0], Notes()
    progress = InferenceProgress(notes, known=2, clock=lambda: now[0])
    progress(1, 10, record("retry", 1000))
    progress(2, 10, record("constrained", 1000))
    now[0] = 20.0
    progress(3, 10, record("constrained", 60))
    now[0] = 40.0
    progress(4, 10, record("salvaged-items", 140))
    assert notes.told == [
        (1, 10, "100 % repaired"),
        (2, 10, "50 % repaired"),
        (3, 10, "3 tokens/s, 33 % repaired, 2 min left"),
        (4, 10, "5 tokens/s, 50 % repaired, 2 min left"),
    ]
