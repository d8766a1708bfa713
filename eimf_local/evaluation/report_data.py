"""A grid of finished runs, read from its folder and checked: what a report is made of.

``grid.json`` names the data, the interests and the conditions; every run folder holds ``metrics.json``,
``per_user.parquet`` (one row per test user, the same users in the same order in every run) and, for trained models,
``curves.jsonl``. A run that is not there is named in the report; one that is there but damaged is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import TypeAdapter, ValidationError

from ..artifacts import digest_of
from ..errors import ArtifactError
from .interest_quality import Recovery
from .metrics import COMPATIBILITY_METRICS, CUTOFFS, METRICS
from .paper import paper_dataset
from .significance import Interval

Float64 = npt.NDArray[np.float64]
Group = Literal["baseline", "method", "control", "ablation", "sweep"]
Record = TypeVar("Record")

COLUMNS = tuple(f"{metric}@{k}" for k in CUTOFFS for metric in (*METRICS, *COMPATIBILITY_METRICS))
REMEDY = "'eimf-local reproduce' with the same --out redoes what is missing and goes on"
# Run folders' own means and the means of their per-user values may differ by rounding, not by more.
_AGREEMENT = 1e-4
_CIRCUMSTANCES = {"stages", "date", "machine", "commit", "command"}


@dataclass(frozen=True)
class DatasetRecord:
    """The data set of a grid; ``tied_timestamps`` is a share of rows, None without timestamps."""

    name: str
    digest: str
    users: int
    items: int
    interactions: int
    tied_timestamps: float | None
    split: str
    valid_users: int
    test_users: int

    @property
    def title(self) -> str:
        """Its name, and how its users were split where that is not the default."""
        return self.name if self.split == "user-split" else f"{self.name}, {self.split}"

    @property
    def paper_name(self) -> str | None:
        """What the paper calls it, None if it is none of the paper's."""
        return paper_dataset(users=self.users, items=self.items, split=self.split)


@dataclass(frozen=True)
class Example:
    """One exemplar: the titles that the LLM saw, the interests it gave, and the true ones where they are known."""

    user: str | int
    titles: list[str]
    interests: list[str]
    true: list[str] | None = None


@dataclass(frozen=True)
class InterestRecord:
    """One set of inferred interests, the LLM that gave them, and their quality.

    ``path_counts``: answers by the way they were obtained (constrained, retry, salvage, imported). ``auc``: interest
    AUC of "interests", "titles", "tfidf" and "shuffled" over ``judged_users``, where measured; ``auc_differences``:
    that of "interests" minus each of the others, paired. ``exemplars_digest``: of the exemplar users; two LLMs are
    compared only where it is given and equal (SPEC section 7). ``folder``: of the artefact, relative to the grid's;
    interests/``name`` unless given.
    """

    name: str
    llm: str
    llm_digest: str | None
    encoder: str
    exemplars: int
    fraction: float | None
    preference: float | None
    converged: bool | None
    path_counts: dict[str, int]
    auc: dict[str, Interval | None] | None = None
    auc_differences: dict[str, Interval | None] | None = None
    judged_users: int | None = None
    recovery: Recovery | None = None
    examples: list[Example] | None = None
    exemplars_digest: str | None = None
    folder: str | None = None


@dataclass(frozen=True)
class StageRecord:
    """Seconds that a stage of the pipeline took."""

    stage: str
    seconds: float


@dataclass(frozen=True)
class FailedRun:
    """A run that ended in an error."""

    seed: int
    error: str


@dataclass(frozen=True)
class ConditionRecord:
    """A model of the grid. ``backbone`` names the condition it is compared with, ``interests`` a set of interests.

    ``trials``: of the search that chose its settings; None without one. ``seconds``: mean over runs.
    """

    name: str
    label: str
    group: Group
    backbone: str | None
    interests: str | None
    runs: list[str]
    failed: list[FailedRun]
    trials: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class PointRecord:
    """A place on a figure's axis, and the condition whose value stands there."""

    label: str
    condition: str


@dataclass(frozen=True)
class PartRecord:
    """A table or figure: its conditions, and its points where it has an axis."""

    name: str
    title: str
    conditions: list[str]
    points: list[PointRecord] = field(default_factory=list)


@dataclass(frozen=True)
class NotRun:
    """Seeds of a condition that were not trained, and why. ``name`` is what ``--only`` takes."""

    name: str
    label: str
    seeds: list[int]
    reason: str


@dataclass(frozen=True)
class TunedRecord:
    """What a search on validation users found for a model; ``found_on``: on other data, of this name."""

    trials: int
    recall_50: float
    settings: dict[str, str | int | float | bool]
    found_on: str | None = None


@dataclass(frozen=True)
class Case:
    """A user's clicks and interests beside its exemplar's: the exemplar's titles near the user's clicks, and others."""

    user: str | int
    exemplar: str | int
    clicks: list[str]
    similar: list[str]
    other: list[str]
    own_interests: list[str]
    exemplar_interests: list[str]


@dataclass(frozen=True)
class CaseStudy:
    """Users whose interests were inferred from their own clicks too; the first ``shown`` are told in full."""

    llm: str
    exemplar_llm: str
    shown: int
    cases: list[Case]


@dataclass(frozen=True)
class GridRecord:
    """``grid.json``. ``provisional``: fewer seeds than a published claim needs (five).

    ``settings``: those that differ from the defaults, by section.key. ``parts``: tables and figures, none: one table of
    all conditions. ``command``: how to go on, without ``--only``. ``tuned``: by model.
    """

    dataset: DatasetRecord
    interests: list[InterestRecord]
    commit: str
    machine: str
    date: str
    version: str
    provisional: bool
    seeds: list[int]
    stages: list[StageRecord]
    conditions: list[ConditionRecord]
    settings: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    parts: list[PartRecord] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)
    command: str = "eimf-local reproduce"
    tuned: dict[str, TunedRecord] = field(default_factory=dict)
    case_study: CaseStudy | None = None

    def part(self, name: str) -> PartRecord | None:
        """The table or figure of that name, if it belongs to the grid."""
        return next((one for one in self.parts if one.name == name), None)

    def interests_named(self, name: str | None) -> InterestRecord | None:
        """The set of interests of that name, if any."""
        return next((one for one in self.interests if one.name == name), None)


@dataclass(frozen=True)
class RunMetrics:
    """A run's ``metrics.json``: means over test and valid users, its steps (0: closed form), and why it ended.

    ``interest_cosine``: mean cosine between a test user's K interests; None for a single interest.
    """

    test: dict[str, float]
    valid: dict[str, float]
    best_step: int | None
    steps: int
    stopped_by: str
    n_parameters: int
    interest_cosine: float | None = None


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation during training: mean loss terms since the last one, and valid metrics."""

    step: int
    seconds: float
    loss: dict[str, float]
    valid: dict[str, float]


@dataclass(frozen=True)
class Run:
    """A finished run. ``values``: metric column -> float64 [n], test users in the grid's order."""

    seed: int
    metrics: RunMetrics
    users: tuple[str, ...]
    values: dict[str, Float64]
    curve: list[CurvePoint]


@dataclass(frozen=True)
class Condition:
    """A condition with its finished runs by ascending seed, and one line for each run that is missing."""

    record: ConditionRecord
    runs: list[Run]
    missing: list[str]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(run.seed for run in self.runs)

    def values(self, columns: tuple[str, ...], seeds: tuple[int, ...] | None = None) -> Float64:
        """float64 [columns, S, n] of the runs with these seeds (all, unless given)."""
        runs = [run for run in self.runs if seeds is None or run.seed in seeds]
        return np.array([[run.values[column] for run in runs] for column in columns])


@dataclass(frozen=True)
class Grid:
    """A grid folder's content; ``conditions`` in the order of ``grid.json``."""

    record: GridRecord
    conditions: list[Condition]


def load_record(folder: Path) -> GridRecord:
    """Read and check ``grid.json``.

    Raises:
        ArtifactError: it is missing, unreadable, or lacks a field.
    """
    return parse(GridRecord, read_json(folder / "grid.json"), folder / "grid.json")


def numbers_digest(record: Mapping[str, Any]) -> str:
    """Digest of what a grid's numbers are computed from: ``grid.json`` without when, where and how fast it was run."""
    kept = {key: value for key, value in record.items() if key not in _CIRCUMSTANCES}
    kept["conditions"] = [{**one, "seconds": None} for one in record["conditions"]]
    kept["interests"] = [{**one, "folder": None} for one in record["interests"]]
    return digest_of(kept)


def load_grid(folder: Path) -> Grid:
    """Read and check a grid folder with all its runs.

    Raises:
        ArtifactError: a file is damaged, no run has finished, or two runs were evaluated on different users.
    """
    record = load_record(folder)
    conditions = [_load_condition(folder, one) for one in record.conditions]
    runs = [(condition.record.name, run) for condition in conditions for run in condition.runs]
    if not runs:
        raise ArtifactError(f"{folder} holds no finished run", hint=REMEDY)
    first_name, first = runs[0]
    for name, run in runs:
        if run.users != first.users:
            raise ArtifactError(
                f"{folder}: {name} seed {run.seed} and {first_name} seed {first.seed} rank for different users",
                hint="give the grid another --out; runs of different data cannot be compared",
            )
    return Grid(record, conditions)


def read_json(path: Path) -> Any:
    """Parse a JSON file; a missing or broken one is an :class:`ArtifactError`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing", hint=REMEDY) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is unreadable ({error})", hint=f"remove it; {REMEDY}") from None


def parse(kind: type[Record], value: Any, path: Path, line: int | None = None) -> Record:
    """``value`` as a checked dataclass; the first wrong field is named in an :class:`ArtifactError`."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the whole"
        where = f"{path}" if line is None else f"{path} line {line}"
        raise ArtifactError(f"{where} is damaged: {place}: {problem['msg']}", hint=f"remove it; {REMEDY}") from None


def _load_condition(folder: Path, record: ConditionRecord) -> Condition:
    missing = [f"seed {one.seed} failed: {one.error}" for one in record.failed]
    runs = []
    for name in record.runs:
        if (folder / name).is_dir():
            runs.append(_load_run(folder / name))
        else:
            missing.append(f"{name} is not there")
    return Condition(record, sorted(runs, key=lambda run: run.seed), missing)


def _load_run(path: Path) -> Run:
    seed = re.fullmatch(r"seed-(\d+)", path.name)
    if seed is None:
        raise ArtifactError(f"{path} does not name a seed", hint=f"run folders are called seed-N; {REMEDY}")
    metrics = parse(RunMetrics, read_json(path / "metrics.json"), path / "metrics.json")
    users, values = _load_per_user(path / "per_user.parquet")
    for column, mean in metrics.test.items():
        if column in values and abs(float(values[column].mean()) - mean) > _AGREEMENT:
            raise ArtifactError(
                f"{path}: metrics.json says {column} = {mean:.4f}, per_user.parquet {values[column].mean():.4f}",
                hint=f"remove the run's folder; {REMEDY}",
            )
    return Run(int(seed[1]), metrics, users, values, _load_curve(path / "curves.jsonl"))


def _load_per_user(path: Path) -> tuple[tuple[str, ...], dict[str, Float64]]:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing", hint=f"remove the run's folder; {REMEDY}")
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ArtifactError(f"{path} is unreadable ({error})", hint=f"remove the run's folder; {REMEDY}") from None
    lacking = [column for column in ("user", *COLUMNS) if column not in table.columns]
    if lacking:
        raise ArtifactError(f"{path} lacks the column {lacking[0]}", hint=f"remove the run's folder; {REMEDY}")
    values = {column: table[column].cast(pl.Float64).to_numpy() for column in COLUMNS}
    if table.height == 0 or not all(np.isfinite(column).all() for column in values.values()):
        raise ArtifactError(f"{path} holds no users or no numbers", hint=f"remove the run's folder; {REMEDY}")
    return tuple(table["user"].cast(pl.String).to_list()), values


def _load_curve(path: Path) -> list[CurvePoint]:
    """Points by step; none for a model without training, which has no file."""
    if not path.is_file():
        return []
    points = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            value = json.loads(line)
        except ValueError:
            raise ArtifactError(
                f"{path} line {number} is not JSON", hint=f"remove the run's folder; {REMEDY}"
            ) from None
        points.append(parse(CurvePoint, value, path, number))
    return sorted(points, key=lambda point: point.step)
