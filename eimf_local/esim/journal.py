"""An append-only record of finished work: one JSON object a line, on disk before it counts as done.

A process killed at any moment loses at most the line it was writing; that torn line is cut off at the next start.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..disk import storage_errors


class Journal:
    """Finished records by key."""

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
    """Records of all undamaged lines. A damaged one costs itself alone; a torn last one is cut off."""
    records: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return records
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    for line in data[:whole].split(b"\n"):
        try:
            entry = json.loads(line)
            records[entry["key"]] = entry["record"]
        except (ValueError, KeyError, TypeError):
            continue
    if whole < len(data):
        with storage_errors(path):
            os.truncate(path, whole)
    return records
