from __future__ import annotations

import pytest

from eimf_local.esim.chat_format import answer_opening


def test_qwen3_gets_an_empty_thought_and_qwen2_nothing() -> None:
    assert answer_opening("qwen3") == "<think>\n\n</think>\n\n"  # as its own template with enable_thinking=False
    assert answer_opening("qwen2") == ""


@pytest.mark.parametrize("architecture", ["llama", "qwen2moe", ""])
def test_other_families_are_refused_by_name(architecture: str) -> None:
    with pytest.raises(ValueError, match="not one of qwen2, qwen3"):
        answer_opening(architecture)
