"""Run the campaigns: ``python -m tests.campaigns [--kills 200] [--seed 0] [--only NAME ...]``; exit 1 on any loss."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from . import altered, fuzz, inputs, interrupted, machine, titles
from .harness import STAGES, Count, cli, write_source


def main() -> int:
    """Run what was asked for, print each count as it comes, then what was lost."""
    options = _options()
    if (not options.only or "fuzz" in options.only) and importlib.util.find_spec("atheris") is None:
        print("error: atheris is not there \u2014 run 'make campaign', which gets it, or name others by --only")
        return 1
    print(f"seed {options.seed}")
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ["EIMF_LOCAL_HOME"] = str(work / "home")
        print(f"{'campaign':24} {'tried':>6} {'survived':>9} {'lost':>5} {'seconds':>8}")
        for campaign, run in _campaigns(work, options).items():
            if options.only and campaign not in options.only:
                continue
            began = time.monotonic()
            count = run()
            seconds = time.monotonic() - began
            kept = count.tried - len(count.lost)
            print(f"{campaign:24} {count.tried:6} {kept:9} {len(count.lost):5} {seconds:8.0f}", flush=True)
            lost += [f"{campaign}: {what}" for what in count.lost]
    for line in lost:
        print(f"LOST {line}")
    return 1 if lost else 0


def _campaigns(work: Path, options: argparse.Namespace) -> dict[str, Callable[[], Count]]:
    seed = options.seed
    return {
        "killed": lambda: interrupted.run(work / "kill", kills=options.kills, seed=seed),
        "altered": lambda: altered.artefacts(
            work / "alter", *(_sound(work / f"sound-{n}", users=160 + 40 * n) for n in (0, 1)), rounds=4, seed=seed
        ),
        "model-files": lambda: altered.model_files(work / "gguf", mutations=300, truncations=50, seed=seed),
        "machine": lambda: machine.run(
            work / "machine", _sound(work / "sound-0", users=160)["run"].parent, rounds=2, seed=seed
        ),
        "logs": lambda: inputs.mutations(work / "logs", rounds=50, seed=seed),
        "ids": lambda: inputs.odd_ids(work / "logs"),
        "times": lambda: inputs.times(work / "logs"),
        "bombs": lambda: inputs.bombs(work / "logs"),
        "fuzz": lambda: fuzz.run(work / "fuzz", runs=options.runs, seed=seed),
        "titles": lambda: titles.run(work / "titles", titles=200, seed=seed),
    }


def _sound(work: Path, *, users: int) -> dict[str, Path]:
    """Finished work, by kind; made once."""
    if not work.exists():
        work.mkdir(parents=True)
        write_source(work, users=users)
        for stage in STAGES:
            done = cli(stage.words(work))
            if done.code:
                shutil.rmtree(work)
                raise RuntimeError(f"{stage.name} fails undisturbed: {done}")
    return {kind: work / kind for kind in ("dataset", "interests", "run")}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--runs", type=int, default=20_000, help="inputs of each format to fuzz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="campaigns: killed, altered, model-files, machine, logs, ids ...")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
