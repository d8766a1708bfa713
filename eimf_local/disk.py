"""Writing that a full disk or a killed process cannot spoil: files whole, unfinished work kept, one process at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import EimfError, InputError, StorageError

LOCK = ".lock"


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all (temporary name, flush to disk, rename)."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with storage_errors(path):
        try:
            with partial.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all; NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def work_folder(out: Path) -> Path:
    """Where a stage keeps unfinished work: ``OUT.work``, beside the artefact that it will become."""
    return out.with_name(out.name + ".work")


@contextmanager
def unfinished_work(out: Path, identity: str, *, restart: bool = False) -> Iterator[Path]:
    """The folder of ``out``'s unfinished work of this ``identity``; removed when the block ends without an error.

    After an error it is kept, unless nothing was done yet: a mistyped option leaves no trace. ``restart`` forgets what
    is there of it.
    Work of other identities (other settings, another model) lies beside it and is left alone. A second process on the
    same ``out`` is refused as long as the first one lives.
    """
    work = work_folder(out)
    own = work / identity[:12]
    with storage_errors(work):
        work.mkdir(parents=True, exist_ok=True)
    with locked(work, out):
        try:
            with storage_errors(own):
                if restart:
                    shutil.rmtree(own, ignore_errors=True)
                own.mkdir(exist_ok=True)
            yield own
            shutil.rmtree(own, ignore_errors=True)
        finally:
            with contextlib.suppress(OSError):  # not empty: work that is worth keeping
                own.rmdir()
            if {entry.name for entry in work.iterdir()} <= {LOCK}:
                shutil.rmtree(work, ignore_errors=True)


@contextmanager
def locked(folder: Path, shown: Path) -> Iterator[None]:
    """Hold ``folder``'s lock, or raise :class:`InputError` naming the process that does; it goes with its process."""
    with storage_errors(folder):
        lock = (folder / LOCK).open("a+", encoding="utf-8")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise InputError(
                f"{shown} is in use by process {lock.read().strip() or '?'}",
                hint="wait for it, or choose another --out",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one :class:`StorageError` that names the place and the remedy."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error
    except EimfError:
        raise
    except Exception as error:  # libraries in Rust and C++ wrap the refusal in exceptions of their own
        if "No space left" in str(error) or "os error 28" in str(error):
            raise storage_error(path, OSError(errno.ENOSPC, "No space left on device")) from error
        raise


def storage_error(path: Path, error: OSError) -> StorageError:
    """The :class:`StorageError` for what the operating system said about ``path``."""
    hints = {
        errno.ENOSPC: "free some space or choose another --out; finished work is kept",
        errno.EDQUOT: "your disk quota is full: free some space or choose another --out",
        errno.EACCES: "check the permissions or choose another --out",
        errno.EROFS: "the file system is read-only: choose another --out",
        errno.ENOTDIR: "a part of the path is a file: choose another --out",
        errno.EEXIST: "a file stands in the way: choose another --out",
    }
    reason = error.strerror or str(error)
    return StorageError(f"cannot write {path}: {reason}", hint=hints.get(error.errno or 0, "check the path"))
