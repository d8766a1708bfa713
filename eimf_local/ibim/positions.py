"""Positions of right-padded histories: which is the last, and how far back each lies."""

from __future__ import annotations

from torch import Tensor


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
