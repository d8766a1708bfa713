"""The messages of affinity propagation on an accelerator, by torch: all of them, in what passes its compiler finds.

The order of operations is ``message_passing``'s, but for the column sums, which an accelerator adds in an order of its
own: messages differ from the processor's in the last places.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError
from .message_passing import Floats


class _State(NamedTuple):
    """Similarities, responsibilities and availabilities, [n, n]; column sums [n]."""

    S: Tensor
    R: Tensor
    A: Tensor
    sums: Tensor


def pass_messages_on(device: str, S: Floats, *, damping: float) -> Generator[Floats, None, None]:
    """Iterate without end from messages of zero; yield each iteration's evidence R(i,i) + A(i,i), [n].

    ``device``: torch's name of it, such as "cuda"; its memory must hold four matrices as large as S. ``S``: float32 or
    float64 [n, n], preferences on the diagonal. Raises :class:`ConfigError` where there is no such device.
    """
    try:
        similarities = torch.from_numpy(S).to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {device!r} cannot be used: {reason}", hint="choose 'cpu' or another one") from None
    step = torch.compile(_step) if similarities.is_cuda else _step
    empty = torch.zeros_like(similarities)
    state = _State(similarities, empty, empty.clone(), empty[0].clone())
    with torch.no_grad():
        while True:
            state = step(state, damping)
            own = state.R.diagonal()
            evidence: Floats = (own + damping * state.A.diagonal() + (1 - damping) * (state.sums - own)).cpu().numpy()
            yield evidence


def _step(state: _State, damping: float) -> _State:
    """One iteration (SPEC 3.2, eq. 2): availabilities from the last column sums, then responsibilities."""
    S, R, A, sums = state
    diagonal = torch.eye(len(S), dtype=torch.bool, device=S.device)
    own = sums - R.diagonal()
    A = damping * A + (1 - damping) * torch.where(diagonal, own, (sums - R.clamp(min=0)).clamp(max=0))
    both = A + S
    largest, place = both.max(dim=1, keepdim=True)
    at_place = torch.arange(len(S), device=S.device) == place
    second = both.masked_fill(at_place, -torch.inf).amax(dim=1, keepdim=True)
    R = damping * R + (1 - damping) * (S - torch.where(at_place, second, largest))
    sums = torch.where(diagonal, R, R.clamp(min=0)).sum(dim=0)
    return _State(S, R, A, sums)
