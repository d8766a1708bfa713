"""From a loaded grid to numbers: intervals, paired differences, what the controls keep, what does not reproduce.

Everything here is plain data (``metrics.json``); no wording, no layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from . import paper
from .report_data import COLUMNS, Condition, Grid, Group
from .significance import (
    LEVEL,
    Difference,
    Float64,
    Interval,
    bootstrap_means,
    holm,
    mean_intervals,
    paired_differences,
)

TARGETS = ("Recall@20", "Recall@50", "HR@20", "HR@50")  # the reproduction targets (SPEC section 7)
CONTROL_METRICS = ("Recall@20", "Recall@50")
COMPARABLE = tuple(column for column in COLUMNS if not column.startswith("ndcg_"))
Verdict = Literal["higher", "lower", "not distinguishable"]


@dataclass(frozen=True)
class ResultRow:
    """One condition: means with 95 % intervals by metric column, beside the paper's values where it has them.

    ``metrics`` is empty when no run has finished. ``best_step`` (None: not trained) and ``steps`` are means over runs;
    ``interests`` names the set of interests it was trained with; ``trials``: of the search for its
    settings, None without one. ``guessing``: seeds whose training ended with the loss of guessing.
    """

    name: str
    label: str
    group: Group
    interests: str | None
    seeds: list[int]
    missing: list[str]
    metrics: dict[str, Interval]
    paper_model: str | None
    paper: dict[str, float]
    best_step: float | None
    steps: float
    n_parameters: int
    interest_cosine: float | None
    trials: int | None = None
    guessing: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class PaperRow:
    """A model of the paper that was not run: its published values by metric column."""

    model: str
    paper: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Paired difference ``name`` - ``against`` on one metric.

    ``p_holm``: adjusted within a group's comparisons: the method's, the controls', the ablations', the sweeps'.
    ``relative``: difference over the mean of ``against``, None where that is 0. ``paper_relative``: the paper's, where
    it can be told.
    """

    name: str
    against: str
    metric: str
    mean: float
    low: float
    high: float
    p_value: float
    p_holm: float
    relative: float | None
    paper_relative: float | None

    @property
    def relative_interval(self) -> tuple[float, float] | None:
        """The interval over the mean of ``against``, which is taken as known."""
        if not self.relative:
            return None
        base = self.mean / self.relative
        return self.low / base, self.high / base

    @property
    def paper_disagrees(self) -> bool:
        """Whether the paper's relative difference lies outside :attr:`relative_interval`."""
        inside = self.relative_interval
        return bool(inside and self.paper_relative is not None and not inside[0] <= self.paper_relative <= inside[1])

    @property
    def verdict(self) -> Verdict:
        """By the interval: "not distinguishable" where it covers zero."""
        if self.low <= 0 <= self.high:
            return "not distinguishable"
        return "higher" if self.mean > 0 else "lower"


@dataclass(frozen=True)
class ControlFinding:
    """What one control says about the difference ``method`` - ``backbone`` on one metric.

    ``gain``: method - backbone. ``kept``: control - backbone. ``lost``: method - control. ``share``: kept / gain with
    its bootstrap interval; None unless the gain is positive and distinguishable from zero.
    """

    control: str
    method: str
    backbone: str
    metric: str
    gain: Difference
    kept: Difference
    lost: Difference
    share: Interval | None


@dataclass(frozen=True)
class Rival:
    """Paired difference ``name`` - ``method`` on one metric, over ``seeds`` common seeds.

    ``p_holm``: adjusted among all rivals and both metrics.
    """

    name: str
    method: str
    metric: str
    difference: Difference
    seeds: int
    p_holm: float


@dataclass(frozen=True)
class Mismatch:
    """A published value outside our 95 % interval."""

    name: str
    paper_model: str
    metric: str
    paper: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Peak:
    """The best point of a figure's axis here and in the paper, by mean Recall@50, and ours minus theirs, paired.

    ``difference`` is None where they are the same point, or where the paper's was not run.
    """

    part: str
    ours: str
    paper: str
    difference: Difference | None


@dataclass(frozen=True)
class Results:
    """All numbers of a report. ``grid_digest`` ties them to the ``grid.json`` they were computed from.

    ``n_published``: how many of the paper's values on :data:`TARGETS` have a counterpart here; ``mismatches`` are
    those of them that lie outside our interval.
    """

    grid_digest: str
    level: float
    rows: list[ResultRow]
    not_run: list[PaperRow]
    comparisons: list[Comparison]
    controls: list[ControlFinding]
    n_published: int
    mismatches: list[Mismatch]
    peaks: list[Peak] = field(default_factory=list)
    rivals: list[Rival] = field(default_factory=list)

    def row(self, name: str) -> ResultRow:
        """The row of a condition."""
        return next(row for row in self.rows if row.name == name)

    def comparison_of(self, name: str, metric: str) -> Comparison | None:
        """A condition's difference against what it is compared with, if it was made."""
        return next((one for one in self.comparisons if (one.name, one.metric) == (name, metric)), None)

    def comparison(self, name: str, against: str, metric: str) -> Comparison | None:
        """One comparison, if it was made."""
        wanted = (name, against, metric)
        return next((one for one in self.comparisons if (one.name, one.against, one.metric) == wanted), None)


def analyse(grid: Grid, grid_digest: str) -> Results:
    """Compute everything that the report shows. Deterministic: the bootstrap is seeded."""
    dataset = grid.record.dataset.paper_name
    by_name = {condition.record.name: condition for condition in grid.conditions}
    rows = [_row(condition, by_name, dataset) for condition in grid.conditions]
    return Results(
        grid_digest=grid_digest,
        level=LEVEL,
        rows=rows,
        not_run=not_run_rows(dataset, {row.paper_model for row in rows}) if dataset else [],
        comparisons=_comparisons(grid, by_name, dataset, rows),
        controls=list(_control_findings(by_name)),
        n_published=sum(metric in row.paper for row in rows if row.metrics for metric in TARGETS),
        mismatches=list(_mismatches(rows)),
        peaks=list(_peaks(grid, by_name, dataset)),
        rivals=_rivals(by_name),
    )


def not_run_rows(dataset: str, run: set[str | None]) -> list[PaperRow]:
    """The paper's models on ``dataset`` that are not in ``run``."""
    models = [model for model in paper.paper_models(dataset) if model not in run]
    return [PaperRow(model, _paper_values(dataset, model)) for model in models]


def _paper_values(dataset: str | None, model: str | None) -> dict[str, float]:
    if dataset is None or model is None:
        return {}
    found = {column: paper.published(dataset, model, column) for column in COMPARABLE}
    return {column: value for column, value in found.items() if value is not None}


def _paper_model(condition: Condition, by_name: dict[str, Condition]) -> str | None:
    """Which of the paper's models a condition is: only baselines, and the method on one of them."""
    record = condition.record
    if record.group == "baseline":
        return paper.paper_model(record.name) or paper.paper_model(record.label)
    if record.group == "method" and record.backbone in by_name:
        base = _paper_model(by_name[record.backbone], by_name)
        return paper.paper_model(f"EIMF({base})")
    return None


def _row(condition: Condition, by_name: dict[str, Condition], dataset: str | None) -> ResultRow:
    model, runs, record = _paper_model(condition, by_name), condition.runs, condition.record
    intervals = mean_intervals(condition.values(COLUMNS)) if runs else []
    best = [run.metrics.best_step for run in runs if run.metrics.best_step is not None]
    cosines = [run.metrics.interest_cosine for run in runs if run.metrics.interest_cosine is not None]
    return ResultRow(
        name=record.name,
        label=record.label,
        group=record.group,
        interests=record.interests,
        seeds=list(condition.seeds),
        missing=condition.missing,
        metrics=dict(zip(COLUMNS, intervals, strict=False)),
        paper_model=model,
        paper=_paper_values(dataset, model),
        best_step=float(np.mean(best)) if best else None,
        steps=float(np.mean([run.metrics.steps for run in runs])) if runs else 0.0,
        n_parameters=runs[0].metrics.n_parameters if runs else 0,
        interest_cosine=float(np.mean(cosines)) if cosines else None,
        guessing=[run.seed for run in runs if run.metrics.stopped_by == "guessing"],
        trials=record.trials,
    )


def _pairs(grid: Grid, by_name: dict[str, Condition]) -> Iterator[tuple[Condition, Condition]]:
    """Every condition with the one it is compared with; then pairs of LLMs on the same exemplars."""
    for condition in grid.conditions:
        if condition.record.backbone in by_name:
            yield condition, by_name[condition.record.backbone]
    methods = [condition for condition in grid.conditions if condition.record.group == "method"]
    for number, first in enumerate(methods):
        for second in methods[number + 1 :]:
            if first.record.backbone == second.record.backbone and _same_exemplars(grid, first, second):
                yield first, second


def _same_exemplars(grid: Grid, first: Condition, second: Condition) -> bool:
    a, b = (grid.record.interests_named(condition.record.interests) for condition in (first, second))
    return bool(a and b and a.name != b.name and a.exemplars_digest and a.exemplars_digest == b.exemplars_digest)


def _common_seeds(*conditions: Condition) -> tuple[int, ...]:
    return tuple(sorted(set.intersection(*(set(condition.seeds) for condition in conditions))))


def _comparisons(
    grid: Grid, by_name: dict[str, Condition], dataset: str | None, rows: list[ResultRow]
) -> list[Comparison]:
    found: list[tuple[Condition, Condition, str, Difference, float]] = []
    for condition, against in _pairs(grid, by_name):
        seeds = _common_seeds(condition, against)
        if seeds:
            base = against.values(TARGETS, seeds)
            differences = paired_differences(condition.values(TARGETS, seeds), base)
            means = base.mean(axis=(1, 2)).tolist()
            found += [(condition, against, *rest) for rest in zip(TARGETS, differences, means, strict=True)]
    adjusted = _adjusted([one[0].record.group for one in found], [one[3].p_value for one in found])
    by_row = {row.name: row for row in rows}
    return [
        Comparison(
            name=condition.record.name,
            against=against.record.name,
            metric=metric,
            mean=difference.mean,
            low=difference.low,
            high=difference.high,
            p_value=difference.p_value,
            p_holm=p_holm,
            relative=difference.mean / base_mean if base_mean else None,
            paper_relative=_paper_relative(by_row[condition.record.name], by_row[against.record.name], metric, dataset),
        )
        for (condition, against, metric, difference, base_mean), p_holm in zip(found, adjusted, strict=True)
    ]


def _rivals(by_name: dict[str, Condition]) -> list[Rival]:
    """Every baseline, and every other condition of the method, against the method's first."""
    methods = [condition for condition in by_name.values() if condition.record.group == "method" and condition.runs]
    if not methods:
        return []
    method, *others = methods
    others += [condition for condition in by_name.values() if condition.record.group == "baseline"]
    found: list[tuple[str, str, Difference, int]] = []
    for other in others:
        if seeds := _common_seeds(other, method):
            pair = (one.values(CONTROL_METRICS, seeds) for one in (other, method))
            tested = zip(CONTROL_METRICS, paired_differences(*pair), strict=True)
            found += [(other.record.name, metric, difference, len(seeds)) for metric, difference in tested]
    adjusted = holm([difference.p_value for _, _, difference, _ in found])
    return [
        Rival(name, method.record.name, metric, difference, seeds, p_holm)
        for (name, metric, difference, seeds), p_holm in zip(found, adjusted, strict=True)
    ]


def _adjusted(groups: list[Group], p_values: list[float]) -> list[float]:
    """Holm's adjustment within each group: a claim about the method does not weaken with every control added."""
    adjusted = [0.0] * len(p_values)
    for group in set(groups):
        places = [place for place, one in enumerate(groups) if one == group]
        for place, value in zip(places, holm([p_values[place] for place in places]), strict=True):
            adjusted[place] = value
    return adjusted


def _peaks(grid: Grid, by_name: dict[str, Condition], dataset: str | None) -> Iterator[Peak]:
    metric = ("Recall@50",)
    for part in grid.record.parts:
        points = [one for one in part.points if one.condition in by_name and by_name[one.condition].runs]
        named = paper.peak(part.name, dataset)
        if named is None or len(points) < 2:
            continue
        best = max(points, key=lambda one: float(by_name[one.condition].values(metric).mean()))
        theirs = next((one for one in points if one.label == named[0]), None)
        difference = None
        if theirs is not None and theirs.condition != best.condition:
            pair = by_name[best.condition], by_name[theirs.condition]
            seeds = _common_seeds(*pair)
            if seeds:
                difference = paired_differences(*(one.values(metric, seeds) for one in pair))[0]
        yield Peak(part.name, best.label, named[0], difference)


def _paper_relative(row: ResultRow, against: ResultRow, metric: str, dataset: str | None) -> float | None:
    if row.group == "ablation" and dataset is not None:
        named = paper.paper_relative_change(dataset, row.label)
        return named[1] if named and named[0] == metric else None
    if row.paper_model != against.paper_model and metric in row.paper and against.paper.get(metric):
        return row.paper[metric] / against.paper[metric] - 1
    return None


def _control_findings(by_name: dict[str, Condition]) -> Iterator[ControlFinding]:
    for control in by_name.values():
        if control.record.group != "control":
            continue
        for method in _methods_of(control, by_name):
            backbone = by_name.get(method.record.backbone or "")
            if backbone is not None and _common_seeds(control, method, backbone):
                yield from _against_gain(control, method, backbone)


def _methods_of(control: Condition, by_name: dict[str, Condition]) -> list[Condition]:
    """The method that a control is compared with; or, if with a backbone, the methods on that backbone.

    Of several, those with the control's own interests are meant; a control without interests speaks about all.
    """
    record = control.record
    target = by_name.get(record.backbone or "")
    if target is None or target.record.group == "method":
        return [target] if target else []
    return [
        method
        for method in by_name.values()
        if method.record.group == "method"
        and method.record.backbone == record.backbone
        and record.interests in (None, method.record.interests)
    ]


def _against_gain(control: Condition, method: Condition, backbone: Condition) -> Iterator[ControlFinding]:
    seeds = _common_seeds(control, method, backbone)
    c, m, b = (one.values(CONTROL_METRICS, seeds) for one in (control, method, backbone))
    columns = zip(
        CONTROL_METRICS, paired_differences(m, b), paired_differences(c, b), paired_differences(m, c), c - b, m - b,
        strict=True,
    )  # fmt: skip
    for metric, gain, kept, lost, kept_values, gain_values in columns:
        share = _share(kept_values, gain_values) if gain.low > 0 else None
        names = (control.record.name, method.record.name, backbone.record.name)
        yield ControlFinding(*names, metric, gain, kept, lost, share)


def _share(kept: Float64, gain: Float64) -> Interval:
    """kept / gain, each float64 [S, n]. One replicate divides two means over the same draws.

    The few replicates without a gain have no share and are left out.
    """
    kept_draws, gain_draws = bootstrap_means(kept), bootstrap_means(gain)
    ratios = kept_draws[gain_draws > 0] / gain_draws[gain_draws > 0]
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(kept.mean() / gain.mean()), float(low), float(high))


def _mismatches(rows: list[ResultRow]) -> Iterator[Mismatch]:
    for row in rows:
        for metric in TARGETS:
            interval, value = row.metrics.get(metric), row.paper.get(metric)
            if interval is not None and value is not None and not interval.covers(value):
                model = row.paper_model or row.label
                yield Mismatch(row.name, model, metric, value, interval.mean, interval.low, interval.high)
