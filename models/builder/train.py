"""One optimiser pass over fresh synthetic users, resumable to the bit.

The batch of a step is a function of (seed, step) alone, so a checkpoint holds weights, optimiser state and the step's
number, and nothing else. Loss is taken on the answer's tokens and, by two heads that are not exported, on what the
answer rests on: half-way up, which interest a title or a phrase of the answer belongs to, at its end; and at the top,
where a phrase is about to begin, which interests are still to be told.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from eimf_local.artifacts import digest_of
from eimf_local.data.dataset import Float32

from .catalogue import Catalogue
from .corpus import MAX_INTERESTS, Sample, Told, UserWriter, frame
from .lexicon import Lexicon
from .network import Network, NetworkConfig
from .shops import Shop
from .tokenizer import (
    END_OF_TEXT,
    TURN_END,
    encode_frame,
    encode_with_ends,
    stems_and_forms,
    vocabulary_of,
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TrainSettings:
    """How long and how fast to learn. ``batch_tokens`` counts padding too; ``learning_rate`` is the peak.

    ``reading_weight`` is that of the loss on what has been read, ``choosing_weight`` on what is to be told next.
    ``bfloat16`` multiplies the blocks' matrices in that type: twice as fast where the processor has it.
    ``started_from``: digest of the GGUF whose weights are the first; its training has no beginners' lessons. "": none.
    """

    steps: int
    seed: int = 0
    batch_tokens: int = 4096
    learning_rate: float = 1.5e-3
    warmup_steps: int = 100
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    reading_weight: float = 0.5
    choosing_weight: float = 0.3
    bfloat16: bool = False
    started_from: str = ""


@dataclass(frozen=True)
class Batch:
    """Right-padded tokens int64 ``[B, T]``; flat positions in ``[0, B*T)``.

    After each of ``positions`` comes the answer's token in ``targets``; at each of ``ends`` a title or a phrase of the
    interest in ``owners`` has been read; after each of ``starts`` a phrase begins, and its row of ``untold`` (float32
    ``[n, interests]``, sum 1) holds the shares of titles among the interests that the answer has not told yet.
    """

    tokens: Tensor
    positions: Tensor
    targets: Tensor
    ends: Tensor
    owners: Tensor
    starts: Tensor
    untold: Tensor


class InterestReader(nn.Module):
    """Tells interests from states, among all interests' phrase embeddings."""

    phrases: Tensor

    def __init__(self, *, width: int, phrases: Float32) -> None:
        """``phrases`` float32 ``[interests, T]``, unit rows."""
        super().__init__()
        self.register_buffer("phrases", torch.from_numpy(phrases), persistent=False)
        self.norm = nn.RMSNorm(width)
        self.project = nn.Linear(width, phrases.shape[1])
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def loss(self, states: Tensor, interests: Tensor) -> Tensor:
        """Mean cross-entropy in nats of states ``[n, d]``; ``interests`` int64 ``[n]`` or shares ``[n, I]``."""
        read = F.normalize(self.project(self.norm(states)), dim=-1)
        return F.cross_entropy(self.log_scale.exp() * read @ self.phrases.T, interests)


class Heads(nn.Module):
    """What the loss asks beside the answer's tokens; not exported."""

    def __init__(self, *, width: int, phrases: Float32) -> None:
        super().__init__()
        self.reading = InterestReader(width=width, phrases=phrases)
        self.choosing = InterestReader(width=width, phrases=phrases)


@dataclass(frozen=True)
class Lessons:
    """Where users come from: what they are made of, and how that is put into words."""

    tokenizer: Tokenizer
    catalogue: Catalogue
    lexicon: Lexicon
    shops: tuple[Shop, ...] = ()

    def titles_digest(self) -> str:
        """Digest of the shops' titles, in order."""
        return digest_of([[title.text for own in shop.titles for title in own] for shop in self.shops])


class Trainer:
    """Network, optimiser and the step counter; :meth:`run` advances to the last step."""

    def __init__(
        self, *, lessons: Lessons, config: NetworkConfig, settings: TrainSettings, stem_vectors: Float32 | None = None
    ) -> None:
        torch.manual_seed(settings.seed)
        vocabulary = vocabulary_of(lessons.tokenizer)
        stems, forms = stems_and_forms(vocabulary)
        self.settings = settings
        self.network = Network(
            config,
            stem_of=torch.tensor(stems),
            form_of=torch.tensor(forms),
            stem_vectors=None if stem_vectors is None else torch.from_numpy(stem_vectors),
        )
        self.heads = Heads(width=config.width, phrases=lessons.lexicon.phrase_vectors())
        self.step = 0
        # compiled, a step in bfloat16 takes a third less; in float32 the matrices take the time
        self._states = torch.compile(self.network.states, dynamic=True) if settings.bfloat16 else self.network.states
        self._batches = BatchSource(lessons, settings)
        self._titles_digest = lessons.titles_digest()
        self._optimizers = _optimizers(self.network, self.heads, settings)

    def run(self, *, folder: Path, progress: Progress, until: int | None = None, save_every: int = 200) -> None:
        """Train up to step ``until`` (default: the last), saving a checkpoint into ``folder`` every ``save_every``."""
        last = self.settings.steps if until is None else min(until, self.settings.steps)
        started, tokens, losses = time.perf_counter(), 0, []
        while self.step < last:
            batch = self._batches.at(self.step)
            losses.append(self._advance(batch))
            tokens += batch.tokens.numel()
            if self.step % 50 == 0 or self.step == last:
                rate = tokens / (time.perf_counter() - started)
                answer, reading, choosing = np.mean(losses, axis=0)
                progress(
                    f"step {self.step}/{self.settings.steps} answer {answer:.4f} reading {reading:.4f} "
                    f"choosing {choosing:.4f} {rate:.0f} tokens/s"
                )
                losses = []
            if self.step % save_every == 0 or self.step == last:
                self.save(folder)

    def _advance(self, batch: Batch) -> tuple[float, float, float]:
        rate = learning_rate_at(self.step, self.settings)
        for optimizer in self._optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.settings.bfloat16):
            states = self._states(batch.tokens)
        middle, last = (each.float().flatten(0, 1) for each in states)  # [B T, d]
        answer = self.network.embedding.cross_entropy(last[batch.positions], batch.targets)
        reading = self.heads.reading.loss(middle[batch.ends], batch.owners)
        choosing = self.heads.choosing.loss(last[batch.starts], batch.untold)
        loss = answer + self.settings.reading_weight * reading + self.settings.choosing_weight * choosing
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        for optimizer in self._optimizers:
            optimizer.step()
        self.step += 1
        return float(answer.detach()), float(reading.detach()), float(choosing.detach())

    def save(self, folder: Path) -> None:
        """Write ``checkpoint.safetensors`` into ``folder``, complete or not at all; its header holds the JSON part."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"heads.{name}": value for name, value in self.heads.state_dict().items()}
        for number, optimizer in enumerate(self._optimizers):
            for key, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{number}.{key}.{name}": value for name, value in state.items()}
        meta = {"step": self.step, **self._made_with()}
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "checkpoint.partial", _as_metadata(meta))
        (folder / "checkpoint.partial").replace(folder / "checkpoint.safetensors")

    def load(self, folder: Path) -> bool:
        """Continue from ``folder``'s checkpoint; False where there is none. Raises ValueError for other settings.

        Other titles and other optimizers count as other settings.
        """
        path = folder / "checkpoint.safetensors"
        if not path.is_file():
            return False
        meta = read_metadata(path)
        if any(meta.get(name) != value for name, value in self._made_with().items()):
            raise ValueError(
                f"{path}: trained with other settings, titles or optimizers; give another folder or delete it"
            )
        tensors = load_file(path)
        self.network.load_state_dict(_under(tensors, "network."))
        self.heads.load_state_dict(_under(tensors, "heads."))
        for number, optimizer in enumerate(self._optimizers):
            restored = optimizer.state_dict()
            restored["state"] = _nested(_under(tensors, f"optimizer.{number}."))
            optimizer.load_state_dict(restored)
        self.step = int(meta["step"])
        return True

    def _made_with(self) -> dict[str, Any]:
        return {
            "settings": asdict(self.settings),
            "config": asdict(self.network.config),
            "titles": self._titles_digest,
            "optimizers": [type(optimizer).__name__ for optimizer in self._optimizers],
        }


class BatchSource:
    """Batches by step: users drawn, written, tokenised and padded."""

    def __init__(self, lessons: Lessons, settings: TrainSettings) -> None:
        self._lessons = lessons
        self._settings = settings
        ids = lessons.tokenizer.get_vocab()
        self._end, self._padding = ids[TURN_END], ids[END_OF_TEXT]
        self._frames: dict[int, tuple[list[int], list[int]]] = {}

    def at(self, step: int) -> Batch:
        """Return the batch of ``step``; users of one batch have about as many titles, to spare padding."""
        rng = np.random.default_rng((self._settings.seed, step))
        writer = UserWriter(rng, self._lessons.catalogue, self._lessons.lexicon, self._lessons.shops)
        titles, framed = lesson_at(1.0 if self._settings.started_from else step / self._settings.steps, rng)
        sequences: list[_Sequence] = []
        longest = 0
        while True:
            # a bare list does not say how many interests are wanted
            user = writer.user(max(1, titles + int(rng.integers(-1, 2))), asked=None if framed else MAX_INTERESTS)
            sequence = self._sequence(user, framed=framed)
            longest = max(longest, len(sequence.tokens))
            if sequences and longest * (len(sequences) + 1) > self._settings.batch_tokens:
                return self._padded(sequences)
            sequences.append(sequence)

    def _sequence(self, user: Sample, *, framed: bool) -> _Sequence:
        head, tail = self._frame(user.asked) if framed else ([], [])
        block, closing = encode_with_ends(self._lessons.tokenizer, user.block, _closing_brackets(user.titles))
        prompt = head + block + tail
        places = _quotes(user)
        answer, quotes = encode_with_ends(self._lessons.tokenizer, user.answer, places)
        read = [(len(head) + end, owner) for end, owner in zip(closing, user.owners, strict=True)]
        read += [(len(prompt) + quote, told.interest) for quote, told in zip(quotes[1::2], user.told, strict=True)]
        return _Sequence(
            tokens=[*prompt, *answer, self._end],
            start=len(prompt),
            read=[(place, owner) for place, owner in read if owner >= 0],
            choices=[
                (len(prompt) + quote, rest)
                for number, quote in enumerate(quotes[::2])
                if (rest := [told for told in user.told[number:] if told.interest >= 0])
            ],
        )

    def _frame(self, asked: int) -> tuple[list[int], list[int]]:
        if asked not in self._frames:
            head, tail = frame(asked)
            tokenizer = self._lessons.tokenizer
            self._frames[asked] = encode_frame(tokenizer, head), encode_frame(tokenizer, tail)
        return self._frames[asked]

    def _padded(self, sequences: list[_Sequence]) -> Batch:
        length = max(len(sequence.tokens) for sequence in sequences)
        table = np.full((len(sequences), length), self._padding, dtype=np.int64)
        positions: list[int] = []
        for row, sequence in enumerate(sequences):
            table[row, : len(sequence.tokens)] = sequence.tokens
            positions.extend(row * length + column for column in range(sequence.start - 1, len(sequence.tokens) - 1))
        read = [(row * length + place, owner) for row, own in enumerate(sequences) for place, owner in own.read]
        choices = [(row * length + place, rest) for row, own in enumerate(sequences) for place, rest in own.choices]
        untold = np.zeros((len(choices), len(self._lessons.catalogue.interests)), np.float32)
        for shares, (_, rest) in zip(untold, choices, strict=True):
            for told in rest:
                shares[told.interest] = told.titles / sum(other.titles for other in rest)
        flat = np.array(positions)
        return Batch(
            tokens=torch.from_numpy(table),
            positions=torch.from_numpy(flat),
            targets=torch.from_numpy(table.ravel()[flat + 1]),
            ends=torch.tensor([place for place, _ in read], dtype=torch.int64),
            owners=torch.tensor([owner for _, owner in read], dtype=torch.int64),
            starts=torch.tensor([place for place, _ in choices], dtype=torch.int64),
            untold=torch.from_numpy(untold),
        )


class _Sequence(NamedTuple):
    """One user's tokens, where the answer begins, where a title or phrase of which interest ends, and where a phrase
    begins with what is still to be told.
    """

    tokens: list[int]
    start: int
    read: list[tuple[int, int]]
    choices: list[tuple[int, list[Told]]]


def _closing_brackets(titles: Sequence[str]) -> list[int]:
    """Places in :attr:`Sample.block` of the brackets that close titles."""
    return [end - 1 for end in itertools.accumulate(len(title) + 2 for title in titles)]


def _quotes(user: Sample) -> list[int]:
    """Places in :attr:`Sample.answer` of the quotes around its phrases: opening, closing, opening, closing ..."""
    lengths = [len(json.dumps(told.phrase, ensure_ascii=False)) for told in user.told]
    opening = itertools.accumulate((length + 2 for length in lengths[:-1]), initial=len('{"interests": ['))
    return [place for start, length in zip(opening, lengths, strict=True) for place in (start, start + length - 1)]


def lesson_at(done: float, rng: np.random.Generator) -> tuple[int, bool]:
    """About how many titles the users of a step have, and whether the whole prompt stands around them.

    Short lists come before long ones, and bare lists before whole prompts, whose frame costs as much as five titles.
    """
    framed = bool(rng.random() < (done - 0.3) / 0.3)
    draw = rng.random()
    if done < 0.15:
        return int(rng.integers(1, 8)), framed
    bounds = (1, 9) if draw < 0.45 else (6, 21) if draw < 0.93 or done < 0.5 else (20, 41)
    return int(rng.integers(*bounds)), framed


def learning_rate_at(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, level for a half of the steps, then linearly down to a hundredth of the peak."""
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    fall = min(1.0, 2 * (1 - step / settings.steps))
    return settings.learning_rate * warm * (0.01 + 0.99 * fall)


def _optimizers(network: Network, heads: Heads, settings: TrainSettings) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the blocks' matrices (steps of the size that AdamW's would have), AdamW for all else, without decay."""
    matrices = [parameter for parameter in network.blocks.parameters() if parameter.ndim == 2]
    chosen = {id(parameter) for parameter in matrices}
    others = [p for module in (network, heads) for p in module.parameters() if id(p) not in chosen]
    rate = settings.learning_rate
    return (
        torch.optim.Muon(matrices, lr=rate, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    )


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
