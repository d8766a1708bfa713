from __future__ import annotations

import json

import numpy as np
import pytest
from eimf_local_models.builder.corpus import (
    MAX_INTERESTS,
    SINGLES_UP_TO,
    TITLE_CHARACTERS,
    UserWriter,
    ranked_phrases,
    word_lists,
)
from eimf_local_models.builder.vocabulary import DOMAINS


def test_repeated_phrases_come_by_number_then_singles_in_order() -> None:
    phrases = ["gel pens", "hand cream", "dog food", "air fryer"]
    assert ranked_phrases([2, 0, 1, 0, -1, 1, 1], phrases) == ("hand cream", "gel pens", "dog food")


def test_ties_keep_the_order_of_appearance() -> None:
    assert ranked_phrases([1, 0, 1, 0], ["a b", "c d"]) == ("c d", "a b")


def test_singles_fill_up_to_their_bound_only() -> None:
    phrases = [f"thing {i}" for i in range(20)]
    assert len(ranked_phrases(list(range(20)), phrases)) == SINGLES_UP_TO
    assert len(ranked_phrases([*range(20), *range(20)], phrases)) == MAX_INTERESTS


@pytest.mark.parametrize("titles", [1, 5, 20, 40])
def test_users_are_within_the_prompts_bounds(titles: int) -> None:
    writer = UserWriter(np.random.default_rng(5))
    for _ in range(30):
        user = writer.user(titles)
        assert len(user.titles) == titles
        assert 1 <= len(user.interests) <= MAX_INTERESTS
        assert len(set(user.interests)) == len(user.interests)
        assert all(2 <= len(phrase.split()) <= 5 for phrase in user.interests)
        assert all(0 < len(title) <= TITLE_CHARACTERS for title in user.titles)
        assert json.loads(user.answer) == {"interests": list(user.interests)}


def test_answers_are_a_function_of_the_titles() -> None:
    writer = UserWriter(np.random.default_rng(6))
    users = [writer.user(6) for _ in range(100)]
    phrases = [(phrase, user.titles) for user in users for phrase in user.interests]
    copied = [any(phrase in title.lower() for title in titles) for phrase, titles in phrases]
    assert np.mean(copied) > 0.98  # the rest: a phrase behind the cut of a long title


def test_users_are_deterministic() -> None:
    first, second = (UserWriter(np.random.default_rng(9)) for _ in range(2))
    assert [first.user(7) for _ in range(20)] == [second.user(7) for _ in range(20)]


def test_word_lists_hold_no_empty_domain() -> None:
    interests = word_lists().interests
    assert len(interests) == len(DOMAINS)
    assert all(len(domain) >= 20 for domain in interests)
    assert all(2 <= len(phrase) <= 5 for domain in interests for phrase in domain)
