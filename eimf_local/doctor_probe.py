"""Loads the computing packages one after the other, in a child process: one that kills it is known by its name."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from dataclasses import dataclass

from .versions import COMPUTING

_MODULES = {
    "llama-cpp-python": "llama_cpp",
    "sentence-transformers": "sentence_transformers",
    "faiss-cpu": "faiss",
    "scikit-learn": "sklearn",
}
_PATIENCE = 300  # seconds; the first load after an install reads some GB from a cold disk


@dataclass(frozen=True)
class Loaded:
    """``names`` of what loaded; ``failed``: the first that did not, and why. ``openmp``: the runtimes loaded then.

    ``llama_features``: what llama.cpp uses of the processor, in its own names.
    """

    names: tuple[str, ...]
    failed: tuple[str, str] | None
    openmp: tuple[str, ...]
    llama_features: frozenset[str]


def load_packages() -> Loaded:
    """Start the child and read what it got to."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
        written, status = done.stdout, _ending(done.returncode)
    except subprocess.TimeoutExpired as late:
        written, status = str(late.stdout or ""), f"does not load within {_PATIENCE} seconds"
    names: list[str] = []
    failed, openmp, features = None, (), frozenset[str]()
    for line in written.splitlines():
        if not line.startswith("{"):
            continue  # a library's own words
        said = json.loads(line)
        if "loaded" in said:
            names.append(said["loaded"])
        elif "failed" in said:
            failed = (said["failed"], said["reason"])
        else:
            openmp, features = tuple(said["openmp"]), frozenset(said["features"])
    if failed is None and len(names) < len(COMPUTING):
        failed = (COMPUTING[len(names)], status)
    return Loaded(tuple(names), failed, openmp, features)


def _ending(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _main() -> None:
    for name in COMPUTING:
        try:
            importlib.import_module(_MODULES.get(name, name))
        except Exception as error:  # whatever a package raises at import is its reason
            print(json.dumps({"failed": name, "reason": " ".join(f"{type(error).__name__}: {error}".split())}))
            return
        print(json.dumps({"loaded": name}), flush=True)
    print(json.dumps({"openmp": _openmp(), "features": _llama_features()}))


def _openmp() -> list[str]:
    from threadpoolctl import threadpool_info

    return sorted({str(pool["prefix"]) for pool in threadpool_info() if pool["user_api"] == "openmp"})


def _llama_features() -> list[str]:
    """Names with "= 1" of llama.cpp's description of itself, "CPU : SSE3 = 1 | AVX2 = 1 | ..."."""
    import llama_cpp

    from .esim.llama_backends import load_cpu_backend

    llama_cpp.llama_backend_init()
    load_cpu_backend()  # a portable build has nothing to describe before
    words = llama_cpp.llama_print_system_info().decode("utf-8", "replace").replace(":", "|").split("|")
    return [name.strip() for name, _, value in (word.partition("=") for word in words) if value.strip() == "1"]


if __name__ == "__main__":
    _main()
