"""What every reader hands over: raw interactions and titles, and an account of the lines that could not be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

EVENT_SCHEMA = {"user": pl.String, "item": pl.String, "timestamp": pl.Int64}


@dataclass
class LineCount:
    """One file's account: lines or rows ``read``, of them ``unparsable``, the first at line ``first_unparsable``."""

    read: int = 0
    unparsable: int = 0
    first_unparsable: int | None = None

    def reject(self, number: int) -> None:
        """Count line ``number`` (1-based) as unparsable."""
        self.unparsable += 1
        if self.first_unparsable is None:
            self.first_unparsable = number


@dataclass(frozen=True)
class RawInteractions:
    """Interactions as they stand in the source, before any filter.

    Attributes:
        events: in the source's order; ``user`` and ``item`` String, never blank; ``position`` Int64 or Float64, the
            order key inside a user (null: unknown; ties keep this order); ``timestamp`` Int64 in the source's unit,
            seconds in every format known here (null: unknown).
        titles: raw item id -> title as it stands in the source; ids without a title are absent.
        order: what ``position`` was read from: a column's name, or ``file order``.
        blank_ids: interactions left out because the user or the item was blank.
        lines: account of the interactions file.
        title_lines: account of the title file (zeros where there is none).
        sources: the files that were read.
    """

    events: pl.DataFrame
    titles: dict[str, str]
    order: str
    blank_ids: int
    lines: LineCount
    title_lines: LineCount = field(default_factory=LineCount)
    sources: tuple[Path, ...] = ()

    @property
    def place(self) -> str:
        """The source files, for messages."""
        return " with ".join(map(str, self.sources)) or "the source"


def without_blank_ids(events: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Drop events whose user or item is null or white space only; return the rest and how many were dropped."""
    kept = events.filter(*(pl.col(name).str.strip_chars().str.len_bytes() > 0 for name in ("user", "item")))
    return kept, events.height - kept.height
