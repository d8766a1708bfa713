from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from eimf_local_models.builder.catalogue import Catalogue
from eimf_local_models.builder.corpus import UserWriter, tokenizer_words
from eimf_local_models.builder.lexicon import Lexicon
from eimf_local_models.builder.shops import Shop, brands_of, label, read_titles, words_of
from eimf_local_models.builder.titles import TITLE_CHARACTERS

from eimf_local.esim.encoder import TextEncoder


@pytest.fixture(scope="module")
def titles(catalogue: Catalogue) -> list[str]:
    """Three makers' titles of the catalogue's first two interests."""
    nouns = [noun for interest in catalogue.interests[:2] for noun in interest.nouns[:4]]
    return [
        f"{maker} {noun}, {size} oz"
        for maker in ("Zorvex", "Plim & Co", "Quandry")
        for noun in nouns
        for size in (4, 8)
    ]


@pytest.fixture(scope="module")
def shop(titles: list[str], catalogue: Catalogue, encoder: TextEncoder) -> Shop:
    return label(titles, catalogue, encoder.encode)


def test_titles_lie_under_the_interest_whose_noun_they_name(
    shop: Shop, titles: list[str], catalogue: Catalogue
) -> None:
    placed = {title.text: (interest, title.noun) for interest, own in shop.items() for title in own}
    named = [catalogue.interests[i].nouns[n].lower() in text.lower() for text, (i, n) in placed.items()]
    assert len(placed) == len(titles)
    assert np.mean(named) >= 0.9  # near synonyms may stand for each other


def test_brands_are_what_titles_begin_with(shop: Shop) -> None:
    assert {title.brand for own in shop.values() for title in own} == {"Zorvex", "Plim", "Quandry"}
    assert brands_of(["12 Pens", "12 Caps", "12 Inks", "12 Pads"]) == ["", "", "", ""]


def test_titles_near_to_nothing_are_left_out(catalogue: Catalogue, encoder: TextEncoder) -> None:
    assert label(["qqx 7781 zzw", "xk 55 jj"], catalogue, encoder.encode) == {}


def test_titles_are_read_as_the_library_shows_them(tmp_path: Path) -> None:
    rows = [
        "item\ttitle",
        "1\tSoap &amp; Water",
        "2\tSoap &amp; Water",
        "3\t",
        "4\tFluffy Cat Tree, 3 Levels",
        "5\t" + "long " * 50,
    ]
    with gzip.open(tmp_path / "items.tsv.gz", "wt") as stream:
        stream.write("\n".join(rows) + "\n")
    first, second = read_titles(tmp_path)  # not the same twice, none without a title, no product of a held-out domain
    assert first == "Soap & Water"
    assert second.startswith("long long")
    assert len(second) <= TITLE_CHARACTERS


def test_half_of_the_users_are_made_of_a_shops_titles(shop: Shop, catalogue: Catalogue, lexicon: Lexicon) -> None:
    writer = UserWriter(np.random.default_rng(4), catalogue, lexicon, (shop,))
    owner_of = {title.text: interest for interest, own in shop.items() for title in own}
    users = [writer.user(8) for _ in range(200)]
    of_shop = [user for user in users if user.titles[0] in owner_of]
    assert 70 <= len(of_shop) <= 130
    for user in of_shop:
        assert user.owners == tuple(owner_of[title] for title in user.titles)
        assert {told.interest for told in user.told} <= set(user.owners)
        assert user.told[0].titles == max(user.owners.count(owner) for owner in user.owners)


def test_a_shops_words_weigh_in_the_vocabulary(titles: list[str], catalogue: Catalogue) -> None:
    words = words_of(titles)
    assert words["zorvex"] == 16
    weights = dict(tokenizer_words(catalogue, words))
    assert "zorvex" not in dict(tokenizer_words(catalogue))
    assert weights["zorvex"] > 16
