import os
import platform
import subprocess
import sys

import pytest

from eimf_local.training import memory

REPEAT = """
import resource, sys, torch
from eimf_local.training.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def work():
    parts = [torch.zeros(200_000) for _ in range(20)]
for _ in range(5):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    # a fixed threshold: left to itself, glibc returns memory or keeps it by what happens to lie at the heap's end
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    run = subprocess.run(
        [sys.executable, "-c", REPEAT, how], env=environment, capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the switch is glibc's")
def test_freed_memory_is_used_again_without_page_faults():
    assert faults("kept") < 500
    assert faults("returned") > 5000


def test_where_the_c_library_has_no_such_switch_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
