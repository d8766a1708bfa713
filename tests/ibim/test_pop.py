"""Both kinds of Pop against counts by hand."""

import torch

from eimf_local.ibim.registry import build_backbone


def counts(name):
    """Of users [1 2 3 4 5 6], [1 1], and [2 2 2 2 5]; the first, [7 7 7], is not trained on."""
    sequence = torch.tensor([7, 7, 7, 1, 2, 3, 4, 5, 6, 1, 1, 2, 2, 2, 2, 5])
    pop = build_backbone(name, n_items=7, dim=1, interests=1, max_length=20)
    pop.fit_statistics(sequence, torch.tensor([3, 9, 11]), torch.tensor([6, 2, 5]))
    return pop.item_vectors().squeeze(1).tolist()


def test_pop_counts_training_users_interactions():
    assert counts("pop") == [0, 3, 5, 1, 1, 2, 1, 0]


def test_pop_by_targets_counts_each_user_once_from_the_fifth_item_on():
    assert counts("pop-targets") == [0, 0, 0, 0, 0, 1.5, 0.5, 0]
