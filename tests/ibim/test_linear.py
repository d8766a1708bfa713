"""Item-KNN and EASE against their oracles, and under evaluation and retrieval."""

import numpy as np
import pytest
import torch

from eimf_local.errors import ConfigError
from eimf_local.evaluation.protocol import top_k
from eimf_local.ibim import linear
from eimf_local.serving.index import InterestIndex
from tests.ibim.test_backbones import N, batch, build
from tests.reference import backbones as reference

HISTORIES = [
    torch.randint(1, N - 1, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    for length in range(3, 25)
]
OTHERS = [[N, N, 1]]  # of a user who is not trained on


def packed(histories):
    return torch.tensor([item for history in histories for item in history])


def fitted(name, **options):
    """Fitted on HISTORIES; item N - 1 and N occur in none of them."""
    backbone = build(name, **options).eval()
    lengths = torch.tensor([len(history) for history in OTHERS + HISTORIES])
    starts = lengths.cumsum(0) - lengths
    backbone.fit_statistics(packed(OTHERS + HISTORIES), starts[1:], lengths[1:])
    return backbone


def weights(backbone):
    return backbone.item_vectors()[1:].T.numpy()  # W [N, N]


@pytest.mark.parametrize("neighbours", [1, 4, 1000])
def test_item_knn_equals_reference(neighbours):
    expected = reference.item_knn(HISTORIES, N, min(neighbours, N))
    np.testing.assert_allclose(weights(fitted("item-knn", knn_neighbours=neighbours)), expected, atol=1e-6)


@pytest.mark.parametrize("regularisation", [1.0, 50.0])
def test_ease_equals_the_ridge_regression_of_each_item(regularisation):
    expected = reference.ease(HISTORIES, N, regularisation)
    np.testing.assert_allclose(weights(fitted("ease", ease_regularisation=regularisation)), expected, atol=1e-5)


def test_too_little_regularisation_is_a_named_error():
    with pytest.raises(ConfigError, match="raise model"):
        fitted("ease", ease_regularisation=1e-12)


@pytest.mark.parametrize("name", ["item-knn", "ease"])
class TestBoth:
    @pytest.mark.parametrize("tables", [0.9, 1.9])  # too little for the table itself, or for fitting it
    def test_a_catalogue_beyond_the_memory_is_a_named_error(self, name, tables, monkeypatch):
        monkeypatch.setattr(linear, "available_memory", lambda: int(tables * 4 * N**2))
        with pytest.raises(ConfigError, match=rf"for {N} that takes .* GB more memory, .* are free — use a machine"):
            fitted(name)

    def test_score_is_the_sum_over_the_distinct_items_of_the_history(self, name):
        backbone = fitted(name)
        history = torch.tensor([[3, 5, 3, 0, 0, 0]])
        scores = backbone.encode(history, history > 0)[0] @ backbone.item_vectors().T
        expected = weights(backbone)[[2, 4]].sum(0)
        np.testing.assert_allclose(scores[0, 1:].numpy(), expected, atol=1e-6)

    def test_retrieval_equals_evaluation(self, name):
        backbone = fitted(name)
        history, mask = batch()
        found, scores = InterestIndex(backbone.item_vectors().numpy()).search(
            backbone.encode(history, mask).numpy(), k=N
        )
        np.testing.assert_array_equal(np.sort(found), np.sort(top_k(backbone, history, k=N)))
        best = found[scores > 0]
        assert set(best.tolist()) >= set(top_k(backbone, history, k=1)[:, 0].tolist())

    def test_fitting_again_changes_nothing(self, name):
        backbone = fitted(name)
        before = backbone.item_vectors().clone()
        lengths = torch.tensor([len(history) for history in HISTORIES])
        backbone.fit_statistics(packed(HISTORIES), lengths.cumsum(0) - lengths, lengths)
        assert torch.equal(before, backbone.item_vectors())

    def test_sizes_that_do_not_apply_are_replaced(self, name):
        backbone = build(name)
        assert (backbone.dim, backbone.n_interests) == (N, 1)
