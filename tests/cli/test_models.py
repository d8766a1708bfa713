from __future__ import annotations

import json
from pathlib import Path

import pytest
from eimf_local_cli.app import app
from typer.testing import CliRunner, Result

from eimf_local.esim.model_files import BUNDLED_MODEL, add_model, resolve_model, unpinned_model


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EIMF_LOCAL_HOME", str(tmp_path / "home"))


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, words)])


def added(folder: Path, *names: str) -> list[Path]:
    """Copies of the bundled model, added under these names."""
    paths = [folder / f"{name}.gguf" for name in names]
    for path in paths:
        path.write_bytes(resolve_model(BUNDLED_MODEL).path.read_bytes())
        add_model(unpinned_model(path))
    return paths


def test_list_shows_what_is_here_and_how_to_get_what_is_not(tmp_path: Path) -> None:
    added(tmp_path, "qwen3-4b")
    shown = run("list").stderr
    assert f"{BUNDLED_MODEL}: bundled, 9.8 MB, Apache-2.0, context 4096, sha256 " in shown
    assert "qwen3-4b: added, 9.8 MB, Apache-2.0, context 32768, sha256 " in shown
    assert "qwen3-0.6b: not here, Apache-2.0, context 32768\n" in shown
    assert "get it from https://huggingface.co/Qwen/Qwen3-0.6B-GGUF\n" in shown
    assert "https://huggingface.co/Qwen/Qwen3-4B-GGUF" not in shown
    assert "the digest is pinned on first use" in shown
    entries = json.loads(run("list", "--json").stdout)
    assert len({frozenset(entry) for entry in entries}) == 1
    assert [entry["name"] for entry in entries if entry["path"]] == [BUNDLED_MODEL, "qwen3-4b"]
    assert {entry["sha256"] for entry in entries if not entry["path"]} == {None}


def test_verify_looks_at_every_file_and_names_every_problem(tmp_path: Path) -> None:
    missing, changed, _ = added(tmp_path, "missing", "changed", "whole")
    missing.unlink()
    changed.write_bytes(changed.read_bytes()[:-1])
    result = run("verify")
    assert result.exit_code == 1
    assert f"{BUNDLED_MODEL}: as pinned" in result.stderr
    assert "whole: as pinned" in result.stderr
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert f"{missing} is missing; model changed: the SHA-256 of {changed} is not the pinned one" in error


def test_a_removed_model_is_gone_and_its_file_stays(tmp_path: Path) -> None:
    (path,) = added(tmp_path, "mine")
    assert "mine: no longer pinned" in run("remove", "mine").stderr
    assert path.is_file()
    result = run("remove", "mine")
    assert result.exit_code == 1
    assert "error: model mine: you added none of that name" in result.stderr
