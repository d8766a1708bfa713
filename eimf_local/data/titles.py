"""Item titles as they are shown, encoded and prompted: one line of plain text each."""

from __future__ import annotations

import html
import re

# C0 and C1 controls that are no white space, and lone surrogates, which no file can hold. Format characters stay:
# emoji sequences and right-to-left text need them.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")


def clean_title(raw: str) -> str:
    """Unescape HTML entities (once), remove control characters, collapse white space to single blanks, strip."""
    return " ".join(_UNWANTED.sub("", html.unescape(raw)).split())
