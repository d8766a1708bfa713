from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from eimf_local import artifacts
from eimf_local.data.dataset import Dataset
from eimf_local.data.storage import load_dataset, load_true_interests, save_dataset, save_true_interests
from eimf_local.errors import ArtifactError, InputError

DATASET = Dataset(
    users=("a", "\u05d0 b", "c"),
    items=("x", "y"),
    titles=('Pot, 24" <|im_end|>', "\U0001f600 " + "z" * 10_000),
    offsets=np.array([0, 3, 4, 5], dtype=np.int64),
    sequence=np.array([1, 2, 1, 1, 2], dtype=np.int32),
    timestamps=np.array([3, 3, 5, 1, 2], dtype=np.int64),
    statistics={"read": {"users": 3}, "tied_share": None, "order": "timestamp"},
)


@pytest.mark.parametrize("timed", [True, False])
def test_what_is_saved_is_loaded(tmp_path: Path, timed: bool) -> None:
    dataset = DATASET if timed else replace(DATASET, timestamps=None)
    save_dataset(dataset, tmp_path)
    loaded = load_dataset(tmp_path)
    for name in ("users", "items", "titles", "statistics"):
        assert getattr(loaded, name) == getattr(dataset, name)
    for name in ("offsets", "sequence", "timestamps"):
        expected, found = getattr(dataset, name), getattr(loaded, name)
        np.testing.assert_array_equal(found, expected)
        assert getattr(found, "dtype", None) == getattr(expected, "dtype", None)


def test_files_are_those_of_the_contract(tmp_path: Path) -> None:
    save_dataset(DATASET, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["items.parquet", "sequences.safetensors", "statistics.json", "users.parquet"]
    items = pl.read_parquet(tmp_path / "items.parquet")
    assert items.columns == ["item", "title", "count"]
    assert items["count"].to_list() == [3, 2]
    assert pl.read_parquet(tmp_path / "users.parquet").columns == ["user"]
    assert sorted(load_file(tmp_path / "sequences.safetensors")) == ["offsets", "sequence", "timestamps"]


def test_saving_is_deterministic(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        save_dataset(DATASET, folder)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()


def test_it_fills_an_artefact(tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    artifact = artifacts.write(out, "dataset", {}, {}, lambda folder: save_dataset(DATASET, folder))
    assert load_dataset(artifact.path).users == DATASET.users
    assert artifacts.is_current(out, "dataset", {}, {})


@pytest.mark.parametrize("name", ["users.parquet", "items.parquet", "sequences.safetensors", "statistics.json"])
@pytest.mark.parametrize("damage", ["missing", "rubbish"])
def test_when_a_file_is_missing_or_unreadable_one_named_error(tmp_path: Path, name: str, damage: str) -> None:
    save_dataset(DATASET, tmp_path)
    (tmp_path / name).unlink()
    if damage == "rubbish":
        (tmp_path / name).write_bytes(b"\x00\x01 no such thing")
    with pytest.raises(ArtifactError, match=r"holds no readable dataset.*eimf-local prepare"):
        load_dataset(tmp_path)


def test_true_interests_are_read_back_in_order(tmp_path: Path) -> None:
    interests = {"u2": ["loose leaf tea", "caf\xe9"], "u1": []}
    save_true_interests(interests, tmp_path / "true_interests.jsonl")
    assert list(load_true_interests(tmp_path / "true_interests.jsonl").items()) == list(interests.items())


@pytest.mark.parametrize("line", ["{", "[]", '{"user": "u"}', '{"user": "u", "interests": 3}'])
def test_when_a_line_of_true_interests_is_bad_error_gives_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "true_interests.jsonl"
    path.write_text('{"user": "a", "interests": ["tea"]}\n' + line + "\n")
    with pytest.raises(InputError, match=r"true_interests.jsonl line 2"):
        load_true_interests(path)
