"""The parent's side of the LLM: starts the worker process, asks it, and survives its death.

The worker is spoken to over its stdin and stdout; no socket is opened. A worker that dies on a prompt is started once
more for that prompt; if it dies again, the prompt's user is named in an :class:`InferenceError`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..errors import InferenceError, ModelFileError
from .model_files import ModelFile
from .prompts import Prompt


@dataclass(frozen=True)
class Answer:
    """One decoded answer. ``finish`` is "stop" or "length"; ``seconds`` is the worker's wall time."""

    text: str
    finish: str
    prompt_tokens: int
    tokens: int
    seconds: float
    titles_dropped: int


class _WorkerDiedError(Exception):
    """The process ended, or closed its pipe, before it answered."""


class LocalLLM:
    """A quantised model in a child process; use it as a context manager.

    ``schema`` constrains every answer; ``threads`` 0 means every core that this process may use.
    """

    def __init__(self, model: ModelFile, *, schema: Mapping[str, Any], context: int, threads: int) -> None:
        self.model = model
        self._settings = {
            "model": str(model.path),
            "context": context,
            "threads": threads or len(os.sched_getaffinity(0)),
            "schema": dict(schema),
        }
        self._process: subprocess.Popen[str] | None = None
        self.description: dict[str, Any] = {}

    def __enter__(self) -> LocalLLM:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, prompt: Prompt, *, max_tokens: int, temperature: float, seed: int) -> Answer:
        """Decode one answer to ``prompt``; raises :class:`InferenceError` where the worker cannot give one."""
        request = {
            "head": prompt.head,
            "titles": list(prompt.titles),
            "tail": prompt.tail,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        }
        try:
            reply = self._ask(request)
        except _WorkerDiedError:
            self.close()
            self._start()
            try:
                reply = self._ask(request)
            except _WorkerDiedError as death:
                raise InferenceError(
                    f"user {prompt.user}: llama.cpp died twice on this prompt ({death})",
                    hint="earlier answers are kept; leave this user out with --users, or try another model",
                ) from None
        if "error" in reply:
            raise InferenceError(
                f"user {prompt.user}: {reply['error']}", hint="earlier answers are kept; raise llm.context or mend this"
            )
        return Answer(**reply)

    def close(self) -> None:
        """End the worker."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "eimf_local.esim.llm_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then closes the worker in good order
        )
        try:
            self.description = self._ask(self._settings)
        except _WorkerDiedError as death:
            raise self._unusable(f"llama.cpp died while loading it ({death})") from None
        if "error" in self.description:
            raise self._unusable(str(self.description["error"]))

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise _WorkerDiedError("it was not running")
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line.endswith("\n"):
            raise _WorkerDiedError(_cause_of_death(process.wait()))
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _unusable(self, reason: str) -> ModelFileError:
        return ModelFileError(
            f"model {self.model.path}: {reason}", hint="give a complete GGUF of a Qwen2, Qwen2.5 or Qwen3 chat model"
        )


def check_loads(model: ModelFile) -> None:
    """Load a model once, in a child process; raises :class:`ModelFileError` where llama.cpp cannot."""
    with LocalLLM(model, schema={"type": "object"}, context=256, threads=1):
        pass


def _cause_of_death(status: int) -> str:
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"
