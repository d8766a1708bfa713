"""The files of a ``dataset`` artefact: Parquet tables, packed arrays in safetensors, statistics in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ..disk import write_json, write_text
from ..errors import ArtifactError, InputError
from .dataset import Dataset

USERS = "users.parquet"
ITEMS = "items.parquet"
SEQUENCES = "sequences.safetensors"
STATISTICS = "statistics.json"
TRUE_INTERESTS = "true_interests.jsonl"


def save_dataset(dataset: Dataset, folder: Path) -> None:
    """Write ``dataset`` into an existing ``folder``; the same dataset gives the same bytes.

    ``users.parquet`` [user]; ``items.parquet`` [item, title, count], item number 1 first; ``sequences.safetensors``
    with offsets int64 [U + 1], sequence int32 [total] and, where times are known, timestamps int64 [total];
    ``statistics.json``. Meant as the ``fill`` of :func:`eimf_local.artifacts.write`, which names the failures to write.
    """
    counts = np.bincount(dataset.sequence, minlength=dataset.n_items + 1)[1:]
    pl.DataFrame({"user": dataset.users}, schema={"user": pl.String}).write_parquet(folder / USERS)
    pl.DataFrame(
        {"item": dataset.items, "title": dataset.titles, "count": counts},
        schema={"item": pl.String, "title": pl.String, "count": pl.Int64},
    ).write_parquet(folder / ITEMS)
    arrays = {"offsets": dataset.offsets, "sequence": dataset.sequence}
    if dataset.timestamps is not None:
        arrays["timestamps"] = dataset.timestamps
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / SEQUENCES)
    write_json(folder / STATISTICS, dataset.statistics)


def load_dataset(folder: Path) -> Dataset:
    """Read what :func:`save_dataset` wrote; a missing or unreadable file is an :class:`ArtifactError`."""
    try:
        users = pl.read_parquet(folder / USERS)
        items = pl.read_parquet(folder / ITEMS)
        arrays = load_file(folder / SEQUENCES)
        statistics = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
        return Dataset(
            users=tuple(users["user"].to_list()),
            items=tuple(items["item"].to_list()),
            titles=tuple(items["title"].to_list()),
            offsets=arrays["offsets"],
            sequence=arrays["sequence"],
            timestamps=arrays.get("timestamps"),
            statistics=statistics,
        )
    except (OSError, pl.exceptions.PolarsError, SafetensorError, ValueError, KeyError) as error:
        raise ArtifactError(
            f"{folder} holds no readable dataset: {str(error).partition(chr(10))[0]}",
            hint="rebuild it with 'eimf-local prepare'",
        ) from error


def save_true_interests(interests: Mapping[str, Sequence[str]], path: Path) -> None:
    """Write users' true interests, strongest first, as one JSON object a line: user, interests."""
    lines = (
        json.dumps({"user": user, "interests": list(phrases)}, ensure_ascii=False)
        for user, phrases in interests.items()
    )
    write_text(path, "".join(line + "\n" for line in lines))


def load_true_interests(path: Path) -> dict[str, list[str]]:
    """Read what :func:`save_true_interests` wrote; a bad line is an :class:`InputError` that gives its number."""
    interests: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", hint="check the path") from None
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            interests[str(record["user"])] = [str(phrase) for phrase in record["interests"]]
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{path} line {number} is no object with user and interests", hint="mend or remove the line"
            ) from None
    return interests
