"""How good the interests are without training: interest AUC beside its controls, and recovery where truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..config import Config
from ..data.dataset import Bool, Float32, Int64
from ..esim.encoder import TextEncoder
from ..evaluation.interest_quality import (
    InterestAUC,
    draw_negatives,
    interest_auc,
    paired_auc_difference,
    recovery,
    shuffled_auc,
    tfidf_phrases,
)
from .datasets import OpenDataset
from .interest_artifact import Interests, exemplar_titles
from .semantics import title_embeddings

JUDGED_USERS = 1000  # as many as SPEC section 7 asks for, where the set has them


def judge_interests(
    dataset: OpenDataset,
    interests: Interests,
    item_text: Float32,
    encoder: TextEncoder,
    config: Config,
    *,
    truth: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Interest AUC of ``interests`` and, on the same users and negatives, of titles, TF-IDF phrases and shuffles.

    Every judged user has the interests of its exemplar, and is judged on what it chose after the part that ESIM saw.
    ``truth`` (true interests by user, of generated data) adds recovery, over the exemplars.
    """
    rows = _judged_rows(dataset)
    later = later_items(dataset, rows)
    cluster = interests.cluster[rows]
    negatives = draw_negatives(later)

    def auc(H: Float32, mask: Bool) -> InterestAUC:
        return interest_auc(H, mask, cluster, item_text, later, negatives=negatives)

    mine = auc(interests.embeddings, interests.mask)
    phrases = tfidf_phrases(exemplar_titles(dataset, interests, config))
    scores = {
        "interests": mine,
        "titles": auc(*title_embeddings(dataset, interests, item_text, config)),
        "tfidf": auc(*_embed_phrases(phrases, encoder, item_text.shape[1])),
        "shuffled": shuffled_auc(interests.embeddings, interests.mask, cluster, item_text, later, negatives=negatives),
    }
    against = {name: paired_auc_difference(mine, other) for name, other in scores.items() if name != "interests"}
    return {
        "judged_users": len(rows),
        "auc": {name: {"mean": s.mean, "low": s.low, "high": s.high} for name, s in scores.items()},
        "auc_differences": {name: {"mean": d.mean, "low": d.low, "high": d.high} for name, d in against.items()},
        "recovery": _recovery(interests, truth, encoder) if truth else None,
    }


def _judged_rows(dataset: OpenDataset) -> Int64:
    """Training users with something left after the visible part, ``JUDGED_USERS`` of them at most, by a fixed seed."""
    split = dataset.split
    rows = np.flatnonzero(split.train_ends > split.visible_ends)
    if len(rows) > JUDGED_USERS:
        rows = np.sort(np.random.default_rng(0).choice(rows, JUDGED_USERS, replace=False))
    return rows.astype(np.int64)


def later_items(dataset: OpenDataset, rows: Int64) -> list[Int64]:
    """Of each training user in ``rows`` [m] the items that come after what ESIM sees of the user."""
    split = dataset.split
    return [
        dataset.data.history(int(split.train_users[row]), int(split.train_ends[row]))[
            int(split.visible_ends[row]) :
        ].astype(np.int64)
        for row in rows
    ]


def _embed_phrases(phrases: Sequence[Sequence[str]], encoder: TextEncoder, width: int) -> tuple[Float32, Bool]:
    most = max((len(group) for group in phrases), default=0)
    H = np.zeros((len(phrases), max(1, most), width), np.float32)
    mask = np.zeros(H.shape[:2], np.bool_)
    for row, group in enumerate(phrases):
        mask[row, : len(group)] = True
    H[mask] = encoder.encode([phrase for group in phrases for phrase in group])
    return H, mask


def _recovery(interests: Interests, truth: Mapping[str, Sequence[str]], encoder: TextEncoder) -> dict[str, float]:
    predicted = [row[mask] for row, mask in zip(interests.embeddings, interests.mask, strict=True)]
    true = [encoder.encode(list(truth[record.user])) for record in interests.records]
    found = recovery(predicted, true)
    return {"precision": found.precision, "recall": found.recall, "f1": found.f1}
