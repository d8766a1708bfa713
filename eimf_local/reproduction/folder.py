"""A grid's folder: whose it is, and what it was made with; once something is trained, that stays so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Config
from ..disk import storage_errors, write_json
from ..errors import ArtifactError

STAGES = "stages.json"  # seconds per stage; its presence marks a folder as a grid's
MADE_WITH = "made-with.json"
CALIBRATION = "calibration.json"  # what steps cost under these settings
# Settings that change what is run, or how fast, but no result.
_FREE = {"exemplars.memory_gb", "llm.threads", "llm.parallel", "llm.gpu_layers"}
_TRAINED = ("runs", "search")  # where cells and trials go
_SHOWN = 3


def claim(folder: Path) -> None:
    """Make the folder, or find that it is a grid's; anything else there is an :class:`ArtifactError`."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / STAGES).exists():
        raise ArtifactError(f"{folder} holds something else than a grid", hint="choose another --out")
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def check_same(folder: Path, config: Config, **inputs: str) -> None:
    """Record what the grid is made with; a grid made with something else is an :class:`ArtifactError` naming it.

    Of a grid that was only planned, what it is made with may change. ``inputs``: digests of the data set and the
    encoder. Which conditions and seeds are run is free.
    """
    path, wanted = folder / MADE_WITH, {**_flat(config), **inputs}
    stored = _stored(path)
    if not path.exists() or not any((folder / name).exists() for name in _TRAINED):
        if stored != wanted:
            with storage_errors(folder):
                (folder / CALIBRATION).unlink(missing_ok=True)
            write_json(path, wanted)
        return
    if not isinstance(stored, Mapping):
        raise ArtifactError(f"{path} is damaged", hint="delete it and run the same command again")
    # A setting that came with a later version is no difference.
    changed = [key for key in wanted if key in stored and _result_of(key, stored[key]) != _result_of(key, wanted[key])]
    if changed:
        raise ArtifactError(
            f"{folder} is a grid of another configuration: {_described(changed, stored, wanted)}",
            hint="choose another --out, or give the settings that it was made with",
        )


def _stored(path: Path) -> Any:
    """What the record says; None where there is none, or no JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _result_of(key: str, value: Any) -> Any:
    """What of a setting changes a result: of a searched one, not how and where it was found."""
    return value.get("settings") if key.startswith("tuned.") and isinstance(value, Mapping) else value


def _flat(config: Config) -> dict[str, Any]:
    values = json.loads(config.model_dump_json(exclude={"reproduce"}))  # as it comes back from the file
    flat = {f"{section}.{key}": value for section, keys in values.items() for key, value in keys.items()}
    return {key: value for key, value in flat.items() if key not in _FREE}


def _described(changed: list[str], stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    named = [f"{key} is {_brief(stored[key])} there and {_brief(wanted[key])} here" for key in changed[:_SHOWN]]
    more = [f"and {len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
    return ", ".join([*named, *more])


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:12] + "…"
