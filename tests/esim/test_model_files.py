from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from eimf_local.artifacts import sha256_file
from eimf_local.errors import ModelFileError
from eimf_local.esim import model_files
from eimf_local.esim.model_files import (
    BUNDLED_MODEL,
    ModelEntry,
    list_models,
    list_upstream,
    remove_model,
    resolve_model,
    unpinned_model,
)


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EIMF_LOCAL_HOME", str(tmp_path / "home"))


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "mine.gguf"
    path.write_bytes(resolve_model(BUNDLED_MODEL).path.read_bytes())
    return path


def add_model(path: Path, *, name: str | None = None) -> ModelEntry:
    return model_files.add_model(unpinned_model(path), name=name)


def names() -> list[str]:
    return [entry.name for entry in list_models()]


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


def test_an_added_file_is_found_by_name_and_by_path_and_adding_again_changes_nothing(
    gguf: Path, tmp_path: Path
) -> None:
    add_model(gguf, name="my-qwen")
    add_model(gguf, name="my-qwen")
    registry = tmp_path / "home" / "models.json"
    written = registry.stat().st_mtime_ns
    assert add_model(gguf, name="my-qwen") == add_model(gguf) == list_models()[1]
    assert registry.stat().st_mtime_ns == written
    assert names() == [BUNDLED_MODEL, "my-qwen"]
    assert resolve_model("my-qwen").pinned
    assert resolve_model(str(gguf)).name == "my-qwen"


def test_a_file_that_was_moved_is_found_again_by_adding_it(gguf: Path, tmp_path: Path) -> None:
    add_model(gguf, name="my-qwen")
    moved = gguf.rename(tmp_path / "moved.gguf")
    add_model(moved, name="my-qwen")
    assert names() == [BUNDLED_MODEL, "my-qwen"]
    assert resolve_model("my-qwen").path == moved


def test_concurrent_adds_lose_nothing(gguf: Path) -> None:
    model, together = unpinned_model(gguf), threading.Barrier(8)

    def add(number: int) -> None:
        together.wait()
        for each in range(5):
            model_files.add_model(model, name=f"m{number}-{each}")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names()) == sorted([BUNDLED_MODEL, *(f"m{a}-{b}" for a in range(8) for b in range(5))])


def test_a_removed_model_is_forgotten_and_its_file_stays(gguf: Path) -> None:
    add_model(gguf, name="a")
    add_model(gguf, name="b")
    assert remove_model("a").path == gguf
    assert names() == [BUNDLED_MODEL, "b"]
    assert gguf.is_file()
    for name in ("a", BUNDLED_MODEL):
        with pytest.raises(ModelFileError, match="you added none of that name — those that you added: b"):
            remove_model(name)


def test_the_manifest_claims_no_digest_or_size_of_what_is_not_shipped() -> None:
    official = {model.name: model for model in list_upstream()}
    sizes = ["qwen2.5-0.5b-instruct", "qwen2.5-1.5b-instruct", "qwen2.5-3b-instruct", "qwen2.5-7b-instruct"]
    assert list(official) == [*sizes, "qwen3-0.6b", "qwen3-1.7b", "qwen3-4b"]
    for entry, model in zip(model_files._manifest("upstream"), official.values(), strict=True):
        assert set(entry) == {"name", "url", "licence", "context", "description"}
        assert model.url.startswith("https://huggingface.co/Qwen/")
        assert model.url.casefold().endswith(f"/{model.name}-gguf")
    assert [name for name, model in official.items() if model.licence != "Apache-2.0"] == ["qwen2.5-3b-instruct"]


def test_an_official_model_that_is_not_here_says_where_to_get_it() -> None:
    with pytest.raises(ModelFileError, match=r"get it from https://huggingface\.co/Qwen/Qwen3-4B-GGUF, then 'eimf"):
        resolve_model("Qwen3-4B")


@pytest.mark.parametrize(
    ("name", "licence", "context"),
    [
        ("qwen2.5-3b-instruct", "Qwen Research License (not for commercial use)", 32768),
        ("qwen2.5-3b-instruct-q4_k_m", "Qwen Research License (not for commercial use)", 32768),
        ("Qwen3-4B-Q8_0", "Apache-2.0", 32768),
        ("qwen3-4b-instruct-2507", "as its source states", None),
        ("my-qwen3-4b", "as its source states", None),
    ],
)
def test_a_file_named_as_an_official_model_takes_over_its_licence(
    gguf: Path, name: str, licence: str, context: int | None
) -> None:
    before = list_upstream()
    entry = add_model(gguf, name=name)
    assert (entry.licence, entry.context, entry.sha256) == (licence, context, sha256_file(gguf))
    assert [model for model in before if model.name != name] == list_upstream()
    assert resolve_model(name).pinned


@pytest.mark.parametrize("name", ["../up", "a/b", "http://h", "", " ", "-x", "a\nb"])
def test_a_name_that_could_be_mistaken_is_refused(gguf: Path, name: str) -> None:
    if name:
        with pytest.raises(ModelFileError, match="a model cannot be called"):
            add_model(gguf, name=name)
    else:
        assert add_model(gguf, name=name).name == gguf.stem


def test_one_part_of_a_split_model_is_refused(gguf: Path) -> None:
    part = gguf.rename(gguf.with_name("qwen2.5-7b-instruct-q4_0-00001-of-00002.gguf"))
    for use in (lambda: add_model(part), lambda: resolve_model(str(part))):
        with pytest.raises(ModelFileError, match=r"one part of a split model.*llama-gguf-split --merge"):
            use()


def test_a_registry_written_before_contexts_were_known_is_read(gguf: Path, tmp_path: Path) -> None:
    add_model(gguf)
    registry = tmp_path / "home" / "models.json"
    entries = json.loads(registry.read_text())
    del entries[0]["context"]
    registry.write_text(json.dumps(entries))
    assert list_models()[1].context is None


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
