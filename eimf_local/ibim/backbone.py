"""The contract of every implicit-interest backbone (SPEC section 4).

A backbone turns a history of item numbers into K behavioural interests H_im [B, K, D] (eq. 5). Trainer, sampler,
losses, evaluator and index know this contract only, never a particular model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError

ITEM_STD = 0.02  # of the initial item table


class Cloze(NamedTuple):
    """History items that an encoder hid from itself, to be told from their context.

    ``places`` int64 [M]: b L + l of the hidden item at position l of row b. ``states`` float32 [M, D]: the vectors that
    must score them highest.
    """

    places: Tensor
    states: Tensor


class Encoded(NamedTuple):
    """Interests of a batch, with what a backbone's own loss needs besides.

    ``interests`` float32 [B, K, D]. ``attention`` float32 [B, K, L], each row a distribution over the real positions
    (zero where the history is empty); None where the backbone has no attention to regularise. ``cloze``: what was
    hidden in training, None in evaluation and for backbones that hide nothing.
    """

    interests: Tensor
    attention: Tensor | None = None
    cloze: Cloze | None = None


class Backbone(nn.Module):
    """An encoder of histories over one item table.

    Attributes:
        n_items, dim, n_interests, max_length: N, D, K and L of SPEC section 1.
        item_embedding: [N + 1, D], row 0 (padding) zero and kept zero: its gradient is dropped.
        trainable: False where :meth:`fit_statistics` takes the place of gradient descent.
        before_lookup: what an optimiser that defers updates of the table (DeferredAdam) must do before rows are read in
            training; the table's gradient is then sparse. None otherwise.
        options: further keyword arguments of the constructor, kept as attributes of the same names.
        hard_negatives: whether its own loss is the interest-aware one (REMI).
        routing_regularised: whether its own loss penalises peaked attention (REMI).
    """

    trainable: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ()
    hard_negatives: ClassVar[bool] = False
    routing_regularised: ClassVar[bool] = False

    def __init__(self, *, n_items: int, dim: int, interests: int, max_length: int) -> None:
        super().__init__()
        for name, value in (("n_items", n_items), ("dim", dim), ("interests", interests), ("max_length", max_length)):
            if value < 1:
                raise ConfigError(f"backbone: {name} is {value}", hint=f"give {name} a value of at least 1")
        self.n_items, self.dim, self.n_interests, self.max_length = n_items, dim, interests, max_length
        self.before_lookup: Callable[[Tensor], None] | None = None
        self.item_embedding = nn.Embedding(n_items + 1, dim, padding_idx=0)
        with torch.no_grad():
            nn.init.normal_(self.item_embedding.weight, std=ITEM_STD)
            self.item_embedding.weight[0] = 0

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments that build this backbone again (without weights)."""
        sizes = {
            "n_items": self.n_items,
            "dim": self.dim,
            "interests": self.n_interests,
            "max_length": self.max_length,
        }
        return sizes | {name: getattr(self, name) for name in self.options}

    def encode_embedded(self, embedded: Tensor, mask: Tensor) -> Encoded:
        """Interests from looked-up items: ``embedded`` float32 [B, L, D], ``mask`` bool [B, L], True on real items.

        Whatever stands in padded positions must not change the result; an empty history gives finite interests. The
        trainer looks all items of a step up at once, which is why the lookup is not done here. A backbone that is not
        trainable may override :meth:`encode` instead.
        """
        raise NotImplementedError(f"{type(self).__name__} encodes item numbers only")

    def encode(self, history: Tensor, mask: Tensor) -> Tensor:
        """Interests float32 [B, K, D] of ``history`` int64 [B, L], oldest first, right-padded with 0."""
        return self.encode_embedded(self.embed_items(history), mask).interests

    def forward(self, history: Tensor, mask: Tensor) -> Tensor:
        """The same as :meth:`encode`."""
        return self.encode(history, mask)

    def embed_items(self, items: Tensor) -> Tensor:
        """Item vectors float32 [*, D] of item numbers int64 [*]; 0 gives the zero vector."""
        weight = self.item_embedding.weight
        if self.before_lookup is not None and torch.is_grad_enabled():
            self.before_lookup(items)
            return F.embedding(items, weight, padding_idx=0, sparse=True)
        if weight.device.type != "cpu":
            return F.embedding(items, weight, padding_idx=0)
        rows: Tensor = _Lookup.apply(weight, items.flatten())  # type: ignore[no-untyped-call]
        return rows.view(*items.shape, self.dim)

    def item_vectors(self) -> Tensor:
        """The whole item table float32 [N + 1, D] that interests are scored against; row 0 is zero."""
        return self.item_embedding.weight

    def fit_statistics(self, sequence: Tensor, starts: Tensor, lengths: Tensor) -> None:
        """Fit a backbone that is not trainable, in closed form, from the training users' packed sequences.

        ``sequence`` int64 [total]; user u owns ``sequence[starts[u] : starts[u] + lengths[u]]``.
        """
        raise NotImplementedError(f"{type(self).__name__} is trained by gradient descent")


class _Lookup(torch.autograd.Function):
    """``nn.Embedding(padding_idx=0)`` with a backward pass by ``index_add_``, twice as fast on the CPU."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, items: Tensor) -> Tensor:
        ctx.save_for_backward(items)
        ctx.rows = weight.shape[0]
        return weight.index_select(0, items)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (items,) = ctx.saved_tensors
        table = gradients[0].new_zeros(ctx.rows, gradients[0].shape[1]).index_add_(0, items, gradients[0])
        table[0] = 0
        return table, None
