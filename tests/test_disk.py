from __future__ import annotations

import json
from pathlib import Path

import pytest

from eimf_local import disk
from eimf_local.errors import ArtifactError, StorageError


def test_unfinished_work_leaves_files_of_somebody_else_alone(tmp_path: Path) -> None:
    (tmp_path / "out.work").mkdir()
    (tmp_path / "out.work" / "notes.txt").write_text("my thesis")
    with disk.unfinished_work(tmp_path / "out", "a" * 64):
        pass
    assert (tmp_path / "out.work" / "notes.txt").read_text() == "my thesis"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_write_json_refuses_what_is_not_json_and_keeps_the_old_file(tmp_path: Path, value: float) -> None:
    disk.write_json(tmp_path / "m.json", {"x": 1})
    with pytest.raises(ValueError, match="Out of range"):
        disk.write_json(tmp_path / "m.json", {"x": value})
    assert json.loads((tmp_path / "m.json").read_text()) == {"x": 1}


def test_a_full_disk_told_by_a_library_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No space left"), disk.storage_errors(tmp_path):
        raise RuntimeError("I/O error: No space left on device (os error 28)")


def test_storage_errors_lets_named_errors_and_defects_through(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError), disk.storage_errors(tmp_path):
        raise ArtifactError("a", hint="b")
    with pytest.raises(ZeroDivisionError), disk.storage_errors(tmp_path):
        _ = 1 // 0
