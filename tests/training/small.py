"""A small data set with a pattern, its evaluation, and a run of the loop: shared by the tests and the killed process.

``python -m tests.training.small WORK MOMENT`` trains and kills itself (SIGKILL) at the moment named.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from eimf_local.alignment.semantic_inputs import SemanticInputs
from eimf_local.config import LossConfig, ObjectiveConfig
from eimf_local.ibim.backbone import Backbone
from eimf_local.ibim.registry import build_backbone
from eimf_local.training import checkpoint, loop
from eimf_local.training.objective import build_objective
from eimf_local.training.sampling import PackedSequences

N, L, USERS, LENGTH, T = 60, 6, 80, 12, 10
FOLLOWERS = torch.randperm(N, generator=torch.Generator().manual_seed(0))  # item i + 1 is followed by FOLLOWERS[i] + 1
MOMENTS = ("between evaluations", "while writing", "before renaming", "before removing the older")


def sequences(seed: int = 1) -> PackedSequences:
    """Walks from random items, each step to the item's follower."""
    items = [torch.randint(0, N, (USERS,), generator=torch.Generator().manual_seed(seed))]
    for _ in range(LENGTH - 1):
        items.append(FOLLOWERS[items[-1]])
    walks = torch.stack(items, dim=1) + 1
    return PackedSequences(walks.flatten(), torch.arange(USERS) * LENGTH, torch.full((USERS,), LENGTH))


def recall(backbone: Backbone, seed: int = 2, k: int = 5) -> dict[str, float]:
    """The share of users whose next item is among the k best, under the loop's criterion's name."""
    walks = sequences(seed).sequence.view(USERS, LENGTH)
    history, label = walks[:, :L], walks[:, L]
    interests = backbone.encode(history, history > 0)
    scores = (interests @ backbone.item_vectors().T).amax(1)  # [USERS, N + 1]
    hits = scores[:, 1:].topk(k).indices + 1 == label[:, None]
    return {"Recall@50": hits.any(1).float().mean().item()}


def semantic_inputs() -> SemanticInputs:
    generator = torch.Generator().manual_seed(3)
    return SemanticInputs(
        item_text=torch.randn(N + 1, T, generator=generator),
        interests=torch.randn(4, 3, T, generator=generator),
        mask=torch.tensor([[True] * 3, [True] * 2 + [False], [False] * 3, [True] * 3]),
        cluster=torch.randint(0, 4, (USERS,), generator=generator),
    )


def models(name: str = "remi", semantic: bool = True, item_std: float = 0.25, **objective: object):
    """A fresh backbone and its objective; by default with a wide table, from which few steps suffice."""
    backbone = build_backbone(name, n_items=N, dim=16, interests=2, max_length=L, seed=0, item_std=item_std)
    built = build_objective(
        backbone,
        loss=LossConfig(negatives=32).model_dump(),
        objective=ObjectiveConfig(**objective).model_dump(),
        semantic_inputs=semantic_inputs() if semantic else None,
    )
    return backbone, built


def train(work: Path, backbone=None, objective=None, **changes):
    """Run the loop; returns the result and the weights at its end."""
    if backbone is None:
        backbone, objective = models()
    settings = {
        "sequences": sequences(),
        "validate": recall,
        "learning_rate": 0.01,
        "batch_size": 32,
        "max_steps": 160,
        "evaluate_every": 40,
        "patience": 10,
        "seed": 0,
        "device": "cpu",
        "work": work,
        "identity": "a digest",
    }
    result = loop.fit(backbone=backbone, objective=objective, **(settings | changes))
    return result, {**backbone.state_dict(), **(objective.state_dict() if objective is not None else {})}


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_be_killed(work: Path, moment: str) -> None:
    """Die at step 100, between the evaluations of steps 80 and 120, or around the checkpoint of step 80."""
    flush, remove, rename = checkpoint._flush, checkpoint._remove, Path.rename
    if moment == "while writing":

        def truncate(path: Path) -> None:
            if "00000080" in str(path):
                path.write_bytes(path.read_bytes()[:1000])
                kill()
            flush(path)

        checkpoint._flush = truncate
    if moment == "before renaming":
        Path.rename = lambda self, to: kill() if "00000080" in str(to) else rename(self, to)
    if moment == "before removing the older":
        checkpoint._remove = lambda paths: kill() if any("00000040" in str(p) for p in paths) else remove(paths)
    train(work, callback=lambda progress: kill() if progress.step == 100 else None)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_and_be_killed(Path(sys.argv[1]), sys.argv[2])
