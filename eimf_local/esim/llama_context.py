"""llama.cpp's working memory for several sequences, and a pass over the weights for any rows of them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from .llama_model import LlamaModel

# At most, in one pass over the weights. Without flash attention every row of a pass attends to as many cells as the
# last one, masked or not: prefill of 550 tokens takes a tenth more with 512 rows.
ROWS = 128
_CELLS = 256  # llama.cpp makes a stream's length a multiple of this
_ERRORS = {1: "no room in the KV cache", 2: "aborted", -1: "invalid batch"}


class LlamaContext:
    """KV streams of ``length`` tokens, one for each of ``sequences`` sequences.

    The streams are not unified: a sequence sees its own cells in their own order, so its logits do not depend on the
    others, and attention costs what its own length costs. Raises :class:`MemoryError` where they do not fit.
    """

    def __init__(self, model: LlamaModel, *, sequences: int, length: int, threads: int) -> None:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = sequences * -(-length // _CELLS) * _CELLS
        parameters.n_batch = parameters.n_ubatch = ROWS
        parameters.n_seq_max = sequences
        parameters.n_outputs_max = sequences  # the default reserves a row of logits for each of a prompt's tokens
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = False
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it changes the logits
        self._context = llama_cpp.llama_init_from_model(model.model, parameters)
        if not self._context:
            raise MemoryError(f"no memory for {sequences} sequences of {length} tokens")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocabulary = model.n_vocab()
        self._tokens, self._positions, self._sequences = np.zeros((3, ROWS), np.int32)
        self._outputs = np.zeros(ROWS, np.int8)
        self._ones = np.ones(ROWS, np.int32)
        self._addresses = self._sequences.ctypes.data + self._sequences.itemsize * np.arange(ROWS, dtype=np.uintp)

    def close(self) -> None:
        """Free the memory."""
        llama_cpp.llama_free(self._context)

    def decode(
        self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[int], outputs: Sequence[bool]
    ) -> npt.NDArray[np.float32]:
        """Append one row a token, and give the logits of the rows marked in ``outputs``.

        Returns float32 [marked, V] in the rows' order: llama.cpp's own memory, valid until the next call. Rows of
        several sequences are decoded together only if the sequences are consecutive and have equally many.
        Raises :class:`RuntimeError` with llama.cpp's reason.
        """
        rows = len(tokens)
        self._tokens[:rows], self._positions[:rows], self._sequences[:rows] = tokens, positions, sequences
        self._outputs[:rows] = outputs
        batch = llama_cpp.llama_batch(
            n_tokens=rows,
            token=_pointer(self._tokens, ctypes.c_int32),
            pos=_pointer(self._positions, ctypes.c_int32),
            n_seq_id=_pointer(self._ones, ctypes.c_int32),
            seq_id=_pointer(self._addresses, ctypes.POINTER(ctypes.c_int32)),
            logits=_pointer(self._outputs, ctypes.c_int8),
        )
        status = llama_cpp.llama_decode(self._context, batch)
        if status:
            raise RuntimeError(f"llama_decode: {_ERRORS.get(status, 'failed')} ({status})")
        shape = (int(np.count_nonzero(self._outputs[:rows])), self._vocabulary)
        if not shape[0]:
            return np.empty(shape, np.float32)
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits(self._context), shape)

    def copy(self, source: int, target: int) -> None:
        """Make the stream of ``target`` equal to that of ``source``."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def truncate(self, sequence: int, length: int) -> None:
        """Forget all but the first ``length`` tokens of a sequence."""
        if not llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1):
            raise RuntimeError("llama.cpp cannot shorten a sequence of this model")


def _pointer(array: npt.NDArray[Any], kind: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))
