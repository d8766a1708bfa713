"""Tables with named columns: CSV, TSV and Parquet; the first two gzipped or not."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from ..errors import InputError
from .raw import LineCount, RawInteractions, without_blank_ids
from .sources import empty, find_interactions, find_one, missing_column, numbered_lines, reading

# TSV, and RecBole's files, know no quoting: a quotation mark in a title is an inch sign.
DIALECTS: dict[str, tuple[str, str | None]] = {
    "csv": (",", '"'),
    "tsv": ("\t", None),
    "inter": ("\t", None),
    "item": ("\t", None),
}
_MICROSECONDS = 1_000_000
_ENDINGS = ("csv", "csv.gz", "tsv", "tsv.gz", "parquet")


def read_table(
    source: Path,
    *,
    titles: Path | None,
    user_column: str = "user",
    item_column: str = "item",
    order_column: str | None = None,
    title_column: str = "title",
) -> RawInteractions:
    """Read interactions and titles from tables whose columns are named by the options.

    ``source`` is the interactions file, or a folder with ``interactions.*`` and ``items.*``. Titles come from the file
    ``titles``, else from a title column of the interactions file, else from ``items.*`` beside it. See
    :func:`events_of` for the order. Raises :class:`InputError` for a missing column, a row with too many fields, a file
    that cannot be read.
    """
    path = find_interactions(source, [f"interactions.{ending}" for ending in _ENDINGS])
    lazy = scan(path)
    joined = titles is None and title_column in column_names(path, lazy)
    raw = events_of(path, lazy, user=[user_column], item=[item_column], order_column=order_column)
    if joined:
        return with_title_file(raw, path, lazy, item=[item_column], title=[title_column])
    file = titles or find_one(path.parent, [f"items.{ending}" for ending in _ENDINGS], what="title")
    if file is None or file == path:
        return raw
    return with_title_file(raw, file, scan(file), item=[item_column, "item"], title=[title_column])


def scan(path: Path) -> pl.LazyFrame:
    """Open a table lazily, every text column as String; its kind by its extension, see ``DIALECTS``."""
    kind = _kind(path)
    with reading(path):
        if kind == "parquet":
            return pl.scan_parquet(path, glob=False)
        if kind not in DIALECTS:
            raise InputError(
                f"{path}: unknown kind of table", hint="name it .csv, .tsv or .parquet, or .csv.gz, .tsv.gz"
            )
        if not path.is_file():
            raise FileNotFoundError(path)
        separator, quote = DIALECTS[kind]
        return pl.scan_csv(path, separator=separator, quote_char=quote, infer_schema=False, glob=False)


def column_names(path: Path, lazy: pl.LazyFrame) -> list[str]:
    """The table's column names; only its header is read."""
    with reading(path):
        names = lazy.collect_schema().names()
    if any("\x00" in name for name in names):
        raise InputError(f"{path} is not in UTF-8", hint="convert it, from UTF-16 say: iconv -f UTF-16 -t UTF-8")
    return names


def events_of(
    path: Path, lazy: pl.LazyFrame, *, user: Sequence[str], item: Sequence[str], order_column: str | None
) -> RawInteractions:
    """Interactions without titles from an opened table; ``user`` and ``item`` are the names to try, best first.

    Order: ``order_column`` if given, else ``seq_pos``, else ``timestamp``, else the file's order. Timestamps: the
    column ``timestamp``, else an order column that holds dates. Numbers and ISO 8601 dates are read, dates as UTC.
    """
    names = column_names(path, lazy)
    user_name = _choose(path, user, names, "name it with --user-column")
    item_name = _choose(path, item, names, "name it with --item-column")
    order = _order_column(path, names, order_column)
    wanted = [name for name in (user_name, item_name, order, "timestamp") if name in names]
    table = _collect(path, lazy, wanted)
    if table.height == 0:
        raise empty(path)
    position, dated = _numbers(path, table, order)
    timestamp = _seconds(path, table, position if dated else None)
    events = table.select(user=pl.col(user_name).cast(pl.String), item=pl.col(item_name).cast(pl.String))
    events, blank = without_blank_ids(events.with_columns(position.alias("position"), timestamp.alias("timestamp")))
    return RawInteractions(
        events=events,
        titles={},
        order=order or "file order",
        blank_ids=blank,
        lines=LineCount(read=table.height),
        sources=(path,),
    )


def with_title_file(
    raw: RawInteractions, file: Path, lazy: pl.LazyFrame, *, item: Sequence[str], title: Sequence[str]
) -> RawInteractions:
    """``raw`` with the titles of an opened table: the first that is not blank of each item that occurs in ``raw``."""
    names = column_names(file, lazy)
    remedy = "a title file has the columns item and title; others are named with --item-column and --title-column"
    item_name = _choose(file, item, names, remedy)
    title_name = _choose(file, title, names, remedy)
    table = _collect(file, lazy, [item_name, title_name])
    found = (
        table.select(item=pl.col(item_name).cast(pl.String), title=pl.col(title_name).cast(pl.String))
        .filter(pl.col("title").str.strip_chars() != "")
        .join(raw.events.select("item").unique(), on="item", how="semi", maintain_order="left")
        .unique("item", keep="first", maintain_order=True)
    )
    return replace(
        raw,
        titles=dict(found.iter_rows()),
        title_lines=LineCount(read=table.height),
        sources=tuple(dict.fromkeys((*raw.sources, file))),
    )


def _kind(path: Path) -> str:
    return path.name.lower().removesuffix(".gz").rpartition(".")[2]


def _choose(path: Path, wanted: Sequence[str], there: Sequence[str], remedy: str) -> str:
    for name in wanted:
        if name in there:
            return name
    raise missing_column(path, list(dict.fromkeys(wanted)), there, remedy=remedy)


def _order_column(path: Path, names: Sequence[str], given: str | None) -> str | None:
    if given is not None:
        return _choose(path, [given], names, "name another with --order-column, or leave the option out")
    return next((name for name in ("seq_pos", "timestamp") if name in names), None)


def _collect(path: Path, lazy: pl.LazyFrame, names: Iterable[str]) -> pl.DataFrame:
    wanted = list(dict.fromkeys(names))
    # Polars notices a row with surplus fields, whose columns are shifted, only where every column is asked for: so all
    # are looked at, and in chunks (streaming), so that long descriptions never lie in memory together.
    check = [] if _kind(path) == "parquet" else [pl.any_horizontal(pl.all().is_null()).alias("\0short")]
    with reading(path):
        try:
            return lazy.select(*wanted, *check).collect(engine="streaming").select(wanted)
        except pl.exceptions.ComputeError as error:
            if "more fields" in str(error):
                raise _surplus(path) from None
            raise


def _surplus(path: Path) -> InputError:
    separator, quote = DIALECTS[_kind(path)]
    rows = csv.reader(
        ((line or b"").decode("utf-8", "replace") + "\n" for _, line in numbered_lines(path)),
        delimiter=separator,
        quotechar=quote,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
    place = f"{path} has a row with more fields than its header"
    with contextlib.suppress(csv.Error):  # a bare carriage return, or a field of more than 128 KiB
        header = len(next(rows))
        for row in rows:
            if len(row) > header:
                place = f"{path} line {rows.line_num} has {len(row)} fields, its header {header}"
                break
    return InputError(place, hint="quote a title that holds the separator, or mend the line")


def _numbers(path: Path, table: pl.DataFrame, name: str | None) -> tuple[pl.Series, bool]:
    """Column ``name`` as Int64 or Float64 with nulls for blanks, and whether it held dates (then microseconds)."""
    if name is None:
        return pl.repeat(0, table.height, dtype=pl.Int64, eager=True), False
    column = table[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars().replace("", None)
    tried: list[pl.Series] = []
    for read in (_whole, _fraction, _date):  # dates last: they take a hundred times as long to read
        numbers = read(column)
        if numbers is not None and numbers.null_count() == column.null_count():
            return numbers, read is _date
        tried += [] if numbers is None else [numbers]
    nearest = min(tried, key=pl.Series.null_count, default=None)
    row = 0 if nearest is None else int((nearest.is_null() & column.is_not_null()).arg_true()[0])
    raise InputError(
        f"{path}: column {name!r} holds {str(column[row])[:40]!r} in row {row + 1}, which is no number and no date",
        hint="name another with --order-column, or mend the value",
    )


def _whole(column: pl.Series) -> pl.Series | None:
    if column.dtype.is_temporal() or column.dtype.is_float() or column.dtype.is_nested():
        return None
    return column.cast(pl.Int64, strict=False)


def _fraction(column: pl.Series) -> pl.Series | None:
    if column.dtype.is_temporal() or column.dtype.is_nested():
        return None
    numbers = column.cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)


def _date(column: pl.Series) -> pl.Series | None:
    if column.dtype == pl.String:
        try:
            column = column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        except pl.exceptions.ComputeError:  # no known form of date in it
            return None
    if column.dtype not in (pl.Date, pl.Datetime):
        return None
    return column.dt.epoch("us")


def _seconds(path: Path, table: pl.DataFrame, order_dates: pl.Series | None) -> pl.Series:
    """Timestamps as Int64: the column ``timestamp``, else the order column's dates, else all null."""
    if "timestamp" in table.columns:
        numbers, dated = _numbers(path, table, "timestamp")
    elif order_dates is not None:
        numbers, dated = order_dates, True
    else:
        return pl.repeat(None, table.height, dtype=pl.Int64, eager=True)
    if dated:
        return numbers // _MICROSECONDS
    return numbers.floor().cast(pl.Int64, strict=False)
