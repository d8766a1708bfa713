"""A machine that fails: full disk, read-only folder, too little memory, a pipe that ends, wrong clock, a second run."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .harness import STAGES, Count, Stage, cli, digests, environment

Fault = Callable[[Path, Stage, random.Random], str]


def run(work: Path, sound: Path, *, rounds: int, seed: int, stages: Sequence[Stage] = STAGES) -> Count:
    """Every fault at every stage; ``sound`` holds the finished work, from which a stage's output is taken away."""
    count, rng = Count("the machine"), random.Random(seed)
    for name, fault in FAULTS.items():
        for stage in stages:
            for _ in range(rounds):
                folder = work / "trial"
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(sound, folder)
                shutil.rmtree(folder / stage.out)
                lost = fault(folder, stage, rng)
                count.check(not lost, f"{name}, {stage.name}: {lost}")
                shutil.rmtree(folder, ignore_errors=True)
    return count


def _full_disk(folder: Path, stage: Stage, rng: random.Random) -> str:
    """Files cannot grow beyond some kilobytes: what a full disk does, where mounting one needs root."""
    limit = rng.randrange(1, 200) * 1024
    done = cli(stage.words(folder), preexec_fn=lambda: _limit(resource.RLIMIT_FSIZE, limit))
    if done.code == 0:
        return ""  # enough for what it had to write
    return _goes_on(folder, stage) if done.refused else f"files of at most {limit} bytes: {done}"


def _read_only(folder: Path, stage: Stage, rng: random.Random) -> str:
    """Nothing can be written where the output should go."""
    place = folder / "locked"
    place.mkdir()
    words = [place / stage.out if word == folder / stage.out else word for word in stage.words(folder)]
    with _immutable(place) as locked:
        done = cli(words)
    return "" if done.refused or not locked else str(done)


def _little_memory(folder: Path, stage: Stage, rng: random.Random) -> str:
    """The address space ends while the stage works."""
    limit = rng.randrange(1500, 4000) << 20
    done = cli(stage.words(folder), preexec_fn=lambda: _limit(resource.RLIMIT_AS, limit))
    if done.code == 0:
        return ""
    # what a library does where its own allocation fails is beyond a line of ours; nothing may be lost for it
    return _goes_on(folder, stage)


def _closed_stdout(folder: Path, stage: Stage, rng: random.Random) -> str:
    """Whoever reads the output goes away."""
    process = subprocess.Popen(
        [sys.executable, "-m", "eimf_local_cli", *map(str, stage.words(folder))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=300)
    return said[-300:] if "Traceback" in said or process.returncode not in (0, 1) else _goes_on(folder, stage)


def _no_cache(folder: Path, stage: Stage, rng: random.Random) -> str:
    """The registry's and the compiler's folders cannot be written."""
    nowhere = folder / "file"
    nowhere.write_text("")
    homes = {name: str(nowhere / "x") for name in ("HOME", "XDG_CACHE_HOME", "EIMF_LOCAL_HOME", "NUMBA_CACHE_DIR")}
    before = {name: os.environ.get(name) for name in homes}
    os.environ.update(homes)
    try:
        done = cli(stage.words(folder))
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    return "" if done.clean else str(done)


def _clock_set_back(folder: Path, stage: Stage, rng: random.Random) -> str:
    """Everything on disk comes from the future."""
    future = time.time() + rng.uniform(1, 1e8)
    for path in folder.rglob("*"):
        os.utime(path, (future, future))
    return _goes_on(folder, stage)


def _second_run(folder: Path, stage: Stage, rng: random.Random) -> str:
    """Another process on the same output, while the first one works."""
    command = [sys.executable, "-m", "eimf_local_cli", *map(str, stage.words(folder))]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    _wait_for_lock(folder, stage, first)
    second = cli(stage.words(folder))
    told = f"in use by process {first.pid}" in second.stderr
    code = first.wait()
    if stage.name == "prepare" or second.code == 0:  # it is one writing of some files, and both write the same
        return "" if code == 0 and second.clean else f"first exit {code}, second {second}"
    return "" if code == 0 and second.refused and told else f"first exit {code}, second {second}"


def _wait_for_lock(folder: Path, stage: Stage, first: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and first.poll() is None:
        if any(path.stat().st_size for path in folder.rglob(".lock")):
            return
        time.sleep(0.02)


FAULTS: dict[str, Fault] = {
    "no space left": _full_disk,
    "read-only output": _read_only,
    "little memory": _little_memory,
    "closed stdout": _closed_stdout,
    "no cache": _no_cache,
    "clock set back": _clock_set_back,
    "two at once": _second_run,
}


def _goes_on(folder: Path, stage: Stage) -> str:
    """Whether the same command, undisturbed, ends well."""
    done = cli(stage.words(folder))
    return "" if done.code == 0 and digests(folder / stage.out) else f"cannot go on: {done}"


def _limit(what: int, value: int) -> None:
    if what == resource.RLIMIT_FSIZE:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails, as on a full disk
    resource.setrlimit(what, (value, value))


@contextmanager
def _immutable(place: Path) -> Iterator[bool]:
    """A folder in which nothing can be made, for root neither; yields False where that cannot be had."""
    place.chmod(0o555)
    made = os.geteuid() != 0
    if not made and shutil.which("mount"):
        bind = subprocess.run(["mount", "--bind", place, place], capture_output=True, check=False)
        again = ["mount", "-o", "remount,ro,bind", str(place)]
        made = not bind.returncode and not subprocess.run(again, capture_output=True, check=False).returncode
    try:
        yield made
    finally:
        if made and os.geteuid() == 0:
            subprocess.run(["umount", place], capture_output=True, check=False)
        place.chmod(0o755)
