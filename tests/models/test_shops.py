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

from eimf_local.errors import InputError
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
def shop(titles: list[str], catalogue: Catalogue, lexicon: Lexicon, encoder: TextEncoder) -> Shop:
    return label(titles, catalogue, lexicon.phrase_vectors(), encoder.encode)


def test_titles_lie_under_the_interest_whose_noun_they_name(
    shop: Shop, titles: list[str], catalogue: Catalogue
) -> None:
    placed = {title.text: (i, title.noun) for i, own in zip(shop.interests, shop.titles, strict=True) for title in own}
    named = [catalogue.interests[i].nouns[n].lower() in text.lower() for text, (i, n) in placed.items()]
    assert len(placed) == len(titles)
    assert np.mean(named) >= 0.9  # near synonyms may stand for each other
    assert shop.counts.tolist() == list(map(len, shop.titles))
    assert shop.domains.tolist() == [catalogue.domain_of[interest] for interest in shop.interests]


@pytest.mark.parametrize(
    ("titles", "brands"),
    [
        (["Avery Binder", "AVERY Labels", "Avery, Big Labels", "Blue Pen"], ["avery", "avery", "avery", ""]),
        (["Plim & Co Soap", "Plim & Co Foam", "Plim & Co Balm"], ["plim &"] * 3),
        (["Burt's Bees Balm", "Burt's Bees Soap", "Burt's Bees Oil"], ["burt's bees"] * 3),
        (["Blue Pen", "Blue Cap", "Blue Ink", "Navy Blue Hat", "Sky Blue Hat"], [""] * 5),  # no brand, but a word
        (["12 Pens", "12 Caps", "12 Inks", "12 Pads"], [""] * 4),
        (["Mummy, The", "Mummy, A", "Mummy, One"], ["mummy"] * 3),
        (["Soap", "Soap", "Soap", "", " - "], [""] * 5),
    ],
)
def test_brands_are_what_several_titles_begin_with(titles: list[str], brands: list[str]) -> None:
    assert brands_of(titles) == brands


def test_titles_near_to_nothing_are_left_out(catalogue: Catalogue, lexicon: Lexicon, encoder: TextEncoder) -> None:
    strange = label(["qqx 7781 zzw", "xk 55 jj"], catalogue, lexicon.phrase_vectors(), encoder.encode)
    assert strange.interests == ()


def test_what_is_not_near_enough_to_a_noun_is_called_by_its_own_words(
    shop: Shop, catalogue: Catalogue, lexicon: Lexicon, encoder: TextEncoder
) -> None:
    assert not any(title.thing for own in shop.titles for title in own)  # they name their noun
    text = "Presto Brush Holder Stand 40"
    strange = label([text], catalogue, lexicon.phrase_vectors(), encoder.encode)
    ((title,),) = strange.titles
    assert title.thing
    assert f" {title.thing} " in f" {text.lower()} "
    assert "40" not in title.thing
    writer = UserWriter(np.random.default_rng(0), catalogue, lexicon, (strange,))
    of_shop = next(user for user in (writer.user(3) for _ in range(50)) if user.titles == (text,))
    assert [told.phrase for told in of_shop.told] == [title.thing]
    assert of_shop.owners == (-1,)


def test_titles_are_read_as_the_library_shows_them(tmp_path: Path) -> None:
    rows = [
        "item\ttitle",
        "1\tSoap &amp; Water",
        "2\tSoap &amp; Water",
        "3\t",
        "4\tFluffy Trees for Every Cat",
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
    owner_of = {title.text: i for i, own in zip(shop.interests, shop.titles, strict=True) for title in own}
    users = [writer.user(8) for _ in range(200)]
    of_shop = [user for user in users if user.titles[0] in owner_of]
    assert 70 <= len(of_shop) <= 130
    assert np.mean([len(user.titles) for user in of_shop]) > 7.5  # of 8, though none comes twice
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


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (None, "no such file"),
        ("", "cut short"),
        ("item\tname\n1\tSoap\n", "has no column 'title'"),
        (b"\x1f\x8b\x08junk", "cannot read"),
    ],
)
def test_a_file_without_titles_is_one_error(tmp_path: Path, rows: str | bytes | None, told: str) -> None:
    path = tmp_path / "items.tsv.gz"
    if rows is not None:
        path.write_bytes(rows if isinstance(rows, bytes) else gzip.compress(rows.encode()))
    with pytest.raises(InputError, match=told) as error:
        read_titles(tmp_path)
    assert str(path) in str(error.value)
