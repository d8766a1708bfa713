"""Loaded by every Python process that has this folder on its path: no name look-up and no socket, of any family.

Each process leaves a file named by its number in EIMF_AUDIT; what it was refused stands in it.
"""

import os
import sys
from pathlib import Path

_RECORD = Path(os.environ["EIMF_AUDIT"], str(os.getpid()))


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith("socket.") and event != "socket.gethostname":
        with _RECORD.open("a") as stream:
            stream.write(f"{event} {arguments!r} in {sys.argv}\n")
        raise RuntimeError(f"{event} is forbidden")


_RECORD.touch()
sys.addaudithook(_refuse)
