"""Pop: the most popular items for everybody (SPEC section 4)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

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
        """Count every interaction of the training users (:meth:`Backbone.fit_statistics`)."""
        edges = torch.zeros(len(sequence) + 1, dtype=torch.int64, device=sequence.device)
        edges.index_add_(0, starts, torch.ones_like(starts)).index_add_(0, starts + lengths, -torch.ones_like(starts))
        owned = edges.cumsum(0)[:-1].to(torch.float64)  # [total]: 1 inside a training user's sequence, else 0
        counts = torch.bincount(sequence, weights=owned, minlength=self.n_items + 1)
        with torch.no_grad():
            self.item_embedding.weight.copy_(counts.unsqueeze(1))
