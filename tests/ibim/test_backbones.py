"""One contract, run by every backbone of the registry."""

import numpy as np
import pytest
import torch

from eimf_local.config import LossConfig
from eimf_local.errors import ConfigError
from eimf_local.ibim import gru4rec, positions
from eimf_local.ibim.backbone import Backbone
from eimf_local.ibim.registry import BACKBONES, build_backbone
from eimf_local.training.objective import build_objective
from eimf_local.training.sampling import Batch
from tests.reference import comirec as reference

N, D, K, L = 30, 8, 3, 6


def build(name="comirec-sa", seed=0, **changes):
    """A small backbone on a wide table, so that absolute bounds mean something."""
    sizes = {"n_items": N, "dim": D, "interests": K, "max_length": L, "item_std": D**-0.5}
    return build_backbone(name, **(sizes | changes), seed=seed)


def batch(seed=0, size=9, width=L):
    """Histories of lengths 1..width, right-padded."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.arange(size) % width + 1
    mask = torch.arange(width) < lengths[:, None]
    return torch.randint(1, N + 1, (size, width), generator=generator) * mask, mask


@pytest.mark.parametrize("name", ["comirec-sa", "gru4rec", "sasrec", "bert4rec"])
def test_leaving_padding_out_changes_nothing(name, monkeypatch):
    found = []
    for pays in (True, False):
        for module in (positions, gru4rec):
            monkeypatch.setattr(module, "packing_pays", lambda device, pays=pays: pays)
        backbone = build(name, **({} if name == "comirec-sa" else {"dropout": 0.0})).double()
        history, mask = batch()
        torch.manual_seed(0)  # the items that BERT4Rec hides
        encoded = backbone.encode_embedded(backbone.embed_items(history), mask)
        outputs = [encoded.interests, *([encoded.cloze.states] if encoded.cloze else [])]
        sum(output.square().sum() for output in outputs).backward()
        found.append([output.detach() for output in outputs] + [p.grad for p in backbone.parameters()])
    torch.testing.assert_close(*found)


@pytest.fixture(params=sorted(BACKBONES))
def backbone(request):
    return build(request.param).eval()


class TestContract:
    def test_shapes_and_types_are_the_contracts(self, backbone):
        history, mask = batch()
        interests = backbone.encode(history, mask)
        assert interests.shape == (9, backbone.n_interests, backbone.dim)
        assert interests.dtype == torch.float32
        assert backbone.item_vectors().shape == (N + 1, backbone.dim)

    def test_padding_row_is_zero(self, backbone):
        assert not backbone.item_vectors()[0].any()

    def test_longer_padding_never_changes_an_interest(self, backbone):
        history, mask = batch(width=4)
        wide = torch.nn.functional.pad(history, (0, 2))
        found = backbone.encode(wide, wide > 0)
        torch.testing.assert_close(found, backbone.encode(history, mask), rtol=1e-5, atol=1e-6)

    def test_content_of_padded_positions_never_changes_an_interest(self, backbone):
        if type(backbone).encode is not Backbone.encode:
            pytest.skip("looks no items up")
        history, mask = batch()
        embedded = backbone.embed_items(history)
        dirty = torch.where(mask[:, :, None], embedded, 7.0)
        found = backbone.encode_embedded(dirty, mask).interests
        torch.testing.assert_close(found, backbone.encode_embedded(embedded, mask).interests)

    def test_permuting_the_batch_permutes_the_interests(self, backbone):
        history, mask = batch()
        order = torch.randperm(len(history), generator=torch.Generator().manual_seed(3))
        found = backbone.encode(history[order], mask[order])
        torch.testing.assert_close(found, backbone.encode(history, mask)[order], rtol=1e-5, atol=1e-6)

    def test_a_user_does_not_depend_on_the_others(self, backbone):
        history, mask = batch()
        alone = backbone.encode(history[4:5], mask[4:5])
        torch.testing.assert_close(alone, backbone.encode(history, mask)[4:5], rtol=1e-5, atol=1e-6)

    def test_an_empty_history_is_finite(self, backbone):
        history, mask = batch()
        history, mask = history.clone(), mask.clone()
        history[2], mask[2] = 0, False
        assert backbone.encode(history, mask).isfinite().all()

    def test_evaluation_is_deterministic(self, backbone):
        history, mask = batch()
        assert torch.equal(backbone.encode(history, mask), backbone.encode(history, mask))

    def test_same_seed_same_weights_and_another_seed_others(self, backbone):
        name = next(key for key, kind in BACKBONES.items() if kind is type(backbone))
        again, other = build(name).state_dict(), build(name, seed=1).state_dict()
        assert all(torch.equal(again[key], value) for key, value in backbone.state_dict().items())
        if backbone.trainable:
            assert not all(torch.equal(other[key], value) for key, value in backbone.state_dict().items())

    def test_gradient_reaches_all_parameters_but_the_padding_row(self, backbone):
        if not backbone.trainable:
            pytest.skip("not trained")
        history, mask = batch()
        interests = backbone.encode(history, mask)
        interests.backward(torch.randn(interests.shape, generator=torch.Generator().manual_seed(1)))
        gradient = backbone.item_embedding.weight.grad
        assert not gradient[0].any()
        assert gradient[history.unique()[1:]].abs().sum(1).gt(0).all()
        for name, parameter in backbone.named_parameters():
            if name != "item_embedding.weight":
                assert parameter.grad.abs().gt(1e-9).float().mean() > 0.9, name

    def test_full_and_sampled_losses_train_it(self, backbone):
        if not backbone.trainable:
            pytest.skip("not trained")
        history, mask = batch()
        sample = Batch(history, mask, torch.arange(9) + 1, torch.arange(9))
        for kind in ("sampled", "full"):
            settings = LossConfig(kind=kind, negatives=10).model_dump()
            objective = build_objective(backbone.train(), loss=settings, objective={})
            total, _ = objective(backbone, sample, torch.Generator().manual_seed(0))
            backbone.zero_grad()
            total.backward()
            assert total.isfinite()
            assert all(parameter.grad.isfinite().all() for parameter in backbone.parameters())
            assert not backbone.item_embedding.weight.grad[0].any()

    def test_arguments_build_the_same_kind_again(self, backbone):
        name = next(key for key, kind in BACKBONES.items() if kind is type(backbone))
        again = build_backbone(name, **backbone.arguments)
        assert {k: v.shape for k, v in again.state_dict().items()} == {
            k: v.shape for k, v in backbone.state_dict().items()
        }

    def test_building_leaves_the_global_generator_alone(self, backbone):
        name = next(key for key, kind in BACKBONES.items() if kind is type(backbone))
        before = torch.get_rng_state()
        build(name, seed=5)
        assert torch.equal(before, torch.get_rng_state())


class TestComiRec:
    def test_equals_reference(self):
        backbone = build().double()
        history, mask = batch()
        history, mask = history.clone(), mask.clone()
        history[3], mask[3] = 0, False
        found = backbone.encode_embedded(backbone.embed_items(history), mask)
        weights = [p.detach().numpy() for p in (backbone.item_embedding.weight, backbone.position)]
        weights += [backbone.hidden.weight.detach().numpy(), backbone.heads.weight.detach().numpy()]
        interests, attention = reference.encode(history.numpy(), *weights)
        np.testing.assert_allclose(found.interests.detach().numpy(), interests, atol=1e-12)
        np.testing.assert_allclose(found.attention.detach().numpy(), attention, atol=1e-12)

    def test_attention_rows_are_distributions_over_real_positions(self):
        history, mask = batch()
        backbone = build()
        attention = backbone.encode_embedded(backbone.embed_items(history), mask).attention
        torch.testing.assert_close(attention.sum(2), torch.ones(9, K))
        assert not attention.masked_select(~mask[:, None].expand_as(attention)).any()

    def test_positions_matter(self):
        history, mask = batch()
        full = history[5:6]  # of length L
        backbone = build()
        assert not torch.allclose(backbone.encode(full, mask[5:6]), backbone.encode(full.flip(1), mask[5:6]))

    def test_remi_has_the_same_encoder_and_another_loss(self):
        comirec, remi = build("comirec-sa"), build("remi")
        assert torch.equal(comirec.encode(*batch()), remi.encode(*batch()))
        assert (comirec.hard_negatives, comirec.routing_regularised) == (False, False)
        assert (remi.hard_negatives, remi.routing_regularised) == (True, True)


class TestPop:
    def test_counts_training_sequences_only(self):
        # three users; the second is not a training user, and the third's last item is beyond its end
        sequence = torch.tensor([1, 2, 2, 9, 9, 9, 3, 2, 4])
        pop = build("pop")
        pop.fit_statistics(sequence, starts=torch.tensor([0, 6]), lengths=torch.tensor([3, 2]))
        expected = torch.zeros(N + 1)
        expected[[1, 2, 3]] = torch.tensor([1.0, 3.0, 1.0])
        assert torch.equal(pop.item_vectors().flatten(), expected)

    def test_score_is_the_count(self):
        pop = build("pop")
        pop.fit_statistics(torch.tensor([5, 5, 7]), torch.tensor([0]), torch.tensor([3]))
        interests = pop.encode(*batch(size=1))  # [1, 1, 1]
        assert (interests[0] @ pop.item_vectors().T)[0, [5, 7, 8]].tolist() == [2, 1, 0]


class TestRegistry:
    def test_an_unknown_name_lists_the_known_and_the_nearest(self):
        with pytest.raises(ConfigError, match="did you mean 'remi'") as caught:
            build("remy")
        assert all(name in caught.value.hint for name in BACKBONES)

    @pytest.mark.parametrize("setting", ["n_items", "dim", "interests", "max_length"])
    def test_a_size_below_one_is_refused(self, setting):
        with pytest.raises(ConfigError, match=setting):
            build(**{setting: 0})


class TestLookup:
    def test_equals_torch_embedding_forward_and_backward(self):
        backbone = build()
        history, _ = batch()
        upstream = torch.randn(9, L, D, generator=torch.Generator().manual_seed(1))
        backbone.embed_items(history).backward(upstream)
        plain = torch.nn.Embedding.from_pretrained(backbone.item_vectors().detach(), freeze=False, padding_idx=0)
        plain(history).backward(upstream)
        torch.testing.assert_close(backbone.item_embedding.weight.grad, plain.weight.grad)
        assert torch.equal(backbone.embed_items(history), plain(history))
