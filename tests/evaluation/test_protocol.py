"""Histories, labels and top-k: hand-built sequences and the brute-force ranking."""

import numpy as np
import pytest
import torch

from eimf_local.data.dataset import Dataset, EvaluationUsers
from eimf_local.errors import ConfigError
from eimf_local.evaluation.protocol import histories_of, interest_cosine, labels_of, top_k
from tests.reference import metrics as reference


class Fixed:
    """Interests looked up by the first item of the history: a backbone whose encoding is known."""

    def __init__(self, interests, items):
        self.interests, self.items, self.largest_batch = interests, items, 0

    def encode(self, history, mask):
        assert torch.equal(mask, history > 0)
        self.largest_batch = max(self.largest_batch, len(history))
        return self.interests[history[:, 0] - 1]

    def item_vectors(self):
        return self.items


def fixed_backbone(n_users=30, n_interests=4, n_items=60, dim=8, seed=0, low=-3, high=4):
    """Small integers, so that every product is exact and ties are many."""
    generator = torch.Generator().manual_seed(seed)
    interests = torch.randint(low, high, (n_users, n_interests, dim), generator=generator).float()
    items = torch.randint(low, high, (n_items + 1, dim), generator=generator).float()
    return Fixed(interests, items), torch.arange(1, n_users + 1)[:, None]


@pytest.fixture
def dataset():
    sequences = [[1, 2, 3, 4, 5], [6, 5], [2, 2, 7, 2, 7, 1]]
    return Dataset(
        users=("a", "b", "c"),
        items=tuple("tuvwxyz"),
        titles=tuple("tuvwxyz"),
        offsets=np.array([0, 5, 7, 13]),
        sequence=np.concatenate(sequences).astype(np.int32),
        timestamps=None,
    )


@pytest.fixture
def users():
    return EvaluationUsers(users=np.array([2, 0, 1]), history_ends=np.array([2, 4, 1]), label_ends=np.array([6, 5, 2]))


def test_histories_are_the_last_items_before_the_point_right_padded(dataset, users):
    histories = histories_of(dataset, users, max_length=3)
    assert histories.dtype == np.int64
    assert histories.tolist() == [[2, 2, 0], [2, 3, 4], [6, 0, 0]]


def test_labels_are_the_set_of_later_items(dataset, users):
    assert [items.tolist() for items in labels_of(dataset, users)] == [[1, 2, 7], [5], [5]]


def test_history_of_a_user_without_any_is_all_padding(dataset):
    users = EvaluationUsers(users=np.array([0]), history_ends=np.array([0]), label_ends=np.array([2]))
    assert histories_of(dataset, users, max_length=2).tolist() == [[0, 0]]
    assert [items.tolist() for items in labels_of(dataset, users)] == [[1, 2]]


@pytest.mark.parametrize("k", [1, 5, 20, 60])
def test_top_k_equals_reference_with_many_ties(k):
    backbone, histories = fixed_backbone(low=-1, high=2)
    expected = reference.top_k(backbone.interests.tolist(), backbone.items.tolist(), k)
    assert top_k(backbone, histories, k=k).tolist() == expected


def test_top_k_equals_reference_on_continuous_scores():
    backbone, histories = fixed_backbone(seed=3)
    generator = torch.Generator().manual_seed(4)
    backbone.items = torch.randn(backbone.items.shape, generator=generator)
    expected = reference.top_k(backbone.interests.tolist(), backbone.items.tolist(), 10)
    assert top_k(backbone, histories, k=10).tolist() == expected


def test_blocks_do_not_change_the_ranking_and_bound_the_batch():
    backbone, histories = fixed_backbone()
    whole = top_k(backbone, histories, k=10, block=1000)
    backbone.largest_batch = 0
    np.testing.assert_array_equal(top_k(backbone, histories, k=10, block=7), whole)
    assert backbone.largest_batch == 7


def test_padding_is_never_ranked_even_if_its_vector_wins():
    backbone, histories = fixed_backbone()
    before = top_k(backbone, histories, k=10)
    backbone.items[0] = 100.0 * backbone.interests[0, 0]
    np.testing.assert_array_equal(top_k(backbone, histories, k=10), before)


def test_seen_items_are_not_filtered():
    backbone = Fixed(torch.tensor([[[1.0]]]), torch.tensor([[0.0], [9.0], [1.0]]))
    assert top_k(backbone, torch.tensor([[1, 0]]), k=2).tolist() == [[1, 2]]


def test_when_the_catalogue_has_fewer_items_than_k_the_rest_is_zero():
    backbone, histories = fixed_backbone(n_items=4)
    ranked = top_k(backbone, histories, k=6)
    assert ranked.shape == (30, 6)
    assert (np.sort(ranked[:, :4], axis=1) == [1, 2, 3, 4]).all()
    assert (ranked[:, 4:] == 0).all()


def test_when_there_are_no_users():
    backbone, _ = fixed_backbone()
    assert top_k(backbone, torch.empty((0, 3), dtype=torch.int64), k=5).shape == (0, 5)


def test_a_module_is_ranked_without_dropout_and_left_as_it_was():
    class Dropping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(41, 16)
            self.drop = torch.nn.Dropout(0.5)

        def encode(self, history, mask):
            return self.drop(self.table(history).sum(1, keepdim=True))

        def item_vectors(self):
            return self.table.weight

    module = Dropping()
    histories = torch.arange(1, 21).reshape(10, 2)
    np.testing.assert_array_equal(top_k(module, histories, k=9), top_k(module, histories, k=9))
    assert module.training
    module.eval()
    top_k(module, histories, k=9)
    assert not module.training


def test_when_scores_are_not_numbers():
    backbone, histories = fixed_backbone()
    backbone.items[5, 0] = torch.nan
    with pytest.raises(ConfigError, match="not numbers"):
        top_k(backbone, histories, k=10)


class Everybody:
    """A backbone with the same interests for everybody."""

    def __init__(self, interests):
        self.interests = torch.tensor(interests)

    def encode(self, history, mask):
        return self.interests.expand(len(history), *self.interests.shape)

    def item_vectors(self):
        return torch.zeros(3, 2)


@pytest.mark.parametrize(
    ("interests", "cosine"),
    [
        ([[1.0, 0.0], [0.0, 2.0]], 0.0),
        ([[1.0, 1.0], [3.0, 3.0]], 1.0),
        ([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], 1 / 3),  # of the three pairs one agrees
    ],
)
def test_interest_cosine_by_hand(interests, cosine):
    assert interest_cosine(Everybody(interests), torch.ones(4, 5, dtype=torch.int64)) == pytest.approx(cosine)


def test_interest_cosine_of_a_single_interest_is_none():
    assert interest_cosine(Everybody([[1.0, 0.0]]), torch.ones(4, 5, dtype=torch.int64)) is None
