"""Measures a GGUF by the library's own engine, greedy: ``python -m eimf_local_models.builder.evaluate [--data DIR]``.

On the demo shop: the form of the answers, and the true interests that they recover, apart for the domains that training
held out. With ``--data``, on each data set there is (a folder with interactions.tsv.gz and items.tsv.gz, whatever its
name): form, and interest AUC beside titles and TF-IDF phrases, over 1,000 training users, each by its own answer; where
the folder has reference-interests.jsonl, over its users too. Prints each figure with the bar it should reach.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import eimf_local  # noqa: F401  (process-wide switches: before numpy loads)

# isort: split
import llama_cpp
import numpy as np

from eimf_local.artifacts import sha256_file
from eimf_local.data.dataset import Dataset, Float32, Int64, Split
from eimf_local.data.demo import demo_dataset
from eimf_local.data.demo_words import demo_interests
from eimf_local.data.prepare import prepare
from eimf_local.data.splits import make_split
from eimf_local.errors import EimfError, InputError
from eimf_local.esim.encoder import TextEncoder, item_embeddings, load_encoder
from eimf_local.esim.interests import parse_answer
from eimf_local.esim.llama_model import LlamaModel
from eimf_local.esim.llm import Answer, LocalLLM, Request
from eimf_local.esim.model_files import ModelFile
from eimf_local.esim.prompts import Prompt, PromptTemplate, interests_schema, shown_items, shown_titles

from .catalogue import HELD_OUT
from .export import MODEL_NAME
from .judge import Truth, auc_of, aucs_of, embedded, form_of, recovery_of

MODELS = Path(__file__).parents[1]
USERS = 1000  # of a data set, as SPEC section 7 asks
FILMS = 40  # titles shown where they are short; elsewhere 20
_CONTEXT, _TOKENS = 2048, 256


class Figure(NamedTuple):
    """One line of the report; ``kept`` None where no bar is set."""

    name: str
    value: str
    bar: str = ""
    kept: bool | None = None


@dataclass(frozen=True)
class Users:
    """Users who are asked: their titles (oldest first), item numbers, and what they chose later."""

    titles: list[list[str]]
    items: list[list[int]]
    later: list[Int64]

    def __len__(self) -> int:
        return len(self.titles)


@dataclass(frozen=True)
class Replies:
    """Answers to some users. ``raw`` are parsed phrases as they were written, ``phrases`` those the library keeps."""

    raw: list[list[str]]
    phrases: list[list[str]]
    whole: float  # share that fits the schema and is not empty
    tokens: int
    seconds: float


class Model:
    """The GGUF in the library's engine."""

    def __init__(self, path: Path, *, interests: int, threads: int) -> None:
        self._file = ModelFile(path.stem, path, sha256_file(path), pinned=False)
        self._interests, self._threads = interests, threads
        self._template = PromptTemplate.read()

    def ask(self, titles: Sequence[Sequence[str]]) -> Replies:
        """Answer users, each given by its titles."""
        schema = interests_schema(self._interests)
        requests = [Request(self._prompt(str(row), shown), _TOKENS, 0.0, 0) for row, shown in enumerate(titles)]
        with LocalLLM(self._file, schema=schema, context=_CONTEXT, threads=self._threads) as llm:
            began = time.perf_counter()
            outcomes = dict(llm.answers(requests))
            seconds = time.perf_counter() - began
        answers = [outcomes[row] for row in range(len(requests))]
        texts = [answer.text if isinstance(answer, Answer) else "" for answer in answers]
        phrases = [parse_answer(text, max_interests=self._interests) for text in texts]
        return Replies(
            raw=[json.loads(text)["interests"] if kept else [] for text, kept in zip(texts, phrases, strict=True)],
            phrases=phrases,
            whole=float(np.mean([bool(kept) for kept in phrases])),
            tokens=sum(answer.tokens for answer in answers if isinstance(answer, Answer)),
            seconds=seconds,
        )

    def seconds_to_load(self) -> float:
        """llama.cpp's time for the file alone, the best of three."""
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            LlamaModel(str(self._file.path), gpu_layers=0).close()
            taken.append(time.perf_counter() - began)
        return min(taken)

    def _prompt(self, user: str, titles: Sequence[str]) -> Prompt:
        shown = [f"[{title}]" for title in titles]
        return self._template.render(user=user, titles=shown, max_interests=self._interests)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _silent(level: int, text: bytes, user_data: object) -> None:
    """llama.cpp's own log."""


def users_of(dataset: Dataset, split: Split, rows: Sequence[int], *, titles: int) -> Users:
    """Training users ``rows``: what a prompt shows of the first 80 % of their sequences, and what came after."""
    users = Users([], [], [])
    for row in rows:
        user, seen, end = (int(part[row]) for part in (split.train_users, split.visible_ends, split.train_ends))
        shown = shown_titles(dataset, user, seen, max_titles=titles, title_characters=110, with_ids=False)
        users.titles.append([title[1:-1] for title in shown])
        users.items.append(shown_items(dataset, user, seen, max_titles=titles))
        users.later.append(dataset.history(user, end)[seen:].astype(np.int64))
    return users


def judge_demo(model: Model, encoder: TextEncoder) -> Iterator[Figure]:
    """Form, recovery and speed on all training users of the demo shop."""
    demo = demo_dataset()
    split = make_split(demo.dataset)
    users = users_of(demo.dataset, split, range(len(split.train_users)), titles=20)
    replies = model.ask(users.titles)
    yield from _form("demo", users, replies, encoder)
    answers = embedded(replies.phrases, encoder)
    names = [demo.true_interests[demo.dataset.users[int(user)]] for user in split.train_users]
    truths = _truths(users, names, encoder)
    for held_out, bar in ((False, 0.8), (True, 0.6)):
        domains = "held-out" if held_out else "seen"
        for shown_only in (False, True):
            found = recovery_of(answers, truths, held_out=held_out, shown_only=shown_only)
            which = "with a title read" if shown_only else "all"
            yield Figure(
                f"demo: recovery of interests of {domains} domains, {which}",
                f"F1 {found.f1:.3f} (precision {found.precision:.3f}, recall {found.recall:.3f})",
                f"F1 >= {bar}",
                found.f1 >= bar,
            )
    rate, loading = replies.tokens / replies.seconds, model.seconds_to_load()
    yield Figure("demo: output tokens a second, prompts included", f"{rate:.0f}", ">= 300", rate >= 300)
    yield Figure("seconds to load", f"{loading:.3f}", "< 0.2", loading < 0.2)


def judge_data(model: Model, folder: Path, encoder: TextEncoder) -> Iterator[Figure]:
    """Form and interest AUC on one real data set."""
    name = folder.name
    dataset = prepare(folder / "interactions.tsv.gz", format="table", titles=folder / "items.tsv.gz")
    split = make_split(dataset)
    item_text = item_embeddings(dataset, encoder)
    short = np.mean([len(title) for title in dataset.titles]) < FILMS
    titles = FILMS if short else 20
    rows = np.flatnonzero(split.train_ends > split.visible_ends)
    chosen = np.sort(np.random.default_rng(0).choice(rows, min(USERS, len(rows)), replace=False))
    users = users_of(dataset, split, chosen.tolist(), titles=titles)
    replies = model.ask(users.titles)
    yield from _form(name, users, replies, encoder)
    vectors = [item_text[items] for items in users.items]
    scores = aucs_of(replies.phrases, users.titles, vectors, users.later, item_text, encoder)
    difference = scores.to_tfidf
    bar, kept = _tfidf_bar(name, difference.mean, difference.low)
    yield Figure(
        f"{name}: interest AUC of {len(users)} users",
        f"{scores.answers.mean:.4f} (titles {scores.titles.mean:.4f}, TF-IDF {scores.tfidf.mean:.4f}; to TF-IDF "
        f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}])",
        bar,
        kept,
    )
    if (folder / "reference-interests.jsonl").is_file():
        yield _judge_reference(model, folder, dataset, split, item_text, encoder, titles=titles)


def _judge_reference(
    model: Model,
    folder: Path,
    dataset: Dataset,
    split: Split,
    item_text: Float32,
    encoder: TextEncoder,
    *,
    titles: int,
) -> Figure:
    lines = (folder / "reference-interests.jsonl").read_text("utf-8").splitlines()
    reference = {record["user"]: record["interests"] for record in map(json.loads, lines)}
    rows = [
        row
        for row, user in enumerate(split.train_users)
        if dataset.users[int(user)] in reference and split.train_ends[row] > split.visible_ends[row]
    ]
    users = users_of(dataset, split, rows, titles=titles)
    mine = auc_of(model.ask(users.titles).phrases, users.later, item_text, encoder).mean
    given = [reference[dataset.users[int(split.train_users[row])]] for row in rows]
    theirs = auc_of(given, users.later, item_text, encoder).mean
    share = (mine - 0.5) / (theirs - 0.5)
    barred = folder.name.startswith("amazon2014-")
    return Figure(
        f"{folder.name}: interest AUC of {len(rows)} reference exemplars",
        f"{mine:.4f}, reference interests {theirs:.4f}: {share:.0%} of their gain over .5",
        ">= 85 %" if barred else "",
        share >= 0.85 if barred else None,
    )


def _tfidf_bar(name: str, mean: float, low: float) -> tuple[str, bool | None]:
    """The bars of the two shops; other data sets are reported only."""
    if name == "amazon2014-office":
        return "to TF-IDF >= -.01", mean >= -0.01
    if name == "amazon2014-beauty":
        return "to TF-IDF > 0, interval clear of it", low > 0
    return "", None


def _form(name: str, users: Users, replies: Replies, encoder: TextEncoder) -> Iterator[Figure]:
    yield Figure(f"{name}: valid and not empty", f"{replies.whole:.1%}", "100 %", replies.whole == 1)
    answered = [(shown, kept) for shown, kept in zip(users.titles, replies.phrases, strict=True) if kept]
    form = form_of([shown for shown, _ in answered], [kept for _, kept in answered], encoder)
    dropped = 1 - sum(map(len, replies.phrases)) / sum(map(len, replies.raw))
    yield Figure(f"{name}: interests an answer", f"{form.interests:.2f}, at most {form.most}", "1-12", form.most <= 12)
    yield Figure(f"{name}: words a phrase", f"{form.words:.2f}", "2-5", 2 <= form.words <= 5)
    yield Figure(f"{name}: cosine within a user", f"{form.cosine:.3f}", "<= .4", form.cosine <= 0.4)
    yield Figure(f"{name}: 4 words of a title in a row", f"{form.copies:.1%}", "<= 10 %", form.copies <= 0.1)
    yield Figure(f"{name}: all words in one title", f"{form.in_one_title:.1%}", "<= 50 %", form.in_one_title <= 0.5)
    yield Figure(f"{name}: phrases dropped as repeats", f"{dropped:.1%}")


def _truths(users: Users, names: Sequence[Sequence[str]], encoder: TextEncoder) -> list[Truth]:
    interests = demo_interests()
    domain_of = {interest.phrase: interest.domain for interest in interests}
    owner_of = {title: _owner(title) for shown in users.titles for title in shown}
    truths = []
    for shown, true, read in zip(users.titles, names, embedded(users.titles, encoder), strict=True):
        owners = [owner_of[title] for title in shown]
        truths.append(
            Truth(
                interests=encoder.encode(list(true)),
                held_out=np.array([domain_of[phrase] in HELD_OUT for phrase in true]),
                shown=np.array([phrase in owners for phrase in true]),
                read=read,
                read_held_out=np.array([domain_of[owner] in HELD_OUT for owner in owners]),
            )
        )
    return truths


def _owner(title: str) -> str:
    """The demo interest whose product a title names: that of the longest noun in it."""
    named = [(len(n.name), i.phrase) for i in demo_interests() for n in i.nouns if n.name.lower() in title.lower()]
    return max(named)[1]


def main() -> int:
    """Print every figure with its bar; exit status 1 where a bar is missed."""
    options = _options()
    llama_cpp.llama_log_set(_silent, None)
    try:
        return _judge(options)
    except (EimfError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _judge(options: argparse.Namespace) -> int:
    encoder = load_encoder()
    model = Model(options.model, interests=options.interests, threads=len(os.sched_getaffinity(0)))
    figures: list[Figure] = []
    sets = sorted(path.parent for path in options.data.glob("*/interactions.tsv.gz")) if options.data else []
    if options.data and not sets:
        raise InputError(
            f"{options.data}: no folder with interactions.tsv.gz in it", hint="give the folder of data sets"
        )
    for part in (judge_demo(model, encoder), *(judge_data(model, folder, encoder) for folder in sets)):
        for figure in part:
            mark = "" if figure.kept is None else "kept" if figure.kept else "MISSED"
            print(f"| {figure.name} | {figure.value} | {figure.bar} | {mark} |", flush=True)
            figures.append(figure)
    return 0 if all(figure.kept is not False for figure in figures) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m eimf_local_models.builder.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODELS / f"{MODEL_NAME}.gguf")
    parser.add_argument("--data", type=Path, help="folder of real data sets")
    parser.add_argument("--interests", type=int, default=12, help="asked for at most")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
