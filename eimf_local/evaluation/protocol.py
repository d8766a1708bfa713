"""Who is ranked for, from what history, against which labels; and the exact top-k over the whole catalogue.

SPEC section 2 (evaluation) and section 7: the history is the last L items before the point, every later item is a
label, the catalogue is never sampled, and items already seen are not filtered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional as F

from ..data.dataset import Dataset, EvaluationUsers, Int64
from ..errors import ConfigError

BLOCK = 512  # users at once


class Encoder(Protocol):
    """What ranking needs of a backbone."""

    def encode(self, history: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Interests [B, K, D] of int64 [B, L] histories; ``mask`` bool [B, L] is True at real items."""
        ...

    def item_vectors(self) -> torch.Tensor:
        """Item vectors [N + 1, D]; row 0 is padding."""
        ...


def histories_of(dataset: Dataset, users: EvaluationUsers, *, max_length: int) -> Int64:
    """The last ``max_length`` items before each user's point: int64 [n, L], oldest first, right-padded with 0."""
    kept = np.minimum(users.history_ends, max_length)  # [n]
    starts = dataset.offsets[users.users] + users.history_ends - kept
    columns = np.arange(max_length)
    real = columns < kept[:, None]  # [n, L]
    positions = np.where(real, starts[:, None] + columns, 0)
    return np.where(real, dataset.sequence[positions], 0).astype(np.int64)


def labels_of(dataset: Dataset, users: EvaluationUsers) -> list[Int64]:
    """Each user's labels: the distinct items of ``[history_ends, label_ends)``, sorted (a set: SPEC section 7)."""
    starts = dataset.offsets[users.users]
    bounds = zip(starts + users.history_ends, starts + users.label_ends, strict=True)
    return [np.unique(dataset.sequence[start:stop]).astype(np.int64) for start, stop in bounds]


def top_k(backbone: Encoder, histories: torch.Tensor, *, k: int, block: int = BLOCK) -> Int64:
    """The k best items for each history, best first.

    An item's score is the largest inner product with any of the user's interests. Padding is never ranked, seen
    items are not filtered, and equal scores are ordered by item number, lowest first.

    Args:
        backbone: on any device; a module is put into evaluation mode meanwhile (no dropout).
        histories: int64 [n, L] as :func:`histories_of` gives them.
        k: how many; where the catalogue has fewer items, the last columns are 0.
        block: users scored at once; memory is two float [block, N + 1] arrays, never users x items for all.

    Returns:
        int64 [n, k], item numbers.

    Raises:
        ConfigError: a score is not a number (training diverged).
    """
    with _evaluating(backbone), torch.no_grad():
        items = backbone.item_vectors()  # [N + 1, D]
        parts = [part.to(items.device) for part in torch.split(histories, block)]
        best = [_best_items(_scores(backbone, part, items), k) for part in parts]
    return torch.cat(best).cpu().numpy() if best else np.empty((0, k), dtype=np.int64)


def interest_cosine(backbone: Encoder, histories: torch.Tensor) -> float | None:
    """Mean cosine between the K interests of a user, over pairs and users; None where K is 1.

    1 means that the interests are one and the same; the K of a multi-interest model then buys nothing.

    Args:
        backbone: as for :func:`top_k`.
        histories: int64 [n, L].
    """
    total = 0.0
    with _evaluating(backbone), torch.no_grad():
        for part in torch.split(histories.to(backbone.item_vectors().device), BLOCK):
            interests = backbone.encode(part, part > 0)  # [B, K, D]
            n_interests = interests.shape[1]
            if n_interests == 1:
                return None
            units = F.normalize(interests, dim=-1)
            cosines = units @ units.transpose(1, 2)  # [B, K, K]; the diagonal's ones are taken off
            total += float((cosines.sum(dim=(1, 2), dtype=torch.float64) - n_interests).sum())
    return total / (len(histories) * n_interests * (n_interests - 1))


@contextmanager
def _evaluating(backbone: Encoder) -> Iterator[None]:
    training = isinstance(backbone, torch.nn.Module) and backbone.training
    if isinstance(backbone, torch.nn.Module):
        backbone.eval()
    try:
        yield
    finally:
        if isinstance(backbone, torch.nn.Module):
            backbone.train(training)


def _scores(backbone: Encoder, histories: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """Float [b, N + 1]: the best inner product over interests; padding scores minus infinity."""
    interests = backbone.encode(histories, histories > 0)  # [b, K, D]
    scores = interests[:, 0] @ items.T
    for interest in interests.unbind(1)[1:]:
        scores = torch.maximum(scores, interest @ items.T)
    scores[:, 0] = -torch.inf
    return scores


def _best_items(scores: torch.Tensor, k: int) -> torch.Tensor:
    """Int64 [b, k] by descending score, then ascending item number; 0 where there is no item left.

    torch.topk leaves the choice among equal scores open. It matters at the last rank only, so only rows whose k-th
    score is shared across the cut are sorted in full.
    """
    found = min(k, scores.shape[1] - 1)
    values, chosen = scores.topk(found, dim=1)
    if values.isnan().any():
        raise ConfigError(
            "the model's scores are not numbers: its training diverged", hint="train with a lower train.learning_rate"
        )
    shared = (scores >= values[:, -1:]).sum(dim=1) > found
    if shared.any():
        chosen[shared] = scores[shared].sort(dim=1, descending=True, stable=True).indices[:, :found]
    chosen = chosen.sort(dim=1).values
    order = scores.gather(1, chosen).sort(dim=1, descending=True, stable=True).indices
    return torch.nn.functional.pad(chosen.gather(1, order), (0, k - found))
