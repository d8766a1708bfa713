"""Coverage-guided fuzzing of the readers by atheris (libFuzzer): what is read is data, anything else one clear error.

``python -m tests.campaigns.fuzz FORMAT CORPUS [options of libFuzzer]`` fuzzes one format; the campaign runs each.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.data.sources import ROWS, TITLES, WRITERS

from .harness import Count, environment

_LIMITS = ("-max_len=2000", "-timeout=30", "-rss_limit_mb=4000", "-print_final_stats=1", "-verbosity=0")
_SPLIT = b"\n=====\n"  # between the files of one input
# The files of each format, the log first, unpacked: a packed one is packed after mutation.
_FILES = {
    "amazon": ("reviews_X_5.json.gz", "meta_X.json.gz"),
    "movielens": ("ratings.dat", "movies.dat"),
    "recbole": ("shop.inter", "shop.item"),
    "table": ("interactions.csv", "items.csv"),
}


def run(work: Path, *, runs: int, seed: int) -> Count:
    """``runs`` inputs of each format; one that ends in anything but data or an error of ours counts as lost."""
    count = Count("fuzzed logs")
    if importlib.util.find_spec("atheris") is None:
        raise RuntimeError("atheris is not there; 'make campaign' gets it")
    for format in WRITERS:
        corpus = work / format
        corpus.mkdir(parents=True)
        (corpus / "valid").write_bytes(_valid(format, work / "log"))
        command = [sys.executable, "-m", "tests.campaigns.fuzz", format, str(corpus), *_LIMITS]
        command += [f"-runs={runs}", f"-seed={seed + 1}", f"-artifact_prefix={work}/{format}-"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
        tried = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        count.tried += int(tried[1]) if tried else 0
        if done.returncode or not tried:
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


def _fuzz(format: str) -> None:
    """Hand over to libFuzzer, which ends the process."""
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["eimf_local.data"]):
        from eimf_local.data.prepare import prepare
    from eimf_local.errors import EimfError

    place = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR")))

    def one_input(data: bytes) -> None:
        names = _FILES[format]
        for path in place.iterdir():
            path.unlink()
        for name, part in zip(names, data.split(_SPLIT, 1), strict=False):
            (place / name).write_bytes(gzip.compress(part, 1) if name.endswith(".gz") else part)
        try:
            prepare(place / names[0], format=format, min_item_count=1, min_user_count=1)
        except EimfError as error:
            if "\n" in error.message or not error.hint:
                raise AssertionError(f"not one clear line: {error.message!r}, {error.hint!r}") from None

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1])
