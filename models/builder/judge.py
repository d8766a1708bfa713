"""What answers are worth: their form, the interests they recover, and how well they tell later items (SPEC section 7).

Shares are in 0..1. Cosines are the encoder's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from eimf_local.data.dataset import Bool, Float32, Int64
from eimf_local.esim.encoder import TextEncoder
from eimf_local.evaluation.interest_quality import (
    InterestAUC,
    Recovery,
    draw_negatives,
    interest_auc,
    paired_auc_difference,
    tfidf_phrases,
)
from eimf_local.evaluation.significance import Difference

MATCH = 0.6  # cosine from which a phrase says what a true interest says
RUN = 4  # words of a title in a row that make a phrase a copy of it
_WORD = re.compile(r"[^\W_]+")


class Form(NamedTuple):
    """The form of answers: numbers an answer, words a phrase, and shares of phrases."""

    interests: float
    most: int
    words: float
    cosine: float  # mean over users of the mean over pairs of a user's phrases
    copies: float  # with RUN words of one title in a row
    in_one_title: float  # all of whose words stand in one title


def form_of(titles: Sequence[Sequence[str]], answers: Sequence[Sequence[str]], encoder: TextEncoder) -> Form:
    """Measure answers (each user's phrases, at least one) against the titles that were read."""
    phrases = [(phrase, shown) for shown, answer in zip(titles, answers, strict=True) for phrase in answer]
    vectors = encoder.encode([phrase for phrase, _ in phrases])
    cosines, first = [], 0
    for answer in answers:
        own = vectors[first : first + len(answer)]
        first += len(answer)
        if len(own) > 1:
            cosines.append((float((own @ own.T).sum()) - len(own)) / (len(own) * (len(own) - 1)))
    return Form(
        interests=_mean([len(answer) for answer in answers]),
        most=max(len(answer) for answer in answers),
        words=_mean([len(phrase.split()) for phrase, _ in phrases]),
        cosine=_mean(cosines),
        copies=_mean([is_copy(phrase, shown) for phrase, shown in phrases]),
        in_one_title=_mean([is_in_one_title(phrase, shown) for phrase, shown in phrases]),
    )


def is_copy(phrase: str, titles: Sequence[str]) -> bool:
    """Whether ``RUN`` words in a row of the phrase stand in a row in a title."""
    words = _words(phrase)
    runs = {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}
    return any(
        tuple(shown[start : start + RUN]) in runs
        for shown in map(_words, titles)
        for start in range(len(shown) - RUN + 1)
    )


def is_in_one_title(phrase: str, titles: Sequence[str]) -> bool:
    """Whether all words of the phrase stand in one title."""
    words = set(_words(phrase))
    return any(words <= set(_words(title)) for title in titles)


@dataclass(frozen=True)
class Truth:
    """A demo user's true interests, and whether each is ``held_out`` of training and ``shown`` by any title read.

    ``read`` float32 [n, T]: the titles; ``read_held_out`` bool [n]: whether each is of a held-out interest.
    """

    interests: Float32
    held_out: Bool
    shown: Bool
    read: Float32
    read_held_out: Bool


def recovery_of(answers: Sequence[Float32], truths: Sequence[Truth], *, held_out: bool, shown_only: bool) -> Recovery:
    """Precision, recall and F1 of phrases against true interests, one to one, of one half of the interests.

    All of a user's phrases (float32 [M, T]) are matched with all of the true interests. A phrase without a match counts
    against the half to which the title nearest to it belongs. ``shown_only`` leaves out interests of which no title was
    read: nobody could name them.
    """
    matched = predicted = true = 0
    for phrases, truth in zip(answers, truths, strict=True):
        kept = truth.shown if shown_only else np.ones_like(truth.shown)
        close = phrases @ truth.interests[kept].T >= MATCH
        rows, columns = linear_sum_assignment(close, maximize=True)
        half = truth.held_out[kept] == held_out
        hits = close[rows, columns]
        matched_here = int((hits & half[columns]).sum())
        lost = np.setdiff1d(np.arange(len(phrases)), rows[hits])
        nearest = (phrases[lost] @ truth.read.T).argmax(axis=1)
        matched += matched_here
        predicted += matched_here + int((truth.read_held_out[nearest] == held_out).sum())
        true += int(half.sum())
    return Recovery(
        precision=matched / predicted if predicted else 0.0,
        recall=matched / true if true else 0.0,
        f1=2 * matched / (predicted + true) if predicted + true else 0.0,
    )


class AUCs(NamedTuple):
    """Interest AUC of answers, titles and TF-IDF phrases on the same users, and the difference to the last."""

    answers: InterestAUC
    titles: InterestAUC
    tfidf: InterestAUC
    to_tfidf: Difference


def aucs_of(
    answers: Sequence[Sequence[str]],
    titles: Sequence[Sequence[str]],
    title_vectors: Sequence[Float32],
    later: Sequence[Int64],
    item_text: Float32,
    encoder: TextEncoder,
) -> AUCs:
    """Interest AUC of users, each by the phrases of its own answer. ``later``: the items that came after the titles."""
    negatives = draw_negatives(later)

    def judged(vectors: Sequence[Float32]) -> InterestAUC:
        H, mask = _padded(vectors, item_text.shape[1])
        return interest_auc(H, mask, np.arange(len(later)), item_text, later, negatives=negatives)

    mine = judged(embedded(answers, encoder))
    tfidf = judged(embedded(tfidf_phrases(titles), encoder))
    return AUCs(mine, judged(title_vectors), tfidf, paired_auc_difference(mine, tfidf))


def auc_of(
    answers: Sequence[Sequence[str]], later: Sequence[Int64], item_text: Float32, encoder: TextEncoder
) -> InterestAUC:
    """Interest AUC alone, on the same negatives as :func:`aucs_of`."""
    H, mask = _padded(embedded(answers, encoder), item_text.shape[1])
    return interest_auc(H, mask, np.arange(len(later)), item_text, later, negatives=draw_negatives(later))


def embedded(texts: Sequence[Sequence[str]], encoder: TextEncoder) -> list[Float32]:
    """One array [n, T] for each list of texts."""
    vectors = encoder.encode([text for group in texts for text in group])
    return np.split(vectors, np.cumsum([len(group) for group in texts])[:-1])


def _padded(vectors: Sequence[Float32], width: int) -> tuple[Float32, Bool]:
    H = np.zeros((len(vectors), max(1, *map(len, vectors)), width), np.float32)
    mask = np.zeros(H.shape[:2], np.bool_)
    for row, own in enumerate(vectors):
        H[row, : len(own)], mask[row, : len(own)] = own, True
    return H, mask


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
