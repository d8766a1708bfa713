"""RecBole's atomic files: ``NAME.inter`` and ``NAME.item``, tab-separated, with typed headers such as user_id:token."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from .raw import RawInteractions
from .sources import find_interactions
from .table import column_names, events_of, scan, with_title_file

TITLES = ("title", "movie_title", "item_name", "product_title", "book_title", "name")


def read_recbole(
    source: Path,
    *,
    titles: Path | None,
    user_column: str = "user",
    item_column: str = "item",
    order_column: str | None = None,
    title_column: str = "title",
) -> RawInteractions:
    """Read a ``.inter`` file, or the only one in a folder, and the ``.item`` file of the same name beside it.

    The columns are user_id and item_id unless the options name others (without the type); the order is that of
    :func:`eimf_local.data.table.events_of`; the title is the first of ``title_column`` and ``TITLES`` that is there.
    Raises :class:`InputError` as the table reader does.
    """
    path = find_interactions(source, ("*.inter", "*.inter.gz"))
    item = [item_column, "item_id"]
    raw = events_of(path, _untyped(path), user=[user_column, "user_id"], item=item, order_column=order_column)
    file = titles or path.with_name(path.name.replace(".inter", ".item"))
    if titles is None and not file.is_file():
        return raw
    return with_title_file(raw, file, _untyped(file), item=[*item, "item"], title=[title_column, *TITLES])


def _untyped(path: Path) -> pl.LazyFrame:
    lazy = scan(path)
    return lazy.rename({name: name.partition(":")[0] for name in column_names(path, lazy)})
