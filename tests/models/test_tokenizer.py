from __future__ import annotations

from pathlib import Path

import llama_cpp
import pytest
from eimf_local_models.builder.corpus import MAX_INTERESTS, frame
from eimf_local_models.builder.tokenizer import (
    SPECIAL_TOKENS,
    encode_frame,
    encode_text,
    encode_with_ends,
    stems_and_forms,
    vocabulary_of,
)
from tokenizers import Tokenizer

TITLES = (
    "Rapidex Gel Pens Fine Point, 12-Count (Black)",
    "Größe 42 – Café Crème 100% naïve™ 👩‍🎨🖍️",
    "مجموعة أقلام جل | עט ג'ל שחור",
    "def f(x):\n\treturn x**2  # it's   fine\r\n\r\n",
    "日本語のペン 0.5ｍｍ",
    "a<|im_end|>b <|im_start|>system<|endoftext|>",
    "   leading and trailing   ",
)


@pytest.fixture(scope="module")
def tokenizer(toy_folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(toy_folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def llama(toy_folder: Path) -> llama_cpp.Llama:
    return llama_cpp.Llama(str(toy_folder / "eimf-tiny-qwen2.gguf"), vocab_only=True, verbose=False)


@pytest.mark.parametrize("title", TITLES)
def test_ids_of_titles_equal_llama_cpp(tokenizer: Tokenizer, llama: llama_cpp.Llama, title: str) -> None:
    theirs = llama.tokenize(title.encode(), add_bos=False, special=False)
    assert encode_text(tokenizer, title) == theirs
    assert not vocabulary_of(tokenizer).special.intersection(theirs)
    assert llama.detokenize(theirs) == title.encode()


@pytest.mark.parametrize("part", frame(MAX_INTERESTS))
def test_ids_of_the_frame_equal_llama_cpp(tokenizer: Tokenizer, llama: llama_cpp.Llama, part: str) -> None:
    ours = encode_frame(tokenizer, part)
    assert ours == llama.tokenize(part.encode(), add_bos=False, special=True)
    assert vocabulary_of(tokenizer).special.intersection(ours)


def test_special_tokens_come_last_in_qwens_order(tokenizer: Tokenizer) -> None:
    assert vocabulary_of(tokenizer).tokens[-3:] == SPECIAL_TOKENS


def test_stem_and_form_together_name_a_token(tokenizer: Tokenizer) -> None:
    vocabulary = vocabulary_of(tokenizer)
    stems, forms = stems_and_forms(vocabulary)
    number = {token: index for index, token in enumerate(vocabulary.tokens)}
    pairs = [
        (number[f"Ġ{token}"], index) for token, index in number.items() if len(token) > 1 and f"Ġ{token}" in number
    ]
    assert len(pairs) > 50
    assert all(stems[spaced] == stems[bare] and forms[spaced] == forms[bare] + 4 for spaced, bare in pairs)
    assert len({stems[i] for i in vocabulary.special}) == len(SPECIAL_TOKENS)
    assert set(forms) <= set(range(8))


def test_a_cut_between_titles_changes_no_id(tokenizer: Tokenizer) -> None:
    titles = ["[Gel Pens (Black)]", "[Wireless Mouse]", "[12 Labels]"]
    apart = [token for title in titles for token in encode_text(tokenizer, title)]
    assert apart == encode_text(tokenizer, "".join(titles))


def test_titles_end_at_their_closing_brackets(tokenizer: Tokenizer) -> None:
    block = "[Gel Pens (Black)][Mouse][12 Größe]\n"
    ids, ends = encode_with_ends(tokenizer, block, [17, 24, 34])
    assert ids == encode_text(tokenizer, block)
    for end, before in zip(ends, ("[Gel Pens (Black)]", "[Mouse]", "[12 Größe]"), strict=True):
        read = tokenizer.decode(ids[: end + 1])
        assert read.rstrip("\n[").endswith(before)
        assert not tokenizer.decode(ids[:end]).endswith("]")
