"""What the machine can do, measured in the run that is compared with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from eimf_local.esim.parallel import compiled, thread_count, threads


@compiled
def _triad(a: Any, b: Any, c: Any) -> None:
    for i in range(len(a)):
        a[i] = b[i] + np.float32(3) * c[i]


def triad_bandwidth() -> float:
    """GB/s of a = b + 3 c with every core over arrays far larger than the caches, the best of five."""
    count, m = thread_count(), 1 << 26
    a, b, c = (np.ones(m, np.float32) for _ in range(3))
    edges = np.linspace(0, m, count + 1).astype(np.int64)
    _triad(a[:8], b[:8], c[:8])
    best = np.inf
    with threads(count) as share_out:
        for _ in range(5):
            begun = time.perf_counter()
            share_out(lambda k: _triad(*(x[edges[k] : edges[k + 1]] for x in (a, b, c))), count)
            best = min(best, time.perf_counter() - begun)
    return 3 * a.nbytes / best / 1e9


def peak_memory(pid: str = "self") -> float:
    """GB of the largest resident set that a process has had (getrusage would tell of its parent's too)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6
