"""A GGUF opened by llama.cpp: its metadata and its vocabulary. Only the worker process imports this."""

from __future__ import annotations

import ctypes
import math

import llama_cpp
import numpy as np
import numpy.typing as npt

from .llama_backends import has_amx, load_cpu_backend

_NOT_TEXT = (
    llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
    | llama_cpp.LLAMA_TOKEN_ATTR_UNUSED
    | llama_cpp.LLAMA_TOKEN_ATTR_CONTROL
    | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
)


class LlamaModel:
    """The weights and the vocabulary of one GGUF file. Raises :class:`ValueError` where llama.cpp refuses the file.

    ``model``, :meth:`n_vocab`, :meth:`token_eos` and :meth:`tokenizer` are what outlines reads of a
    ``llama_cpp.Llama``, which itself can hold one sequence only.
    """

    def __init__(self, path: str, *, gpu_layers: int) -> None:
        load_cpu_backend()
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        # The CPU repacks some quantisations; a mapped file would stay in memory beside what was made of it.
        parameters.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE
        parameters.use_extra_bufts = not has_amx()
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
        if not self.model:
            raise ValueError("llama.cpp cannot load it")
        self._vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        if llama_cpp.llama_vocab_type(self._vocabulary) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
            raise ValueError("it has no tokeniser")

    def close(self) -> None:
        """Free the weights; nothing may use them any more."""
        llama_cpp.llama_model_free(self.model)

    def metadata(self, key: str) -> str:
        """A scalar of the file's metadata as text; "" where it is absent."""
        buffer = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_model_meta_val_str(self.model, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", errors="replace") if length >= 0 else ""

    @property
    def architecture(self) -> str:
        """GGUF's general.architecture."""
        return self.metadata("general.architecture")

    @property
    def longest_context(self) -> int:
        """Tokens of the longest sequence that the model was trained for."""
        return int(llama_cpp.llama_model_n_ctx_train(self.model))

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that one token of one sequence takes in the KV cache (float16 keys and values of every layer)."""
        model, heads = self.model, llama_cpp.llama_model_n_head(self.model)
        head_width = math.ceil(llama_cpp.llama_model_n_embd(model) / heads)
        widths = [
            int(self.metadata(f"{self.architecture}.attention.{kind}_length") or head_width)
            for kind in ("key", "value")
        ]
        heads_of_all_layers = llama_cpp.llama_model_n_layer(model) * llama_cpp.llama_model_n_head_kv(model)
        return int(2 * heads_of_all_layers * sum(widths))

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of ``text``; control tokens are recognised in it only with ``special``."""
        data = text.encode("utf-8", errors="replace")  # what JSON cannot carry in UTF-8 becomes "?"
        room = len(data) + 8
        while True:
            tokens = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(self._vocabulary, data, len(data), tokens, room, False, special)
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def special_tokens(self) -> npt.NDArray[np.bool_]:
        """bool [V]: tokens that are no text, so that no answer may hold them: control, user-defined and unused ones."""
        attributes = (llama_cpp.llama_vocab_get_attr(self._vocabulary, token) for token in range(self.n_vocab()))
        return np.fromiter((attribute & _NOT_TEXT != 0 for attribute in attributes), np.bool_, self.n_vocab())

    def n_vocab(self) -> int:
        """V."""
        return int(llama_cpp.llama_vocab_n_tokens(self._vocabulary))

    def token_eos(self) -> int:
        """The token that ends an answer."""
        return int(llama_cpp.llama_vocab_eos(self._vocabulary))

    def tokenizer(self) -> LlamaModel:
        """The tokeniser, for outlines."""
        return self
