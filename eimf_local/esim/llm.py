"""The parent's side of the LLM: starts the worker process, keeps it supplied with prompts, and survives its death.

The worker is spoken to over its stdin and stdout; no socket is opened. It decodes several prompts at once and takes
them in the order in which they were sent, so when it dies, the first unanswered ones were in its hands. Each of these
is asked again alone, and one that kills the worker again is a :class:`Failure`; the others go on as before.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from ..errors import InferenceError, ModelFileError
from .model_files import ModelFile
from .prompts import Prompt

# llama.cpp's threads meet at a barrier hundreds of times a token. Sleeping at each costs up to half the speed, spinning
# for long all of it where another process wants the cores; so they spin for some microseconds, then sleep.
_SPINS = "300"
_DEATHS_IN_A_ROW = 8  # without an answer between them: then it is not one prompt's fault


class Request(NamedTuple):
    """One prompt and how to decode its answer. ``temperature`` 0 is greedy; ``seed`` matters above that alone."""

    prompt: Prompt
    max_tokens: int
    temperature: float
    seed: int


@dataclass(frozen=True)
class Answer:
    """One decoded answer.

    ``finish`` is "stop" or "length"; ``prompt_tokens`` were read and ``tokens`` written. ``seconds`` is its share of
    the time: the shares of answers decoded at once add up to it.
    """

    text: str
    finish: str
    prompt_tokens: int
    tokens: int
    seconds: float
    titles_dropped: int


class Failure(NamedTuple):
    """Why a request has no answer, in one line."""

    reason: str


class AnswersPrompts(Protocol):
    """What inference needs of an LLM."""

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        """(index into ``requests``, outcome), in the order in which they finish; each index exactly once."""


class _WorkerDiedError(Exception):
    """The process ended, or closed its pipe, before it answered."""


class LocalLLM:
    """A quantised model in a child process; use it as a context manager.

    ``schema`` constrains every answer. ``context`` is the tokens that one prompt and its answer may have. ``threads`` 0
    means every core that this process may use. ``parallel`` prompts are decoded at once; 0 lets memory and threads
    decide. Greedy answers depend on neither. ``gpu_layers`` is llama.cpp's n_gpu_layers. After entering,
    ``description`` tells architecture, context, slots and the decoders' versions.
    """

    _command = (sys.executable, "-m", "eimf_local.esim.llm_worker")

    def __init__(
        self,
        model: ModelFile,
        *,
        schema: Mapping[str, Any],
        context: int,
        threads: int = 0,
        parallel: int = 0,
        gpu_layers: int = 0,
    ) -> None:
        self.model = model
        self._settings = {
            "model": str(model.path),
            "schema": dict(schema),
            "context": context,
            "threads": threads or len(os.sched_getaffinity(0)),
            "slots": parallel,
            "gpu_layers": gpu_layers,
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

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        """(index into ``requests``, outcome), in the order in which they finish; each index exactly once.

        Raises :class:`InferenceError` where the worker dies again and again without an answer.
        """
        if self._process is None:
            self._start()
        waiting, suspects, deaths = deque(range(len(requests))), deque[int](), 0
        while waiting or suspects:
            alone = bool(suspects)
            queue, window = (deque([suspects.popleft()]), 1) if alone else (waiting, 2 * self.description["slots"])
            sent: list[int] = []  # and not yet answered, oldest first
            try:
                for index, outcome in self._converse(requests, queue, sent, window):
                    deaths = 0
                    yield index, outcome
            except _WorkerDiedError as death:
                deaths += 1
                if deaths == _DEATHS_IN_A_ROW:
                    raise self._hopeless(str(death)) from None
                if alone:
                    yield sent[0], Failure(f"llama.cpp failed twice on this prompt ({death})")
                else:
                    suspects.extend(sent[: self.description["slots"]])
                    waiting.extendleft(reversed(sent[self.description["slots"] :]))
                self._start()

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

    def _converse(
        self, requests: Sequence[Request], queue: deque[int], sent: list[int], window: int
    ) -> Iterator[tuple[int, Answer | Failure]]:
        """Ask what is in ``queue``, at most ``window`` at once; ``sent`` holds what is asked and not answered."""
        try:
            while queue or sent:
                while queue and len(sent) < window:
                    sent.append(queue.popleft())
                    self._send(_message(sent[-1], requests[sent[-1]]))
                reply = self._receive()
                index = reply.pop("id")
                sent.remove(index)
                yield index, Failure(reply["error"]) if "error" in reply else Answer(**reply)
        finally:
            if sent:  # the worker is dead, or the caller went away: no late answer may meet another question
                self.close()

    def _start(self) -> None:
        self.close()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={"GOMP_SPINCOUNT": _SPINS, **os.environ},
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then closes the worker in good order
        )
        try:
            self._send(self._settings)
            self.description = self._receive()
        except _WorkerDiedError as death:
            raise ModelFileError(
                f"model {self.model.path}: llama.cpp died while loading it ({death})",
                hint="the file may be damaged: compare its digest with its source's",
            ) from None
        if "error" in self.description:
            raise ModelFileError(f"model {self.model.path}: {self.description['error']}", hint=self.description["hint"])

    def _send(self, message: Mapping[str, Any]) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise _WorkerDiedError(_cause_of_death(process.wait())) from None

    def _receive(self) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith("\n"):
            raise _WorkerDiedError(_cause_of_death(process.wait()))
        reply: dict[str, Any] = json.loads(line)
        if "fatal" in reply:
            raise _WorkerDiedError(reply["fatal"])
        return reply

    def _hopeless(self, reason: str) -> InferenceError:
        return InferenceError(
            f"model {self.model.path}: llama.cpp died {_DEATHS_IN_A_ROW} times in a row ({reason})",
            hint="earlier answers are kept; try fewer prompts at once with llm.parallel=1, or another model",
        )


def check_loads(model: ModelFile) -> None:
    """Load a model once, in a child process; raises :class:`ModelFileError` where llama.cpp cannot."""
    with LocalLLM(model, schema={"type": "object"}, context=256, threads=1, parallel=1):
        pass


def _message(number: int, request: Request) -> dict[str, Any]:
    prompt = request.prompt
    return {
        "id": number,
        "head": prompt.head,
        "titles": list(prompt.titles),
        "tail": prompt.tail,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }


def _cause_of_death(status: int) -> str:
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"
