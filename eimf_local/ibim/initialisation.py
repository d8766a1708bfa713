"""Initialising the item table from the items' texts (LLM2BERT4Rec, SPEC section 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ConfigError


def text_table(item_text: Tensor, dim: int) -> Tensor:
    """PCA of the item text embeddings to D, rescaled by one scalar to a standard deviation of 1.

    Args:
        item_text: float [N + 1, T]; row 0 (padding) is ignored.
        dim: D, at most T.

    Returns:
        float32 [N + 1, D], row 0 zero, standard deviation 1 over all other entries, columns by falling variance. A
        component's sign makes its largest loading (the first of equals) positive, so that the table does not depend
        on the linear algebra library.

    Raises:
        ConfigError: D exceeds T, or all texts have the same embedding.
    """
    text_dim = item_text.shape[1]
    if dim > text_dim:
        raise ConfigError(
            f"item_init = text cannot make {dim} dimensions of {text_dim}-dimensional text embeddings",
            hint=f"set model.dim to at most {text_dim}, or model.item_init to random",
        )
    centred = item_text[1:].double().cpu()
    centred = centred - centred.mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # by rising eigenvalue
    components = vectors.flip(1)[:, :dim]  # [T, D]
    largest = components.gather(0, components.abs().argmax(0, keepdim=True))  # [1, D]
    scores = centred @ (components * largest.sign())  # [N, D]
    deviation = scores.std(correction=0)
    if not deviation > 0:
        raise ConfigError("item_init = text: all items have the same text embedding", hint="set model.item_init=random")
    table = torch.zeros(item_text.shape[0], dim)
    table[1:] = (scores / deviation).float()
    return table
