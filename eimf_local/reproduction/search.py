"""Equal terms: the same small number of trials for every model, compared on validation users only.

The first trial is the preset's own setting, so that a search never ends below it; the others are drawn from the model's
space (search_spaces.toml) without repetition, by a fixed seed. Trials are cells like the grid's: resumable, and never
trained twice. A model with fewer possible settings than trials has each of them tried once.
"""

from __future__ import annotations

import importlib.resources
import itertools
import json
import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..artifacts import load
from ..config import Config, TunedConfig, build_config
from ..ibim.registry import backbone_kind
from .cells import Cell
from .conditions import CONDITIONS
from .grid import Row

MOST_TRIALS = 8  # SPEC: one small search budget
FOLDER = "search"
PRESET = "preset.toml"  # in FOLDER: the settings of the grid with what was found
CRITERION = "Recall@50"
_SEED = 0  # of the drawing; and the training seed of all trials is the first of the grid's
_SHARED = "shared"
_FINGERPRINT = 12  # characters of a data set's that tell it

Setting = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One setting of one model, and its training."""

    model: str
    setting: Setting
    cell: Cell


def trials_of(cells: Sequence[Cell], rows: Sequence[Row], *, trials: int, out: Path, config: Config) -> list[Trial]:
    """Every model's trials. ``cells`` are the grid's: the first of each searched model is what is tried.

    A model that was searched already (``config.tuned``) is searched anew, from the preset's own settings.
    """
    untuned = build_config({**config.model_dump(), "tuned": {}})
    found: list[Trial] = []
    seen: set[str] = set()
    for cell in cells:
        row = next(row for row in rows if row.name == cell.condition)
        model = row.condition.name
        if row.condition.model != model or model in seen or model not in search_spaces():
            continue
        seen.add(model)
        base = row.condition.apply(untuned, seed=cell.seed)
        for number, setting in enumerate(_drawn(model, base, trials)):
            place = out / FOLDER / model / f"trial-{number}"
            found.append(Trial(model, setting, replace(cell, out=place, config=_with(base, setting))))
    return found


def best_of(trials: Sequence[Trial], fingerprint: str, name: str) -> dict[str, TunedConfig]:
    """By model the setting with the highest Recall@50 of the validation users, over ``trials``, which have finished.

    ``fingerprint`` and ``name``: of the data set they were made on. Ties: the earlier trial.
    """
    results: dict[str, list[tuple[float, Setting]]] = {}
    for trial in trials:
        stored = load(trial.cell.out, "run").file("metrics.json")
        valid = float(json.loads(stored.read_text("utf-8"))["valid"][CRITERION])
        results.setdefault(trial.model, []).append((valid, trial.setting))
    tuned = {}
    for model, tried in results.items():
        valid, setting = max(tried, key=lambda one: one[0])
        tuned[model] = TunedConfig(
            trials=len(tried),
            recall_50=round(valid, 6),
            found_on=name,
            dataset=fingerprint[:_FINGERPRINT],
            settings=setting,
        )
    return tuned


def preset_text(config: Config, tuned: Mapping[str, TunedConfig]) -> str:
    """A preset in TOML: every setting of ``config`` that is not at its default, and what was found.

    Models that were not searched now keep what ``config`` has for them.
    """
    defaults, values = Config().model_dump(), config.model_dump(exclude={"tuned"})
    lines = ["# Written by a search on validation users; [tuned.MODEL] is what it found, recall_50 theirs."]
    for section, keys in values.items():
        changed = {key: value for key, value in keys.items() if value != defaults[section][key] and value is not None}
        if changed:
            lines += ["", f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in changed.items())]
    for model, found in {**config.tuned, **tuned}.items():
        setting = ", ".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in found.settings.items())
        lines += ["", f"[tuned.{model}]", f"trials = {found.trials}", f"recall_50 = {found.recall_50}"]
        lines += [f"found_on = {_toml(found.found_on)}"] if found.found_on else []
        lines += [f"dataset = {_toml(found.dataset)}"] if found.dataset else []
        lines += [f"settings = {{ {setting} }}"]
    return "\n".join(lines) + "\n"


def search_spaces() -> dict[str, dict[str, list[Any]]]:
    """By model what may be tried, by section.key."""
    text = importlib.resources.files(__package__).joinpath("search_spaces.toml").read_text("utf-8")
    spaces: dict[str, dict[str, list[Any]]] = tomllib.loads(text)
    shared = spaces.pop(_SHARED)
    return {model: {**_shared_for(model, shared), **space} for model, space in spaces.items()}


def _shared_for(model: str, shared: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The learning rate means nothing to a model in closed form."""
    backbone = CONDITIONS[model].overrides["model"]["backbone"]
    return shared if backbone_kind(backbone).trainable else {}


def _drawn(model: str, base: Config, trials: int) -> list[Setting]:
    space = search_spaces()[model]
    values = base.model_dump()
    own = {path: values[path.partition(".")[0]][path.partition(".")[2]] for path in space}
    others = [dict(zip(space, combination, strict=True)) for combination in itertools.product(*space.values())]
    others = [setting for setting in others if setting != own]
    count = min(trials - 1, len(others))
    return [own, *random.Random(_SEED).sample(others, count)]


def _with(config: Config, setting: Setting) -> Config:
    values = config.model_dump()
    for path, value in setting.items():
        section, _, key = path.partition(".")
        values[section][key] = value
    return build_config(values)


def _toml(value: Any) -> str:
    """A boolean, number, string or list as TOML writes it; JSON's forms are the same, but for tuples."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)
