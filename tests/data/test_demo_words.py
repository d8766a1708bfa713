from __future__ import annotations

from collections import Counter

import numpy as np

from eimf_local.data.demo_titles import compose_products
from eimf_local.data.demo_words import demo_interests
from eimf_local.data.titles import clean_title


def test_there_are_many_domains_with_several_interests_each() -> None:
    domains = Counter(interest.domain for interest in demo_interests())
    assert len(domains) >= 12
    assert min(domains.values()) >= 2
    assert 45 <= sum(domains.values()) <= 60


def test_phrases_and_product_nouns_are_unique() -> None:
    phrases = [interest.phrase for interest in demo_interests()]
    nouns = [noun.name for interest in demo_interests() for noun in interest.nouns]
    assert len(set(phrases)) == len(phrases)
    assert len(set(nouns)) == len(nouns)


def test_every_noun_has_words_of_each_kind() -> None:
    for interest in demo_interests():
        assert len(interest.nouns) == 6
        assert len(interest.brands) >= 3
        for noun in interest.nouns:
            assert len(noun.qualities) >= 2
            assert len(noun.sizes) >= 2
            assert noun.extras


def test_no_quality_repeats_the_noun_it_precedes() -> None:
    allowed = {("Sticky Notes", "Super Sticky"), ("Hot Sauce", "Extra Hot"), ("USB-C Charging Cable", "Fast Charging")}
    allowed |= {("Gluten Free Flour", "Grain Free")}
    repeated = {
        (noun.name, quality)
        for interest in demo_interests()
        for noun in interest.nouns
        for quality in noun.qualities
        if set(noun.name.lower().split()) & set(quality.lower().split())
    }
    assert repeated == allowed


def test_titles_differ_name_a_noun_and_are_clean() -> None:
    rng = np.random.default_rng(0)
    titles = []
    for index, interest in enumerate(demo_interests()):
        products = compose_products(interest, index, 40, rng)
        assert all(product.interest == index for product in products)
        for product in products:
            assert any(noun.name in product.title for noun in interest.nouns)
            assert clean_title(product.title) == product.title
            assert 8 <= len(product.title) <= 140
            assert "{" not in product.title
            assert "()" not in product.title
        titles += [product.title for product in products]
    assert len(set(titles)) == len(titles) == 40 * len(demo_interests())


def test_every_noun_is_used_before_one_comes_again() -> None:
    interest = demo_interests()[0]
    products = compose_products(interest, 0, 6, np.random.default_rng(3))
    found = {noun.name for noun in interest.nouns for product in products if noun.name in product.title}
    assert len(found) == 6
