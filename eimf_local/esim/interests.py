"""From exemplars to interests: ask the LLM, check the answer, retry once, salvage, embed (paper eqs. 3 and 4).

Every exemplar ends with at least one interest, and its record says by which path: "constrained" (the first answer
was whole), "retry" (the second was), "salvaged-items" (the complete items of a truncated answer), "salvaged-titles"
(the user's own latest titles; the model gave nothing usable), or "imported". A prompt without any answer is in the
journal as "failed", with the reason, until the next run asks it again.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .. import __version__
from ..artifacts import digest_of
from ..data.dataset import Bool, Float32
from ..errors import InferenceError, InputError
from .journal import Journal
from .llm import Answer, AnswersPrompts, Failure, Request
from .prompts import Prompt
from .repeats import RULE as REPEATS_RULE
from .repeats import distinct

MAX_INTERESTS = 20  # M_ex, SPEC section 1
_RETRY_TEMPERATURE = 0.7
_SALVAGED_TITLES = 5
_SALVAGED_WORDS = 5
_LISTED = 10  # failed users that an error names


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
    titles_dropped: int


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

    ``decoding`` has max_tokens, temperature and seed. A record is in the journal, on disk, as soon as its prompt is
    answered; the journal must be of one :func:`inference_identity`. ``callback`` gets the number of users done, of all,
    and the latest one's record. Raises :class:`InferenceError` naming the users whose prompts failed, after all others.
    """
    shared = _by_digest(prompts)
    done = 0

    def record_of(prompt: Prompt) -> InterestRecord:
        return _record(prompt.user, journal[prompt.digest], model=model, model_sha256=model_sha256)

    def tell(key: str) -> None:
        nonlocal done
        for prompt in shared[key]:
            done += 1
            if callback:
                callback(done, len(prompts), record_of(prompt))

    for key in shared:
        if _is_answered(journal, key):
            tell(key)
    asked = [same[0] for key, same in shared.items() if not _is_answered(journal, key)]
    for prompt, entry in _ask(llm, asked, max_interests=max_interests, decoding=decoding):
        journal.append(prompt.digest, entry)
        tell(prompt.digest)
    _refuse_failed(prompts, journal)
    return [record_of(prompt) for prompt in prompts]


def seconds_taken(prompts: Sequence[Prompt], journal: Journal) -> dict[str, float]:
    """Seconds that each user's answer took, its share of the batch's; users of one prompt share an answer."""
    return {prompt.user: journal[prompt.digest]["seconds"] for prompt in prompts}


def inference_identity(model_sha256: str, *, schema: Mapping[str, Any], **decoding: Any) -> str:
    """Digest of all that an answer depends on beside its prompt: model, schema, decoding settings, versions."""
    versions = {name: importlib.metadata.version(name) for name in ("llama-cpp-python", "outlines", "llguidance")}
    return digest_of(
        {
            "model": model_sha256,
            "schema": dict(schema),
            "decoding": decoding,
            "repeats": REPEATS_RULE,
            "versions": {**versions, "eimf-local": __version__},
        }
    )


def parse_answer(text: str, *, max_interests: int) -> list[str]:
    """Interests of a whole answer; [] where it is not JSON of the schema's shape or holds no usable phrase."""
    try:
        value = json.loads(text)
    except ValueError:
        return []
    if not isinstance(value, dict) or set(value) != {"interests"} or not isinstance(value["interests"], list):
        return []
    return distinct(clean_phrases(value["interests"], max_interests=max_interests))


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
    return distinct(clean_phrases(items, max_interests=max_interests))


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


def _by_digest(prompts: Sequence[Prompt]) -> dict[str, list[Prompt]]:
    """Prompts of users with the same titles share an answer."""
    shared: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        shared.setdefault(prompt.digest, []).append(prompt)
    return shared


def _is_answered(journal: Journal, key: str) -> bool:
    return key in journal and journal[key]["path"] != "failed"


def _ask(
    llm: AnswersPrompts, prompts: Sequence[Prompt], *, max_interests: int, decoding: dict[str, Any]
) -> Iterator[tuple[Prompt, dict[str, Any]]]:
    """Journal entries in the order in which they are settled; what gave nothing is asked once more at the end."""
    nothing: dict[str, Answer] = {}
    for prompt, outcome in _outcomes(llm, prompts, **decoding):
        if isinstance(outcome, Failure):
            yield prompt, _entry([], "failed", [], reason=outcome.reason)
            continue
        interests, path = _usable(outcome, "constrained", max_interests=max_interests)
        if interests:
            yield prompt, _entry(interests, path, [outcome])
        else:
            nothing[prompt.digest] = outcome
    again = [prompt for prompt in prompts if prompt.digest in nothing]
    settings = {**decoding, "temperature": _RETRY_TEMPERATURE, "seed": decoding["seed"] + 1}
    for prompt, outcome in _outcomes(llm, again, **settings):
        answers = [nothing[prompt.digest]]
        if isinstance(outcome, Failure):
            yield prompt, _entry([], "failed", answers, reason=outcome.reason)
            continue
        answers.append(outcome)
        interests, path = _usable(outcome, "retry", max_interests=max_interests)
        if not interests:
            interests, path = _latest_titles(prompt, max_interests=max_interests), "salvaged-titles"
        yield prompt, _entry(interests, path, answers)


def _outcomes(
    llm: AnswersPrompts, prompts: Sequence[Prompt], *, max_tokens: int, temperature: float, seed: int
) -> Iterator[tuple[Prompt, Answer | Failure]]:
    requests = [Request(prompt, max_tokens, temperature, _seed_of(prompt, seed)) for prompt in prompts]
    for index, outcome in llm.answers(requests) if requests else ():
        yield prompts[index], outcome


def _seed_of(prompt: Prompt, seed: int) -> int:
    """A seed of the prompt's own, so that no two prompts draw the same numbers; below 2**31."""
    return int(digest_of([prompt.digest, seed])[:8], 16) >> 1


def _usable(answer: Answer, path: str, *, max_interests: int) -> tuple[list[str], str]:
    """Interests of an answer and the path to them: whole, or cut off after some complete items. [] if it has none."""
    interests = parse_answer(answer.text, max_interests=max_interests)
    if interests:
        return interests, path
    return complete_items(answer.text, max_interests=max_interests), "salvaged-items"


def _latest_titles(prompt: Prompt, *, max_interests: int) -> list[str]:
    titles = [" ".join(title.strip("[]").split()[:_SALVAGED_WORDS]) for title in reversed(prompt.titles)]
    return clean_phrases(titles[:_SALVAGED_TITLES], max_interests=max_interests) or ["unknown"]


def _entry(interests: list[str], path: str, answers: Sequence[Answer], **reason: str) -> dict[str, Any]:
    """What the journal keeps of a prompt; the numbers of all its answers are added up."""
    last = answers[-1] if answers else None
    return {
        "interests": interests,
        "path": path,
        "prompt_tokens": last.prompt_tokens if last else 0,
        "tokens": sum(answer.tokens for answer in answers),
        "seconds": round(sum(answer.seconds for answer in answers), 4),
        "titles_dropped": last.titles_dropped if last else 0,
        **reason,
    }


def _record(user: str, entry: dict[str, Any], *, model: str, model_sha256: str) -> InterestRecord:
    values = {key: value for key, value in entry.items() if key not in ("seconds", "reason")}
    values["interests"] = tuple(entry["interests"])
    return InterestRecord(**values, user=user, model=model, model_sha256=model_sha256)


def _refuse_failed(prompts: Sequence[Prompt], journal: Journal) -> None:
    failed = [
        f"{prompt.user} ({journal[prompt.digest]['reason']})"
        for prompt in prompts
        if journal[prompt.digest]["path"] == "failed"
    ]
    if failed:
        more = [f"and {len(failed) - _LISTED} more"] if len(failed) > _LISTED else []
        raise InferenceError(
            f"{len(failed)} of {len(prompts)} users have no answer: {', '.join([*failed[:_LISTED], *more])}",
            hint="the other answers are kept; run the same command to ask for these again, or leave these users out",
        )


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
