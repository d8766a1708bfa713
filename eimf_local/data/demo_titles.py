"""Product titles of the demo shop, composed as sellers do: in many orders, with model codes and bracketed colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .demo_words import Interest, Noun

LINES = ("Classic", "Pro", "Essentials", "Heritage", "Select", "Everyday", "Series II", "Premium")
# (pattern, how often); those with a colour are left out where the domain has none.
PATTERNS = (
    ("{brand} {quality} {noun}, {size}, {colour}", 5),
    ("{brand} {quality} {noun}, {size}", 4),
    ("{brand} {noun} {extra}, {size} ({colour})", 4),
    ("{brand} {model} {quality} {noun}, {colour}", 3),
    ("{brand} {noun} - {quality} - {size}", 2),
    ("{brand} {line} {quality} {noun} {extra} ({model})", 3),
    ("{quality} {noun} {extra}, {size} by {brand}", 2),
    ("{quality} {noun} {extra} ({size}, {colour})", 2),
    ("{brand} {line} {noun}, {size}", 3),
    ("{brand} {noun} {extra}, {quality}, {size}, {colour} ({model})", 2),
    ("{brand} {noun} {extra}", 2),
    ("{noun}, {quality}, {size}", 1),
    ("{brand} {noun}", 1),
)


@dataclass(frozen=True)
class Product:
    """An item of the demo shop: its interest (an index), brand (an index into the interest's brands) and title."""

    interest: int
    brand: int
    title: str


def compose_products(interest: Interest, index: int, count: int, rng: np.random.Generator) -> list[Product]:
    """``count`` products of one interest with titles that differ; every noun is used before one comes again."""
    products: dict[str, Product] = {}
    nouns = rng.permutation(len(interest.nouns))
    # Brands are of unequal size, and each sells several interests of its domain.
    weights = 1 / (1 + np.arange(len(interest.brands)))
    while len(products) < count:
        noun = interest.nouns[nouns[len(products) % len(nouns)]]
        brand = int(rng.choice(len(interest.brands), p=weights / weights.sum()))
        title = _title(interest, noun, interest.brands[brand], rng)
        products.setdefault(title, Product(index, brand, title))
    return list(products.values())


def _title(interest: Interest, noun: Noun, brand: str, rng: np.random.Generator) -> str:
    usable = [(pattern, weight) for pattern, weight in PATTERNS if interest.colours or "{colour}" not in pattern]
    weights = np.array([weight for _, weight in usable], dtype=np.float64)
    pattern, _ = usable[int(rng.choice(len(usable), p=weights / weights.sum()))]
    return pattern.format(
        brand=brand,
        noun=noun.name,
        quality=_pick(noun.qualities, rng),
        size=_pick(noun.sizes, rng),
        extra=_pick(noun.extras, rng),
        colour=_pick(interest.colours or ("",), rng),
        line=_pick(LINES, rng),
        model=_model(brand, rng),
    )


def _pick(words: tuple[str, ...], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]


def _model(brand: str, rng: np.random.Generator) -> str:
    letters = "".join(word[0] for word in brand.split() if word.isalpha()).upper()
    digits = int(rng.integers(100, 9900))
    return f"{letters}{digits}" if rng.random() < 0.5 else f"{letters}-{digits}"
