"""Modality alignment L_A: semantic and behavioural vectors of one thing are drawn together (eqs. 10-12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine_matrix(anchors: Tensor, others: Tensor) -> Tensor:
    """Cosines float [*, B, B] of every anchor with every other: [*, B, D] each. A zero vector has cosine 0."""
    return F.normalize(anchors, dim=-1) @ F.normalize(others, dim=-1).transpose(-1, -2)


def repeated_targets(target: Tensor) -> Tensor:
    """bool [B, B], off the diagonal: where two rows of the batch have the same target (int64 [B])."""
    return (target.unsqueeze(1) == target.unsqueeze(0)).fill_diagonal_(False)


def contrastive_loss(cosines: Tensor, temperature: float, excluded: Tensor | None = None) -> Tensor:
    """CL (eq. 10): InfoNCE inside the batch, one direction, anchors in rows, positives on the diagonal.

    ``cosines`` [*, B, B]; the sum over all but the last two dimensions. ``excluded`` bool [B, B]
    (:func:`repeated_targets`) takes pairs out of the negatives: they are no negatives.
    """
    logits = cosines / temperature
    if excluded is not None:
        logits = logits.masked_fill(excluded, -torch.inf)
    return (torch.logsumexp(logits, dim=-1) - logits.diagonal(dim1=-2, dim2=-1)).mean(-1).sum()


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
