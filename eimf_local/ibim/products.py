"""Matrix products of a training step, by the faster of PyTorch's two libraries.

On the CPU, ``a @ b.T`` goes to MKL, which leaves AVX-512 unused on processors that are not Intel's; oneDNN, in the
same PyTorch, uses it everywhere and took half the time on an AMD EPYC of 2024. It plans anew for each new shape, so
callers keep shapes few (:data:`ROW_BLOCK`). Where its operator is absent, or the type is not float32, MKL serves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ROW_BLOCK = 128  # variable numbers of rows are rounded up to a multiple of this

_ONEDNN = bool(torch.backends.mkldnn.is_available()) and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """``a @ b.T + bias`` [m, n] of [m, k], [n, k] and [n], any strides (``a`` is copied unless in row order).

    No gradients pass.
    """
    if _ONEDNN and a.dtype == torch.float32 and a.device.type == "cpu" and a.numel() and b.numel():
        result: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")
        return result
    return F.linear(a, b, bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.linear`` by :func:`product`: x [*, k], weight [n, k], bias [n]; differentiable."""
    rows: Tensor = _Linear.apply(x.reshape(-1, x.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    return rows.view(*x.shape[:-1], len(weight))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        to_x, to_weight, to_bias = ctx.needs_input_grad
        return (
            product(gradient, weight.T) if to_x else None,
            _to_weight(gradient, x) if to_weight else None,
            gradient.sum(0) if to_bias else None,
        )


def _to_weight(gradient: Tensor, x: Tensor) -> Tensor:
    """``gradient.T @ x`` [n, k], written so that the narrower of the two is copied into row order."""
    if gradient.shape[1] <= x.shape[1]:
        return product(gradient.T, x.T)
    return product(x.T, gradient.T).T.contiguous()
