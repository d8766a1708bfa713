"""How a set of interests' exemplars were chosen, read from its artefact: what the plots of exemplars are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from ..artifacts import load
from .report_data import InterestRecord, parse, read_json

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Trial:
    """A run of affinity propagation while the preference was calibrated.

    ``fraction``: exemplars by points. ``points``: how many there were, if the trial says so.
    """

    preference: float
    fraction: float
    converged: bool
    damping: float | None
    points: int | None = None


@dataclass(frozen=True)
class Choice:
    """``exemplars.json``; imported interests, and exemplars not chosen by affinity propagation, have no preference.

    ``wanted``: the number of exemplars asked for, which a given preference overrules. ``monotone``: whether larger
    preferences never made fewer exemplars.
    """

    method: str
    users: int | None = None
    wanted: int | None = None
    fraction: float | None = None
    preference: float | None = None
    damping: float | None = None
    converged: bool | None = None
    trials: list[Trial] = field(default_factory=list)
    monotone: bool | None = None

    @property
    def wanted_fraction(self) -> float | None:
        """What the calibration aimed at; None where there was none."""
        return self.wanted / self.users if self.trials and self.wanted and self.users else None

    def runs(self) -> list[Trial]:
        """The trials, or the one run of a preference that was given; none without a preference."""
        if self.preference is None or self.fraction is None:
            return []
        return self.trials or [Trial(self.preference, self.fraction, bool(self.converged), self.damping)]

    def is_rehearsal(self, trial: Trial) -> bool:
        """Whether it ran on a sample of the users only."""
        return trial.points not in (None, self.users)


@dataclass(frozen=True, eq=False)
class DrawnMap:
    """P users in the plane. ``positions`` float64 [P, 2]; ``cluster`` int64 [P]; ``is_exemplar`` bool [P].

    ``titles``: one for an exemplar, None for another user. A cluster is an index into :attr:`ExemplarSet.sizes`.
    """

    positions: Float64
    cluster: Int64
    is_exemplar: Bool
    titles: list[str | None]


@dataclass(frozen=True, eq=False)
class ExemplarSet:
    """One artefact's exemplars. ``sizes`` int64 [G]: users a cluster; ``map`` is None in older artefacts."""

    choice: Choice
    sizes: Int64
    map: DrawnMap | None


def load_exemplars(grid_folder: Path, record: InterestRecord) -> ExemplarSet | None:
    """Read the artefact behind one of a grid's sets of interests; None if it is not where the grid knows it.

    Raises:
        ArtifactError: the artefact is damaged.
    """
    folder = grid_folder / (record.folder or f"interests/{record.name}")
    if not folder.is_dir():
        return None
    artifact = load(folder, "interests")
    choice = parse(Choice, read_json(artifact.file("exemplars.json")), artifact.file("exemplars.json"))
    cluster = pl.read_parquet(artifact.file("assignment.parquet"))["cluster"].to_numpy()
    drawn = _map(artifact.file("map.parquet")) if "map.parquet" in artifact.files else None
    return ExemplarSet(choice, np.bincount(cluster), drawn)


def _map(path: Path) -> DrawnMap:
    table = pl.read_parquet(path)
    return DrawnMap(
        positions=table.select("x", "y").cast(pl.Float64).to_numpy(),
        cluster=table["cluster"].to_numpy(),
        is_exemplar=table["exemplar"].to_numpy(),
        titles=table["title"].to_list(),
    )
