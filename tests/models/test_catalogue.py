"""What training may see of the demo shop, and what it may not."""

from __future__ import annotations

import re

from eimf_local_models.builder.catalogue import HELD_OUT, held_out_nouns, read_catalogue
from eimf_local_models.builder.taxonomy import read_taxonomy
from eimf_local_models.builder.titles import MEDIA_PATTERNS, PATTERNS

from eimf_local.data.demo_titles import PATTERNS as DEMO_PATTERNS
from eimf_local.data.demo_words import demo_interests

# What a slot holds, by the names that the demo and the corpus give it.
SAME_SLOT = {"quality": "attribute", "word": "attribute", "extra": "attribute", "part": "attribute", "model": "code"}


def shape(pattern: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda slot: "{" + SAME_SLOT.get(slot[1], slot[1]) + "}", pattern)


def test_a_quarter_of_the_demos_domains_is_held_out() -> None:
    domains = {interest.domain for interest in demo_interests()}
    assert set(HELD_OUT) <= domains
    assert 4 * len(HELD_OUT) >= len(domains)


def test_nothing_held_out_is_in_the_corpus() -> None:
    catalogue = read_catalogue()
    phrases = {phrase for interest in catalogue.interests for phrase in interest.phrases}
    nouns = [noun.lower() for interest in catalogue.interests for noun in interest.nouns]
    for interest in demo_interests():
        assert (interest.phrase in phrases) == (interest.domain not in HELD_OUT)
    assert len(held_out_nouns()) == sum(len(i.nouns) for i in demo_interests() if i.domain in HELD_OUT)
    assert not [noun for noun in nouns for held in held_out_nouns() if held in noun]
    names = {domain.name for domain in catalogue.domains}
    assert not names & {name for kept_out in HELD_OUT.values() for name in kept_out}


def test_the_corpus_is_still_large() -> None:
    catalogue = read_catalogue()
    assert len(catalogue.interests) >= 600
    assert len([domain for domain in catalogue.domains if not domain.name.startswith("demo ")]) >= 40
    assert len(catalogue.interests) > 0.9 * sum(len(domain.interests) for domain in read_taxonomy())


def test_no_title_pattern_is_the_demo_shops() -> None:
    ours = {shape(pattern) for pattern in (*PATTERNS, *MEDIA_PATTERNS)}
    theirs = {shape(pattern) for pattern, _ in DEMO_PATTERNS}
    assert not ours & theirs
