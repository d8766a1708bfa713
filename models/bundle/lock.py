"""requirements.lock in, a requirements file with the digests of the very wheels that are carried out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from eimf_local.errors import InputError

from .wheels import Wheel

_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==([\w.!+-]+)")


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> dict[str, str]:
    """Canonical name -> version, in the file's order; raises :class:`InputError` for a line that pins nothing."""
    pins: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _PIN.fullmatch(text)
        if not match:
            raise InputError(f"{path}, line {number}: {text!r} pins no version", hint="write name==version")
        pins[canonical(match[1])] = match[2]
    return pins


def check_complete(pins: Mapping[str, str], wheels: Sequence[Wheel]) -> None:
    """Refuse a wheelhouse that lacks a locked distribution, or has another version of it (:class:`InputError`).

    A local suffix is allowed: the CPU build of torch 2.13.0 calls itself 2.13.0+cpu.
    """
    here = {canonical(wheel.name): wheel.version for wheel in wheels}
    wrong = [f"{name}=={version}" for name, version in pins.items() if here.get(name, "").partition("+")[0] != version]
    if wrong:
        raise InputError(f"no wheel of {', '.join(wrong)} was found", hint="see pip's output in build/bundle/log.txt")


def requirements(wheels: Sequence[Wheel]) -> str:
    """One pinned line a wheel, with its SHA-256, for ``pip install --require-hashes --no-deps``."""
    lines = (f"{canonical(wheel.name)}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels)
    return "".join(sorted(lines))
