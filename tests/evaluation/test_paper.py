"""The paper's numbers: read as printed, found under the names that a grid uses."""

import doctest

import pytest

import eimf_local.evaluation.paper as module
from eimf_local.evaluation.paper import paper_dataset, paper_model, paper_models, paper_value, published


def test_docstring_examples_hold():
    result = doctest.testmod(module)
    assert result.attempted >= 4
    assert result.failed == 0


def test_values_are_those_printed():
    assert paper_value("table4", "Beauty", "EIMF", "HR@50") == 0.4802
    assert paper_value("table5", "ML-1M", "EIMF(BERT4Rec)", "NDCG@20") == 0.4011
    assert paper_value("table4", "ML-1M", "REMI", "Recall@20") is None
    assert paper_value("table9", "Beauty", "EIMF", "HR@50") is None


def test_the_first_table_wins_and_the_rest_fill_up():
    assert published("Beauty", "BERT4Rec", "Recall@20") == 0.1430  # Table 5 says .1405
    assert published("Beauty", "EIMF(REMI)", "Recall@20") == published("Beauty", "EIMF", "Recall@20") == 0.2323
    assert published("ML-1M", "EIMF(REMI)", "HR@20") == 0.6854
    assert published("ML-1M", "REMI", "Recall@5") == 0.0175
    assert published("ML-1M", "Pop", "Recall@20") is None


@pytest.mark.parametrize(
    ("users", "items", "split", "expected"),
    [
        (22363, 12101, "user-split", "Beauty"),
        (4905, 2420, "user-split", "Office"),
        (14681, 8713, "user-split", "Grocery"),
        (6040, 3416, "user-split", "ML-1M"),
        (22363, 12101, "item-order", "Beauty"),
        (6040, 3416, "global-time", None),
        (4905, 2419, "user-split", None),
    ],
)
def test_data_sets_are_recognised_by_their_counts_under_the_papers_split(users, items, split, expected):
    assert paper_dataset(users=users, items=items, split=split) == expected


def test_models_are_recognised_and_every_listed_one_has_a_value():
    assert paper_model("remi") == "REMI"
    assert paper_model("llm2bert4rec") == "LLM2BERT4Rec"
    assert paper_model("eimf-shuffled") is None
    for dataset in ("Beauty", "Grocery", "Office", "ML-1M"):
        models = paper_models(dataset)
        assert len(models) == len(set(models)) >= 6
        assert all(published(dataset, model, "Recall@20") is not None for model in models)
