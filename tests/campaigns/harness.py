"""What the campaigns share: a small piece of work, the command line as a process, and the count."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eimf_local.data.demo import write_demo_source

QUICK = (
    *("--set", "train.max_steps=60", "--set", "train.evaluate_every=10", "--set", "train.batch_size=32"),
    *("--set", "train.patience=100"),
)
FRACTION = ("--set", "exemplars.fraction=0.06")
Words = Sequence[str | Path]
# These are the same for the same work, byte for byte.
RESULTS = {
    *("users.parquet", "items.parquet", "sequences.safetensors"),
    *("interests.jsonl", "embeddings.safetensors", "model.safetensors", "metrics.json", "per_user.parquet"),
}
_SECONDS = re.compile(rb'"seconds": [0-9.e-]+')


@dataclass
class Count:
    """Faults tried, and one line for each that lost something."""

    name: str
    tried: int = 0
    lost: list[str] = field(default_factory=list)

    def check(self, kept: bool, what: str) -> None:
        """Count a fault; ``what`` tells what was done and what came of it, should it not have been ``kept``."""
        self.tried += 1
        if not kept:
            self.lost.append(what)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def clean(self) -> bool:
        """Whether it succeeded, or failed as promised: exit 1, one line of error, no traceback."""
        errors = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        if "Traceback" in self.stderr:
            return False
        return self.code == 0 or (self.code == 1 and len(errors) == 1 and " — " in errors[0])

    @property
    def refused(self) -> bool:
        """Whether it failed as promised."""
        return self.code == 1 and self.clean

    def __str__(self) -> str:
        return f"exit {self.code}: {self.stderr.strip()[-300:]}"


@dataclass(frozen=True)
class Stage:
    """A command, what it writes, and what it needs to be there."""

    name: str
    out: str
    words: Callable[[Path], Words]


STAGES = (
    Stage("prepare", "dataset", lambda w: ["prepare", w / "source", "--format", "table", "--out", w / "dataset"]),
    Stage(
        "infer-interests",
        "interests",
        lambda w: ["infer-interests", "--dataset", w / "dataset", "--out", w / "interests", *FRACTION],
    ),
    Stage(
        "train",
        "run",
        lambda w: ["train", "--dataset", w / "dataset", "--interests", w / "interests", "--out", w / "run", *QUICK],
    ),
    Stage(
        "reproduce",
        "grid",
        lambda w: [
            *("reproduce", w / "grid.toml", "--dataset", w / "dataset", "--interests", w / "interests"),
            *("--out", w / "grid", "--seeds", "1", "--set", "reproduce.workers=1"),
        ],
    ),
)
GRID_PRESET = """
[exemplars]
fraction = 0.06
[train]
max_steps = 40
evaluate_every = 10
batch_size = 32
[reproduce]
conditions = ["pop", "remi", "eimf"]
"""


def write_source(work: Path, *, users: int = 160, items: int = 120) -> None:
    """What the first stage reads, and the grid's preset."""
    write_demo_source(work / "source", users=users, items=items)
    (work / "grid.toml").write_text(GRID_PRESET)


def cli(words: Words, *, timeout: float = 300, also: Mapping[str, str] | None = None, **settings: object) -> Done:
    """Run a command to its end, with ``also`` in its environment."""
    done = subprocess.run(
        [sys.executable, "-m", "eimf_local_cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**environment(), **(also or {})},
        **settings,  # type: ignore[call-overload]
    )
    return Done(done.returncode, done.stdout, done.stderr)


def killed(words: Words, *, after: float) -> bool:
    """Start a command and kill it with all its children after some seconds; whether it still ran then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "eimf_local_cli", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(),
    )
    time.sleep(after)
    running = process.poll() is None
    if running:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return running


def environment() -> dict[str, str]:
    """That of the tests, with one thread: campaigns run beside each other."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 by relative name of the files under ``folder``; what is hidden or unfinished is left out."""
    return {str(path.relative_to(folder)): _sha256(path) for path in sorted(_files(folder))}


def results(folder: Path) -> dict[str, str]:
    """The digests of those files that are the same for the same work."""
    return {name: digest for name, digest in digests(folder).items() if Path(name).name in RESULTS}


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part.endswith(".work") for part in parts):
            yield path


def _sha256(path: Path) -> str:
    content = path.read_bytes()
    if path.name not in RESULTS:  # elsewhere there are wall times, which two runs may have alike by chance
        content = _SECONDS.sub(b"", content)
    return hashlib.sha256(content).hexdigest()
