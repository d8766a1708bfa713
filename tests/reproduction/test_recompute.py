"""What is stored against what is computed again, on the small dataset; a tampered record stands for another result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from eimf_local.artifacts import load, sha256_file
from eimf_local.config import load_config
from eimf_local.esim.encoder import TextEncoder, load_encoder
from eimf_local.progress import Reporter
from eimf_local.reproduction.recompute import recompute
from eimf_local.stages.datasets import open_dataset
from eimf_local.stages.interest_artifact import open_interests
from eimf_local.stages.training import train
from eimf_local.verification import examine_folder, usable

QUICK = ["train.max_steps=20", "train.evaluate_every=10", "train.batch_size=32"]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_encoder()


@pytest.fixture(scope="module")
def project(
    small_dataset: Path, small_interests: Path, encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Dataset, interests and a run side by side."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(small_dataset, folder / "shop")
    shutil.copytree(small_interests, folder / "shop-interests")
    config = load_config(None, QUICK)
    dataset = open_dataset(folder / "shop", config)
    interests = open_interests(folder / "shop-interests", dataset, config, encoder)
    train(
        dataset,
        interests=interests,
        encoder=encoder,
        out=folder / "shop-run",
        config=config,
        reporter=Reporter(),
    )
    return folder


def differences(folder: Path, encoder: TextEncoder) -> dict[str, list[str]]:
    found = recompute(folder, usable(examine_folder(folder)), encoder, Reporter())
    return {finding.path.name: list(finding.problems) for finding in found}


def reseal(place: Path, name: str) -> None:
    """Give a changed file the digest that it has now, as a forger would."""
    record = json.loads((place / "artifact.json").read_text())
    record["files"][name] = sha256_file(place / name)
    (place / "artifact.json").write_text(json.dumps(record))
    load(place, record["kind"])


def test_interests_and_runs_come_out_the_same_also_where_they_were_moved(
    project: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    moved = tmp_path / "ein anderer Ort"
    shutil.copytree(project, moved)
    before = {file: file.stat().st_mtime_ns for file in moved.rglob("*")}
    assert differences(moved, encoder) == {"shop-interests": [], "shop-run": []}
    assert {file: file.stat().st_mtime_ns for file in moved.rglob("*")} == before


def test_what_comes_out_otherwise_is_listed_with_both_values(
    project: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(project, forged)
    metrics = json.loads((forged / "shop-run" / "metrics.json").read_text())
    honest = metrics["test"]["Recall@20"]
    metrics["test"]["Recall@20"] = 0.99
    (forged / "shop-run" / "metrics.json").write_text(json.dumps(metrics))
    reseal(forged / "shop-run", "metrics.json")
    values = pl.read_parquet(forged / "shop-run" / "per_user.parquet")
    values.with_columns(pl.lit(1.0).alias("Recall@20")).write_parquet(forged / "shop-run" / "per_user.parquet")
    reseal(forged / "shop-run", "per_user.parquet")
    lines = (forged / "shop-interests" / "interests.jsonl").read_text().splitlines()
    first = json.loads(lines[0]) | {"interests": ["forgery"]}
    (forged / "shop-interests" / "interests.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    reseal(forged / "shop-interests", "interests.jsonl")
    told = differences(forged, encoder)
    assert told["shop-run"] == [
        f"has test Recall@20 0.99, computed again {honest}",
        "has other values of single users when computed again (per_user.parquet)",
    ]
    (interests,) = told["shop-interests"]
    assert f"has other interests of 1 of {len(lines)} exemplars" in interests
    assert "forgery" in interests


def test_a_run_alone_finds_its_inputs_beside_it_and_says_when_they_are_not(
    project: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    assert differences(project / "shop-run", encoder) == {"shop-run": []}
    lonely = tmp_path / "a" / "b" / "c" / "d" / "run"
    shutil.copytree(project / "shop-run", lonely)
    (problem,) = differences(lonely, encoder)["run"]
    assert "cannot be computed again: its dataset" in problem
    assert "put the dataset directory beside it" in problem


def test_another_encoder_and_a_model_that_is_not_here_are_named(
    project: Path, encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TextEncoder(encoder.folder, name="other", digest="0" * 64)
    assert all("give that one with --encoder" in told[0] for told in differences(project, other).values())
    monkeypatch.setattr("eimf_local.reproduction.recompute.list_models", list)
    assert "models add FILE" in differences(project / "shop-interests", encoder)["shop-interests"][0]
