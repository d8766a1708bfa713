"""Variants of the bundled GGUF for tests: another quantisation, another family, damaged weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

Arrays = dict[str, np.ndarray]


def write_variant(
    source: Path,
    target: Path,
    *,
    architecture: str = "qwen2",
    quantisation: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
    change: Callable[[Arrays], Arrays] = dict,
) -> Path:
    """Copy a qwen2 GGUF; ``change`` maps its tensors, float32 by name. Matrices are quantised again."""
    reader = GGUFReader(source)
    writer = GGUFWriter(target, architecture)
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            name = field.name.replace("qwen2.", f"{architecture}.", 1)
            is_array = field.types[0] == GGUFValueType.ARRAY
            writer.add_key_value(name, field.contents(), field.types[0], field.types[-1] if is_array else None)
    tensors = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    for name, values in change(tensors).items():
        kind = quantisation if values.ndim == 2 else GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def as_qwen3(tensors: Arrays) -> Arrays:
    """Qwen3's tensors: no biases of queries, keys and values; norms of queries and keys instead."""
    kept = {name: values for name, values in tensors.items() if not name.endswith(".bias")}
    blocks = {name.rsplit(".", 2)[0] for name in kept if name.startswith("blk.")}
    norms = {f"{block}.attn_{part}_norm.weight": np.ones(64, np.float32) for block in blocks for part in "qk"}
    return {**kept, **norms}


def without_numbers(tensors: Arrays) -> Arrays:
    """Weights that make every logit NaN."""
    return {**tensors, "output_norm.weight": np.full_like(tensors["output_norm.weight"], np.nan)}
