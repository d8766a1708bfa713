from __future__ import annotations

from typing import Any

import pytest

from eimf_local.config import TunedConfig, build_config, load_config
from eimf_local.evaluation.paper import DATASETS, paper_model, paper_models
from eimf_local.ibim.registry import BACKBONES
from eimf_local.reproduction.conditions import CONDITIONS, searched


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_every_condition_gives_a_valid_config_and_compares_with_a_known_one(name: str) -> None:
    condition = CONDITIONS[name]
    config = condition.apply(load_config("demo"), seed=7)
    assert config.train.seed == 7
    assert condition.against is None or condition.against in CONDITIONS
    assert (condition.against is None) == (condition.group == "baseline")


def test_conditions_change_only_what_they_name() -> None:
    base = load_config("demo")
    changed = CONDITIONS["shuffled"].apply(base, seed=base.train.seed)
    assert changed.semantics.shuffled
    assert changed.model_dump(exclude={"semantics", "model"}) == base.model_dump(exclude={"semantics", "model"})


def test_every_backbone_has_a_baseline_of_its_name() -> None:
    for name in BACKBONES:
        assert CONDITIONS[name].group == "baseline"
        assert CONDITIONS[name].apply(load_config(), seed=0).model.backbone == name


def test_every_trainable_backbone_has_a_text_initialised_variant() -> None:
    configs = [condition.apply(load_config(), seed=0) for condition in CONDITIONS.values()]
    initialised = {config.model.backbone for config in configs if config.model.item_init == "text"}
    assert initialised == {name for name, kind in BACKBONES.items() if kind.trainable}


def test_the_papers_models_are_found_by_name() -> None:
    """Baselines by their own name, the method by EIMF(backbone), as the report asks for them."""
    found = set()
    for condition in CONDITIONS.values():
        if condition.group == "baseline":
            found.add(paper_model(condition.name) or paper_model(condition.label))
        elif condition.group == "method":
            base = CONDITIONS[condition.against or ""]
            assert condition.label == f"EIMF ({base.label})"
            found.add(paper_model(f"EIMF({base.label})"))
    published = {model for dataset in DATASETS for model in paper_models(dataset)}
    assert found - {None} == published
    assert paper_model("sasrec-full") is None


def test_a_condition_takes_the_searched_settings_of_its_model() -> None:
    found = {
        "remi": {"trials": 8, "recall_50": 0.2, "settings": {"train.learning_rate": 0.003}},
        "eimf": {"trials": 8, "recall_50": 0.3, "settings": {"objective.gamma": 0.3, "loss.hard_negative_beta": 1}},
    }
    config = build_config({"tuned": found})
    applied = {name: condition.apply(config, seed=0) for name, condition in CONDITIONS.items()}
    assert {name for name, one in applied.items() if one.train.learning_rate == 0.003} == {
        "remi", "gamma-zero", "item-text", "wide-init", "text-init"
    }  # fmt: skip
    assert applied["eimf"].objective.gamma == applied["shuffled"].objective.gamma == 0.3
    assert applied["text-init-eimf"].loss.hard_negative_beta == 1
    assert applied["gamma-0.05"].objective.gamma == 0.05
    assert applied["gamma-0.05"].loss.hard_negative_beta == 1


def test_searched_settings_are_those_of_the_very_model() -> None:
    tuned = {
        name: TunedConfig(trials=8, recall_50=0.1, settings={"train.learning_rate": rate})
        for name, rate in {
            "sasrec": 1e-3,
            "sasrec-full": 2e-3,
            "llm2bert4rec": 3e-3,
            "eimf": 4e-3,
            "remi": 5e-3,
        }.items()
    }

    def rate(*settings: str, semantic: bool = False) -> Any:
        found = searched(load_config(None, settings).model_copy(update={"tuned": tuned}), semantic=semantic)
        return found and found.settings["train.learning_rate"]

    assert rate("model.backbone=sasrec") == 1e-3
    assert rate("model.backbone=sasrec", "loss.kind=full") == 2e-3
    assert rate("model.backbone=bert4rec") is None
    assert rate("model.backbone=bert4rec", "model.item_init=text") == 3e-3
    assert rate(semantic=True) == 4e-3
    assert rate() == 5e-3
    assert rate("model.backbone=gru4rec", semantic=True) is None
