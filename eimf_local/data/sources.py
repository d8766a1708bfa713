"""Finding and opening source files; whatever is wrong with one becomes a single :class:`InputError`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import polars as pl

from ..errors import InputError

# A line longer than this is not a review or a product: reading it whole could fill the memory.
MAX_LINE_BYTES = 1 << 20


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every failure to read ``path`` into one :class:`InputError` that says why."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", hint="check the path") from None
    except pl.exceptions.NoDataError:
        raise empty(path) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot read {path}: {reason}", hint="check that the file is complete, uncorrupted and readable"
        ) from error
    except (pl.exceptions.PolarsError, UnicodeError) as error:
        raise InputError(
            f"cannot read {path}: {_first_line(error)}", hint="check --format, and that the file is intact and in UTF-8"
        ) from error


def empty(path: Path) -> InputError:
    """The error for a file without a single interaction."""
    return InputError(f"{path} holds no interactions", hint="check that it is the right file and not cut short")


def missing_column(path: Path, wanted: Sequence[str], there: Sequence[str], *, remedy: str) -> InputError:
    """The error for a column that is not there; names those that are (shortened: the file may be anything)."""
    shown = ", ".join(repr(name[:40]) for name in there[:20]) + (", ..." if len(there) > 20 else "")
    name = " or ".join(repr(column) for column in wanted)
    return InputError(f"{path} has no column {name}; its columns are {shown or 'none'}", hint=remedy)


def existing(source: Path) -> Path:
    """``source`` if it exists, else an :class:`InputError`."""
    if not source.exists():
        raise InputError(f"{source}: no such file or folder", hint="check the path")
    return source


def find_one(folder: Path, patterns: Sequence[str], *, what: str) -> Path | None:
    """The only file of ``folder`` that matches one of the glob ``patterns``, or None; several are an error."""
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder} holds several {what} files: {names}", hint="name the one to be read")
    return found[0] if found else None


def find_interactions(source: Path, patterns: Sequence[str]) -> Path:
    """``source`` itself if it is a file, else the only file in it that matches ``patterns``."""
    if existing(source).is_file():
        return source
    found = find_one(source, patterns, what="interactions")
    if found is None:
        raise InputError(
            f"{source} holds no file named {' or '.join(patterns)}", hint="name the interactions file, check --format"
        )
    return found


def numbered_lines(path: Path, *, limit: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes | None]]:
    """Yield (line number from 1, its bytes without the newline); None for a line longer than ``limit``.

    ``.gz`` files are decompressed as they are read; a corrupt or truncated one raises :class:`InputError`.
    """
    with reading(path), _open(path) as stream:
        number = 0
        while line := stream.readline(limit + 1):
            number += 1
            if len(line) <= limit or line.endswith(b"\n"):
                yield number, line.rstrip(b"\r\n")
                continue
            while line and not line.endswith(b"\n"):
                line = stream.readline(limit)
            yield number, None


def _first_line(error: Exception) -> str:
    # The message may quote the file, which may hold anything, control sequences for the terminal too.
    line = str(error).strip().partition("\n")[0][:200]
    return "".join(character if character.isprintable() else "?" for character in line)


def _open(path: Path) -> gzip.GzipFile | IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
