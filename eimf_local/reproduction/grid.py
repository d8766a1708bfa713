"""The grid: which runs there are, where they lie, and the record from which the report is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from ..config import Config
from ..stages.interest_artifact import Interests
from ..stages.training import training_seconds
from .cells import Cell
from .conditions import Condition, Source


@dataclass(frozen=True)
class Row:
    """A condition with the interests it trains on. ``name`` is unique in the grid, ``against`` another row's name."""

    name: str
    label: str
    condition: Condition
    interests: Interests | None
    against: str | None


def grid_rows(
    conditions: Sequence[Condition], method: Sequence[Interests], controls: Mapping[Source, Interests]
) -> list[Row]:
    """Expand conditions into rows.

    ``method``: interests on the method's exemplars, one artefact a language model. ``controls``: interests of k-means
    and random exemplars, where a language model could infer them; a condition without its interests has no row.
    A second model's rows carry its name: "eimf@NAME".
    """
    rows: list[Row] = []
    for condition in conditions:
        if condition.interests == "none":
            rows.append(Row(condition.name, condition.label, condition, None, condition.against))
        elif condition.interests == "method":
            chosen = method if condition.per_llm else method[:1]
            rows += [_method_row(condition, interests, method) for interests in chosen]
        elif condition.interests in controls:
            interests = controls[condition.interests]
            twin = next((other for other in method if other.llm == interests.llm), method[0])
            against = _suffixed(condition.against or "", twin, method)
            rows.append(Row(condition.name, _labelled(condition.label, twin, method), condition, interests, against))
    names = {row.name for row in rows}
    return [replace(row, against=row.against if row.against in names else None) for row in rows]


def grid_cells(
    rows: Sequence[Row], *, seeds: Sequence[int], dataset: Path, encoder: str, out: Path, config: Config
) -> list[Cell]:
    """Every (row, seed) as a cell; seed by seed, so that a stopped grid has whole seeds first."""
    return [
        Cell(
            condition=row.name,
            seed=seed,
            dataset=dataset,
            interests=row.interests.artifact.path if row.interests else None,
            encoder=encoder,
            out=out / run_path(row.name, seed),
            config=row.condition.apply(config, seed=seed),
        )
        for seed in seeds
        for row in rows
    ]


def run_path(name: str, seed: int) -> str:
    """Where a cell's run lies, relative to the grid's folder."""
    return f"runs/{name}/seed-{seed}"


def condition_records(
    rows: Sequence[Row],
    finished: Mapping[str, Sequence[int]],
    *,
    out: Path,
    seeds: Sequence[int],
    failures: Mapping[tuple[str, int], str],
    trials: Mapping[str, int],
) -> list[dict[str, Any]]:
    """The ``conditions`` of grid.json: every row with a finished or a failed run.

    ``finished``: seeds of finished runs by row. ``trials``: the searched models' numbers of trials.
    """
    records = []
    for row in rows:
        runs = [run_path(row.name, seed) for seed in finished[row.name]]
        failed = [{"seed": seed, "error": failures[row.name, seed]} for seed in seeds if (row.name, seed) in failures]
        if not runs and not failed:
            continue
        records.append(
            {
                "name": row.name,
                "label": row.label,
                "group": row.condition.group,
                "backbone": row.against,
                "interests": row.interests.name if row.interests else None,
                "runs": runs,
                "failed": failed,
                "trials": trials.get(row.condition.model),
                "seconds": fmean(training_seconds(out / run) for run in runs) if runs else 0.0,
            }
        )
    return records


def _method_row(condition: Condition, interests: Interests, method: Sequence[Interests]) -> Row:
    against = condition.against
    if against == "eimf":
        against = _suffixed("eimf", interests, method)
    label = _labelled(condition.label, interests, method) if condition.per_llm else condition.label
    return Row(_suffixed(condition.name, interests, method), label, condition, interests, against)


def _suffixed(name: str, interests: Interests, method: Sequence[Interests]) -> str:
    return name if interests is method[0] else f"{name}@{interests.name}"


def _labelled(label: str, interests: Interests, method: Sequence[Interests]) -> str:
    return f"{label} [{interests.name}]" if len(method) > 1 else label
