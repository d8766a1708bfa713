"""Item-KNN and EASE: linear models of items by items, fitted in closed form.

Both score item j by sum_i x_i W_ij, where x is the multi-hot history. Under the contract of all backbones x is a user's
one interest and W's column j is item j's vector, so D = N: evaluation and retrieval by inner product stay exact. The
table takes 4 N^2 bytes (.6 GB at 12,101 items), fitting at most three times as much; a catalogue too large for the
memory is refused.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ..errors import ConfigError
from ..machine import available_memory
from .backbone import Backbone

_TABLES_TO_FIT = 2  # of N x N, beside the one that is kept


class LinearItemModel(Backbone):
    """The contract's side of both; ``dim`` and ``interests`` are taken for its sake and replaced by N and 1."""

    trainable: ClassVar[bool] = False

    def __init__(self, *, n_items: int, dim: int = 1, interests: int = 1, max_length: int) -> None:
        _refuse_beyond_memory(n_items)
        super().__init__(n_items=n_items, dim=n_items, interests=1, max_length=max_length)
        self.item_embedding.weight.requires_grad_(False).zero_()

    def encode(self, history: Tensor, mask: Tensor) -> Tensor:
        """The multi-hot history float32 [B, 1, N]: column i - 1 is 1 where item i is in it, however often."""
        hot = self.item_embedding.weight.new_zeros(len(history), self.n_items + 1)
        return hot.scatter_(1, history * mask, 1)[:, 1:].unsqueeze(1)

    def fit_statistics(self, sequence: Tensor, starts: Tensor, lengths: Tensor) -> None:
        """Fit W from the training users' items, each counted once a user (:meth:`Backbone.fit_statistics`)."""
        _refuse_beyond_memory(self.n_items, _TABLES_TO_FIT)
        with torch.no_grad():
            gram = self.item_vectors()[1:].zero_()  # a view: the table is its own workspace
            for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
                items = torch.unique(sequence[start : start + length]) - 1
                gram[items.unsqueeze(1), items] += 1
            self._weigh(gram)

    def _weigh(self, gram: Tensor) -> None:
        """Turn G = X^T X [N, N], users who have both items, into the items' vectors (W transposed), in place."""
        raise NotImplementedError


def _refuse_beyond_memory(n_items: int, tables: int = 1) -> None:
    """Raise :class:`ConfigError` where ``tables`` of N x N float32 would not fit; the kernel would kill the process."""
    needed, available = 4 * tables * n_items**2, available_memory()
    if available is not None and needed > available:
        raise ConfigError(
            f"item-knn and ease weigh all items by all items: for {n_items:,} that takes {needed / 1e9:.1f} GB more "
            f"memory, {available / 1e9:.1f} are free",
            hint="use a machine with more, or leave both models out",
        )


class ItemKNN(LinearItemModel):
    """W_ij = cos(i, j) for the ``knn_neighbours`` items j most similar to i (Deshpande and Karypis, 2004), else 0.

    The cosine is between columns of X. Items that tie with the last neighbour are kept; no item neighbours itself.
    """

    options: ClassVar[tuple[str, ...]] = ("knn_neighbours",)

    def __init__(
        self, *, n_items: int, dim: int = 1, interests: int = 1, max_length: int, knn_neighbours: int = 100
    ) -> None:
        super().__init__(n_items=n_items, max_length=max_length)
        self.knn_neighbours = knn_neighbours

    def _weigh(self, gram: Tensor) -> None:
        counts = gram.diagonal().clamp(min=1)  # [N]; an item without users has no similarities to scale
        gram.square_().div_(torch.outer(counts, counts)).fill_diagonal_(0)  # the cosines' squares: equal ones stay so
        # symmetric so far, so row i's threshold is column i's: row j keeps i if j is among i's neighbours
        least = gram.topk(min(self.knn_neighbours, len(gram)), dim=1).values[:, -1]  # [N]
        gram.masked_fill_(gram < least, 0).sqrt_()


class EASE(LinearItemModel):
    """Ridge regression of each item on all others (Steck, 2019): W_ij = -P_ij / P_jj, P = (G + lambda I)^-1, W_ii = 0.

    ``ease_regularisation`` is lambda.
    """

    options: ClassVar[tuple[str, ...]] = ("ease_regularisation",)

    def __init__(
        self, *, n_items: int, dim: int = 1, interests: int = 1, max_length: int, ease_regularisation: float = 100.0
    ) -> None:
        super().__init__(n_items=n_items, max_length=max_length)
        self.ease_regularisation = ease_regularisation

    def _weigh(self, gram: Tensor) -> None:
        gram.diagonal().add_(self.ease_regularisation)
        factor, failed = torch.linalg.cholesky_ex(gram)
        if failed:
            raise ConfigError(
                f"EASE cannot invert its matrix with so little regularisation ({self.ease_regularisation})",
                hint="raise model.ease_regularisation",
            )
        inverse = torch.cholesky_inverse(factor)  # P, symmetric
        gram.copy_(inverse).div_(-inverse.diagonal().unsqueeze(1)).fill_diagonal_(0)
