"""How the next token of one sequence is drawn from its logits.

It looks at one sequence alone: what else is decoded at the same time can change nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TOP_P = 0.9


def nucleus(
    logits: npt.NDArray[np.float32], *, temperature: float, generator: np.random.Generator, top_p: float = TOP_P
) -> int:
    """Draw an index of ``logits`` (float32 [n]) from the smallest set of likeliest ones that hold ``top_p`` in sum.

    Takes one number from ``generator``; of equals the first counts as likelier. (Holtzman et al. 2020.)
    """
    weights = np.exp((logits - logits.max()) / np.float32(temperature))
    total = weights.sum(dtype=np.float64)
    # All others together hold less than 1 - top_p, so the set lies within these, and few need sorting.
    candidates = np.flatnonzero(weights >= total * (1 - top_p) / len(weights))
    ordered = candidates[np.argsort(-weights[candidates], kind="stable")]
    cumulated = np.cumsum(weights[ordered], dtype=np.float64)
    size = min(int(np.searchsorted(cumulated, total * top_p)) + 1, len(ordered))
    drawn = np.searchsorted(cumulated[:size], generator.random() * cumulated[size - 1], side="right")
    return int(ordered[min(int(drawn), size - 1)])
