"""``reproduce``: dataset, interests, the grid of runs, the report; every part resumable."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from .. import __version__
from ..data.storage import TRUE_INTERESTS, load_true_interests
from ..disk import locked, write_json, write_text
from ..errors import EimfError, TrainingError
from ..evaluation.report import write_report
from ..progress import Reporter
from ..stages.datasets import dataset_name
from ..stages.quality import judge_interests
from . import record, search
from .case_study import FOLDER as CASE_STUDY
from .case_study import case_study
from .cells import NOT_STARTED, Cell, run_cells, worker_count
from .clock import StageClock
from .folder import STAGES, claim
from .grid import condition_records
from .ground import Ground, Order, prepare
from .parts import chosen, selected
from .plan import Plan, make_plan, remaining, time_left, without_estimates

JUDGED = ("kmeans", "random")  # sets beside the method's whose interests are judged and shown


@dataclass
class _Fates:
    """What became of the cells that were not trained: an error, or the reason why they did not start."""

    failures: dict[tuple[str, int], str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def reproduce(order: Order, reporter: Reporter) -> Path | None:
    """Run what is missing of the grid and write the report; returns the path of report.html.

    With ``order.trials`` the search is run instead; returns the path of the preset that it wrote. With a budget of 0
    the plan is told, no cell trained, no report written, and None returned; for the plan the method's interests are
    inferred, and a few steps timed.
    Raises :class:`TrainingError` after the report is written where cells failed, naming them.
    """
    begun = time.monotonic()
    choice = chosen(order.config)
    now = selected(choice, order.only)
    claim(order.out)
    with locked(order.out, order.out):
        clock = StageClock(order.out / STAGES)
        ground = prepare(order, choice, now, clock, reporter)
        if order.plan_only:
            _plan(ground, [one.cell for one in _trials(ground)] if order.trials else ground.cells(), inf, reporter)
            return None
        deadline = None if order.budget is None else begun + 60 * order.budget
        if order.trials:
            return _search(ground, deadline, reporter)
        return _grid(ground, clock, deadline, reporter)


def _trials(ground: Ground) -> list[search.Trial]:
    order = ground.order
    return search.trials_of(ground.cells(), ground.rows, trials=order.trials, out=order.out, config=order.config)


def _search(ground: Ground, deadline: float | None, reporter: Reporter) -> Path:
    order, trials = ground.order, _trials(ground)
    fates = _train(ground, [trial.cell for trial in trials], "search", deadline, reporter)
    finished = [trial for trial in trials if ground.is_finished(trial.cell)]
    tuned = search.best_of(finished, ground.dataset.artifact.fingerprint, dataset_name(ground.dataset))
    preset = order.out / search.FOLDER / search.PRESET
    preset.parent.mkdir(exist_ok=True)
    write_text(preset, search.preset_text(order.config, tuned))
    for model, found in tuned.items():
        setting = ", ".join(f"{key} = {value}" for key, value in found.settings.items())
        reporter.say(f"{model}: {found.trials} trials, valid Recall@50 {found.recall_50:.4f} with {setting}")
    undone = len(trials) - sum(found.trials for found in tuned.values())
    if undone:
        reporter.say(f"{undone} of {len(trials)} trials are not in this ({len(fates.failures)} models had failures)")
    return preset


def _grid(ground: Ground, clock: StageClock, deadline: float | None, reporter: Reporter) -> Path:
    order = ground.order
    cells = ground.cells()
    judged = _judged(ground, clock)
    study = _case_study(ground, clock, reporter)
    with clock.stage("train and evaluate", done=all(cell.out.exists() for cell in cells)):
        fates = _train(ground, cells, "train and evaluate", deadline, reporter)
    write_json(order.out / "grid.json", _record(ground, judged, study, fates, clock))
    write_report(order.out)
    if fates.failures or ground.sets.failed:
        failed = [*(f"{name} seed {seed}" for name, seed in fates.failures), *ground.sets.failed]
        why = next(iter(fates.failures.values()), None) or ground.sets.missing[ground.sets.failed[0]]
        raise TrainingError(
            f"{len(failed)} runs failed: {', '.join(failed)} ({why})",
            hint=f"the rest is in {order.out / 'report.html'}; run the same command to try them again",
        )
    return order.out / "report.html"


def _judged(ground: Ground, clock: StageClock) -> list[dict[str, Any]]:
    """The record of every set of interests that the report shows."""
    truth, order = _truth(ground.order), ground.order
    shown = [*ground.sets.method, *(ground.sets.others[name] for name in JUDGED if name in ground.sets.others)]
    if ground.item_text is None or not shown:
        return []
    with clock.stage("judge interests", done=(order.out / "grid.json").exists()):
        return [
            record.interests_record(
                interests,
                ground.dataset,
                judge_interests(ground.dataset, interests, ground.item_text, ground.encoder, order.config, truth=truth),
                truth,
                out=order.out,
                config=order.config,
            )
            for interests in shown
        ]


def _truth(order: Order) -> dict[str, list[str]] | None:
    """The generated data's true interests by user; None for real data."""
    if order.dataset is not None:
        return None
    return load_true_interests(order.out / "source" / TRUE_INTERESTS)


def _case_study(ground: Ground, clock: StageClock, reporter: Reporter) -> dict[str, Any] | None:
    """Figures 8 and 9, where they are wanted or at hand; what stops them is said, and stops nothing else."""
    wanted = any(part.name in ("fig8", "fig9") for part in ground.now.parts)
    at_hand = (ground.shop.folder / CASE_STUDY).exists()
    if not (wanted or at_hand) or ground.item_text is None or not ground.sets.method:
        return None
    if ground.shop.model is None:
        reporter.say("not run: case study (no local model was given to infer interests from users' own clicks)")
        return None
    with clock.stage("infer interests of the case study", done=at_hand):
        try:
            return case_study(ground.shop, ground.sets.method[-1], ground.item_text, list(ground.sets.others.values()))
        except EimfError as error:
            reporter.say(f"failed: case study: {error}")
            return None


def _plan(ground: Ground, cells: list[Cell], deadline: float | None, reporter: Reporter) -> Plan:
    """All cells; or, told line by line, those that fit before the ``deadline`` (of ``time.monotonic()``)."""
    workers = worker_count(ground.order.config.reproduce.workers)
    finished = {cell.out for cell in cells if ground.is_finished(cell)}
    if deadline is None:
        return without_estimates(cells, finished, workers=workers)
    plan = make_plan(
        cells,
        finished,
        out=ground.order.out,
        workers=workers,
        n_items=ground.dataset.data.n_items,
        budget=max(0.0, deadline - time.monotonic()),
        reporter=reporter,
    )
    for line in plan.lines():
        reporter.say(line)
    return plan


def _train(ground: Ground, cells: list[Cell], task: str, deadline: float | None, reporter: Reporter) -> _Fates:
    """Train what fits; what fails is said, and stops nothing else."""
    plan = _plan(ground, cells, deadline, reporter)
    fates = _Fates(reasons={one.cell.condition: "it did not fit into the budget" for one in plan.rest})
    todo = [one for one in plan.chosen if not one.finished]
    finished = len(plan.chosen) - len(todo)
    left_after, seconds = remaining(todo, plan.workers), dict[Path, float]()
    reporter.progress(task, finished, len(plan.chosen))
    outcomes = run_cells([one.cell for one in todo], workers=plan.workers, deadline=deadline)
    for done, outcome in enumerate(outcomes, start=finished + 1):
        cell = outcome.cell
        seconds[cell.out] = outcome.seconds
        if outcome.error == NOT_STARTED:
            fates.reasons[cell.condition] = NOT_STARTED
        elif outcome.error is not None:
            fates.failures[cell.condition, cell.seed] = outcome.error
            reporter.say(f"failed: {cell.condition}, seed {cell.seed}: {outcome.error}")
        note = f"{cell.condition}, seed {cell.seed}; {time_left(left_after(seconds))}"
        reporter.progress(task, done, len(plan.chosen), note)
    return fates


def _record(
    ground: Ground, judged: list[dict[str, Any]], study: dict[str, Any] | None, fates: _Fates, clock: StageClock
) -> dict[str, Any]:
    """grid.json."""
    order, seeds = ground.order, ground.seeds
    failures = fates.failures
    finished = {
        name: [seed for seed in seeds if (name, seed) not in failures] for name, seeds in ground.finished().items()
    }
    digest = ground.dataset.artifact.fingerprint
    impossible = record.missing_reasons(ground.choice.conditions, ground.sets, titles=ground.item_text is not None)
    return {
        "dataset": record.dataset_record(ground.dataset),
        "interests": judged,
        "commit": record.source_commit(),
        "machine": record.machine(),
        "date": datetime.date.today().isoformat(),
        "version": __version__,
        "provisional": len(seeds) < 5,
        "seeds": list(seeds),
        "settings": record.changed_settings(order.config),
        "stages": clock.seconds(),
        "conditions": condition_records(
            ground.rows,
            finished,
            out=order.out,
            seeds=seeds,
            failures=failures,
            trials={
                name: found.trials for name, found in order.config.tuned.items() if found.elsewhere(digest) is None
            },
        ),
        "parts": record.parts_record(ground.choice, ground.rows),
        "not_run": record.not_run_record(
            ground.choice.conditions,
            ground.rows,
            finished,
            out=order.out,
            reasons=fates.reasons,
            impossible=impossible,
            seeds=seeds,
            failures=failures,
        ),
        "command": order.command,
        "tuned": {
            name: {**found.model_dump(exclude={"dataset"}), "found_on": found.elsewhere(digest)}
            for name, found in order.config.tuned.items()
        },
        "case_study": study,
    }
