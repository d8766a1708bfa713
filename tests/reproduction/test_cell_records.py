"""Finished runs as small JSON files, and back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from eimf_local.artifacts import load, sha256_file
from eimf_local.config import load_config
from eimf_local.errors import ArtifactError, InputError
from eimf_local.esim.encoder import DEFAULT_ENCODER
from eimf_local.progress import Reporter
from eimf_local.reproduction.cell_records import keep_cells, restore_cells
from eimf_local.reproduction.ground import Order
from eimf_local.reproduction.run import reproduce
from eimf_local.serving.recommend import Recommender
from eimf_local.stages.training import training_seconds

SETTINGS = [
    *("train.max_steps=20", "train.evaluate_every=10", "reproduce.seeds=2"),
    'reproduce.conditions=["pop", "remi"]',
]


def order(dataset: Path, interests: Path, out: Path) -> Order:
    config = load_config(None, SETTINGS)
    return Order(out=out, config=config, dataset=dataset, interests=(interests,), model=None, encoder=DEFAULT_ENCODER)


@pytest.fixture(scope="module")
def grid(small_dataset: Path, small_interests: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grids") / "g"
    reproduce(order(small_dataset, small_interests, out), Reporter())
    return out


def test_a_grid_goes_on_from_kept_cells_with_the_same_numbers(
    grid: Path, small_dataset: Path, small_interests: Path, tmp_path: Path
) -> None:
    assert keep_cells(grid, tmp_path / "cells") == 4
    again = tmp_path / "g"
    assert restore_cells(tmp_path / "cells", again) == 4
    assert restore_cells(tmp_path / "cells", again) == 0
    for folder in (grid / "runs").glob("*/seed-*"):
        kept, restored = load(folder, "run"), load(again / folder.relative_to(grid), "run")
        assert (restored.fingerprint, restored.packages) == (kept.fingerprint, kept.packages)
        tables = [pl.read_parquet(run.file("per_user.parquet")) for run in (kept, restored)]
        assert_frame_equal(*tables, check_exact=True)
        assert restored.file("metrics.json").read_bytes() == kept.file("metrics.json").read_bytes()
        assert "model.safetensors" not in restored.files
    written = {path: path.stat().st_mtime_ns for path in again.rglob("artifact.json")}
    reproduce(order(small_dataset, small_interests, again), Reporter())
    assert {path: path.stat().st_mtime_ns for path in again.rglob("artifact.json")} == written
    assert (again / "metrics.json").read_bytes() == (grid / "metrics.json").read_bytes()


def test_a_cell_is_small(grid: Path, tmp_path: Path) -> None:
    keep_cells(grid, tmp_path / "cells")
    assert max(path.stat().st_size for path in (tmp_path / "cells").glob("*/seed-*.json")) < 12_000


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"config": {}}'])
def test_a_damaged_cell_is_named(grid: Path, tmp_path: Path, damage: str) -> None:
    keep_cells(grid, tmp_path / "cells")
    (tmp_path / "cells" / "remi" / "seed-1.json").write_text(damage)
    with pytest.raises(ArtifactError, match=r"seed-1\.json is damaged"):
        restore_cells(tmp_path / "cells", tmp_path / "g")
    command = [sys.executable, "-m", "eimf_local.reproduction.cell_records", "restore", tmp_path / "cells", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_values_of_other_users_are_damage(grid: Path, tmp_path: Path) -> None:
    keep_cells(grid, tmp_path / "cells")
    users = json.loads((tmp_path / "cells" / "users.json").read_text())
    (tmp_path / "cells" / "users.json").write_text(json.dumps(users[1:]))
    with pytest.raises(ArtifactError, match=rf"is damaged \(values of {len(users)} users for {len(users) - 1}\)"):
        restore_cells(tmp_path / "cells", tmp_path / "g")


def test_rows_that_nobody_has_are_damage(grid: Path, tmp_path: Path) -> None:
    keep_cells(grid, tmp_path / "cells")
    path = tmp_path / "cells" / "remi" / "seed-0.json"
    cell = json.loads(path.read_text())
    cell["per_user"]["columns"] = cell["per_user"]["columns"][::2]
    path.write_text(json.dumps(cell))
    with pytest.raises(ArtifactError, match=r"seed-0\.json is damaged \(\d+ rows for \d+\)"):
        restore_cells(tmp_path / "cells", tmp_path / "g")


def test_what_is_kept_or_restored_of_other_users_or_configurations_is_refused(grid: Path, tmp_path: Path) -> None:
    cells = tmp_path / "cells"
    keep_cells(grid, cells)
    copy = tmp_path / "g"
    shutil.copytree(grid, copy)
    run = copy / "runs" / "remi" / "seed-1"
    pl.read_parquet(run / "per_user.parquet")[1:].write_parquet(run / "per_user.parquet")
    record = json.loads((run / "artifact.json").read_text())
    record["files"]["per_user.parquet"] = sha256_file(run / "per_user.parquet")
    (run / "artifact.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match="other users"):
        keep_cells(copy, cells)
    (copy / "made-with.json").write_text("{}")
    with pytest.raises(ArtifactError, match="another configuration"):
        restore_cells(cells, copy)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="something else than a grid"):
        restore_cells(cells, tmp_path / "mine")


def test_a_mistyped_folder_is_named(grid: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no finished grid"):
        keep_cells(tmp_path / "nowhere", tmp_path / "cells")
    with pytest.raises(InputError, match="holds no kept cells"):
        restore_cells(tmp_path / "nowhere", tmp_path / "g")
    assert not any(tmp_path.iterdir())


def test_a_cell_of_another_schema_is_refused(grid: Path, tmp_path: Path) -> None:
    keep_cells(grid, tmp_path / "cells")
    path = tmp_path / "cells" / "remi" / "seed-0.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(ArtifactError, match="kept by another version"):
        restore_cells(tmp_path / "cells", tmp_path / "g")


def test_a_restored_run_says_that_it_cannot_recommend(grid: Path, tmp_path: Path) -> None:
    keep_cells(grid, tmp_path / "cells")
    restore_cells(tmp_path / "cells", tmp_path / "g")
    with pytest.raises(ArtifactError, match=r"has no catalogue\.parquet"):
        Recommender.load(tmp_path / "g" / "runs" / "remi" / "seed-0")


def test_lost_times_are_named(grid: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(grid / "runs" / "remi" / "seed-0", run)
    assert training_seconds(run) > 0
    (run / "timing.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"timing\.json is missing or damaged"):
        training_seconds(run)
