"""The child process that parses the GGUF and decodes: one JSON object a line on stdin, one a line on stdout.

A memory bug in a GGUF parser, or an abort inside llama.cpp, ends this process and nothing else. The first line
configures it and is answered by a description; each further line is one prompt, with an ``id`` that its answer repeats;
answers come in the order in which they finish. The end of stdin ends the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TextIO

import llama_cpp

from .batched_decoding import BatchedDecoder, Decoding, Task
from .chat_format import answer_opening
from .constraint import SchemaConstraint
from .llama_context import LlamaContext
from .llama_model import LlamaModel

_END_OF_TURN = "<|im_end|>"
# Measured with Qwen2.5-0.5B's shape: beyond eight sequences a thread the arithmetic, not the reading of the weights,
# takes the time, and more sequences bring little.
_SLOTS_PER_THREAD = 8
_MOST_SLOTS = 32
_SHARE_OF_MEMORY = 0.5  # of what is free once the weights are loaded

Reply = Callable[[dict[str, Any]], None]


class _SettingError(Exception):
    """A setting that this model or this llama.cpp cannot follow; ``hint`` says what can be done."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Worker:
    """A loaded model and its constraint, ready to decode prompts; ``slots`` 0 lets memory and threads decide."""

    def __init__(
        self, *, model: str, schema: dict[str, Any], context: int, threads: int, slots: int, gpu_layers: int
    ) -> None:
        if gpu_layers and not llama_cpp.llama_supports_gpu_offload():
            raise _SettingError(
                f"llm.gpu_layers is {gpu_layers}, and llama.cpp was built without a GPU",
                "set llm.gpu_layers=0, or build llama-cpp-python for your GPU",
            )
        if not gpu_layers:
            _require(Path(model).stat().st_size, "its weights")
        self._model = LlamaModel(model, gpu_layers=gpu_layers)
        self._opening = answer_opening(self._model.architecture)
        if len(self._model.tokenize(_END_OF_TURN, special=True)) != 1:
            raise ValueError("its vocabulary has no ChatML tokens; it is not a Qwen-family chat model")
        if context > self._model.longest_context:
            raise _SettingError(
                f"llm.context is {context}, and it was trained for {self._model.longest_context} tokens",
                f"set llm.context={self._model.longest_context} or less",
            )
        self._context = context
        self._constraint = SchemaConstraint(self._model, schema)
        per_slot = context * self._model.kv_bytes_per_token
        self.slots = slots or _affordable_slots(per_slot, threads)
        _require(self.slots * per_slot, f"{self.slots} prompts at once with a context of {context}")
        streams = LlamaContext(self._model, sequences=self.slots, length=context, threads=threads)
        self._decoder = BatchedDecoder(streams, self._constraint, slots=self.slots)

    def describe(self) -> dict[str, Any]:
        """What the file says of itself, how many prompts are decoded at once, and the versions that decode them."""
        return {
            "architecture": self._model.architecture,
            "context": self._context,
            "slots": self.slots,
            **{name: importlib.metadata.version(name) for name in ("llama-cpp-python", "outlines", "llguidance")},
        }

    def serve(self, requests: SimpleQueue[dict[str, Any] | None], reply: Reply) -> None:
        """Decode what comes, in the order in which it comes, as much at once as there are slots; None ends it."""
        while self._fill(requests, reply):
            for decoding in self._decoder.step():
                reply(self._answer(decoding))

    def task(self, request: dict[str, Any]) -> Task:
        """A request in tokens, without as many of its oldest titles as do not fit into the context.

        Titles cannot become control tokens. Raises :class:`ValueError` where not even the frame fits.
        """
        tokenize, titles = self._model.tokenize, request["titles"]
        head = tokenize(request["head"], special=True)
        tail = tokenize(request["tail"] + self._opening, special=True)
        for dropped in range(len(titles) + 1):
            rest = tokenize("".join(titles[dropped:]) + "\n", special=False) + tail
            if len(head) + len(rest) + request["max_tokens"] <= self._context:
                settings = {key: request[key] for key in ("max_tokens", "temperature", "seed")}
                return Task(request["id"], tuple(head), tuple(rest), **settings, titles_dropped=dropped)
        raise ValueError(
            f"the prompt's frame ({len(head) + len(rest)} tokens) and its answer ({request['max_tokens']}) "
            f"are longer than the context ({self._context})"
        )

    def _fill(self, requests: SimpleQueue[dict[str, Any] | None], reply: Reply) -> bool:
        """Start what has come while there is room, and wait if nothing is under way; False at the end."""
        while self._decoder.has_room:
            try:
                request = requests.get(block=self._decoder.idle)
            except Empty:
                return True
            if request is None:
                return False
            try:
                self._decoder.start(self.task(request))
            except ValueError as error:
                reply({"id": request["id"], "error": str(error)})
        return True

    def _answer(self, decoding: Decoding) -> dict[str, Any]:
        task = decoding.task
        if decoding.error:
            return {"id": task.number, "error": decoding.error}
        return {
            "id": task.number,
            "text": self._constraint.text(decoding.tokens),
            "finish": decoding.finish,
            "prompt_tokens": len(task.head) + len(task.rest),
            "tokens": len(decoding.tokens),
            "seconds": round(decoding.seconds, 4),
            "titles_dropped": task.titles_dropped,
        }


def _affordable_slots(bytes_per_slot: int, threads: int) -> int:
    affordable = int(_SHARE_OF_MEMORY * _available_bytes() // bytes_per_slot)
    return max(1, min(_SLOTS_PER_THREAD * threads, _MOST_SLOTS, affordable))


def _require(needed: int, purpose: str) -> None:
    """Refuse what does not fit, before the system kills a process for it."""
    available = _available_bytes()
    if needed > available:
        raise MemoryError(f"{purpose} need {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are free")


def _available_bytes() -> int:
    """Memory that can be had without swapping; everything there is where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Serve prompts until stdin ends; exit status 1 after an error that leaves nothing to go on with."""
    stream = _private_stdout()

    def reply(message: dict[str, Any]) -> None:
        stream.write(json.dumps(message, ensure_ascii=True) + "\n")
        stream.flush()

    try:
        worker = Worker(**json.loads(sys.stdin.readline()))
    except _SettingError as error:
        reply({"error": str(error), "hint": error.hint})
        return 1
    except (ValueError, OSError) as error:
        reply({"error": _line(error), "hint": "give a complete GGUF of a Qwen2, Qwen2.5 or Qwen3 chat model"})
        return 1
    except MemoryError as error:
        reply({"error": _line(error), "hint": "lower llm.parallel or llm.context, or take a smaller model"})
        return 1
    reply(worker.describe())
    requests: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    # A thread of its own reads, so that the parent never waits for a batch before it may write.
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    try:
        worker.serve(requests, reply)
    except (RuntimeError, MemoryError) as error:
        reply({"fatal": _line(error)})
        return 1
    return 0


def _read_requests(requests: SimpleQueue[dict[str, Any] | None]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    requests.put(None)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _private_stdout() -> TextIO:
    """Keep stdout for answers alone: whatever C code prints goes to stderr instead."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _silent(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """llama.cpp's own log; what matters reaches the parent as an error."""


if __name__ == "__main__":
    llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))
    sys.exit(main())
