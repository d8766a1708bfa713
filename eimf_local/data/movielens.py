"""MovieLens ``.dat`` files: ``ratings.dat`` (UserID::MovieID::Rating::Timestamp) and ``movies.dat`` in Latin-1."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ..errors import InputError
from .raw import LineCount, RawInteractions, without_blank_ids
from .sources import empty, find_interactions, numbered_lines, reading


def read_movielens(source: Path, *, titles: Path | None) -> RawInteractions:
    """Read ratings (every one is a positive, whatever its value) and movie titles.

    ``source`` is ``ratings.dat`` or a folder that holds it; ``movies.dat`` beside it unless ``titles`` names another.
    A line without four fields and a whole number for its time is counted and skipped. Raises :class:`InputError` where
    no line can be used.
    """
    ratings = find_interactions(source, ("ratings.dat",))
    with reading(ratings):
        table = _scan(ratings).collect()
    lines = _account(ratings, table)
    events, blank = without_blank_ids(table.filter("valid").select("user", "item", "timestamp"))
    movies, title_lines = titles or _movies_beside(ratings), LineCount()
    return RawInteractions(
        events=events.with_columns(position=pl.col("timestamp")),
        titles={} if movies is None else _titles(movies, title_lines),
        order="timestamp",
        blank_ids=blank,
        lines=lines,
        title_lines=title_lines,
        sources=(ratings,) if movies is None else (ratings, movies),
    )


def _scan(ratings: Path) -> pl.LazyFrame:
    # The separator has two characters, which no CSV reader takes: whole lines are read, then parted.
    lines = pl.scan_csv(
        ratings,
        has_header=False,
        new_columns=["line"],
        separator="\x01",
        quote_char=None,
        truncate_ragged_lines=True,
        infer_schema=False,
        encoding="utf8-lossy",
        row_index_name="number",
        row_index_offset=1,
        glob=False,
    )
    parts = pl.col("line").str.split("::")
    names = ("user", "item", "rating", "timestamp")
    part = {name: parts.list.get(index, null_on_oob=True) for index, name in enumerate(names)}
    time = part["timestamp"].cast(pl.Int64, strict=False)
    valid = (parts.list.len() == len(names)) & time.is_not_null()
    return lines.filter(pl.col("line").str.strip_chars() != "").select(
        "number", user=part["user"], item=part["item"], timestamp=time, valid=valid
    )


def _account(ratings: Path, table: pl.DataFrame) -> LineCount:
    bad = table.filter(~pl.col("valid"))["number"]
    if table.height == 0:
        raise empty(ratings)
    if len(bad) == table.height:
        raise InputError(
            f"{ratings}: none of its {table.height} lines reads UserID::MovieID::Rating::Timestamp",
            hint="check --format: movielens wants ratings.dat and movies.dat",
        )
    return LineCount(table.height, len(bad), int(bad[0]) if len(bad) else None)


def _movies_beside(ratings: Path) -> Path | None:
    movies = ratings.with_name("movies.dat")
    return movies if movies.is_file() else None


def _titles(movies: Path, count: LineCount) -> dict[str, str]:
    titles: dict[str, str] = {}
    for number, line in numbered_lines(movies):
        if line is not None and not line.strip():
            continue
        count.read += 1
        fields = [] if line is None else _decode(line).split("::")
        if len(fields) < 3:
            count.reject(number)
        else:
            titles.setdefault(fields[0], "::".join(fields[1:-1]))
    return titles


def _decode(line: bytes) -> str:
    # MovieLens-1M is Latin-1, the later 10M is UTF-8; accented Latin-1 is hardly ever valid UTF-8.
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
