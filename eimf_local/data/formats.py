"""The door for interaction logs: one reader per format, each giving :class:`RawInteractions`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from ..errors import ConfigError
from .amazon import read_amazon
from .movielens import read_movielens
from .raw import RawInteractions
from .recbole import read_recbole
from .sources import existing
from .table import read_table


class _Reader(Protocol):
    def __call__(
        self,
        source: Path,
        *,
        titles: Path | None,
        user_column: str,
        item_column: str,
        order_column: str | None,
        title_column: str,
    ) -> RawInteractions: ...


_FIXED = {"user_column": "user", "item_column": "item", "order_column": None, "title_column": "title"}


def _amazon(source: Path, *, titles: Path | None, **columns: str | None) -> RawInteractions:
    _refuse_columns("amazon", columns)
    return read_amazon(source, titles=titles)


def _movielens(source: Path, *, titles: Path | None, **columns: str | None) -> RawInteractions:
    _refuse_columns("movielens", columns)
    return read_movielens(source, titles=titles)


def _refuse_columns(format: str, columns: Mapping[str, str | None]) -> None:
    for name, value in columns.items():
        if value != _FIXED[name]:
            option = "--" + name.replace("_", "-")
            raise ConfigError(
                f"{option} {value} has no meaning with --format {format}", hint=f"leave {option} out, or check --format"
            )


READERS: Mapping[str, _Reader] = MappingProxyType(
    {"amazon": _amazon, "movielens": _movielens, "recbole": read_recbole, "table": read_table}
)


def read_interactions(
    source: Path,
    *,
    format: str,
    titles: Path | None = None,
    user_column: str = "user",
    item_column: str = "item",
    order_column: str | None = None,
    title_column: str = "title",
) -> RawInteractions:
    """Read interactions and titles from ``source``, a file or a folder, in one of the formats of ``READERS``.

    ``titles`` names the title file; without it the format's usual neighbour of the interactions file is looked for.
    The columns matter to ``table`` and ``recbole`` only. Raises :class:`InputError` for anything that cannot be read
    (it names the file and the line or column), :class:`ConfigError` for an unknown format or a column option that the
    format has no use for.
    """
    if format not in READERS:
        raise ConfigError(f"unknown format {format!r}", hint=f"--format is one of: {', '.join(READERS)}")
    return READERS[format](
        existing(source),
        titles=None if titles is None else existing(titles),
        user_column=user_column,
        item_column=item_column,
        order_column=order_column,
        title_column=title_column,
    )
