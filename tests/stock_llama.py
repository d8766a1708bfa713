"""llama-cpp-python's own ``Llama`` and server, to compare with; they cannot be told themselves to leave AMX alone.

``python -m tests.stock_llama`` is ``python -m llama_cpp.server``.
"""

from __future__ import annotations

import runpy
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import llama_cpp

from eimf_local.esim.llama_backends import has_amx


def stock_llama(**options: Any) -> llama_cpp.Llama:
    """``llama_cpp.Llama(**options)`` on the same products of matrices as the library's engine."""
    with _without_amx():
        return llama_cpp.Llama(**options)


def _without_amx() -> AbstractContextManager[object]:
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = not has_amx()
    return patch.object(llama_cpp.llama_cpp, "llama_model_default_params", return_value=parameters)


if __name__ == "__main__":
    with _without_amx():
        runpy.run_module("llama_cpp.server", run_name="__main__")
