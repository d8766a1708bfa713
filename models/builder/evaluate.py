"""Measures a GGUF with greedy decoding in llama.cpp: ``python -m eimf_local_models.builder.evaluate``.

Users are synthetic ones that training never drew and, with ``--data DIR``, real histories of shops that no corpus of
ours has seen. Every user is answered twice: free, and constrained to the schema as the library does it.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import html
import json
import os
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when the OpenMP library loads

import llama_cpp
import numpy as np
import outlines
from outlines.backends.llguidance import LLGuidanceBackend

from eimf_local.esim.prompts import interests_schema

from .corpus import HEAD, MAX_INTERESTS, TAIL, TITLE_CHARACTERS, UserWriter
from .export import MODEL_NAME

MODELS = Path(__file__).parents[1]
TITLES_SHOWN = {"amazon2014-office": 20, "amazon2014-beauty": 20, "ml-1m": 40}
SYNTHETIC_TITLES = (3, 8, 14, 20)
_SYNTHETIC_SEED = 987_654_321  # no step of a training run has this seed
_SPLIT_SEED = 1230  # SPEC section 2, user-split: only training users are asked
_MAX_TOKENS = 256
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Case:
    """One user: titles, oldest first, and the true interests where they are known (else empty)."""

    titles: tuple[str, ...]
    truth: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """One decoded answer: its text, number of tokens, and seconds spent on them after the prompt was read."""

    text: str
    tokens: int
    seconds: float


class Engine:
    """llama.cpp with an optional constraint to the schema; greedy."""

    def __init__(self, model: Path, *, threads: int = 1, context: int = 2048) -> None:
        self._llm = llama_cpp.Llama(
            model_path=str(model), n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        backend = LLGuidanceBackend(outlines.from_llamacpp(self._llm))
        schema = json.dumps(interests_schema(MAX_INTERESTS))
        self._constraint = backend.get_json_schema_logits_processor(schema)

    def prompt(self, titles: Sequence[str]) -> list[int]:
        """Token ids of the whole prompt; titles cannot become control tokens."""
        block = "".join(f"[{title}]" for title in titles) + "\n"
        parts = [(HEAD, True), (block, False), (TAIL, True)]
        return [token for text, special in parts for token in self.tokenize(text, special=special)]

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of ``text`` by llama.cpp's own tokeniser."""
        return list(self._llm.tokenize(text.encode("utf-8"), add_bos=False, special=special))

    def answer(self, titles: Sequence[str], *, constrained: bool) -> Reply:
        """Answer one user; the first token's time holds the reading of the prompt and is not counted."""
        self._constraint.reset()
        processors = llama_cpp.LogitsProcessorList([self._constraint]) if constrained else None
        pieces, started = [], 0.0
        stream: Any = self._llm.create_completion(
            self.prompt(titles), max_tokens=_MAX_TOKENS, temperature=0.0, logits_processor=processors, stream=True
        )
        for chunk in stream:
            started = started or time.perf_counter()
            pieces.append(chunk["choices"][0]["text"])
        return Reply("".join(pieces), max(0, len(pieces) - 1), time.perf_counter() - started)


def synthetic_cases(users: int) -> list[Case]:
    """Users of the corpus's own kind, from a seed that training never uses."""
    writer = UserWriter(np.random.default_rng(_SYNTHETIC_SEED))
    samples = [writer.user(SYNTHETIC_TITLES[index % len(SYNTHETIC_TITLES)]) for index in range(users)]
    return [Case(sample.titles, sample.interests) for sample in samples]


def real_cases(folder: Path, *, users: int, titles: int) -> list[Case]:
    """The last ``titles`` titles of the first 80 % of the histories of ``users`` training users."""
    with gzip.open(folder / "items.tsv.gz", "rt", encoding="utf-8") as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = {row["item"]: " ".join(html.unescape(row["title"]).split()) for row in rows}
    with gzip.open(folder / "interactions.tsv.gz", "rt", encoding="utf-8") as stream:
        events = [
            (row["user"], int(row["seq_pos"]), row["item"])
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]
    histories = {user: [event[2] for event in group] for user, group in groupby(sorted(events), lambda e: e[0])}
    shuffled = sorted(histories)
    random.Random(_SPLIT_SEED).shuffle(shuffled)
    cases = []
    for user in shuffled[: int(0.8 * len(shuffled))][:users]:
        seen = histories[user][: int(0.8 * len(histories[user]))]
        shown = [names.get(item) or item for item in dict.fromkeys(reversed(seen))][:titles][::-1]
        cases.append(Case(tuple(title[:TITLE_CHARACTERS].rstrip() for title in shown)))
    return cases


def interests_of(text: str) -> list[str] | None:
    """The answer's phrases, or None where it breaks the schema."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    phrases = answer.get("interests") if isinstance(answer, dict) and len(answer) == 1 else None
    if not isinstance(phrases, list) or not 1 <= len(phrases) <= MAX_INTERESTS:
        return None
    return phrases if all(isinstance(p, str) and 2 <= len(p) <= 80 for p in phrases) else None


def words_of(text: str) -> list[str]:
    """Lower-case words and numbers of a text."""
    return _WORD.findall(text.lower())


def measure(cases: Sequence[Case], replies: Sequence[Reply]) -> dict[str, float]:
    """Shares (0..1) and means over the answers; phrases are pooled over users.

    ``in_titles``: every word of the phrase stands in the user's titles; ``mostly``: at least half of them do;
    ``in_one_title``: all stand in one title; ``recall`` and ``precision``: exact phrases against the truth.
    """
    parsed = [interests_of(reply.text) for reply in replies]
    phrases = [(phrase, case) for case, answer in zip(cases, parsed, strict=True) for phrase in answer or []]
    shares = [_known_share(phrase, case.titles) for phrase, case in phrases]
    answers = [answer for answer in parsed if answer]
    truths = [(set(case.truth), set(answer or [])) for case, answer in zip(cases, parsed, strict=True)]
    return {
        "valid": len(answers) / len(cases),
        "interests": _mean([len(answer) for answer in answers]),
        "words": _mean([len(phrase.split()) for phrase, _ in phrases]),
        "2-5 words": _mean([2 <= len(phrase.split()) <= 5 for phrase, _ in phrases]),
        "in titles": _mean([share == 1 for share in shares]),
        "mostly": _mean([share >= 0.5 for share in shares]),
        "in one": _mean([_in_one_title(phrase, case.titles) for phrase, case in phrases]),
        "distinct": _mean([len({p.lower() for p in answer}) / len(answer) for answer in answers]),
        "recall": _ratio(sum(len(t & a) for t, a in truths), sum(len(t) for t, _ in truths)),
        "precision": _ratio(sum(len(t & a) for t, a in truths if t), sum(len(a) for t, a in truths if t)),
        "tokens": _mean([reply.tokens for reply in replies]),
        "tok/s": _ratio(sum(reply.tokens for reply in replies), sum(reply.seconds for reply in replies)),
    }


def _known_share(phrase: str, titles: Sequence[str]) -> float:
    known = {word for title in titles for word in words_of(title)}
    words = words_of(phrase)
    return sum(word in known for word in words) / len(words) if words else 0.0


def _in_one_title(phrase: str, titles: Sequence[str]) -> bool:
    words = set(words_of(phrase))
    return any(words.issubset(words_of(title)) for title in titles)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def table(rows: dict[str, dict[str, float]]) -> str:
    """A Markdown table, one row a measurement; "-" where a figure has no meaning."""
    columns = list(next(iter(rows.values())))
    lines = ["| users | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, values in rows.items():
        cells = ["-" if np.isnan(v) else f"{v:.0f}" if v > 20 else f"{v:.2f}" for v in values.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and with ``--show N`` some users with their answers."""
    parser = argparse.ArgumentParser(prog="python -m eimf_local_models.builder.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODELS / f"{MODEL_NAME}.gguf")
    parser.add_argument("--data", type=Path, help="folder of the real data sets")
    parser.add_argument("--users", type=int, default=50, help="a set")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, help="print this many constrained answers a set")
    arguments = parser.parse_args()
    sets = {"synthetic, held out": synthetic_cases(arguments.users)}
    for name, titles in TITLES_SHOWN.items() if arguments.data else ():
        sets[name] = real_cases(arguments.data / name, users=arguments.users, titles=titles)
    engine = Engine(arguments.model, threads=arguments.threads)
    rows = {}
    for name, cases in sets.items():
        for mode, constrained in (("constrained", True), ("free", False)):
            print(f"{name}, {mode} ...", file=sys.stderr)
            replies = [engine.answer(case.titles, constrained=constrained) for case in cases]
            rows[f"{name}, {mode}"] = measure(cases, replies)
            if constrained:
                _show(cases[: arguments.show], replies)
    print(table(rows))


def _show(cases: Sequence[Case], replies: Sequence[Reply]) -> None:
    for case, reply in zip(cases, replies, strict=False):
        print("\n".join(f"  [{title}]" for title in case.titles))
        print(f"  -> {reply.text}\n")


if __name__ == "__main__":
    main()
