"""Stage ``train``: one backbone, with or without semantic interests, trained, evaluated and stored for serving."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import torch

from ..artifacts import TIMING, Artifact, digest_of, holds_another, is_current, load, write
from ..config import Config
from ..data.dataset import EvaluationUsers, Float32
from ..disk import storage_errors, unfinished_work, write_json, write_text
from ..errors import ArtifactError, ConfigError
from ..esim.encoder import TextEncoder
from ..evaluation.metrics import CUTOFFS, per_user
from ..evaluation.protocol import histories_of, interest_cosine, labels_of, top_k
from ..ibim.backbone import Backbone
from ..ibim.registry import backbone_kind, build_backbone
from ..ibim.storage import save_model
from ..progress import Reporter
from ..serving.recommend import CATALOGUE, HISTORIES
from ..training.loop import Progress, TrainingResult, fit
from ..training.memory import keep_freed_memory
from ..training.objective import build_objective
from ..training.sampling import pack
from .datasets import OpenDataset, embed_items
from .interest_artifact import Interests, shown_per_exemplar
from .semantics import semantic_inputs

# The terms' letters (SPEC sections 4 and 5), short enough for a progress bar.
_SYMBOLS = {
    "loss": "L",
    "recommendation": "L_R",
    "routing": "L_RR",
    "cloze": "L_C",
    "prediction": "L_S",
    "alignment": "L_A",
}


def train(
    dataset: OpenDataset,
    *,
    interests: Interests | None,
    encoder: TextEncoder,
    out: Path,
    config: Config,
    reporter: Reporter,
) -> Artifact:
    """Train one model, evaluate it on the test users, and write the run artefact.

    Without ``interests`` the backbone trains alone. Checkpoints live in ``OUT.work``, those of other settings apart: an
    interrupted run goes on from its last one to the bit-identical result; a finished one is a no-op.
    """
    if interests is not None and not backbone_kind(config.model.backbone).trainable:
        raise ConfigError(f"{config.model.backbone} learns nothing from interests", hint="leave out --interests")
    settings, inputs = _run_settings(config, interests), _run_inputs(dataset, interests, encoder, config)
    if is_current(out, "run", settings, inputs):
        reporter.say(f"{out} is up to date")
        return load(out, "run")
    if holds_another(out):
        reporter.say(f"{out} holds a run with other settings or inputs: it will be replaced when this one is finished")
    torch.set_num_threads(config.train.threads)
    keep_freed_memory()
    item_text = embed_items(dataset, encoder, reporter)[1] if _needs_text(config, interests) else None
    identity = digest_of([settings, inputs, str(torch.__version__)])
    with unfinished_work(out, identity) as work:
        if any(work.glob("checkpoint-*")):
            reporter.say(f"going on from the last checkpoint in {work}")
        backbone, result, n_parameters = _fit(
            dataset,
            interests=interests,
            item_text=item_text,
            work=work,
            identity=identity,
            config=config,
            reporter=reporter,
        )
        trained = _Trained(backbone, result, n_parameters)
        return _store(out, settings, inputs, dataset, trained)


def is_trained(
    out: Path, dataset: OpenDataset, *, interests: Interests | None, encoder: TextEncoder, config: Config
) -> bool:
    """Whether ``out`` holds, undamaged, the very run that :func:`train` would make of these arguments."""
    return is_current(out, "run", _run_settings(config, interests), _run_inputs(dataset, interests, encoder, config))


class _Trained(NamedTuple):
    """What training left: the best backbone, how it went, and its size."""

    backbone: Backbone
    result: TrainingResult
    n_parameters: int


def _store(
    out: Path, settings: dict[str, Any], inputs: dict[str, str], dataset: OpenDataset, trained: _Trained
) -> Artifact:

    def fill(folder: Path) -> None:
        with storage_errors(folder):
            save_model(trained.backbone, settings["model"]["backbone"], folder)
            _write_evaluation(folder, dataset, trained)
            _write_serving(folder, dataset)

    return write(out, "run", settings, inputs, fill)


def _needs_text(config: Config, interests: Interests | None) -> bool:
    return interests is not None or config.model.item_init == "text" or config.semantics.source == "item-text"


def _run_inputs(
    dataset: OpenDataset, interests: Interests | None, encoder: TextEncoder, config: Config
) -> dict[str, str]:
    """Fingerprints of what a run is made from, by role."""
    inputs = {"dataset": dataset.artifact.fingerprint}
    if interests is not None:
        inputs["interests"] = interests.artifact.fingerprint
    if _needs_text(config, interests):
        inputs["encoder"] = encoder.digest
    return inputs


def _run_settings(config: Config, interests: Interests | None) -> dict[str, Any]:
    settings = config.model_dump(include={"split", "loss", "objective", "semantics", "train"})
    named = {"backbone": config.model.backbone, "item_init": config.model.item_init}
    settings["model"] = named | _backbone_settings(config)
    if interests is not None and config.semantics.source == "titles":
        settings["semantics"]["max_titles"] = shown_per_exemplar(interests, config)
    if interests is None and config.semantics.source == "titles":
        raise ConfigError("semantics.source=titles needs exemplars", hint="give --interests")
    if interests is None and config.semantics.source != "item-text":
        del settings["objective"], settings["semantics"]  # nothing semantic takes part
    return settings


def _backbone_settings(config: Config) -> dict[str, Any]:
    """The settings of the chosen backbone; other backbones' take no part, and are not recorded."""
    kind = backbone_kind(config.model.backbone)
    learned = {"item_std"} if kind.trainable else set()
    return config.model.model_dump(include={"dim", "interests", "max_length", *learned, *kind.options})


def _fit(
    dataset: OpenDataset,
    *,
    interests: Interests | None,
    item_text: Float32 | None,
    work: Path,
    identity: str,
    config: Config,
    reporter: Reporter,
) -> tuple[Backbone, TrainingResult, int]:
    split = dataset.split
    backbone = build_backbone(
        config.model.backbone,
        **_backbone_settings(config),
        n_items=dataset.data.n_items,
        seed=config.train.seed,
        item_text=torch.from_numpy(item_text) if item_text is not None and config.model.item_init == "text" else None,
    )
    objective = None
    if backbone.trainable:
        objective = build_objective(
            backbone,
            loss=config.loss.model_dump(),
            objective=config.objective.model_dump(),
            semantic_inputs=semantic_inputs(dataset, interests, item_text, config),
            seed=config.train.seed,
        )
    validate = _validator(dataset, split.valid, backbone.max_length)

    latest: Mapping[str, float] = {}

    def tell(progress: Progress) -> None:
        nonlocal latest
        latest = progress.valid or latest
        terms = " ".join(f"{_SYMBOLS[name]} {value:.3g}" for name, value in progress.terms.items())
        valid = f"valid R@50 {latest['Recall@50']:.4f} " if latest else ""
        reporter.progress("train", progress.step, progress.max_steps, valid + terms)

    result = fit(
        backbone=backbone,
        objective=objective,
        sequences=pack(dataset.data, split),
        validate=validate,
        **config.train.model_dump(exclude={"threads"}),
        work=work,
        identity=identity,
        callback=tell,
    )
    if result.stopped_by == "guessing":
        reporter.say(
            f"nothing was learned in {result.steps} steps: the recommendation loss is still that of guessing; "
            "raise model.item_std or train.max_steps"
        )
    n_parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return backbone.to("cpu"), result, n_parameters


def _validator(dataset: OpenDataset, users: EvaluationUsers, max_length: int) -> Any:
    histories = torch.from_numpy(histories_of(dataset.data, users, max_length=max_length))
    labels = labels_of(dataset.data, users)

    def validate(backbone: Backbone) -> dict[str, float]:
        ranked = top_k(backbone, histories, k=max(CUTOFFS))
        values = per_user(ranked, labels, cutoffs=(20, 50))
        return {name: float(values[name].mean()) for name in ("Recall@20", "Recall@50", "HR@50")}

    return validate


def _write_evaluation(folder: Path, dataset: OpenDataset, trained: _Trained) -> None:
    backbone, result, n_parameters = trained
    test = dataset.split.test
    histories = torch.from_numpy(histories_of(dataset.data, test, max_length=backbone.max_length))
    values = per_user(top_k(backbone, histories, k=max(CUTOFFS)), labels_of(dataset.data, test))
    users = [dataset.data.users[int(user)] for user in test.users]
    # float32 is far finer than any difference between runs, and half as much to keep for each of some hundred runs
    table = pl.DataFrame({"user": users, **values}).cast({pl.Float64: pl.Float32})
    table.write_parquet(folder / "per_user.parquet")
    metrics = {
        "test": {name: float(column.mean()) for name, column in values.items()},
        "valid": dict(result.best_valid),
        "best_step": result.best_step,
        "steps": result.steps,
        "stopped_by": result.stopped_by,
        "n_parameters": n_parameters,
        "interest_cosine": interest_cosine(backbone, histories),
    }
    write_json(folder / "metrics.json", metrics)
    write_json(folder / TIMING, {"seconds": round(result.curves[-1]["seconds"], 3)})
    curves = [{("loss" if key == "terms" else key): value for key, value in row.items()} for row in result.curves]
    write_text(folder / "curves.jsonl", "".join(json.dumps(row) + "\n" for row in curves))


def training_seconds(run: Path) -> float:
    """Seconds that a finished run's training and its evaluations took, over all resumptions.

    Raises :class:`ArtifactError` where the run's record of them is missing or damaged.
    """
    try:
        return float(json.loads((run / TIMING).read_text("utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{run / TIMING} is missing or damaged ({error})", hint=f"delete {run} and go on") from None


def _write_serving(folder: Path, dataset: OpenDataset) -> None:
    data = dataset.data
    pl.DataFrame({"item": list(data.items), "title": list(data.titles)}).write_parquet(folder / CATALOGUE)
    histories = [data.history(user).tolist() for user in range(data.n_users)]  # whole: seen items may be left out
    frame = pl.DataFrame(
        {"user": list(data.users), "history": histories}, schema_overrides={"history": pl.List(pl.Int64)}
    )
    frame.write_parquet(folder / HISTORIES)
