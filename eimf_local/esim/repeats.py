"""Items in the text of an answer that say nothing new: those said before, and those that loop."""

from __future__ import annotations

import re
from collections.abc import Iterable

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')  # a complete string, and what makes it a key
_BRACKETS = re.compile(r"\([^()]*\)\s*$")
_LOOP = re.compile(r"\b(\w+)(?:\W+\1\b){3}", re.IGNORECASE)  # one word four times in a row; thrice, it may be a name
RULE = 4  # of what counts as a repeat: answers under another rule are other answers


def repeated_item(text: str) -> int | None:
    """Where in ``text`` its last complete string begins (after the quote) if an earlier one says the same, else None.

    Case does not count, nor a plural's s, nor what stands in brackets at the end: the same interest by another brand is
    no other interest. A string that may still turn out to be a key counts as an item. One that loops ("pump pump pump
    pump") repeats itself.

    >>> repeated_item('{"interests": ["gel pens", "Gel pens"')
    28
    >>> repeated_item('{"interests": ["gel pens", "Gel pens", "pap')
    28
    >>> repeated_item('{"interests": ["gel pens (pilot)", "gel pens (uni)"')
    36
    >>> repeated_item('{"interests": ["gel pens", "gel pen"')
    28
    >>> repeated_item('{"interests": ["gel pens gel pens"')
    >>> repeated_item('{"interests": ["pens pens pens pens"')
    16
    >>> repeated_item('{"interests": ["gel pens", "paper"')
    """
    items = [string for string in _STRING.finditer(text) if not string[2]]
    if not items:
        return None
    *earlier, last = items
    said = {_said(item[1]) for item in earlier}
    return last.start(1) if _said(last[1]) in said or _LOOP.search(last[1]) else None


def distinct(items: Iterable[str]) -> list[str]:
    """The items without those that say what an earlier one says or loop, by the rule of :func:`repeated_item`."""
    kept: dict[tuple[str, ...], str] = {}
    for item in items:
        if not _LOOP.search(item):
            kept.setdefault(_said(item), item)
    return list(kept.values())


def _said(item: str) -> tuple[str, ...]:
    """The words that tell an interest from another."""
    text = item.casefold()
    words = (_BRACKETS.sub("", text) or text).split()
    return tuple(word.removesuffix("s") for word in words)
