"""MIND and ComiRec-DR: interests as capsules by dynamic routing (SPEC section 4).

Three iterations of c = softmax(b), v_k = squash(sum_l c_kl u_kl), b_kl += v_k . u_kl over the real positions l, u being
the items' vectors after a bilinear map. Gradients pass through the last weighted sum only.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from .backbone import Backbone, Encoded
from .products import linear
from .readout import MASKED_LOGIT

ITERATIONS = 3
_AXES = {"interests": 1, "positions": 2}

CapsuleAxis = Literal["interests", "positions"]


def squash(vectors: Tensor) -> Tensor:
    """z |z| / (1 + |z|^2) over the last dimension; zero stays zero, with zero gradient."""
    square = vectors.square().sum(-1, keepdim=True)
    return vectors * (square + 1e-9).sqrt() / (1 + square)


def route(votes: Tensor, logits: Tensor, mask: Tensor, *, axis: CapsuleAxis) -> Tensor:
    """Capsules [B, K, D] by dynamic routing.

    Args:
        votes: [B, K, L, D], u_kl.
        logits: [K, L] or broadcast to [B, K, L], b before the first iteration.
        mask: bool [B, L], True on real positions; the others have no vote.
        axis: what the coupling softmax runs over: "interests" shares a position out among the capsules (as published),
            "positions" makes each capsule a weighted mean of them (as ports do).
    """
    fixed = votes.detach()
    absent = ~mask.unsqueeze(1)  # [B, 1, L]
    b = logits.expand(votes.shape[:3])
    for _ in range(ITERATIONS - 1):
        capsules = squash(_weighted(_coupling(b, absent, axis), fixed))
        b = b + (fixed @ capsules.unsqueeze(3)).squeeze(3)
    return squash(_weighted(_coupling(b, absent, axis), votes))


def _coupling(b: Tensor, absent: Tensor, axis: CapsuleAxis) -> Tensor:
    weights = torch.softmax(b.masked_fill(absent, MASKED_LOGIT), dim=_AXES[axis])
    return weights.masked_fill(absent, 0)


def _weighted(weights: Tensor, votes: Tensor) -> Tensor:
    """sum_l c_kl u_kl: [B, K, L] and [B, K, L, D] -> [B, K, D]."""
    return (weights.unsqueeze(2) @ votes).squeeze(2)


class MIND(Backbone):
    """Behaviour-to-interest routing (Li et al., 2019): one bilinear map D -> D for all, random initial logits.

    The logits are N(0, 1) by interest and position, drawn once with the weights and stored with them: the same user
    gets the same interests again, which the reference, drawing anew, does not give.
    """

    options: ClassVar[tuple[str, ...]] = ("capsule_axis",)

    def __init__(
        self, *, n_items: int, dim: int, interests: int, max_length: int, capsule_axis: CapsuleAxis = "interests"
    ) -> None:
        super().__init__(n_items=n_items, dim=dim, interests=interests, max_length=max_length)
        self.capsule_axis = capsule_axis
        self.bilinear = nn.Parameter(torch.randn(dim, dim) * dim**-0.5)
        self.logits: Tensor
        self.register_buffer("logits", torch.randn(interests, max_length))

    def encode_embedded(self, embedded: Tensor, mask: Tensor) -> Encoded:
        """Interests [B, K, D] shorter than 1; an empty history's are zero."""
        real = embedded.masked_fill(~mask.unsqueeze(2), 0)
        votes = linear(real, self.bilinear).unsqueeze(1).expand(-1, self.n_interests, -1, -1)  # [B, K, L, D]
        return Encoded(route(votes, self.logits[:, : mask.shape[1]], mask, axis=self.capsule_axis))


class ComiRecDR(Backbone):
    """ComiRec's dynamic routing (Cen et al., 2020): a bilinear map per position and interest, initial logits 0."""

    options: ClassVar[tuple[str, ...]] = ("capsule_axis",)

    def __init__(
        self, *, n_items: int, dim: int, interests: int, max_length: int, capsule_axis: CapsuleAxis = "interests"
    ) -> None:
        super().__init__(n_items=n_items, dim=dim, interests=interests, max_length=max_length)
        self.capsule_axis = capsule_axis
        self.bilinear = nn.Parameter(torch.randn(max_length, dim, interests * dim) * dim**-0.5)

    def encode_embedded(self, embedded: Tensor, mask: Tensor) -> Encoded:
        """Interests [B, K, D] shorter than 1; an empty history's are zero."""
        batch, length, dim = embedded.shape
        real = embedded.masked_fill(~mask.unsqueeze(2), 0)
        mapped = torch.bmm(real.transpose(0, 1), self.bilinear[:length])  # [L, B, K D]
        votes = mapped.view(length, batch, self.n_interests, dim).permute(1, 2, 0, 3)  # [B, K, L, D]
        return Encoded(route(votes, embedded.new_zeros(()), mask, axis=self.capsule_axis))
