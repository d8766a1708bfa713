import numpy as np
import pytest
import torch

from eimf_local.ibim.readout import hard_readout, mean_readout, target_aware_readout
from tests.reference import losses as reference

B, K, D = 6, 4, 5


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    interests = torch.randn(B, K, D, dtype=torch.float64, generator=generator)
    target = torch.randn(B, D, dtype=torch.float64, generator=generator)
    mask = torch.arange(K) < torch.tensor([4, 3, 2, 1, 0, 4])[:, None]
    return interests, target, mask


def test_target_aware_equals_reference(case):
    interests, target, mask = case
    for given in (None, mask):
        expected = [
            reference.target_aware(interests[b].numpy(), target[b].numpy(), None if given is None else given[b].numpy())
            for b in range(B)
        ]
        np.testing.assert_allclose(target_aware_readout(interests, target, given).numpy(), expected, atol=1e-12)


def test_content_of_missing_interests_never_matters(case):
    interests, target, mask = case
    dirty = torch.where(mask[:, :, None], interests, 1e3)
    torch.testing.assert_close(target_aware_readout(dirty, target, mask), target_aware_readout(interests, target, mask))
    torch.testing.assert_close(mean_readout(dirty, mask), mean_readout(interests, mask))


def test_mean_is_over_those_that_exist(case):
    interests, _, mask = case
    expected = torch.stack([interests[b, mask[b]].mean(0) if mask[b].any() else torch.zeros(D) for b in range(B)])
    torch.testing.assert_close(mean_readout(interests, mask), expected.double())
    torch.testing.assert_close(mean_readout(interests), interests.mean(1))


def test_a_row_without_interests_is_zero_with_zero_gradient(case):
    interests, target, mask = case
    interests = interests.clone().requires_grad_()
    result = target_aware_readout(interests, target, mask)
    assert not result[4].any()
    result.sum().backward()
    assert interests.grad.isfinite().all()
    assert not interests.grad[4].any()


def test_hard_takes_the_interest_nearest_the_target(case):
    interests, target, _ = case
    best = [max(range(K), key=lambda k: float(interests[b, k] @ target[b])) for b in range(B)]
    assert torch.equal(hard_readout(interests, target), interests[torch.arange(B), best])


def test_hard_passes_gradient_to_the_chosen_interest_only(case):
    interests, target, _ = case
    interests, target = interests.clone().requires_grad_(), target.clone().requires_grad_()
    hard_readout(interests, target).sum().backward()
    assert (interests.grad.abs().sum(2) > 0).sum(1).tolist() == [1] * B
    assert target.grad is None


def test_one_interest_is_read_out_the_same_way_by_all(case):
    interests, target, _ = case
    one = interests[:, :1]
    torch.testing.assert_close(hard_readout(one, target), one[:, 0])
    torch.testing.assert_close(target_aware_readout(one, target), one[:, 0])
    torch.testing.assert_close(mean_readout(one), one[:, 0])


def test_target_aware_gradient_is_that_of_its_elementary_operations(case):
    interests, target, mask = (part.requires_grad_() if part.is_floating_point() else part for part in case)
    assert torch.autograd.gradcheck(target_aware_readout, (interests, target, None))
    assert torch.autograd.gradcheck(target_aware_readout, (interests, target, mask))
