"""A backbone on disk: ``model.safetensors`` and ``model.json``. All that serving needs."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..disk import storage_errors, write_json
from ..errors import ArtifactError, EimfError
from .backbone import Backbone
from .registry import build_backbone

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"


def save_model(backbone: Backbone, name: str, folder: Path) -> None:
    """Write weights and description into ``folder``, which is made if missing.

    ``name`` is the registry's. Meant to be called inside an artefact's ``fill``, which makes the two files appear at
    once; a refusal by the operating system is a :class:`~eimf_local.errors.StorageError`.
    """
    weights = {key: value.detach().cpu().contiguous() for key, value in backbone.state_dict().items()}
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        save_file(weights, folder / WEIGHTS)
    write_json(folder / DESCRIPTION, {"backbone": name, "arguments": backbone.arguments})


def load_model(folder: Path) -> Backbone:
    """The stored backbone on the CPU, in evaluation mode. Whatever does not fit is an :class:`ArtifactError`."""
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        backbone = build_backbone(description["backbone"], **description["arguments"])
        backbone.load_state_dict(load_file(folder / WEIGHTS))
    except FileNotFoundError as error:
        raise _unusable(folder, f"lacks {Path(str(error.filename or WEIGHTS)).name}") from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, EimfError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise _unusable(folder, f"holds no usable model ({reason})") from None
    return backbone.eval()


def _unusable(folder: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{folder} {what}", hint="train it again with 'eimf-local train'")
