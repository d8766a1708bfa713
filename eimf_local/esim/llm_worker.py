"""The child process that parses the GGUF and decodes: one JSON object a line on stdin, one a line on stdout.

A memory bug in a GGUF parser, or an abort inside llama.cpp, ends this process and nothing else. The first line
configures it; each further line is one prompt; the end of stdin ends it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from typing import Any, TextIO

import llama_cpp
import numpy as np
import outlines
from outlines.backends.llguidance import LLGuidanceBackend

_END_OF_TURN = "<|im_end|>"


class _GuardedProcessor:
    """Calls outlines' logits processor and keeps its first exception.

    llama.cpp calls back through ctypes, which swallows exceptions: the token would then be drawn unconstrained.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.error: Exception | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        if self.error is not None:
            return scores
        try:
            return self._processor(input_ids, scores)
        except Exception as error:
            self.error = error
            return scores

    def reset(self) -> None:
        self._processor.reset()
        self.error = None


class Worker:
    """A loaded model and its constraint, ready to answer prompts."""

    def __init__(self, *, model: str, context: int, threads: int, schema: dict[str, Any]) -> None:
        self._llm = llama_cpp.Llama(
            model_path=model,
            n_ctx=context,
            n_batch=512,
            n_threads=threads,
            n_threads_batch=threads,
            n_gpu_layers=0,
            chat_format="chatml",  # the file's own template is never used
            verbose=False,
        )
        if len(self._tokenize(_END_OF_TURN, special=True)) != 1:
            raise ValueError("its vocabulary has no ChatML tokens; it is not a Qwen-family chat model")
        backend = LLGuidanceBackend(outlines.from_llamacpp(self._llm))
        self._processor = _GuardedProcessor(backend.get_json_schema_logits_processor(json.dumps(schema)))

    def describe(self) -> dict[str, Any]:
        """What the file says of itself, and the versions that decode it."""
        return {
            "architecture": self._llm.metadata.get("general.architecture", ""),
            "context": self._llm.n_ctx(),
            "llama_cpp": llama_cpp.__version__,
            "outlines": outlines.__version__ if hasattr(outlines, "__version__") else "",
        }

    def answer(
        self,
        *,
        head: str,
        titles: list[str],
        tail: str,
        max_tokens: int,
        temperature: float,
        seed: int,
    ) -> dict[str, Any]:
        """Decode one answer; ``titles_dropped`` counts the oldest titles that did not fit into the context."""
        started = time.perf_counter()
        tokens, dropped = self._prompt(head, titles, tail, room=self._llm.n_ctx() - max_tokens)
        self._processor.reset()
        # Without this, llama-cpp-python keeps the part of the cache that the last prompt shares with this one, and for
        # some quantisations an answer would depend on what was asked before it.
        self._llm.reset()
        completion: Any = self._llm.create_completion(
            tokens,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=0.9,
            seed=seed,
            logits_processor=llama_cpp.LogitsProcessorList([self._processor]),
        )
        if self._processor.error is not None:
            raise self._processor.error
        return {
            "text": completion["choices"][0]["text"],
            "finish": completion["choices"][0]["finish_reason"],
            "prompt_tokens": len(tokens),
            "tokens": completion["usage"]["completion_tokens"],
            "seconds": round(time.perf_counter() - started, 4),
            "titles_dropped": dropped,
        }

    def _prompt(self, head: str, titles: list[str], tail: str, *, room: int) -> tuple[list[int], int]:
        before, after = self._tokenize(head, special=True), self._tokenize(tail, special=True)
        for dropped in range(len(titles) + 1):
            block = "".join(titles[dropped:]) + "\n"
            tokens = before + self._tokenize(block, special=False) + after
            if len(tokens) <= room:
                return tokens, dropped
        raise ValueError("the prompt's frame alone is longer than the context")

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        return list(self._llm.tokenize(text.encode("utf-8", errors="replace"), add_bos=False, special=special))


def main() -> None:
    """Serve prompts until stdin ends."""
    answers = _private_stdout()
    worker: Worker | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if worker is None:
                worker = Worker(**request)
                reply = worker.describe()
            else:
                reply = worker.answer(**request)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        answers.write(json.dumps(reply, ensure_ascii=True) + "\n")
        answers.flush()


def _private_stdout() -> TextIO:
    """Keep stdout for answers alone: whatever C code prints goes to stderr instead."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _silent(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """llama.cpp's own log; what matters reaches the parent as an error."""


if __name__ == "__main__":
    np.seterr(all="ignore")  # masked logits are -inf; their arithmetic is intended
    llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))
    main()
