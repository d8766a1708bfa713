"""A toy build of two steps, shared by the tests of the model builder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from eimf_local_models.builder.__main__ import build

TOY = {"steps": 2, "seed": 3, "threads": 1, "vocabulary_size": 1024}


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy_folder(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    build(out=folder, **TOY)
    return folder
