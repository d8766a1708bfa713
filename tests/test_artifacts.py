from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest

from eimf_local import artifacts
from eimf_local.errors import ArtifactError, EimfError, StorageError
from eimf_local.versions import COMPUTING

CONFIG = {"k": 4}
INPUTS = {"dataset": "d" * 64}


def fill(folder: Path) -> None:
    (folder / "a.txt").write_text("alpha")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("beta")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return artifacts.write(tmp_path / "run", "run", CONFIG, INPUTS, fill).path


def test_load_returns_what_was_written(written: Path) -> None:
    artifact = artifacts.load(written, "run")
    assert artifact.config == CONFIG
    assert artifact.inputs == INPUTS
    assert set(artifact.files) == {"a.txt", "sub/b.txt"}
    assert artifact.file("sub/b.txt").read_text() == "beta"
    assert artifacts.is_current(written, "run", CONFIG, INPUTS)


@pytest.mark.parametrize(
    ("config", "inputs"), [({"k": 5}, INPUTS), (CONFIG, {"dataset": "e" * 64}), (CONFIG, {})], ids=str
)
def test_another_config_or_input_is_not_current(written: Path, config: dict, inputs: dict) -> None:
    assert not artifacts.is_current(written, "run", config, inputs)


def test_when_nothing_is_there_it_is_not_current(tmp_path: Path) -> None:
    assert not artifacts.is_current(tmp_path / "no", "run", CONFIG, INPUTS)


def test_a_folder_of_the_users_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="not an eimf-local artefact"):
        artifacts.is_current(tmp_path, "run", CONFIG, INPUTS)


def test_when_one_byte_changes_the_file_is_named(written: Path) -> None:
    (written / "a.txt").write_text("alphA")
    with pytest.raises(ArtifactError, match=r"a\.txt that was changed.*eimf-local train"):
        artifacts.load(written, "run")


def test_when_the_output_is_damaged_the_way_out_is_told(written: Path) -> None:
    (written / "a.txt").write_text("alphA")
    with pytest.raises(ArtifactError, match=r"a\.txt that was changed.* — delete .*run and run the same command"):
        artifacts.is_current(written, "run", CONFIG, INPUTS)


def test_when_a_file_is_missing_it_is_named(written: Path) -> None:
    (written / "sub" / "b.txt").unlink()
    with pytest.raises(ArtifactError, match=r"lacks sub/b\.txt"):
        artifacts.load(written, "run")


def test_when_the_record_is_edited_it_is_refused(written: Path) -> None:
    record = json.loads((written / "artifact.json").read_text())
    record["config"]["k"] = 5
    (written / "artifact.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match="changed by hand"):
        artifacts.load(written, "run")


def test_when_the_schema_is_later_both_versions_are_told(written: Path) -> None:
    record = json.loads((written / "artifact.json").read_text())
    record |= {"schema": artifacts.SCHEMA_VERSION + 1, "version": "9.9"}
    (written / "artifact.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=r"eimf-local 9\.9.*rebuild it"):
        artifacts.load(written, "run")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"kind": "run", "schema": 1}', b"\xff\xfe"])
def test_when_the_record_is_damaged_it_is_one_error(written: Path, damage: bytes) -> None:
    (written / "artifact.json").write_bytes(damage)
    with pytest.raises(ArtifactError):
        artifacts.load(written, "run")


def test_another_kind_is_refused(written: Path) -> None:
    with pytest.raises(ArtifactError, match="kind 'run', not 'dataset'"):
        artifacts.load(written, "dataset")


def test_when_filling_fails_nothing_remains_and_the_old_one_stands(written: Path) -> None:
    def broken(folder: Path) -> None:
        fill(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artifacts.write(written, "run", {"k": 9}, INPUTS, broken)
    assert artifacts.load(written, "run").config == CONFIG
    assert [entry.name for entry in written.parent.iterdir()] == ["run"]


def test_write_replaces_an_older_artefact(written: Path) -> None:
    artifacts.write(written, "run", {"k": 9}, INPUTS, lambda folder: None)
    assert artifacts.load(written, "run").files == {}
    assert [entry.name for entry in written.parent.iterdir()] == ["run"]


def test_an_artefact_with_files_of_somebody_else_is_not_replaced(written: Path) -> None:
    (written / "inner").mkdir()
    (written / "inner" / "artifact.json").write_text('{"kind": "text", "files": {"vectors": "0"}}')
    (written / "inner" / "vectors").write_text("a cache of ours")
    assert artifacts.holds_another(written)
    (written / "notes.txt").write_text("my thesis")
    with pytest.raises(ArtifactError, match=r"also holds notes\.txt, which would be lost") as error:
        artifacts.holds_another(written)
    assert "move what is yours" in error.value.hint
    with pytest.raises(ArtifactError, match=r"also holds notes\.txt"):
        artifacts.write(written, "run", {"k": 9}, INPUTS, fill)
    assert (written / "notes.txt").read_text() == "my thesis"
    (written / "notes.txt").unlink()
    (written / "inner" / "notes.txt").write_text("my thesis")
    with pytest.raises(ArtifactError, match=r"also holds inner/notes\.txt"):
        artifacts.holds_another(written)
    (written / "inner" / "notes.txt").unlink()
    artifacts.write(written / "run", "run", CONFIG, INPUTS, fill)  # hours of work, in a folder of the user's choice
    with pytest.raises(ArtifactError, match=r"also holds run/a\.txt"):
        artifacts.holds_another(written)


def test_find_records_passes_over_hidden_and_unfinished_work(written: Path) -> None:
    for name in ("other.work", ".run.partial-1"):
        (written.parent / name).mkdir()
        (written.parent / name / "artifact.json").write_text("torn")
    assert artifacts.find_records(written.parent) == [written]


def test_the_record_names_the_versions_that_computed_it_and_an_old_one_without_them_loads(written: Path) -> None:
    record = json.loads((written / "artifact.json").read_text())
    assert record["packages"]["torch"] == version("torch").partition("+")[0]
    assert set(record["packages"]) == set(COMPUTING)
    assert artifacts.load(written, "run").packages == record["packages"]
    del record["packages"]
    (written / "artifact.json").write_text(json.dumps(record))
    assert artifacts.load(written, "run").packages == {}
    assert artifacts.is_current(written, "run", CONFIG, INPUTS)


@pytest.mark.parametrize("value", [{"files": []}, {"files": None}, {"config": []}, {"inputs": 3}, {"packages": []}])
def test_when_a_part_of_the_record_is_of_another_form_it_is_one_error(written: Path, value: dict) -> None:
    record = json.loads((written / "artifact.json").read_text())
    (written / "artifact.json").write_text(json.dumps(record | value))
    with pytest.raises(ArtifactError):
        artifacts.load(written, "run")


def test_the_fingerprint_does_not_depend_on_key_order() -> None:
    a = artifacts.fingerprint_of("run", {"a": 1, "b": 2}, {})
    assert a == artifacts.fingerprint_of("run", {"b": 2, "a": 1}, {})
    assert a != artifacts.fingerprint_of("dataset", {"a": 1, "b": 2}, {})


def test_when_the_disk_is_full_it_is_one_error_and_the_old_one_stands(small_disk: Path) -> None:
    artifacts.write(small_disk / "run", "run", CONFIG, INPUTS, fill)

    def too_much(folder: Path) -> None:
        (folder / "big").write_bytes(os.urandom(1 << 20))

    with pytest.raises(StorageError, match=r"cannot write .*: No space left on device — free some space"):
        artifacts.write(small_disk / "run", "run", {"k": 9}, INPUTS, too_much)
    assert artifacts.load(small_disk / "run", "run").config == CONFIG
    assert [entry.name for entry in small_disk.iterdir()] == ["run"]


def test_when_a_file_stands_in_the_way_it_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(EimfError):
        artifacts.write(tmp_path / "file" / "run", "run", CONFIG, INPUTS, fill)


def test_what_a_killed_process_left_behind_is_cleared_or_put_back(written: Path) -> None:
    gone = 2**22 + 1  # no process has so high a number
    (written.parent / f".run.partial-{gone}").mkdir()
    written.rename(written.parent / f".run.replaced-{gone}")  # killed between the two renames
    with pytest.raises(ZeroDivisionError):
        artifacts.write(written, "run", {"k": 9}, INPUTS, lambda folder: print(1 // 0))
    assert artifacts.load(written, "run").config == CONFIG
    assert [entry.name for entry in written.parent.iterdir()] == ["run"]


def test_write_refuses_a_folder_of_the_users_and_another_kind(written: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("years")
    for path in (written, tmp_path / "mine", tmp_path / "mine" / "x"):
        with pytest.raises(ArtifactError, match="choose another --out"):
            artifacts.write(path, "dataset", CONFIG, {}, fill)
    assert (tmp_path / "mine" / "x").read_text() == "years"
    assert artifacts.load(written, "run").config == CONFIG
