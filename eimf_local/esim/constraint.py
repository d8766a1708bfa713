"""A JSON schema as a constraint on tokens: outlines' llguidance backend, with one matcher a sequence.

outlines hands out a logits processor, which holds the matchers of a whole batch that starts and ends together. Here
sequences come and go one by one, so of the processor only its grammar and its tokeniser are used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import outlines
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from outlines.backends.llguidance import LLGuidanceBackend

from .llama_model import LlamaModel


class SchemaConstraint:
    """The tokens that a schema allows. Raises :class:`ValueError` where the schema cannot be satisfied."""

    def __init__(self, model: LlamaModel, schema: Mapping[str, Any]) -> None:
        backend = LLGuidanceBackend(outlines.from_llamacpp(model))
        processor = backend.get_json_schema_logits_processor(json.dumps(schema))
        self._tokenizer = processor.llg_tokenizer
        self._start = LLMatcher(self._tokenizer, processor.grammar)
        if self._start.is_error():
            raise ValueError(f"the schema cannot be used: {self._start.get_error()}")
        self.end = model.token_eos()
        self._forbidden = model.special_tokens()
        self._forbidden[self.end] = False  # the grammar says when an answer may end

    def begin(self) -> AnswerConstraint:
        """The constraint of one answer, at its first token."""
        return AnswerConstraint(self, self._start.deep_copy())

    def allowed(self, answers: Sequence[AnswerConstraint]) -> npt.NDArray[np.bool_]:
        """Which tokens each of n answers may go on with: bool [n, V]; a row without any is a dead end."""
        masks = allocate_token_bitmask(len(answers), len(self._forbidden))
        for row, answer in enumerate(answers):
            fill_next_token_bitmask(answer._matcher, masks, row)
        bits = np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little", count=len(self._forbidden))
        return bits.view(np.bool_) & ~self._forbidden

    def text(self, tokens: list[int]) -> str:
        """What the tokens of an answer say; a character that was cut in half at the end is left out."""
        kept = [token for token in tokens if token != self.end]
        decoded: bytes = self._tokenizer.decode_bytes(kept)
        return decoded.decode("utf-8", errors="ignore")


class AnswerConstraint:
    """How far one answer has come in the grammar."""

    def __init__(self, schema: SchemaConstraint, matcher: LLMatcher) -> None:
        self._schema = schema
        self._matcher = matcher

    @property
    def finished(self) -> bool:
        """Whether the answer is complete and nothing can follow."""
        return self._matcher.is_stopped()

    def accepts(self, token: int) -> bool:
        """Take ``token`` if the schema allows it here: microseconds, where a mask is a pass over V."""
        return not self._schema._forbidden[token] and self._matcher.try_consume_tokens([token]) == 1

    def take(self, token: int) -> None:
        """Take one of those that :meth:`SchemaConstraint.allowed` marks."""
        if not self._matcher.consume_token(token):
            raise ValueError(f"the schema's matcher failed: {self._matcher.get_error()}")

    def take_back(self, count: int) -> None:
        """Undo the last ``count`` tokens taken."""
        if not self._matcher.rollback(count):
            raise ValueError(f"the schema's matcher failed: {self._matcher.get_error()}")

    def text(self, tokens: list[int]) -> str:
        """As :meth:`SchemaConstraint.text`."""
        return self._schema.text(tokens)

    def forced(self) -> list[int]:
        """The tokens that must follow here, already taken; often none."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        if any(self._schema._forbidden[token] for token in tokens) or not self._matcher.consume_tokens(tokens):
            raise ValueError(f"the schema forces a token that is no text {self._matcher.get_error()}".rstrip())
        return tokens
