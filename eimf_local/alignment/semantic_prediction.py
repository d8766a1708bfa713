"""Semantic prediction: explicit interests attend to the target's title and predict it (eqs. 7-9, SPEC section 5)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..ibim.products import ROW_BLOCK, linear
from ..ibim.readout import MASKED_LOGIT, mean_readout, target_aware_readout
from ..ibim.sampled_softmax import full_softmax_loss, sampled_softmax_loss


class Catalogue(NamedTuple):
    """Titles of the items that a step needs, in the semantic space (S = D or T): ``target`` float [B, S] = t_tar.

    ``others`` is what the target competes with: every item [N, S] for the full softmax, the n negatives [n, S] for
    the sampled one, None where nothing is predicted.
    """

    target: Tensor
    others: Tensor | None


class SelfAttention(nn.Module):
    """Masked one-head self-attention over a user's interests (eq. 7): Q, K, V without bias, no residual, no norm."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.projections = nn.Linear(dim, 3 * dim, bias=False)  # Q, K, V, stacked

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """[G, M, S] -> [G, M, S]; ``mask`` bool [G, M]. Rows of interests that do not exist are meaningless."""
        return self.attend(self.project(values), mask)

    def project(self, values: Tensor) -> Tensor:
        """Q, K and V of values [*, S], side by side: [*, 3 S]."""
        return linear(values, self.projections.weight)

    def attend(self, projected: Tensor, mask: Tensor) -> Tensor:
        """Attention over Q, K and V [G, M, 3 S] of interests that exist by ``mask`` bool [G, M]: [G, M, S]."""
        attended: Tensor = _Attention.apply(projected, mask)  # type: ignore[no-untyped-call]
        return attended


class _Attention(torch.autograd.Function):
    """softmax(Q K^T / sqrt(S)) V with its closed-form gradient: autograd's takes twice as many passes."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, mask: Tensor) -> Tensor:
        queries, keys, contents = projected.chunk(3, dim=2)
        logits = torch.bmm(queries, keys.transpose(1, 2)).mul_(queries.shape[2] ** -0.5)  # [G, M, M]
        weights = torch.softmax(logits.masked_fill_(~mask.unsqueeze(1), MASKED_LOGIT), dim=2)
        ctx.save_for_backward(projected, weights)
        return torch.bmm(weights, contents)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        projected, weights = ctx.saved_tensors
        queries, keys, contents = projected.chunk(3, dim=2)
        gradient = torch.bmm(gradients[0], contents.transpose(1, 2))  # of the weights
        gradient = weights * (gradient - (gradient * weights).sum(2, keepdim=True)) * queries.shape[2] ** -0.5
        to_queries, to_keys = torch.bmm(gradient, keys), torch.bmm(gradient.transpose(1, 2), queries)
        return torch.cat([to_queries, to_keys, torch.bmm(weights.transpose(1, 2), gradients[0])], dim=2), None


class SemanticPrediction(nn.Module):
    """H'_ex, t and L_S over fixed text embeddings.

    One Linear T -> D, ``projection``, serves interests and titles alike. With ``semantic_space`` "model" everything
    runs in D after it. With "text" (the paper's eqs. 7-9) self-attention, target-aware attention and prediction run
    in T on the raw embeddings, and only what is aligned with the behavioural side is projected.

    Args:
        text_dim, dim: T and D.
        target_aware: False replaces the target-aware attention by the mean (ablation w/o Tar).
        semantic_space: see above.
    """

    def __init__(
        self,
        *,
        text_dim: int,
        dim: int,
        target_aware: bool = True,
        semantic_space: Literal["model", "text"] = "model",
    ) -> None:
        super().__init__()
        self.in_model_space = semantic_space == "model"
        self.target_aware = target_aware
        self.projection = nn.Linear(text_dim, dim)
        self.self_attention = SelfAttention(dim if self.in_model_space else text_dim)

    def enter(self, text: Tensor) -> Tensor:
        """Text embeddings [*, T] in the semantic space [*, S]."""
        return self._project(text) if self.in_model_space else text

    def align(self, semantic: Tensor) -> Tensor:
        """Vectors of the semantic space [B, S] beside the behavioural ones [B, D]."""
        return semantic if self.in_model_space else self._project(semantic)

    def _project(self, text: Tensor) -> Tensor:
        return linear(text, self.projection.weight, self.projection.bias)

    def titles(self, item_text: Tensor, target: Tensor, rivals: Tensor | Literal["all"] | None) -> Catalogue:
        """The titles that a step needs: the targets' (int64 [B]) and their rivals' (int64 [n], all items, or none)."""
        if rivals is None:
            return Catalogue(self.enter(item_text.index_select(0, target)), None)
        if isinstance(rivals, str):
            table = self.enter(item_text[1:])  # [N, S]
            return Catalogue(table.index_select(0, target - 1), table)
        rows = self.enter(item_text.index_select(0, torch.cat([target, rivals])))
        return Catalogue(rows[: len(target)], rows[len(target) :])

    def user_interest(self, interests: Tensor, mask: Tensor, clusters: Tensor, query: Tensor) -> Tensor:
        """H'_ex [B, S] (eqs. 7, 8) of users whose exemplars are ``clusters`` int64 [B], for titles ``query`` [B, S].

        ``interests`` [G, M, T] and ``mask`` bool [G, M] are all exemplars'. Users of one exemplar share its
        self-attention. A user whose exemplar has no interests gets the zero vector, which teaches nothing.
        """
        form = self._attend_distinct if interests.device.type == "cpu" else self._attend
        attended, mask = form(interests, mask, clusters)  # [B, M, S], [B, M]
        return target_aware_readout(attended, query, mask) if self.target_aware else mean_readout(attended, mask)

    def _attend(self, interests: Tensor, mask: Tensor, clusters: Tensor) -> tuple[Tensor, Tensor]:
        """Self-attention of each user's exemplar [B, M, S], and its mask [B, M]: static shapes, for devices.

        Once per exemplar, or per row where exemplars outnumber the batch: a device would wait for the number of
        distinct ones.
        """
        if len(interests) > len(clusters):
            mask = mask.index_select(0, clusters)
            return self.self_attention(self.enter(interests.index_select(0, clusters)), mask), mask
        attended = self.self_attention(self.enter(interests), mask)
        return attended.index_select(0, clusters), mask.index_select(0, clusters)

    def _attend_distinct(self, interests: Tensor, mask: Tensor, clusters: Tensor) -> tuple[Tensor, Tensor]:
        """The same over the batch's distinct exemplars, and only the interests that exist are projected.

        Rows are filled up to a multiple of ROW_BLOCK, so that the products see few different shapes.
        """
        distinct, place = torch.unique(clusters, return_inverse=True)  # [C], [B]
        mask = mask.index_select(0, distinct)  # [C, M]
        real = mask.flatten().nonzero().squeeze(1)  # [R], c M + m
        size = mask.shape[1]
        rows = distinct.index_select(0, real // size) * size + real % size  # the same in ``interests``
        text = interests.flatten(0, 1).index_select(0, F.pad(rows, (0, -len(rows) % ROW_BLOCK)))
        projected = self.self_attention.project(self.enter(text))[: len(rows)]  # [R, 3 S]
        spread = projected.new_zeros(mask.numel(), projected.shape[1]).index_copy_(0, real, projected)
        attended = self.self_attention.attend(spread.view(*mask.shape, -1), mask)  # [C, M, S]
        return attended.index_select(0, place), mask.index_select(0, place)


def prediction_loss(user: Tensor, catalogue: Catalogue, target: Tensor, hits: Tensor | None, *, full: bool) -> Tensor:
    """L_S (eq. 9, with the sign the paper drops): the target's title among all, or among the shared negatives.

    ``user`` [B, S] is H'_ex, ``target`` int64 [B]; ``hits`` bool [B, n] masks accidental hits of the sampled form.
    """
    if catalogue.others is None:
        raise ValueError("the catalogue was built without rivals")
    if full:
        return full_softmax_loss(user, catalogue.others, target)
    return sampled_softmax_loss(user, catalogue.target, catalogue.others, hits)
