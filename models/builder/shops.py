"""Titles of real shops as unlabelled input: each is put under the taxonomy's interest whose noun is nearest to it.

Invented titles teach how answers are made; real ones, how people who sell things really write. A data set's titles
alone are read, no user's history. What the label is worth is the encoder's judgement (MiniLM), so titles that are near
to nothing are left out, and those that name a product of the demo shop's held-out domains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from eimf_local.data.titles import clean_title

from .catalogue import Catalogue, held_out_nouns
from .lexicon import Encode
from .titles import TITLE_CHARACTERS

_FEWEST_WORDS = 2
_NEAR = 0.4  # cosine of a title to a noun from which it is held to be such a thing
_PHRASE_SHARE = 0.5  # what an interest's phrases count beside one of its nouns
_BRAND_TITLES = 3  # that begin with the same word
_ELSEWHERE = 0.25  # of a word's titles that do not begin with it: more, and it is no brand
_TOGETHER = 0.7  # of a brand's titles that share the second word: it belongs to the name
_RAREST = 3  # titles with a word, for the tokeniser
_BATCH = 2048


@dataclass(frozen=True)
class ShopTitle:
    """A title, which of its interest's nouns it is nearest to, and its brand, "" where none is told apart."""

    text: str
    noun: int
    brand: str


Shop = Mapping[int, Sequence[ShopTitle]]  # a shop's titles by interest


def read_titles(folder: Path) -> list[str]:
    """The distinct titles of ``folder``/items.tsv.gz, cleaned and cut as the library shows them."""
    table = pl.read_csv(folder / "items.tsv.gz", separator="\t", quote_char=None, columns=["title"], infer_schema=False)
    raw = table["title"].drop_nulls().to_list()
    titles = dict.fromkeys(clean_title(str(text))[:TITLE_CHARACTERS].rstrip() for text in raw)
    held_out = held_out_nouns()
    return [
        title
        for title in titles
        if len(title.split()) >= _FEWEST_WORDS and not any(noun in title.lower() for noun in held_out)
    ]


def label(titles: Sequence[str], catalogue: Catalogue, encode: Encode) -> Shop:
    """Put titles under interests of products, and tell their brands."""
    products = [i for i, domain in enumerate(catalogue.domain_of) if catalogue.domains[domain].kind == "product"]
    owners = [(interest, noun) for interest in products for noun in range(len(catalogue.interests[interest].nouns))]
    nouns = encode([catalogue.interests[interest].nouns[noun].lower() for interest, noun in owners])
    phrases = np.stack([encode(catalogue.interests[interest].phrases).mean(axis=0) for interest in products])
    row_of = {interest: row for row, interest in enumerate(products)}
    centres = phrases[[row_of[interest] for interest, _ in owners]]
    brands = brands_of(titles)
    shop: dict[int, list[ShopTitle]] = {}
    for first in range(0, len(titles), _BATCH):
        part = titles[first : first + _BATCH]
        bare = [_without(title, brand) for title, brand in zip(part, brands[first:], strict=False)]
        vectors = encode(bare)
        near = vectors @ nouns.T  # [titles, nouns]
        best = (near + _PHRASE_SHARE * (vectors @ centres.T)).argmax(axis=1)
        for title, brand, column, cosines in zip(part, brands[first:], best, near, strict=False):
            if cosines[column] >= _NEAR:
                interest, noun = owners[column]
                shop.setdefault(interest, []).append(ShopTitle(title, noun, brand))
    return shop


def brands_of(titles: Sequence[str]) -> list[str]:
    """Each title's brand: its first word or two, where several titles begin so and few have the word elsewhere.

    >>> brands_of(["Avery Binder", "Avery Labels", "Avery Big Labels", "Blue Pen"])
    ['Avery', 'Avery', 'Avery', '']
    >>> brands_of(["Blue Pen", "Blue Cap", "Blue Ink", "Navy Blue Hat", "Sky Blue Hat"])
    ['', '', '', '', '']
    """
    split = [title.split() for title in titles]
    first = Counter(words[0].lower() for words in split)
    anywhere = Counter(word for words in split for word in {word.lower().strip(",") for word in words})
    pairs = Counter(" ".join(words[:2]).lower() for words in split)
    after = Counter(word for words in split for word in {word.lower().strip(",") for word in words[2:]})

    def brand(words: Sequence[str]) -> str:
        head = words[0].lower()
        count = first[head]
        if count < _BRAND_TITLES or not head[0].isalpha() or 1 - count / anywhere[head] > _ELSEWHERE:
            return ""
        second = " ".join(words[:2]).lower()
        joined = pairs[second] >= max(_BRAND_TITLES, _TOGETHER * count) and after[words[1].lower()] < pairs[second]
        return " ".join(words[:2]) if joined and words[1][-1].isalnum() else words[0].strip(",:;-")

    return [brand(words) for words in split]


def words_of(titles: Sequence[str]) -> Counter[str]:
    """How many titles have each lower-case word of letters, rare ones left out."""
    counts = Counter(
        word for title in titles for word in {*"".join(c if c.isalpha() else " " for c in title.lower()).split()}
    )
    return Counter({word: count for word, count in counts.items() if count >= _RAREST})


def _without(title: str, brand: str) -> str:
    return title[len(brand) :].lstrip(" ,:;-") or title
