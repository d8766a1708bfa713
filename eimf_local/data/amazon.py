"""Amazon 2014 reviews (one JSON object a line) and metadata (one Python literal a line), as published by J. McAuley."""

from __future__ import annotations

import ast
import json
import math
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError
from .raw import EVENT_SCHEMA, LineCount, RawInteractions, without_blank_ids
from .sources import empty, find_interactions, find_one, missing_column, numbered_lines

REVIEWS = ("reviews*.json.gz", "reviews*.json", "*_5.json.gz", "*_5.json")
META = ("meta*.json.gz", "meta*.json")
_CHUNK = 200_000
_INT64 = 1 << 63
Event = tuple[str | None, str | None, int | None]


def read_amazon(source: Path, *, titles: Path | None) -> RawInteractions:
    """Read reviews (fields reviewerID, asin, unixReviewTime) and titles (asin, title).

    ``source`` is the reviews file or a folder that holds it. The title file, unless given, is the metadata file beside
    it: ``meta_X.json.gz`` for ``reviews_X_5.json.gz``, else the only one. A line that is no object, or too long, is
    counted and skipped. Raises :class:`InputError` where no line can be used.
    """
    reviews = find_interactions(source, REVIEWS)
    lines = LineCount()
    records = _objects(reviews, lines, _parse_json)
    fields = _Fields(reviews, ("reviewerID", "asin"))
    events, blank = without_blank_ids(_frame(_event(record) for record in fields.checked(records)))
    _refuse_unusable(reviews, lines)
    fields.refuse_missing()
    meta, title_lines = titles or _meta_beside(reviews), LineCount()
    return RawInteractions(
        events=events.with_columns(position=pl.col("timestamp")),
        titles={} if meta is None else _titles(meta, title_lines, set(events["item"])),
        order="unixReviewTime",
        blank_ids=blank,
        lines=lines,
        title_lines=title_lines,
        sources=(reviews,) if meta is None else (reviews, meta),
    )


class _Fields:
    """Notes which wanted fields ever occur, so that a file of another shape is refused by name."""

    def __init__(self, path: Path, wanted: tuple[str, ...]) -> None:
        self.path, self.absent, self.first = path, set(wanted), list[str]()

    def checked(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for record in records:
            self.first = self.first or [str(key) for key in record]
            if self.absent:
                self.absent -= record.keys()
            yield record

    def refuse_missing(self) -> None:
        for field in sorted(self.absent):
            raise missing_column(self.path, [field], self.first, remedy="check --format")


def _objects(path: Path, count: LineCount, parse: Any) -> Iterator[dict[str, Any]]:
    for number, line in numbered_lines(path):
        if line is not None and not line.strip():
            continue
        count.read += 1
        record = None if line is None else parse(line)
        if isinstance(record, dict):
            yield record
        else:
            count.reject(number)


def _parse_json(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _parse_literal(line: bytes) -> object:
    # ast.literal_eval builds literals only: it never looks up a name or calls anything.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a title with a backslash is no business of the user's
            return ast.literal_eval(line.decode("utf-8"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _event(record: dict[str, Any]) -> Event:
    return _id(record.get("reviewerID")), _id(record.get("asin")), _seconds(record.get("unixReviewTime"))


def _id(value: object) -> str | None:
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    text = str(value)
    return text if text.isascii() or _is_encodable(text) else None


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _seconds(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) and abs(number) < _INT64 else None


def _frame(events: Iterator[Event]) -> pl.DataFrame:
    # In chunks: a list of Python tuples for every review of a large category would take gigabytes.
    chunks = [pl.DataFrame(schema=EVENT_SCHEMA)]
    while chunk := list(islice(events, _CHUNK)):
        chunks.append(pl.DataFrame(chunk, schema=EVENT_SCHEMA, orient="row"))
    return pl.concat(chunks)


def _refuse_unusable(path: Path, count: LineCount) -> None:
    if count.read == 0:
        raise empty(path)
    if count.unparsable == count.read:
        raise InputError(
            f"{path}: none of its {count.read} lines is a JSON object (the first bad one is line 1)",
            hint="check --format: amazon wants reviews_*.json.gz and meta_*.json.gz",
        )


def _meta_beside(reviews: Path) -> Path | None:
    stem = reviews.name.removesuffix(".gz").removesuffix(".json").removesuffix("_5").removeprefix("reviews")
    for ending in (".json.gz", ".json"):
        if (named := reviews.with_name(f"meta{stem}{ending}")).is_file():
            return named
    return find_one(reviews.parent, META, what="metadata")


def _titles(meta: Path, count: LineCount, wanted: set[str]) -> dict[str, str]:
    titles: dict[str, str] = {}
    for record in _objects(meta, count, _parse_literal):
        item, title = _id(record.get("asin")), record.get("title")
        if item in wanted and isinstance(title, str) and title.strip():
            titles.setdefault(item, title)
    if count.read and count.unparsable == count.read:
        raise InputError(
            f"{meta}: none of its {count.read} lines is a Python literal (the first bad one is line 1)",
            hint="give the metadata file meta_*.json.gz as --titles",
        )
    return titles
