"""GGUF files: the bundled one, those the user added, and the digests that must hold before anything is parsed.

GGUF parsers have a steady stream of memory bugs. So the SHA-256 is compared first, and only the worker process parses.
The manifest also names official GGUFs that are not shipped. It holds no digest of them: none could be checked where
it was written, so the digest of such a file is pinned when the user adds it.
"""

from __future__ import annotations

import fcntl
import importlib.resources
import json
import os
import re
import struct
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..artifacts import sha256_file
from ..disk import storage_errors, write_json
from ..errors import ModelFileError

if TYPE_CHECKING:
    from .llm_server import ServerModel

BUNDLED_MODEL = "eimf-tiny-qwen2"
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_NAME = re.compile(r"\w[\w.+ -]*")
_QUANTISATION = r"([-.](i?q\d\w*|b?f16|fp16|f32))?"  # how a file's name may go on after its model's


@dataclass(frozen=True)
class ModelEntry:
    """A model that is here. ``source`` is "bundled" or "added"; ``sha256`` is the pinned digest (hex).

    ``context`` is the longest prompt and answer, in tokens, that its maker states; None where that is not known.
    """

    name: str
    path: Path
    sha256: str
    size: int
    licence: str
    description: str
    source: str
    context: int | None = None


@dataclass(frozen=True)
class UpstreamModel:
    """An official GGUF that is not here: the page that offers it, and what is known of it beside its digest."""

    name: str
    url: str
    licence: str
    context: int
    description: str


@dataclass(frozen=True)
class ModelFile:
    """A file whose digest is known. ``pinned`` tells whether it was compared with one recorded earlier."""

    name: str
    path: Path
    sha256: str
    pinned: bool


LanguageModel: TypeAlias = "ModelFile | ServerModel"  # what answers prompts: each has a name and a sha256


def list_models() -> list[ModelEntry]:
    """The bundled models of the manifest, then those added by the user."""
    return _bundled() + _added()


def list_upstream() -> list[UpstreamModel]:
    """The official models of the manifest that the user has not added under their names."""
    here = {entry.name for entry in _added()}
    return [model for model in _upstream() if model.name not in here]


def resolve_llm(spec: str) -> LanguageModel:
    """A GGUF by name or path (:func:`resolve_model`), or a server's model by its URL.

    Only a URL loads the code that opens sockets.
    """
    if spec.startswith(("http://", "https://")):
        from .llm_server import find_server

        return find_server(spec)
    return resolve_model(spec)


def resolve_model(spec: str) -> ModelFile:
    """Find a model by name or path, compare its digest with the pinned one, and look at its first bytes.

    A path that was never added has no pinned digest; its digest is computed and goes into every record.
    Raises :class:`ModelFileError`.
    """
    entries = list_models()
    for entry in entries:
        if spec == entry.name or Path(spec).absolute() == entry.path.absolute():
            return verify_model(entry)
    if Path(spec).is_file():
        return unpinned_model(Path(spec))
    for model in list_upstream():
        if spec.casefold() == model.name:
            raise ModelFileError(
                f"model {model.name} is not here",
                hint=f"get it from {model.url}, then 'eimf-local models add FILE --name {model.name}'",
            )
    names = ", ".join(entry.name for entry in entries)
    raise ModelFileError(f"model {spec}: no such file or name", hint=f"give a .gguf file or one of: {names}")


def unpinned_model(path: Path) -> ModelFile:
    """A file with the digest that it has now; raises :class:`ModelFileError` for what cannot be a GGUF."""
    check_gguf_header(path)
    return ModelFile(name=path.stem, path=path, sha256=_digest(path), pinned=False)


def verify_model(entry: ModelEntry) -> ModelFile:
    """Compare a file with its pinned digest; raises :class:`ModelFileError` where it is missing or differs."""
    if not entry.path.is_file():
        raise ModelFileError(f"model {entry.name}: {entry.path} is missing", hint=_remedy(entry))
    if _digest(entry.path) != entry.sha256:
        raise ModelFileError(
            f"model {entry.name}: the SHA-256 of {entry.path} is not the pinned one; the file was changed or damaged",
            hint=_remedy(entry),
        )
    check_gguf_header(entry.path)
    return ModelFile(name=entry.name, path=entry.path, sha256=entry.sha256, pinned=True)


def add_model(model: ModelFile, *, name: str | None = None) -> ModelEntry:
    """Pin a GGUF of the user's by its digest, under ``name`` (default: the file's stem).

    The file stays where it is. Named as a model of the manifest, with or without its quantisation at the end
    ("qwen3-4b-q8_0"), it takes over that model's licence and context. Adding the same file again changes nothing; a
    taken name is refused. Raises :class:`ModelFileError`.
    """
    wanted = name or model.name
    if not _NAME.fullmatch(wanted):
        raise ModelFileError(
            f"a model cannot be called {wanted!r}", hint="give a name of letters, digits, '.', '-' and '_' with --name"
        )
    path = model.path.absolute()
    with _registry_lock():
        added = _added()
        for other in _bundled() + added:
            if (other.sha256, other.path) == (model.sha256, path) and name in (None, other.name):
                return other
            if other.name == wanted and (other.sha256 != model.sha256 or other.source == "bundled"):
                raise ModelFileError(
                    f"model {wanted}: the name is taken by {other.path}",
                    hint="give another with --name, or first 'eimf-local models remove' the one that you added",
                )
        entry = _new_entry(wanted, path, model.sha256)
        _write_registry([*(other for other in added if other.name != wanted), entry])
    return entry


def remove_model(name: str) -> ModelEntry:
    """Forget an added model; its file stays. Raises :class:`ModelFileError` where none is called ``name``."""
    with _registry_lock():
        added = _added()
        for entry in added:
            if entry.name == name:
                _write_registry([other for other in added if other.name != name])
                return entry
    names = ", ".join(entry.name for entry in added) or "none so far"
    raise ModelFileError(f"model {name}: you added none of that name", hint=f"those that you added: {names}")


def check_gguf_header(path: Path) -> None:
    """Refuse, by the first 24 bytes alone, what cannot be a GGUF; raises :class:`ModelFileError`."""
    if not path.is_file():
        raise ModelFileError(f"model {path}: no such file", hint="give the path of a .gguf file")
    if _PART.search(path.name):
        raise ModelFileError(
            f"{path} is one part of a split model; a digest must cover the whole",
            hint="join the parts with 'llama-gguf-split --merge FIRST_PART WHOLE.gguf'",
        )
    with _readable(path), path.open("rb") as stream:
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


def _manifest(table: str) -> list[dict[str, Any]]:
    manifest = importlib.resources.files("eimf_local_models").joinpath("manifest.toml")
    entries: list[dict[str, Any]] = tomllib.loads(manifest.read_text("utf-8"))[table]
    return entries


def _bundled() -> list[ModelEntry]:
    with importlib.resources.as_file(importlib.resources.files("eimf_local_models")) as folder:
        return [
            ModelEntry(
                path=folder / model["file"],
                source="bundled",
                **{key: model[key] for key in ("name", "sha256", "size", "licence", "description", "context")},
            )
            for model in _manifest("model")
        ]


def _upstream() -> list[UpstreamModel]:
    return [UpstreamModel(**model) for model in _manifest("upstream")]


def _new_entry(name: str, path: Path, sha256: str) -> ModelEntry:
    upstream = _upstream_named(name)
    pinned = "added by you; the digest was pinned when you added it"
    return ModelEntry(
        name=name,
        path=path,
        sha256=sha256,
        size=path.stat().st_size,
        licence=upstream.licence if upstream else "as its source states",
        description=f"{upstream.description}, as you named it ({pinned})" if upstream else pinned,
        source="added",
        context=upstream.context if upstream else None,
    )


def _upstream_named(name: str) -> UpstreamModel | None:
    for model in _upstream():
        if re.fullmatch(re.escape(model.name) + _QUANTISATION, name, re.IGNORECASE):
            return model
    return None


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


def _write_registry(entries: list[ModelEntry]) -> None:
    write_json(_registry(), [{**asdict(entry), "path": str(entry.path)} for entry in entries])


@contextmanager
def _registry_lock() -> Iterator[None]:
    """Let one process at a time read and rewrite the registry; the others wait."""
    registry = _registry()
    with storage_errors(registry):
        registry.parent.mkdir(parents=True, exist_ok=True)
        lock = registry.with_name(f".{registry.name}.lock").open("a")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _registry() -> Path:
    home = os.environ.get("EIMF_LOCAL_HOME")
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return (Path(home) if home else Path(data) / "eimf-local") / "models.json"


def _digest(path: Path) -> str:
    with _readable(path):
        return sha256_file(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelFileError(
            f"model {path} cannot be read: {error.strerror or error}", hint="check the file and its permissions"
        ) from None


def _remedy(entry: ModelEntry) -> str:
    if entry.source == "bundled":
        return "reinstall eimf-local ('make install')"
    return "restore the file, or pin the new one under another name with 'eimf-local models add FILE --name NAME'"
