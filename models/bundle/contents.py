"""What goes into the tar: files from disk and texts made here, their digests, and the writing of the one file."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from eimf_local.artifacts import sha256_file
from eimf_local.disk import storage_errors
from eimf_local.errors import InputError
from eimf_local.esim.model_files import check_gguf_header

Contents = dict[str, Path | bytes]  # path in the bundle -> the file on disk, or the bytes themselves
_RUNNABLE = {"install.sh"}


def model_files(models: Iterable[Path]) -> dict[str, Path]:
    """``models/NAME.gguf`` -> file. Raises :class:`ModelFileError` for what is no GGUF, by its first bytes alone."""
    chosen: dict[str, Path] = {}
    for path in models:
        check_gguf_header(path)
        place = f"models/{path.name}"
        if place in chosen:
            raise InputError(f"two models are called {path.name}", hint="rename one of them")
        chosen[place] = path
    _check_names(chosen)
    return chosen


def data_files(folder: Path) -> dict[str, Path]:
    """``data/...`` -> every file below ``folder``; raises :class:`InputError` where it is no folder, or empty."""
    if not folder.is_dir():
        raise InputError(f"DATA={folder}: no such folder", hint="give a folder of data files")
    files = {f"data/{path.relative_to(folder).as_posix()}": path for path in sorted(folder.rglob("*"))}
    chosen = {place: path for place, path in files.items() if not path.is_dir()}
    if not chosen:
        raise InputError(f"DATA={folder} holds no file", hint="give a folder of data files")
    for path in chosen.values():
        if not path.is_file() or not os.access(path, os.R_OK):
            raise InputError(f"{path} cannot be read as a file", hint="remove it, or mend its link or permissions")
    _check_names(chosen)
    return chosen


def digest_of(content: Path | bytes) -> str:
    """SHA-256 (hex) of a file on disk or of bytes."""
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256_file(content)


def digest_list(contents: Mapping[str, Path | bytes]) -> bytes:
    """SHA256SUMS as ``sha256sum --check`` reads it, one line a file, by path."""
    return "".join(f"{digest_of(contents[path])}  {path}\n" for path in sorted(contents)).encode()


def write_tar(contents: Mapping[str, Path | bytes], *, folder: str, out: Path) -> None:
    """Write everything below ``folder`` into the tar ``out``, whole or not at all; equal contents, equal bytes.

    Raises :class:`StorageError`.
    """
    partial = out.with_name(f".{out.name}.partial")
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
                for path in sorted(contents):
                    _add(tar, f"{folder}/{path}", contents[path], runnable=path in _RUNNABLE)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, content: Path | bytes, *, runnable: bool) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = 0o755 if runnable else 0o644
    if isinstance(content, bytes):
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
        return
    with content.open("rb") as stream:
        entry.size = os.fstat(stream.fileno()).st_size
        tar.addfile(entry, stream)


def _check_names(files: Iterable[str]) -> None:
    for name in files:
        if "\n" in name or "\\" in name:
            raise InputError(f"{name!r}: a list of digests cannot hold this name", hint="rename the file")
