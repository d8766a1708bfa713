from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from eimf_local_models.builder.catalogue import Catalogue
from eimf_local_models.builder.lexicon import NO_NOUN, Lexicon
from eimf_local_models.builder.semantics import stem_vectors
from eimf_local_models.builder.taxonomy import Domain, Interest
from eimf_local_models.builder.tokenizer import Vocabulary

from eimf_local.esim.encoder import TextEncoder

INTERESTS = (
    Interest("d", ("odd things", "other things", "more things"), ("Bread Knife", "Red Peeler"), ("w",)),
    Interest("d", ("sharp blades", "knives for cooks who roast", "peeling"), ("Bread Knife", "Red Peeler"), ("w",)),
)
CATALOGUE = Catalogue((Domain("d", "product", (), (), (), INTERESTS),), INTERESTS, ((0, 1),), (0, 0))
# two directions: knives and peelers; "red peeler" is mostly a peeler, a "bread knife" is not just a "knife"
DIRECTIONS = {
    "knife": (1.0, 0.0), "bread knife": (0.7, 0.7), "peeler": (0.0, 1.0), "red peeler": (0.1, 1.0),
    "sharp blades": (1.0, 0.1), "knives for cooks who roast": (0.7, 0.7), "peeling": (0.0, 1.0),
}  # fmt: skip


def encode(texts: Sequence[str]) -> np.ndarray:
    vectors = np.array([DIRECTIONS.get(text, (0.5, 0.5)) for text in texts], np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_noun_is_cut_to_the_last_words_that_say_as_much() -> None:
    lexicon = Lexicon(CATALOGUE, encode)
    assert lexicon.thing(0, 0) == "bread knife"
    assert lexicon.thing(0, 1) == "peeler"


def test_the_nearest_phrase_is_taken_and_a_shorter_one_preferred() -> None:
    lexicon = Lexicon(CATALOGUE, encode)
    assert not lexicon.nameless(1)
    assert lexicon.name(1, [1, 1]) == "peeling"
    assert lexicon.name(1, [0, 0]) == "knives for cooks who roast"  # .12 nearer than the others, for three words more
    assert lexicon.name(1, [0, 1, 0]) == lexicon.name(1, [0, 1])
    assert lexicon.name(1, [1, NO_NOUN]) == "peeling"


def test_a_single_title_shows_its_product_only() -> None:
    lexicon = Lexicon(CATALOGUE, encode)
    assert lexicon.name(1, [1]) == "peeler"
    assert lexicon.name(1, [NO_NOUN]) in INTERESTS[1].phrases


def test_a_nameless_interest_is_named_after_its_nouns() -> None:
    lexicon = Lexicon(CATALOGUE, encode)
    assert lexicon.nameless(0)
    assert lexicon.name(0, [1, 0, 1]) == "peeler and bread knife"
    assert lexicon.name(0, [1, 1]) == "peeler"


def test_ordinary_words_are_kin_to_what_they_mean(catalogue: Catalogue, encoder: TextEncoder) -> None:
    words = ("canvas", "watercolor", "guitar", "harbour")
    lexicon = Lexicon(catalogue, encoder.encode, ordinary=words)
    kin = {catalogue.interests[number].name: lexicon.kin(number) for number in range(len(catalogue.interests))}
    assert "watercolor" in kin["water based paint washes"]
    assert not any("guitar" in own for own in kin.values())
    assert all(not lexicon.kin(number) for number in range(len(catalogue.interests)) if lexicon.nameless(number))


def test_phrase_vectors_are_unit_rows(lexicon: Lexicon, catalogue: Catalogue) -> None:
    vectors = lexicon.phrase_vectors()
    assert vectors.shape == (len(catalogue.interests), 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_words_of_like_meaning_start_alike(encoder: TextEncoder) -> None:
    words = ("mascara", "eyeliner", "hammer", "screwdriver", "guitar", "ukulele", "xq")
    vocabulary = Vocabulary((*words, "Ġmascara"), (), frozenset())
    vectors = stem_vectors(vocabulary, encoder.encode, width=8)
    assert vectors.shape == (len(words), 8)  # " mascara" is the stem of "mascara"
    np.testing.assert_allclose((vectors[:6] ** 2).mean(axis=1), 1, rtol=1e-5)
    assert not vectors[6].any()  # too short to mean anything
    alike = vectors @ vectors.T
    assert alike[0, 1] > alike[0, 2]
    assert alike[2, 3] > alike[2, 5]
    assert alike[4, 5] > alike[4, 0]
