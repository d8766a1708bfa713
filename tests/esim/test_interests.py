from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eimf_local.errors import InferenceError, InputError
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
from eimf_local.esim.llm import Answer, Failure, Request
from eimf_local.esim.prompts import Prompt

DECODING = {"max_tokens": 64, "temperature": 0.0, "seed": 0}


class Scripted:
    """Answers each user from a list of its own, the last user first; real llama.cpp is tested in test_llm.py."""

    def __init__(self, **answers: str | list[str]) -> None:
        self.script = {user: [text] if isinstance(text, str) else list(text) for user, text in answers.items()}
        self.asked: list[tuple[str, float, int]] = []

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        for index in reversed(range(len(requests))):
            prompt, _, temperature, seed = requests[index]
            self.asked.append((prompt.user, temperature, seed))
            text = self.script[prompt.user].pop(0)
            if text.startswith("failure: "):
                yield index, Failure(text.removeprefix("failure: "))
            else:
                yield index, Answer(text, "stop", prompt_tokens=9, tokens=5, seconds=0.5, titles_dropped=1)


class Ordinal:
    """Embeds a text as (length, first character)."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text), ord(text[0])] for text in texts], np.float32)


def prompt(user: str, *titles: str) -> Prompt:
    shown = titles or (f"[gel pens, black, pack of {user}]",)
    return Prompt(user=user, system="s", before="b", titles=shown, after="a")


def infer(llm: Scripted, prompts: list[Prompt], journal: Journal, **others: Any) -> list[InterestRecord]:
    settings = {"model": "m", "model_sha256": "0" * 64, "max_interests": 12, "decoding": DECODING, **others}
    return infer_interests(llm, prompts, journal=journal, **settings)


def test_a_whole_answer_is_the_constrained_path(tmp_path: Path) -> None:
    (record,) = infer(
        Scripted(u='{"interests": ["gel pens", "Gel  pens", "ink"]}'), [prompt("u")], Journal(tmp_path / "j")
    )
    assert (record.user, record.interests, record.path) == ("u", ("gel pens", "ink"), "constrained")
    assert (record.tokens, record.titles_dropped, record.model) == (5, 1, "m")


def test_records_are_in_the_prompts_order_whatever_finishes_first(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    llm = Scripted(u='{"interests": ["a1"]}', v='{"interests": ["b1"]}', w='{"interests": ["c1"]}')
    records = infer(
        llm,
        [prompt(user) for user in "uvw"],
        Journal(tmp_path / "j"),
        callback=lambda done, total, record: told.append((done, total, record.user)),
    )
    assert [record.user for record in records] == ["u", "v", "w"]
    assert told == [(1, 3, "w"), (2, 3, "v"), (3, 3, "u")]


def test_an_unusable_answer_is_asked_again_once_hotter_and_with_another_seed(tmp_path: Path) -> None:
    llm = Scripted(u=['{"interests": ["gel pe', '{"interests": ["ink"]}'], v='{"interests": ["tea"]}')
    record, _ = infer(llm, [prompt("u"), prompt("v")], Journal(tmp_path / "j"))
    assert (record.interests, record.path, record.tokens) == (("ink",), "retry", 10)
    (v, cold, seed_v), (u, _, seed_u), (again, hot, seed_again) = llm.asked
    assert (v, u, again, cold, hot) == ("v", "u", "u", 0.0, 0.7)
    assert len({seed_v, seed_u, seed_again}) == 3
    assert all(0 <= seed < 2**31 for seed in (seed_v, seed_u, seed_again))


def test_a_truncated_answer_gives_its_complete_items_without_a_second_question(tmp_path: Path) -> None:
    llm = Scripted(u='{"interests": ["gel pens", "in')
    (record,) = infer(llm, [prompt("u")], Journal(tmp_path / "j"))
    assert (record.interests, record.path, len(llm.asked)) == (("gel pens",), "salvaged-items", 1)


def test_when_the_model_gives_nothing_the_latest_titles_stand_in(tmp_path: Path) -> None:
    llm = Scripted(u=["", '{"interests": ["\\n"]}'])
    (record,) = infer(llm, [prompt("u", "[one two three four five six]", "[seven]")], Journal(tmp_path / "j"))
    assert (record.interests, record.path) == (("seven", "one two three four five"), "salvaged-titles")


def test_users_with_the_same_titles_share_an_answer(tmp_path: Path) -> None:
    llm = Scripted(u='{"interests": ["ink"]}')
    records = infer(llm, [prompt("u", "[ink]"), prompt("v", "[ink]")], Journal(tmp_path / "j"))
    assert [(record.user, record.interests) for record in records] == [("u", ("ink",)), ("v", ("ink",))]
    assert len(llm.asked) == 1


def test_a_killed_run_goes_on_and_a_finished_one_asks_nothing(tmp_path: Path) -> None:
    prompts = [prompt("u"), prompt("v")]
    u, v = '{"interests": ["a1"]}', '{"interests": ["b1"]}'
    whole = infer(Scripted(u=u, v=v), prompts, Journal(tmp_path / "whole"))
    with pytest.raises(IndexError):  # the scripted model dies at the first user
        infer(Scripted(u=[], v=v), prompts, Journal(tmp_path / "j"))
    llm = Scripted(u=u)
    assert infer(llm, prompts, Journal(tmp_path / "j")) == whole
    assert [user for user, _, _ in llm.asked] == ["u"]
    assert infer(Scripted(), prompts, Journal(tmp_path / "j")) == whole


def test_failed_prompts_are_named_after_all_others_are_kept_and_asked_again_alone(tmp_path: Path) -> None:
    prompts = [prompt(user) for user in "uvwx"]
    nothing = "no JSON"
    llm = Scripted(
        u='{"interests": ["a1"]}', v="failure: died twice", w=[nothing, "failure: too long"], x='{"interests": ["d1"]}'
    )
    with pytest.raises(InferenceError, match=r"2 of 4 users .*: v \(died twice\), w \(too long\)"):
        infer(llm, prompts, Journal(tmp_path / "j"))
    again = Scripted(v='{"interests": ["b1"]}', w=[nothing, nothing])
    records = infer(again, prompts, Journal(tmp_path / "j"))
    assert [record.interests[0] for record in records if record.user != "w"] == ["a1", "b1", "d1"]
    assert records[2].path == "salvaged-titles"
    assert {user for user, _, _ in again.asked} == {"v", "w"}


def test_many_failed_prompts_stay_one_readable_line(tmp_path: Path) -> None:
    names = [f"u{number:03}" for number in range(30)]
    llm = Scripted(**dict.fromkeys(names, "failure: no"))
    with pytest.raises(InferenceError, match=r"30 of 30 users .*u009 \(no\), and 20 more"):
        infer(llm, [prompt(name) for name in names], Journal(tmp_path / "j"))


def test_another_model_schema_or_decoding_is_asked_anew() -> None:
    base = {"model_sha256": "0" * 64, "schema": {"maxItems": 12}, "context": 2048, "seed": 0}
    changes = ({}, {"model_sha256": "1" * 64}, {"schema": {"maxItems": 3}}, {"context": 512}, {"seed": 1})
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
        return InterestRecord(user, phrases, "constrained", "m", "0", 1, 1, 0)

    H, mask = embed_interests([record("u", "a", "bb"), record("v", "ccc")], Ordinal())
    np.testing.assert_array_equal(mask, [[True, True], [True, False]])
    np.testing.assert_array_equal(H, [[[1, 97], [2, 98]], [[3, 99], [0, 0]]])


def test_jsonl_round_trip_and_path_counts() -> None:
    records = [
        InterestRecord("u\n1\u2028", ("caf\u00e9 \u202e\x85", "b"), "constrained", "m", "0", 1, 2, 0),
        InterestRecord("v", ("c",), "retry", "m", "0", 1, 2, 0),
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
