"""How good inferred interests are, without training anything: interest AUC, its controls, and recovery.

Interest AUC (SPEC section 7). The LLM saw the first 80 % of a user's history. With the interests h_1 .. h_M that the
user was given, an item i scores s(i) = max_m cos(h_m, title_i). The user's AUC is the share of pairs (later item of
this user, later item of another user) in which the former scores higher, ties counting one half. .5 is chance: both
sides are drawn from what people choose later, so popularity alone gains nothing.

All controls are judged on the same users and the same negatives, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from ..data.dataset import Bool, Float32, Int64
from ..errors import InputError
from .significance import Difference, Float64, mean_interval, paired_difference

_GROUPS_PER_BLOCK = 32  # bounds the memory at 32 x M x (N + 1) floats


@dataclass(frozen=True)
class InterestAUC:
    """Interest AUC of U users.

    ``per_user`` float64 [U] in [0, 1]; NaN for a user without later items. ``mean``, ``low``, ``high``: over the
    others, with the 95 % bootstrap interval over users.
    """

    per_user: Float64
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Recovery:
    """Share of predicted interests that are true, share of true ones that were found, and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def draw_negatives(later_items: Sequence[npt.ArrayLike], *, per_user: int = 100, seed: int = 0) -> Int64:
    """Later items of other users, as often as those chose them: int64 [U, per_user].

    ``later_items``: the item numbers of each user's later part. An item that is also among the user's own later ones
    is drawn again.

    Raises:
        InputError: a user has every later item there is, so that no negative exists.
    """
    own = _distinct(later_items)
    pool = np.concatenate([*own, np.empty(0, dtype=np.int64)])
    if max((len(items) for items in own), default=0) == len(np.unique(pool)):
        raise InputError(
            "interest AUC needs later items of other users, and there are none",
            hint="judge at least two users who choose different items",
        )
    generator = np.random.default_rng(seed)
    width = int(pool.max()) + 1
    rows = np.arange(len(own))[:, None] * width
    taken = np.concatenate([row + items for row, items in zip(rows[:, 0], own, strict=True)])
    negatives = pool[generator.integers(0, len(pool), (len(own), per_user))]
    while (again := np.isin(rows + negatives, taken)).any():
        negatives[again] = pool[generator.integers(0, len(pool), int(again.sum()))]
    return negatives


def interest_auc(
    interests: Float32,
    mask: Bool,
    cluster: Int64,
    item_text: Float32,
    later_items: Sequence[npt.ArrayLike],
    *,
    negatives: Int64,
) -> InterestAUC:
    """Interest AUC of U users, each with the interests of its cluster.

    Titles, each a unit vector of its own; the first user's interest is title 1, its later item, and beats both
    negatives; the second one's interest lies between titles 2 and 3, and its item 3 beats one of two:

    >>> titles = np.vstack([np.zeros(3), np.eye(3)]).astype(np.float32)
    >>> interests = np.array([[[1, 0, 0]], [[0, 0.6, 0.6]]], dtype=np.float32)
    >>> given = interests, np.ones((2, 1), dtype=bool), np.array([0, 1]), titles, [[1], [3]]
    >>> interest_auc(*given, negatives=np.array([[2, 3], [1, 2]])).per_user.tolist()    # a tie counts one half
    [1.0, 0.75]

    Args:
        interests: float32 [G, M, T], one group per exemplar (or per user).
        mask: bool [G, M], True at real interests; with none at all every comparison is a tie.
        cluster: int64 [U], the group whose interests each user takes.
        item_text: float32 [N + 1, T], row 0 padding. Neither side need be normalised; a zero vector has cosine 0.
        later_items: item numbers of each user's part that the LLM did not see.
        negatives: int64 [U, q], :func:`draw_negatives`, the same for everything that is compared.

    Raises:
        InputError: no user has later items.
    """
    scores = _group_scores(interests, mask, item_text)
    return _with_interval(_auc_per_user(scores, cluster, _distinct(later_items), negatives))


def shuffled_auc(
    interests: Float32,
    mask: Bool,
    cluster: Int64,
    item_text: Float32,
    later_items: Sequence[npt.ArrayLike],
    *,
    negatives: Int64,
    shuffles: int = 100,
    seed: int = 0,
) -> InterestAUC:
    """The control: each user's mean AUC over ``shuffles`` random exchanges of interests between clusters.

    Chance is .5; what lies above it is owed to the interests' wording, not to whose they are. Arguments and errors as
    in :func:`interest_auc`.
    """
    scores = _group_scores(interests, mask, item_text)
    own = _distinct(later_items)
    generator = np.random.default_rng(seed)
    total = np.zeros(len(own))
    for _ in range(shuffles):
        total += _auc_per_user(scores, generator.permutation(len(scores))[cluster], own, negatives)
    return _with_interval(total / shuffles)


def paired_auc_difference(a: InterestAUC, b: InterestAUC) -> Difference:
    """AUC of a minus AUC of b over the users that both judge, with a paired bootstrap over users."""
    both = np.isfinite(a.per_user) & np.isfinite(b.per_user)
    return paired_difference(a.per_user[both][None], b.per_user[both][None])


def tfidf_phrases(titles: Sequence[Sequence[str]], *, top: int = 20) -> list[list[str]]:
    """Keyphrases without a language model: each user's ``top`` 1-3-grams by TF-IDF over all users.

    ``titles`` holds each user's visible titles. A phrase never spans two titles, English stop words are dropped,
    equal weights are ordered alphabetically. A user whose titles hold no word gets no phrase. The caller embeds them.
    The default is as many as an LLM may give (SPEC section 3.4); with 10 the control is unfairly weak (interest AUC
    of Office's 105 reference exemplars .569, with 20 .604, the LLM's .619).

    >>> tfidf_phrases([["red tea", "green tea"], ["red pen"]], top=3)
    [['tea', 'green', 'green tea'], ['pen', 'red pen', 'red']]
    """
    phrases_of = CountVectorizer(ngram_range=(1, 3), stop_words="english").build_analyzer()
    documents = [[phrase for title in one for phrase in phrases_of(title)] for one in titles]
    if not any(documents):
        return [[] for _ in documents]
    vectorizer = TfidfVectorizer(analyzer=lambda document: document)
    weights = vectorizer.fit_transform(documents).tocsr()
    names = vectorizer.get_feature_names_out()  # sorted, so that a column's number is its alphabetical rank
    result = []
    for row in range(weights.shape[0]):
        cells = slice(weights.indptr[row], weights.indptr[row + 1])
        columns, values = weights.indices[cells], weights.data[cells].round(12)
        result.append([str(names[column]) for column in columns[np.lexsort((columns, -values))[:top]]])
    return result


def recovery(predicted: Sequence[Float32], true: Sequence[Float32], *, threshold: float = 0.6) -> Recovery:
    """How many true interests were recovered, one to one, by cosine similarity of at least ``threshold``.

    For each user the largest possible set of disjoint (predicted, true) pairs at or above the threshold is taken
    (maximum bipartite matching), so repeating one interest does not count twice. Matches, predictions and truths are
    summed over users before dividing (micro-average); without any, all three shares are 0.

    >>> a, b = np.eye(2, dtype=np.float32)
    >>> recovery([np.stack([a, a])], [np.stack([a, b])])    # the second a finds nothing left
    Recovery(precision=0.5, recall=0.5, f1=0.5)

    Args:
        predicted: for each user float32 [P_u, T].
        true: for each user float32 [Q_u, T].
        threshold: cosine.
    """
    matches = sum(_matched(p, t, threshold) for p, t in zip(predicted, true, strict=True))
    n_predicted, n_true = sum(len(one) for one in predicted), sum(len(one) for one in true)
    return Recovery(
        precision=matches / n_predicted if n_predicted else 0.0,
        recall=matches / n_true if n_true else 0.0,
        f1=2 * matches / (n_predicted + n_true) if n_predicted + n_true else 0.0,
    )


def _matched(predicted: Float32, true: Float32, threshold: float) -> int:
    if len(predicted) == 0 or len(true) == 0:
        return 0
    close = _unit(predicted) @ _unit(true).T >= threshold - 1e-6  # float32 rounding of a cosine
    rows, columns = linear_sum_assignment(close, maximize=True)
    return int(close[rows, columns].sum())


def _distinct(later_items: Sequence[npt.ArrayLike]) -> list[Int64]:
    return [np.unique(np.asarray(items, dtype=np.int64)) for items in later_items]


def _with_interval(per_user: Float64) -> InterestAUC:
    judged = per_user[np.isfinite(per_user)]
    if len(judged) == 0:
        raise InputError("no user has items that the LLM did not see", hint="give users with longer histories")
    interval = mean_interval(judged[None])
    return InterestAUC(per_user, interval.mean, interval.low, interval.high)


def _group_scores(interests: Float32, mask: Bool, item_text: Float32) -> Float32:
    """s(g, i) = max over the group's real interests of cos(interest, title): float32 [G, N + 1]; -inf without any."""
    items = _unit(item_text).T  # [T, N + 1]
    scores = np.empty((len(interests), items.shape[1]), dtype=np.float32)
    for start in range(0, len(interests), _GROUPS_PER_BLOCK):
        block = slice(start, start + _GROUPS_PER_BLOCK)
        cosines = _unit(interests[block]) @ items  # [g, M, N + 1]
        cosines[~mask[block]] = -np.inf
        scores[block] = cosines.max(axis=1, initial=-np.inf)
    return scores


def _auc_per_user(scores: Float32, cluster: Int64, own: Sequence[Int64], negatives: Int64) -> Float64:
    sizes = np.array([len(items) for items in own], dtype=np.int64)
    users = np.repeat(np.arange(len(own)), sizes)  # [P], one row per positive
    positives = scores[cluster[users], np.concatenate([*own, np.empty(0, dtype=np.int64)])]  # [P]
    rivals = scores[cluster[:, None], negatives]  # [U, q]
    wins = np.empty(len(users))
    rows = max(1, 2**22 // max(1, negatives.shape[1]))  # about 4 million comparisons at once
    for start in range(0, len(users), rows):
        part = slice(start, start + rows)
        mine, others = positives[part, None], rivals[users[part]]
        wins[part] = (mine > others).mean(axis=1) + 0.5 * (mine == others).mean(axis=1)
    with np.errstate(invalid="ignore"):
        return np.bincount(users, weights=wins, minlength=len(own)) / np.where(sizes > 0, sizes, np.nan)


def _unit(vectors: Float32) -> Float32:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Float32 = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return unit
