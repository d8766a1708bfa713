"""Training, evaluation and serving of whole runs on the small demo."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch

from eimf_local.artifacts import load
from eimf_local.config import Config, load_config
from eimf_local.disk import work_folder
from eimf_local.errors import ConfigError, InputError
from eimf_local.esim.encoder import TextEncoder, load_encoder
from eimf_local.ibim.storage import load_model
from eimf_local.progress import Reporter
from eimf_local.serving.recommend import Recommender
from eimf_local.stages.datasets import open_dataset
from eimf_local.stages.evaluation import evaluate_runs
from eimf_local.stages.interest_artifact import open_interests
from eimf_local.stages.training import train

QUICK = ["train.max_steps=40", "train.evaluate_every=20", "train.batch_size=32"]


class Recording(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.notes: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def progress(self, task: str, done: int, total: int, note: str = "") -> None:
        self.notes.append(f"{task} {done}/{total} {note}")


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_encoder()


def train_small(
    dataset: Path,
    interests: Path | None,
    out: Path,
    encoder: TextEncoder,
    *settings: str,
    reporter: Reporter | None = None,
) -> Path:
    config: Config = load_config(None, [*QUICK, *settings])
    opened = open_dataset(dataset, config)
    return train(
        opened,
        interests=open_interests(interests, opened, config, encoder) if interests else None,
        encoder=encoder,
        out=out,
        config=config,
        reporter=reporter or Reporter(),
    ).path


@pytest.fixture(scope="module")
def eimf(
    small_dataset: Path, small_interests: Path, encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return train_small(small_dataset, small_interests, tmp_path_factory.mktemp("runs") / "eimf", encoder)


def test_a_run_stores_metrics_per_user_values_curves_and_model(eimf: Path, small_dataset: Path) -> None:
    metrics = json.loads((eimf / "metrics.json").read_text())
    values = pl.read_parquet(eimf / "per_user.parquet")
    dataset = open_dataset(small_dataset, load_config())
    assert values["user"].to_list() == [dataset.data.users[user] for user in dataset.split.test.users]
    for name, mean in metrics["test"].items():
        assert values[name].mean() == pytest.approx(mean)
        assert 0 <= mean <= 1
    curves = [json.loads(line) for line in (eimf / "curves.jsonl").read_text().splitlines()]
    assert [row["step"] for row in curves] == [20, 40]
    assert {"recommendation", "routing", "prediction", "alignment"} <= set(curves[0]["loss"])
    assert load_model(eimf).n_items == dataset.data.n_items
    assert not work_folder(eimf).exists()


def test_a_finished_run_is_a_no_op_that_says_so(
    eimf: Path, small_dataset: Path, small_interests: Path, encoder: TextEncoder
) -> None:
    reporter = Recording()
    before = (eimf / "artifact.json").read_bytes()
    train_small(small_dataset, small_interests, eimf, encoder, reporter=reporter)
    assert reporter.said == [f"{eimf} is up to date"]
    assert (eimf / "artifact.json").read_bytes() == before


def test_unfinished_work_under_other_settings_is_not_in_the_way(
    small_dataset: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    class Interrupting(Reporter):
        def progress(self, task: str, done: int, total: int, note: str = "") -> None:
            if task == "train" and done > 20:
                raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_small(small_dataset, None, out, encoder, "train.seed=1", reporter=Interrupting())
    assert any(work_folder(out).iterdir())
    run = train_small(small_dataset, None, out, encoder, "train.seed=2")
    assert load(run, "run").config["train"]["seed"] == 2
    assert any(work_folder(out).iterdir())  # it stays, for whoever goes back to seed 1
    train_small(small_dataset, None, tmp_path / "whole", encoder, "train.seed=1")
    run = train_small(small_dataset, None, out, encoder, "train.seed=1")
    assert load(run, "run").files["model.safetensors"] == load(tmp_path / "whole", "run").files["model.safetensors"]
    assert not work_folder(out).exists()


def test_training_is_deterministic(
    eimf: Path, small_dataset: Path, small_interests: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    again = train_small(small_dataset, small_interests, tmp_path / "again", encoder)
    for name in ("model.safetensors", "per_user.parquet"):
        assert load(again, "run").files[name] == load(eimf, "run").files[name]


@pytest.mark.parametrize(
    "settings",
    [
        ("semantics.shuffled=true",),
        ("semantics.source=titles",),
        ("objective.predict=false",),
        ("objective.align_users=false", "objective.align_items=false"),
        ("objective.target_aware=false",),
        ("objective.semantic_space=text",),
        ("loss.kind=full",),
        ("model.item_init=text",),
        ("objective.full_softmax_up_to=0",),
    ],
    ids=lambda settings: settings[0],
)
def test_every_switch_of_the_objective_trains_another_model(
    settings: tuple[str, ...],
    eimf: Path,
    small_dataset: Path,
    small_interests: Path,
    encoder: TextEncoder,
    tmp_path: Path,
) -> None:
    run = train_small(small_dataset, small_interests, tmp_path / "run", encoder, *settings)
    assert load(run, "run").files["model.safetensors"] != load(eimf, "run").files["model.safetensors"]


@pytest.mark.parametrize(
    "settings",
    [
        ("model.backbone=pop",),
        ("model.backbone=comirec-sa",),
        ("model.backbone=bert4rec", "model.item_init=text"),
        ("model.backbone=sasrec", "loss.kind=full"),
        ("loss.readout=soft",),
        ("semantics.source=item-text", "objective.predict=false", "objective.align_users=false"),
    ],
    ids=lambda settings: settings[0],
)
def test_what_needs_no_interests_trains_without(
    settings: tuple[str, ...], small_dataset: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    run = train_small(small_dataset, None, tmp_path / "run", encoder, *settings)
    assert "interests" not in load(run, "run").inputs


@pytest.mark.parametrize("backbone", ["bert4rec", "mind", "comirec-sa"])
def test_eimf_works_on_every_backbone_of_table_5(
    backbone: str, small_dataset: Path, small_interests: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    run = train_small(small_dataset, small_interests, tmp_path / "run", encoder, f"model.backbone={backbone}")
    curves = [json.loads(line) for line in (run / "curves.jsonl").read_text().splitlines()]
    assert {"recommendation", "prediction", "alignment"} <= set(curves[0]["loss"])
    assert ("cloze" in curves[0]["loss"]) == (backbone == "bert4rec")


def test_a_run_records_the_settings_of_its_own_backbone_only(
    small_dataset: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    run = train_small(small_dataset, None, tmp_path / "run", encoder, "model.backbone=ease", "model.dropout=0.5")
    model = load(run, "run").config["model"]
    assert model.keys() == {"backbone", "item_init", "dim", "interests", "max_length", "ease_regularisation"}
    again = Recording()
    train_small(
        small_dataset, None, tmp_path / "run", encoder, "model.backbone=ease", "model.dropout=0.1", reporter=again
    )
    assert again.said == [f"{tmp_path / 'run'} is up to date"]


def test_an_unknown_backbone_is_refused_before_any_work(
    small_dataset: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="unknown backbone 'bert4reck' — did you mean 'bert4rec'"):
        train_small(small_dataset, None, tmp_path / "run", encoder, "model.backbone=bert4reck")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["item-knn", "ease"])
def test_linear_models_are_served_as_they_are_evaluated(
    name: str, small_dataset: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    run = train_small(small_dataset, None, tmp_path / "run", encoder, f"model.backbone={name}")
    data, backbone = open_dataset(small_dataset, load_config()).data, load_model(run)
    (served,) = Recommender.load(run).for_users([data.users[3]], k=5)
    history = torch.from_numpy(data.history(3)[-backbone.max_length :].astype("int64"))[None]
    scores = (backbone.encode(history, history > 0) @ backbone.item_vectors().T)[0, 0]
    assert [one.score for one in served] == pytest.approx(sorted(scores[1:].tolist(), reverse=True)[:5], abs=1e-5)


def test_titles_as_interests_need_exemplars(small_dataset: Path, encoder: TextEncoder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give --interests"):
        train_small(small_dataset, None, tmp_path / "run", encoder, "semantics.source=titles")


def test_evaluate_compares_runs_over_the_same_users(
    eimf: Path, small_dataset: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    pop = train_small(small_dataset, None, tmp_path / "pop", encoder, "model.backbone=pop")
    first, second = evaluate_runs([eimf, pop])
    assert first.differences == {}
    for name, difference in second.differences.items():
        assert difference.mean == pytest.approx(second.metrics[name].mean - first.metrics[name].mean)
        assert difference.low <= difference.mean <= difference.high
    other = train_small(small_dataset, None, tmp_path / "other", encoder, "model.backbone=pop", "split.seed=5")
    with pytest.raises(InputError, match="another dataset or split"):
        evaluate_runs([eimf, other])


@pytest.fixture(scope="module")
def recommender(eimf: Path) -> Recommender:
    return Recommender.load(eimf)


def test_a_history_gets_what_its_user_gets(recommender: Recommender, small_dataset: Path) -> None:
    data = open_dataset(small_dataset, load_config()).data
    user = data.users[3]
    history = [data.items[item - 1] for item in data.history(3)]
    (known,) = recommender.for_users([user], k=10)
    (raw,) = recommender.for_histories([history], k=10)
    assert known == raw
    assert len({found.item for found in known}) == 10
    assert [found.score for found in known] == sorted((found.score for found in known), reverse=True)


def test_seen_items_can_be_left_out(recommender: Recommender, small_dataset: Path) -> None:
    data = open_dataset(small_dataset, load_config()).data
    for user in range(20):
        seen = {data.items[item - 1] for item in data.history(user)}
        (found,) = recommender.for_users([data.users[user]], k=15, exclude_seen=True)
        assert len(found) == 15
        assert not seen & {one.item for one in found}


def test_a_batch_equals_its_parts(recommender: Recommender, small_dataset: Path) -> None:
    users = list(open_dataset(small_dataset, load_config()).data.users[:7])
    together = recommender.for_users(users, k=5)
    for user, found in zip(users, together, strict=True):
        (alone,) = recommender.for_users([user], k=5)
        assert [one.item for one in alone] == [one.item for one in found]


def test_unknown_users_and_items_are_named(recommender: Recommender) -> None:
    with pytest.raises(InputError, match="user 'nobody' is not in this run's dataset"):
        recommender.for_users(["nobody"], k=3)
    with pytest.raises(InputError, match="item 'x9' is not in this run's catalogue"):
        recommender.for_histories([["x9"]], k=3)
    with pytest.raises(InputError, match="history is empty"):
        recommender.for_histories([[]], k=3)
