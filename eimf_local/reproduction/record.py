"""The record of a grid (grid.json): data, interests, machine, and what was run; the report is made from it."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..artifacts import RECORD, digest_of
from ..config import Config
from ..esim.interests import path_counts
from ..stages.datasets import OpenDataset, dataset_name
from ..stages.interest_artifact import Interests, exemplar_titles
from .conditions import Condition
from .grid import Row, run_path
from .interest_sets import InterestSets, users_of
from .parts import Choice

_EXAMPLES = 3
_OUTDATED = "what is there is damaged, or of other interests, data or settings; not chosen this time"
_WITHOUT = "its interests were not given this time"


def dataset_record(dataset: OpenDataset) -> dict[str, Any]:
    """The data set and its split."""
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


def interests_record(
    interests: Interests,
    dataset: OpenDataset,
    quality: Mapping[str, Any],
    truth: Mapping[str, Sequence[str]] | None,
    *,
    out: Path,
    config: Config,
) -> dict[str, Any]:
    """One set of interests: the LLM, how its exemplars were chosen, its quality, and a few examples."""
    titles = exemplar_titles(dataset, interests, config)
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
        "folder": os.path.relpath(interests.artifact.path.resolve(), out.resolve()),
        "llm": interests.llm,
        "llm_digest": interests.records[0].model_sha256,
        "encoder": interests.choice["encoder"],
        "exemplars": len(interests.records),
        "exemplars_digest": digest_of(sorted(users_of(interests))),
        "method": interests.choice["method"],
        "fraction": interests.choice.get("fraction"),
        "preference": interests.choice.get("preference"),
        "converged": interests.choice.get("converged"),
        "path_counts": path_counts(interests.records),
        "tokens": sum(record.tokens for record in interests.records),
        **quality,
        "examples": examples,
    }


def parts_record(choice: Choice, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The tables and figures of the report.

    A point of a figure that others are compared with is the row of the language model that inferred theirs.
    """

    def row_of(point: str, part: Sequence[str]) -> str:
        against = (row.against for row in rows if row.condition.name in part and row.against)
        return next((name for name in against if name.startswith(f"{point}@")), point)

    return [
        {
            "name": part.name,
            "title": part.title,
            "conditions": list(part.conditions),
            "points": [
                {"label": point.label, "condition": row_of(point.condition, [one.condition for one in part.points])}
                for point in part.points
            ],
        }
        for part in choice.parts
    ]


def not_run_record(
    conditions: Sequence[Condition],
    rows: Sequence[Row],
    finished: Mapping[str, Sequence[int]],
    *,
    out: Path,
    seeds: Sequence[int],
    failures: Mapping[tuple[str, int], str],
    reasons: Mapping[str, str],
    impossible: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Every condition with seeds that have neither a finished nor a failed run, and why.

    ``finished``: seeds of finished runs, and ``reasons``, by the row's name; ``impossible``: by the condition's.
    """
    found = []
    for condition in conditions:
        mine = [(row.name, row.label) for row in rows if row.condition.name == condition.name]
        unchosen = "not chosen" if mine or condition.interests == "none" else _WITHOUT
        for name, label in mine or [(condition.name, condition.label)]:
            left = [seed for seed in seeds if seed not in finished.get(name, ()) and (name, seed) not in failures]
            if left:
                there = mine and any((out / run_path(name, seed) / RECORD).is_file() for seed in left)
                reason = impossible.get(condition.name) or reasons.get(name) or (_OUTDATED if there else unchosen)
                found.append({"name": condition.name, "label": label, "seeds": left, "reason": reason})
    return found


def missing_reasons(conditions: Sequence[Condition], sets: InterestSets, *, titles: bool) -> dict[str, str]:
    """Why a condition cannot be run at all, by its name."""
    reasons: dict[str, str] = {}
    for condition in conditions:
        if condition.needs_text and not titles:
            reasons[condition.name] = "the data set has no titles"
        elif condition.interests in sets.missing:
            reasons[condition.name] = sets.missing[condition.interests]
    return reasons


def changed_settings(config: Config) -> dict[str, Any]:
    """Every setting that is not at its default, as section.key; what the grid says elsewhere is left out."""
    defaults, values = Config().model_dump(), config.model_dump(exclude={"reproduce", "split", "tuned"})
    return {
        f"{section}.{key}": value
        for section, settings in values.items()
        for key, value in settings.items()
        if value != defaults[section][key]
    }


def source_commit() -> str:
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


def machine() -> str:
    """Processor, cores, memory, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{platform.machine()}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}"
