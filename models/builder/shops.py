"""Titles of real shops as unlabelled input: each is put under the interest that the encoder holds nearest to it.

Invented titles teach how answers are made; real ones, how people who sell things write. A data set's titles alone are
read, no user's history. A label is worth what the encoder's judgement is (MiniLM); titles that are near to nothing are
left out, and those with all words of a product of the demo shop's held-out domains.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from eimf_local.data.dataset import Float32, Int64
from eimf_local.data.sources import missing_column, reading
from eimf_local.data.table import column_names, scan
from eimf_local.data.titles import clean_title

from .catalogue import Catalogue, held_out_nouns
from .lexicon import Encode
from .titles import TITLE_CHARACTERS

_FEWEST_WORDS = 2
_NEAR = 0.4  # cosine of a title to a noun from which it is held to be somehow such a thing
_SURE = 0.5  # from which it is called so; below, it is called by words of its own
_PHRASES = 0.5  # what the cosine to an interest's phrases counts beside that to one of its nouns
_BRAND_TITLES = 3  # that begin with the same word
_ELSEWHERE = 0.25  # of a word's titles that do not begin with it: more, and it is no brand
_TOGETHER = 0.7  # of a brand's titles that share the second word: it belongs to the name
_FEWEST_TITLES = 3  # with a word, for the tokeniser
_LONGEST_THING = 3  # words
_WORD_PENALTY = 0.03  # cosine that a title's own words must gain for each word more
_BATCH = 2048


@dataclass(frozen=True)
class ShopTitle:
    """A title, which of its interest's nouns is nearest to it, and its brand in lower case, "" where none shows.

    ``thing``: the title's own words for what it sells, lower case, where no noun is near enough; else "".
    """

    text: str
    noun: int
    brand: str
    thing: str = ""


@dataclass(frozen=True)
class Shop:
    """A shop's titles, row by row one interest's.

    ``interests``: their numbers; ``domains`` int64 [rows]: their departments; ``counts`` int64 [rows]: of titles.
    """

    interests: tuple[int, ...]
    domains: Int64
    counts: Int64
    titles: tuple[tuple[ShopTitle, ...], ...]


def read_titles(folder: Path) -> list[str]:
    """The distinct titles of ``folder``/items.tsv.gz that may be read, cleaned and cut as the library shows them.

    Raises :class:`InputError` where the file cannot be read or has no titles' column.
    """
    path = folder / "items.tsv.gz"
    table = scan(path)
    if "title" not in (names := column_names(path, table)):
        raise missing_column(path, ["title"], names, remedy="give a folder with items.tsv.gz")
    with reading(path):
        raw = table.select(pl.col("title").drop_nulls()).collect()["title"].to_list()
    held_out = [frozenset(map(_singular, noun.split())) for noun in held_out_nouns()]
    titles = dict.fromkeys(clean_title(text)[:TITLE_CHARACTERS].rstrip() for text in raw)
    return [title for title in titles if len(title.split()) >= _FEWEST_WORDS and not _names_any(title, held_out)]


def label(titles: Sequence[str], catalogue: Catalogue, phrases: Float32, encode: Encode) -> Shop:
    """Put titles under interests of products: the highest cosine to a noun plus half of that to its interest's phrases.

    ``phrases`` float32 [interests, T], unit rows. Brands are taken off before a title is compared.
    """
    owners = [
        (interest, noun)
        for interest, domain in enumerate(catalogue.domain_of)
        if catalogue.domains[domain].kind == "product"
        for noun in range(len(catalogue.interests[interest].nouns))
    ]
    nouns = encode([catalogue.interests[interest].nouns[noun].lower() for interest, noun in owners])
    own_phrases = phrases[[interest for interest, _ in owners]]
    branded = list(zip(titles, brands_of(titles), strict=True))
    found: dict[int, list[ShopTitle]] = {}
    for first in range(0, len(branded), _BATCH):
        part = branded[first : first + _BATCH]
        vectors = encode([_without(title, brand) for title, brand in part])
        near = vectors @ nouns.T  # [titles, nouns]
        best = (near + _PHRASES * (vectors @ own_phrases.T)).argmax(axis=1)
        nearness = near[np.arange(len(part)), best]
        unsure = np.flatnonzero((nearness >= _NEAR) & (nearness < _SURE))
        things = dict(zip(unsure.tolist(), _own_words([_without(*part[row]) for row in unsure], encode), strict=True))
        for row, ((title, brand), column) in enumerate(zip(part, best, strict=True)):
            if nearness[row] >= _NEAR:
                interest, noun = owners[column]
                thing = things.get(row, "")
                found.setdefault(interest, []).append(ShopTitle(title, noun, brand, thing))
    return Shop(
        interests=tuple(found),
        domains=np.array([catalogue.domain_of[interest] for interest in found], np.int64),
        counts=np.array([len(own) for own in found.values()], np.int64),
        titles=tuple(map(tuple, found.values())),
    )


def brands_of(titles: Sequence[str]) -> list[str]:
    """Each title's brand in lower case, "" where none shows.

    It is the first word or two, where several titles begin so and few have the word elsewhere.
    """
    split = [_words(title) for title in titles]
    first = Counter(words[0] for words in split if words)
    pairs = Counter(tuple(words[:2]) for words in split)
    anywhere = Counter(word for words in split for word in set(words))
    later = Counter(word for words in split for word in set(words[2:]))

    def brand(words: Sequence[str]) -> str:
        if len(words) < 2 or not words[0][0].isalpha():
            return ""
        count, together = first[words[0]], pairs[tuple(words[:2])]
        if count < _BRAND_TITLES or 1 - count / anywhere[words[0]] > _ELSEWHERE:
            return ""
        joined = together >= max(_BRAND_TITLES, _TOGETHER * count) and later[words[1]] < together
        return " ".join(words[: 1 + joined])

    return [brand(words) for words in split]


def words_of(titles: Iterable[str]) -> Counter[str]:
    """How many titles have each lower-case word of letters, rare ones left out."""
    counts = Counter(word for title in titles for word in {*_only_letters(title).split()})
    return Counter({word: count for word, count in counts.items() if count >= _FEWEST_TITLES and len(word) > 1})


def _only_letters(text: str) -> str:
    return "".join(character if character.isalpha() else " " for character in text.lower())


def _words(title: str) -> list[str]:
    """Lower-case words without the marks around them."""
    stripped = (word.strip(",:;-()[]/") for word in title.lower().split())
    return [word for word in stripped if word]


def _without(title: str, brand: str) -> str:
    return " ".join(_words(title)[len(brand.split()) :]) or title


def _own_words(titles: Sequence[str], encode: Encode) -> list[str]:
    """The one to three words in a row of each title that say best what it says, "" where none is of letters only."""
    runs = [_lettered_runs(title) for title in titles]
    distinct = sorted({*titles, *itertools.chain(*runs)})
    vectors = dict(zip(distinct, encode(distinct), strict=True)) if distinct else {}
    found = []
    for title, own in zip(titles, runs, strict=True):
        worth = [vectors[run] @ vectors[title] - _WORD_PENALTY * len(run.split()) for run in own]
        found.append(own[int(np.argmax(worth))] if own else "")
    return found


def _lettered_runs(title: str) -> list[str]:
    words = _words(title)
    runs = [words[start : start + length] for length in range(1, _LONGEST_THING + 1) for start in range(len(words))]
    return [" ".join(run) for run in runs if all(word.replace("-", "").isalpha() for word in run)]


def _names_any(title: str, nouns: Sequence[frozenset[str]]) -> bool:
    words = set(map(_singular, _words(title)))
    return any(noun <= words for noun in nouns)


def _singular(word: str) -> str:
    return word.removesuffix("s")
