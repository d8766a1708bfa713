"""Stage ``evaluate``: stored per-user values of runs to means with intervals, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ..artifacts import Artifact, load
from ..errors import InputError
from ..evaluation.significance import Difference, Interval, mean_interval, paired_difference

REPORTED = ("Recall@20", "Recall@50", "HR@20", "HR@50", "NDCG@20", "NDCG@50")


@dataclass(frozen=True)
class RunEvaluation:
    """A run's test metrics over its users; ``differences`` are against the first run (empty for the first)."""

    run: Path
    backbone: str
    users: int
    metrics: dict[str, Interval]
    differences: dict[str, Difference]


def evaluate_runs(runs: Sequence[Path]) -> list[RunEvaluation]:
    """Test metrics of each run with 95 % bootstrap intervals over users; differences paired over the same users.

    Raises :class:`InputError` where a run was evaluated on other users than the first one.
    """
    artifacts = [load(run, "run") for run in runs]
    tables = [pl.read_parquet(artifact.file("per_user.parquet")) for artifact in artifacts]
    values = [table.cast({pl.Float32: pl.Float64}) for table in tables]
    for run, artifact in zip(runs, artifacts, strict=True):
        if _evaluated_on(artifact) != _evaluated_on(artifacts[0]):
            raise InputError(
                f"{run} was evaluated on another dataset or split than {runs[0]}",
                hint="compare runs of one dataset under one split",
            )
    return [
        RunEvaluation(
            run=run,
            backbone=str(artifact.config["model"]["backbone"]),
            users=frame.height,
            metrics={name: mean_interval(frame[name].to_numpy()[None]) for name in REPORTED},
            differences={
                name: paired_difference(frame[name].to_numpy()[None], values[0][name].to_numpy()[None])
                for name in (REPORTED if frame is not values[0] else ())
            },
        )
        for run, artifact, frame in zip(runs, artifacts, values, strict=True)
    ]


def _evaluated_on(run: Artifact) -> tuple[str, object]:
    return run.inputs["dataset"], run.config["split"]
