"""SASRec and BERT4Rec: self-attention over the history, causal and bidirectional (SPEC section 4).

Both run the same encoder: x = LN(e + p), then twice x = LN(x + attention(x)), x = LN(x + FFN(x)). Positions count back
from the newest item. LLM2BERT4Rec is BERT4Rec on the table that ``item_init = text`` gives.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError
from .backbone import ITEM_STD, Backbone, Cloze, Encoded
from .positions import PackedRows, ages, last_position
from .products import linear

LAYERS, HEADS, INNER = 2, 2, 256


class TransformerLayer(nn.Module):
    """Multi-head self-attention and a GELU feed-forward network D -> 256 -> D, each with residual and layer norm after.

    Q, K and V have no biases. Rows, not padded batches, go through all of it but the attention itself.
    """

    def __init__(self, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.projections = nn.Linear(dim, 3 * dim, bias=False)  # Q, K, V, stacked
        self.output = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim)
        self.inner = nn.Linear(dim, INNER)
        self.outer = nn.Linear(INNER, dim)
        self.inner_norm = nn.LayerNorm(dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, asking: PackedRows, context: Tensor, heard: PackedRows, allowed: Tensor) -> Tensor:
        """New states [R, D] of ``x`` [R, D], the rows of ``asking`` [B, Q], which attend to ``context`` of ``heard``.

        ``context`` [S, D], the rows of ``heard`` [B, L]; ``allowed`` bool, [B, 1, Q, L] or broadcast to it: which keys
        a query may see.
        """
        x = self.attention_norm(x + self.drop(self._attend(x, asking, context, heard, allowed)))
        hidden = F.gelu(linear(x, self.inner.weight, self.inner.bias))
        normed: Tensor = self.inner_norm(x + self.drop(linear(hidden, self.outer.weight, self.outer.bias)))
        return normed

    def _attend(self, x: Tensor, asking: PackedRows, context: Tensor, heard: PackedRows, allowed: Tensor) -> Tensor:
        dim, (batch, length) = x.shape[1], heard.shape
        to_queries, to_others = self.projections.weight[:dim], self.projections.weight[dim:]
        queries = asking.unpack(linear(x, to_queries)).view(batch, -1, HEADS, dim // HEADS).transpose(1, 2)
        others = heard.unpack(linear(context, to_others)).view(batch, length, 2, HEADS, dim // HEADS)
        keys, values = others.permute(2, 0, 3, 1, 4)  # [B, HEADS, L, D / HEADS] each
        heads = F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
        return linear(asking.pack(heads.transpose(1, 2).flatten(2)), self.output.weight, self.output.bias)


class _Transformer(Backbone):
    """What both share. ``n_positions``: rows of the position table; ``interests`` is replaced by 1."""

    options: ClassVar[tuple[str, ...]] = ("dropout",)

    def __init__(self, *, n_items: int, dim: int, max_length: int, n_positions: int, dropout: float) -> None:
        super().__init__(n_items=n_items, dim=dim, interests=1, max_length=max_length)
        if dim % HEADS:
            raise ConfigError(f"{HEADS} attention heads cannot share {dim} dimensions", hint="make model.dim even")
        self.dropout = dropout
        self.position = nn.Parameter(torch.randn(n_positions, dim) * ITEM_STD)  # row a: a steps before the newest
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(TransformerLayer(dim, dropout=dropout) for _ in range(LAYERS))
        self.drop = nn.Dropout(dropout)

    def transform(self, x: Tensor, real: Tensor, allowed: Tensor, wanted: Tensor, chosen: Tensor) -> Tensor:
        """States [B, Q, D] at the positions ``wanted`` int64 [B, Q] where ``chosen`` bool [B, Q], zero elsewhere.

        ``x`` [B, L, D]; ``real`` bool [B, L] gives its positions; ``allowed`` is that of all layers but the last, where
        every real position is seen. The last layer computes nothing but what is wanted.
        """
        heard, asking = PackedRows(real), PackedRows(chosen)
        rows = self.drop(self.norm(heard.pack(x) + self.position.index_select(0, heard.pack(ages(real)))))
        for layer in self.layers[:-1]:
            rows = layer(rows, heard, rows, heard, allowed)
        firsts = torch.arange(0, real.numel(), real.shape[1], device=real.device)
        places = asking.pack(wanted + firsts.unsqueeze(1))
        queries = heard.unpack(rows).flatten(0, 1).index_select(0, places)
        return asking.unpack(self.layers[-1](queries, asking, rows, heard, real[:, None, None]))


class SASRec(_Transformer):
    """One interest, the state at the last item under causal attention (Kang and McAuley, 2018)."""

    def __init__(self, *, n_items: int, dim: int, interests: int = 1, max_length: int, dropout: float = 0.2) -> None:
        super().__init__(n_items=n_items, dim=dim, max_length=max_length, n_positions=max_length, dropout=dropout)

    def encode_embedded(self, embedded: Tensor, mask: Tensor) -> Encoded:
        """The interest [B, 1, D]; an empty history's is that of one zero item."""
        length = mask.shape[1]
        real = mask | (torch.arange(length, device=mask.device) == 0)
        causal = torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
        last = last_position(mask).unsqueeze(1)
        x = embedded.masked_fill(~mask.unsqueeze(2), 0)
        return Encoded(self.transform(x, real, causal, last, torch.ones_like(last, dtype=torch.bool)))


class BERT4Rec(_Transformer):
    """One interest, the state at a mask token after the last item under bidirectional attention (Sun et al., 2019).

    In training, ``cloze_ratio`` of a history's items, but at least one, are hidden behind the same token, to be
    predicted from both sides (:class:`~eimf_local.ibim.backbone.Cloze`) together with the next item at the end.
    """

    options: ClassVar[tuple[str, ...]] = ("dropout", "cloze_ratio")

    def __init__(
        self,
        *,
        n_items: int,
        dim: int,
        interests: int = 1,
        max_length: int,
        dropout: float = 0.2,
        cloze_ratio: float = 0.2,
    ) -> None:
        super().__init__(n_items=n_items, dim=dim, max_length=max_length, n_positions=max_length + 1, dropout=dropout)
        self.cloze_ratio = cloze_ratio
        self.mask_token = nn.Parameter(torch.randn(dim) * ITEM_STD)

    def encode_embedded(self, embedded: Tensor, mask: Tensor) -> Encoded:
        """The interest [B, 1, D]; an empty history's is that of the mask token alone. Hides items in training only."""
        end = mask.sum(1, keepdim=True)  # [B, 1]: where the mask token is appended
        places = torch.arange(mask.shape[1] + 1, device=mask.device)
        real = places <= end  # [B, L + 1], the token included
        hidden = places == end
        wanted, found = end, torch.ones_like(end, dtype=torch.bool)
        chosen = self._choose(mask) if self.training else None  # [B, L]
        if chosen is not None:
            hidden = hidden | F.pad(chosen, (0, 1))
            # those chosen, oldest first; the end fills up what a short history lacks
            most = int(self._count(torch.tensor(mask.shape[1])))
            slots = places[:-1].where(chosen, places[-1]).sort(1).values[:, :most]
            wanted, found = torch.cat([end, slots], 1), torch.cat([found, slots < mask.shape[1]], 1)
        x = torch.where(hidden.unsqueeze(2), self.mask_token, F.pad(embedded, (0, 0, 0, 1)))
        states = self.transform(x, real, real[:, None, None], wanted, found)
        if chosen is None:
            return Encoded(states)
        cloze = Cloze(chosen.flatten().nonzero().squeeze(1), states[:, 1:][found[:, 1:]])
        return Encoded(states[:, :1], cloze=cloze)

    def _choose(self, mask: Tensor) -> Tensor:
        """bool [B, L]: the items to hide, drawn by torch's global generator as dropout is."""
        chance = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, 2)
        rank = chance.argsort(1).argsort(1)  # padding last
        return (rank < self._count(mask.sum(1, keepdim=True))) & mask

    def _count(self, lengths: Tensor) -> Tensor:
        """How many items of histories of these lengths are hidden."""
        return (lengths * self.cloze_ratio).round().clamp(min=1)
