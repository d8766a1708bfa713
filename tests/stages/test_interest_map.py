"""The map of users in an interests artefact, and Ctrl-C while exemplars are chosen."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import polars as pl
import pytest

from eimf_local.artifacts import load
from eimf_local.config import load_config
from eimf_local.disk import work_folder
from eimf_local.esim.encoder import TextEncoder, load_encoder
from eimf_local.esim.model_files import BUNDLED_MODEL, resolve_model
from eimf_local.progress import Reporter
from eimf_local.stages.datasets import OpenDataset, open_dataset
from eimf_local.stages.interests import import_file, infer

CONFIG = load_config(None, ["exemplars.fraction=0.06"])


@pytest.fixture(scope="module")
def dataset(small_dataset: Path) -> OpenDataset:
    return open_dataset(small_dataset, CONFIG)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_encoder()


@pytest.fixture(scope="module")
def imported(dataset: OpenDataset, encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same four users' interests, imported twice; the users are not in the order of the dataset."""
    folder = tmp_path_factory.mktemp("imported")
    users = [dataset.data.users[int(user)] for user in dataset.split.train_users[[7, 3, 50, 20]]]
    file = folder / "mine.jsonl"
    file.write_text("".join(json.dumps({"user": user, "interests": ["pens", "tea"]}) + "\n" for user in users))
    for name in ("one", "other"):
        import_file(
            dataset,
            file,
            encoder=encoder,
            llm=None,
            drop_unknown=False,
            out=folder / name,
            config=CONFIG,
            reporter=Reporter(),
        )
    return [folder / "one", folder / "other"]


def test_every_training_user_of_a_small_set_is_on_the_map_with_its_cluster(
    imported: list[Path], dataset: OpenDataset
) -> None:
    table = pl.read_parquet(load(imported[0], "interests").file("map.parquet"))
    assignment = pl.read_parquet(imported[0] / "assignment.parquet")
    assert table.select("user", "cluster").equals(assignment.select("user", "cluster"))
    assert table.schema["x"] == table.schema["y"] == pl.Float32
    assert table.filter("exemplar")["user"].to_list() == sorted(set(assignment["exemplar"]))


def test_exemplars_bear_the_newest_title_that_esim_sees(imported: list[Path], dataset: OpenDataset) -> None:
    table = pl.read_parquet(imported[0] / "map.parquet")
    assert table.filter(~pl.col("exemplar"))["title"].null_count() == table.height - 4
    for user, title in table.filter("exemplar").select("user", "title").iter_rows():
        items = dataset.data.history(dataset.data.users.index(user))
        assert title == dataset.data.titles[items[int(0.8 * len(items)) - 1] - 1]


def test_two_runs_give_the_same_map_byte_for_byte(imported: list[Path]) -> None:
    one, other = (folder / "map.parquet" for folder in imported)
    assert one.read_bytes() == other.read_bytes()


class Impatient(Reporter):
    """Presses Ctrl-C in the third iteration of affinity propagation."""

    def progress(self, task: str, done: int, total: int, note: str = "") -> None:
        if task == "affinity propagation" and done == 3:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_while_exemplars_are_chosen_leaves_nothing(
    dataset: OpenDataset, encoder: TextEncoder, tmp_path: Path
) -> None:
    out = tmp_path / "interests"
    with pytest.raises(KeyboardInterrupt):
        infer(
            dataset,
            encoder=encoder,
            model=resolve_model(BUNDLED_MODEL),
            users=None,
            out=out,
            config=CONFIG,
            reporter=Impatient(),
        )
    assert not list(tmp_path.iterdir())
    assert not work_folder(out).exists()
