"""How interests are put into words: short forms of nouns, and the phrase that says best what a group of titles shows.

Both are chosen by the cosine of the encoder's embeddings (MiniLM), once for a whole catalogue, and so are the ordinary
words that are kin to an interest. Every fifth interest is nameless: its titles are named after their nouns, so that the
model learns what to do where it knows no better word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from eimf_local.data.dataset import Float32

from .catalogue import Catalogue

Encode = Callable[[Sequence[str]], Float32]
_ALIKE = 0.8  # cosine from which a noun's last words say what the whole noun says
_LONGEST = 3  # words of a short form
_WORD_PENALTY = 0.02  # cosine that a phrase must gain for each word more
_NAMELESS = 5
NO_NOUN = -1  # of a title that shows its interest by other words
_KIN_COSINE = 0.4  # of an ordinary word to the mean of an interest's phrases and nouns
_KIN_INTERESTS = 3  # to which one word is kin at most
_MOST_KIN = 24  # words of one interest


class Lexicon:
    """Names of a catalogue's nouns and interests. ``encode``: texts to unit rows, float32 [n, T].

    ``ordinary`` words may be kin to interests.
    """

    def __init__(self, catalogue: Catalogue, encode: Encode, *, ordinary: Sequence[str] = ()) -> None:
        self._catalogue = catalogue
        forms = [[_endings(noun) for noun in interest.nouns] for interest in catalogue.interests]
        texts = {text for nouns in forms for endings in nouns for text in endings}
        texts.update(noun.lower() for interest in catalogue.interests for noun in interest.nouns)
        texts.update(phrase for interest in catalogue.interests for phrase in interest.phrases)
        vectors = _encoded(sorted(texts), encode)
        self._short = [[_shortest(endings, vectors) for endings in nouns] for nouns in forms]
        self._nouns = [np.stack([vectors[noun.lower()] for noun in i.nouns]) for i in catalogue.interests]
        self._phrases = [np.stack([vectors[phrase] for phrase in i.phrases]) for i in catalogue.interests]
        self._names: dict[tuple[int, tuple[int, ...], bool], str] = {}
        self._kin = self._kin_of(ordinary, encode) if ordinary else {}

    def thing(self, interest: int, noun: int) -> str:
        """A noun's last words, lower-case: "mascara" for "Waterproof Mascara", "bread knife" for "Bread Knife"."""
        return self._short[interest][noun]

    def name(self, interest: int, nouns: Sequence[int]) -> str:
        """What titles of one interest show, ``nouns`` in the order in which they were seen (some may be ``NO_NOUN``).

        One title shows no more than its product, several show the interest: its phrase that is nearest to their nouns,
        shorter ones preferred. A nameless interest is named after one or two of the nouns ("bread knife and peeler").
        """
        known = tuple(dict.fromkeys(noun for noun in nouns if noun != NO_NOUN))
        alone = len(nouns) == 1 and self._is_product(interest)
        key = (interest, known, alone)
        if key not in self._names:
            joined = known and (alone or self.nameless(interest))
            self._names[key] = self._joined(interest, known) if joined else self._nearest(interest, known)
        return self._names[key]

    def nameless(self, interest: int) -> bool:
        """Whether an interest's own phrases are not used."""
        phrases = self._catalogue.interests[interest].phrases
        return self._is_product(interest) and len(phrases) > 1 and interest % _NAMELESS == 0

    def kin(self, interest: int) -> tuple[str, ...]:
        """Ordinary words that may stand in an interest's titles, the nearest first; none of a nameless one or media."""
        return self._kin.get(interest, ())

    def _kin_of(self, ordinary: Sequence[str], encode: Encode) -> dict[int, tuple[str, ...]]:
        together = zip(self._phrases, self._nouns, strict=True)
        centres = np.stack([_unit(phrases.mean(axis=0) + nouns.mean(axis=0)) for phrases, nouns in together])
        near = encode(ordinary) @ centres.T  # [words, interests]
        near[np.argsort(np.argsort(-near, axis=1), axis=1) >= _KIN_INTERESTS] = -1.0
        best = np.argsort(-near, axis=0)[:_MOST_KIN].T
        return {
            interest: tuple(ordinary[word] for word in words if near[word, interest] >= _KIN_COSINE)
            for interest, words in enumerate(best)
            if self._is_product(interest) and not self.nameless(interest)
        }

    def _is_product(self, interest: int) -> bool:
        return self._catalogue.domains[self._catalogue.domain_of[interest]].kind == "product"

    def phrase_vectors(self) -> Float32:
        """float32 [interests, T], unit rows: the mean of each interest's phrases."""
        return np.stack([_unit(phrases.mean(axis=0)) for phrases in self._phrases])

    def _nearest(self, interest: int, nouns: tuple[int, ...]) -> str:
        phrases = self._catalogue.interests[interest].phrases
        shown = self._nouns[interest][list(nouns) or slice(None)].mean(axis=0)
        near = self._phrases[interest] @ shown
        return phrases[int((near - _WORD_PENALTY * np.array([len(phrase.split()) for phrase in phrases])).argmax())]

    def _joined(self, interest: int, nouns: tuple[int, ...]) -> str:
        return " and ".join(list(dict.fromkeys(self.thing(interest, noun) for noun in nouns))[:2])


def _endings(noun: str) -> list[str]:
    """The last one, two and three words, lower-case, the shortest first."""
    words = noun.lower().split()
    return [" ".join(words[-length:]) for length in range(1, min(_LONGEST, len(words)) + 1)]


def _shortest(endings: list[str], vectors: dict[str, Float32]) -> str:
    whole = vectors[endings[-1]]
    return next(text for text in endings if float(vectors[text] @ whole) >= _ALIKE or text == endings[-1])


def _encoded(texts: Sequence[str], encode: Encode) -> dict[str, Float32]:
    return dict(zip(texts, encode(texts), strict=True))


def _unit(vector: Float32) -> Float32:
    length = float(np.linalg.norm(vector))
    unit: Float32 = vector / (length or 1.0)
    return unit
