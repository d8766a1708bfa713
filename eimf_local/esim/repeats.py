"""Repeated items in the text of an answer that is still being written."""

from __future__ import annotations

import re

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')  # a complete string, and what makes it a key


def repeated_item(text: str) -> int | None:
    """Where in ``text`` its last complete string begins (after the quote) if an earlier one says the same, else None.

    Case does not count. A string that may still turn out to be a key counts as an item.

    >>> repeated_item('{"interests": ["gel pens", "Gel pens"')
    28
    >>> repeated_item('{"interests": ["gel pens", "Gel pens", "pap')
    28
    >>> repeated_item('{"interests": ["gel pens", "paper"')
    """
    items = [string for string in _STRING.finditer(text) if not string[2]]
    if not items:
        return None
    *earlier, last = items
    said = {item[1].casefold() for item in earlier}
    return last.start(1) if last[1].casefold() in said else None
