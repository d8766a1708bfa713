"""The demo shop's words, read from the catalogues: domains, invented brands, interests and their products.

A catalogue line is one of::

    == domain | brands | colours (none where a colour would be odd)
    # the phrase of an interest
    product noun | qualities said before it | sizes and counts | what comes with it or what it is for
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from .demo_catalogue_home import CATALOGUE as HOME
from .demo_catalogue_leisure import CATALOGUE as LEISURE

Words = tuple[str, ...]


@dataclass(frozen=True)
class Noun:
    """A kind of product and the words that suit it."""

    name: str
    qualities: Words
    sizes: Words
    extras: Words


@dataclass(frozen=True)
class Interest:
    """One everyday interest of the demo shop, with what is sold for it."""

    domain: str
    phrase: str
    brands: Words
    colours: Words
    nouns: tuple[Noun, ...] = ()


@cache
def demo_interests() -> tuple[Interest, ...]:
    """Every interest of the catalogues, in their order."""
    interests: list[Interest] = []
    domain, brands, colours = "", Words(), Words()
    for line in (HOME.strip() + "\n" + LEISURE.strip()).splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "==":
            domain, (brands, colours) = _columns(rest)
        elif mark == "#":
            interests.append(Interest(domain, rest, brands, colours))
        else:
            name, (qualities, sizes, extras) = _columns(line)
            noun = Noun(name, qualities, sizes, extras)
            interests[-1] = replace(interests[-1], nouns=(*interests[-1].nouns, noun))
    return tuple(interests)


def _columns(line: str) -> tuple[str, list[Words]]:
    name, *lists = line.split("|")
    # Only a comma with a blank parts words: "2,600 Pages" is one.
    return name.strip(), [tuple(word.strip() for word in words.split(", ") if word.strip()) for words in lists]
