"""Running pip, build and the tools of tools.txt, with a log and one line where one of them fails."""

from __future__ import annotations

import importlib.resources
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from eimf_local.disk import storage_errors
from eimf_local.errors import InputError


class Commands:
    """Runs pip and the tools of tools.txt; their output goes to log.txt in the work folder."""

    def __init__(self, work: Path) -> None:
        self._log = work / "log.txt"
        self._tools = work / "tools"

    def install_tools(self) -> None:
        """Install tools.txt into the work folder, where it is not installed yet."""
        wanted = importlib.resources.files(__package__).joinpath("tools.txt").read_bytes()
        stamp = self._tools / "tools.txt"
        if not (stamp.is_file() and stamp.read_bytes() == wanted):
            shutil.rmtree(self._tools, ignore_errors=True)
            with importlib.resources.as_file(importlib.resources.files(__package__).joinpath("tools.txt")) as listed:
                self.run(["pip", "install", "--target", self._tools, "-r", listed])
            stamp.write_bytes(wanted)

    def run(self, arguments: Sequence[str | Path], *, stdin: str = "", tools: bool = False) -> None:
        """Run ``python -m`` ARGUMENTS, or ``python -c ...``, to its end; ``tools`` puts the tools within its reach.

        Raises :class:`InputError` with the last line that it printed where it fails.
        """
        command = [sys.executable, *([] if arguments[0] == "-c" else ["-m"]), *arguments]
        environment = dict(os.environ)
        if tools:
            environment["PYTHONPATH"] = str(self._tools)
            environment["PATH"] = os.pathsep.join([str(self._tools / "bin"), os.environ.get("PATH", os.defpath)])
        with storage_errors(self._log), self._log.open("w", encoding="utf-8") as log:
            done = subprocess.run(
                command, input=stdin, text=True, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False
            )
        if done.returncode:
            lines = [line for line in self._log.read_text("utf-8", "replace").splitlines() if line.strip()]
            what = "a check" if arguments[0] == "-c" else " ".join(str(part) for part in arguments[:2])
            raise InputError(f"{what} failed: {lines[-1] if lines else 'no message'}", hint=f"see {self._log}")
