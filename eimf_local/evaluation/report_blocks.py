"""The parts a report is made of. Every string is plain text: each renderer escapes it in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Align = Literal["left", "right"]


@dataclass(frozen=True)
class Heading:
    """``level`` 1 is the title of a report, 2 a section, 3 a part of one."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Note:
    """A paragraph that must not be overlooked."""

    text: str


@dataclass(frozen=True)
class Items:
    """A bulleted list; each item may open with a few words set off from the rest."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Facts:
    """Terms and their values."""

    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Column:
    """A table's column."""

    title: str
    align: Align = "right"


@dataclass(frozen=True)
class Row:
    """A table's row.

    ``cells``: one value a column. ``details``: smaller print beside each value, such as an interval. ``under``: a
    second line, such as the paper's values. ``tone`` names how the row is set apart, for example "method".
    """

    cells: Sequence[str]
    details: Sequence[str] | None = None
    under: Sequence[str] | None = None
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """``caption`` says what the numbers are."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Figure:
    """``svg``: a self-contained drawing, trusted. ``caption``: what is drawn."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Card:
    """An example: a title and named lists of lines."""

    title: str
    lists: Sequence[tuple[str, Sequence[str]]]


Block = Heading | Paragraph | Note | Items | Facts | Table | Figure | Card
