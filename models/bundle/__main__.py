"""Command line: ``python -m eimf_local_models.bundle --out FOLDER [--model FILE.gguf]... [--data FOLDER]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from eimf_local.artifacts import sha256_file
from eimf_local.errors import EimfError

from .assemble import make_bundle

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Build the bundle; exit 1 with one line where it cannot be built."""
    parser = argparse.ArgumentParser(prog="python -m eimf_local_models.bundle", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder that gets the tar")
    parser.add_argument("--model", type=Path, action="append", default=[], help="a GGUF to carry; can be repeated")
    parser.add_argument("--data", type=Path, help="a folder of data to carry")
    options = parser.parse_args()
    try:
        tar = make_bundle(
            root=ROOT,
            models=options.model,
            data=options.data,
            out=options.out,
            work=ROOT / "build" / "bundle",
            say=_say,
        )
    except EimfError as error:
        _say("error: " + " ".join(str(error).split()))
        return 1
    except KeyboardInterrupt:
        _say("interrupted: what was downloaded or compiled is kept; run the same command to go on")
        return 130
    print(f"{tar}  {tar.stat().st_size / 1e6:.0f} MB  sha256 {sha256_file(tar)}")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


sys.exit(main())
