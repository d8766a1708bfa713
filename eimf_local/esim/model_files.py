"""GGUF files: the bundled one, those the user added, and the digests that must hold before anything is parsed.

GGUF parsers have a steady stream of memory bugs. So the SHA-256 is compared first, and only the worker process parses.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import struct
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..artifacts import sha256_file, write_json
from ..errors import ModelFileError

BUNDLED_MODEL = "eimf-tiny-qwen2"
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)


@dataclass(frozen=True)
class ModelEntry:
    """One line of ``models list``. ``source`` is "bundled" or "added"; ``sha256`` is the pinned digest (hex)."""

    name: str
    path: Path
    sha256: str
    size: int
    licence: str
    description: str
    source: str


@dataclass(frozen=True)
class ModelFile:
    """A file whose digest is known. ``pinned`` tells whether it was compared with one recorded earlier."""

    name: str
    path: Path
    sha256: str
    pinned: bool


def list_models() -> list[ModelEntry]:
    """The bundled models of the manifest, then those added by the user."""
    return _bundled() + _added()


def resolve_model(spec: str) -> ModelFile:
    """Find a model by name or path, compare its digest with the pinned one, and look at its first bytes.

    A path that was never added has no pinned digest; its digest is computed and goes into every record.
    Raises :class:`ModelFileError`.
    """
    entries = list_models()
    for entry in entries:
        if spec == entry.name or Path(spec).absolute() == entry.path.absolute():
            return verify_model(entry)
    path = Path(spec)
    if not path.is_file():
        names = ", ".join(entry.name for entry in entries)
        raise ModelFileError(f"model {spec}: no such file or name", hint=f"give a .gguf file or one of: {names}")
    check_gguf_header(path)
    return ModelFile(name=path.stem, path=path, sha256=sha256_file(path), pinned=False)


def verify_model(entry: ModelEntry) -> ModelFile:
    """Compare a file with its pinned digest; raises :class:`ModelFileError` where it is missing or differs."""
    if not entry.path.is_file():
        raise ModelFileError(f"model {entry.name}: {entry.path} is missing", hint=_remedy(entry))
    if sha256_file(entry.path) != entry.sha256:
        raise ModelFileError(
            f"model {entry.name}: the SHA-256 of {entry.path} is not the pinned one; the file was changed or damaged",
            hint=_remedy(entry),
        )
    check_gguf_header(entry.path)
    return ModelFile(name=entry.name, path=entry.path, sha256=entry.sha256, pinned=True)


def add_model(path: Path, *, name: str | None = None) -> ModelEntry:
    """Pin a GGUF of the user's by its digest, under ``name`` (default: the file's stem).

    The file stays where it is. Adding the same file again changes nothing; a taken name is refused.
    Raises :class:`ModelFileError`.
    """
    check_gguf_header(path)
    entry = ModelEntry(
        name=name or path.stem,
        path=path.absolute(),
        sha256=sha256_file(path),
        size=path.stat().st_size,
        licence="as its source states",
        description="added by the user; the digest was pinned when it was added",
        source="added",
    )
    for other in list_models():
        if other.name == entry.name and other.sha256 != entry.sha256:
            raise ModelFileError(
                f"model {entry.name}: the name is taken by {other.path}", hint="give another with --name"
            )
    kept = [other for other in _added() if other.name != entry.name]
    registry = _registry()
    registry.parent.mkdir(parents=True, exist_ok=True)
    write_json(registry, [{**asdict(known), "path": str(known.path)} for known in [*kept, entry]])
    return entry


def check_gguf_header(path: Path) -> None:
    """Refuse, by the first 24 bytes alone, what cannot be a GGUF; raises :class:`ModelFileError`."""
    if not path.is_file():
        raise ModelFileError(f"model {path}: no such file", hint="give the path of a .gguf file")
    with path.open("rb") as stream:
        header = stream.read(24)
    if header[:4] != _MAGIC:
        raise ModelFileError(f"{path} is not a GGUF file", hint="give a model in llama.cpp's GGUF format")
    if len(header) < 24:
        raise ModelFileError(f"{path} is truncated ({len(header)} bytes)", hint="copy or download it again")
    version, tensors, _ = struct.unpack("<IQQ", header[4:])
    if version not in _VERSIONS or tensors == 0:
        raise ModelFileError(
            f"{path}: GGUF version {version} with {tensors} tensors cannot be used", hint="give a GGUF v3 model file"
        )


def _bundled() -> list[ModelEntry]:
    folder = importlib.resources.files("eimf_local_models")
    with importlib.resources.as_file(folder) as path:
        manifest = tomllib.loads((path / "manifest.toml").read_text("utf-8"))
        return [
            ModelEntry(
                name=model["name"],
                path=path / model["file"],
                sha256=model["sha256"],
                size=model["size"],
                licence=model["licence"],
                description=model["description"],
                source="bundled",
            )
            for model in manifest["model"]
        ]


def _added() -> list[ModelEntry]:
    registry = _registry()
    try:
        known: list[dict[str, Any]] = json.loads(registry.read_text("utf-8"))
        return [ModelEntry(**{**entry, "path": Path(entry["path"])}) for entry in known]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError):
        raise ModelFileError(
            f"{registry} is damaged", hint="delete it and add your models again with 'eimf-local models add FILE'"
        ) from None


def _registry() -> Path:
    home = os.environ.get("EIMF_LOCAL_HOME")
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return (Path(home) if home else Path(data) / "eimf-local") / "models.json"


def _remedy(entry: ModelEntry) -> str:
    if entry.source == "bundled":
        return "reinstall eimf-local ('make install')"
    return "restore the file, or pin the new one under another name with 'eimf-local models add FILE --name NAME'"
