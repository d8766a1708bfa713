from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eimf_local.errors import InputError
from eimf_local.esim.interests import (
    InterestRecord,
    clean_phrases,
    complete_items,
    embed_interests,
    from_jsonl,
    infer_interests,
    inference_identity,
    parse_answer,
    path_counts,
    read_interests,
    to_jsonl,
)
from eimf_local.esim.journal import Journal
from eimf_local.esim.llm import Answer
from eimf_local.esim.prompts import Prompt

DECODING = {"max_tokens": 64, "temperature": 0.0, "seed": 0}


class Scripted:
    """Answers from a list; real llama.cpp is tested in test_llm.py."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[dict[str, Any]] = []

    def answer(self, prompt: Prompt, *, max_tokens: int, temperature: float, seed: int) -> Answer:
        self.asked.append({"user": prompt.user, "temperature": temperature, "seed": seed})
        return Answer(self.texts.pop(0), "stop", prompt_tokens=9, tokens=5, seconds=0.5, titles_dropped=1)


class Ordinal:
    """Embeds a text as (length, first character)."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text), ord(text[0])] for text in texts], np.float32)


def prompt(user: str, *titles: str) -> Prompt:
    return Prompt(user=user, head="h", titles=titles or ("[gel pens, black, pack of twelve]",), tail=f"t{user}")


def infer(llm: Scripted, prompts: list[Prompt], journal: Journal) -> list[InterestRecord]:
    return infer_interests(
        llm, prompts, journal=journal, model="m", model_sha256="0" * 64, max_interests=12, decoding=DECODING
    )


def test_a_whole_answer_is_the_constrained_path(tmp_path: Path) -> None:
    (record,) = infer(
        Scripted('{"interests": ["gel pens", "Gel  pens", "ink"]}'), [prompt("u")], Journal(tmp_path / "j")
    )
    assert (record.user, record.interests, record.path) == ("u", ("gel pens", "ink"), "constrained")
    assert (record.tokens, record.seconds, record.titles_dropped, record.model) == (5, 0.5, 1, "m")


def test_an_unusable_answer_is_asked_again_once_with_another_seed(tmp_path: Path) -> None:
    llm = Scripted('{"interests": ["gel pe', '{"interests": ["ink"]}')
    (record,) = infer(llm, [prompt("u")], Journal(tmp_path / "j"))
    assert (record.interests, record.path, record.tokens) == (("ink",), "retry", 10)
    assert [(asked["temperature"], asked["seed"]) for asked in llm.asked] == [(0.0, 0), (0.7, 1)]


def test_a_truncated_answer_gives_its_complete_items(tmp_path: Path) -> None:
    llm = Scripted('{"interests": ["gel pens", "in', '{"interests": ["gel')
    (record,) = infer(llm, [prompt("u")], Journal(tmp_path / "j"))
    assert (record.interests, record.path) == (("gel pens",), "salvaged-items")


def test_when_the_model_gives_nothing_the_latest_titles_stand_in(tmp_path: Path) -> None:
    llm = Scripted("", '{"interests": ["\\n"]}')
    (record,) = infer(llm, [prompt("u", "[one two three four five six]", "[seven]")], Journal(tmp_path / "j"))
    assert (record.interests, record.path) == (("seven", "one two three four five"), "salvaged-titles")


def test_a_killed_run_goes_on_and_a_finished_one_asks_nothing(tmp_path: Path) -> None:
    prompts = [prompt("u"), prompt("v")]
    texts = ['{"interests": ["a1"]}', '{"interests": ["b1"]}']
    whole = infer(Scripted(*texts), prompts, Journal(tmp_path / "whole"))
    with pytest.raises(IndexError):  # the scripted model dies at the second user
        infer(Scripted(texts[0]), prompts, Journal(tmp_path / "j"))
    llm = Scripted(texts[1])
    assert infer(llm, prompts, Journal(tmp_path / "j")) == whole
    assert [asked["user"] for asked in llm.asked] == ["v"]
    assert infer(Scripted(), prompts, Journal(tmp_path / "j")) == whole


def test_another_model_or_decoding_is_asked_anew() -> None:
    base = {"model_sha256": "0" * 64, "max_interests": 12, "context": 2048, "seed": 0}
    changes = ({}, {"model_sha256": "1" * 64}, {"max_interests": 3}, {"context": 512}, {"seed": 1})
    assert len({inference_identity(**{**base, **change}) for change in changes}) == 5


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"interests": "x"}', '{"interests": []}', '{"interests": ["--"]}', '{"interests": ["a"], "x": 1}'],
)
def test_an_answer_of_another_shape_is_unusable(text: str) -> None:
    assert parse_answer(text, max_interests=3) == []


def test_complete_items_of_any_prefix_is_a_prefix_of_the_items() -> None:
    whole = json.dumps({"interests": ['quo"ted', "caf\u00e9 cups", "x, y] z", "last"]})
    items = parse_answer(whole, max_interests=9)
    for cut in range(len(whole) + 1):
        found = complete_items(whole[:cut], max_interests=9)
        assert found == items[: len(found)]
    assert complete_items(whole, max_interests=9) == items


def test_clean_phrases_keeps_order_drops_repeats_and_control_characters() -> None:
    assert clean_phrases(["b\x08a", " A  a ", "a a", 3, None, "!!", "c"], max_interests=3) == ["b a", "A a", "c"]


def test_embed_interests_puts_each_phrase_in_its_place() -> None:
    def record(user: str, *phrases: str) -> InterestRecord:
        return InterestRecord(user, phrases, "constrained", "m", "0", 1, 1, 0.1, 0)

    H, mask = embed_interests([record("u", "a", "bb"), record("v", "ccc")], Ordinal())
    np.testing.assert_array_equal(mask, [[True, True], [True, False]])
    np.testing.assert_array_equal(H, [[[1, 97], [2, 98]], [[3, 99], [0, 0]]])


def test_jsonl_round_trip_and_path_counts() -> None:
    records = [
        InterestRecord("u\n1\u2028", ("caf\u00e9 \u202e\x85", "b"), "constrained", "m", "0", 1, 2, 0.1, 0),
        InterestRecord("v", ("c",), "retry", "m", "0", 1, 2, 0.1, 0),
    ]
    assert from_jsonl(to_jsonl(records)) == records
    assert path_counts(records) == {"constrained": 1, "retry": 1}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('{"user": "a", "interests": ["x"]}\n{"user": ', "line 2: broken JSON"),
        ('{"user": "a"}', "line 1: no user or no list"),
        ("[1]", "line 1: no user or no list"),
        ('{"user": "a", "interests": ["", 3]}', "'a' has no usable interest"),
        ('{"user": "a", "interests": ["x"]}\n\n{"user": "a", "interests": ["y"]}', "line 3: user 'a' again"),
        ("\n\n", "no interests in it"),
    ],
)
def test_when_a_file_of_interests_is_wrong_its_line_is_named(tmp_path: Path, lines: str, told: str) -> None:
    (tmp_path / "x.jsonl").write_text(lines)
    with pytest.raises(InputError, match=told):
        read_interests(tmp_path / "x.jsonl")


def test_when_the_file_of_interests_is_missing_or_binary(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    for name in ("none", "b"):
        with pytest.raises(InputError, match=name):
            read_interests(tmp_path / name)


def test_read_interests_keeps_at_most_twenty(tmp_path: Path) -> None:
    line = {"user": 7, "interests": [f"phrase {number}" for number in range(30)]}
    (tmp_path / "x").write_text(json.dumps(line))
    ((user, interests),) = read_interests(tmp_path / "x")
    assert (user, len(interests)) == ("7", 20)
