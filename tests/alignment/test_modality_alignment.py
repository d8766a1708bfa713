import pytest
import torch
from torch.nn import functional as F

from eimf_local.alignment.modality_alignment import (
    ModalityAlignment,
    contrastive_loss,
    cosine_loss,
    cosine_matrix,
    repeated_targets,
)
from tests.reference import losses as reference

B, D = 8, 5


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    a, b, c, d = torch.randn(4, B, D, dtype=torch.float64, generator=generator)
    return a, b, c, d, torch.tensor([1, 2, 3, 2, 5, 1, 1, 8])


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_contrastive_equals_reference(case, temperature):
    a, b, _, _, target = case
    found = contrastive_loss(cosine_matrix(a, b), temperature, repeated_targets(target))
    assert found.item() == pytest.approx(reference.contrastive(a.numpy(), b.numpy(), target.tolist(), temperature))


def test_contrastive_without_repeats_is_cross_entropy(case):
    a, b, *_ = case
    cosines = cosine_matrix(a, b)
    distinct = repeated_targets(torch.arange(B))
    expected = F.cross_entropy(cosines / 0.1, torch.arange(B))
    torch.testing.assert_close(contrastive_loss(cosines, 0.1, distinct), expected)
    torch.testing.assert_close(contrastive_loss(cosines, 0.1), expected)


def test_contrastive_has_one_direction(case):
    a, b, _, _, target = case
    excluded = repeated_targets(target)
    forth, back = (contrastive_loss(cosine_matrix(*pair), 0.1, excluded) for pair in ((a, b), (b, a)))
    assert abs(forth.item() - back.item()) > 1e-3


def test_cosine_loss_equals_reference(case):
    a, b, *_ = case
    assert cosine_loss(cosine_matrix(a, b)).item() == pytest.approx(reference.cosine_distance(a.numpy(), b.numpy()))
    assert cosine_loss(cosine_matrix(a, 3 * a)).item() == pytest.approx(0)
    assert cosine_loss(cosine_matrix(a, -a)).item() == pytest.approx(2)


def test_alignment_is_eq_12(case):
    a, b, c, d, target = case
    found = ModalityAlignment(alpha=0.4, beta=0.1, temperature=0.2).loss([(a, b), (c, d)], target)
    pairs = [(a.numpy(), b.numpy()), (c.numpy(), d.numpy())]
    expected = 0.4 * sum(reference.contrastive(x, y, target.tolist(), 0.2) for x, y in pairs)
    expected += 0.1 * sum(reference.cosine_distance(x, y) for x, y in pairs)
    assert found.item() == pytest.approx(expected)


def test_permuting_the_batch_changes_nothing(case):
    a, b, _, _, target = case
    order = torch.randperm(B, generator=torch.Generator().manual_seed(1))
    alignment = ModalityAlignment(alpha=0.4, beta=0.1, temperature=0.1)
    torch.testing.assert_close(alignment.loss([(a[order], b[order])], target[order]), alignment.loss([(a, b)], target))


def test_a_zero_anchor_is_finite_and_teaches_the_other_side_nothing(case):
    a, b, _, _, target = case
    a = a.clone()
    a[2] = 0
    others = b.clone().requires_grad_()
    cosines = cosine_matrix(a, others)
    assert cosines.isfinite().all()
    (contrastive_loss(cosines, 0.1, repeated_targets(target)) * B - cosines[2].sum()).backward()
    assert others.grad.isfinite().all()


def test_gradient_equals_numerical_differences(case):
    a, b, c, d, target = (x.clone().requires_grad_() if x.is_floating_point() else x for x in case)
    alignment = ModalityAlignment(alpha=0.4, beta=0.1, temperature=0.2)
    assert torch.autograd.gradcheck(lambda *x: alignment.loss([x[:2], x[2:]], target), (a, b, c, d))


def test_gradient_is_that_of_elementary_operations(case):
    a, b, _, _, target = (x.clone().requires_grad_() if x.is_floating_point() else x for x in case)
    found = contrastive_loss(cosine_matrix(a, b), 0.1, repeated_targets(target))
    logits = (F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / 0.1).masked_fill(repeated_targets(target), -torch.inf)
    expected = F.cross_entropy(logits, torch.arange(B))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, (a, b)), torch.autograd.grad(expected, (a, b)))
