"""The semantic inputs of the joint objective: the method's interests, or one of the controls (SPEC section 7)."""

from __future__ import annotations

import numpy as np
import torch

from ..alignment.semantic_inputs import SemanticInputs
from ..config import Config
from ..data.dataset import Bool, Float32
from .datasets import OpenDataset
from .interest_artifact import Interests, exemplar_items, shown_per_exemplar


def semantic_inputs(
    dataset: OpenDataset, interests: Interests | None, item_text: Float32 | None, config: Config
) -> SemanticInputs | None:
    """What the objective needs for ``config.semantics``; None where training is plain.

    "interests": the LLM's. "titles": the embeddings of each exemplar's shown titles in their place. "item-text": only
    the items' titles. ``shuffled``: the clusters' interests permuted by the training seed, no cluster keeping its own.
    """
    if item_text is None:
        return None
    text = torch.from_numpy(item_text)
    if config.semantics.source == "item-text":
        return SemanticInputs(item_text=text)
    if interests is None:
        return None
    H, mask = interests.embeddings, interests.mask
    if config.semantics.source == "titles":
        H, mask = title_embeddings(dataset, interests, item_text, config)
    if config.semantics.shuffled:
        order = _derangement(len(H), config.train.seed)
        H, mask = H[order], mask[order]
    return SemanticInputs(
        item_text=text,
        interests=torch.from_numpy(np.ascontiguousarray(H)),
        mask=torch.from_numpy(np.ascontiguousarray(mask)),
        cluster=torch.from_numpy(interests.cluster),
    )


def title_embeddings(
    dataset: OpenDataset, interests: Interests, item_text: Float32, config: Config
) -> tuple[Float32, Bool]:
    """float32 [G, M, T] and bool [G, M]: the titles that each exemplar's prompt shows, M of them at most."""
    shown = exemplar_items(dataset, interests, config)
    H = np.zeros((len(shown), shown_per_exemplar(interests, config), item_text.shape[1]), np.float32)
    mask = np.zeros(H.shape[:2], np.bool_)
    for cluster, items in enumerate(shown):
        H[cluster, : len(items)], mask[cluster, : len(items)] = item_text[items], True
    return H, mask


def _derangement(n: int, seed: int) -> list[int]:
    """A seeded cyclic permutation of 0..n-1 (Sattolo): no element stays, so no cluster keeps its interests."""
    rng = np.random.default_rng(seed)
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = int(rng.integers(0, i))
        order[i], order[j] = order[j], order[i]
    return order
