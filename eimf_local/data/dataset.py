"""The prepared dataset: packed sequences, item titles, and the counts that preparation reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

# The timestamp of every interaction of a user for whom no time at all is known.
NO_TIME = int(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class Dataset:
    """Users' interaction sequences in packed form.

    Attributes:
        users: raw user ids, sorted as strings; a user's index here is its row everywhere else.
        items: raw item ids by descending popularity (ties: order of first appearance); item number ``i`` in
            1..N is ``items[i - 1]``, 0 is padding.
        titles: one per item, unescaped and whitespace-collapsed; the raw id where there was no title.
        offsets: int64 [U + 1]; user ``u`` owns ``sequence[offsets[u]:offsets[u + 1]]``.
        sequence: int32 [total], item numbers 1..N, oldest first.
        timestamps: int64 [total] in the source's unit (seconds for Amazon and MovieLens), or None where no time is
            known. A blank one takes the user's previous time; ``NO_TIME`` where the user has none at all.
        statistics: what was read, dropped and kept, and the share of tied timestamps.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    titles: tuple[str, ...]
    offsets: Int64
    sequence: Int32
    timestamps: Int64 | None
    statistics: dict[str, Any] = field(default_factory=dict)

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    @property
    def lengths(self) -> Int64:
        """int64 [U]: interactions per user."""
        return np.diff(self.offsets)

    def history(self, user: int, end: int | None = None) -> Int32:
        """Item numbers of ``user`` (a row), oldest first; only the first ``end`` of them if given."""
        start, stop = int(self.offsets[user]), int(self.offsets[user + 1])
        return self.sequence[start : stop if end is None else min(stop, start + end)]


@dataclass(frozen=True)
class EvaluationUsers:
    """Users to be ranked for, with the point that parts their history from their labels.

    ``users`` int64 [n]: rows of the dataset. ``history_ends`` int64 [n]: interactions before the point.
    ``label_ends`` int64 [n]: every item in ``[history_ends, label_ends)`` of the user's sequence is a label.
    """

    users: Int64
    history_ends: Int64
    label_ends: Int64


@dataclass(frozen=True)
class Split:
    """Who is trained on, and how far; who is evaluated.

    ``train_users`` int64 [U]: rows of the dataset. ``train_ends`` int64 [U]: the trainer sees the first that
    many interactions. ``visible_ends`` int64 [U]: ESIM (user text, clustering, prompts) sees only the first
    that many: int(.8 x train_ends), so that interests can be judged on the rest (SPEC section 3.0).
    """

    protocol: str
    seed: int
    train_users: Int64
    train_ends: Int64
    visible_ends: Int64
    valid: EvaluationUsers
    test: EvaluationUsers
