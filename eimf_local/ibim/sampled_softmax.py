"""Losses over the catalogue: negatives, sampled and full softmax, REMI's two terms (SPEC section 4).

Letters: u the read-out interest, s+ = u . e_target, s_i = u . e_i for the n negatives that the batch shares.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .products import product

# Below every real score, and far enough from float32's limit to be multiplied by any sensible beta + 1.
_EXCLUDED = -1e30


def draw_negatives(n_items: int, count: int, *, generator: torch.Generator) -> Tensor:
    """int64 [n]: item numbers uniform on 1..N, with replacement; padding (0) is never drawn."""
    return torch.randint(1, n_items + 1, (count,), generator=generator, device=generator.device)


def accidental_hits(target: Tensor, negatives: Tensor) -> Tensor:
    """bool [B, n]: where a negative is the row's own target."""
    return target.unsqueeze(1) == negatives.unsqueeze(0)


def log_negative_mass(vectors: Tensor, negatives: Tensor, hits: Tensor | None, beta: float) -> Tensor:
    """z = log sum_i w_i exp(s_i) [B], with w_i = exp(beta s_i) / mean_j exp(beta s_j), over the negatives that count.

    In the stable form: z = log n + lse((beta + 1) s) - lse(beta s). A masked hit leaves both sums *and the mean*, so
    that n becomes n_b, the number of negatives left in the row. beta = 0 gives w_i = 1: lse(beta s) = log n_b cancels
    log n_b, and z = lse(s). A row without any negative left gives a very negative, finite z: no negative mass.

    Args:
        vectors: float [B, D], u.
        negatives: float [n, D], e_i; s_i = u . e_i.
        hits: bool [B, n], True on negatives to leave out; None keeps all.
        beta: >= 0; gradients pass through the weights as well.
    """
    mass: Tensor = _LogNegativeMass.apply(vectors, negatives, hits, beta)  # type: ignore[no-untyped-call]
    return mass


def sampled_softmax_loss(
    vectors: Tensor, positives: Tensor, negatives: Tensor, hits: Tensor | None = None, *, beta: float = 0.0
) -> Tensor:
    """Mean of -log(exp(s+) / (exp(s+) + sum_i w_i exp(s_i))); beta > 0 weighs hard negatives up (REMI).

    ``vectors`` and ``positives`` float [B, D], ``negatives`` float [n, D], ``hits`` bool [B, n]
    (:func:`accidental_hits`) or None.
    """
    positive = (vectors * positives).sum(1)
    return F.softplus(log_negative_mass(vectors, negatives, hits, beta) - positive).mean()  # logaddexp(s+, z) - s+


def full_softmax_loss(vectors: Tensor, table: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the whole catalogue (eqs. 9, 13, with the sign the paper drops).

    ``vectors`` float [B, D], ``table`` float [N, D] without the padding row, ``target`` int64 [B] in 1..N.
    """
    positive = (vectors * table.index_select(0, target - 1)).sum(1)
    return (log_negative_mass(vectors, table, None, 0.0) - positive).mean()


def routing_regularisation(attention: Tensor, *, dim: int, reduction: Literal["sum", "mean"] = "sum") -> Tensor:
    """L_RR = sum_k C_kk^2, C = (A - mean_L A)(A - mean_L A)^T / D, summed over the batch, or averaged.

    ``attention`` float [B, K, L]; the mean is over all L positions, padding included, as in the reference.
    """
    centred = attention.square().sum(2) - attention.sum(2).square() / attention.shape[2]  # D C_kk [B, K]
    total = (centred / dim).square().sum()
    return total if reduction == "sum" else total / attention.shape[0]


class _LogNegativeMass(torch.autograd.Function):
    """:func:`log_negative_mass` with its closed-form gradient: ds = (beta + 1) p - beta q, p and q the two softmaxes.

    Half the time of the same in elementary operations: the B x n scores are never copied, and
    lse(x) = max x - log(max softmax(x)) spares the slow logsumexp.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, negatives: Tensor, hits: Tensor | None, beta: float) -> Tensor:
        scores = product(vectors, negatives)
        if hits is not None:
            scores.masked_fill_(hits, _EXCLUDED)
        mass = scores.amax(1)  # [B]
        p, q = _softmax(scores, beta + 1), None
        mass -= p.amax(1).log()
        if beta > 0:
            q = _softmax(scores, beta)
            count = scores.shape[1] if hits is None else (scores.shape[1] - hits.sum(1, dtype=torch.int32)).clamp(min=1)
            mass += q.amax(1).log() + torch.as_tensor(count, dtype=scores.dtype, device=scores.device).log()
        ctx.beta = beta
        ctx.save_for_backward(vectors, negatives, p, q)
        return mass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        vectors, negatives, p, q = ctx.saved_tensors
        gradient = gradients[0].unsqueeze(1)
        scores = p * (gradient * (ctx.beta + 1))
        if q is not None:
            scores.addcmul_(q, gradient * ctx.beta, value=-1)
        # the second product is written so that its small factor, not the B x n scores, is copied into row order
        return product(scores, negatives.T), product(vectors.T, scores.T).T, None, None


def _softmax(scores: Tensor, scale: float) -> Tensor:
    return torch.softmax(scores if scale == 1 else scores * scale, dim=1)
