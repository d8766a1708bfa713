"""An interests artefact: what it holds, and how it is written and opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from ..artifacts import TIMING, Artifact, load
from ..config import Config
from ..data.dataset import Bool, Float32, Int64
from ..disk import storage_errors, write_json, write_text
from ..errors import ArtifactError
from ..esim.encoder import TextEncoder
from ..esim.exemplars import Exemplars
from ..esim.interests import InterestRecord, embed_interests, from_jsonl, to_jsonl
from ..esim.prompts import shown_items
from ..esim.user_map import UserMap, map_users
from .datasets import OpenDataset


@dataclass(frozen=True)
class Interests:
    """A loaded interests artefact.

    ``records``: one an exemplar, in cluster order. ``embeddings`` float32 [G, M, T], ``mask`` bool [G, M].
    ``cluster`` int64 [U]: each training user's exemplar, in the order of ``split.train_users``.
    ``choice``: how the exemplars were chosen (method, preference, fraction, convergence ...).
    """

    artifact: Artifact
    records: list[InterestRecord]
    embeddings: Float32
    mask: Bool
    cluster: Int64
    choice: dict[str, Any]

    @property
    def name(self) -> str:
        """The artefact's folder name, by which reports call it."""
        return self.artifact.path.resolve().name

    @property
    def llm(self) -> str:
        """The model that inferred the interests."""
        return self.records[0].model


def contents(
    dataset: OpenDataset,
    exemplars: Exemplars,
    records: list[InterestRecord],
    seconds: dict[str, float],
    encoder: TextEncoder,
    texts: Float32,
) -> Callable[[Path], None]:
    """What fills an interests artefact; ``texts``: float32 [U, T], the training users'.

    Times are in a file of their own, so that all others are the same for the same work.
    """
    embeddings, mask = embed_interests(records, encoder)
    training = [dataset.data.users[int(user)] for user in dataset.split.train_users]
    names = [record.user for record in records]
    assignment = pl.DataFrame(
        {
            "user": training,
            "exemplar": [names[int(cluster)] for cluster in exemplars.assignment],
            "cluster": exemplars.assignment,
            "similarity": exemplars.similarity,
        }
    )
    user_map = _map_table(dataset, exemplars, map_users(texts, exemplars))
    choice = {**exemplars.record, "encoder": encoder.name, "exemplars": len(records)}

    def fill(folder: Path) -> None:
        with storage_errors(folder):
            write_text(folder / "interests.jsonl", to_jsonl(records))
            write_json(folder / TIMING, {"users": seconds})
            write_text(folder / "exemplars.json", json.dumps(choice, indent=1) + "\n")
            assignment.write_parquet(folder / "assignment.parquet")
            user_map.write_parquet(folder / "map.parquet")
            save_file({"interests": embeddings, "mask": mask}, folder / "embeddings.safetensors")

    return fill


def open_interests(path: Path, dataset: OpenDataset, config: Config, encoder: TextEncoder) -> Interests:
    """Load interests; refuse those of another dataset, split or encoder, with the command that rebuilds them."""
    artifact = load(path, "interests")
    if artifact.inputs["dataset"] != dataset.artifact.fingerprint:
        raise ArtifactError(
            f"{path} was inferred from another dataset than {dataset.artifact.path}",
            hint="run 'eimf-local infer-interests' (or import-interests) on this dataset",
        )
    if artifact.config["split"] != config.split.model_dump():
        raise ArtifactError(
            f"{path} was inferred under {_named(artifact.config['split'])}, not {_named(config.split.model_dump())}; "
            "its exemplars could be test users here",
            hint="infer the interests again under this split, or train under theirs",
        )
    if artifact.config["encoder_digest"] != encoder.digest:
        raise ArtifactError(
            f"{path} was embedded by another encoder than {encoder.name}; titles and interests need the same",
            hint="give the --encoder that the interests were made with, or infer them again with this one",
        )
    arrays = load_file(artifact.file("embeddings.safetensors"))
    return Interests(
        artifact=artifact,
        records=from_jsonl(artifact.file("interests.jsonl").read_text("utf-8")),
        embeddings=arrays["interests"],
        mask=arrays["mask"],
        cluster=pl.read_parquet(artifact.file("assignment.parquet"))["cluster"].to_numpy().astype(np.int64),
        choice=json.loads(artifact.file("exemplars.json").read_text("utf-8")),
    )


def exemplar_items(dataset: OpenDataset, interests: Interests, config: Config) -> list[list[int]]:
    """The item numbers that each exemplar's prompt showed, oldest first, in cluster order."""
    row_of = dataset.training_rows
    split = dataset.split
    return [
        shown_items(
            dataset.data,
            int(split.train_users[row_of[record.user]]),
            int(split.visible_ends[row_of[record.user]]),
            max_titles=shown_per_exemplar(interests, config),
        )
        for record in interests.records
    ]


def shown_per_exemplar(interests: Interests, config: Config) -> int:
    """How many titles of an exemplar the LLM was shown at most; imported interests do not say, so the config does."""
    return int(interests.artifact.config.get("prompt", {}).get("max_titles", config.prompt.max_titles))


def exemplar_titles(dataset: OpenDataset, interests: Interests, config: Config) -> list[list[str]]:
    """The titles of :func:`exemplar_items`."""
    return [[dataset.data.titles[item - 1] for item in items] for items in exemplar_items(dataset, interests, config)]


def _named(split: dict[str, Any]) -> str:
    return f"{split['protocol']} with seed {split['seed']}"


def _map_table(dataset: OpenDataset, exemplars: Exemplars, user_map: UserMap) -> pl.DataFrame:
    """The map's users with their clusters; exemplars have the title of the newest item that ESIM sees of them."""
    data, split = dataset.data, dataset.split
    newest = {
        row: data.history(int(split.train_users[row]), int(split.visible_ends[row]))[-1] for row in exemplars.rows
    }
    return pl.DataFrame(
        {
            "user": [data.users[split.train_users[row]] for row in user_map.rows],
            "x": user_map.positions[:, 0],
            "y": user_map.positions[:, 1],
            "cluster": exemplars.assignment[user_map.rows],
            "exemplar": [row in newest for row in user_map.rows],
            "title": [data.titles[newest[row] - 1] if row in newest else None for row in user_map.rows],
        }
    )
