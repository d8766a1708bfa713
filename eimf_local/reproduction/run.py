"""``reproduce``: dataset, interests, controls' interests, the grid of runs, the report; every part resumable."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..artifacts import digest_of, locked, storage_errors, write_json
from ..config import Config
from ..data.demo import write_demo_source
from ..data.storage import TRUE_INTERESTS, load_true_interests
from ..errors import ArtifactError, InputError, TrainingError
from ..esim.encoder import load_encoder
from ..esim.interests import path_counts
from ..esim.model_files import LanguageModel, resolve_llm
from ..evaluation.protocol import histories_of, interest_cosine
from ..evaluation.report import write_report
from ..ibim.storage import load_model
from ..progress import Reporter
from ..stages.datasets import (
    OpenDataset,
    dataset_name,
    embed_items,
    open_dataset,
    prepare_dataset,
    text_folder,
)
from ..stages.interests import Interests, exemplar_titles, infer, open_interests
from ..stages.quality import judge_interests
from .cells import run_cells
from .conditions import Source, chosen_conditions
from .grid import Row, condition_records, grid_cells, grid_rows, run_path

STAGES = "stages.json"  # seconds per stage; its presence marks a folder as a grid's
_EXAMPLES = 3


@dataclass(frozen=True)
class Order:
    """What ``reproduce`` was asked for.

    ``dataset`` None is the embedded demo. ``interests``: artefacts on the same exemplars, compared side by side.
    ``model``: a GGUF by name or path, or a server's URL; None where only the given interests are wanted.
    """

    out: Path
    config: Config
    dataset: Path | None
    interests: Sequence[Path]
    model: str | None
    encoder: str


def reproduce(order: Order, reporter: Reporter) -> Path:
    """Run what is missing of the grid and write the report; returns the path of report.html.

    Raises :class:`TrainingError` after the report is written where cells failed, naming them.
    """
    if order.out.is_dir() and any(order.out.iterdir()) and not (order.out / STAGES).exists():
        raise ArtifactError(f"{order.out} holds something else than a grid", hint="choose another --out")
    with storage_errors(order.out):
        order.out.mkdir(parents=True, exist_ok=True)
    with locked(order.out, order.out):
        return _reproduce(order, reporter)


def _reproduce(order: Order, reporter: Reporter) -> Path:
    clock = _StageClock(order.out / STAGES)
    with clock.stage("prepare", done=order.dataset is not None or (order.out / "demo").exists()):
        dataset = _dataset(order, reporter)
    encoder = load_encoder(order.encoder)
    with clock.stage("encode titles", done=text_folder(dataset, encoder).exists()):
        _, item_text = embed_items(dataset, encoder, reporter)
    model = resolve_llm(order.model) if order.model else None
    conditions = chosen_conditions(order.config.reproduce.conditions)
    inferred = order.out / "interests"
    with clock.stage("infer interests", done=model is None or (inferred / model.name).exists()):
        method = _method_interests(order, dataset, model, reporter)
    wanted = {condition.interests for condition in conditions}
    with clock.stage("infer interests of the controls", done=(inferred / "random").exists()):
        controls = _control_interests(order, dataset, method[0], model, wanted, reporter)
    truth = _truth(order)
    with clock.stage("judge interests", done=(order.out / "grid.json").exists()):
        records = [
            _interests_record(
                interests,
                dataset,
                judge_interests(dataset, interests, item_text, encoder, order.config, truth=truth),
                truth,
                order,
            )
            for interests in [*method, *controls.values()]
        ]
    rows = grid_rows(conditions, method, controls)
    seeds = order.config.reproduce.seeds
    runs = [order.out / run_path(row.name, seed) for row in rows for seed in range(seeds)]
    with clock.stage("train and evaluate", done=all(run.exists() for run in runs)):
        failures = _run_grid(order, rows, dataset, reporter)
    record = {
        "dataset": _dataset_record(dataset),
        "interests": records,
        "commit": _commit(),
        "machine": _machine(),
        "date": datetime.date.today().isoformat(),
        "version": __version__,
        "provisional": seeds < 5,
        "seeds": list(range(seeds)),
        "settings": _changed_settings(order.config),
        "stages": clock.seconds(),
        "conditions": condition_records(
            rows, seeds=seeds, failures=failures, cosines=_interest_cosines(order, rows, dataset, failures)
        ),
    }
    write_json(order.out / "grid.json", record)
    write_report(order.out)
    if failures:
        names = ", ".join(f"{name} seed {seed}" for name, seed in failures)
        raise TrainingError(
            f"{len(failures)} runs failed: {names} ({next(iter(failures.values()))})",
            hint=f"the rest is in {order.out / 'report.html'}; run the same command to try them again",
        )
    return order.out / "report.html"


def _dataset(order: Order, reporter: Reporter) -> OpenDataset:
    if order.dataset is not None:
        return open_dataset(order.dataset, order.config)
    source = order.out / "source"
    write_demo_source(source)
    prepare_dataset(
        source, format="table", titles=None, columns={}, out=order.out / "demo", config=order.config, reporter=reporter
    )
    return open_dataset(order.out / "demo", order.config)


def _truth(order: Order) -> dict[str, list[str]] | None:
    """The generated data's true interests by user; None for real data."""
    if order.dataset is not None:
        return None
    return load_true_interests(order.out / "source" / TRUE_INTERESTS)


def _method_interests(
    order: Order, dataset: OpenDataset, model: LanguageModel | None, reporter: Reporter
) -> list[Interests]:
    """The given artefacts, then the local model's: on their exemplars if any are given, else on its own choice."""
    encoder = load_encoder(order.encoder)
    given = [open_interests(path, dataset, order.config, encoder) for path in order.interests]
    _check_comparable(given, model)
    if model is None:
        if not given:
            raise InputError("no interests and no model", hint="give --interests DIR or --model NAME")
        return given
    inferred = infer(
        dataset,
        encoder=encoder,
        model=model,
        users=_users(given[0]) if given else None,
        out=order.out / "interests" / model.name,
        config=order.config,
        reporter=reporter,
    )
    return [*given, inferred]


def _check_comparable(given: Sequence[Interests], model: LanguageModel | None) -> None:
    """Rows are told apart by the artefacts' folder names, and LLMs compared on the same exemplars only."""
    names = [interests.name for interests in given] + ([model.name] if model else [])
    if len(set(names)) < len(names):
        raise InputError(f"two sets of interests have one name ({', '.join(names)})", hint="rename their folders")
    if any(sorted(_users(other)) != sorted(_users(given[0])) for other in given):
        raise InputError(
            "the interests given are not of the same exemplars", hint="compare two LLMs on the same exemplars only"
        )


def _control_interests(
    order: Order,
    dataset: OpenDataset,
    reference: Interests,
    model: LanguageModel | None,
    wanted: set[Source],
    reporter: Reporter,
) -> dict[Source, Interests]:
    """Interests of k-means and of random exemplars, as many as the method has, by the local model."""
    controls: dict[Source, Interests] = {}
    for source in ("kmeans", "random"):
        if source not in wanted:
            continue
        if model is None:
            reporter.say(f"not run: {source} exemplars (no local model was given to infer their interests)")
            continue
        values = order.config.model_dump()
        fraction = len(reference.records) / len(reference.cluster)
        values["exemplars"] |= {"method": source, "fraction": fraction, "preference": None}
        controls[source] = infer(
            dataset,
            encoder=load_encoder(order.encoder),
            model=model,
            users=None,
            out=order.out / "interests" / source,
            config=Config.model_validate(values),
            reporter=reporter,
        )
    return controls


def _users(interests: Interests) -> list[str]:
    return [record.user for record in interests.records]


def _run_grid(
    order: Order, rows: Sequence[Row], dataset: OpenDataset, reporter: Reporter
) -> dict[tuple[str, int], str]:
    config = order.config
    cells = grid_cells(
        rows,
        seeds=config.reproduce.seeds,
        dataset=dataset.artifact.path,
        encoder=order.encoder,
        out=order.out,
        config=config,
    )
    failures: dict[tuple[str, int], str] = {}
    reporter.progress("train and evaluate", 0, len(cells))
    for done, outcome in enumerate(run_cells(cells, workers=config.reproduce.workers), start=1):
        cell = outcome.cell
        if outcome.error is not None:
            failures[cell.condition, cell.seed] = outcome.error
            reporter.say(f"failed: {cell.condition}, seed {cell.seed}: {outcome.error}")
        reporter.progress("train and evaluate", done, len(cells), f"{cell.condition}, seed {cell.seed}")
    return failures


def _interest_cosines(
    order: Order, rows: Sequence[Row], dataset: OpenDataset, failures: Mapping[tuple[str, int], str]
) -> dict[str, float | None]:
    """Each row's mean cosine between a test user's interests, over its finished runs."""
    found: dict[str, float | None] = {}
    for row in rows:
        done = [seed for seed in range(order.config.reproduce.seeds) if (row.name, seed) not in failures]
        models = [load_model(order.out / run_path(row.name, seed)) for seed in done]
        values = [
            interest_cosine(
                model,
                torch.from_numpy(histories_of(dataset.data, dataset.split.test, max_length=model.max_length)),
            )
            for model in models
        ]
        known = [value for value in values if value is not None]
        found[row.name] = sum(known) / len(known) if known else None
    return found


def _dataset_record(dataset: OpenDataset) -> dict[str, Any]:
    data, split = dataset.data, dataset.split
    return {
        "name": dataset_name(dataset),
        "digest": dataset.artifact.fingerprint,
        "users": data.n_users,
        "items": data.n_items,
        "interactions": len(data.sequence),
        "tied_timestamps": data.statistics["timestamps"]["tied_share"],
        "split": split.protocol,
        "valid_users": len(split.valid.users),
        "test_users": len(split.test.users),
    }


def _interests_record(
    interests: Interests,
    dataset: OpenDataset,
    quality: Mapping[str, Any],
    truth: Mapping[str, Sequence[str]] | None,
    order: Order,
) -> dict[str, Any]:
    titles = exemplar_titles(dataset, interests, order.config)
    examples = [
        {
            "user": record.user,
            "titles": shown,
            "interests": list(record.interests),
            "true": list(truth[record.user]) if truth else None,
        }
        for record, shown in list(zip(interests.records, titles, strict=True))[:_EXAMPLES]
    ]
    return {
        "name": interests.name,
        "folder": os.path.relpath(interests.artifact.path.resolve(), order.out.resolve()),
        "llm": interests.llm,
        "llm_digest": interests.records[0].model_sha256,
        "encoder": interests.choice["encoder"],
        "exemplars": len(interests.records),
        "exemplars_digest": digest_of(sorted(_users(interests))),
        "method": interests.choice["method"],
        "fraction": interests.choice.get("fraction"),
        "preference": interests.choice.get("preference"),
        "converged": interests.choice.get("converged"),
        "path_counts": path_counts(interests.records),
        "tokens": sum(record.tokens for record in interests.records),
        "seconds": round(sum(record.seconds for record in interests.records), 3),
        **quality,
        "examples": examples,
    }


def _changed_settings(config: Config) -> dict[str, Any]:
    """Every setting that is not at its default, as section.key; what the grid says elsewhere is left out."""
    defaults, values = Config().model_dump(), config.model_dump(exclude={"reproduce", "split"})
    return {
        f"{section}.{key}": value
        for section, settings in values.items()
        for key, value in settings.items()
        if value != defaults[section][key]
    }


class _StageClock:
    """Seconds per stage, kept over resumed runs; a stage that finds its work done does not add to its cost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        if path.exists():
            with suppress(ValueError, TypeError, AttributeError):  # damaged: not worth an error, measured anew
                self._seconds = {str(name): float(value) for name, value in json.loads(path.read_text("utf-8")).items()}

    @contextmanager
    def stage(self, name: str, *, done: bool = False) -> Iterator[None]:
        """Measure a stage; ``done`` says that its result is already there."""
        started = time.perf_counter()
        try:
            yield
        finally:
            if not done or name not in self._seconds:
                self._seconds[name] = round(self._seconds.get(name, 0.0) + time.perf_counter() - started, 2)
                write_json(self._path, self._seconds)

    def seconds(self) -> list[dict[str, Any]]:
        return [{"stage": name, "seconds": seconds} for name, seconds in self._seconds.items()]


def _commit() -> str:
    """The source's commit, where it runs from a git checkout."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return "not from a checkout"
    try:
        answer = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{platform.machine()}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}"
