"""The metrics again, one user and one rank at a time, straight from their definitions."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def recall(ranking: Sequence[int], labels: Collection[int], k: int) -> float:
    return len(set(ranking[:k]) & set(labels)) / len(set(labels))


def hit_rate(ranking: Sequence[int], labels: Collection[int], k: int) -> float:
    return float(any(item in labels for item in ranking[:k]))


def ndcg(ranking: Sequence[int], labels: Collection[int], k: int) -> float:
    ideal = sum(1 / math.log2(i + 2) for i in range(min(len(set(labels)), k)))
    return _dcg(ranking[:k], labels) / ideal


def ndcg_hits(ranking: Sequence[int], labels: Collection[int], k: int) -> float:
    return _over_hits(ranking[:k], labels)


def ndcg_setorder(ranking: Sequence[int], labels: Collection[int], k: int) -> float:
    """REMI's evaluator: add in rank order until k distinct items other than 0 are in, then enumerate the set."""
    recommended: set[int] = set()
    for item in ranking:
        if item not in recommended and item != 0:
            recommended.add(item)
            if len(recommended) >= k:
                break
    return _over_hits(list(recommended), labels)


def top_k(interests: Sequence[Sequence[Sequence[float]]], items: Sequence[Sequence[float]], k: int) -> list[list[int]]:
    """Best k item numbers (rows 1.. of ``items``) for each user; ties to the lower number; 0 where none is left."""
    rankings = []
    for user in interests:
        scores = {
            number: max(sum(a * b for a, b in zip(interest, vector, strict=True)) for interest in user)
            for number, vector in enumerate(items)
            if number > 0
        }
        ranking = sorted(scores, key=lambda number: (-scores[number], number))[:k]
        rankings.append(ranking + [0] * (k - len(ranking)))
    return rankings


def _dcg(ranking: Sequence[int], labels: Collection[int]) -> float:
    return sum(1 / math.log2(i + 2) for i, item in enumerate(ranking) if item in labels)


def _over_hits(ranking: Sequence[int], labels: Collection[int]) -> float:
    n_hits = sum(item in labels for item in ranking)
    ideal = sum(1 / math.log2(i + 2) for i in range(n_hits))
    return _dcg(ranking, labels) / ideal if n_hits else 0.0
