"""An append-only record of finished work: one JSON object a line, on disk before it counts as done.

A process killed at any moment loses at most the line it was writing; that torn line is cut off at the next start.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..artifacts import storage_errors


class Journal:
    """Finished records by key. ``key`` must name everything the record depends on (model, prompt, settings)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = _read_whole_lines(path)

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._records[key]

    def append(self, key: str, record: dict[str, Any]) -> None:
        """Write a record and wait until it is on disk; raises :class:`StorageError` where it cannot be."""
        line = json.dumps({"key": key, "record": record}, ensure_ascii=False) + "\n"
        with storage_errors(self._path), self._path.open("ab") as stream:
            end = stream.seek(0, os.SEEK_END)
            try:
                stream.write(line.encode("utf-8", errors="replace"))
                stream.flush()
                os.fsync(stream.fileno())
            except OSError:
                os.truncate(self._path, end)  # a half-written line must not glue itself to the next one
                raise
        self._records[key] = record


def _read_whole_lines(path: Path) -> dict[str, dict[str, Any]]:
    """Records of all undamaged leading lines; the file is cut after the last of them."""
    records: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return records
    data = path.read_bytes()
    good = 0
    for line in data.splitlines(keepends=True):
        try:
            entry = json.loads(line) if line.endswith(b"\n") else None
            key, record = entry["key"], entry["record"]  # type: ignore[index]
        except (ValueError, KeyError, TypeError):
            break
        records[key] = record
        good += len(line)
    if good < len(data):
        with storage_errors(path):
            os.truncate(path, good)
    return records
