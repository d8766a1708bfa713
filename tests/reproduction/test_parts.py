from __future__ import annotations

import re

import pytest

from eimf_local.config import load_config, preset_names
from eimf_local.errors import ConfigError
from eimf_local.evaluation.paper import paper_model, paper_models
from eimf_local.reproduction.conditions import CONDITIONS
from eimf_local.reproduction.grid import Row
from eimf_local.reproduction.parts import PARTS, chosen, selected
from eimf_local.reproduction.record import parts_record


def test_parts_name_known_conditions_and_all_of_them() -> None:
    named = {name for part in PARTS.values() for name in part.conditions}
    assert named == set(CONDITIONS)
    for part in PARTS.values():
        assert {point.condition for point in part.points} <= set(part.conditions)


def test_tables_4_and_5_have_every_model_of_the_paper() -> None:
    found = {paper_model(CONDITIONS[name].label) for part in ("table4", "table5") for name in PARTS[part].conditions}
    assert set(paper_models("Office")) <= found


def test_conditions_keep_the_tables_order() -> None:
    choice = chosen(load_config(None, ['reproduce.conditions=["eimf", "pop"]']))
    assert [condition.name for condition in choice.conditions] == ["pop", "eimf"]


def test_a_point_that_is_the_methods_own_setting_is_the_method() -> None:
    parts = {part.name: part for part in chosen(load_config(None, ["objective.alpha=0.2", "objective.beta=0.3"])).parts}
    assert [point.condition for point in parts["fig6"].points] == ["alpha-0.1", "eimf", "alpha-0.3", "alpha-0.4"]
    assert "alpha-0.2" not in parts["fig6"].conditions
    assert [point.label for point in parts["fig7"].points if point.condition == "eimf"] == ["0.1"]


def test_only_takes_parts_and_models() -> None:
    choice = chosen(load_config("paper-office"))
    assert [part.name for part in selected(choice, ["fig4", "pop"]).parts] == ["fig4"]
    assert [one.name for one in selected(choice, ["fig4", "pop"]).conditions] == [
        "pop", "remi", "eimf", "wo-align", "wo-predict", "wo-tar"
    ]  # fmt: skip
    assert selected(choice, []) == choice


@pytest.mark.parametrize(
    ("only", "told"),
    [
        ("tabel4", "unknown table, figure or model 'tabel4' — did you mean 'table4'"),
        ("sasrek", "unknown table, figure or model 'sasrek' — did you mean 'sasrec'"),
    ],
)
def test_an_unknown_table_or_model_is_refused_and_the_nearest_named(only: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)) as caught:
        selected(chosen(load_config()), [only])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('reproduce.conditions=["eimff"]', "unknown condition 'eimff' — did you mean 'eimf'"),
        ('reproduce.parts=["fig33"]', "unknown table or figure 'fig33' — did you mean 'fig3'"),
    ],
)
def test_an_unknown_name_in_a_preset_is_refused_and_the_nearest_named(setting: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        chosen(load_config(None, [setting]))


@pytest.mark.parametrize("name", preset_names())
def test_presets_always_bring_the_controls(name: str) -> None:
    names = {condition.name for condition in chosen(load_config(name)).conditions}
    assert {"shuffled", "titles", "kmeans", "random", "gamma-zero", "item-text", "wide-init", "text-init"} <= names


def test_a_figures_own_point_is_of_the_language_model_that_inferred_the_others() -> None:
    choice = chosen(load_config("paper-office"))
    rows = [
        Row("eimf", "EIMF [large]", CONDITIONS["eimf"], None, "remi"),
        Row("eimf@tiny", "EIMF [tiny]", CONDITIONS["eimf"], None, "remi"),
        Row("fraction-80", "80 % [tiny]", CONDITIONS["fraction-80"], None, "eimf@tiny"),
        Row("gamma-0.2", "gamma .2", CONDITIONS["gamma-0.2"], None, "eimf"),
    ]
    points = {part["name"]: [one["condition"] for one in part["points"]] for part in parts_record(choice, rows)}
    assert points["fig5"][-1] == "eimf@tiny"
    assert "eimf" in points["fig7"]
