"""Recommendations from a trained run, for known users and for raw histories. Needs nothing but the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from ..artifacts import load
from ..data.dataset import Int64
from ..errors import InputError
from ..ibim.backbone import Backbone
from ..ibim.storage import load_model
from .index import InterestIndex

CATALOGUE = "catalogue.parquet"
HISTORIES = "histories.parquet"
_BLOCK = 1024
# Where building a compressed index has paid before the last user is served.
_MANY_ITEMS, _MANY_USERS = 100_000, 64


@dataclass(frozen=True)
class Recommendation:
    """One recommended item; ``score`` is the largest inner product over the user's interests."""

    item: str
    title: str
    score: float


class Recommender:
    """A backbone, its index, the catalogue and the known users' latest histories."""

    def __init__(
        self,
        backbone: Backbone,
        items: Sequence[str],
        titles: Sequence[str],
        histories: dict[str, list[int]],
        *,
        expected_users: int = 1,
    ) -> None:
        """``items`` and ``titles``: of the items 1..N in order. ``histories``: item numbers, oldest first, by user.

        ``expected_users``: how many will be served, about. Many of them over a catalogue of more than 100,000 items
        are served by a compressed index (:class:`InterestIndex`); all others exactly.
        """
        self._backbone = backbone.eval()
        self._items = items
        self._titles = titles
        self._number_of = {item: number for number, item in enumerate(items, start=1)}
        self._histories = histories
        compressed = len(items) >= _MANY_ITEMS and expected_users >= _MANY_USERS
        self._index = InterestIndex(backbone.item_vectors().detach().numpy(), compressed=compressed)

    @classmethod
    def load(cls, run: Path, *, expected_users: int = 1) -> Recommender:
        """Open a run directory; raises :class:`ArtifactError` where it is missing, altered, or kept without weights."""
        artifact = load(run, "run")
        catalogue = pl.read_parquet(artifact.file(CATALOGUE))
        histories = pl.read_parquet(artifact.file(HISTORIES))
        return cls(
            load_model(artifact.path),
            catalogue["item"].to_list(),
            catalogue["title"].to_list(),
            dict(zip(histories["user"].to_list(), histories["history"].to_list(), strict=True)),
            expected_users=expected_users,
        )

    def for_users(self, users: Sequence[str], *, k: int, exclude_seen: bool = False) -> list[list[Recommendation]]:
        """The best ``k`` items for each known user; an unknown one is an :class:`InputError` that names it."""
        unknown = [user for user in users if user not in self._histories]
        if unknown:
            raise InputError(
                f"user {unknown[0]!r} is not in this run's dataset ({len(unknown)} unknown in all)",
                hint="check the id, or give the user's items with --history",
            )
        return self._recommend([self._histories[user] for user in users], k=k, exclude_seen=exclude_seen)

    def for_histories(
        self, histories: Sequence[Sequence[str]], *, k: int, exclude_seen: bool = False
    ) -> list[list[Recommendation]]:
        """The best ``k`` items for each list of raw item ids, oldest first; an unknown item is an InputError."""
        return self._recommend([self._numbers(history) for history in histories], k=k, exclude_seen=exclude_seen)

    def _numbers(self, history: Sequence[str]) -> list[int]:
        if not history:
            raise InputError("a history is empty", hint="give at least one item id")
        for item in history:
            if item not in self._number_of:
                raise InputError(f"item {item!r} is not in this run's catalogue", hint="check the id or leave it out")
        return [self._number_of[item] for item in history]

    @torch.no_grad()
    def _recommend(
        self, histories: Sequence[Sequence[int]], *, k: int, exclude_seen: bool
    ) -> list[list[Recommendation]]:
        results: list[list[Recommendation]] = []
        for start in range(0, len(histories), _BLOCK):
            block = histories[start : start + _BLOCK]
            padded = torch.from_numpy(_right_padded(block, self._backbone.max_length))  # [B, L]
            interests = self._backbone.encode(padded, padded > 0).numpy()  # [B, K, D]
            spare = max(len(set(history)) for history in block) if exclude_seen else 0
            items, scores = self._index.search(interests, k=k + spare)
            for history, row, row_scores in zip(block, items, scores, strict=True):
                hidden = set(history) if exclude_seen else set()
                kept = [(int(i), float(s)) for i, s in zip(row, row_scores, strict=True) if int(i) not in hidden]
                results.append(
                    [Recommendation(self._items[i - 1], self._titles[i - 1], score) for i, score in kept[:k]]
                )
        return results


def _right_padded(histories: Sequence[Sequence[int]], max_length: int) -> Int64:
    """The last ``max_length`` of each history, zeros after them: int64 [B, L]."""
    padded = np.zeros((len(histories), max_length), np.int64)
    for row, history in enumerate(histories):
        latest = history[-max_length:]
        padded[row, : len(latest)] = latest
    return padded
