"""From raw interactions to a :class:`Dataset`: filter, order, numbering and titles (SPEC section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..artifacts import sha256_file
from ..errors import InputError
from .dataset import NO_TIME, Dataset, Int32
from .formats import read_interactions
from .raw import RawInteractions
from .splits import MIN_USERS
from .titles import clean_title


def prepare(
    source: Path,
    *,
    format: str,
    titles: Path | None = None,
    min_item_count: int = 5,
    min_user_count: int = 5,
    iterate: bool = False,
    user_column: str = "user",
    item_column: str = "item",
    order_column: str | None = None,
    title_column: str = "title",
) -> Dataset:
    """Read ``source`` (see :func:`read_interactions`) and prepare it (SPEC section 2).

    Every interaction is a positive. Items with fewer than ``min_item_count`` interactions are dropped, then users with
    fewer than ``min_user_count`` kept ones, one pass each; ``iterate`` repeats both until nothing changes. Raises
    :class:`InputError` for unusable input, for titles that are all empty, and where too few users remain to split.
    """
    raw = read_interactions(
        source,
        format=format,
        titles=titles,
        user_column=user_column,
        item_column=item_column,
        order_column=order_column,
        title_column=title_column,
    )
    minimum = {"min_item_count": min_item_count, "min_user_count": min_user_count}
    dataset = build_dataset(raw, iterate=iterate, **minimum)
    statistics = {
        "format": format,
        "filter": {**minimum, "iterate": iterate},
        "sources": [{"file": path.name, "sha256": sha256_file(path)} for path in raw.sources],
        **dataset.statistics,
    }
    return replace(dataset, statistics=statistics)


def build_dataset(
    raw: RawInteractions, *, min_item_count: int = 5, min_user_count: int = 5, iterate: bool = False
) -> Dataset:
    """:func:`prepare` without the reading; the statistics lack the source files.

    Users are sorted as strings, a user's events by position with ties in input order; an unknown position or time takes
    the one before it in the user's rows, or the first known one. Items are numbered by descending count after the
    filter, ties by first appearance in that order of events: shuffling rows of different users changes nothing.
    """
    events = _sorted(raw.events)
    kept, dropped = _filtered(events, min_item_count=min_item_count, min_user_count=min_user_count, iterate=iterate)
    counts = {"read": _sizes(raw.events), "dropped": dropped, "kept": _sizes(kept)}
    _refuse_too_few(raw, counts)
    users = kept.group_by("user", maintain_order=True).len()
    items = kept.group_by("item", maintain_order=True).len().sort("len", descending=True, maintain_order=True)
    names, missing = _titles(items["item"].to_list(), raw.titles)
    if raw.titles and missing == items.height:  # a log without any titles serves the models of behaviour alone
        raise InputError(
            f"{raw.place}: titles were found, but none for the {missing} items that are kept",
            hint="check the item ids of the title file (--titles), or leave the titles out",
        )
    timed = kept["timestamp"].null_count() < kept.height
    return Dataset(
        users=tuple(users["user"].to_list()),
        items=tuple(items["item"].to_list()),
        titles=names,
        offsets=np.concatenate(([0], np.cumsum(users["len"].to_numpy(), dtype=np.int64))),
        sequence=_numbered(kept["item"], items["item"]),
        timestamps=kept["filled"].fill_null(NO_TIME).to_numpy().copy() if timed else None,
        statistics={**counts, **_account(raw, kept), "titles_missing": missing},
    )


def _sorted(events: pl.DataFrame) -> pl.DataFrame:
    """Events by user (as strings), then position, then input order; ``filled`` is the timestamp without gaps."""
    near = {name: _without_gaps(name) for name in ("position", "timestamp")}
    ordered = events.with_columns(near["position"]).sort("user", "position", maintain_order=True, nulls_last=False)
    return ordered.with_columns(near["timestamp"].alias("filled"))


def _without_gaps(name: str) -> pl.Expr:
    return pl.col(name).forward_fill().backward_fill().over("user")


def _filtered(
    events: pl.DataFrame, *, min_item_count: int, min_user_count: int, iterate: bool
) -> tuple[pl.DataFrame, dict[str, int]]:
    dropped = dict.fromkeys(("rare_items", "rare_item_interactions", "short_users", "short_user_interactions"), 0)
    while True:
        frequent = events.filter(pl.len().over("item") >= min_item_count)
        kept = frequent.filter(pl.len().over("user") >= min_user_count)
        dropped["rare_items"] += events["item"].n_unique() - frequent["item"].n_unique()
        dropped["rare_item_interactions"] += events.height - frequent.height
        dropped["short_users"] += events["user"].n_unique() - kept["user"].n_unique()
        dropped["short_user_interactions"] += frequent.height - kept.height
        changed = kept.height < events.height
        events = kept
        if not (iterate and changed):
            return events, dropped


def _sizes(events: pl.DataFrame) -> dict[str, int]:
    return {
        "users": events["user"].n_unique(),
        "items": events["item"].n_unique(),
        "interactions": events.height,
    }


def _refuse_too_few(raw: RawInteractions, counts: Mapping[str, Any]) -> None:
    read, kept = counts["read"], counts["kept"]
    if kept["users"] >= MIN_USERS:
        return
    raise InputError(
        f"{raw.place}: {kept['users']} of {read['users']} users, {kept['items']} of {read['items']} items and "
        f"{kept['interactions']} of {read['interactions']} interactions pass the filter; "
        f"training, validation and test need {MIN_USERS} users",
        hint="give more data, or lower prepare.min_item_count and prepare.min_user_count",
    )


def _titles(items: list[str], raw: Mapping[str, str]) -> tuple[tuple[str, ...], int]:
    cleaned = [clean_title(raw.get(item, "")) for item in items]
    missing = sum(not title for title in cleaned)
    return tuple(title or item for title, item in zip(cleaned, items, strict=True)), missing


def _numbered(events: pl.Series, items: pl.Series) -> Int32:
    numbers = pl.int_range(1, len(items) + 1, dtype=pl.Int32, eager=True)
    return events.replace_strict(items, numbers, return_dtype=pl.Int32).to_numpy().copy()


def _account(raw: RawInteractions, kept: pl.DataFrame) -> dict[str, Any]:
    """What the reader and the clock left to be desired."""
    timed = kept.filter(pl.col("timestamp").is_not_null())
    tied = timed.select((pl.len().over("user", "timestamp") > 1).mean()).item() if timed.height else None
    return {
        "order": raw.order,
        "blank_ids": raw.blank_ids,
        "lines": vars(raw.lines),
        "title_lines": vars(raw.title_lines),
        "timestamps": {
            "known": timed.height,
            "filled_from_the_user": kept["filled"].count() - timed.height,
            "tied_share": tied,
        },
    }
