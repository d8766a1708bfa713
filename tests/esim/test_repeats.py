from __future__ import annotations

import pytest

from eimf_local.esim.repeats import distinct, repeated_item

OPENING = '{"interests": ["'


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("", None),
        (OPENING, None),
        (OPENING + 'gel pens"', None),
        (OPENING + 'gel pens", "paper"', None),
        (OPENING + 'gel pens", "Gel Pens"', "Gel Pens"),
        (OPENING + 'gel pens", "paper", "gel pens", ', "gel pens"),
        (OPENING + 'gel pens", "gel pens and paper"', None),
        (OPENING + 'gel pens (pilot)", "Gel pens (uni)"', "Gel pens (uni)"),
        (OPENING + 'gel pens", "gel pens (uni)"', "gel pens (uni)"),
        (OPENING + 'gel pens (pilot)", "paper (pilot)"', None),
        (OPENING + '(pilot)", "(uni)"', None),
        (OPENING + '(pilot)", "(Pilot)"', "(Pilot)"),
        (OPENING + 'gel pens (uni)", "Gel pen (uni)"', "Gel pen (uni)"),
        (OPENING + 'glass", "glasses"', None),
        (OPENING + 'gel (fine) pens", "gel (bold) pens"', None),
        (OPENING + r'12\" pads", "12\" pads"', r"12\" pads"),
        ('{"a": "b", "b": "c", "d": "a"', None),  # keys are no items
        (OPENING + 'pump pump Pump pump"', "pump pump Pump pump"),
        (OPENING + 'pens", "breast pump pump pump pump pump p"', "breast pump pump pump pump pump p"),
        (OPENING + 'Tora! Tora! Tora!"', None),
        (OPENING + 'new york, new york, new york, new york"', None),
        (OPENING + 'pump pumps pumping pump"', None),
    ],
)
def test_the_place_of_a_repeated_item(text: str, repeated: str | None) -> None:
    place = repeated_item(text)
    assert (place is None) == (repeated is None)
    if repeated:
        assert text[place:].startswith(repeated)


def test_what_is_said_twice_is_kept_once() -> None:
    assert distinct(["Gel pens (uni)", "paper", "gel pen", "gel pens (pilot)", "papers"]) == ["Gel pens (uni)", "paper"]


def test_what_loops_is_not_kept() -> None:
    assert distinct(["paper", "rot rot rot rot rotr", "pens"]) == ["paper", "pens"]
