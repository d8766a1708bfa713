"""ComiRec-SA, and REMI, which has the same encoder and another loss (SPEC section 4).

A = softmax_L(W2 tanh(W1 (H + P))), padding masked before the softmax; V = A H. Positions enter the attention only.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from .backbone import Backbone, Encoded
from .positions import PackedRows
from .products import linear

MASKED_LOGIT = -1e9


class ComiRecSA(Backbone):
    """Controllable multi-interest self-attention (Cen et al., 2020): W1 is D -> 4D, W2 is 4D -> K, no biases."""

    def __init__(self, *, n_items: int, dim: int, interests: int, max_length: int) -> None:
        super().__init__(n_items=n_items, dim=dim, interests=interests, max_length=max_length)
        self.position = nn.Parameter(torch.randn(max_length, dim) * dim**-0.5)  # [L, D]
        self.hidden = nn.Linear(dim, 4 * dim, bias=False)  # W1
        self.heads = nn.Linear(4 * dim, interests, bias=False)  # W2

    def encode_embedded(self, embedded: Tensor, mask: Tensor) -> Encoded:
        """Interests [B, K, D] and attention [B, K, L] (zero on padding; an empty history gives zero interests)."""
        rows = PackedRows(mask)
        positions = rows.pack(torch.arange(mask.shape[1], device=mask.device).expand(mask.shape))
        scores = self._score(rows.pack(embedded) + self.position.index_select(0, positions))
        logits = rows.unpack(scores, fill=MASKED_LOGIT)  # [B, L, K]
        attention = torch.softmax(logits.transpose(1, 2), dim=-1)  # [B, K, L]
        if embedded.device.type != "cpu" or not bool(mask[:, 0].all()):
            attention = attention * mask.unsqueeze(1)
        return Encoded(attention @ embedded, attention)

    def _score(self, positioned: Tensor) -> Tensor:
        """W2 tanh(W1 x) less a constant per interest, which the softmax over positions cancels.

        tanh(z) = 2 sigmoid(2z) - 1, so W2 tanh(z) = 2 W2 sigmoid(2z) - W2 1. The sigmoid costs a tenth of the tanh.
        """
        return linear(torch.sigmoid(linear(positioned, 2 * self.hidden.weight)), 2 * self.heads.weight)


class REMI(ComiRecSA):
    """ComiRec-SA under interest-aware hard negatives and routing regularisation (Xie et al., 2023)."""

    hard_negatives: ClassVar[bool] = True
    routing_regularised: ClassVar[bool] = True
