"""Blocks to one self-contained HTML page: styles inline, drawings inline, no script, nothing fetched."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Sequence
from functools import singledispatch
from html import escape as escape_html
from string import Template

from .report_blocks import Block, Card, Column, Facts, Figure, Heading, Items, Note, Paragraph, Row, Table
from .report_markdown import clean


def escape(text: str) -> str:
    """Text as HTML shows it; quotes escaped too, so that it may stand in an attribute."""
    return escape_html(clean(text, 4000), quote=True)


def render(blocks: Iterable[Block]) -> str:
    """The whole page; the first heading is its title."""
    parts = list(blocks)
    title = next((block.text for block in parts if isinstance(block, Heading)), "Report")
    folder = importlib.resources.files(__package__)
    page = Template(folder.joinpath("report.html").read_text("utf-8"))
    style = folder.joinpath("report.css").read_text("utf-8")
    return page.substitute(
        title=escape(title), style=style, contents=_contents(parts), body="\n".join(_render(block) for block in parts)
    )


@singledispatch
def _render(block: Block) -> str:
    raise TypeError(f"no HTML for {type(block).__name__}")


@_render.register
def _(block: Heading) -> str:
    anchor = f' id="{_anchor(block.text)}"' if block.level == 2 else ""
    return f"<h{block.level}{anchor}>{escape(block.text)}</h{block.level}>"


@_render.register
def _(block: Paragraph) -> str:
    return f"<p>{escape(block.text)}</p>"


@_render.register
def _(block: Note) -> str:
    return f'<p class="note">{escape(block.text)}</p>'


@_render.register
def _(block: Items) -> str:
    return f"<ul>{''.join(_item(lead, text) for lead, text in block.items)}</ul>"


@_render.register
def _(block: Facts) -> str:
    return f"<dl>{''.join(f'<dt>{escape(term)}</dt><dd>{escape(value)}</dd>' for term, value in block.facts)}</dl>"


@_render.register
def _(block: Figure) -> str:
    svg = block.svg.replace("<svg ", f'<svg role="img" aria-label="{escape(block.caption)}" ', 1)
    return f'<figure><div class="scroll">{svg}</div><figcaption>{escape(block.caption)}</figcaption></figure>'


@_render.register
def _(block: Card) -> str:
    columns = "".join(_named_list(name, lines) for name, lines in block.lists)
    return f'<section class="card"><h4>{_isolated(block.title)}</h4><div class="lists">{columns}</div></section>'


@_render.register
def _(block: Table) -> str:
    head = "".join(f'<th scope="col" class="{column.align}">{escape(column.title)}</th>' for column in block.columns)
    body = "".join(_row(row, block.columns) for row in block.rows)
    caption = f"<caption>{escape(block.caption)}</caption>"
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _contents(blocks: Sequence[Block]) -> str:
    sections = [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]
    return "".join(f'<li><a href="#{_anchor(text)}">{escape(text)}</a></li>' for text in sections)


def _anchor(text: str) -> str:
    return "".join(one if one.isascii() and one.isalnum() else "-" for one in text.lower())


def _isolated(text: str) -> str:
    """User-derived text may run right to left: keep that from spilling over."""
    return f"<bdi>{escape(text)}</bdi>"


def _item(lead: str, text: str) -> str:
    start = f"<strong>{escape(lead)}:</strong> " if lead else ""
    return f"<li>{start}{escape(text)}</li>"


def _named_list(name: str, lines: Sequence[str]) -> str:
    entries = "".join(f"<li>{_isolated(line)}</li>" for line in lines)
    return f"<div><h5>{escape(name)}</h5><ol>{entries}</ol></div>"


def _row(row: Row, columns: Sequence[Column]) -> str:
    blank = [""] * len(row.cells)
    parts = zip(row.cells, row.details or blank, row.under or blank, columns, strict=True)
    cells = []
    for number, (cell, detail, under, column) in enumerate(parts):
        text = escape(cell)
        text += f'<span class="detail">{escape(detail)}</span>' if detail else ""
        text += f'<span class="under">{escape(under)}</span>' if under else ""
        tag, scope = ("th", ' scope="row"') if number == 0 else ("td", "")
        cells.append(f'<{tag}{scope} class="{column.align}">{text}</{tag}>')
    return f'<tr class="{escape(row.tone)}">{"".join(cells)}</tr>'
