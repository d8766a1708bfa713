"""Multi-interest retrieval: FAISS inner product per interest, merged by best score (SPEC section 6)."""

from __future__ import annotations

import faiss
import numpy as np

from ..data.dataset import Float32, Int64


class InterestIndex:
    """Exact inner-product search over the item vectors.

    The index is rebuilt from the vectors at load: a flat index is the vectors themselves, and reading a foreign FAISS
    file is a memory-corruption surface.
    """

    def __init__(self, item_vectors: Float32) -> None:
        """``item_vectors``: float32 [N + 1, D]; row 0 (padding) is left out, so it can never be retrieved."""
        self._index = faiss.IndexFlatIP(item_vectors.shape[1])
        self._index.add(np.ascontiguousarray(item_vectors[1:], dtype=np.float32))

    @property
    def n_items(self) -> int:
        return int(self._index.ntotal)

    def search(self, interests: Float32, *, k: int) -> tuple[Int64, Float32]:
        """The best ``k`` items of each user by max_k <h_k, e>: item numbers int64 [n, k] and scores float32 [n, k].

        ``interests`` is float32 [n, K, D]. Taking k per interest is exact for the max over interests: an item among
        the k best overall is among the k best of the interest that scores it highest. Equal scores rank the lower
        item number first. Where the catalogue has fewer than k items, all of it is returned.
        """
        k = min(k, self.n_items)
        n, n_interests, dim = interests.shape
        flat = np.ascontiguousarray(interests.reshape(n * n_interests, dim), dtype=np.float32)
        scores, rows = self._index.search(flat, k)
        return _merge((rows + 1).reshape(n, -1), scores.reshape(n, -1), k)


def _merge(items: Int64, scores: Float32, k: int) -> tuple[Int64, Float32]:
    """Keep each item's best score, then the best k items: [n, K * k] -> [n, k]."""
    order = np.lexsort((items, -scores), axis=1)
    items, scores = np.take_along_axis(items, order, 1), np.take_along_axis(scores, order, 1)
    best_items = np.empty((len(items), k), np.int64)
    best_scores = np.empty((len(items), k), np.float32)
    for row in range(len(items)):
        _, first = np.unique(items[row], return_index=True)
        first = np.sort(first)[:k]  # the first place of an item is its best score
        best_items[row], best_scores[row] = items[row, first], scores[row, first]
    return best_items, best_scores
