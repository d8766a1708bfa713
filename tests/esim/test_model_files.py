from __future__ import annotations

from pathlib import Path

import pytest

from eimf_local.artifacts import sha256_file
from eimf_local.errors import ModelFileError
from eimf_local.esim import model_files
from eimf_local.esim.model_files import BUNDLED_MODEL, add_model, list_models, resolve_model


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EIMF_LOCAL_HOME", str(tmp_path / "home"))


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "mine.gguf"
    path.write_bytes(resolve_model(BUNDLED_MODEL).path.read_bytes())
    return path


def test_the_bundled_model_is_pinned_and_intact() -> None:
    model = resolve_model(BUNDLED_MODEL)
    assert model.pinned
    assert model.sha256 == sha256_file(model.path)
    entry = list_models()[0]
    assert entry.size == model.path.stat().st_size
    assert "not alibaba" in entry.description.lower()


def test_a_path_that_was_never_added_is_used_unpinned(gguf: Path) -> None:
    model = resolve_model(str(gguf))
    assert (model.name, model.pinned, model.sha256) == ("mine", False, sha256_file(gguf))


def test_an_added_file_is_found_by_name_and_by_path_and_adding_again_changes_nothing(gguf: Path) -> None:
    add_model(gguf, name="my-qwen")
    add_model(gguf, name="my-qwen")
    assert [entry.name for entry in list_models()] == [BUNDLED_MODEL, "my-qwen"]
    assert resolve_model("my-qwen").pinned
    assert resolve_model(str(gguf)).name == "my-qwen"


def test_when_an_added_file_changes_it_is_refused_before_anything_parses_it(gguf: Path) -> None:
    add_model(gguf)
    data = bytearray(gguf.read_bytes())
    data[len(data) // 2] ^= 1
    gguf.write_bytes(data)
    for spec in ("mine", str(gguf)):
        with pytest.raises(ModelFileError, match="is not the pinned one"):
            resolve_model(spec)
    gguf.unlink()
    with pytest.raises(ModelFileError, match="is missing"):
        resolve_model("mine")


def test_a_taken_name_is_refused(gguf: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(gguf.read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="name is taken"):
        add_model(other, name=BUNDLED_MODEL)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not a GGUF file"),
        (b"PK\x03\x04 a zip", "is not a GGUF file"),
        (b"GGUF\x03\x00", "is truncated"),
        (b"GGUF" + b"\x01\0\0\0" + b"\x01" + b"\0" * 15, "version 1"),
        (b"GGUF" + b"\x03\0\0\0" + b"\0" * 16, "0 tensors"),
    ],
)
def test_what_cannot_be_a_gguf_is_refused_by_its_first_bytes(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    for use in (lambda: resolve_model(str(path)), lambda: add_model(path)):
        with pytest.raises(ModelFileError, match=told):
            use()


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ModelFileError, match=BUNDLED_MODEL):
        resolve_model("qwen-72b")


def test_a_damaged_registry_is_one_error(tmp_path: Path) -> None:
    registry = tmp_path / "home" / "models.json"
    registry.parent.mkdir()
    for content in ("{", "[1]", '[{"name": "x"}]'):
        registry.write_text(content)
        with pytest.raises(ModelFileError, match="is damaged"):
            model_files.list_models()
