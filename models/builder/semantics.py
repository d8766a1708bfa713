"""What the model knows of words before training: the encoder's embeddings of its vocabulary.

Some million tokens of synthetic titles cannot teach that a mascara and an eyeliner have something in common. The
encoder that the project ships beside the model (MiniLM) knows it, so the token table starts from its embeddings.
"""

from __future__ import annotations

import numpy as np

from eimf_local.data.dataset import Float32

from .lexicon import Encode
from .tokenizer import Vocabulary, stems_and_forms

_SHORTEST = 3  # letters: shorter pieces have no meaning of their own


def stem_vectors(vocabulary: Vocabulary, encode: Encode, *, width: int) -> Float32:
    """A vector for every stem: float32 [stems, width], of mean square 1 a row; zero for what is no word.

    The words' embeddings, centred, in their ``width`` principal directions, the weaker ones raised (each divided by the
    square root of its singular value).
    """
    stems, _ = stems_and_forms(vocabulary)
    texts: dict[int, str] = {}
    for token, stem in zip(vocabulary.tokens, stems, strict=True):
        text = token.removeprefix("Ġ").lower()
        if len(text) >= _SHORTEST and text.isascii() and text.isalpha():
            texts.setdefault(stem, text)
    table = np.zeros((max(stems) + 1, width), np.float32)
    if len(texts) < 2:
        return table
    vectors = encode(list(texts.values())).astype(np.float64)
    vectors -= vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(vectors, full_matrices=False)
    kept = min(width, int((values > 1e-6 * values[0]).sum()))
    reduced = left[:, :kept] * np.sqrt(values[:kept])
    # a direction's sign is the decomposition's whim: fix it, so that a build does not depend on the library's
    reduced *= np.sign(reduced[np.abs(reduced).argmax(axis=0), np.arange(kept)])
    norms = np.linalg.norm(reduced, axis=1, keepdims=True)
    table[list(texts), :kept] = reduced / np.where(norms > 0, norms, 1) * np.sqrt(width)
    return table
