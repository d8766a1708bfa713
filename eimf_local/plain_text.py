"""Text from data on its way to people: one line, and nothing that a terminal or a page would obey."""

from __future__ import annotations

import re
import unicodedata

_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def one_line(text: str) -> str:
    """Printable text: no control or direction characters, blanks collapsed.

    >>> one_line("a\\n b\\u202e\\x07c")
    'a b c'
    """
    kept = "".join(" " if unicodedata.category(one) in ("Cc", "Zl", "Zp") else one for one in text)
    return " ".join(_DIRECTIONS.sub("", kept).split())
