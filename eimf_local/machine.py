"""What this process may use of the machine: cores, memory, processor features. Linux; unknown values are None."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores of this process: its affinity, or fewer where a control group's quota allows less."""
    cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text("ascii").split()
        cores = min(cores, max(1, math.ceil(int(quota) / int(period))))
    return cores


def available_memory() -> int | None:
    """Bytes that can be had without swapping: what Linux says, or less where a control group allows less."""
    available = None
    with suppress(OSError, ValueError, IndexError):
        available = int(Path("/proc/meminfo").read_text("ascii").split("MemAvailable:")[1].split()[0]) << 10
    with suppress(OSError, ValueError):  # "max" is no number: no limit
        limit = int((_CGROUP / "memory.max").read_text("ascii"))
        left = max(0, limit - int((_CGROUP / "memory.current").read_text("ascii")))
        available = left if available is None else min(available, left)
    return available


def processor_flags() -> frozenset[str] | None:
    """The features that the processor names on x86 ("avx2", "fma" ...); None elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "flags":
                return frozenset(value.split())
    return None
