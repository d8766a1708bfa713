"""DNN, GRU4Rec, SASRec and BERT4Rec against their oracles, and what is particular to each."""

import numpy as np
import pytest
import torch

from eimf_local.errors import ConfigError
from eimf_local.ibim.positions import ages, last_position
from tests.ibim.test_backbones import D, L, N, batch, build
from tests.reference import backbones as reference
from tests.training.test_objective import weights_of


def items_of(backbone, history):
    """Each user's real items' vectors."""
    table = backbone.item_vectors().detach().numpy()
    return [[table[item] for item in row if item] for row in history.tolist()]


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("dnn", reference.dnn),
        ("gru4rec", reference.gru4rec),
        ("sasrec", reference.sasrec),
        ("bert4rec", lambda items, w: reference.bert4rec(items, w)[-1]),
    ],
)
def test_equals_reference(name, oracle):
    backbone = build(name).double().eval()
    history, mask = batch()
    found = backbone.encode(history, mask).squeeze(1).detach().numpy()
    expected = [oracle(items, weights_of(backbone)) for items in items_of(backbone, history)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["gru4rec", "sasrec", "bert4rec"])
def test_order_matters_and_dropout_acts_in_training_only(name):
    backbone = build(name).eval()
    history, mask = (part[5:6] for part in batch())  # of length L
    found = backbone.encode(history, mask)
    assert not torch.allclose(found, backbone.encode(history.flip(1), mask), atol=1e-3)
    assert not torch.allclose(found, backbone.train().encode(history, mask), atol=1e-3)


def test_the_mean_of_the_items_knows_no_order():
    backbone = build("dnn")
    history, mask = (part[5:6] for part in batch())
    torch.testing.assert_close(backbone.encode(history, mask), backbone.encode(history.flip(1), mask))


def test_positions_count_back_from_the_newest_item():
    mask = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    assert ages(mask).tolist() == [[2, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert last_position(mask).tolist() == [2, 0, 0]


@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_an_odd_width_is_refused(name):
    with pytest.raises(ConfigError, match="cannot share 7 dimensions"):
        build(name, dim=7)


class TestCloze:
    def encoded(self, history, mask, *, seed=0, **changes):
        backbone = build("bert4rec", dropout=0.0, **changes).double()
        torch.manual_seed(seed)
        return backbone, backbone.encode_embedded(backbone.embed_items(history), mask)

    def test_equals_reference(self):
        history, mask = batch()
        backbone, found = self.encoded(history, mask, cloze_ratio=0.4)
        items, places = items_of(backbone, history), found.cloze.places.tolist()
        for row in range(len(history)):
            hidden = [place % L for place in places if place // L == row]
            states = reference.bert4rec(items[row], weights_of(backbone), hidden)
            ours = [state for state, place in zip(found.cloze.states, places, strict=True) if place // L == row]
            np.testing.assert_allclose(torch.stack(ours).detach().numpy(), states[hidden], atol=1e-12)
            np.testing.assert_allclose(found.interests[row, 0].detach().numpy(), states[-1], atol=1e-12)

    @pytest.mark.parametrize("ratio", [0.2, 0.5])
    def test_the_ratio_of_each_history_is_hidden_but_at_least_one_and_no_padding(self, ratio):
        history, mask = batch(size=60)
        places = self.encoded(history, mask, cloze_ratio=ratio)[1].cloze.places
        assert mask.flatten()[places].all()
        counts = torch.bincount(places // L, minlength=60).tolist()
        assert counts == [max(1, round(ratio * int(length))) for length in mask.sum(1)]
        assert len(set((places % L).tolist())) == L

    def test_an_empty_history_hides_nothing(self):
        history, mask = batch()
        found = self.encoded(history * 0, mask & False)[1]
        assert len(found.cloze.places) == 0
        assert found.interests.isfinite().all()

    def test_what_is_hidden_is_not_seen(self):
        history, mask = (part[5:6] for part in batch())
        place = int(self.encoded(history, mask)[1].cloze.places[0])
        other = history.clone()
        other[0, place] = history[0, place] % N + 1
        first, second = (self.encoded(h, mask)[1] for h in (history, other))
        assert torch.equal(first.cloze.states, second.cloze.states)
        assert torch.equal(first.interests, second.interests)

    def test_evaluation_hides_nothing(self):
        history, mask = batch()
        backbone = build("bert4rec").eval()
        assert backbone.encode_embedded(backbone.embed_items(history), mask).cloze is None

    def test_follows_the_global_generator(self):
        places = [self.encoded(*batch(), seed=seed)[1].cloze.places for seed in (0, 0, 1)]
        assert torch.equal(places[0], places[1])
        assert not torch.equal(places[0], places[2])

    def test_width_is_the_contracts(self):
        assert self.encoded(*batch())[1].cloze.states.shape[1] == D
