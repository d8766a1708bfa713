"""Repeated items in the text of an answer that is still being written."""

from __future__ import annotations

import re

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')  # a complete string, and what makes it a key
_BRACKETS = re.compile(r"\([^()]*\)\s*$")
RULE = 2  # of what counts as a repeat: answers under another rule are other answers


def repeated_item(text: str) -> int | None:
    """Where in ``text`` its last complete string begins (after the quote) if an earlier one says the same, else None.

    Case does not count, nor does what stands in brackets at the end: the same interest by another brand is no other
    interest. A string that may still turn out to be a key counts as an item.

    >>> repeated_item('{"interests": ["gel pens", "Gel pens"')
    28
    >>> repeated_item('{"interests": ["gel pens", "Gel pens", "pap')
    28
    >>> repeated_item('{"interests": ["gel pens (pilot)", "gel pens (uni)"')
    36
    >>> repeated_item('{"interests": ["gel pens", "paper"')
    """
    items = [string for string in _STRING.finditer(text) if not string[2]]
    if not items:
        return None
    *earlier, last = items
    said = {_bare(item[1]) for item in earlier}
    return last.start(1) if _bare(last[1]) in said else None


def _bare(item: str) -> str:
    text = item.casefold()
    return _BRACKETS.sub("", text).rstrip() or text
