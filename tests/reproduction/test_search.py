from __future__ import annotations

import json
from pathlib import Path

import pytest

from eimf_local.config import Config, TunedConfig, load_config, preset_names
from eimf_local.progress import Reporter
from eimf_local.reproduction.conditions import CONDITIONS
from eimf_local.reproduction.grid import grid_cells, grid_rows
from eimf_local.reproduction.ground import Order
from eimf_local.reproduction.run import reproduce
from eimf_local.reproduction.search import MOST_TRIALS, Trial, preset_text, search_spaces, trials_of


def trials(config: Config, names: list[str], number: int = MOST_TRIALS) -> dict[str, list[Trial]]:
    rows = grid_rows([CONDITIONS[name] for name in names], [], {})
    cells = grid_cells(rows, seeds=[3, 4], dataset=Path("d"), encoder="e", out=Path("g"), config=config)
    found: dict[str, list[Trial]] = {}
    for trial in trials_of(cells, rows, trials=number, out=Path("g"), config=config):
        found.setdefault(trial.model, []).append(trial)
    return found


def test_every_model_has_as_many_trials_of_its_own_space_and_the_presets_setting_first() -> None:
    config = load_config("paper-office")
    found = trials(config, ["remi", "sasrec", "ease", "dnn", "pop", "gamma-zero"])
    assert {model: len(tried) for model, tried in found.items()} == {"ease": 8, "dnn": 8, "sasrec": 8, "remi": 8}
    untuned = config.model_copy(update={"tuned": {}})
    for model, tried in found.items():
        own = CONDITIONS[model].apply(untuned, seed=3)
        assert tried[0].cell.config == own
        assert len({json.dumps(trial.setting) for trial in tried}) == len(tried)
        assert {trial.cell.config.train.seed for trial in tried} == {3}
        for trial in tried[1:]:
            assert set(trial.setting) == set(search_spaces()[model])
            assert trial.cell.config != own


def test_trials_are_the_same_every_time_and_the_presets_setting_is_always_among_them() -> None:
    config = load_config("demo")
    again = [trial.setting for trial in trials(config, ["remi"])["remi"]]
    assert [trial.setting for trial in trials(config, ["remi"])["remi"]] == again
    fewer = trials(config, ["remi"], 3)["remi"]
    assert len(fewer) == 3
    assert fewer[0].setting == again[0]


def test_spaces_name_searchable_conditions_and_values_that_are_settings() -> None:
    for model, space in search_spaces().items():
        assert CONDITIONS[model].model == model
        for path, values in space.items():
            for value in values:
                load_config(None, [f"{path}={json.dumps(value)}"])
    searchable = {name for name, one in CONDITIONS.items() if one.group in ("baseline", "method")}
    assert set(search_spaces()) == searchable - {"pop", "pop-targets"}


@pytest.mark.parametrize("name", preset_names())
def test_the_written_preset_is_the_grids_own_with_what_was_found(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    found = {
        "remi": TunedConfig(
            trials=8,
            recall_50=0.125,
            found_on="shop",
            dataset="0123456789ab",
            settings={"train.learning_rate": 3e-4},
        )
    }
    (tmp_path / "p.toml").write_text(preset_text(config, found))
    again = load_config(str(tmp_path / "p.toml"))
    assert again.tuned == {**config.tuned, **found}
    assert again.model_copy(update={"tuned": config.tuned}) == config


def test_a_search_compares_on_validation_users_and_goes_on_where_it_stopped(
    small_dataset: Path, tmp_path: Path
) -> None:
    settings = ["train.max_steps=10", "train.evaluate_every=10", "reproduce.seeds=1",
                'reproduce.conditions=["pop", "item-knn", "dnn"]']  # fmt: skip
    order = Order(tmp_path / "g", load_config(None, settings), small_dataset, (), None, "all-MiniLM-L6-v2", trials=2)
    preset = reproduce(order, Reporter())
    tuned = load_config(str(preset)).tuned
    runs = sorted((tmp_path / "g" / "search").glob("*/trial-*/metrics.json"))
    assert len(runs) == 4
    for model in ("item-knn", "dnn"):
        valid = [json.loads(run.read_text())["valid"]["Recall@50"] for run in runs if run.parent.parent.name == model]
        assert tuned[model].trials == 2
        assert tuned[model].recall_50 == pytest.approx(max(valid), abs=1e-6)
    before = [run.stat().st_mtime_ns for run in runs]
    assert reproduce(order, Reporter()) == preset
    assert [run.stat().st_mtime_ns for run in runs] == before
    assert not (tmp_path / "g" / "grid.json").exists()


def test_settings_found_on_other_data_are_told_by_their_fingerprint() -> None:
    found = TunedConfig(trials=8, recall_50=0.1, found_on="office", dataset="439e806c8c6c")
    assert found.elsewhere("439e806c8c6cdbaf") is None
    assert found.elsewhere("0123456789abcdef") == "office"
    assert TunedConfig(trials=8, recall_50=0.1).elsewhere("0123456789abcdef") is None  # of an earlier version
