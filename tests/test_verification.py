from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from eimf_local import artifacts
from eimf_local.errors import ArtifactError
from eimf_local.verification import examine_folder, usable


def write(path: Path, kind: str, text: str, inputs: dict[str, str] | None = None) -> artifacts.Artifact:
    return artifacts.write(path, kind, {"text": text}, inputs or {}, lambda folder: fill(folder, text))


def fill(folder: Path, text: str) -> None:
    for name in ("a", "b", "c"):
        (folder / name).write_text(f"{name} {text}")


def edit(place: Path, **changes: object) -> None:
    record = json.loads((place / "artifact.json").read_text())
    (place / "artifact.json").write_text(json.dumps(record | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two datasets, one with embedded titles, and a run."""
    first = write(tmp_path / "all" / "first", "dataset", "1")
    write(tmp_path / "all" / "first" / "text-x", "text", "t", {"dataset": first.fingerprint})
    write(tmp_path / "all" / "second", "dataset", "2")
    write(tmp_path / "all" / "run", "run", "r", {"dataset": first.fingerprint})
    return tmp_path / "all"


def problems(folder: Path) -> dict[str, list[str]]:
    return {
        str(found.path.relative_to(folder)): list(found.problems) for found in examine_folder(folder) if found.problems
    }


def test_an_undamaged_folder_has_no_problem_also_after_it_was_moved(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "elsewhere")
    found = examine_folder(tmp_path / "elsewhere")
    assert [finding.problems for finding in found] == [()] * 4
    assert len(usable(found)) == 4


def test_every_problem_is_listed_and_says_what_differs(folder: Path) -> None:
    (folder / "first" / "a").write_text("b")
    (folder / "first" / "c").unlink()
    (folder / "second" / "artifact.json").write_text("{")
    edit(folder / "run", config={"text": "other"})
    told = problems(folder)
    assert set(told) == {"first", "second", "run"}
    assert told["first"][0].startswith("has a a that was changed or damaged after it was written (SHA-256 3e23e8160039")
    assert told["first"][1] == "lacks c"
    assert "its kind is 'unreadable'" in told["second"][0]
    assert "changed by hand" in told["run"][0]


def test_a_later_schema_is_a_problem_and_hides_no_other(folder: Path) -> None:
    edit(folder / "first", schema=99, version="9.9")
    (folder / "second" / "b").unlink()
    told = problems(folder)
    assert "schema 99 by eimf-local 9.9" in told["first"][0]
    assert told["second"] == ["lacks b"]


def test_embedded_titles_of_another_dataset_are_a_problem(folder: Path) -> None:
    shutil.move(folder / "first" / "text-x", folder / "second" / "text-x")
    assert problems(folder) == {"second/text-x": ["embeds the titles of another dataset than the one in which it lies"]}


def test_other_versions_are_a_remark_and_no_problem(folder: Path) -> None:
    edit(folder / "run", packages={"numpy": "1.0", "no-such-package": "2"})
    run = next(found for found in examine_folder(folder) if found.path.name == "run")
    assert run.problems == ()
    (remark,) = run.remarks
    assert "numpy 1.0 -> " in remark
    assert "no-such-package 2 -> not installed" in remark


def test_a_run_that_the_grid_names_and_is_not_there_is_a_problem(folder: Path) -> None:
    (folder / "grid.json").write_text(json.dumps({"conditions": [{"runs": ["run", "runs/gone"]}]}))
    assert problems(folder) == {"grid.json": ["names runs/gone, which is not here"]}


def test_when_there_is_none_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no artefact"):
        examine_folder(tmp_path)
