"""What a grid will cost: minutes of every cell, told before it starts, and which cells fit into a budget.

A cell's minutes come from finished cells of the same condition; else from finished cells that train the same kind of
step, or a calibration of 40 steps, times the steps that finished cells took on average (all of ``train.max_steps``
where there are none: then it is the most that it can take). Closed forms are reckoned from the number of items.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from statistics import fmean

from ..config import build_config
from ..disk import write_json
from ..errors import EimfError
from ..ibim.registry import backbone_kind
from ..progress import Reporter
from ..stages.training import training_seconds
from .cells import Cell, train_cell
from .folder import CALIBRATION

CALIBRATION_STEPS = 40
_EASE_SECONDS, _EASE_ITEMS = 40.0, 12_000  # to invert a matrix of so many items squared
_COUNTING_SECONDS = 10.0  # of the other closed forms


@dataclass(frozen=True)
class StepCost:
    """Seconds of one training step, of one evaluation of the validation users, and of everything before the first."""

    step: float
    evaluation: float
    start: float


@dataclass(frozen=True)
class Estimate:
    """A cell and the seconds that it is expected to take on one worker; 0 where it is finished."""

    cell: Cell
    seconds: float
    finished: bool


@dataclass(frozen=True)
class Plan:
    """``chosen`` fits into ``budget`` seconds on ``workers``; ``rest`` does not."""

    chosen: list[Estimate]
    rest: list[Estimate]
    workers: int
    budget: float

    def lines(self) -> list[str]:
        """The plan for people: one line a condition, then what fits."""
        todo = [one for one in (*self.chosen, *self.rest) if not one.finished]
        finished = sum(one.finished for one in (*self.chosen, *self.rest))
        lines = [
            f"plan: {finished} cells finished, {len(todo)} to train, {self._minutes(todo)} on {self.workers} workers"
        ]
        names = dict.fromkeys(one.cell.condition for one in todo)
        for name in names:
            mine = [one for one in todo if one.cell.condition == name]
            fits = sum(one.cell.condition == name and not one.finished for one in self.chosen)
            cost = f"{fmean(one.seconds for one in mine) / 60:.2f} min"
            lines.append(f"  {name:<24} {len(mine)} x {cost:>10}" + (f", {fits} fit" if self.budget < inf else ""))
        if self.budget < inf:
            inside = [one for one in self.chosen if not one.finished]
            lines.append(
                f"budget: {self.budget / 60:.1f} min left for training; {len(inside)} of {len(todo)} cells fit "
                f"({self._minutes(inside)}), {len(self.rest)} are not run"
            )
        return lines

    def _minutes(self, estimates: Sequence[Estimate]) -> str:
        return f"about {sum(one.seconds for one in estimates) / self.workers / 60:.1f} min"


def without_estimates(cells: Sequence[Cell], finished: Collection[Path], *, workers: int) -> Plan:
    """All cells chosen, and taken to cost alike; ``finished``: folders of those that are."""
    return Plan(
        [Estimate(cell, float(cell.out not in finished), cell.out in finished) for cell in cells], [], workers, 0
    )


def make_plan(
    cells: Sequence[Cell],
    finished: Collection[Path],
    *,
    out: Path,
    workers: int,
    n_items: int,
    budget: float,
    reporter: Reporter,
) -> Plan:
    """Estimate every cell, and take those that fit into ``budget`` seconds, in the grid's order.

    ``finished``: folders of finished cells. A condition whose calibration fails is estimated at 0 seconds; its cells
    will tell why.
    """
    estimates = _estimates(cells, finished, out, n_items, reporter)
    chosen: list[Estimate] = []
    rest: list[Estimate] = []
    spent = 0.0
    for one in estimates:
        fits = one.finished or (budget > 0 and spent + one.seconds <= budget * workers)
        (chosen if fits else rest).append(one)
        spent += one.seconds if fits else 0.0
    return Plan(chosen, rest, workers, budget)


def _estimates(
    cells: Sequence[Cell], finished: Collection[Path], out: Path, n_items: int, reporter: Reporter
) -> list[Estimate]:
    done = {run: _taken(run) for run in finished}
    costs = _Costs(out / CALIBRATION)
    estimates = []
    for number, cell in enumerate(cells):
        reporter.progress("plan", number + 1, len(cells), cell.condition)
        if cell.out in done:
            estimates.append(Estimate(cell, 0.0, finished=True))
            continue
        same = [done[one.out][0] for one in cells if one.condition == cell.condition and one.out in done]
        seconds = fmean(same) if same else _unseen(cell, list(done.values()), costs, n_items)
        estimates.append(Estimate(cell, seconds, finished=False))
    return estimates


def _unseen(cell: Cell, done: Sequence[tuple[float, int]], costs: _Costs, n_items: int) -> float:
    """Seconds of a cell of a condition without a finished one."""
    if not backbone_kind(cell.config.model.backbone).trainable:
        cubic = _EASE_SECONDS * (n_items / _EASE_ITEMS) ** 3
        return cubic if cell.config.model.backbone == "ease" else _COUNTING_SECONDS
    train = cell.config.train
    steps = [count for _, count in done if count]
    expected = min(fmean(steps), train.max_steps) if steps else train.max_steps
    cost = costs.of(cell)
    return cost.start + expected * (cost.step + cost.evaluation / train.evaluate_every)


def _taken(run: Path) -> tuple[float, int]:
    """Seconds and steps of a finished run."""
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    return training_seconds(run), int(metrics["steps"])


class _Costs:
    """Step costs by kind of step, measured once a grid and kept in its folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, StepCost] = {}
        with suppress(OSError, ValueError, TypeError, AttributeError):  # not there, or damaged: measured anew
            self._known = {key: StepCost(**one) for key, one in json.loads(path.read_text("utf-8")).items()}

    def of(self, cell: Cell) -> StepCost:
        """The cost of the cell's kind of step."""
        key = _kind_of_step(cell)
        if key not in self._known:
            measured = calibrate(cell)
            if measured is None:
                return StepCost(0.0, 0.0, 0.0)
            self._known[key] = measured
            write_json(self._path, {name: asdict(one) for name, one in self._known.items()})
        return self._known[key]


def _kind_of_step(cell: Cell) -> str:
    config = cell.config
    semantic = cell.interests is not None or config.semantics.source == "item-text"
    loss = f"{config.loss.kind} over {config.loss.negatives}"
    return f"{config.model.backbone}, {loss}, batch {config.train.batch_size}" + (", semantic" if semantic else "")


def calibrate(cell: Cell) -> StepCost | None:
    """Train the cell for a few steps in a folder of its own, and time them; None where it fails."""
    values = cell.config.model_dump()
    values["train"] |= {"max_steps": CALIBRATION_STEPS, "evaluate_every": CALIBRATION_STEPS}
    stopwatch, begin = _Stopwatch(), time.perf_counter()
    place = Path(tempfile.mkdtemp(prefix="eimf-local-"))
    try:
        train_cell(replace(cell, config=build_config(values), out=place / "run"), stopwatch)
    except EimfError:
        return None
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return stopwatch.cost(begin)


class _Stopwatch(Reporter):
    """Notes when the training loop reports."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, float]] = []

    def progress(self, task: str, done: int, total: int, note: str = "") -> None:
        if task == "train":
            self._marks.append((done, time.perf_counter()))

    def cost(self, begin: float) -> StepCost | None:
        """The loop reports after steps 20 and 40, and at 40 once more when it has evaluated."""
        if len(self._marks) < 3:
            return None
        (first, early), (last, late), (_, end) = self._marks[0], self._marks[-2], self._marks[-1]
        step = (late - early) / (last - first)
        return StepCost(step, end - late, max(0.0, early - begin - first * step))


def time_left(seconds: float) -> str:
    """A duration for a progress remark.

    >>> time_left(40), time_left(500), time_left(9000)
    ('under a minute left', 'about 8 min left', 'about 2.5 h left')
    """
    if seconds < 60:
        return "under a minute left"
    return f"about {seconds / 60:.0f} min left" if seconds < 5400 else f"about {seconds / 3600:.1f} h left"


def remaining(estimates: Sequence[Estimate], workers: int) -> Callable[[Mapping[Path, float]], float]:
    """A function from measured seconds of finished cells, by their folder, to the seconds that the others will take.

    Estimates of the others are scaled by how the finished ones fared.
    """

    def left(measured: Mapping[Path, float]) -> float:
        expected = sum(one.seconds for one in estimates if one.cell.out in measured)
        scale = sum(measured.values()) / expected if expected else 1.0
        return scale * sum(one.seconds for one in estimates if one.cell.out not in measured) / workers

    return left
