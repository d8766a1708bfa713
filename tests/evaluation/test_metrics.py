"""Metrics: hand-computed fractions, the definition-by-definition oracle, and properties."""

import doctest
import math
from fractions import Fraction

import numpy as np
import pytest

import eimf_local.evaluation.metrics as module
from eimf_local.evaluation.metrics import CUTOFFS, per_user
from tests.reference import metrics as reference

ORACLES = {
    "Recall": reference.recall,
    "HR": reference.hit_rate,
    "NDCG": reference.ndcg,
    "ndcg_hits": reference.ndcg_hits,
    "ndcg_setorder": reference.ndcg_setorder,
}
D2, D3, D4 = 1 / math.log2(3), 1 / 2, 1 / math.log2(5)  # discounts of ranks 2, 3, 4


def random_case(seed, n_users=40, n_items=200, k_max=50):
    generator = np.random.default_rng(seed)
    ranked = np.stack([generator.permutation(n_items)[:k_max] + 1 for _ in range(n_users)])
    sizes = generator.integers(1, 60, n_users)
    labels = [np.sort(generator.permutation(n_items)[:size] + 1) for size in sizes]
    return ranked, labels


def test_docstring_examples_hold():
    result = doctest.testmod(module)
    assert result.attempted >= 8
    assert result.failed == 0


def test_recall_and_hit_rate_are_hand_computed_fractions():
    ranked = np.array([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    labels = [np.array([2, 4, 9]), np.array([9, 10])]
    values = per_user(ranked, labels, cutoffs=[1, 2, 5])
    assert values["Recall@1"].tolist() == [0, 0]
    assert values["Recall@2"].tolist() == [float(Fraction(1, 3)), 0]
    assert values["Recall@5"].tolist() == [float(Fraction(2, 3)), 0]
    assert [values[f"HR@{k}"].tolist() for k in (1, 2, 5)] == [[0, 0], [1, 0], [1, 0]]


def test_ndcg_is_hand_computed_with_more_and_fewer_labels_than_ranks():
    ranked = np.array([[1, 2, 3, 4]])
    # Hits at ranks 2 and 4; three labels: the ideal has three ranks, at k = 2 two.
    values = per_user(ranked, [np.array([2, 4, 9])], cutoffs=[2, 4])
    assert values["NDCG@4"] == pytest.approx([(D2 + D4) / (1 + D2 + D3)])
    assert values["NDCG@2"] == pytest.approx([D2 / (1 + D2)])
    assert values["ndcg_hits@4"] == pytest.approx([(D2 + D4) / (1 + D2)])
    assert values["ndcg_hits@2"] == pytest.approx([D2 / 1])


def test_ndcg_setorder_counts_at_the_slot_of_the_hash_table():
    # Four items live in a table of 8 slots: 9 % 8 = 1, 16 % 8 = 0, 3, 6, so the walk is 16, 9, 3, 6.
    ranked = np.array([[6, 3, 9, 16]])
    values = per_user(ranked, [np.array([6, 9])], cutoffs=[4])
    assert values["ndcg_setorder@4"] == pytest.approx([(D2 + D4) / (1 + D2)])
    assert values["ndcg_hits@4"] == pytest.approx([(1 + D3) / (1 + D2)])


def test_ndcg_setorder_of_twenty_items_is_the_order_modulo_128():
    ranked = 128 * np.arange(1, 21)[None] + np.arange(20, 0, -1)[None]  # residues 20..1: all slots differ
    values = per_user(ranked, [ranked[0, :1]], cutoffs=[20])  # the first rank has the largest residue: last slot
    assert values["ndcg_setorder@20"] == pytest.approx([1 / math.log2(21)])


@pytest.mark.parametrize("metric", ORACLES)
@pytest.mark.parametrize("seed", range(3))
def test_equals_reference_on_random_rankings(metric, seed):
    ranked, labels = random_case(seed)
    values = per_user(ranked, labels)
    for k in CUTOFFS:
        expected = [ORACLES[metric](row.tolist(), items.tolist(), k) for row, items in zip(ranked, labels, strict=True)]
        np.testing.assert_allclose(values[f"{metric}@{k}"], expected, atol=1e-12)


@pytest.mark.parametrize("metric", ORACLES)
def test_equals_reference_when_the_catalogue_has_fewer_items_than_k(metric):
    ranked, labels = random_case(7, n_items=12, k_max=12)
    labels = [items[:5] for items in labels]
    padded = np.pad(ranked, ((0, 0), (0, 38)))
    values = per_user(padded, labels)
    for k in CUTOFFS:
        expected = [ORACLES[metric](row.tolist(), items.tolist(), k) for row, items in zip(padded, labels, strict=True)]
        np.testing.assert_allclose(values[f"{metric}@{k}"], expected, atol=1e-12)
    assert values["Recall@50"].tolist() == [1.0] * len(labels)


def test_values_lie_in_the_unit_interval_and_grow_with_k():
    values = per_user(*random_case(11))
    for metric in ("Recall", "HR"):
        ladder = np.stack([values[f"{metric}@{k}"] for k in CUTOFFS])
        assert (np.diff(ladder, axis=0) >= 0).all()
    assert all((column >= 0).all() and (column <= 1 + 1e-12).all() for column in values.values())


def test_permuting_users_permutes_values():
    ranked, labels = random_case(13)
    order = np.random.default_rng(0).permutation(len(labels))
    values, permuted = per_user(ranked, labels), per_user(ranked[order], [labels[u] for u in order])
    for name, column in values.items():
        np.testing.assert_array_equal(column[order], permuted[name])


def test_a_perfect_ranking_scores_one():
    ranked = np.arange(1, 51)[None]
    values = per_user(ranked, [np.array([1, 2, 3])])
    assert {name: float(column[0]) for name, column in values.items() if name.startswith(("NDCG", "ndcg_hits"))} == {
        f"{name}@{k}": pytest.approx(1.0) for name in ("NDCG", "ndcg_hits") for k in CUTOFFS
    }


def test_one_user_without_a_hit_scores_zero_everywhere():
    values = per_user(np.arange(1, 51)[None], [np.array([99])])
    assert all(column.tolist() == [0.0] for column in values.values())


@pytest.mark.parametrize(
    ("ranked", "labels", "message"),
    [
        (np.ones((1, 50), dtype=np.int64), [], "1 rankings for 0 users"),
        (np.ones((1, 20), dtype=np.int64), [np.array([1])], "do not fit rankings of 20"),
        (np.ones((1, 50), dtype=np.int64), [np.array([], dtype=np.int64)], "without labels"),
    ],
)
def test_when_input_does_not_fit(ranked, labels, message):
    with pytest.raises(ValueError, match=message):
        per_user(ranked, labels)
