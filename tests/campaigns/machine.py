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
from dataclasses import dataclass
from pathlib import Path

from .harness import STAGES, Count, Stage, Words, cli, environment, results


@dataclass(frozen=True)
class Trial:
    """A stage whose inputs lie in ``folder`` and whose output is not there yet, and what it gives undisturbed."""

    folder: Path
    stage: Stage
    rng: random.Random
    results: dict[str, str]

    @property
    def words(self) -> Words:
        """The stage's command."""
        return self.stage.words(self.folder)

    def words_into(self, place: Path) -> Words:
        """The stage's command, writing into ``place``."""
        return [place / self.stage.out if word == self.folder / self.stage.out else word for word in self.words]

    def goes_on(self, words: Words, out: Path) -> str:
        """What is lost when the command is given again, with nothing in its way."""
        done = cli(words)
        return f"cannot go on: {done}" if done.code else self.lost(out)

    def lost(self, out: Path) -> str:
        """How the results differ from the undisturbed ones."""
        now = results(out)
        other = [name for name in self.results | now if now.get(name) != self.results.get(name)]
        return f"other than undisturbed: {', '.join(other)}" if other else ""


Fault = Callable[[Trial], str]


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
                lost = fault(Trial(folder, stage, rng, results(sound / stage.out)))
                count.check(not lost, f"{name}, {stage.name}: {lost}")
                shutil.rmtree(folder, ignore_errors=True)
    return count


def _full_disk(trial: Trial) -> str:
    """The disk is full after some kilobytes; where mounting one needs root, files cannot grow beyond that."""
    limit = trial.rng.randrange(1, 200) * 1024
    with _small_disk(trial.folder / "disk", limit) as resize:
        if resize is None:
            return _short_files(trial, limit)
        words = trial.words_into(trial.folder / "disk")
        done = cli(words)
        if done.code and not done.refused:
            return f"a disk of {limit} bytes: {done}"
        resize(1 << 30)
        return trial.goes_on(words, trial.folder / "disk" / trial.stage.out)


def _short_files(trial: Trial, limit: int) -> str:
    done = cli(trial.words, preexec_fn=lambda: _limit(resource.RLIMIT_FSIZE, limit))
    if done.code and not done.refused:
        return f"files of at most {limit} bytes: {done}"
    return trial.goes_on(trial.words, trial.folder / trial.stage.out)


def _read_only(trial: Trial) -> str:
    """Nothing can be written where the output should go."""
    place = trial.folder / "locked"
    place.mkdir()
    words = trial.words_into(place)
    with _immutable(place) as locked:
        done = cli(words)
    if locked and not done.refused:
        return str(done)
    return trial.goes_on(words, place / trial.stage.out)


def _little_memory(trial: Trial) -> str:
    """The address space ends while the stage works."""
    limit = trial.rng.randrange(1500, 4000) << 20
    cli(trial.words, preexec_fn=lambda: _limit(resource.RLIMIT_AS, limit))
    # what a library does where its own allocation fails is beyond a line of ours; nothing may be lost for it
    return trial.goes_on(trial.words, trial.folder / trial.stage.out)


def _closed_stdout(trial: Trial) -> str:
    """Whoever reads the output goes away."""
    process = subprocess.Popen(
        [sys.executable, "-m", "eimf_local_cli", *map(str, trial.words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=300)
    if "Traceback" in said or process.returncode not in (0, 1):
        return f"exit {process.returncode}: {said[-300:]}"
    return trial.goes_on(trial.words, trial.folder / trial.stage.out)


def _no_cache(trial: Trial) -> str:
    """The registry's and the compiler's folders cannot be written."""
    nowhere = trial.folder / "file"
    nowhere.write_text("")
    homes = ("HOME", "XDG_CACHE_HOME", "EIMF_LOCAL_HOME", "NUMBA_CACHE_DIR")
    done = cli(trial.words, also=dict.fromkeys(homes, str(nowhere / "x")))
    if done.code:
        return "" if done.refused else str(done)
    return trial.lost(trial.folder / trial.stage.out)


def _clock_set_back(trial: Trial) -> str:
    """Everything on disk comes from the future."""
    future = time.time() + trial.rng.uniform(1, 1e8)
    for path in trial.folder.rglob("*"):
        os.utime(path, (future, future))
    return trial.goes_on(trial.words, trial.folder / trial.stage.out)


def _second_run(trial: Trial) -> str:
    """Another process on the same output, while the first one works."""
    command = [sys.executable, "-m", "eimf_local_cli", *map(str, trial.words)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    _wait_for_lock(trial.folder, first)
    second = cli(trial.words)
    told = second.refused and f"in use by process {first.pid}" in second.stderr
    code = first.wait()
    # a second one that found the first one's work done succeeds
    if code or not (told or second.code == 0):
        return f"first exit {code}, second {second}"
    return trial.lost(trial.folder / trial.stage.out)


def _wait_for_lock(folder: Path, first: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and first.poll() is None:
        if any(path.read_text() == str(first.pid) for path in folder.rglob(".lock")):
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


def _limit(what: int, value: int) -> None:
    if what == resource.RLIMIT_FSIZE:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails, as on a full disk
    resource.setrlimit(what, (value, value))


@contextmanager
def _small_disk(place: Path, size: int) -> Iterator[Callable[[int], object] | None]:
    """A file system of ``size`` bytes, and what gives it another size; None where this user may not mount one."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return

    def resize(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)

    try:
        yield resize
    finally:
        subprocess.run(["umount", str(place)], check=True)


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
