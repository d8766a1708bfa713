"""Pop: the most popular items for everybody (SPEC section 4)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ..data.splits import FIRST_TARGET
from .backbone import Backbone, Encoded


class Pop(Backbone):
    """Popularity under the contract of all backbones.

    An item's vector is its count [1] over the training users' sequences, everybody's one interest is the constant 1,
    so that the score is the count. ``dim`` and ``interests`` are taken for the contract's sake and replaced by 1.
    """

    trainable: ClassVar[bool] = False

    def __init__(self, *, n_items: int, dim: int = 1, interests: int = 1, max_length: int) -> None:
        super().__init__(n_items=n_items, dim=1, interests=1, max_length=max_length)
        self.item_embedding.weight.requires_grad_(False).zero_()

    def encode_embedded(self, embedded: Tensor, mask: Tensor) -> Encoded:
        """The constant interest float32 [B, 1, 1], whatever the history."""
        return Encoded(embedded.new_ones(embedded.shape[0], 1, 1))

    def fit_statistics(self, sequence: Tensor, starts: Tensor, lengths: Tensor) -> None:
        """Count the training users' interactions (:meth:`Backbone.fit_statistics`)."""
        ends = lengths.cumsum(0)  # [U]
        places = torch.arange(
            int(lengths.sum()), device=sequence.device
        )  # [n] of the n interactions of all training users
        places = places - (ends - lengths).repeat_interleave(lengths)  # 0-based in the user's own sequence
        items = sequence[starts.repeat_interleave(lengths) + places]
        weights = self._weights(places, lengths.repeat_interleave(lengths))
        counts = torch.bincount(items, weights=weights, minlength=self.n_items + 1)
        with torch.no_grad():
            self.item_embedding.weight.copy_(counts.unsqueeze(1))

    def _weights(self, places: Tensor, lengths: Tensor) -> Tensor:
        """What an interaction at a place of a sequence of some length counts, float64 [n]."""
        return torch.ones_like(places, dtype=torch.float64)


class TargetPop(Pop):
    """The reference code's Pop, by whose counts the paper's come out: how often an item is drawn as a training target.

    Counts are expected values: a draw takes each user alike, and each of its targets (the fifth item on) alike.
    """

    def _weights(self, places: Tensor, lengths: Tensor) -> Tensor:
        targets = (lengths - FIRST_TARGET).clamp_min(1).to(torch.float64)
        return (places >= FIRST_TARGET) / targets
