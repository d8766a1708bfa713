"""Affinity propagation beside scikit-learn's: seconds per iteration, medians, in one run on one machine.

Run as ``python -m tests.benchmarks.affinity_propagation [--n 5000]``. Ours is timed by its callback; scikit-learn has
none, but each of its iterations begins with one call of ``np.argmax``, which is made to note the time. Noise, the first
iteration (fresh memory) and the final refinement count for neither. The engines run in turn, round after round, so
that other work on the machine hits all of them.
"""

from __future__ import annotations

import argparse
import time
import warnings
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
from sklearn.cluster import affinity_propagation as scikit_learn

from eimf_local.esim.affinity_propagation import affinity_propagation, similarities

ITERATIONS = 12  # none converges sooner: that is asked of more iterations than there are


def clustered_points(n: int) -> np.ndarray:
    """float32 [n, 64], unit rows around n / 40 centres: like users' text vectors."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(max(5, n // 40), 64))
    points = centres[rng.integers(len(centres), size=n)] + 0.6 * rng.normal(size=(n, 64))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32)


def our_seconds(S: np.ndarray, preference: float) -> float:
    """Median seconds of one iteration of ours."""
    stamps: list[float] = []
    affinity_propagation(
        S,
        preference,
        max_iter=ITERATIONS,
        convergence_iter=ITERATIONS,
        callback=lambda iteration, exemplars: stamps.append(time.perf_counter()),
    )
    return median(np.diff(stamps))


def scikit_learn_seconds(S: np.ndarray, preference: float) -> float:
    """Median seconds of one iteration of scikit-learn's."""
    stamps: list[float] = []
    argmax = np.argmax

    def stamping_argmax(*arguments: Any, **options: Any) -> Any:
        stamps.append(time.perf_counter())
        return argmax(*arguments, **options)

    with mock.patch.object(np, "argmax", stamping_argmax):
        scikit_learn(S, preference=preference, max_iter=ITERATIONS, convergence_iter=ITERATIONS, random_state=0)
    return median(np.diff(stamps[1 : ITERATIONS + 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=5000, help="points")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn warns that it did not converge: it was not meant to
    S = {"float32": similarities(clustered_points(arguments.n))}
    S["float64"] = S["float32"].astype(np.float64)
    preference = float(np.median(S["float32"]))
    affinity_propagation(S["float32"][:64, :64], preference)  # compiled before anything is timed
    affinity_propagation(S["float64"][:64, :64], preference)

    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(arguments.rounds):
        for dtype, matrix in S.items():
            times.setdefault(("eimf-local", dtype), []).append(our_seconds(matrix, preference))
            times.setdefault(("scikit-learn", dtype), []).append(scikit_learn_seconds(matrix, preference))

    medians = {key: median(values) for key, values in times.items()}
    print(f"affinity propagation, n = {arguments.n}, seconds per iteration, medians of {arguments.rounds} rounds")
    for (engine, dtype), seconds in medians.items():
        traffic = 5 * S[dtype].nbytes / seconds / 1e9  # S, R, A read, R, A written
        print(f"  {engine:12} {dtype}  {seconds:8.4f}  (5 arrays of n x n: {traffic:5.1f} GB/s)")
    for dtype in S:
        for other in S:
            ratio = medians["scikit-learn", other] / medians["eimf-local", dtype]
            print(f"  eimf-local {dtype} is {ratio:5.1f} times as fast as scikit-learn {other}")


if __name__ == "__main__":
    main()
