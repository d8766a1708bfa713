from __future__ import annotations

import pytest

from eimf_local.config import load_config, preset_names
from eimf_local.errors import ConfigError
from eimf_local.reproduction.conditions import CONDITIONS, chosen_conditions


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


def test_conditions_keep_the_tables_order() -> None:
    assert [condition.name for condition in chosen_conditions(["eimf", "pop"])] == ["pop", "eimf"]


def test_an_unknown_condition_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown condition 'eimff'"):
        chosen_conditions(["eimff"])


@pytest.mark.parametrize("name", preset_names())
def test_presets_always_bring_the_controls(name: str) -> None:
    chosen = {condition.name for condition in chosen_conditions(load_config(name).reproduce.conditions)}
    assert {"shuffled", "titles", "kmeans", "random", "gamma-zero", "item-text", "text-init"} <= chosen
