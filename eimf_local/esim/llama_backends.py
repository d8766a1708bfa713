"""llama.cpp's CPU code: which of its variants is loaded, and what of it must not be used.

A build for each family of processors (as in a bundle's portable wheel) has nothing to compute with until a backend is
loaded, and left to itself ggml looks for one beside the Python executable and in the current directory: the first is
the wrong place, the second must not be trusted.
"""

from __future__ import annotations

import os
from pathlib import Path

import llama_cpp


def load_cpu_backend() -> None:
    """Load, from beside libllama alone, the variant that suits this processor best; a plain build has its own.

    ggml asks each ``libggml-cpu-*.so`` for its score here, and takes the highest. Without any, opening a model fails.
    """
    library = llama_cpp.llama_cpp._lib
    if not library.ggml_backend_reg_count():
        folder = os.environ.get("LLAMA_CPP_LIB_PATH") or Path(llama_cpp.__file__).parent / "lib"
        library.ggml_backend_load_all_from_path(os.fsencode(folder))


def has_amx() -> bool:
    """Whether the loaded backend would repack weights for AMX tiles, and multiply by these.

    Compiled by GCC 12 it dies at the first such product: LDTILECFG reads 64 bytes of configuration, most of whose
    stores GCC has dropped as dead (probably ggml-org/llama.cpp#20824).
    """
    return b"AMX_INT8 = 1" in llama_cpp.llama_print_system_info()
