"""llama-cpp-python's own ``Llama``, to compare with; it cannot be told itself to leave AMX alone."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import llama_cpp

from eimf_local.esim.llama_backends import has_amx


def stock_llama(**options: Any) -> llama_cpp.Llama:
    """``llama_cpp.Llama(**options)`` on the same products of matrices as the library's engine."""
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = not has_amx()
    with patch.object(llama_cpp.llama_cpp, "llama_model_default_params", return_value=parameters):
        return llama_cpp.Llama(**options)
