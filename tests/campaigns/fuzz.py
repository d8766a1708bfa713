"""Coverage-guided fuzzing of the readers by atheris (libFuzzer): an input is data, or one clear error."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

from tests.data.sources import ROWS, TITLES, WRITERS

from .harness import Count, environment

_LIMITS = ("-max_len=6000", "-len_control=0", "-timeout=30", "-rss_limit_mb=4000", "-print_final_stats=1")
_SPLIT = b"\n=====\n"  # fuzz_target.SPLIT: that module can be imported under atheris alone


def run(work: Path, *, runs: int, seed: int) -> Count:
    """``runs`` inputs of each format; one that ends in anything but data or an error of ours counts as lost."""
    count = Count("fuzzed logs")
    for format in WRITERS:
        corpus = work / format
        corpus.mkdir(parents=True)
        (corpus / "valid").write_bytes(_valid(format, work / "log"))
        command = [sys.executable, "-m", "tests.campaigns.fuzz_target", format, str(corpus), *_LIMITS]
        command += [f"-runs={runs}", f"-seed={seed + 1}", f"-artifact_prefix={work}/{format}-"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
        tried, new = (re.search(rf"{name}: *(\d+)", done.stderr) for name in ("executed_units", "new_units_added"))
        count.tried += int(tried[1]) if tried else 0
        if done.returncode or not new or not int(new[1]):  # nothing new: it was not guided by what it covers
            count.lost.append(f"{format}: exit {done.returncode}: {done.stderr[-1500:]}")
    return count


def _valid(format: str, folder: Path) -> bytes:
    """An input that is read: the writer's own files."""
    folder.mkdir(exist_ok=True)
    file = WRITERS[format](folder, [(f"{user}{n}", item, time) for n in range(5) for user, item, time in ROWS], TITLES)
    others = [path for path in sorted(folder.iterdir()) if path != file]
    parts = [path.read_bytes() for path in (file, *others[:1])]
    for path in folder.iterdir():
        path.unlink()
    return _SPLIT.join(gzip.decompress(part) if part[:2] == b"\x1f\x8b" else part for part in parts)
