from __future__ import annotations

from pathlib import Path

import pytest

from eimf_local.config import load_config
from eimf_local.errors import ArtifactError
from eimf_local.reproduction.folder import CALIBRATION, MADE_WITH, STAGES, check_same, claim

INPUTS = {"dataset": "a" * 64, "encoder": "b" * 64}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path


@pytest.mark.parametrize("folder", ["runs", "search"])
def test_a_grid_that_was_only_planned_may_be_made_with_something_else(tmp_path: Path, folder: str) -> None:
    for steps in (20, 400, 30):
        check_same(tmp_path, load_config(None, [f"train.max_steps={steps}"]), **INPUTS)
        assert not (tmp_path / CALIBRATION).exists()
        (tmp_path / CALIBRATION).write_text("{}")  # what a step costs under these settings
        check_same(tmp_path, load_config(None, [f"train.max_steps={steps}"]), **INPUTS)
        assert (tmp_path / CALIBRATION).exists()
    (tmp_path / folder).mkdir()
    with pytest.raises(ArtifactError, match=r"another configuration: train\.max_steps is 30 there and 20 here"):
        check_same(tmp_path, load_config(None, ["train.max_steps=20"]), **INPUTS)


def test_a_grid_of_another_configuration_is_refused_and_the_difference_named(trained: Path) -> None:
    check_same(trained, load_config(None, ["train.max_steps=20"]), **INPUTS)
    with pytest.raises(
        ArtifactError, match=r"another configuration: train\.max_steps is 20 there and 400 here"
    ) as error:
        check_same(trained, load_config(None, ["train.max_steps=400"]), **INPUTS)
    assert "--out" in error.value.hint
    assert "\n" not in str(error.value)


def test_a_grid_of_another_dataset_is_refused(trained: Path) -> None:
    check_same(trained, load_config(), **INPUTS)
    with pytest.raises(ArtifactError, match="dataset is aaaaaaaaaaaa… there and cccccccccccc… here"):
        check_same(trained, load_config(), **(INPUTS | {"dataset": "c" * 64}))


def test_what_is_run_of_it_how_fast_and_what_a_search_found_are_free(trained: Path) -> None:
    check_same(trained, load_config(), **INPUTS)
    before = (trained / MADE_WITH).read_bytes()
    settings = ["reproduce.seeds=[7]", 'reproduce.parts=["table4"]', "reproduce.workers=1", "llm.parallel=3"]
    check_same(trained, load_config(None, settings), **INPUTS)
    tuned = trained / "tuned.toml"
    tuned.write_text('[tuned.remi]\ntrials = 8\nrecall_50 = 0.1\nsettings = { "train.learning_rate" = 1e-2 }\n')
    check_same(trained, load_config(str(tuned)), **INPUTS)
    assert (trained / MADE_WITH).read_bytes() == before


def test_of_searched_settings_only_the_settings_count(trained: Path) -> None:
    first, again, other = (trained / f"{name}.toml" for name in ("first", "again", "other"))
    first.write_text("[tuned.remi]\ntrials = 8\nrecall_50 = 0.1\n")
    again.write_text('[tuned.remi]\ntrials = 8\nrecall_50 = 0.2\nfound_on = "office"\ndataset = "aaaaaaaaaaaa"\n')
    other.write_text('[tuned.remi]\ntrials = 8\nrecall_50 = 0.1\nsettings = { "train.learning_rate" = 1e-2 }\n')
    check_same(trained, load_config(str(first)), **INPUTS)
    check_same(trained, load_config(str(again)), **INPUTS)
    with pytest.raises(ArtifactError, match=r"another configuration: tuned\.remi"):
        check_same(trained, load_config(str(other)), **INPUTS)


def test_when_the_record_is_damaged_it_is_named(trained: Path) -> None:
    (trained / MADE_WITH).write_text("{")
    with pytest.raises(ArtifactError, match=f"{MADE_WITH} is damaged"):
        check_same(trained, load_config(), **INPUTS)


def test_an_empty_folder_and_a_grids_are_claimed(tmp_path: Path) -> None:
    claim(tmp_path / "new" / "grid")
    assert (tmp_path / "new" / "grid").is_dir()
    (tmp_path / STAGES).write_text("{}")
    claim(tmp_path)
