"""What of llama.cpp's CPU code is used, whatever processor runs the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from eimf_local.esim.llama_model import LlamaModel


@pytest.mark.parametrize(("features", "repacked"), [(b"CPU : AVX2 = 1 | AMX_INT8 = 1 | ", False), (b"CPU : ", True)])
def test_no_weights_are_repacked_where_that_may_be_for_amx(
    features: bytes, repacked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def load(_path: bytes, parameters: Any) -> None:
        asked.append(parameters.use_extra_bufts)

    monkeypatch.setattr(llama_cpp, "llama_print_system_info", lambda: features)
    monkeypatch.setattr(llama_cpp, "llama_model_load_from_file", load)
    with pytest.raises(ValueError, match="cannot load"):
        LlamaModel(str(tmp_path / "none.gguf"), gpu_layers=0)
    assert asked == [repacked]
