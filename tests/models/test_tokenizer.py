from __future__ import annotations

from pathlib import Path

import llama_cpp
import pytest
from eimf_local_models.builder.corpus import HEAD, TAIL
from eimf_local_models.builder.tokenizer import (
    SPECIAL_TOKENS,
    encode_frame,
    encode_text,
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


@pytest.mark.parametrize("frame", [HEAD, TAIL])
def test_ids_of_the_frame_equal_llama_cpp(tokenizer: Tokenizer, llama: llama_cpp.Llama, frame: str) -> None:
    ours = encode_frame(tokenizer, frame)
    assert ours == llama.tokenize(frame.encode(), add_bos=False, special=True)
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
