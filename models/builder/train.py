"""One optimiser pass over fresh synthetic users, resumable to the bit.

The batch of a step is a function of (seed, step) alone, so a checkpoint holds weights, optimiser state and the step's
number, and nothing else. Loss is taken on the answer's tokens only.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from .corpus import HEAD, TAIL, UserWriter
from .network import Network, NetworkConfig
from .tokenizer import END_OF_TEXT, TURN_END, encode_frame, encode_text, stems_and_forms, vocabulary_of

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TrainSettings:
    """How long and how fast to learn. ``batch_tokens`` counts padding too; ``learning_rate`` is the peak.

    After ``steps`` come ``polish_steps`` at a lower rate, in which drills return (see :func:`lesson_at`).
    """

    steps: int
    seed: int = 0
    batch_tokens: int = 2048
    learning_rate: float = 1.5e-3
    warmup_steps: int = 100
    weight_decay: float = 0.05
    clip_norm: float = 1.0

    @property
    def polish_steps(self) -> int:
        """Three for every ten."""
        return 3 * self.steps // 10


@dataclass(frozen=True)
class Batch:
    """Right-padded tokens int64 ``[B, T]``; flat positions in ``[0, B*T)`` whose successor is an answer token."""

    tokens: Tensor
    positions: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Lesson:
    """A step's users: about how many titles, how cluttered (0..1), whether a drill (nothing ranked), and framed."""

    titles: int
    clutter: float
    drill: bool = False
    framed: bool = True


class Trainer:
    """Network, optimisers and the step counter; :meth:`run` advances to the last step."""

    def __init__(self, *, tokenizer: Tokenizer, config: NetworkConfig, settings: TrainSettings) -> None:
        torch.manual_seed(settings.seed)
        vocabulary = vocabulary_of(tokenizer)
        stems, forms = stems_and_forms(vocabulary)
        self.settings = settings
        self.network = Network(config, stem_of=torch.tensor(stems), form_of=torch.tensor(forms))
        self.step = 0
        self._batches = BatchSource(tokenizer, settings)
        self._optimizer = _optimizer(self.network, settings)

    def run(self, *, folder: Path, progress: Progress, until: int | None = None, save_every: int = 200) -> None:
        """Train up to step ``until`` (default: the last), saving a checkpoint into ``folder`` every ``save_every``."""
        end = self.settings.steps + self.settings.polish_steps
        last = end if until is None else min(until, end)
        started, tokens, losses = time.perf_counter(), 0, []
        while self.step < last:
            batch = self._batches.at(self.step)
            losses.append(self._advance(batch))
            tokens += batch.tokens.numel()
            if self.step % 50 == 0 or self.step == last:
                rate = tokens / (time.perf_counter() - started)
                progress(f"step {self.step}/{end} loss {np.mean(losses):.4f} {rate:.0f} tokens/s")
                losses = []
            if self.step % save_every == 0 or self.step == last:
                self.save(folder)

    def _advance(self, batch: Batch) -> float:
        rate = learning_rate_at(self.step, self.settings)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        loss = answer_loss(self.network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        self._optimizer.step()
        self.step += 1
        return float(loss.detach())

    def save(self, folder: Path) -> None:
        """Write ``checkpoint.safetensors`` into ``folder``, complete or not at all; its header holds the JSON part."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for key, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{key}.{name}": value for name, value in state.items()}
        meta = {"step": self.step, "settings": asdict(self.settings), "config": asdict(self.network.config)}
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "checkpoint.partial", _as_metadata(meta))
        (folder / "checkpoint.partial").replace(folder / "checkpoint.safetensors")

    def load(self, folder: Path) -> bool:
        """Continue from ``folder``'s checkpoint; False where there is none. Raises ValueError for other settings."""
        path = folder / "checkpoint.safetensors"
        if not path.is_file():
            return False
        meta = read_metadata(path)
        if meta["settings"] != asdict(self.settings) or meta["config"] != asdict(self.network.config):
            raise ValueError(f"{path} was trained with other settings; give another folder or delete it")
        tensors = load_file(path)
        self.network.load_state_dict(_under(tensors, "network."))
        restored = self._optimizer.state_dict()
        restored["state"] = _nested(_under(tensors, "optimizer."))
        self._optimizer.load_state_dict(restored)
        self.step = int(meta["step"])
        return True


class BatchSource:
    """Batches by step: users drawn, written, tokenised and padded."""

    def __init__(self, tokenizer: Tokenizer, settings: TrainSettings) -> None:
        self._tokenizer = tokenizer
        self._settings = settings
        self._head, self._tail = encode_frame(tokenizer, HEAD), encode_frame(tokenizer, TAIL)
        ids = tokenizer.get_vocab()
        self._end, self._padding = ids[TURN_END], ids[END_OF_TEXT]

    def at(self, step: int) -> Batch:
        """Return the batch of ``step``; users of one batch have about as many titles, to spare padding."""
        rng = np.random.default_rng((self._settings.seed, step))
        writer = UserWriter(rng)
        lesson = lesson_at(step / self._settings.steps, rng)
        sequences: list[tuple[list[int], int]] = []
        longest = 0
        while True:
            sequence = self._sequence(writer, lesson, max(1, lesson.titles + int(rng.integers(-1, 2))))
            longest = max(longest, len(sequence[0]))
            if sequences and longest * (len(sequences) + 1) > self._settings.batch_tokens:
                return self._padded(sequences)
            sequences.append(sequence)

    def _sequence(self, writer: UserWriter, lesson: Lesson, titles: int) -> tuple[list[int], int]:
        """One user's tokens, and where the answer begins."""
        user = (writer.drill if lesson.drill else writer.user)(titles, clutter=lesson.clutter)
        block = encode_text(self._tokenizer, user.block)
        prompt = self._head + block + self._tail if lesson.framed else block
        return prompt + encode_text(self._tokenizer, user.answer) + [self._end], len(prompt)

    def _padded(self, sequences: list[tuple[list[int], int]]) -> Batch:
        length = max(len(tokens) for tokens, _ in sequences)
        table = np.full((len(sequences), length), self._padding, dtype=np.int64)
        positions: list[int] = []
        for row, (tokens, start) in enumerate(sequences):
            table[row, : len(tokens)] = tokens
            positions.extend(row * length + column for column in range(start - 1, len(tokens) - 1))
        flat = np.array(positions)
        return Batch(torch.from_numpy(table), torch.from_numpy(flat), torch.from_numpy(table.ravel()[flat + 1]))


def answer_loss(network: Network, batch: Batch) -> Tensor:
    """Mean cross-entropy of the answers' tokens, in nats; matrix products in bfloat16, sums in float32."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = network.hidden(batch.tokens).flatten(0, 1)[batch.positions]  # [n, d]
        return network.embedding.cross_entropy(hidden, batch.targets)


def lesson_at(done: float, rng: np.random.Generator) -> Lesson:
    """What a step teaches at fraction ``done`` of the training.

    First copying bare phrases, then finding them in ever more cluttered titles, then whole prompts, whose answers are
    ranked; short lists before long ones. Drills stay in between for a while, and return (half of them framed) in the
    polish, ``done`` >= 1: without them the model forgets to move on from one title to the next, and repeats itself.
    """
    if done < 0.4 or (done < 0.6 and rng.random() < 0.4):
        most = min(1.0, max(0.0, (done - 0.12) / 0.25))
        return Lesson(titles=int(rng.integers(2, 11)), clutter=float(rng.uniform(0.0, most)), drill=True, framed=False)
    if done < 0.6:
        return Lesson(titles=int(rng.integers(2, 11)), clutter=float(rng.uniform(0.0, 1.0)))
    if done >= 1 and rng.random() < 0.6:
        clutter = float(rng.uniform(0.0, 1.0))
        return Lesson(titles=int(rng.integers(2, 9)), clutter=clutter, drill=True, framed=bool(rng.random() < 0.5))
    draw = rng.random()
    bounds = (3, 15) if draw < 0.7 else (14, 22) if draw < 0.94 else (20, 41)
    return Lesson(titles=int(rng.integers(*bounds)), clutter=float(rng.uniform(0.3, 1.0)))


def learning_rate_at(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, a cosine down to a fiftieth of the peak, then the polish: from half the peak linearly down."""
    if step >= settings.steps:
        left = 1 - (step - settings.steps) / settings.polish_steps
        return settings.learning_rate * (0.02 + 0.48 * left)
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * (step / settings.steps)))
    return settings.learning_rate * warm * (0.02 + 0.98 * cosine)


def _optimizer(network: Network, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW; only the blocks' matrices decay."""
    matrices = [parameter for parameter in network.blocks.parameters() if parameter.ndim == 2]
    chosen = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))


def _as_metadata(meta: dict[str, Any]) -> dict[str, str]:
    return {"meta": json.dumps(meta, sort_keys=True)}


def read_metadata(path: Path) -> dict[str, Any]:
    """Return a checkpoint's step, settings and network configuration."""
    with safe_open(path, framework="pt") as stream:
        meta: dict[str, Any] = json.loads(stream.metadata()["meta"])
    return meta


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _nested(flat: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in flat.items():
        key, _, field = name.partition(".")
        state.setdefault(int(key), {})[field] = value
    return state
