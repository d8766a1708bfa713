"""The measures of answers, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from eimf_local_models.builder.judge import Truth, form_of, is_copy, is_in_one_title, recovery_of

TITLES = ["Rapidex Gel Pens, Fine Point (Black)", "Kumo Desk Lamp"]


class Encoder:
    """Texts that begin alike are alike."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.eye(26, dtype=np.float32)[[ord(text[0]) - ord("a") for text in texts]]


def test_a_copy_is_four_words_of_one_title_in_a_row() -> None:
    assert is_copy("rapidex gel pens fine", TITLES)
    assert is_copy("my gel pens fine point", TITLES)
    assert not is_copy("gel pens fine", TITLES)
    assert not is_copy("gel pens and fine point", TITLES)


def test_all_words_in_one_title() -> None:
    assert is_in_one_title("black pens", TITLES)
    assert not is_in_one_title("black lamp", TITLES)


def test_form_by_hand() -> None:
    answers = [["gel pens", "gift pens and paper"], ["desk lamp", "desk lamp", "lamp"]]
    form = form_of([TITLES, TITLES], answers, Encoder())  # type: ignore[arg-type]
    assert form.interests == 2.5
    assert form.most == 3
    assert form.words == pytest.approx((2 + 4 + 2 + 2 + 1) / 5)
    assert form.cosine == pytest.approx((1 + 1 / 3) / 2)  # both begin with g; of three pairs one is alike
    assert form.copies == 0
    assert form.in_one_title == pytest.approx(4 / 5)


def test_recovery_by_hand() -> None:
    a, b, c, d = np.eye(4, dtype=np.float32)
    truth = Truth(
        interests=np.stack([a, b, c]),
        held_out=np.array([False, False, True]),
        shown=np.array([True, False, True]),
        read=np.stack([a, c]),
        read_held_out=np.array([False, True]),
    )
    answers = [np.stack([a, c, 0.5 * c + 0.1 * d])]  # the last one names nothing; it is nearest to c's title
    seen = recovery_of(answers, [truth], held_out=False, shown_only=False)
    assert (seen.precision, seen.recall) == (1.0, 0.5)
    assert recovery_of(answers, [truth], held_out=False, shown_only=True).recall == 1.0
    unseen = recovery_of(answers, [truth], held_out=True, shown_only=True)
    assert (unseen.precision, unseen.recall) == (0.5, 1.0)
    assert unseen.f1 == pytest.approx(2 / 3)
