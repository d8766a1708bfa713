"""Continuous batching: many answers at once, each under its own constraint.

A prompt enters a free slot at once: its head, which prompts share, is still there from the last one or is copied from
another slot. Every step then reads a chunk of each prompt that is not yet read, and decodes one token of each answer
under way, so nobody waits for a long prompt, and batches stay full as long as prompts wait.

Answers do not depend on the number of slots, because a sequence's arithmetic does not depend on its neighbours (on the
CPU, with Q8_0 and Q4_0). Two rules keep it so, since attention rounds differently over one row of a sequence than over
several: a prompt is cut into chunks by its own positions alone, and a step feeds one token a sequence, also where the
schema forces several.

A list names nothing twice: an item that an earlier one has said already is taken back to its first token, which is then
chosen again without the one that led there. (JSON schema's uniqueItems; llguidance does not have it.)
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .constraint import AnswerConstraint, SchemaConstraint
from .llama_context import ROWS, LlamaContext
from .repeats import repeated_item
from .sampling import draw

_MOST_TAKEN_BACK = 32  # first tokens of repeated items, in one answer


class Task(NamedTuple):
    """An answer to decode: ``head`` are the prompt's tokens that others share; ``temperature`` 0 is greedy.

    ``number`` and ``titles_dropped`` are for whoever asks.
    """

    number: int
    head: tuple[int, ...]
    rest: tuple[int, ...]
    max_tokens: int
    temperature: float
    seed: int
    titles_dropped: int = 0


@dataclass
class Decoding:
    """A task under way or ended.

    ``tokens`` are the answer's so far, forced ones too; the first ``fed`` are in the KV stream, or will be when
    ``unread`` is: the rest of the prompt, then what the schema forces at once. ``banned`` are tokens that led to a
    repeated item, by their place; ``stale`` is whether the stream holds more than what is fed.
    ``finish`` is "" while it goes on, then "stop", "length" or "error" (``error`` says which). ``seconds`` is its share
    of the time.
    """

    task: Task
    constraint: AnswerConstraint
    generator: np.random.Generator
    tokens: list[int]
    unread: tuple[int, ...]
    fed: int = 0
    banned: dict[int, set[int]] = field(default_factory=dict)
    stale: bool = False
    finish: str = ""
    error: str = ""
    seconds: float = 0.0

    @property
    def position(self) -> int:
        """Where the next token to feed stands in the sequence."""
        return len(self.task.head) + len(self.task.rest) + self.fed

    @property
    def caught_up(self) -> bool:
        """Whether all tokens are fed, so that the next one must be chosen."""
        return self.fed == len(self.tokens)

    def append(self, token: int, *, taken: bool) -> None:
        """Append a token, which the constraint has ``taken`` or takes now, then those that the schema forces."""
        place = len(self.tokens)
        try:
            if not taken:
                self.constraint.take(token)
            self.tokens.append(token)
            self.tokens.extend(self.constraint.forced())
            self._go_on(place)
        except ValueError as error:
            self.fail(str(error))

    def _go_on(self, place: int) -> None:
        """See whether the tokens from ``place`` on end the answer, or repeat an item of it."""
        if self.constraint.finished and len(self.tokens) <= self.task.max_tokens:
            self.finish = "stop"  # with a repeated last item at worst, which whoever reads the answer drops
        elif len(self.tokens) >= self.task.max_tokens:
            self.finish = "length"
            del self.tokens[self.task.max_tokens :]
        elif '"' in self.constraint.text(self.tokens[place:]):
            self._take_back_repeat()

    def _take_back_repeat(self) -> None:
        """If the last item was said before, go back to its first token and ban it there."""
        start = repeated_item(self.constraint.text(self.tokens))
        if start is None or sum(map(len, self.banned.values())) >= _MOST_TAKEN_BACK:
            return
        place = next(n for n in range(len(self.tokens)) if len(self.constraint.text(self.tokens[: n + 1])) > start)
        banned = self.banned.setdefault(place, set())
        if self.tokens[place] in banned:  # the schema left no other
            return
        banned.add(self.tokens[place])
        self.constraint.take_back(len(self.tokens) - place)
        del self.tokens[place:]
        self.fed, self.stale = min(self.fed, place - 1), True  # the last token is fed again, for its logits

    def fail(self, reason: str) -> None:
        """End without an answer."""
        self.finish, self.error = "error", reason


class BatchedDecoder:
    """Decodes tasks in the sequences of a context; a slot's number is its sequence's."""

    def __init__(self, context: LlamaContext, constraint: SchemaConstraint, *, slots: int) -> None:
        self._context = context
        self._constraint = constraint
        self._slots: list[Decoding | None] = [None] * slots
        self._heads: list[tuple[int, ...]] = [()] * slots  # what each stream begins with, busy or not

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return None in self._slots

    @property
    def idle(self) -> bool:
        """Whether all slots are free."""
        return not any(self._slots)

    def start(self, task: Task) -> None:
        """Give a task a free slot; raises :class:`ValueError` where the schema allows no answer."""
        began = time.perf_counter()
        slot = self._slots.index(None)
        constraint = self._constraint.begin()
        forced = constraint.forced()[: task.max_tokens]
        self._place_head(slot, task.head)
        decoding = Decoding(
            task, constraint, np.random.default_rng(task.seed), forced, unread=(*task.rest, *forced), fed=len(forced)
        )
        decoding.seconds = time.perf_counter() - began
        self._slots[slot] = decoding

    def step(self) -> list[Decoding]:
        """Read a chunk of every prompt and decode a token of every answer under way; returns those that have ended.

        Their slots are free then.
        """
        for slot, decoding in enumerate(self._slots):
            if decoding and decoding.unread:
                self._read_on(slot, decoding)
        self._decode()
        ended = [decoding for decoding in self._slots if decoding and decoding.finish]
        self._slots = [None if decoding and decoding.finish else decoding for decoding in self._slots]
        self._close_gaps()
        return ended

    def _read_on(self, slot: int, decoding: Decoding) -> None:
        """Read the next chunk of a prompt, and after the last one choose the answer's first token."""
        began = time.perf_counter()
        chunk, rest = decoding.unread[:ROWS], decoding.unread[ROWS:]
        logits = self._read(slot, chunk, decoding.position - len(decoding.unread), last=not rest)
        decoding.unread = rest
        if not rest:
            self._choose([decoding], logits)
        decoding.seconds += time.perf_counter() - began

    def _decode(self) -> None:
        """Decode one token of every answer under way."""
        began = time.perf_counter()
        running = [
            (slot, decoding)
            for slot, decoding in enumerate(self._slots)
            if decoding and not decoding.unread and not decoding.finish
        ]
        for slot, decoding in running:
            if decoding.stale:
                self._context.truncate(slot, decoding.position)
                decoding.stale = False
        if running:
            logits = self._context.decode(
                [decoding.tokens[decoding.fed] for _, decoding in running],
                [decoding.position for _, decoding in running],
                [slot for slot, _ in running],
                [decoding.fed + 1 == len(decoding.tokens) for _, decoding in running],
            )
            for _, decoding in running:
                decoding.fed += 1
            self._choose([decoding for _, decoding in running if decoding.caught_up], logits)
            for _, decoding in running:
                decoding.seconds += (time.perf_counter() - began) / len(running)

    def _choose(self, decodings: Sequence[Decoding], logits: npt.NDArray[np.float32]) -> None:
        """Give each of n answers its next token by its row of ``logits`` (float32 [n, V])."""
        masked: list[int] = []  # the rows that need a mask of the whole vocabulary
        for row, best in enumerate(logits.argmax(axis=1)):
            decoding = decodings[row]
            if np.isnan(logits[row, best]):
                decoding.fail("the model computes no numbers; is its file damaged?")
            elif self._is_free(decoding, int(best)) and decoding.constraint.accepts(int(best)):
                decoding.append(int(best), taken=True)  # the best of all is the best of those allowed
            else:
                masked.append(row)
        if not masked:
            return
        waiting = [decodings[row] for row in masked]
        allowed = self._constraint.allowed([decoding.constraint for decoding in waiting])
        for row, decoding in zip(allowed, waiting, strict=True):
            _leave_out(row, decoding.banned.get(len(decoding.tokens), ()))
        chosen = draw(
            np.where(allowed, logits[masked], np.float32(-np.inf)),
            temperature=np.array([decoding.task.temperature for decoding in waiting]),
            uniform=np.array([decoding.generator.random() for decoding in waiting]),
        )
        for decoding, row, token in zip(waiting, allowed, chosen, strict=True):
            if row[token]:
                decoding.append(int(token), taken=False)
            else:
                decoding.fail("no token satisfies the schema here")

    @staticmethod
    def _is_free(decoding: Decoding, best: int) -> bool:
        """Whether the best token of all, if the schema allows it, is the one to choose."""
        return decoding.task.temperature == 0 and best not in decoding.banned.get(len(decoding.tokens), ())

    def _place_head(self, slot: int, head: tuple[int, ...]) -> None:
        """Make the slot's stream hold ``head`` and nothing else."""
        if self._heads[slot] != head and head in self._heads:
            self._context.copy(self._heads.index(head), slot)
            self._heads[slot] = head
        known = self._heads[slot] == head
        self._context.truncate(slot, len(head) if known else 0)
        if not known:
            for first in range(0, len(head), ROWS):
                self._read(slot, head[first : first + ROWS], first, last=False)
            self._heads[slot] = head

    def _read(self, slot: int, chunk: Sequence[int], start: int, *, last: bool) -> npt.NDArray[np.float32]:
        """Append a chunk of a prompt at position ``start``; float32 [1, V] after the ``last``, else [0, V]."""
        outputs = [False] * (len(chunk) - 1) + [last]
        return self._context.decode(chunk, range(start, start + len(chunk)), [slot] * len(chunk), outputs)

    def _close_gaps(self) -> None:
        """Fill free slots: with the last answers under way, else with prompts that are read, in their order.

        So answers come to lie in front, for llama.cpp decodes sequences that are not consecutive in passes of their
        own. Where no slot is free, an answer behind a prompt that is still read stays there.
        """
        for gap in range(len(self._slots)):
            above = [(slot, decoding) for slot, decoding in enumerate(self._slots) if decoding and slot > gap]
            if self._slots[gap] or not above:
                continue
            answers = [slot for slot, decoding in above if not decoding.unread]
            source = answers[-1] if answers else above[0][0]
            self._context.copy(source, gap)
            self._heads[gap] = self._heads[source]
            self._slots[gap], self._slots[source] = self._slots[source], None


def _leave_out(allowed: npt.NDArray[np.bool_], banned: Collection[int]) -> None:
    """Unmark ``banned`` tokens in ``allowed`` (bool [V]), unless nothing else is allowed."""
    others = allowed.copy()
    others[list(banned)] = False
    if others.any():
        allowed[:] = others
