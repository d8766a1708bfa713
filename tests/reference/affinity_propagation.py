"""One iteration of affinity propagation as SPEC 3.2 prints it: sums and maxima written out, nothing clever."""

from __future__ import annotations

import numpy as np


def iterate(S: np.ndarray, R: np.ndarray, A: np.ndarray, damping: float) -> tuple[np.ndarray, np.ndarray]:
    """New R and A, [n, n]; responsibilities first, availabilities from the new responsibilities."""
    n = len(S)
    new_R, new_A = np.empty_like(R), np.empty_like(A)
    for i in range(n):
        for j in range(n):
            others = [A[i, k] + S[i, k] for k in range(n) if k != j]
            new_R[i, j] = damping * R[i, j] + (1 - damping) * (S[i, j] - max(others))
    for i in range(n):
        for j in range(n):
            support = sum(max(0.0, new_R[k, j]) for k in range(n) if k not in {i, j})
            a = support if i == j else min(0.0, new_R[j, j] + support)
            new_A[i, j] = damping * A[i, j] + (1 - damping) * a
    return new_R, new_A
