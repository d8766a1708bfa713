"""A byte-level BPE with Qwen2's split, so that llama.cpp's ``qwen2`` pre-tokeniser gives the same ids.

The merges are learned from a weighted list of words, each in the written forms that titles and answers use. So a
frequent word is one token in every form, and the forms of one word can share a stem (see ``network``).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)
_JSON_PIECES = ('{"', '":', ' ["', '",', ' "', '"]}')
_FORM_CASES = 4


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF stores of a tokeniser: token strings in id order, merges "left right", which ids are special."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    special: frozenset[int]


def train_tokenizer(words: Iterable[tuple[str, int]], *, vocabulary_size: int) -> Tokenizer:
    """Learn a BPE of ``vocabulary_size`` ids (special ones last) from lower-case words and their weights."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(SPECIAL_TOKENS),
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # sorted: alphabet() has no fixed order
    )
    tokenizer.train_from_iterator(_weighted_forms(words), trainer=trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


def _weighted_forms(words: Iterable[tuple[str, int]]) -> Iterator[str]:
    for piece in _JSON_PIECES:
        yield from [piece] * 1000
    for word, weight in words:
        # not "[Word" or "(Word": brackets stay tokens of their own, wherever a text is cut before tokenising
        yield from [f" {word}", f" {word.capitalize()}", word, word.capitalize()] * weight


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """Return the tokens, merges and special ids of ``tokenizer``."""
    numbered = tokenizer.get_vocab()
    tokens = tuple(sorted(numbered, key=lambda token: numbered[token]))
    described = json.loads(tokenizer.to_str())
    merges = tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in described["model"]["merges"])
    return Vocabulary(tokens, merges, frozenset(numbered[token] for token in SPECIAL_TOKENS))


def stems_and_forms(vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
    """Number every token's stem (its lower-case text without leading blank) and written form (0..7).

    Form = 4 x (leading blank) + case, where case is 0 lower or none, 1 capitalised, 2 upper, 3 mixed.
    """
    numbers: dict[str, int] = {}
    stems, forms = [], []
    for index, token in enumerate(vocabulary.tokens):
        blank = token.startswith("Ġ") and len(token) > 1
        text = token[1:] if blank else token
        key = token if index in vocabulary.special else text.lower()
        stems.append(numbers.setdefault(key, len(numbers)))
        forms.append(_FORM_CASES * blank + _case(text))
    return stems, forms


def _case(text: str) -> int:
    if text == text.lower():
        return 0
    if text == text.capitalize():
        return 1
    return 2 if text == text.upper() else 3


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Tokenise untrusted text: a special token's name in it stays plain text, as in the engine."""
    tokenizer.encode_special_tokens = True
    try:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)
    finally:
        tokenizer.encode_special_tokens = False


def encode_with_ends(tokenizer: Tokenizer, text: str, places: Sequence[int]) -> tuple[list[int], list[int]]:
    """Tokenise untrusted text, and tell in which token each of its characters at ``places`` (ascending) stands."""
    tokenizer.encode_special_tokens = True
    try:
        encoding = tokenizer.encode(text, add_special_tokens=False)
    finally:
        tokenizer.encode_special_tokens = False
    starts = [start for start, _ in encoding.offsets]
    return list(encoding.ids), [bisect_right(starts, place) - 1 for place in places]


def encode_frame(tokenizer: Tokenizer, text: str) -> list[int]:
    """Tokenise trusted markup: the names of special tokens become their ids."""
    return list(tokenizer.encode(text, add_special_tokens=False).ids)
