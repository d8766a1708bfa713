from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eimf_local.artifacts import Artifact
from eimf_local.config import load_config
from eimf_local.data.demo import write_demo_source
from eimf_local.disk import work_folder
from eimf_local.errors import InputError
from eimf_local.progress import Reporter
from eimf_local.stages.datasets import prepare_dataset


def prepare(source: Path, out: Path) -> Artifact:
    return prepare_dataset(
        source, format="table", titles=None, columns={}, out=out, config=load_config(), reporter=Reporter()
    )


def test_a_second_preparation_of_the_same_output_is_refused_while_one_works(
    tmp_path: Path, hold: Callable[[Path], int]
) -> None:
    write_demo_source(tmp_path / "source", users=160, items=120)
    out = tmp_path / "dataset"
    with pytest.raises(InputError, match=f"dataset is in use by process {hold(work_folder(out))}"):
        prepare(tmp_path / "source", out)
    assert not out.exists()


def test_a_preparation_leaves_nothing_beside_its_output(tmp_path: Path) -> None:
    write_demo_source(tmp_path / "source", users=160, items=120)
    prepare(tmp_path / "source", tmp_path / "dataset")
    prepare(tmp_path / "source", tmp_path / "dataset")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "source"]
