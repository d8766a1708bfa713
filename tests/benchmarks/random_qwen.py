"""A GGUF of Qwen2.5-0.5B's exact shape with random weights: right for speed, meaningless for quality."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter

LAYERS, WIDTH, FEED_FORWARD, HEADS, KV_HEADS = 24, 896, 4864, 14, 2
_HEAD_WIDTH = WIDTH // HEADS
KV_BYTES_PER_TOKEN = 2 * LAYERS * KV_HEADS * 2 * _HEAD_WIDTH  # float16 keys and values
_MATRICES = {
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (KV_HEADS * _HEAD_WIDTH, WIDTH),
    "attn_v": (KV_HEADS * _HEAD_WIDTH, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (FEED_FORWARD, WIDTH),
    "ffn_up": (FEED_FORWARD, WIDTH),
    "ffn_down": (WIDTH, FEED_FORWARD),
}


def write_random_qwen(path: Path, vocabulary: Path) -> None:
    """Write ``path`` with another GGUF's vocabulary: matrices Q4_0, the tied table Q8_0, as llama.cpp quantises."""
    writer, generator = GGUFWriter(path, "qwen2"), np.random.default_rng(0)
    writer.add_context_length(32768)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    tokens = _copy_vocabulary(GGUFReader(vocabulary), writer)

    def matrix(name: str, rows: int, columns: int, kind: GGMLQuantizationType) -> None:
        values = 0.02 * generator.standard_normal((rows, columns), dtype=np.float32)
        writer.add_tensor(f"{name}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)

    matrix("token_embd", tokens, WIDTH, GGMLQuantizationType.Q8_0)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for block in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{block}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name, (rows, columns) in _MATRICES.items():
            matrix(f"blk.{block}.{name}", rows, columns, GGMLQuantizationType.Q4_0)
        for name in ("attn_q", "attn_k", "attn_v"):
            writer.add_tensor(f"blk.{block}.{name}.bias", np.zeros(_MATRICES[name][0], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def multiplications_per_row(*, output: bool) -> int:
    """Weights that one row meets: all matrices; with ``output`` the table of 151,936 tokens too."""
    blocks = LAYERS * sum(rows * columns for rows, columns in _MATRICES.values())
    return blocks + (151_936 * WIDTH if output else 0)


def _copy_vocabulary(reader: GGUFReader, writer: GGUFWriter) -> int:
    """Copy tokens, their types and merges; the special ids are those of Qwen2.5-Instruct. Returns V."""
    for name in ("model", "pre", "tokens", "token_type", "merges"):
        field = reader.fields[f"tokenizer.ggml.{name}"]
        is_array = field.types[0] == gguf.GGUFValueType.ARRAY
        writer.add_key_value(field.name, field.contents(), field.types[0], field.types[-1] if is_array else None)
    writer.add_bos_token_id(151_643)
    writer.add_eos_token_id(151_645)
    writer.add_pad_token_id(151_643)
    writer.add_add_bos_token(False)
    return len(reader.fields["tokenizer.ggml.tokens"].data)
