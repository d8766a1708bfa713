"""How the next tokens of a batch are drawn from its logits, all rows at once.

A row's draw looks at that row alone: what else is decoded at the same time can change nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TOP_P = 0.9

Float64 = npt.NDArray[np.float64]


def draw(
    logits: npt.NDArray[np.float32], *, temperature: Float64, uniform: Float64, top_p: float = TOP_P
) -> npt.NDArray[np.int64]:
    """One column of each row of ``logits`` (float32 [n, V]; -inf cannot be drawn): int64 [n].

    At ``temperature`` (float64 [n]) 0 the row's largest; above it, by ``uniform`` (float64 [n] in [0, 1)), one of the
    smallest set of likeliest columns that hold ``top_p`` in sum (Holtzman et al. 2020). Of equals the first counts as
    likelier. A row without any finite number gives a meaningless column.
    """
    best = logits.argmax(axis=1)
    drawn: npt.NDArray[np.int64] = best.copy()
    sampled = np.flatnonzero((temperature > 0) & np.isfinite(logits[np.arange(len(logits)), best]))
    if len(sampled):
        drawn[sampled] = _nucleus(logits[sampled], temperature[sampled], uniform[sampled], top_p)
    return drawn


def _nucleus(
    logits: npt.NDArray[np.float32], temperature: Float64, uniform: Float64, top_p: float
) -> npt.NDArray[np.int64]:
    n, vocabulary = logits.shape
    scale = temperature.astype(np.float32)[:, None]
    weights = np.exp((logits - logits.max(axis=1, keepdims=True)) / scale)
    wanted = weights.sum(axis=1, dtype=np.float64) * top_p
    # All others together hold less than 1 - top_p, so the set lies within these, and few need sorting.
    rows, columns = np.nonzero(weights >= (wanted * (1 / top_p - 1) / vocabulary)[:, None])
    columns = columns[np.lexsort((-weights[rows, columns], rows))]  # stable, and the rows are in order already
    counts = np.bincount(rows, minlength=n)
    starts = np.cumsum(counts) - counts
    ranked = np.zeros((n, counts.max()))  # each row's candidates, the likeliest first
    ranked[rows, np.arange(len(rows)) - starts[rows]] = weights[rows, columns]
    cumulated = ranked.cumsum(axis=1)
    size = np.minimum((cumulated < wanted[:, None]).sum(axis=1) + 1, counts)
    target = uniform * cumulated[np.arange(n), size - 1]
    place = np.minimum((cumulated <= target[:, None]).sum(axis=1), size - 1)
    chosen: npt.NDArray[np.int64] = columns[starts + place]
    return chosen
