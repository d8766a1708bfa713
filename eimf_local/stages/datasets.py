"""Stages ``prepare`` and ``text``: raw logs to a dataset, and its titles to embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from ..artifacts import Artifact, is_current, load, write
from ..config import Config
from ..data.dataset import Dataset, Float32, Split
from ..data.prepare import prepare
from ..data.splits import make_split
from ..data.storage import load_dataset, save_dataset
from ..disk import storage_errors, unfinished_work
from ..errors import InputError
from ..esim.encoder import TextEncoder, item_embeddings
from ..progress import Reporter


@dataclass(frozen=True)
class OpenDataset:
    """A verified dataset artefact, its contents, and its split under the current config."""

    artifact: Artifact
    data: Dataset
    split: Split

    @property
    def training_rows(self) -> dict[str, int]:
        """Each training user's row in ``split.train_users``."""
        return {self.data.users[int(user)]: row for row, user in enumerate(self.split.train_users)}


def prepare_dataset(
    source: Path,
    *,
    format: str,
    titles: Path | None,
    columns: Mapping[str, Any],
    out: Path,
    config: Config,
    reporter: Reporter,
) -> Artifact:
    """Raw logs -> dataset artefact. ``out`` is left alone where the same files and settings built it already.

    ``columns`` are the keyword arguments ``user_column``, ``item_column``, ``order_column``, ``title_column`` of
    :func:`~eimf_local.data.prepare.prepare`; those left out take its defaults.
    """
    with unfinished_work(out, "prepare"):  # nothing is kept there: it refuses a second process
        dataset = prepare(source, format=format, titles=titles, **config.prepare.model_dump(), **columns)
        settings = {
            "format": format,
            "columns": dict(columns),
            "prepare": config.prepare.model_dump(),
            "sources": dataset.statistics["sources"],
        }
        if is_current(out, "dataset", settings, {}):
            reporter.say(f"{out} is up to date")
            return load(out, "dataset")
        return write(out, "dataset", settings, {}, lambda folder: save_dataset(dataset, folder))


def open_dataset(path: Path, config: Config) -> OpenDataset:
    """Load and verify a dataset, and split it as ``config.split`` says."""
    artifact = load(path, "dataset")
    data = load_dataset(path)
    return OpenDataset(artifact, data, make_split(data, **config.split.model_dump()))


def embed_items(dataset: OpenDataset, encoder: TextEncoder, reporter: Reporter) -> tuple[Artifact, Float32]:
    """Titles -> float32 [N + 1, T] (row 0 zero), cached beside the dataset, one folder an encoder.

    Raises :class:`InputError` where no item has a title.
    """
    if not has_titles(dataset):
        raise InputError(
            f"{dataset.artifact.path} has no titles: interests and text-initialised tables have nothing to read",
            hint="prepare the data with titles (--titles FILE); models that learn from behaviour alone need none",
        )
    path = text_folder(dataset, encoder)
    settings = {"encoder": encoder.name, "encoder_digest": encoder.digest}
    inputs = {"dataset": dataset.artifact.fingerprint}
    if is_current(path, "text", settings, inputs):
        artifact = load(path, "text")
        return artifact, load_file(path / "items.safetensors")["embeddings"]

    def tell(done: int, total: int) -> None:
        reporter.progress("encode titles", done, total)

    embeddings = item_embeddings(dataset.data, encoder, callback=tell)

    def fill(folder: Path) -> None:
        with storage_errors(folder):
            save_file({"embeddings": np.ascontiguousarray(embeddings)}, folder / "items.safetensors")

    return write(path, "text", settings, inputs, fill), embeddings


def text_folder(dataset: OpenDataset, encoder: TextEncoder) -> Path:
    """Where the dataset's titles, embedded by this encoder, are kept."""
    return dataset.artifact.path / f"text-{encoder.digest[:12]}"


def dataset_name(dataset: OpenDataset) -> str:
    """The name that people gave the dataset: its folder's."""
    return dataset.artifact.path.resolve().name


def has_titles(dataset: OpenDataset) -> bool:
    """Whether any item has a title; one without falls back to its id, which says nothing."""
    return int(dataset.data.statistics["titles_missing"]) < dataset.data.n_items


def describe(dataset: OpenDataset) -> list[str]:
    """What preparation read, dropped and kept, and the split, as lines for people."""
    statistics, split = dataset.data.statistics, dataset.split
    read, kept, dropped = statistics["read"], statistics["kept"], statistics["dropped"]
    times = statistics["timestamps"]
    share = times["tied_share"]
    tied = "no timestamps" if share is None else f"{share:.1%} of them share a user and a time"
    unread = statistics["lines"]["unparsable"] + statistics["blank_ids"]
    lines = [
        f"read    {read['users']:,} users, {read['items']:,} items, {read['interactions']:,} interactions ({tied})",
        f"dropped {dropped['rare_items']:,} rare items, {dropped['short_users']:,} users with few of the rest, "
        f"{dropped['rare_item_interactions'] + dropped['short_user_interactions']:,} interactions of theirs, "
        f"{unread:,} unreadable",
        f"kept    {kept['users']:,} users, {kept['items']:,} items, {kept['interactions']:,} interactions; "
        f"{statistics['titles_missing']:,} items without a title; ordered by {statistics['order']}",
        f"split   {split.protocol}: {len(split.train_users):,} training, {len(split.valid.users):,} validation, "
        f"{len(split.test.users):,} test users",
    ]
    if not has_titles(dataset):
        lines.append(
            "        no titles: interests cannot be inferred from this, models of behaviour alone can be trained"
        )
    if unread and statistics["lines"]["first_unparsable"] is not None:
        lines.append(f"        the first unreadable line is {statistics['lines']['first_unparsable']}")
    return lines
