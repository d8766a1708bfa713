"""Blocks to Markdown that also reads well in a terminal: aligned tables, wrapped text, nothing unescaped."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from functools import singledispatch

from ..plain_text import one_line
from .report_blocks import Block, Card, Column, Facts, Figure, Heading, Items, Note, Paragraph, Row, Table

WIDTH = 100
# Only what would be taken for markup, so that the text stays readable as it is: a backslash before punctuation; code,
# emphasis, strike-through, cells and formulae; underscores at the edge of a word; the end of a link's text; the start
# of a tag; entities.
_SPECIAL = re.compile(
    r"\\(?=[!-/:-@\[-`{-~]|$)|[`*~|$]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|<(?=[A-Za-z/!?])|&(?=#?\w+;)"
)
# What makes a list, a heading, a quotation or a rule at the start of a line.
_LEADING = re.compile(r"^([-+=]|#{1,6}|\d+[.)]|-{3,}|={3,})(?=\s|$)|^>")


def clean(text: str, limit: int = 200) -> str:
    """One line of printable text: no control or direction characters, blanks collapsed, cut at ``limit``.

    >>> clean("a\\n b\\u202e\\x07c", 4)
    'a b…'
    """
    kept = one_line(text)
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no table separators.

    >>> print(escape("<b>*2* | [a](b) 3_ [0, 1] < 2 a_b"))
    \\<b>\\*2\\* \\| [a\\](b) 3\\_ [0, 1] < 2 a_b
    """
    return _guard(_SPECIAL.sub(r"\\\g<0>", clean(text, 4000)))


def render(blocks: Iterable[Block]) -> str:
    """The whole document, ending in one newline."""
    return "\n\n".join(_render(block) for block in blocks) + "\n"


@singledispatch
def _render(block: Block) -> str:
    raise TypeError(f"no Markdown for {type(block).__name__}")


@_render.register
def _(block: Heading) -> str:
    return f"{'#' * block.level} {escape(block.text)}"


@_render.register
def _(block: Paragraph) -> str:
    return _wrap(escape(block.text))


@_render.register
def _(block: Note) -> str:
    return _wrap(f"**{escape(block.text)}**", "> ", "> ")


@_render.register
def _(block: Items) -> str:
    return "\n".join(_item(lead, text) for lead, text in block.items)


@_render.register
def _(block: Facts) -> str:
    return "\n".join(_item(term, value) for term, value in block.facts)


@_render.register
def _(block: Figure) -> str:
    return _wrap(f"*Drawn in report.html: {escape(block.caption)}*")


@_render.register
def _(block: Card) -> str:
    lists = [_named_list(name, lines) for name, lines in block.lists]
    return "\n".join([_wrap(f"**{escape(block.title)}**") + "\n", *lists])


@_render.register
def _(block: Table) -> str:
    columns, lines = block.columns, [line for row in block.rows for line in _lines(row)]
    cells = [[escape(column.title) for column in columns], *([escape(cell) for cell in line] for line in lines)]
    widths = [max(3, *(len(line[number]) for line in cells)) for number in range(len(columns))]
    rule = ["-" * (w - 1) + ":" if c.align == "right" else "-" * w for c, w in zip(columns, widths, strict=True)]
    body = [_line(line, columns, widths) for line in cells]
    return "\n".join([_wrap(escape(block.caption)) + "\n", body[0], f"| {' | '.join(rule)} |", *body[1:]])


def _item(lead: str, text: str) -> str:
    start = f"**{escape(lead)}**: " if lead else ""
    return _wrap(start + escape(text), "- ", "  ")


def _named_list(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"- {escape(name)}", *(_wrap(escape(line), "  - ", "    ") for line in lines)])


def _wrap(text: str, first: str = "", rest: str = "") -> str:
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    # A wrapped line must not begin like a list or a heading.
    return "\n".join([*lines[:1], *(rest + _guard(line[len(rest) :]) for line in lines[1:])])


def _guard(line: str) -> str:
    """A line that does not open a list, a heading, a quotation or a rule."""
    return _LEADING.sub(lambda match: match[0][:-1] + "\\" + match[0][-1], line)


def _lines(row: Row) -> list[Sequence[str]]:
    details = row.details or [""] * len(row.cells)
    first = [f"{cell} {detail}".strip() for cell, detail in zip(row.cells, details, strict=True)]
    return [first] if row.under is None else [first, row.under]


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if column.align == "right" else cell.ljust(width)
        for cell, column, width in zip(cells, columns, widths, strict=True)
    ]
    return f"| {' | '.join(padded)} |"
