import numpy as np
import pytest
import torch
from torch.nn import functional as F

from eimf_local.ibim.products import linear, product
from eimf_local.ibim.sampled_softmax import (
    accidental_hits,
    draw_negatives,
    full_softmax_loss,
    log_negative_mass,
    routing_regularisation,
    sampled_softmax_loss,
)
from tests.reference import losses as reference

B, D, n, N = 7, 5, 40, 12


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(N + 1, D, dtype=torch.float64, generator=generator)
    vectors = torch.randn(B, D, dtype=torch.float64, generator=generator)
    target = torch.randint(1, N + 1, (B,), generator=generator)
    negatives = draw_negatives(N, n, generator=generator)
    return vectors, table, target, negatives


class TestNegatives:
    def test_padding_is_never_drawn_and_every_item_is(self):
        drawn = draw_negatives(N, 5000, generator=torch.Generator().manual_seed(0))
        assert drawn.unique().tolist() == list(range(1, N + 1))

    def test_are_uniform(self):
        drawn = draw_negatives(N, 120_000, generator=torch.Generator().manual_seed(1))
        counts = torch.bincount(drawn, minlength=N + 1)[1:].double()
        chi_square = ((counts - 10_000) ** 2 / 10_000).sum()
        assert chi_square < 31.3  # 99.9 % point at 11 degrees of freedom

    def test_hits_are_where_a_negative_is_the_target(self):
        hits = accidental_hits(torch.tensor([3, 5]), torch.tensor([5, 1, 3, 5]))
        assert hits.tolist() == [[False, False, True, False], [True, False, False, True]]


class TestSampledSoftmax:
    @pytest.mark.parametrize("beta", [0.0, 0.1, 1.0, 10.0])
    @pytest.mark.parametrize("masked", [True, False])
    def test_equals_reference(self, case, beta, masked):
        vectors, table, target, negatives = case
        hits = accidental_hits(target, negatives) if masked else None
        assert hits is None or hits.any()
        found = sampled_softmax_loss(vectors, table[target], table[negatives], hits, beta=beta)
        expected = reference.sampled_softmax(
            vectors.numpy(),
            table[target].numpy(),
            table[negatives].numpy(),
            None if hits is None else hits.numpy(),
            beta,
        )
        assert found.item() == pytest.approx(expected, rel=1e-12)

    def test_beta_zero_is_plain_cross_entropy(self, case):
        vectors, table, target, negatives = case
        logits = torch.cat([(vectors * table[target]).sum(1, keepdim=True), vectors @ table[negatives].T], dim=1)
        expected = F.cross_entropy(logits, torch.zeros(B, dtype=torch.long))
        torch.testing.assert_close(sampled_softmax_loss(vectors, table[target], table[negatives]), expected)

    def test_vanishing_beta_tends_to_plain(self, case):
        vectors, table, target, negatives = case
        hits = accidental_hits(target, negatives)
        plain = sampled_softmax_loss(vectors, table[target], table[negatives], hits)
        near = sampled_softmax_loss(vectors, table[target], table[negatives], hits, beta=1e-9)
        torch.testing.assert_close(near, plain, rtol=1e-7, atol=0)

    def test_masked_hits_equal_leaving_them_out(self, case):
        vectors, table, target, negatives = case
        masked = sampled_softmax_loss(
            vectors[:1], table[target[:1]], table[negatives], accidental_hits(target[:1], negatives), beta=1.0
        )
        left = negatives[negatives != target[0]]
        assert len(left) < n
        torch.testing.assert_close(masked, sampled_softmax_loss(vectors[:1], table[target[:1]], table[left], beta=1.0))

    def test_harder_negatives_raise_the_loss(self, case):
        vectors, table, target, negatives = case
        values = [sampled_softmax_loss(vectors, table[target], table[negatives], beta=b).item() for b in (0, 0.5, 2)]
        assert values == sorted(values)
        assert values[0] < values[-1]

    @pytest.mark.parametrize("beta", [0.0, 0.1, 2.0])
    @pytest.mark.parametrize("masked", [True, False])
    def test_gradient_equals_numerical(self, case, beta, masked):
        vectors, table, target, negatives = case
        hits = accidental_hits(target, negatives) if masked else None
        inputs = [tensor.clone().requires_grad_() for tensor in (vectors, table[negatives])]
        assert torch.autograd.gradcheck(lambda v, e: log_negative_mass(v, e, hits, beta), inputs)

    @pytest.mark.parametrize("beta", [0.0, 0.1, 10.0])
    def test_a_row_without_negatives_costs_nothing_and_is_finite(self, beta):
        vectors = torch.randn(2, D, generator=torch.Generator().manual_seed(0)).requires_grad_()
        items = torch.randn(3, D, generator=torch.Generator().manual_seed(1)).requires_grad_()
        hits = torch.tensor([[True, True, True], [True, False, False]])
        loss = sampled_softmax_loss(vectors, items[:2], items, hits, beta=beta)
        alone = sampled_softmax_loss(vectors[1:], items[1:2], items, hits[1:], beta=beta)
        torch.testing.assert_close(loss, alone / 2)
        loss.backward()
        assert vectors.grad.isfinite().all()
        assert items.grad.isfinite().all()
        assert not vectors.grad[0].any()

    def test_large_scores_do_not_overflow(self):
        vectors = torch.full((2, D), 30.0)
        loss = sampled_softmax_loss(vectors, vectors, torch.cat([vectors, -vectors]), beta=10.0)
        assert loss.isfinite()


class TestFullSoftmax:
    def test_equals_reference_and_torch(self, case):
        vectors, table, target, _ = case
        found = full_softmax_loss(vectors, table[1:], target)
        assert found.item() == pytest.approx(reference.full_softmax(vectors.numpy(), table[1:].numpy(), target.numpy()))
        torch.testing.assert_close(found, F.cross_entropy(vectors @ table[1:].T, target - 1))

    def test_gradient_equals_that_of_torch(self, case):
        vectors, table, target, _ = case
        ours, theirs = ([t.clone().requires_grad_() for t in (vectors, table[1:])] for _ in range(2))
        full_softmax_loss(*ours, target).backward()
        F.cross_entropy(theirs[0] @ theirs[1].T, target - 1).backward()
        torch.testing.assert_close([t.grad for t in ours], [t.grad for t in theirs])


class TestRouting:
    def test_equals_reference(self):
        attention = torch.softmax(torch.randn(B, 4, 9, dtype=torch.float64), dim=2)
        expected = reference.routing(attention.numpy(), D)
        assert routing_regularisation(attention, dim=D).item() == pytest.approx(expected, rel=1e-10)
        mean = routing_regularisation(attention, dim=D, reduction="mean")
        assert mean.item() == pytest.approx(expected / B, rel=1e-10)

    def test_is_zero_for_flat_rows_and_grows_with_peaks(self):
        flat, peaked = torch.full((2, 3, 4), 0.25), torch.eye(4)[:3].repeat(2, 1, 1)
        assert routing_regularisation(flat, dim=4).item() == 0
        # one peaked row of 4: sum of squares 1 - 1/4 = 3/4, over D = 4; squared, 6 rows
        assert routing_regularisation(peaked, dim=4).item() == pytest.approx(6 * (3 / 16) ** 2)


class TestProducts:
    @pytest.mark.parametrize("transposed", [False, True])
    def test_product_equals_matmul_for_any_strides(self, transposed):
        generator = torch.Generator().manual_seed(0)
        a, b = torch.randn(6, 9, generator=generator), torch.randn(4, 9, generator=generator)
        if transposed:
            a, b = a.T.contiguous().T, b.T.contiguous().T
        torch.testing.assert_close(product(a, b), a @ b.T)

    def test_product_of_nothing_is_nothing(self):
        assert product(torch.zeros(0, 3), torch.zeros(2, 3)).shape == (0, 2)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_linear_equals_torch_with_gradients(self, dtype):
        generator = torch.Generator().manual_seed(0)
        x, w, b = (torch.randn(*shape, generator=generator, dtype=dtype) for shape in ((2, 3, 5), (4, 5), (4,)))
        ours, theirs = ([t.clone().requires_grad_() for t in (x, w, b)] for _ in range(2))
        linear(*ours).square().sum().backward()
        F.linear(*theirs).square().sum().backward()
        torch.testing.assert_close([t.grad for t in ours], [t.grad for t in theirs])

    def test_linear_is_deterministic(self):
        x, w = torch.randn(300, 40), torch.randn(30, 40)
        assert torch.equal(linear(x, w), linear(x, w))
        assert np.isfinite(linear(x, w).numpy()).all()
