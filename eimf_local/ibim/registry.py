"""The backbones by name, and how to build one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, unknown_name
from .backbone import ITEM_STD, Backbone
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
    item_std: float = ITEM_STD,
    item_text: Tensor | None = None,
    **options: Any,
) -> Backbone:
    """A freshly initialised backbone, on the CPU; the same (arguments, seed) give the same weights.

    A trainable backbone's item table starts from N(0, ``item_std``), or, with ``item_text`` float [N + 1, T], from
    :func:`~eimf_local.ibim.initialisation.text_table` at the same deviation. ``options`` are those that the kind names
    (:attr:`Backbone.options`). The global generator is left as it was. An unknown name is a
    :class:`ConfigError`.
    """
    kind = backbone_kind(name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone = kind(n_items=n_items, dim=dim, interests=interests, max_length=max_length, **options)
    if backbone.trainable:
        with torch.no_grad():
            if item_text is None:
                backbone.item_embedding.weight.mul_(item_std / ITEM_STD)
            else:
                backbone.item_embedding.weight.copy_(_text_table(backbone, item_text) * item_std)
    return backbone


def _text_table(backbone: Backbone, item_text: Tensor) -> Tensor:
    if item_text.shape[0] != backbone.n_items + 1:
        raise ConfigError(
            f"item text embeddings have {item_text.shape[0]} rows for {backbone.n_items} items and padding",
            hint="encode the texts of the dataset that is trained on",
        )
    return text_table(item_text, backbone.dim)
