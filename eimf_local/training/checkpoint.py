"""Training checkpoints: one directory each, there as a whole or not at all.

``work/checkpoint-00000400/`` holds ``state.safetensors`` and ``state.json`` of one evaluation point. It is written
under a temporary name, flushed and renamed; the one before it goes only afterwards. So a kill at any moment leaves a
complete checkpoint, never a mixture of two.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..artifacts import sha256_file
from ..disk import storage_errors, write_json
from ..errors import ArtifactError

SCHEMA_VERSION = 1
TENSORS = "state.safetensors"
RECORD = "state.json"
_PREFIX = "checkpoint-"


@dataclass(frozen=True)
class Checkpoint:
    """The whole state at an evaluation point: named tensors on the CPU, and counters and curves as JSON values."""

    path: Path
    tensors: dict[str, Tensor]
    counters: dict[str, Any]


def save_checkpoint(
    work: Path, *, identity: str, step: int, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]
) -> Path:
    """Write the checkpoint of ``step`` into ``work`` (made if missing), then remove older ones.

    ``identity`` is the digest of everything that determines the run. Refusals by the operating system are
    :class:`~eimf_local.errors.StorageError`; the checkpoint before it then still stands.
    """
    final = work / f"{_PREFIX}{step:08d}"
    partial = work / f".{final.name}.partial-{os.getpid()}"
    with storage_errors(work):
        shutil.rmtree(partial, ignore_errors=True)  # of a killed process that had the same number
        partial.mkdir(parents=True)
        try:
            save_file({name: _plain(tensor) for name, tensor in tensors.items()}, partial / TENSORS)
            _flush(partial / TENSORS)
            record = {"schema": SCHEMA_VERSION, "identity": identity, "sha256": sha256_file(partial / TENSORS)}
            write_json(partial / RECORD, record | {"counters": dict(counters)})
            partial.rename(final)
            _flush(work)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    _remove(path for path in _leftovers(work) if path != final)
    return final


def load_checkpoint(work: Path, identity: str) -> Checkpoint | None:
    """The newest checkpoint in ``work``, or None where there is none.

    Raises:
        ArtifactError: it is of another configuration or schema, or damaged.
    """
    found = sorted(work.glob(f"{_PREFIX}*"), reverse=True)
    if not found:
        return None
    path = found[0]
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        schema, owner, digest, counters = (record[key] for key in ("schema", "identity", "sha256", "counters"))
        sound = isinstance(counters, dict) and sha256_file(path / TENSORS) == digest
        tensors = load_file(path / TENSORS) if sound else {}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        raise damaged(path) from None
    if (schema, owner) != (SCHEMA_VERSION, identity):
        raise ArtifactError(
            f"{path} is a checkpoint of another run (other settings, data, seed or version)",
            hint=f"continue with the settings it was made with, choose another --out, or delete {work} to start afresh",
        )
    if not sound:
        raise damaged(path)
    return Checkpoint(path, tensors, counters)


def damaged(path: Path) -> ArtifactError:
    """The error for a checkpoint that cannot be read or does not fit its model."""
    return ArtifactError(f"{path} is damaged: training cannot resume from it", hint=f"delete {path} and train again")


def _leftovers(work: Path) -> Iterator[Path]:
    """Every checkpoint, complete or not."""
    yield from work.glob(f"{_PREFIX}*")
    yield from work.glob(f".{_PREFIX}*.partial-*")


def _remove(paths: Iterator[Path]) -> None:
    for path in list(paths):
        shutil.rmtree(path, ignore_errors=True)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _flush(path: Path) -> None:
    """Force a file's or a directory's content to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
