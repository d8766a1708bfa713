"""``eimf-local doctor``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from .console import print_json, reporting
from .options import JsonOption

_MARKS = {"ok": "ok     ", "warning": "warning", "blocked": "BLOCKED"}


def doctor(json: JsonOption = False) -> None:
    """Look at this machine and installation: one line a check, with the remedy. Exit 1 if something blocks."""
    from eimf_local import __version__
    from eimf_local.doctor import examine

    checks = []
    with reporting() as reporter:
        for check in examine(Path.cwd()):
            checks.append(check)
            if not json:
                remedy = f" — {check.remedy}" if check.remedy else ""
                reporter.say(f"{_MARKS[check.state]} {check.name}: {check.found}{remedy}")
    blocked = any(check.state == "blocked" for check in checks)
    if json:
        print_json({"version": __version__, "blocked": blocked, "checks": [asdict(check) for check in checks]})
    if blocked:
        raise typer.Exit(1)
