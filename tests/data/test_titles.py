from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from eimf_local.data.titles import clean_title

from .sources import NASTY_TITLES


@pytest.mark.parametrize("name", NASTY_TITLES)
def test_equals_hand_written_result(name: str) -> None:
    raw, expected = NASTY_TITLES[name]
    assert clean_title(raw) == expected


def test_blank_becomes_empty() -> None:
    assert clean_title(" \t\x00&nbsp;\n") == ""


def test_any_text_becomes_one_encodable_line_without_controls() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        points = np.concatenate((rng.integers(0, 0x300, 20), rng.integers(0, 0x110000, 10)))
        title = clean_title("".join(map(chr, rng.permutation(points).tolist())))
        title.encode()
        assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in title)
        assert title == " ".join(title.split())


def test_lone_surrogates_are_removed() -> None:
    assert clean_title("mug\ud83d.") == "mug."
