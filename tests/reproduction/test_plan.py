"""Estimates from finished cells, and what fits into a budget. No training, but for the calibration."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest

from eimf_local.config import load_config
from eimf_local.errors import TrainingError
from eimf_local.progress import Reporter
from eimf_local.reproduction import plan as module
from eimf_local.reproduction.cells import Cell
from eimf_local.reproduction.conditions import CONDITIONS
from eimf_local.reproduction.folder import CALIBRATION
from eimf_local.reproduction.plan import Plan, StepCost, calibrate, make_plan, remaining

MINUTE = 60.0


def cell(out: Path, condition: str, seed: int) -> Cell:
    config = CONDITIONS[condition].apply(
        load_config(None, ["train.max_steps=1000", "train.evaluate_every=100"]), seed=seed
    )
    return Cell(condition, seed, out, None, "none", out / condition / str(seed), config)


def finish(cell: Cell, *, seconds: float, steps: int) -> Path:
    cell.out.mkdir(parents=True)
    (cell.out / "metrics.json").write_text(json.dumps({"steps": steps}))
    (cell.out / "timing.json").write_text(json.dumps({"seconds": seconds}))
    return cell.out


def planned(cells: list[Cell], finished: list[Path], out: Path, *, budget: float, workers: int = 1) -> Plan:
    return make_plan(cells, finished, out=out, workers=workers, n_items=12_000, budget=budget, reporter=Reporter())


def test_a_cell_costs_what_the_same_condition_took_under_other_seeds(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "remi", seed) for seed in range(4)]
    finished = [finish(cells[0], seconds=50, steps=500), finish(cells[1], seconds=70, steps=700)]
    plan = planned(cells, finished, tmp_path, budget=MINUTE)
    assert [(one.seconds, one.finished) for one in plan.chosen] == [(0, True), (0, True), (60, False)]
    assert [one.cell.seed for one in plan.rest] == [3]
    assert "plan: 2 cells finished, 2 to train, about 2.0 min on 1 workers" in plan.lines()[0]
    assert plan.lines()[-1] == "budget: 1.0 min left for training; 1 of 2 cells fit (about 1.0 min), 1 are not run"


def test_an_unseen_condition_costs_its_calibrated_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[str] = []
    monkeypatch.setattr(module, "calibrate", lambda one: timed.append(one.condition) or StepCost(0.1, 2.0, 5.0))
    cells = [cell(tmp_path, name, seed) for seed in (0, 1) for name in ("remi", "gamma-zero", "mind")]
    plan = planned(cells, [], tmp_path, budget=1e6)
    assert [one.seconds for one in plan.chosen] == pytest.approx([5 + 1000 * 0.1 + 10 * 2.0] * 6)
    assert timed == ["remi", "mind"]  # gamma-zero takes the same kind of step as remi
    planned(cells, [], tmp_path, budget=1e6)
    assert len(timed) == 2  # kept in the grid's folder
    assert len(json.loads((tmp_path / CALIBRATION).read_text())) == 2


def test_steps_are_those_that_finished_cells_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "calibrate", lambda one: StepCost(0.1, 0.0, 0.0))
    cells = [cell(tmp_path, "remi", 0), cell(tmp_path, "mind", 0), cell(tmp_path, "pop", 0)]
    plan = planned(cells, [finish(cells[0], seconds=1, steps=300)], tmp_path, budget=1e6)
    assert [one.seconds for one in plan.chosen] == pytest.approx([0, 30, 10])


def test_of_the_closed_forms_ease_alone_grows_with_the_cube_of_the_items(tmp_path: Path) -> None:
    cells = [cell(tmp_path, name, 0) for name in ("pop", "item-knn", "ease")]
    assert [one.seconds for one in planned(cells, [], tmp_path, budget=1e6).chosen] == [10, 10, 40]


def test_smaller_cells_fit_where_a_larger_one_does_not_and_workers_share_the_time(tmp_path: Path) -> None:
    cells = [cell(tmp_path, name, seed) for name, seed in (("remi", 0), ("mind", 0), ("mind", 1), ("remi", 1))]
    finished = [finish(cells[0], seconds=20, steps=10), finish(cells[1], seconds=200, steps=10)]
    plan = planned(cells, finished, tmp_path, budget=MINUTE, workers=2)
    assert [(one.cell.condition, one.cell.seed) for one in plan.rest] == [("mind", 1)]
    assert [one.cell.seed for one in plan.chosen if not one.finished] == [1]


def test_nothing_fits_into_no_time(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "pop", seed) for seed in (0, 1)]
    plan = planned(cells, [], tmp_path, budget=0)
    assert plan.chosen == []
    assert len(plan.rest) == 2


def test_calibration_times_steps_and_evaluation_and_leaves_nothing(small_dataset: Path, tmp_path: Path) -> None:
    config = CONDITIONS["dnn"].apply(load_config(), seed=0)
    cost = calibrate(Cell("dnn", 0, small_dataset, None, "all-MiniLM-L6-v2", tmp_path / "run", config))
    assert cost is not None
    assert cost.step > 0
    assert cost.evaluation > 0
    assert list(tmp_path.iterdir()) == []


def test_when_a_calibration_fails_the_cell_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TrainingError("the loss is nan", hint="lower it")

    monkeypatch.setattr(module, "train_cell", fail)
    assert calibrate(cell(tmp_path, "remi", 0)) is None
    assert planned([cell(tmp_path, "remi", 0)], [], tmp_path, budget=1).chosen[0].seconds == 0


def test_time_left_follows_how_finished_cells_fared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "calibrate", lambda one: StepCost(0.1, 0.0, 0.0))
    cells = [cell(tmp_path, name, 0) for name in ("remi", "mind", "dnn")]
    left = remaining(planned(cells, [], tmp_path, budget=1e6).chosen, 2)
    assert left({}) == pytest.approx(150)
    assert left({cells[0].out: 50.0}) == pytest.approx(50)


def test_docstring_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0
