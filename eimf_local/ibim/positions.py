"""Positions of right-padded histories: which are real, which is the last, and how far back each lies."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .products import ROW_BLOCK


def packing_pays(device: torch.device) -> bool:
    """Whether leaving padding out is worth shapes that change from batch to batch."""
    return device.type == "cpu"


class PackedRows:
    """The chosen positions of a padded batch as the rows of one matrix: two thirds of an Amazon batch are padding.

    On the CPU the rows are the chosen positions in row-major order, filled up to a multiple of ROW_BLOCK, so that the
    products see few different shapes. Other devices like static shapes, and their rows are all positions.

    Args:
        chosen: bool [B, L].
    """

    def __init__(self, chosen: Tensor) -> None:
        self.shape = chosen.shape
        self._chosen = chosen
        self._places: Tensor | None = None  # int64 [count], of the chosen positions
        if packing_pays(chosen.device):
            self._places = chosen.flatten().nonzero().squeeze(1)
            self._rows = F.pad(self._places, (0, -len(self._places) % ROW_BLOCK))

    def pack(self, padded: Tensor) -> Tensor:
        """[B, L, *] -> [R, *]; what is made of filling rows must not be used but by :meth:`unpack`."""
        flat = padded.reshape(-1, *padded.shape[2:])
        if self._places is None:
            return flat
        rows: Tensor = _Pack.apply(flat, self._rows, self._places)  # type: ignore[no-untyped-call]
        return rows

    def unpack(self, rows: Tensor, fill: float = 0.0) -> Tensor:
        """[R, C] -> [B, L, C], with ``fill`` where nothing was chosen."""
        if self._places is None:
            return rows.view(*self.shape, -1).masked_fill(~self._chosen.unsqueeze(2), fill)
        padded: Tensor = _Unpack.apply(rows, self._rows, self._places, self.shape.numel(), fill)  # type: ignore[no-untyped-call]
        return padded.view(*self.shape, -1)


class _Pack(torch.autograd.Function):
    """Rows of ``flat`` in, the adjoint of :class:`_Unpack`: a copy where indexing would add into every place."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.size = len(flat)
        return flat.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return _spread(gradients[0], places, ctx.size, 0.0), None, None


class _Unpack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, packed: Tensor, rows: Tensor, places: Tensor, size: int, fill: float) -> Tensor:
        ctx.save_for_backward(rows, places)
        return _spread(packed, places, size, fill)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        rows, places = ctx.saved_tensors
        gradient = gradients[0].index_select(0, rows)
        gradient[len(places) :] = 0  # the filling rows went nowhere
        return gradient, None, None, None, None


def _spread(packed: Tensor, places: Tensor, size: int, fill: float) -> Tensor:
    flat = packed.new_full((size, *packed.shape[1:]), fill)
    return flat.index_copy_(0, places, packed[: len(places)])


def last_position(mask: Tensor) -> Tensor:
    """int64 [B]: the last real position of each row of ``mask`` bool [B, L]; 0 where there is none."""
    return (mask.sum(1) - 1).clamp(min=0)


def ages(mask: Tensor) -> Tensor:
    """int64 [B, L]: steps back from the last real position, which has 0; padding after it has 0 too.

    Counted from the newest item, as models that pad on the left do, a position means the same in short and in long
    histories.
    """
    return (mask.sum(1, keepdim=True) - mask.cumsum(1)).clamp(min=0)


def rows_at(states: Tensor, positions: Tensor) -> Tensor:
    """``states`` [B, L, D] at ``positions`` int64 [B]: [B, D]."""
    return states.gather(1, positions[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)
