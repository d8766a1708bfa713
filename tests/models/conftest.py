"""A toy build of two steps on two domains, shared by the tests of the model builder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from eimf_local_models.builder.__main__ import build
from eimf_local_models.builder.catalogue import Catalogue, read_catalogue
from eimf_local_models.builder.lexicon import Lexicon
from eimf_local_models.builder.train import Lessons
from tokenizers import Tokenizer

from eimf_local.esim.encoder import TextEncoder, load_encoder

TOY = {"steps": 2, "seed": 3, "threads": 1, "vocabulary_size": 1024, "domains": 2}


@pytest.fixture
def one_thread() -> Iterator[None]:
    with one_torch_thread():
        yield


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """A build sets the number of threads, on which other tests' rounding depends: put it back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    with one_torch_thread():
        build(out=folder, **TOY)
    return folder


@pytest.fixture(scope="session")
def encoder() -> TextEncoder:
    return load_encoder()


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return read_catalogue(domains=TOY["domains"])


@pytest.fixture(scope="session")
def lexicon(catalogue: Catalogue, encoder: TextEncoder) -> Lexicon:
    return Lexicon(catalogue, encoder.encode)


@pytest.fixture(scope="session")
def lessons(toy_folder: Path, catalogue: Catalogue, lexicon: Lexicon) -> Lessons:
    return Lessons(Tokenizer.from_file(str(toy_folder / "tokenizer.json")), catalogue, lexicon)
