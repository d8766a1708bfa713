"""Real users' text vectors for the benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eimf_local.config import load_config
from eimf_local.esim.encoder import load_encoder, user_embeddings
from eimf_local.progress import Reporter
from eimf_local.stages.datasets import embed_items, open_dataset


def user_vectors(folder: Path) -> np.ndarray:
    """float32 [U, T]: text vectors of the training users of a prepared dataset, its titles encoded if need be."""
    dataset = open_dataset(folder, load_config())
    _, items = embed_items(dataset, load_encoder("all-MiniLM-L6-v2"), Reporter())
    split = dataset.split
    return user_embeddings(dataset.data, split.train_users, split.visible_ends, items)
