"""Writes the trained network as a GGUF for llama.cpp's ``qwen2`` graph, and pins it in the manifest.

The same weights give the same bytes: no date, no path, no version of a tool goes into the file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer

from eimf_local.disk import write_text

from .network import Network
from .tokenizer import END_OF_TEXT, TURN_END, Vocabulary, vocabulary_of

MODEL_NAME = "eimf-tiny-qwen2"
_DESCRIPTION = (
    "A small model of Qwen's architecture (Qwen2), trained from scratch by this project on invented users of {titles}; "
    "its words start from MiniLM's embeddings. Not Alibaba's Qwen: it shares no weight with it, and what it knows of "
    "the world is some nine hundred everyday interests."
)
_CHATML = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_ALTERNATIONS = 100
_QUANTISATION = gguf.GGMLQuantizationType.Q8_0
_BLOCK_TENSORS = {
    "attn_norm.weight": "attention_norm.weight",
    "attn_q.weight": "attention.query.weight",
    "attn_q.bias": "attention.query.bias",
    "attn_k.weight": "attention.key.weight",
    "attn_k.bias": "attention.key.bias",
    "attn_v.weight": "attention.value.weight",
    "attn_v.bias": "attention.value.bias",
    "attn_output.weight": "attention.output.weight",
    "ffn_norm.weight": "feed_forward_norm.weight",
    "ffn_gate.weight": "gate.weight",
    "ffn_up.weight": "up.weight",
    "ffn_down.weight": "down.weight",
}


def export_gguf(network: Network, tokenizer: Tokenizer, path: Path, *, shops: Sequence[str] = ()) -> None:
    """Write ``network`` and ``tokenizer`` to ``path``: matrices in Q8_0, norms and biases in float32.

    ``shops``: the names of those whose titles it has read beside the invented ones, for the description.
    """
    writer = gguf.GGUFWriter(path, "qwen2")
    titles = "invented shop titles" + (f" and titles of {' and '.join(shops)}" if shops else "")
    writer.add_description(_DESCRIPTION.format(titles=titles))
    _write_header(writer, network)
    _write_tokenizer(writer, vocabulary_of(tokenizer))
    with torch.no_grad():
        _put(writer, "token_embd.weight", network.embedding.table())  # no output.weight: llama.cpp ties it to this
        _put(writer, "output_norm.weight", network.norm.weight)
        for index, block in enumerate(network.blocks):
            values = block.state_dict()
            for name, source in _BLOCK_TENSORS.items():
                _put(writer, f"blk.{index}.{name}", values[source])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def start_from(network: Network, tokenizer: Tokenizer, path: Path) -> None:
    """Give ``network`` the weights of a GGUF that :func:`export_gguf` wrote, as exact as their quantisation.

    Raises ValueError where it is no such file, or of another vocabulary or size.
    """
    vocabulary = vocabulary_of(tokenizer)
    try:
        reader = gguf.GGUFReader(path)
        tokens = reader.fields["tokenizer.ggml.tokens"].contents()
        values = {t.name: torch.tensor(gguf.quants.dequantize(t.data, t.tensor_type)) for t in reader.tensors}
        if tuple(tokens) != tuple(vocabulary.tokens):
            raise ValueError("its vocabulary is another corpus's")
        stems, forms = _stems_and_forms(network, values["token_embd.weight"])
        state = {"embedding.stem": stems, "embedding.form": forms, "norm.weight": values["output_norm.weight"]}
        for index in range(network.config.layers):
            state |= {f"blocks.{index}.{to}": values[f"blk.{index}.{name}"] for name, to in _BLOCK_TENSORS.items()}
        network.load_state_dict(state)
    except (ValueError, LookupError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be started from ({' '.join(str(error).split())})") from None


def _stems_and_forms(network: Network, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The stems' and forms' vectors whose sums are nearest to ``table`` [V, d]: alternating least squares."""
    embedding = network.embedding
    parts = {"stem": torch.zeros_like(embedding.stem), "form": torch.zeros_like(embedding.form)}
    rows = {"stem": embedding.stem_of, "form": embedding.form_of}
    for _ in range(_ALTERNATIONS):
        for one, other in (("stem", "form"), ("form", "stem")):
            sums = torch.zeros_like(parts[one]).index_add_(0, rows[one], table - parts[other][rows[other]])
            parts[one] = sums / torch.bincount(rows[one], minlength=len(sums)).clamp_min(1)[:, None]
    return parts["stem"], parts["form"]


def _write_header(writer: gguf.GGUFWriter, network: Network) -> None:
    config = network.config
    writer.add_name(MODEL_NAME)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_license("apache-2.0")
    writer.add_vocab_size(config.vocabulary_size)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.feed_forward)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _write_tokenizer(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    types = [
        int(gguf.TokenType.CONTROL if index in vocabulary.special else gguf.TokenType.NORMAL)
        for index in range(len(vocabulary.tokens))
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(types)
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_eos_token_id(vocabulary.tokens.index(TURN_END))
    writer.add_bos_token_id(vocabulary.tokens.index(END_OF_TEXT))
    writer.add_pad_token_id(vocabulary.tokens.index(END_OF_TEXT))
    writer.add_add_bos_token(False)
    writer.add_chat_template(_CHATML)


def _put(writer: gguf.GGUFWriter, name: str, value: torch.Tensor) -> None:
    array = np.ascontiguousarray(value.detach().float().numpy())
    if array.ndim == 1:  # llama.cpp wants norms and biases in float32
        writer.add_tensor(name, array)
    else:
        writer.add_tensor(name, gguf.quants.quantize(array, _QUANTISATION), raw_dtype=_QUANTISATION)


def pin(model: Path, folder: Path) -> Path:
    """Ship ``model`` from ``folder``: copy it there, and write its digest, size, context and role into the manifest.

    Returns the copy's path. What the manifest says of models that are not shipped is kept. Raises ValueError for a file
    that the builder did not write, before anything is overwritten.
    """
    shipped, manifest = folder / f"{MODEL_NAME}.gguf", folder / "manifest.toml"
    _, mark, upstream = (manifest.read_text("utf-8") if manifest.exists() else "").partition("\n# Not shipped:")
    try:
        reader = gguf.GGUFReader(model)
    except (ValueError, IndexError) as error:  # the latter of a file that ends early
        raise ValueError(f"{model} is no GGUF ({error}); give a file that this builder wrote") from None
    if missing := {"qwen2.context_length", "general.description"} - set(reader.fields):
        raise ValueError(f"{model} does not say its {min(missing)}; give a file that this builder wrote")
    context = int(reader.fields["qwen2.context_length"].contents())
    description = json.dumps(reader.fields["general.description"].contents())
    data = model.read_bytes()
    text = f'''# Written by `python -m eimf_local_models.builder --pin FILE`: what the package ships, by digest.

[[model]]
name = "{MODEL_NAME}"
file = "{shipped.name}"
sha256 = "{hashlib.sha256(data).hexdigest()}"
size = {len(data)}
licence = "Apache-2.0"
role = "interests"
context = {context}
architecture = "qwen2"
description = {description}
'''
    tomllib.loads(text)  # a description that would break the TOML fails here
    if model.resolve() != shipped.resolve():
        partial = shipped.with_name(f".{shipped.name}.partial")
        shutil.copyfile(model, partial)
        partial.replace(shipped)
    write_text(manifest, text + mark + upstream)
    return shipped
