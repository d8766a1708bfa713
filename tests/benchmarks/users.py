"""Real users' text vectors for the benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eimf_local.config import load_config
from eimf_local.esim.encoder import load_encoder, user_embeddings
from eimf_local.progress import Reporter
from eimf_local.stages.datasets import OpenDataset, embed_items, open_dataset


def user_vectors(folder: Path) -> np.ndarray:
    """float32 [U, T]: text vectors of the training users of a prepared dataset, its titles encoded if need be."""
    dataset, items = _embedded(folder)
    split = dataset.split
    return user_embeddings(dataset.data, split.train_users, split.visible_ends, items)


def title_vectors(folder: Path) -> np.ndarray:
    """float32 [N, T], unit rows: text vectors of the titles of a prepared dataset."""
    return _embedded(folder)[1][1:]


def _embedded(folder: Path) -> tuple[OpenDataset, np.ndarray]:
    dataset = open_dataset(folder, load_config())
    return dataset, embed_items(dataset, load_encoder("all-MiniLM-L6-v2"), Reporter())[1]
