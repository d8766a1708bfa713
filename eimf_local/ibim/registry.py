"""The backbones by name, and how to build one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, unknown_name
from .backbone import Backbone
from .capsules import MIND, ComiRecDR
from .comirec import REMI, ComiRecSA
from .dnn import DNN
from .gru4rec import GRU4Rec
from .initialisation import text_table
from .linear import EASE, ItemKNN
from .pop import Pop, TargetPop
from .transformer import BERT4Rec, SASRec

BACKBONES: dict[str, type[Backbone]] = {
    "pop": Pop,
    "pop-targets": TargetPop,
    "item-knn": ItemKNN,
    "ease": EASE,
    "dnn": DNN,
    "gru4rec": GRU4Rec,
    "sasrec": SASRec,
    "bert4rec": BERT4Rec,
    "mind": MIND,
    "comirec-dr": ComiRecDR,
    "comirec-sa": ComiRecSA,
    "remi": REMI,
}


def backbone_kind(name: str) -> type[Backbone]:
    """The backbone of that name; an unknown one is a :class:`ConfigError` that names the nearest and the known ones."""
    if name not in BACKBONES:
        raise unknown_name("backbone", name, BACKBONES)
    return BACKBONES[name]


def build_backbone(
    name: str,
    *,
    n_items: int,
    dim: int,
    interests: int,
    max_length: int,
    seed: int = 0,
    item_text: Tensor | None = None,
    **options: Any,
) -> Backbone:
    """A freshly initialised backbone, on the CPU; the same (arguments, seed) give the same weights.

    ``item_text`` float [N + 1, T], if given, initialises the item table of a trainable backbone
    (:func:`~eimf_local.ibim.initialisation.text_table`) in place of N(0, 1/sqrt(D)). ``options`` are those that the
    kind names (:attr:`Backbone.options`). The global generator is left as it was. An unknown name is a
    :class:`ConfigError`.
    """
    kind = backbone_kind(name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = kind(n_items=n_items, dim=dim, interests=interests, max_length=max_length, **options)
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
