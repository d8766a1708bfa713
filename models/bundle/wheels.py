"""Wheels as the bundle sees them: name, version, digest, size on disk, licence, licence texts."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path, PurePosixPath

from eimf_local.artifacts import sha256_file
from eimf_local.errors import InputError

_LICENCE_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|authors|third.?party)", re.IGNORECASE)
_CODE = {".py", ".pyi", ".pyc", ".h", ".hpp", ".cuh", ".so", ".json"}
_LONGEST_LICENCE_NAME = 80


@dataclass(frozen=True)
class Wheel:
    """A wheel file. Raises :class:`InputError` where it holds no readable metadata."""

    path: Path

    @cached_property
    def metadata(self) -> Message:
        """The headers of its METADATA."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                inside = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
                return HeaderParser().parsestr(archive.read(inside).decode("utf-8"))
        except (zipfile.BadZipFile, StopIteration, UnicodeDecodeError):
            raise InputError(
                f"{self.path} is not a readable wheel", hint="delete it and build the bundle again"
            ) from None

    @property
    def name(self) -> str:
        """The distribution's name as it writes itself."""
        return str(self.metadata["Name"])

    @property
    def version(self) -> str:
        """The version, with its local suffix."""
        return str(self.metadata["Version"])

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file (hex)."""
        return sha256_file(self.path)

    @property
    def installed_bytes(self) -> int:
        """Bytes of its files once unpacked."""
        with zipfile.ZipFile(self.path) as archive:
            return sum(entry.file_size for entry in archive.infolist())

    @property
    def licence(self) -> str:
        """What its metadata says: an SPDX expression, else a short name, else its classifiers; "" for nothing."""
        return self.licence_expression or self._licence_name

    @property
    def licence_expression(self) -> str:
        """The SPDX expression of newer metadata; "" where there is none."""
        return str(self.metadata["License-Expression"] or "")

    @property
    def _licence_name(self) -> str:
        named = str(self.metadata["License"] or "").strip()
        if named and "\n" not in named and len(named) <= _LONGEST_LICENCE_NAME and named.upper() != "UNKNOWN":
            return named
        classified = [str(text) for text in self.metadata.get_all("Classifier", [])]
        names = [text.rpartition(" :: ")[2] for text in classified if text.startswith("License ::")]
        return ", ".join(name for name in names if name != "OSI Approved")

    def licence_texts(self) -> dict[str, bytes]:
        """Path inside the wheel -> text, of every licence, notice and list of authors that it carries."""
        with zipfile.ZipFile(self.path) as archive:
            files = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
            return {name: archive.read(name) for name in files if _is_licence(PurePosixPath(name))}


def wheels_in(folder: Path) -> list[Wheel]:
    """The wheels of a folder, by file name."""
    return [Wheel(path) for path in sorted(folder.glob("*.whl"))]


def _is_licence(path: PurePosixPath) -> bool:
    if path.suffix.lower() in _CODE:
        return False
    in_licence_folder = any(part.endswith(".dist-info") for part in path.parts) and "licenses" in path.parts
    return in_licence_folder or bool(_LICENCE_FILE.match(path.name))
