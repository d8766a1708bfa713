"""SIGKILL at random moments of every stage: once resumed, its results must equal the undisturbed run's."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .harness import RESULTS, STAGES, Count, Stage, cli, digests, killed, write_source

_MOST_KILLS = 4  # of one piece of work
_MOST_TRIALS = 5  # for each kill that is wanted: a machine may be too fast to be struck


@dataclass(frozen=True)
class Undisturbed:
    """A stage's inputs, how long it takes, and the digests of its files that two runs have alike."""

    inputs: Path
    seconds: float
    files: dict[str, str]


def run(work: Path, *, kills: int, seed: int, stages: Sequence[str] = tuple(stage.name for stage in STAGES)) -> Count:
    """Kill at least ``kills`` times in all, the stages in turn, in folders under ``work``."""
    count, rng = Count("killed in mid-run"), random.Random(seed)
    before = _undisturbed(work, stages)
    chosen = [stage for stage in STAGES if stage.name in before]
    for trial in range(_MOST_TRIALS * kills):
        if kills <= 0:
            break
        stage = chosen[trial % len(chosen)]
        kills -= _trial(count, stage, before[stage.name], work / "trial", rng)
    return count


def _undisturbed(work: Path, stages: Sequence[str]) -> dict[str, Undisturbed]:
    """Run every stage twice up to the last of ``stages``."""
    place, found = work / "undisturbed", {}
    place.mkdir(parents=True)
    write_source(place)
    for stage in STAGES[: 1 + max(number for number, stage in enumerate(STAGES) if stage.name in stages)]:
        inputs = work / f"before-{stage.name}"
        shutil.copytree(place, inputs)
        files, seconds = [], 0.0
        for folder in (work / "trial", work / "trial"):  # the same path twice: some records name it
            shutil.copytree(inputs, folder)
            began = time.monotonic()
            done = cli(stage.words(folder))
            seconds = time.monotonic() - began
            if done.code:
                raise RuntimeError(f"{stage.name} fails undisturbed: {done}")
            files.append(digests(folder / stage.out))
            shutil.rmtree(place)
            folder.rename(place)
        alike = {name: digest for name, digest in files[0].items() if files[1].get(name) == digest}
        other = [name for name in files[0] if Path(name).name in RESULTS and name not in alike]
        if other:
            raise RuntimeError(f"{stage.name} gives other bytes the second time: {', '.join(other)}")
        if stage.name in stages:
            found[stage.name] = Undisturbed(inputs, seconds, alike)
    return found


def _trial(count: Count, stage: Stage, before: Undisturbed, folder: Path, rng: random.Random) -> int:
    """Kill a stage one to four times, then let it end; how often it still ran when it was killed."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(before.inputs, folder)
    moments = [rng.uniform(0.0, before.seconds) for _ in range(rng.randint(1, _MOST_KILLS))]
    struck = sum(killed(stage.words(folder), after=moment) for moment in moments)
    done = cli(stage.words(folder))
    now = digests(folder / stage.out) if done.code == 0 else {}
    changed = [name for name, digest in before.files.items() if now.get(name) != digest]
    left = [path.name for path in folder.iterdir() if "partial" in path.name or path.name.endswith(".work")]
    told = f"{stage.name} killed {struck} times after {', '.join(f'{m:.2f}' for m in moments)} s"
    count.check(done.code == 0 and not changed, f"{told}: {done}; other than undisturbed: {changed}")
    count.check(not left, f"{told}: left behind {left}")
    return struck
