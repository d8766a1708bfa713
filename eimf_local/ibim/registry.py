"""The backbones by name, and how to build one."""

from __future__ import annotations

import difflib

import torch
from torch import Tensor

from ..errors import ConfigError
from .backbone import Backbone
from .comirec import REMI, ComiRecSA
from .initialisation import text_table
from .pop import Pop

BACKBONES: dict[str, type[Backbone]] = {"pop": Pop, "comirec-sa": ComiRecSA, "remi": REMI}


def build_backbone(
    name: str,
    *,
    n_items: int,
    dim: int,
    interests: int,
    max_length: int,
    seed: int = 0,
    item_text: Tensor | None = None,
) -> Backbone:
    """A freshly initialised backbone, on the CPU; the same (arguments, seed) give the same weights.

    ``item_text`` float [N + 1, T], if given, initialises the item table of a trainable backbone
    (:func:`~eimf_local.ibim.initialisation.text_table`) in place of N(0, 1/sqrt(D)). The global generator is left as
    it was. An unknown name is a :class:`ConfigError` that lists the known ones.
    """
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"no backbone {name!r}", hint=f"{guess}known: {', '.join(BACKBONES)}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = BACKBONES[name](n_items=n_items, dim=dim, interests=interests, max_length=max_length)
    if item_text is not None and backbone.trainable:
        _initialise_from_text(backbone, item_text)
    return backbone


def _initialise_from_text(backbone: Backbone, item_text: Tensor) -> None:
    if item_text.shape[0] != backbone.n_items + 1:
        raise ConfigError(
            f"item text embeddings have {item_text.shape[0]} rows for {backbone.n_items} items and padding",
            hint="encode the texts of the dataset that is trained on",
        )
    with torch.no_grad():
        backbone.item_embedding.weight.copy_(text_table(item_text, backbone.dim))
