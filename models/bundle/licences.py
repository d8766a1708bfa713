"""The licences of everything that a bundle carries: their texts, and an index of who is under which."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from .wheels import Wheel

_NOT_STATED = "not stated in its metadata"


def licence_files(wheels: Iterable[Wheel], others: dict[str, bytes]) -> dict[str, bytes]:
    """Path in the bundle -> content: ``licences/INDEX.txt``, and below ``licences/`` every text that was found.

    ``others`` are texts that no wheel carries (llama.cpp's, the C libraries' in the portable wheel), by path.
    """
    files, index = {}, []
    for wheel in wheels:
        texts = wheel.licence_texts()
        folder = f"licences/{wheel.name}-{wheel.version}"
        for inside, text in texts.items():
            files[f"{folder}/{_shortened(inside)}"] = text
        where = f"{len(texts)} texts" if texts else "no text in its wheel"
        index.append(f"{wheel.name} {wheel.version}: {wheel.licence or _NOT_STATED} ({where})\n")
    for path, text in others.items():
        files[f"licences/{path}"] = text
        index.append(f"{PurePosixPath(path).parts[0]}: see {path}\n")
    return {"licences/INDEX.txt": "".join(index).encode(), **files}


def _shortened(inside: str) -> str:
    """The path without the dist-info folder, which only repeats name and version."""
    parts = PurePosixPath(inside).parts
    return "/".join(part for part in parts if not part.endswith(".dist-info") and part != "licenses")
