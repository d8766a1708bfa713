import json
import subprocess
import sys

import pytest
import torch

from eimf_local.errors import ArtifactError, StorageError
from eimf_local.ibim.registry import BACKBONES, build_backbone
from eimf_local.ibim.storage import DESCRIPTION, WEIGHTS, load_model, save_model


def build(name="remi"):
    return build_backbone(name, n_items=20, dim=6, interests=2, max_length=5, seed=4)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_loading_gives_the_saved_model(name, tmp_path):
    backbone = build(name).eval()
    with torch.no_grad():
        backbone.item_embedding.weight[1:] += 1
    save_model(backbone, name, tmp_path / "model")
    found = load_model(tmp_path / "model")
    assert type(found) is type(backbone)
    assert found.arguments == backbone.arguments
    assert not found.training
    history = torch.tensor([[3, 1, 2, 0, 0]])
    assert torch.equal(found.encode(history, history > 0), backbone.encode(history, history > 0))
    assert torch.equal(found.item_vectors(), backbone.item_vectors())


def _break(folder, how):
    description = json.loads((folder / DESCRIPTION).read_text())
    if how == "no weights":
        (folder / WEIGHTS).unlink()
    elif how == "truncated weights":
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])
    elif how == "no description":
        (folder / DESCRIPTION).unlink()
    elif how == "broken description":
        (folder / DESCRIPTION).write_text("{")
    elif how == "unknown backbone":
        (folder / DESCRIPTION).write_text(json.dumps(description | {"backbone": "nobody"}))
    elif how == "other sizes":
        description["arguments"]["dim"] = 7
        (folder / DESCRIPTION).write_text(json.dumps(description))
    elif how == "unknown argument":
        description["arguments"]["wings"] = 2
        (folder / DESCRIPTION).write_text(json.dumps(description))


@pytest.mark.parametrize(
    "how",
    ["no weights", "truncated weights", "no description", "broken description", "unknown backbone", "other sizes",
     "unknown argument"],
)  # fmt: skip
def test_a_damaged_model_is_a_named_error(how, tmp_path):
    save_model(build(), "remi", tmp_path)
    _break(tmp_path, how)
    with pytest.raises(ArtifactError, match="eimf-local train") as caught:
        load_model(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_file_in_the_way_is_a_storage_error(tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(StorageError):
        save_model(build(), "remi", tmp_path / "model")


def test_loading_needs_neither_training_nor_text_modules():
    code = (
        "import sys, eimf_local.ibim.storage; "
        "print([m for m in sys.modules if m.startswith(('eimf_local.training', 'eimf_local.alignment', "
        "'eimf_local.esim', 'llama_cpp', 'sentence_transformers', 'pydantic'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
