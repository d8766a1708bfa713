from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from eimf_local_models.builder.catalogue import Catalogue
from eimf_local_models.builder.corpus import MAX_INTERESTS, Foreign, Shown, UserWriter
from eimf_local_models.builder.lexicon import Lexicon
from eimf_local_models.builder.titles import TITLE_CHARACTERS, TitleWriter


def writer(seed: int, catalogue: Catalogue, lexicon: Lexicon) -> UserWriter:
    return UserWriter(np.random.default_rng(seed), catalogue, lexicon)


def answer(
    catalogue: Catalogue, lexicon: Lexicon, shown: Sequence[Shown], foreign: Sequence[Foreign] = ()
) -> list[str]:
    return [told.phrase for told in writer(0, catalogue, lexicon)._answer(shown, foreign)]


def test_interests_come_by_number_then_in_order(catalogue: Catalogue, lexicon: Lexicon) -> None:
    a, b, c = (Shown(interest, 0, "") for interest in (1, 2, 3))
    one, several = ([lexicon.name(i, [0] * count) for i in (1, 2, 3)] for count in (1, 2))
    assert answer(catalogue, lexicon, [a, b, c]) == one
    assert answer(catalogue, lexicon, [a, b, b, c]) == [several[1], one[0], one[2]]
    told = writer(0, catalogue, lexicon)._answer([a, b, b, c, b, c], [])
    assert told == [(several[1], 2, 3), (several[2], 3, 2)]  # not that of one title beside two of more


def test_a_brand_is_named_where_two_titles_name_it(catalogue: Catalogue, lexicon: Lexicon) -> None:
    alone, name = lexicon.name(1, [0]), lexicon.name(1, [0, 0])
    assert answer(catalogue, lexicon, [Shown(1, 0, "Solari Grand House")]) == [alone]
    assert answer(catalogue, lexicon, [Shown(1, 0, "Solari"), Shown(1, 0, "Kumo")]) == [name]
    assert answer(catalogue, lexicon, [Shown(1, 0, "Kumo"), Shown(1, 0, ""), Shown(1, 0, "Kumo")]) == [f"{name} (kumo)"]
    assert answer(catalogue, lexicon, [Shown(1, 0, "Solari Grand House")] * 2) == [f"{name} (solari grand)"]


def test_foreign_interests_are_copied(catalogue: Catalogue, lexicon: Lexicon) -> None:
    foreign = [Foreign(("Harbour Lantern", "Velvet Lantern"), 0)]
    shown = [Shown(-1, 1, ""), Shown(-1, 0, ""), Shown(-1, 1, "")]
    assert answer(catalogue, lexicon, shown, foreign) == ["velvet lantern and harbour lantern"]


@pytest.mark.parametrize("titles", [1, 5, 20, 40])
def test_users_are_within_the_prompts_bounds(titles: int, catalogue: Catalogue, lexicon: Lexicon) -> None:
    users = writer(5, catalogue, lexicon)
    for _ in range(30):
        user = users.user(titles)
        assert 1 <= len(user.titles) <= titles
        assert len(user.owners) == len(user.titles)
        phrases = [told.phrase for told in user.told]
        assert 1 <= len(phrases) <= min(user.asked, MAX_INTERESTS)
        assert len(set(phrases)) == len(phrases)
        assert all(1 <= len(phrase.split()) <= 7 for phrase in phrases)  # two things of three words
        assert all(told.titles == user.owners.count(told.interest) for told in user.told)
        assert all(0 < len(title) <= TITLE_CHARACTERS for title in user.titles)
        assert json.loads(user.answer) == {"interests": phrases}


def test_users_are_deterministic(catalogue: Catalogue, lexicon: Lexicon) -> None:
    first, second = writer(9, catalogue, lexicon), writer(9, catalogue, lexicon)
    assert [first.user(7) for _ in range(20)] == [second.user(7) for _ in range(20)]


def test_titles_name_their_noun(catalogue: Catalogue) -> None:
    titles = TitleWriter(np.random.default_rng(2))
    domain = catalogue.domains[0]
    noun = domain.interests[0].nouns[0]
    for _ in range(50):
        written = titles.title(domain, noun, domain.interests[0].words, "Kumo", titles.patterns(domain))
        assert noun.lower() in written.lower() or len(written) == TITLE_CHARACTERS or "&" in written
