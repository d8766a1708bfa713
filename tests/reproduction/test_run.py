"""A whole small grid: worker processes, report, resumption, failures."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from eimf_local.config import load_config
from eimf_local.errors import ArtifactError, InputError, TrainingError
from eimf_local.progress import Reporter
from eimf_local.reproduction.cells import Cell, run_cells
from eimf_local.reproduction.ground import Order
from eimf_local.reproduction.run import reproduce

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
    results, again = json.loads(metrics), json.loads((grid / "metrics.json").read_text())
    assert {key: value for key, value in again.items() if key != "grid_digest"} == {
        key: value for key, value in results.items() if key != "grid_digest"
    }


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
    small_dataset: Path, small_interests: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from eimf_local.artifacts import locked\n"
        "with locked(Path(sys.argv[1]), Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    (tmp_path / "stages.json").write_text("{}")
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"in use by process {holder.pid}"):
        reproduce(order(small_dataset, small_interests, tmp_path), Reporter())
    holder.communicate()


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
