"""What each family of chat models needs beside ChatML: a model file's own template is never run.

Prompts come as ChatML (``prompts.py``). Qwen3 thinks before it answers unless its turn begins with an empty thought,
which is what its own template writes for ``enable_thinking=False``.
"""

from __future__ import annotations

_OPENINGS = {
    "qwen2": "",  # Qwen2 and Qwen2.5
    "qwen3": "<think>\n\n</think>\n\n",
}


def answer_opening(architecture: str) -> str:
    """What stands between the assistant's header and its answer; ``architecture`` is GGUF's general.architecture.

    Raises :class:`ValueError` for a family whose chat format is not known here.
    """
    if architecture not in _OPENINGS:
        known = ", ".join(_OPENINGS)
        raise ValueError(f"its architecture is {architecture or 'not stated'!r}, not one of {known}")
    return _OPENINGS[architecture]
