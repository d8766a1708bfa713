"""The taxonomy: what people shop for, watch, hear and read, domain by domain; ``taxonomy/*.toml``, written by us.

An interest is known by its product nouns (for media: by invented names) and put into words by 3-5 phrases, of which an
answer uses one at most. Brands, names and titles are invented.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eimf_local.errors import InputError

FOLDER = Path(__file__).parent / "taxonomy"
KINDS = ("product", "media")
_HINT = "correct the file; models/builder/taxonomy.py says what is expected"
_DOMAIN_KEYS = {"domain", "kind", "brands", "attributes", "sizes", "interest"}
_INTEREST_KEYS = {"phrases", "nouns", "words"}
_FEWEST = {"phrases": 3, "nouns": 9, "words": 5, "brands": 14, "attributes": 12, "sizes": 10, "interests": 13}


@dataclass(frozen=True)
class Interest:
    """One taste or need. ``words`` are attributes that suit it and stand in titles beside its nouns."""

    domain: str
    phrases: tuple[str, ...]
    nouns: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The first phrase, by which people and lists call the interest."""
        return self.phrases[0]


@dataclass(frozen=True)
class Domain:
    """A department of a shop. ``kind`` "media": nouns are names of films, series, records, books or games."""

    name: str
    kind: str
    brands: tuple[str, ...]
    attributes: tuple[str, ...]
    sizes: tuple[str, ...]
    interests: tuple[Interest, ...]


@cache
def read_taxonomy(folder: Path = FOLDER) -> tuple[Domain, ...]:
    """Every domain in the order of the files' names.

    Raises :class:`InputError` naming the file and the interest that breaks the format: phrases of 2-5 lower-case words,
    no phrase twice in the taxonomy, no noun in two interests of a domain, plain ASCII, no list too short.
    """
    domains = tuple(_read_domain(path) for path in sorted(folder.glob("*.toml")))
    owner: dict[str, str] = {}
    for domain in domains:
        for interest in domain.interests:
            for phrase in interest.phrases:
                if phrase in owner:
                    raise _error(f"phrase {phrase!r} stands in {owner[phrase]!r} and in {domain.name!r}")
                owner[phrase] = domain.name
    if not domains:
        raise _error(f"{folder}: no .toml file in it")
    return domains


def _read_domain(path: Path) -> Domain:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _error(f"{path.name}: {error}") from None
    _refuse_keys(table, _DOMAIN_KEYS, path.name)
    name, kind = table.get("domain"), table.get("kind")
    if not isinstance(name, str) or kind not in KINDS:
        raise _error(f"{path.name}: needs a name as 'domain', and a 'kind' of {' or '.join(KINDS)}")
    interests = tuple(_read_interest(entry, name, path.name) for entry in table.get("interest", ()))
    if len(interests) < _FEWEST["interests"]:
        raise _error(f"{path.name}: {len(interests)} interests, fewer than {_FEWEST['interests']}")
    _refuse_shared_nouns(interests, path.name)
    has_sizes = kind == "product" or "sizes" in table
    return Domain(
        name=name,
        kind=kind,
        brands=_texts(table, "brands", path.name),
        attributes=_texts(table, "attributes", path.name),
        sizes=_texts(table, "sizes", path.name) if has_sizes else (),
        interests=interests,
    )


def _read_interest(table: Mapping[str, Any], domain: str, file: str) -> Interest:
    phrases = table.get("phrases")
    where = f"{file}, interest {phrases[0] if isinstance(phrases, list) and phrases else '?'!r}"
    _refuse_keys(table, _INTEREST_KEYS, where)
    interest = Interest(domain, *(_texts(table, key, where) for key in ("phrases", "nouns", "words")))
    for phrase in interest.phrases:
        if not 2 <= len(phrase.split()) <= 5 or phrase != phrase.lower():
            raise _error(f"{where}: phrase {phrase!r} is not of 2-5 lower-case words")
    return interest


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """A list of different one-line texts in plain ASCII."""
    values = table.get(key)
    if not isinstance(values, list) or len(values) < _FEWEST[key]:
        raise _error(f"{where}: needs a list {key!r} of at least {_FEWEST[key]} texts")
    for value in values:
        if not isinstance(value, str) or not value.isascii() or not value or value != " ".join(value.split()):
            raise _error(f"{where}: {key} holds {value!r}, not a text in plain ASCII with single blanks")
    if len({value.casefold() for value in values}) < len(values):
        raise _error(f"{where}: {key} holds a text twice")
    return tuple(values)


def _refuse_keys(table: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(table) - known):
        raise _error(f"{where}: unknown key {unknown[0]!r}")


def _refuse_shared_nouns(interests: tuple[Interest, ...], file: str) -> None:
    owner: dict[str, str] = {}
    for interest in interests:
        for noun in interest.nouns:
            if (key := noun.casefold()) in owner:
                raise _error(f"{file}: noun {noun!r} stands in {owner[key]!r} and in {interest.name!r}")
            owner[key] = interest.name


def _error(message: str) -> InputError:
    return InputError(message, hint=_HINT)
