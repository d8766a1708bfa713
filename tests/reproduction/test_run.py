"""A whole small grid: worker processes, report, resumption, failures."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from eimf_local.config import load_config
from eimf_local.errors import ArtifactError, InputError, TrainingError
from eimf_local.esim.encoder import load_encoder
from eimf_local.esim.model_files import BUNDLED_MODEL
from eimf_local.progress import Reporter
from eimf_local.reproduction.cells import NOT_STARTED, Cell, run_cells
from eimf_local.reproduction.conditions import CONDITIONS as KNOWN
from eimf_local.reproduction.ground import Order
from eimf_local.reproduction.run import reproduce
from eimf_local.stages.datasets import open_dataset, prepare_dataset
from eimf_local.stages.interests import import_file

CONDITIONS = ("pop", "remi", "eimf", "shuffled")
SETTINGS = [
    "train.max_steps=20",
    "train.evaluate_every=10",
    "train.batch_size=32",
    "reproduce.seeds=2",
    f"reproduce.conditions={json.dumps(CONDITIONS)}",
]


def order(dataset: Path, interests: Path, out: Path) -> Order:
    return Order(
        out=out,
        config=load_config(None, SETTINGS),
        dataset=dataset,
        interests=(interests,),
        model=None,
        encoder="all-MiniLM-L6-v2",
    )


@pytest.fixture(scope="module")
def grid(small_dataset: Path, small_interests: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grid") / "g"
    reproduce(order(small_dataset, small_interests, out), Reporter())
    return out


def run_times(grid: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(grid.glob("runs/*/*/artifact.json"))}


def test_every_cell_ran_and_the_report_tells_of_it(grid: Path) -> None:
    record = json.loads((grid / "grid.json").read_text())
    assert [row["name"] for row in record["conditions"]] == list(CONDITIONS)
    assert all(len(row["runs"]) == 2 and not row["failed"] for row in record["conditions"])
    assert record["provisional"]
    assert len(run_times(grid)) == 8
    text = (grid / "report.md").read_text("utf-8")
    for row in record["conditions"]:
        assert row["label"] in text
    html = (grid / "report.html").read_text("utf-8")
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html


def test_a_finished_grid_computes_nothing_again(grid: Path, small_dataset: Path, small_interests: Path) -> None:
    before, metrics = run_times(grid), (grid / "metrics.json").read_text()
    reproduce(order(small_dataset, small_interests, grid), Reporter())
    assert run_times(grid) == before
    assert (grid / "metrics.json").read_text() == metrics


def test_a_failing_cell_is_named_and_does_not_stop_the_others(
    grid: Path, small_dataset: Path, small_interests: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "g"
    shutil.copytree(grid, copy)
    shutil.rmtree(copy / "runs" / "remi" / "seed-1")
    shutil.rmtree(copy / "runs" / "eimf" / "seed-1")
    (copy / "runs" / "remi" / "seed-1").mkdir()
    (copy / "runs" / "remi" / "seed-1" / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="1 runs failed: remi seed 1"):
        reproduce(order(small_dataset, small_interests, copy), Reporter())
    assert (copy / "runs" / "eimf" / "seed-1" / "artifact.json").exists()
    assert (copy / "runs" / "remi" / "seed-1" / "notes.txt").read_text() == "mine"
    assert "seed 1" in (copy / "report.md").read_text("utf-8")


def test_a_folder_of_the_users_is_not_taken_for_a_grid(
    small_dataset: Path, small_interests: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="choose another --out"):
        reproduce(order(small_dataset, small_interests, tmp_path), Reporter())
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_a_second_run_on_the_same_folder_is_refused_while_one_holds_it(
    small_dataset: Path, small_interests: Path, tmp_path: Path, hold: Callable[[Path], int]
) -> None:
    (tmp_path / "stages.json").write_text("{}")
    with pytest.raises(InputError, match=f"in use by process {hold(tmp_path)}"):
        reproduce(order(small_dataset, small_interests, tmp_path), Reporter())


def test_when_a_worker_is_killed_its_cells_are_trained_all_the_same(small_dataset: Path, tmp_path: Path) -> None:
    config = load_config(None, [*SETTINGS, "train.max_steps=400"])
    cells = [
        Cell("remi", seed, small_dataset, None, "all-MiniLM-L6-v2", tmp_path / f"seed-{seed}", config)
        for seed in (0, 1)
    ]
    killed: list[int] = []

    def kill_one() -> None:
        while not killed:
            work = [entry for entry in tmp_path.glob("*.work/*/*") if not entry.name.startswith(".")]
            if work:  # a worker has trained, and written its first checkpoint
                victim = multiprocessing.active_children()[0]
                killed.append(victim.pid or 0)
                victim.kill()
            time.sleep(0.01)

    threading.Thread(target=kill_one, daemon=True).start()
    outcomes = list(run_cells(cells, workers=2))
    assert len(killed) == 1
    assert sorted(outcome.cell.seed for outcome in outcomes) == [0, 1]
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert all((tmp_path / f"seed-{seed}" / "artifact.json").exists() for seed in (0, 1))


def test_a_loss_that_is_not_finite_stops_its_cell_alone_and_the_cause_is_named(
    small_dataset: Path, small_interests: Path, tmp_path: Path
) -> None:
    settings = [
        *SETTINGS,
        "train.learning_rate=1e30",
        'reproduce.conditions=["pop", "remi"]',
        "reproduce.seeds=1",
    ]
    made = replace(order(small_dataset, small_interests, tmp_path / "g"), config=load_config(None, settings))
    with pytest.raises(TrainingError, match=r"1 runs failed: remi seed 0 \(the loss is (nan|inf)") as error:
        reproduce(made, Reporter())
    assert "\n" not in str(error.value)
    record = json.loads((tmp_path / "g" / "grid.json").read_text())
    by_name = {row["name"]: row for row in record["conditions"]}
    assert by_name["pop"]["runs"] == ["runs/pop/seed-0"]
    assert by_name["remi"]["runs"] == []
    assert "term: " in by_name["remi"]["failed"][0]["error"]
    assert "none, 1 failed" in (tmp_path / "g" / "report.md").read_text("utf-8")


def test_a_grid_of_another_configuration_is_refused_and_left_as_it_is(
    grid: Path, small_dataset: Path, small_interests: Path
) -> None:
    before = run_times(grid)
    other = load_config(None, [*SETTINGS, "train.max_steps=30"])
    with pytest.raises(ArtifactError, match=r"another configuration: train\.max_steps is 20 there and 30 here"):
        reproduce(replace(order(small_dataset, small_interests, grid), config=other), Reporter())
    assert run_times(grid) == before


def test_without_titles_the_behavioural_models_run_and_the_others_are_named(tmp_path: Path) -> None:
    config = load_config(None, [*SETTINGS, 'reproduce.conditions=["pop", "dnn", "eimf", "text-init"]'])
    dataset = untitled_dataset(tmp_path)
    order = Order(tmp_path / "g", config, dataset, (), BUNDLED_MODEL, "all-MiniLM-L6-v2")
    teller = Teller()
    reproduce(order, teller)
    assert f"{dataset} has no titles; not run: eimf, text-init" in teller.told
    record = json.loads((tmp_path / "g" / "grid.json").read_text())
    assert [row["name"] for row in record["conditions"]] == ["pop", "dnn"]
    assert {(one["name"], one["reason"]) for one in record["not_run"]} == {
        (name, "the data set has no titles") for name in ("eimf", "text-init")
    }
    assert not (tmp_path / "g" / "interests").exists()
    with pytest.raises(InputError, match="no titles, and everything asked for needs them") as error:
        reproduce(replace(order, only=("text-init",)), Reporter())
    assert "\n" not in str(error.value)


def untitled_dataset(folder: Path) -> Path:
    rows = [
        f"u{user:03},i{(user * 7 + step * (1 + user % 5)) % 30:02},{step}" for user in range(80) for step in range(9)
    ]
    (folder / "log.csv").write_text("\n".join(["user,item,timestamp", *rows]))
    prepare_dataset(
        folder / "log.csv", format="table", titles=None, columns={}, out=folder / "untitled", config=load_config(),
        reporter=Reporter(),
    )  # fmt: skip
    return folder / "untitled"


def test_runs_of_other_interests_by_the_same_name_are_not_shown(
    grid: Path, small_dataset: Path, small_interests: Path, tmp_path: Path
) -> None:
    copy, config = tmp_path / "g", load_config()
    shutil.copytree(grid, copy)
    records = [json.loads(line) for line in (small_interests / "interests.jsonl").read_text("utf-8").splitlines()]
    others = [{"user": record["user"], "interests": ["garden tools", *record["interests"]]} for record in records]
    (tmp_path / "others.jsonl").write_text("\n".join(map(json.dumps, others)))
    imported = import_file(
        open_dataset(small_dataset, config), tmp_path / "others.jsonl", encoder=load_encoder(), llm=None,
        drop_unknown=False, out=tmp_path / small_interests.name, config=config, reporter=Reporter(),
    )  # fmt: skip
    reproduce(replace(order(small_dataset, imported.artifact.path, copy), only=("pop",)), Reporter())
    record = json.loads((copy / "grid.json").read_text())
    assert [row["name"] for row in record["conditions"]] == ["pop", "remi"]
    left = {row["name"]: row for row in record["not_run"]}
    assert set(left) == {"eimf", "shuffled"}
    assert left["eimf"]["seeds"] == [0, 1]
    assert left["eimf"]["reason"].startswith("what is there is damaged, or of other interests")


class Teller(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def say(self, message: str) -> None:
        self.told.append(message)


def test_with_a_budget_too_small_the_plan_is_told_and_what_is_not_run_has_its_command(
    grid: Path, small_dataset: Path, small_interests: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "g"
    shutil.copytree(grid, copy)
    shutil.rmtree(copy / "runs" / "remi" / "seed-1")
    before, teller = run_times(copy), Teller()
    made = order(small_dataset, small_interests, copy)
    reproduce(replace(made, budget=1e-6, command="eimf-local reproduce x.toml --out g"), teller)
    assert run_times(copy) == before
    assert any(line.startswith("plan: 7 cells finished, 1 to train") for line in teller.told)
    record = json.loads((copy / "grid.json").read_text())
    assert record["not_run"] == [
        {"name": "remi", "label": "REMI", "seeds": [1], "reason": "it did not fit into the budget"}
    ]
    assert "eimf-local reproduce x.toml --out g --only remi" in (copy / "report.md").read_text("utf-8")
    reproduce(replace(made, only=("remi",)), Reporter())
    assert set(run_times(copy)) > set(before)
    assert json.loads((copy / "grid.json").read_text())["not_run"] == []


def test_a_budget_of_zero_tells_the_plan_alone_and_asks_about_the_methods_exemplars_only(
    small_dataset: Path, tmp_path: Path
) -> None:
    settings = [*SETTINGS, "exemplars.fraction=0.06", 'reproduce.parts=["fig5"]', "reproduce.seeds=1",
                'reproduce.conditions=["eimf", "fraction-100"]']  # fmt: skip
    made = Order(
        tmp_path / "g", load_config(None, settings), small_dataset, (), BUNDLED_MODEL, "all-MiniLM-L6-v2", budget=0
    )
    teller = Teller()
    assert reproduce(made, teller) is None
    assert any(line.startswith("plan: 0 cells finished, 2 to train") for line in teller.told)
    assert sum(line.startswith("interests of ") for line in teller.told) == 1
    assert not any("budget" in line or " fit" in line for line in teller.told)
    assert {path.name for path in (tmp_path / "g" / "interests").iterdir()} == {BUNDLED_MODEL}
    assert not (tmp_path / "g" / "runs").exists()
    assert not (tmp_path / "g" / "report.md").exists()
    reproduce(replace(made, budget=None), Reporter())
    again = Teller()
    assert reproduce(made, again) is None
    assert any(line.startswith("plan: 2 cells finished, 0 to train") for line in again.told)


def pop_cells(dataset: Path, folder: Path, count: int) -> list[Cell]:
    config = load_config(None, SETTINGS)
    return [
        Cell(
            "pop",
            seed,
            dataset,
            None,
            "all-MiniLM-L6-v2",
            folder / f"seed-{seed}",
            KNOWN["pop"].apply(config, seed=seed),
        )
        for seed in range(count)
    ]


def test_after_the_deadline_no_further_cell_is_started(small_dataset: Path, tmp_path: Path) -> None:
    cells = pop_cells(small_dataset, tmp_path, 12)
    outcomes = list(run_cells(cells, workers=1, deadline=time.monotonic() + 0.5))  # a worker needs longer to come up
    errors = {outcome.cell.seed: outcome.error for outcome in outcomes}
    assert errors == {0: None} | dict.fromkeys(range(1, 12), NOT_STARTED)


def test_whoever_stops_early_hears_nothing_of_the_pool(
    small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[object] = []
    monkeypatch.setattr(threading, "excepthook", broken.append)
    outcomes = run_cells(pop_cells(small_dataset, tmp_path, 12), workers=1)
    assert next(outcomes).error is None
    outcomes.close()
    assert not broken


def test_every_share_of_exemplars_and_a_case_study_are_made_by_the_model_and_answers_are_shared(
    small_dataset: Path, tmp_path: Path
) -> None:
    settings = [*SETTINGS, "reproduce.seeds=1", "exemplars.fraction=0.06", 'reproduce.parts=["fig5", "fig8", "fig9"]',
                'reproduce.conditions=["remi", "eimf", "fraction-100", "fraction-50"]']  # fmt: skip
    teller = Teller()
    made = Order(tmp_path / "g", load_config(None, settings), small_dataset, (), BUNDLED_MODEL, "all-MiniLM-L6-v2")
    reproduce(made, teller)
    shares = {}
    for name in ("fraction-100", "fraction-50"):
        chosen = pl.read_parquet(tmp_path / "g" / "interests" / name / "assignment.parquet")
        shares[name] = chosen["exemplar"].n_unique() / chosen.height
    assert shares["fraction-100"] == 1
    assert shares["fraction-50"] == pytest.approx(0.5, abs=0.1)
    asked = [line for line in teller.told if line.startswith("interests of ")]
    assert len(asked) == 2  # the method's own, and all others; half of the users and the case study ask nobody anew
    record = json.loads((tmp_path / "g" / "grid.json").read_text())
    assert [point["condition"] for point in record["parts"][0]["points"]][-1] == "eimf"
    case = record["case_study"]["cases"][0]
    assert case["user"] != case["exemplar"]
    assert case["own_interests"]
    assert len(case["similar"]) + len(case["other"]) >= 2 * len(case["clicks"])
    page = (tmp_path / "g" / "report.html").read_text("utf-8")
    for heading in ("Figure 5: share of exemplars", "Figure 8: case study", "Figure 9: word clouds"):
        assert f">{heading}</h2>" in page
