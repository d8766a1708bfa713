"""Training samples drawn on the device from packed sequences: no Python per sample (SPEC section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..data.dataset import Dataset, Split
from ..data.splits import FIRST_TARGET, MIN_EVENTS
from ..errors import InputError


@dataclass(frozen=True)
class PackedSequences:
    """Training users' sequences, one after the other.

    ``sequence`` int64 [total], item numbers 1..N, oldest first; training user u owns
    ``sequence[starts[u] : starts[u] + lengths[u]]``; ``starts``, ``lengths`` int64 [U_train], in the order of the
    training users, which is the order of ``SemanticInputs.cluster`` too.
    """

    sequence: Tensor
    starts: Tensor
    lengths: Tensor

    def to(self, device: torch.device | str) -> PackedSequences:
        """The same on another device."""
        return PackedSequences(self.sequence.to(device), self.starts.to(device), self.lengths.to(device))


class Batch(NamedTuple):
    """B training samples: ``history`` int64 [B, L] (oldest first, right-padded with 0) and its ``mask`` bool [B, L].

    ``target`` int64 [B], item numbers; ``users`` int64 [B], rows of the training users, all different.
    """

    history: Tensor
    mask: Tensor
    target: Tensor
    users: Tensor


def pack(dataset: Dataset, split: Split) -> PackedSequences:
    """What the split lets the trainer see: the first ``train_ends`` interactions of each training user."""
    return PackedSequences(
        sequence=torch.from_numpy(dataset.sequence).long(),
        starts=torch.from_numpy(dataset.offsets[split.train_users]).long(),
        lengths=torch.from_numpy(split.train_ends).long(),
    )


class BatchSampler:
    """Draws batches: B distinct users uniformly, k uniform in [4, len - 1], target item k, history the L before it.

    Users with fewer than 5 items are never drawn; where fewer than B users remain, a batch holds all of them.

    Args:
        sequences: on the device of ``generator``.
        batch_size, max_length: B and L.
        generator: the only source of chance; its state determines all batches to come.

    Raises:
        InputError: no user has 5 items.
    """

    def __init__(
        self, sequences: PackedSequences, *, batch_size: int, max_length: int, generator: torch.Generator
    ) -> None:
        self._sequences = sequences
        self._generator = generator
        self._users = (sequences.lengths > FIRST_TARGET).nonzero().squeeze(1)  # [eligible]
        if not len(self._users):
            raise InputError(
                f"none of the {len(sequences.lengths)} training users has {MIN_EVENTS} interactions to train on",
                hint="prepare a larger dataset, or raise prepare.min_user_count",
            )
        self._size = min(batch_size, len(self._users))
        self._offsets = torch.arange(max_length, device=generator.device)  # [L]

    def draw(self) -> Batch:
        """The next batch."""
        device = self._generator.device
        order = torch.randperm(len(self._users), generator=self._generator, device=device)[: self._size]
        users = self._users.index_select(0, order)
        lengths = self._sequences.lengths.index_select(0, users)
        # float64: a float32 uniform times a range could round up to the range itself
        chance = torch.rand(self._size, generator=self._generator, device=device, dtype=torch.float64)
        k = FIRST_TARGET + (chance * (lengths - FIRST_TARGET)).long()  # [B], in [4, len - 1]
        return self._window(users, k)

    def _window(self, users: Tensor, k: Tensor) -> Batch:
        """The samples whose targets stand at positions ``k`` int64 [B] of ``users`` int64 [B]."""
        sequence, starts = self._sequences.sequence, self._sequences.starts.index_select(0, users)
        length = k.clamp(max=len(self._offsets))  # [B]
        mask = self._offsets < length.unsqueeze(1)  # [B, L]
        first = starts + k - length
        # padded positions read the target's place, which always exists, and are zeroed
        places = torch.minimum(first.unsqueeze(1) + self._offsets, (starts + k).unsqueeze(1))
        history = sequence[places] * mask
        return Batch(history, mask, sequence.index_select(0, starts + k), users)
