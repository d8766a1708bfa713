"""MIND and ComiRec-DR against their oracle, and what is particular to dynamic routing."""

import numpy as np
import pytest
import torch

from eimf_local.ibim.capsules import route, squash
from tests.ibim.test_backbones import D, K, L, batch, build
from tests.ibim.test_single_interest import items_of
from tests.reference import backbones as reference
from tests.training.test_objective import weights_of


@pytest.mark.parametrize("axis", ["interests", "positions"])
@pytest.mark.parametrize("name", ["mind", "comirec-dr"])
def test_equals_reference(name, axis):
    backbone = build(name, capsule_axis=axis).double()
    history, mask = batch()
    found = backbone.encode(history, mask).detach().numpy()
    w, over = weights_of(backbone), axis == "interests"
    for row, items in enumerate(items_of(backbone, history)):
        expected = (
            reference.mind(items, w, over_interests=over)
            if name == "mind"
            else reference.comirec_dr(items, w, K, over_interests=over)
        )
        np.testing.assert_allclose(found[row], expected, atol=1e-7)  # the square root's guard


def test_minds_logits_are_fixed_by_the_seed_and_are_no_parameter():
    logits = [build("mind", seed=seed).logits for seed in (0, 0, 1)]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
    assert "logits" in build("mind").state_dict()
    assert "logits" not in dict(build("mind").named_parameters())


def test_interests_differ_and_are_shorter_than_one():
    for name in ("mind", "comirec-dr"):
        interests = build(name).encode(*batch())
        assert interests.norm(dim=2).max() < 1
        assert not torch.allclose(interests[:, 0], interests[:, 1], atol=1e-3)


def test_gradient_passes_through_the_last_iteration_only():
    generator = torch.Generator().manual_seed(0)
    votes = torch.randn(2, K, L, D, dtype=torch.float64, generator=generator).requires_grad_()
    logits = torch.randn(K, L, dtype=torch.float64, generator=generator)
    mask = torch.ones(2, L, dtype=torch.bool)
    route(votes, logits, mask, axis="interests").sum().backward()
    # the coupling of the last iteration, taken as a constant
    b = logits.expand(2, K, L)
    fixed = votes.detach()
    for _ in range(2):
        v = squash((torch.softmax(b, 1)[..., None] * fixed).sum(2))
        b = b + (fixed * v[:, :, None]).sum(3)
    again = votes.detach().clone().requires_grad_()
    squash((torch.softmax(b, 1)[..., None] * again).sum(2)).sum().backward()
    torch.testing.assert_close(votes.grad, again.grad)


def test_squash_of_zero_is_zero_with_zero_gradient():
    z = torch.zeros(1, D, requires_grad=True)
    squash(z).sum().backward()
    assert not squash(z).any()
    assert z.grad.abs().max() < 1e-4
