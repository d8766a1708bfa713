"""The worker process, aborting in mid-batch while a prompt is under way whose titles hold the first argument."""

from __future__ import annotations

import os
import sys
from typing import Any

from eimf_local.esim import llm_worker
from eimf_local.esim.batched_decoding import BatchedDecoder, Decoding, Task

_doomed: set[int] = set()
_task, _step = llm_worker.Worker.task, BatchedDecoder.step


def task(self: llm_worker.Worker, request: dict[str, Any]) -> Task:
    if any(sys.argv[1] in title for title in request["titles"]):
        _doomed.add(request["id"])
    return _task(self, request)


def step(self: BatchedDecoder) -> list[Decoding]:
    if any(decoding and decoding.task.number in _doomed for decoding in self._slots):
        os.abort()
    return _step(self)


llm_worker.Worker.task = task  # type: ignore[method-assign]
BatchedDecoder.step = step  # type: ignore[method-assign]
sys.exit(llm_worker.main())
