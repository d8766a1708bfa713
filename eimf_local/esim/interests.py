"""From exemplars to interests: ask the LLM, check the answer, retry once, salvage, embed (paper eqs. 3 and 4).

Every exemplar ends with at least one interest, and its record says by which path: "constrained" (the first answer
was whole), "retry" (the second was), "salvaged-items" (the complete items of a truncated answer), "salvaged-titles"
(the user's own latest titles; the model gave nothing usable), or "imported".
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..artifacts import digest_of
from ..data.dataset import Bool, Float32
from ..errors import InputError
from .journal import Journal
from .llm import Answer
from .prompts import Prompt

MAX_INTERESTS = 20  # M_ex, SPEC section 1
_RETRY_TEMPERATURE = 0.7
_SALVAGED_TITLES = 5
_SALVAGED_WORDS = 5


@dataclass(frozen=True)
class InterestRecord:
    """One line of interests.jsonl: an exemplar's interests and how they came about."""

    user: str
    interests: tuple[str, ...]
    path: str
    model: str
    model_sha256: str
    prompt_tokens: int
    tokens: int
    seconds: float
    titles_dropped: int


class AnswersPrompts(Protocol):
    """What inference needs of an LLM."""

    def answer(self, prompt: Prompt, *, max_tokens: int, temperature: float, seed: int) -> Answer:
        """Decode one answer."""


class EncodesTexts(Protocol):
    """What embedding needs of an encoder."""

    def encode(self, texts: Sequence[str]) -> Float32:
        """Embed texts: float32 [n, T], unit rows."""


def infer_interests(
    llm: AnswersPrompts,
    prompts: Sequence[Prompt],
    *,
    journal: Journal,
    model: str,
    model_sha256: str,
    max_interests: int,
    decoding: dict[str, Any],
    callback: Callable[[int, int, InterestRecord], None] | None = None,
) -> list[InterestRecord]:
    """Interests of every prompt's user, in the prompts' order; what the journal holds is not asked again.

    ``decoding`` has max_tokens, temperature and seed. A record is in the journal, on disk, before the next prompt; the
    journal must be of one :func:`inference_identity`.
    """
    records = []
    for prompt in prompts:
        key = prompt.digest
        if key not in journal:
            answer = _infer_one(llm, prompt, max_interests=max_interests, decoding=decoding)
            journal.append(key, answer)
        record = InterestRecord(
            **{**journal[key], "interests": tuple(journal[key]["interests"])},
            user=prompt.user,
            model=model,
            model_sha256=model_sha256,
        )
        records.append(record)
        if callback:
            callback(len(records), len(prompts), record)
    return records


def inference_identity(model_sha256: str, **decoding: Any) -> str:
    """Digest of all that an answer depends on beside its prompt: model, decoding settings, the decoders' versions."""
    versions = {name: importlib.metadata.version(name) for name in ("llama-cpp-python", "outlines", "llguidance")}
    return digest_of({"model": model_sha256, "decoding": decoding, "versions": versions})


def parse_answer(text: str, *, max_interests: int) -> list[str]:
    """Interests of a whole answer; [] where it is not JSON of the schema's shape or holds no usable phrase."""
    try:
        value = json.loads(text)
    except ValueError:
        return []
    if not isinstance(value, dict) or set(value) != {"interests"} or not isinstance(value["interests"], list):
        return []
    return clean_phrases(value["interests"], max_interests=max_interests)


def complete_items(text: str, *, max_interests: int) -> list[str]:
    """Interests that a truncated answer completed before it broke off; [] if none."""
    start = re.match(r'\s*\{\s*"interests"\s*:\s*\[\s*', text)
    if start is None:
        return []
    decoder, at, items = json.JSONDecoder(), start.end(), []
    while at < len(text):
        try:
            item, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        items.append(item)
        comma = re.compile(r"\s*,\s*").match(text, at)
        if comma is None:
            break
        at = comma.end()
    return clean_phrases(items, max_interests=max_interests)


def clean_phrases(items: Sequence[object], *, max_interests: int) -> list[str]:
    """Strings only, runs of blanks and control characters to one blank, a letter or digit in each, no repeats."""
    phrases: dict[str, str] = {}
    for item in items:
        if isinstance(item, str):
            phrase = " ".join("".join(c if c.isprintable() else " " for c in item).split())
            if any(character.isalnum() for character in phrase):
                phrases.setdefault(phrase.casefold(), phrase)
    return list(phrases.values())[:max_interests]


def read_interests(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Read interests inferred elsewhere: JSONL with ``user`` and ``interests``; returns (user, interests) pairs.

    Raises :class:`InputError` naming the first line that is not such an object, has no usable interest, or repeats
    a user. At most 20 interests of a user are kept.
    """
    try:
        lines = path.read_text("utf-8").split("\n")  # not splitlines: a phrase may hold U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: {getattr(error, 'strerror', None) or error}", hint="give a readable UTF-8 JSONL file"
        ) from None
    read: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            user, interests = _read_line(path, number, line)
            if user in read:
                raise InputError(f"{path}, line {number}: user {user!r} again", hint="give each user one line")
            read[user] = interests
    if not read:
        raise InputError(f"{path}: no interests in it", hint='write lines such as {"user": "u1", "interests": ["..."]}')
    return list(read.items())


def embed_interests(records: Sequence[InterestRecord], encoder: EncodesTexts) -> tuple[Float32, Bool]:
    """H_ex (eq. 4): float32 [G, M, T] with unit rows, zeros beyond each exemplar's own; mask bool [G, M]."""
    width = max(len(record.interests) for record in records)
    phrases = [phrase for record in records for phrase in record.interests]
    embedded = encoder.encode(phrases)
    mask = np.zeros((len(records), width), dtype=np.bool_)
    for row, record in enumerate(records):
        mask[row, : len(record.interests)] = True
    H = np.zeros((len(records), width, embedded.shape[1]), np.float32)
    H[mask] = embedded  # row-major order of the mask is the order of ``phrases``
    return H, mask


def path_counts(records: Sequence[InterestRecord]) -> dict[str, int]:
    """How many exemplars took each path."""
    return dict(sorted(Counter(record.path for record in records).items()))


def to_jsonl(records: Sequence[InterestRecord]) -> str:
    """interests.jsonl: one record a line."""
    return "".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)


def from_jsonl(text: str) -> list[InterestRecord]:
    """The records of an interests.jsonl written by :func:`to_jsonl`."""
    parsed = [json.loads(line) for line in text.split("\n") if line]
    return [InterestRecord(**{**record, "interests": tuple(record["interests"])}) for record in parsed]


def _infer_one(llm: AnswersPrompts, prompt: Prompt, *, max_interests: int, decoding: dict[str, Any]) -> dict[str, Any]:
    tokens, seconds = 0, 0.0
    answers: list[Answer] = []
    attempts = [decoding, {**decoding, "temperature": _RETRY_TEMPERATURE, "seed": decoding["seed"] + 1}]
    interests: list[str] = []
    path = ""
    for name, settings in zip(("constrained", "retry"), attempts, strict=True):
        answer = llm.answer(prompt, **settings)
        answers.append(answer)
        tokens, seconds = tokens + answer.tokens, seconds + answer.seconds
        interests, path = parse_answer(answer.text, max_interests=max_interests), name
        if interests:
            break
    else:
        interests, path = _salvage(prompt, answers, max_interests=max_interests)
    return {
        "interests": interests,
        "path": path,
        "prompt_tokens": answers[-1].prompt_tokens,
        "tokens": tokens,
        "seconds": round(seconds, 4),
        "titles_dropped": answers[-1].titles_dropped,
    }


def _salvage(prompt: Prompt, answers: Sequence[Answer], *, max_interests: int) -> tuple[list[str], str]:
    for answer in answers:
        items = complete_items(answer.text, max_interests=max_interests)
        if items:
            return items, "salvaged-items"
    titles = [" ".join(title.strip("[]").split()[:_SALVAGED_WORDS]) for title in reversed(prompt.titles)]
    return clean_phrases(titles[:_SALVAGED_TITLES], max_interests=max_interests) or ["unknown"], "salvaged-titles"


def _read_line(path: Path, number: int, line: str) -> tuple[str, tuple[str, ...]]:
    hint = 'each line is an object such as {"user": "u1", "interests": ["gel pens", "notebooks"]}'
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}, line {number}: broken JSON ({error})", hint=hint) from None
    if not isinstance(value, dict) or "user" not in value or not isinstance(value.get("interests"), list):
        raise InputError(f"{path}, line {number}: no user or no list of interests", hint=hint)
    interests = clean_phrases(value["interests"], max_interests=MAX_INTERESTS)
    if not interests:
        raise InputError(f"{path}, line {number}: user {value['user']!r} has no usable interest", hint=hint)
    return str(value["user"]), tuple(interests)
