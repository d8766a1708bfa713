"""``python -m tests.campaigns.fuzz_target FORMAT CORPUS [options of libFuzzer]``: one reader under atheris.

A process and a module of its own, because only what is imported after atheris is watched by it.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["eimf_local.data"]):
    from eimf_local.data.prepare import prepare
from eimf_local.errors import EimfError

SPLIT = b"\n=====\n"  # between the files of one input
# The files of each format, the log first; a packed one is packed after mutation.
_FILES = {
    "amazon": ("reviews_X_5.json.gz", "meta_X.json.gz"),
    "movielens": ("ratings.dat", "movies.dat"),
    "recbole": ("shop.inter", "shop.item"),
    "table": ("interactions.csv", "items.csv"),
}


def main() -> None:
    """Hand over to libFuzzer, which ends the process: with an error where an input leads to anything but ours."""
    format, names = sys.argv[1], _FILES[sys.argv[1]]
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / name for name in names]

        def one_input(data: bytes) -> None:
            for path in paths:
                path.unlink(missing_ok=True)
            for path, part in zip(paths, data.split(SPLIT, 1), strict=False):
                path.write_bytes(gzip.compress(part, 1) if path.suffix == ".gz" else part)
            try:
                prepare(paths[0], format=format, min_item_count=1, min_user_count=1)
            except EimfError as error:
                if "\n" in error.message or not error.hint:
                    raise AssertionError(f"not one clear line: {error.message!r}, {error.hint!r}") from None

        atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
