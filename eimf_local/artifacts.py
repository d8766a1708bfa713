"""Artefacts on disk: one directory each, with ``artifact.json``; whole or not there at all.

A directory is written under a temporary name beside its final one, flushed, and renamed. ``artifact.json`` holds the
kind, schema version, package versions, the config and inputs that produced it, and the digest of every file. The
*fingerprint* of an artefact is the digest of kind, schema, config and the inputs' fingerprints: equal fingerprints
mean that rebuilding would do the same work again, so it is not done.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import __version__
from .disk import LOCK, storage_errors, write_json
from .errors import ArtifactError
from .versions import computing_versions

SCHEMA_VERSION = 2
RECORD = "artifact.json"
_LEFTOVER = re.compile(r"(^|/)\.[^/]+\.(partial|replaced)-\d+")  # of a killed process
TIMING = "timing.json"  # seconds, which differ between two runs of the same work
# The command that rebuilds each kind, named in every error about it.
REBUILT_BY = {
    "dataset": "eimf-local prepare",
    "text": "eimf-local infer-interests",
    "interests": "eimf-local infer-interests (or import-interests)",
    "run": "eimf-local train",
}


@dataclass(frozen=True)
class Artifact:
    """A verified artefact directory.

    ``config`` is what it was built with; ``inputs`` maps a role ("dataset", "interests", ...) to the fingerprint of
    the artefact that filled it; ``files`` maps relative names to SHA-256 hex digests; ``packages`` maps the packages
    that computed it to their versions (empty where it was written before they were recorded).
    """

    path: Path
    kind: str
    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, str]
    version: str
    packages: dict[str, str] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """Path of a file that the record lists; a name it does not list is an :class:`ArtifactError`."""
        if name not in self.files:
            raise _broken(self.path, self.kind, f"has no {name}")
        return self.path / name


def sha256_file(path: Path) -> str:
    """SHA-256 hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 hex digest of a JSON-able value in canonical form (sorted keys, no blanks)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint_of(kind: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """The identity of the work: kind, schema, config and the inputs' fingerprints."""
    return digest_of({"kind": kind, "schema": SCHEMA_VERSION, "config": dict(config), "inputs": dict(inputs)})


def load(path: Path, kind: str) -> Artifact:
    """Read and verify an artefact; every listed file must be there with its digest.

    Raises :class:`ArtifactError` where the directory is missing, of another kind or schema, or altered.
    """
    found = _parsed(path, kind, _read_record(path, kind))
    for problem in damaged_files(found):
        raise _broken(path, kind, problem)
    return found


def read_record(path: Path) -> Artifact:
    """What an artefact's ``artifact.json`` says, of whatever kind; its files are not looked at.

    Raises :class:`ArtifactError` where the record is damaged, or of an unknown kind or another schema.
    """
    kind = _kind_of(path / RECORD)
    if kind not in REBUILT_BY:
        raise ArtifactError(f"{path / RECORD} is damaged: its kind is {kind!r}", hint="rebuild the artefact")
    return _parsed(path, kind, _read_record(path, kind))


def damaged_files(artifact: Artifact) -> Iterator[str]:
    """What is wrong with each file that the record lists: it is not there, or its bytes are others."""
    for name, digest in artifact.files.items():
        if not (artifact.path / name).is_file():
            yield f"lacks {name}"
            continue
        found = sha256_file(artifact.path / name)
        if found != digest:
            differs = f"SHA-256 {found[:12]}, recorded {digest[:12]}"
            yield f"has a {name} that was changed or damaged after it was written ({differs})"


def find_records(folder: Path) -> list[Path]:
    """The directories at or below ``folder`` that have an ``artifact.json``, without hidden and unfinished ones."""
    return [
        record.parent
        for record in sorted(folder.rglob(RECORD))
        if not any(part.startswith(".") or part.endswith(".work") for part in record.parent.relative_to(folder).parts)
    ]


def is_current(path: Path, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> bool:
    """Whether ``path`` already holds, undamaged, the artefact that this config and these inputs would build.

    A directory that exists but holds something else (another kind, or no artefact) is an error, not False:
    overwriting it could destroy the user's own files. One of the same kind with another config is False.
    """
    check_output(path, kind)
    if not (path / RECORD).is_file():
        return False
    try:
        if _read_record(path, kind).get("fingerprint") != fingerprint_of(kind, config, inputs):
            return False
        load(path, kind)
    except ArtifactError as error:
        raise ArtifactError(error.message, hint=f"delete {path} and run the same command again") from None
    return True


def holds_another(path: Path) -> bool:
    """Whether a finished artefact stands at ``path``, which writing there would replace.

    Raises :class:`ArtifactError` where somebody's own files lie in it, which would go with it.
    """
    _check_nothing_lost(path)
    return (path / RECORD).is_file()


def check_output(path: Path, kind: str) -> None:
    """Refuse an output path that holds anything but an artefact of ``kind``: it would be replaced.

    Free are a path that does not exist, an empty directory, and an artefact of the same kind.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir():
        raise ArtifactError(f"{path} is a file", hint="choose another --out")
    if not (path / RECORD).is_file():
        raise ArtifactError(f"{path} exists and is not an eimf-local artefact", hint="choose another --out")
    found = _kind_of(path / RECORD)
    if found in REBUILT_BY and found != kind:
        raise ArtifactError(f"{path} is an artefact of kind {found!r}, not {kind!r}", hint="choose another --out")


def write(
    path: Path,
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    fill: Callable[[Path], None],
    *,
    versions: Mapping[str, Any] | None = None,
) -> Artifact:
    """Build an artefact: ``fill`` writes files into the directory it is given; then all appear at once at ``path``.

    An artefact of the same kind at ``path`` is replaced; anything else there is refused. If ``fill`` raises, nothing
    remains. What a killed process left behind is cleared away, or put back, first. ``versions``: "version" and
    "packages" that computed it, if not these.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with storage_errors(path):
        _clear_leftovers(path)
        check_output(path, kind)
        _check_nothing_lost(path)
        partial.mkdir(parents=True)
        try:
            fill(partial)
            _seal(partial, kind, config, inputs, versions or {})
            _swap(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return load(path, kind)


def _read_record(path: Path, kind: str) -> dict[str, Any]:
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such directory", hint=f"build the {kind} with '{REBUILT_BY[kind]}'")
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _broken(path, kind, f"has no {RECORD}") from None
    except (OSError, ValueError):
        raise _broken(path, kind, f"has an unreadable {RECORD}") from None
    if not isinstance(record, dict) or record.get("kind") != kind:
        found = record.get("kind") if isinstance(record, dict) else None
        raise ArtifactError(
            f"{path} is an artefact of kind {found!r}, not {kind!r}", hint=f"give a directory of kind {kind!r}"
        )
    return record


def _parsed(path: Path, kind: str, record: Mapping[str, Any]) -> Artifact:
    if record.get("schema") != SCHEMA_VERSION:
        raise ArtifactError(
            f"{path}: written in schema {record.get('schema')} by eimf-local {record.get('version')}, "
            f"this is {__version__} with schema {SCHEMA_VERSION}",
            hint=f"rebuild it with '{REBUILT_BY[kind]}'",
        )
    try:
        found = Artifact(
            path=path,
            kind=kind,
            fingerprint=record["fingerprint"],
            config=dict(record["config"]),
            inputs=dict(record["inputs"]),
            files={str(name): str(digest) for name, digest in record["files"].items()},
            version=record["version"],
            packages={str(name): str(version) for name, version in record.get("packages", {}).items()},
        )
        honest = found.fingerprint == fingerprint_of(kind, found.config, found.inputs)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _broken(path, kind, f"has a damaged {RECORD}") from None
    if not honest:
        raise _broken(path, kind, f"has a {RECORD} that was changed by hand")
    return found


def _kind_of(record: Path) -> str:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError):
        return "unreadable"


def _broken(path: Path, kind: str, what: str) -> ArtifactError:
    return ArtifactError(f"{path} {what}", hint=f"delete it and build the {kind} again with '{REBUILT_BY[kind]}'")


def _seal(
    partial: Path, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str], versions: Mapping[str, Any]
) -> None:
    names = sorted(str(file.relative_to(partial)) for file in partial.rglob("*") if file.is_file())
    mode = 0o666 & ~_umask()
    for name in names:
        (partial / name).chmod(mode)  # some libraries write for their user alone, others for all
        with (partial / name).open("rb") as stream:
            os.fsync(stream.fileno())
    record = {
        "kind": kind,
        "schema": SCHEMA_VERSION,
        "version": __version__,
        "packages": dict(computing_versions()),
        **versions,
        "fingerprint": fingerprint_of(kind, config, inputs),
        "config": dict(config),
        "inputs": dict(inputs),
        "files": {name: sha256_file(partial / name) for name in names},
    }
    write_json(partial / RECORD, record)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _clear_leftovers(path: Path) -> None:
    """Of processes that were killed: put back what one had set aside, remove what another had not finished."""
    for aside in path.parent.glob(f".{path.name}.replaced-*"):
        if not path.exists():
            aside.rename(path)
        elif not _is_alive(aside):
            shutil.rmtree(aside, ignore_errors=True)
    for partial in path.parent.glob(f".{path.name}.partial-*"):
        if not _is_alive(partial) or partial.name.endswith(f"-{os.getpid()}"):
            shutil.rmtree(partial, ignore_errors=True)


def _check_nothing_lost(path: Path) -> None:
    """Refuse to replace an artefact that holds files of somebody else's.

    Its own are those that its record lists, and titles' embeddings inside it with what their records list.
    """
    if not (path / RECORD).is_file():
        return
    inner = [record.parent for record in path.glob(f"*/{RECORD}") if _kind_of(record) == "text"]
    own = {file for folder in (path, *inner) for file in _listed(folder)}
    for file in sorted(path.rglob("*")):
        folder = file.is_dir() and not file.is_symlink()
        if not (folder or file in own or file.name == LOCK or _LEFTOVER.search(str(file.relative_to(path)))):
            raise ArtifactError(
                f"{path} also holds {file.relative_to(path)}, which would be lost when it is replaced",
                hint="move what is yours, or choose another --out",
            )


def _listed(folder: Path) -> Iterator[Path]:
    """An artefact's files, by its record; where that is damaged nobody knows, and all that lie in it count."""
    yield folder / RECORD
    try:
        names = list(json.loads((folder / RECORD).read_text("utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        yield from folder.iterdir()
        return
    yield from (folder / name for name in names)


def _is_alive(leftover: Path) -> bool:
    """Whether the process whose number ends the name still runs."""
    number = leftover.name.rpartition("-")[2]
    try:
        os.kill(int(number), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _swap(partial: Path, path: Path) -> None:
    if not path.exists():
        partial.rename(path)
        return
    old = path.with_name(f".{path.name}.replaced-{os.getpid()}")
    path.rename(old)
    try:
        partial.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
