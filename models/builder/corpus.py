"""Synthetic users: titles in the manner of real shops, and the interests that are a function of those titles.

A user has some interests of a few departments; each title is composed around one of an interest's nouns, now and then
with an ordinary word that the encoder holds to be kin to the interest. The right answer names the interests, those of
most titles first, in words that generalise, and in brackets the brand that at least two titles name; interests that a
single title shows are left out where two others are shown by more. Some interests are foreign, and can only be copied:
invented compounds, and what shops sell that the taxonomy has no word for. Where shops' titles are given, half of the
users are made of those; the users themselves are always invented.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from eimf_local.esim.prompts import PromptTemplate

from .catalogue import Catalogue
from .lexicon import NO_NOUN, Lexicon
from .shops import Shop
from .titles import TitleWriter, ordinary_words

MAX_INTERESTS = 12
_ASKED = (4, 6, 6, 6, 8, 10, 12, 12)  # how many interests a prompt allows: the default, and the presets'
_LONGEST_PHRASE = 6  # words; a longer one is told without its brand
_KIN_SHARE = 0.35  # of the titles, with a word that is kin to their interest
_REAL_SHARE = 0.5  # of the users where shops' titles are given
_FOREIGN = (0.4, 0.3, 0.3)  # of users of invented titles: with none, one and two interests that nobody knows
_SEVERAL = 2  # interests of more than one title, beside which those of one are left out
_SHOP_DEPARTMENTS, _TRIES = 4, 3
_WORD_WEIGHT, _RAREST, _STEP = 60, 40, 100  # of the taxonomy's words, and of ordinary ones by their rank
_FOUND, _MOST_FOUND = 10, 40  # of words in shops' titles, and what their number adds at most


@dataclass(frozen=True)
class Sample:
    """One synthetic user: titles (oldest first), each one's interest, the right answer (strongest first), and how many
    interests the prompt allows. Interests are numbers of the catalogue, foreign ones negative.
    """

    titles: tuple[str, ...]
    owners: tuple[int, ...]
    told: tuple[Told, ...]
    asked: int

    @property
    def block(self) -> str:
        """The titles as the prompt shows them."""
        return "".join(f"[{title}]" for title in self.titles) + "\n"

    @property
    def answer(self) -> str:
        """The answer as JSON text."""
        return json.dumps({"interests": [item.phrase for item in self.told]}, ensure_ascii=False)


class Told(NamedTuple):
    """A part of the right answer: its words, its interest, and how many titles show that."""

    phrase: str
    interest: int
    titles: int


@dataclass(frozen=True)
class Shown:
    """What a title was made of: the number of its interest (negative: a foreign one), its noun (``NO_NOUN`` where words
    kin to the interest stand in for one), and its brand, "" where it names none.
    """

    interest: int
    noun: int
    brand: str


@dataclass(frozen=True)
class Foreign:
    """An interest that nobody knows: kinds of one thing ("harbour lantern", "velvet lantern")."""

    nouns: tuple[str, ...]
    domain: int


def frame(asked: int) -> tuple[str, str]:
    """The library's own prompt before and after the titles, with ``asked`` interests at most."""
    prompt = PromptTemplate.read().render(user="", titles=[], max_interests=asked)
    return prompt.head, prompt.tail


def tokenizer_words(catalogue: Catalogue, found: Mapping[str, int] = MappingProxyType({})) -> list[tuple[str, int]]:
    """Lower-case words with weights for the BPE: the catalogue's first, then ordinary words by falling frequency.

    ``found`` counts the titles of shops that have a word.
    """
    texts = (*catalogue.words(), *frame(MAX_INTERESTS)[1].split())
    known = {word for text in texts for word in "".join(c if c.isalpha() else " " for c in text.lower()).split()}
    weights = Counter({word: _WORD_WEIGHT for word in known if len(word) > 1})
    for rank, word in enumerate(ordinary_words()):
        weights[word] += max(3, _RAREST - rank // _STEP)
    for word, count in found.items():
        weights[word] += _FOUND + min(count, _MOST_FOUND)
    return sorted((word, min(weight, 80)) for word, weight in weights.items() if word.isascii())


class UserWriter:
    """Draws users with one random generator; the same generator state gives the same users."""

    def __init__(
        self, rng: np.random.Generator, catalogue: Catalogue, lexicon: Lexicon, shops: Sequence[Shop] = ()
    ) -> None:
        self._rng = rng
        self._catalogue = catalogue
        self._lexicon = lexicon
        self._shops = shops
        self._titles = TitleWriter(rng)

    def user(self, titles: int, *, asked: int | None = None) -> Sample:
        """Return one user with ``titles`` titles (of fewer where two would be the same).

        ``asked`` is how many interests the prompt allows; drawn if None.
        """
        if self._shops and self._titles.chance(_REAL_SHARE):
            shown, foreign = self._from_shop(self._titles.pick(self._shops), titles)
        else:
            shown, foreign = self._invented(titles)
        asked = asked or int(self._rng.choice(_ASKED))
        answer = self._answer(list(shown.values()), foreign)[:asked]
        return Sample(tuple(shown), tuple(item.interest for item in shown.values()), tuple(answer), asked)

    def _invented(self, titles: int) -> tuple[dict[str, Shown], list[Foreign]]:
        """Titles by the taxonomy, oldest first, and the foreign interests that some of them show."""
        departments = self._departments(titles)
        foreign = [self._foreign(departments) for _ in range(int(self._rng.choice(len(_FOREIGN), p=_FOREIGN)))]
        draw = self._browsing if self._titles.chance(0.45) else self._focused
        owners = draw(titles, departments, foreign)
        shop = _Shop(
            brands={number: self._titles.brand(self._catalogue.domains[number]) for number in departments},
            patterns={number: self._titles.patterns(self._catalogue.domains[number]) for number in departments},
            loyalty=float(self._rng.choice([0.0, 0.3, 0.7])),
        )
        return dict(self._show(owner, shop, foreign) for owner in owners), foreign

    def _from_shop(self, shop: Shop, titles: int) -> tuple[dict[str, Shown], list[Foreign]]:
        """A shop's titles, oldest first: some interests' of its departments, and chance clicks now and then.

        With them what is sold there that only the titles' own words say; things of one last word are one interest.
        """
        likely = shop.counts / shop.counts.sum()
        departments = self._rng.choice(shop.domains, int(self._rng.integers(1, _SHOP_DEPARTMENTS + 1)), p=likely)
        near = np.flatnonzero(np.isin(shop.domains, departments))
        most = titles if self._titles.chance(0.5) else max(2, min(titles // 2, 8))
        roots = np.sqrt(shop.counts[near])
        count = min(len(near), int(self._rng.integers(1, most + 1)))
        chosen = self._rng.choice(near, count, replace=False, p=roots / roots.sum())
        weights = self._rng.dirichlet(np.full(count, self._rng.choice([0.7, 1.5, 4.0])))
        noise = float(self._rng.choice([0.0, 0.06, 0.12]))
        loyalty = float(self._rng.choice([0.0, 0.3, 0.7]))
        brand_of: dict[int, str] = {}  # that the user comes back to, by department
        shown: dict[str, Shown] = {}
        foreign: dict[str, Foreign] = {}  # by last word
        for _ in range(_TRIES * titles):  # an interest of few titles gives one a second time
            stray = self._titles.chance(noise)
            row = int(self._rng.choice(len(likely), p=likely) if stray else self._rng.choice(chosen, p=weights))
            department, pool = int(shop.domains[row]), shop.titles[row]
            if department in brand_of and self._titles.chance(loyalty):
                pool = tuple(title for title in pool if title.brand == brand_of[department]) or pool
            title = self._titles.pick(pool)
            if title.brand:
                brand_of.setdefault(department, title.brand)
            owner, noun = shop.interests[row], title.noun
            if title.thing:
                last = title.thing.split()[-1]
                known = foreign.get(last, Foreign((), department)).nouns
                foreign[last] = Foreign(tuple(dict.fromkeys((*known, title.thing))), department)
                owner, noun = -1 - list(foreign).index(last), foreign[last].nouns.index(title.thing)
            shown.setdefault(title.text, Shown(owner, noun, title.brand))
            if len(shown) == titles:
                break
        return shown, list(foreign.values())

    def _show(self, owner: int, shop: _Shop, foreign: Sequence[Foreign]) -> tuple[str, Shown]:
        """A title of an interest, and what it was made of."""
        if owner < 0:
            number, nouns = foreign[-owner - 1].domain, foreign[-owner - 1].nouns
            words = self._catalogue.interests[int(self._rng.choice(self._catalogue.members[number]))].words
        else:
            number, nouns = self._catalogue.domain_of[owner], self._catalogue.interests[owner].nouns
            words = self._catalogue.interests[owner].words
        domain = self._catalogue.domains[number]
        patterns = shop.patterns.get(number) or self._titles.patterns(domain)
        loyal = number in shop.brands and self._titles.chance(shop.loyalty)
        brand = shop.brands[number] if loyal else self._titles.brand(domain)
        noun = int(self._rng.integers(len(nouns)))
        text = nouns[noun]
        kin = self._lexicon.kin(owner) if owner >= 0 and self._titles.chance(_KIN_SHARE) else ()
        if kin:
            noun = noun if self._titles.chance(0.5) else NO_NOUN
            text = f"{self._titles.pick(kin)} {self._titles.pick(kin) if noun == NO_NOUN else text}".title()
        title = self._titles.title(domain, text, words, brand, patterns)
        named = domain.kind == "product" and brand.lower() in title.lower()
        return title, Shown(owner, noun, brand if named else "")

    def _answer(self, shown: Sequence[Shown], foreign: Sequence[Foreign]) -> list[Told]:
        """The right answer: interests by their number of titles, ties in order of appearance.

        Those of one title are left out where several have more.
        """
        groups: dict[int, list[Shown]] = {}
        for item in shown:
            groups.setdefault(item.interest, []).append(item)
        ranked = sorted(groups.values(), key=len, reverse=True)
        several = [group for group in ranked if len(group) > 1]
        ranked = several if len(several) >= _SEVERAL else ranked
        told = [Told(self._phrase(group, foreign), group[0].interest, len(group)) for group in ranked]
        return list({item.phrase: item for item in reversed(told)}.values())[::-1]

    def _phrase(self, group: Sequence[Shown], foreign: Sequence[Foreign]) -> str:
        """A group's name, and the brand that most of its titles name, if at least two do."""
        interest, nouns = group[0].interest, [item.noun for item in group]
        name = _copied(foreign[-interest - 1], nouns) if interest < 0 else self._lexicon.name(interest, nouns)
        brand, count = Counter(item.brand for item in group).most_common(1)[0]
        words = brand.lower().split()[:2]
        if not words or count < 2 or len(name.split()) + len(words) > _LONGEST_PHRASE:
            return name
        return f"{name} ({' '.join(words)})"

    def _foreign(self, departments: Sequence[int]) -> Foreign:
        head = self._titles.word()
        if self._titles.chance(0.5):  # a new kind of a known thing: "velvet heater"
            interest = self._titles.pick(self._catalogue.interests)
            head = self._titles.pick(interest.nouns).lower().split()[-1]
        nouns = tuple(f"{self._titles.word()} {head}".title() for _ in range(4))
        return Foreign(nouns, int(self._rng.choice(departments)))

    def _departments(self, titles: int) -> list[int]:
        """Where the user shops: some departments, of one kind (products or media)."""
        media = self._titles.chance(0.12)
        kind = "media" if media else "product"
        known = [index for index, domain in enumerate(self._catalogue.domains) if domain.kind == kind]
        if not known:
            known = list(range(len(self._catalogue.domains)))
        most = min(len(known), 1 + titles // 2, 5)
        return [int(index) for index in self._rng.choice(known, int(self._rng.integers(1, most + 1)), replace=False)]

    def _focused(self, titles: int, departments: Sequence[int], foreign: Sequence[Foreign]) -> list[int]:
        """Interests of the titles, oldest first: one to eight that come in runs, and chance clicks now and then."""
        pool = [number for department in departments for number in self._catalogue.members[department]]
        count = min(len(pool), int(self._rng.integers(1, max(2, min(titles // 2, 8)) + 1)))
        chosen = [*self._rng.choice(pool, count, replace=False), *(-1 - place for place in range(len(foreign)))]
        weights = self._rng.dirichlet(np.full(len(chosen), self._rng.choice([0.7, 1.5, 4.0])))
        noise = float(self._rng.choice([0.0, 0.0, 0.06, 0.12]))
        owners: list[int] = []
        current = int(self._rng.choice(chosen, p=weights))
        for _ in range(titles):
            if self._titles.chance(noise):
                owners.append(int(self._rng.integers(len(self._catalogue.interests))))
                continue
            if not self._titles.chance(0.5):
                current = int(self._rng.choice(chosen, p=weights))
            owners.append(current)
        return owners

    def _browsing(self, titles: int, departments: Sequence[int], foreign: Sequence[Foreign]) -> list[int]:
        """Interests of the titles of somebody who buys here and there: each department's, some likelier than others."""
        pool = [number for department in departments for number in self._catalogue.members[department]]
        pool += [-1 - place for place in range(len(foreign))]
        weights = self._rng.permutation((1.0 + np.arange(len(pool))) ** -float(self._rng.choice([0.3, 0.8])))
        return [int(owner) for owner in self._rng.choice(pool, titles, p=weights / weights.sum())]


class _Shop(NamedTuple):
    """By department: the brand that the user comes back to, how often, and the patterns of its titles."""

    brands: dict[int, str]
    patterns: dict[int, list[str]]
    loyalty: float


def _copied(foreign: Foreign, nouns: Sequence[int]) -> str:
    distinct = list(dict.fromkeys(foreign.nouns[noun].lower() for noun in nouns))[:2]
    return " and ".join(distinct)
