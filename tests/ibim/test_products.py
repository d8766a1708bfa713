import pytest
import torch
from torch.nn import functional as F

from eimf_local.ibim.products import linear


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("width", [4, 9])
def test_linear_equals_torch_forward_and_backward(dtype, with_bias, width):
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 5, 7), (width, 7), *([(width,)] if with_bias else [])]
    given = [torch.randn(shape, dtype=dtype, generator=generator, requires_grad=True) for shape in shapes]
    found, expected = linear(*given), F.linear(*given)
    upstream = torch.randn(3, 5, width, dtype=dtype, generator=generator)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, given, upstream), torch.autograd.grad(expected, given, upstream)
    )
