"""What the corpus is made of: the taxonomy and a part of the demo shop's interests; the rest of that shop is held out.

Recovery is to be measured on interests that the model never met. So the demo's domains in ``HELD_OUT`` are left out,
with the taxonomy's files of the same subject and every noun elsewhere that contains one of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from eimf_local.data import demo_words

from .taxonomy import Domain, Interest, read_taxonomy

# The demo shop's domains that training must not meet, and the taxonomy's domains of the same subject.
HELD_OUT = {
    "pets": ("pets dogs", "pets cats and small animals"),
    "music": ("musical instruments",),
    "car": ("automotive",),
    "travel": ("travel and luggage",),
}
_FEWEST_NOUNS = 3


@dataclass(frozen=True)
class Catalogue:
    """Domains, and their interests in one list: ``members[d]`` are the numbers of domain d's, ``domain_of`` the way
    back.
    """

    domains: tuple[Domain, ...]
    interests: tuple[Interest, ...]
    members: tuple[tuple[int, ...], ...]
    domain_of: tuple[int, ...]

    def words(self) -> Iterable[str]:
        """Every text, word by word."""
        for domain in self.domains:
            for text in (*domain.brands, *domain.attributes, *domain.sizes):
                yield from text.split()
        for interest in self.interests:
            for text in (*interest.phrases, *interest.nouns, *interest.words):
                yield from text.split()


@cache
def read_catalogue(*, domains: int | None = None) -> Catalogue:
    """The training corpus's catalogue; only its first ``domains`` if given, for builds that test the builder."""
    known = {name for names in HELD_OUT.values() for name in names}
    missing = known - {domain.name for domain in read_taxonomy()}
    if missing:
        raise ValueError(f"held-out domains that the taxonomy does not have: {sorted(missing)}")
    kept = [domain for domain in read_taxonomy() if domain.name not in known]
    kept += _demo_domains()
    kept = [_without_held_out_nouns(domain) for domain in kept][:domains]
    interests = tuple(interest for domain in kept for interest in domain.interests)
    members, first = [], 0
    for domain in kept:
        members.append(tuple(range(first, first + len(domain.interests))))
        first += len(domain.interests)
    domain_of = tuple(index for index, domain in enumerate(kept) for _ in domain.interests)
    return Catalogue(tuple(kept), interests, tuple(members), domain_of)


def held_out_nouns() -> frozenset[str]:
    """Lower-case product nouns of the demo shop's held-out domains."""
    return frozenset(
        noun.name.lower()
        for interest in demo_words.demo_interests()
        if interest.domain in HELD_OUT
        for noun in interest.nouns
    )


def held_out_words() -> frozenset[str]:
    """Lower-case words of the held-out domains' nouns and phrases: titles of the corpus shall not borrow them."""
    phrases = {interest.phrase for interest in demo_words.demo_interests() if interest.domain in HELD_OUT}
    return frozenset(word for text in held_out_nouns() | phrases for word in text.lower().split())


def _demo_domains() -> list[Domain]:
    """The demo shop's other domains: its interests and products, not its brands and not its title patterns."""
    groups: dict[str, list[demo_words.Interest]] = {}
    for interest in demo_words.demo_interests():
        if interest.domain not in HELD_OUT:
            groups.setdefault(interest.domain, []).append(interest)
    return [
        Domain(
            name=f"demo {name}",
            kind="product",
            brands=(),
            attributes=tuple(dict.fromkeys(w for i in interests for noun in i.nouns for w in noun.qualities)),
            sizes=tuple(dict.fromkeys(size for i in interests for noun in i.nouns for size in noun.sizes)),
            interests=tuple(
                Interest(
                    domain=f"demo {name}",
                    phrases=(interest.phrase,),
                    nouns=tuple(noun.name for noun in interest.nouns),
                    words=tuple(dict.fromkeys(w for noun in interest.nouns for w in noun.qualities)),
                )
                for interest in interests
            ),
        )
        for name, interests in groups.items()
    ]


def _without_held_out_nouns(domain: Domain) -> Domain:
    held_out = held_out_nouns()
    interests = []
    for interest in domain.interests:
        nouns = tuple(noun for noun in interest.nouns if not any(held in noun.lower() for held in held_out))
        if len(nouns) >= _FEWEST_NOUNS:
            interests.append(replace(interest, nouns=nouns))
    return replace(domain, interests=tuple(interests))
