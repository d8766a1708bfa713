"""Modality alignment L_A: semantic and behavioural vectors of one thing are drawn together (eqs. 10-12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_LEAST_NORM = 1e-12


def cosine_matrix(anchors: Tensor, others: Tensor) -> Tensor:
    """Cosines float [*, B, B] of every anchor with every other: [*, B, D] each. A zero vector has cosine 0."""
    cosines: Tensor = _CosineMatrix.apply(anchors, others)  # type: ignore[no-untyped-call]
    return cosines


def repeated_targets(target: Tensor) -> Tensor:
    """bool [B, B], off the diagonal: where two rows of the batch have the same target (int64 [B])."""
    return (target.unsqueeze(1) == target.unsqueeze(0)).fill_diagonal_(False)


def contrastive_loss(cosines: Tensor, temperature: float, excluded: Tensor | None = None) -> Tensor:
    """CL (eq. 10): InfoNCE inside the batch, one direction, anchors in rows, positives on the diagonal.

    ``cosines`` [*, B, B]; the sum over all but the last two dimensions. ``excluded`` bool [B, B]
    (:func:`repeated_targets`) takes pairs out of the negatives: they are no negatives.
    """
    loss: Tensor = _ContrastiveLoss.apply(cosines, temperature, excluded)  # type: ignore[no-untyped-call]
    return loss


def cosine_loss(cosines: Tensor) -> Tensor:
    """COS (eq. 11): the mean of 1 - cos over the rows of ``cosines`` [*, B, B], in [0, 2]; summed as CL is."""
    return (1 - cosines.diagonal(dim1=-2, dim2=-1).mean(-1)).sum()


@dataclass(frozen=True)
class ModalityAlignment:
    """L_A (eq. 12): alpha CL + beta COS over the pairs of modalities that are on, with 2 (alpha + beta) = 1.

    ``users`` aligns H'_ex with H'_im, ``items`` t_tar with e_tar; both off is the ablation w/o Align. ``temperature``
    is CL's tau.
    """

    alpha: float
    beta: float
    temperature: float
    users: bool = True
    items: bool = True

    def loss(self, pairs: Sequence[tuple[Tensor, Tensor]], target: Tensor) -> Tensor:
        """The sum over ``pairs`` of (anchors from text, behavioural vectors), [B, D] each; ``target`` int64 [B]."""
        anchors, others = (torch.stack(side) for side in zip(*pairs, strict=True))  # [P, B, D]: all pairs at once
        cosines = cosine_matrix(anchors, others)
        contrast = contrastive_loss(cosines, self.temperature, repeated_targets(target))
        return self.alpha * contrast + self.beta * cosine_loss(cosines)


class _CosineMatrix(torch.autograd.Function):
    """:func:`cosine_matrix` with its closed-form gradient, in a third of the operations that autograd takes."""

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, others: Tensor) -> Tensor:
        norms = [torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=_LEAST_NORM) for x in (anchors, others)]
        units = anchors / norms[0], others / norms[1]
        ctx.save_for_backward(*units, *norms)
        return torch.matmul(units[0], units[1].transpose(-1, -2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        a, b, a_norm, b_norm = ctx.saved_tensors
        (gradient,) = gradients
        return _along_sphere(gradient @ b, a, a_norm), _along_sphere(gradient.transpose(-1, -2) @ a, b, b_norm)


def _along_sphere(gradient: Tensor, unit: Tensor, norm: Tensor) -> Tensor:
    """The gradient at a vector, from that at its ``unit`` vector: the part across it, over its ``norm``. In place."""
    return gradient.sub_(unit * (gradient * unit).sum(-1, keepdim=True)).div_(norm)


class _ContrastiveLoss(torch.autograd.Function):
    """:func:`contrastive_loss`; its gradient is the softmax less the diagonal. lse(x) = max x - log(max softmax(x))."""

    @staticmethod
    def forward(ctx: Any, cosines: Tensor, temperature: float, excluded: Tensor | None) -> Tensor:
        logits = cosines / temperature
        if excluded is not None:
            logits.masked_fill_(excluded, -torch.inf)
        weights = torch.softmax(logits, dim=-1)
        ctx.save_for_backward(weights)
        ctx.temperature = temperature
        masses = logits.amax(-1) - weights.amax(-1).log()
        return (masses - logits.diagonal(dim1=-2, dim2=-1)).mean(-1).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weights,) = ctx.saved_tensors
        scale = gradients[0] / (ctx.temperature * weights.shape[-1])
        to_cosines = weights * scale
        to_cosines.diagonal(dim1=-2, dim2=-1).sub_(scale)
        return to_cosines, None, None
