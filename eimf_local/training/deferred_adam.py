"""Adam for item tables of which a step touches few rows: what it does to the others is done when they are next read.

Adam moves every row at every step, also one without a gradient: its moments decay, m b1^j and v b2^j after j steps,
and it goes on by lr m_j / (1 - b1^s) / (sqrt(v_j / (1 - b2^s)) + eps). None of this needs the gradient, so it can wait.
A row is brought up to date before it is looked up, over all steps that it missed at once, and the cost of a step no
longer depends on the number of items.

With u_s = sqrt(1 - b2^s) b2^(-j/2), w_s = b1^j / (1 - b1^s) and r = sqrt(v), the missed updates sum up to
lr m sum_s w_s f(u_s), f(u) = u / (r + eps u). The sum is taken by f's Taylor series around the weighted mean of u up to
the third central moment; these moments depend on the steps alone, and come from a table. Where eps is negligible f is
linear and the sum exact. Else its relative error is at most 1.3e-2 for a row last read at step 1, 1.1e-5 at step 64,
1.4e-7 at step 256, and less later: below float32's rounding but for the first steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

_MOMENTS = 4  # sums of w u^k for k = 0..3
_HORIZON = 20_000  # steps after which the bias corrections are 1 to eight digits
_BLOCK = 1 << 16  # rows brought up to date at once


class DeferredAdam(torch.optim.Adam):
    """Adam over ``parameters``, of which ``table`` [N + 1, D] gets sparse gradients and deferred updates.

    Call :meth:`refresh` before rows are read, and :meth:`settle` before the whole table or the state is.
    """

    def __init__(self, parameters: Iterable[Tensor], *, table: Tensor, lr: float) -> None:
        super().__init__(parameters, lr=lr, fused=True)
        self._table = table
        self._rate, (self._b1, self._b2), self._eps = lr, self.defaults["betas"], self.defaults["eps"]
        self._sums = torch.from_numpy(_tail_sums(self._b1, self._b2)).to(table.device)  # [_HORIZON + 1, _MOMENTS]
        self._ratios = torch.tensor(_ratios(self._b1, self._b2), dtype=torch.float64, device=table.device)
        self._steps = 0
        self._last = torch.zeros(len(table), dtype=torch.int64, device=table.device)  # step each row is up to date with

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state that was settled when it was read."""
        super().load_state_dict(state_dict)
        self._steps = int(self.state[self._table]["step"]) if self._table in self.state else 0
        self._last.fill_(self._steps)

    @torch.no_grad()
    def refresh(self, items: Tensor) -> None:
        """Bring the rows of ``items`` int64 [*], repeated or not, up to date."""
        if self._steps:
            self._catch_up(torch.unique(items))

    @torch.no_grad()
    def settle(self) -> None:
        """Bring every row up to date."""
        for rows in torch.split(torch.arange(len(self._table), device=self._table.device), _BLOCK):
            self._catch_up(rows)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update, of the table's rows that have a gradient and of everything else."""
        gradient, self._table.grad = self._table.grad, None
        super().step(closure)  # passes over what has no gradient
        self._steps += 1
        state = self._state()
        state["step"].fill_(self._steps)
        if gradient is None:
            return
        gradient = gradient.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        m = state["exp_avg"].index_select(0, rows).lerp_(values, 1 - self._b1)
        v = state["exp_avg_sq"].index_select(0, rows).mul_(self._b2).addcmul_(values, values, value=1 - self._b2)
        denominator = v.sqrt().div_((1 - self._b2**self._steps) ** 0.5).add_(self._eps)
        moved = torch.addcdiv(
            self._table.index_select(0, rows), m, denominator, value=-self._rate / (1 - self._b1**self._steps)
        )
        self._store(rows, moved, m, v)

    def _catch_up(self, rows: Tensor) -> None:
        """Apply the steps that ``rows`` (distinct) have missed."""
        if not self._steps:
            return
        state = self._state()
        last = self._last.index_select(0, rows)
        gaps = (self._steps - last).unsqueeze(1).double()  # [R, 1]
        weight, mean, second, third = self._central_moments(last, gaps)
        m, v = state["exp_avg"].index_select(0, rows), state["exp_avg_sq"].index_select(0, rows)
        r = v.sqrt()
        inverse = (mean * self._eps + r).reciprocal_()
        share = inverse * self._eps
        series = (third * share - second).mul_(share).mul_(r).mul_(inverse).add_(weight * mean).mul_(inverse)
        moved = self._table.index_select(0, rows).addcmul_(series, m, value=-self._rate)
        self._store(rows, moved, m.mul_((self._b1**gaps).to(m.dtype)), v.mul_((self._b2**gaps).to(v.dtype)))

    def _central_moments(self, last: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weight, mean, and second and third central sums of u over the steps missed: [R, 1] each."""
        first = self._sums[last.clamp(max=_HORIZON)]  # [R, _MOMENTS]
        beyond = self._sums[min(self._steps, _HORIZON)] * self._ratios**gaps
        s0, s1, s2, s3 = torch.split(first - beyond, 1, dim=1)
        mean = torch.where(gaps > 0, s1 / s0, 1.0)
        second = s2 - mean * s1
        third = s3 - 3 * mean * s2 + 3 * mean**2 * s1 - mean**3 * s0
        dtype = self._table.dtype
        return s0.to(dtype), mean.to(dtype), second.to(dtype), third.to(dtype)

    def _store(self, rows: Tensor, table: Tensor, m: Tensor, v: Tensor) -> None:
        state = self._state()
        for whole, part in ((self._table, table), (state["exp_avg"], m), (state["exp_avg_sq"], v)):
            whole.index_copy_(0, rows, part)
        self._last.index_fill_(0, rows, self._steps)

    def _state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[self._table]
        if not state:
            state["step"] = torch.zeros((), device=self._table.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(self._table), torch.zeros_like(self._table)
        return state


def _ratios(b1: float, b2: float) -> list[float]:
    """What w u^k falls by from step to step, but for the bias corrections: b1 b2^(-k/2) for k = 0..3."""
    return [b1 * b2 ** (-k / 2) for k in range(_MOMENTS)]


def _tail_sums(b1: float, b2: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """float64 [_HORIZON + 1, _MOMENTS]: at t, the sum over all s > t of w_s u_s^k, j = s - t."""
    s = np.arange(1, _HORIZON + 1)[:, None]
    powers = np.arange(_MOMENTS)
    corrections = (1 - b2**s) ** (powers / 2) / (1 - b1**s)  # [_HORIZON, _MOMENTS]
    ratios = np.array(_ratios(b1, b2))
    sums = np.empty((_HORIZON + 1, _MOMENTS))
    sums[-1] = ratios / (1 - ratios)  # from here on the corrections are 1
    for t in range(_HORIZON - 1, -1, -1):
        sums[t] = ratios * (corrections[t] + sums[t + 1])
    return sums
