"""The order of a catalogue's ids, recovered from sequences whose items were renumbered.

A user's reviews of one day keep the order of the file, which is sorted by item id: on Beauty 77,374 of 176,139
neighbours in a sequence share their day, and 99.95 % of those ascend, of the others 45 %. So neighbours tell, with
noise, which of two items has the lower id.
"""

from __future__ import annotations

import numpy as np

from eimf_local.data.dataset import Dataset, Int64

REACH = 3  # neighbours up to that many places apart, weighted by 1 / distance
STEPS, STEP, RIDGE = 300, 0.1, 0.02


def recovered_places(dataset: Dataset) -> Int64:
    """int64 [N]: the estimated place of item number i + 1 among the ids, from 0.

    Bradley and Terry's model: P(a before b) = 1 / (1 + exp(s_a - s_b)), its penalised likelihood climbed by Adam from
    zero. On Beauty, where the ids are known, the rank correlation with their order is .73.
    """
    earlier, later, weight = _pairs(dataset)
    scores, mean, square = np.zeros((3, dataset.n_items))
    for step in range(1, STEPS + 1):
        surprise = weight / (1 + np.exp(scores[later] - scores[earlier]))
        gradient = RIDGE * scores
        gradient += np.bincount(earlier, weights=surprise, minlength=dataset.n_items)
        gradient -= np.bincount(later, weights=surprise, minlength=dataset.n_items)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.99 * square + 0.01 * gradient**2
        scores = scores - STEP * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
    return np.argsort(np.argsort(scores, kind="stable"), kind="stable")


def _pairs(dataset: Dataset) -> tuple[Int64, Int64, np.ndarray]:
    """Items of one user up to ``REACH`` places apart: the earlier and the later one (from 0), and the pair's weight."""
    owners, items = np.repeat(np.arange(dataset.n_users), dataset.lengths), dataset.sequence.astype(np.int64) - 1
    found = []
    for distance in range(1, REACH + 1):
        same = owners[:-distance] == owners[distance:]
        pair = items[:-distance][same], items[distance:][same]
        found.append((*pair, np.full(int(same.sum()), 1 / distance)))
    earlier, later, weight = (np.concatenate(column) for column in zip(*found, strict=True))
    return earlier, later, weight
