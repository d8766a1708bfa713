"""The embedded demo data: a small invented shop with known interests, written as files and prepared like any others.

Users have two to five latent interests whose weights drift along the sequence. An interest is bought from in short
runs; inside it, popular items, the user's favourite brands, and what goes with the last purchase are likelier. A tenth
of the clicks are noise. So there is more to learn than popularity, titles tell what an item is, and the true interests
are known: what the language model infers can be scored against them.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from ..disk import storage_errors
from ..errors import ConfigError
from .dataset import Dataset
from .demo_titles import Product, compose_products
from .demo_words import demo_interests
from .prepare import prepare
from .splits import MIN_USERS
from .storage import TRUE_INTERESTS, load_true_interests, save_true_interests

Float64 = npt.NDArray[np.float64]

NOISE = 0.1  # share of clicks that follow no interest
STAY = 0.5  # chance that the next click stays with the interest of the last one
COMPANION = 3.0  # how much likelier than others is what goes with the last item bought for the interest
LOYALTY = 4.0  # the same for the user's favourite brand of the domain
SHORTEST, LONGEST, PER_INTEREST = 8, 40, 8  # clicks of a user; at most so many for each of its interests
START, SPAN, DAY = 1_356_998_400, 730, 86_400  # 2013-01-01 UTC; days; seconds


@dataclass(frozen=True)
class DemoData:
    """The prepared demo and, by user id, the phrases of each user's latent interests, strongest first."""

    dataset: Dataset
    true_interests: dict[str, list[str]]


def demo_dataset(*, users: int = 1000, items: int = 600, seed: int = 0) -> DemoData:
    """Generate the demo and prepare it through the same door as any user's data; the same seed, the same result.

    Small numbers of users may lose rare items to the filter. Raises :class:`ConfigError` as
    :func:`write_demo_source` does.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        write_demo_source(source, users=users, items=items, seed=seed)
        return DemoData(prepare(source, format="table"), load_true_interests(source / TRUE_INTERESTS))


def write_demo_source(folder: Path, *, users: int = 1000, items: int = 600, seed: int = 0) -> None:
    """Write ``interactions.csv`` (user, item, timestamp), ``items.csv`` (item, title) and ``true_interests.jsonl``.

    Raises :class:`ConfigError` for fewer than ``MIN_USERS`` users or fewer than two items for each interest.
    """
    least = 2 * len(demo_interests())
    if users < MIN_USERS or items < least:
        raise ConfigError(
            f"the demo cannot be made of {users} users and {items} items",
            hint=f"ask for at least {MIN_USERS} users and {least} items",
        )
    rng = np.random.default_rng(seed)
    shop = _open_shop(items, rng)
    shoppers = [_draw_shopper(shop, rng) for _ in range(users)]
    width = len(str(users))
    ids = [f"u{number:0{width}d}" for number in range(1, users + 1)]
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _write_interactions(folder / "interactions.csv", shop, dict(zip(ids, shoppers, strict=True)))
        titles = [product.title for product in shop.products]
        pl.DataFrame({"item": shop.ids, "title": titles}).sort("item").write_csv(folder / "items.csv")
        phrases = [interest.phrase for interest in demo_interests()]
        true = {
            user: [phrases[index] for index in shopper.interests] for user, shopper in zip(ids, shoppers, strict=True)
        }
        save_true_interests(true, folder / TRUE_INTERESTS)


@dataclass(frozen=True)
class _Shop:
    """``shelves[i]``: the item rows of interest i; ``popularity`` [N] sums to 1; ``affinity`` [I, I]: how interests
    go together; ``domains`` [I]: the domain of each interest.
    """

    products: list[Product]
    ids: list[str]
    shelves: list[list[int]]
    popularity: Float64
    affinity: Float64
    domains: list[str]


@dataclass(frozen=True)
class _Shopper:
    """``interests``: strongest first; ``clicks``: item rows, oldest first; ``times``: seconds, one a click."""

    interests: list[int]
    clicks: list[int]
    times: list[int]


def _open_shop(items: int, rng: np.random.Generator) -> _Shop:
    interests = demo_interests()
    products: list[Product] = []
    shelves: list[list[int]] = []
    popularity: list[float] = []
    fame = rng.permutation((1.0 + np.arange(len(interests))) ** -0.8)
    for index, interest in enumerate(interests):
        count = items // len(interests) + (index < items % len(interests))
        shelves.append(list(range(len(products), len(products) + count)))
        products += compose_products(interest, index, count, rng)
        shares = rng.permutation((1.0 + np.arange(count)) ** -1.0)
        popularity += list(shares / shares.sum() * (0.2 + fame[index]))
    numbers = rng.permutation(items) + 1  # an id tells neither the interest nor the popularity
    return _Shop(
        products=products,
        ids=[f"p{number:0{len(str(items))}d}" for number in numbers],
        shelves=shelves,
        popularity=np.array(popularity) / sum(popularity),
        affinity=_affinity([interest.domain for interest in interests], rng),
        domains=[interest.domain for interest in interests],
    )


def _affinity(domains: list[str], rng: np.random.Generator) -> Float64:
    """[I, I]: interests of one domain go together, and each goes with two of other domains."""
    names = np.array(domains)
    affinity = np.where(names[:, None] == names[None, :], 4.0, 1.0)
    for _ in range(2):
        friends = rng.permutation(len(domains))
        affinity[np.arange(len(domains)), friends] += 6.0
        affinity[friends, np.arange(len(domains))] += 6.0
    return affinity


def _draw_shopper(shop: _Shop, rng: np.random.Generator) -> _Shopper:
    interests = _draw_interests(shop, rng)
    most = min(LONGEST, PER_INTEREST * len(interests))
    length = int(np.clip(round(rng.lognormal(2.6, 0.45)), SHORTEST, most))
    # The weights drift from one draw to another in the course of the sequence.
    first, last = rng.dirichlet(np.full(len(interests), 0.8), size=2)
    time = np.linspace(0, 1, length)[:, None]
    weights = (1 - time) * first + time * last  # [length, interests]
    strongest = np.argsort(-weights.mean(axis=0), kind="stable")
    return _Shopper(
        interests=[interests[place] for place in strongest],
        clicks=_draw_clicks(shop, interests, weights, rng),
        times=_draw_times(length, rng),
    )


def _draw_interests(shop: _Shop, rng: np.random.Generator) -> list[int]:
    fame = np.array([shop.popularity[shelf].sum() for shelf in shop.shelves])
    chosen: list[int] = []
    for _ in range(int(rng.choice([2, 3, 4, 5], p=[0.1, 0.25, 0.35, 0.3]))):
        weights = fame * np.prod(shop.affinity[chosen], axis=0)
        weights[chosen] = 0
        chosen.append(int(rng.choice(len(fame), p=weights / weights.sum())))
    return chosen


def _draw_clicks(shop: _Shop, interests: list[int], weights: Float64, rng: np.random.Generator) -> list[int]:
    """Item rows, none twice, for ``weights`` [length, interests]."""
    taste = _taste(shop, interests, rng)
    unseen = np.ones(len(shop.products))
    last: dict[int, int] = {}  # interest -> place on its shelf of the last item bought for it
    current: int | None = None
    clicks: list[int] = []
    for now in weights:
        noisy = rng.random() < NOISE
        if not noisy:
            current = _next_interest(shop, interests, now, current, unseen, rng)
        odds = unseen * (shop.popularity if noisy or current is None else _shelf_odds(shop, current, taste, last))
        item = int(rng.choice(len(odds), p=odds / odds.sum()))
        clicks.append(item)
        unseen[item] = 0
        if not noisy and current is not None:
            last[current] = shop.shelves[current].index(item)
    return clicks


def _taste(shop: _Shop, interests: list[int], rng: np.random.Generator) -> Float64:
    """float64 [N]: popularity, raised for the favourite brand that the user has in each domain of its interests."""
    favourites = {domain: int(rng.integers(3)) for domain in sorted({shop.domains[index] for index in interests})}
    loyal = [favourites.get(shop.domains[product.interest]) == product.brand for product in shop.products]
    return shop.popularity * np.where(loyal, LOYALTY, 1.0)


def _next_interest(
    shop: _Shop, interests: list[int], weights: Float64, current: int | None, unseen: Float64, rng: np.random.Generator
) -> int | None:
    """The interest of the next click: often the current one; None once all their items have been bought."""
    stocked = np.array([unseen[shop.shelves[index]].any() for index in interests])
    stays = rng.random() < STAY
    if not stocked.any():
        return None
    if stays and current is not None and stocked[interests.index(current)]:
        return current
    odds = (weights + 1e-6) * stocked
    return interests[int(rng.choice(len(interests), p=odds / odds.sum()))]


def _shelf_odds(shop: _Shop, interest: int, taste: Float64, last: dict[int, int]) -> Float64:
    """float64 [N]: zero off the interest's shelf; the two items beyond the last one bought go with it."""
    shelf = shop.shelves[interest]
    odds = np.zeros_like(taste)
    odds[shelf] = taste[shelf]
    if interest in last:
        for step in (1, 2):
            odds[shelf[(last[interest] + step) % len(shelf)]] *= COMPANION
    return odds


def _draw_times(length: int, rng: np.random.Generator) -> list[int]:
    """Seconds at midnight UTC, as review sites give them: several clicks share a day, days or weeks lie between."""
    gaps = np.where(rng.random(length) < 0.4, 0, rng.geometric(1 / 15, size=length))
    days = rng.integers(SPAN) + np.cumsum(gaps)
    return [START + DAY * int(day) for day in days]


def _write_interactions(path: Path, shop: _Shop, shoppers: dict[str, _Shopper]) -> None:
    rows = [
        (user, shop.ids[item], time)
        for user, shopper in shoppers.items()
        for item, time in zip(shopper.clicks, shopper.times, strict=True)
    ]
    pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row").write_csv(path)
