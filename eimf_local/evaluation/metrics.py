"""Ranking metrics per user (SPEC section 7), on the full catalogue.

For a user with label set T and a ranking r_1, r_2, ... let hits@k = |{r_1 .. r_k} and T|. Then

- Recall@k = hits@k / |T|
- HR@k = 1 if hits@k > 0 else 0
- NDCG@k = DCG@k / IDCG, DCG@k = sum over hit ranks i <= k of 1 / log2(i + 1), and
  IDCG = sum over i <= min(|T|, k) of 1 / log2(i + 1)

Two *compatibility* columns reproduce what published code computes instead; never compare them with NDCG:

- ndcg_hits@k: the same DCG, but an ideal over hits@k ranks only (ComiRec); 0 without a hit.
- ndcg_setorder@k: that ideal, and a "rank" that is no rank. See :func:`set_order`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]

CUTOFFS = (5, 10, 20, 50)
METRICS = ("Recall", "HR", "NDCG")
COMPATIBILITY_METRICS = ("ndcg_hits", "ndcg_setorder")


def per_user(ranked: Int64, labels: Sequence[Int64], *, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, Float64]:
    """Every metric at every cut-off, one value per user.

    Two users, labels {7} and {2, 9}, each with one hit among three ranks:

    >>> ranked = np.array([[4, 7, 1], [2, 3, 5]])
    >>> values = per_user(ranked, [np.array([7]), np.array([2, 9])], cutoffs=[3])
    >>> values["Recall@3"].tolist()    # 1 of 1, 1 of 2
    [1.0, 0.5]
    >>> values["HR@3"].tolist()
    [1.0, 1.0]
    >>> values["NDCG@3"].round(4).tolist()    # (1/log2 3) / 1;  1 / (1 + 1/log2 3)
    [0.6309, 0.6131]
    >>> values["ndcg_hits@3"].round(4).tolist()    # the second ideal knows one hit only
    [0.6309, 1.0]

    Args:
        ranked: int64 [n, k_max], item numbers, best first, distinct; 0 fills up where the catalogue ran out.
        labels: n non-empty arrays of distinct item numbers (1..N).
        cutoffs: each at most k_max.

    Returns:
        "Metric@k" -> float64 [n] in [0, 1], metrics in the order of this module's text.

    Raises:
        ValueError: a user without labels, lengths that differ, or a cut-off beyond k_max.
    """
    _check(ranked, labels, cutoffs)
    hits = hit_matrix(ranked, labels)  # [n, k_max]
    sizes = np.array([len(items) for items in labels], dtype=np.int64)
    ideal = np.concatenate([[0.0], np.cumsum(_discounts(ranked.shape[1]))])  # ideal[m]: m hits at the top
    values: dict[str, Float64] = {}
    for k in cutoffs:
        n_hits = hits[:, :k].sum(axis=1)
        dcg = hits[:, :k] @ _discounts(k)
        by_set = set_order(hits, ranked, k) @ _discounts(k)
        values[f"Recall@{k}"] = n_hits / sizes
        values[f"HR@{k}"] = (n_hits > 0).astype(np.float64)
        values[f"NDCG@{k}"] = dcg / ideal[np.minimum(sizes, k)]
        values[f"ndcg_hits@{k}"] = _or_zero(dcg, ideal[n_hits])
        values[f"ndcg_setorder@{k}"] = _or_zero(by_set, ideal[n_hits])
    return values


def hit_matrix(ranked: Int64, labels: Sequence[Int64]) -> Bool:
    """Bool [n, k]: whether the item at that rank is a label of that user.

    >>> hit_matrix(np.array([[3, 1, 0]]), [np.array([1, 2])]).tolist()
    [[False, True, False]]
    """
    n_users = len(ranked)
    width = 1 + max(int(ranked.max(initial=0)), max((int(items.max()) for items in labels), default=0))
    rows = np.repeat(np.arange(n_users), [len(items) for items in labels])
    # One integer per (user, item), so that all users are looked up at once.
    wanted = rows * width + np.concatenate([*labels, np.empty(0, dtype=np.int64)])
    hits: Bool = np.isin(np.arange(n_users)[:, None] * width + ranked, wanted)
    return hits & (ranked > 0)


def set_order(hits: Bool, ranked: Int64, k: int) -> Bool:
    """Hits of the first k ranks, moved to where REMI's evaluator counts them: bool [n, k].

    That evaluator adds the k best items, best first, to an empty Python ``set`` and then runs ``for no, item in
    enumerate(the_set)``, taking ``no`` for the rank. A set has no rank: CPython walks its hash table slot by slot.
    The hash of an integer below 2**61 is itself, and an item goes to slot ``item % size``, or, if that is taken, to
    one of the next nine or on along a perturbed probe. The table has 8 slots at first and grows to the power of two
    above four times its content whenever it is 3/5 full: 32 slots from the fifth item on, 128 from the nineteenth.
    So at k = 20 or 50 the "rank" is, but for collisions, the order of ``item % 128``: unrelated to the score. This
    function builds that very set, so it is exact on CPython (3.9, which the paper names, has the same table).

    Here 8 falls into slot 8 % 8 = 0 and comes before 1, although 1 is ranked first:

    >>> set_order(np.array([[True, False]]), np.array([[1, 8]]), 2).tolist()
    [[False, True]]
    """
    moved = np.zeros((len(ranked), k), dtype=np.bool_)
    for user in np.flatnonzero(hits[:, :k].any(axis=1)):
        items = ranked[user, :k]
        wanted = set(items[hits[user, :k]].tolist())
        walk = set(items[items > 0].tolist())
        moved[user, : len(walk)] = [item in wanted for item in walk]
    return moved


def _discounts(k: int) -> Float64:
    """Float64 [k]: 1 / log2(i + 1) for ranks i = 1..k."""
    return 1.0 / np.log2(np.arange(2, k + 2))


def _or_zero(gain: Float64, ideal: Float64) -> Float64:
    return np.divide(gain, ideal, out=np.zeros_like(gain), where=ideal > 0)


def _check(ranked: Int64, labels: Sequence[Int64], cutoffs: Sequence[int]) -> None:
    if len(ranked) != len(labels):
        raise ValueError(f"{len(ranked)} rankings for {len(labels)} users")
    if max(cutoffs) > ranked.shape[1] or min(cutoffs) < 1:
        raise ValueError(f"cut-offs {list(cutoffs)} do not fit rankings of {ranked.shape[1]}")
    if any(len(items) == 0 for items in labels):
        raise ValueError("a user without labels cannot be evaluated")
