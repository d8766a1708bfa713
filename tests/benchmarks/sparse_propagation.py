"""The sparse engine of affinity propagation beside the dense one, and its cost up to a million users.

``python -m tests.benchmarks.sparse_propagation --dataset DIR``: the training users of a prepared dataset, 8,000 and
16,000 of them; the dense engine is calibrated, and the others run with its preference.

``python -m tests.benchmarks.sparse_propagation --scale --dataset DIR --out CURVE.json``: simulated users around the
embeddings of its titles; the whole choice of 3 % exemplars (search, calibration, assignment) in a process of its own
for each size, its seconds and peak memory appended to the file. Sizes that the file has are skipped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from eimf_local.esim.affinity_propagation import DenseProblem, similarities
from eimf_local.esim.hierarchical_propagation import HierarchicalProblem, sparse_problem
from eimf_local.esim.preference import calibrate_preference
from eimf_local.esim.propagation import Problem, Settings
from eimf_local.esim.sparse_propagation import SparseProblem
from tests.benchmarks.machine import peak_memory
from tests.benchmarks.users import title_vectors, user_vectors

FRACTION = 0.03
SETTINGS = Settings(0.5, 200, 15)
SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)


def simulated_users(n: int, titles: np.ndarray, seed: int = 0) -> np.ndarray:
    """float32 [n, d], unit rows: each the mean of 5 to 15 titles from one to three neighbourhoods of 50, and noise.

    With noise of length .2 the distances to the 1st, 10th, 32nd and 100th neighbour (of 16,000) are those of Beauty's
    users within 7 %: .28, .34, .37, .43 (squared, medians) to .26, .33, .36, .40.
    """
    rng = np.random.default_rng(seed)
    near = faiss.knn(titles, titles, 50)[1]
    users = np.empty((n, titles.shape[1]), np.float32)
    for lo in range(0, n, 50_000):
        m = min(50_000, n - lo)
        topics, centres = rng.integers(1, 4, size=m), rng.integers(len(titles), size=(m, 3))
        read = rng.integers(5, 16, size=m)
        rows = 0.2 / np.sqrt(titles.shape[1]) * rng.standard_normal((m, titles.shape[1]), dtype=np.float32)
        for k in range(15):
            some = np.flatnonzero(k < read)
            topic = rng.integers(3, size=len(some)) % topics[some]
            chosen = near[centres[some, topic], rng.integers(50, size=len(some))]
            rows[some] += titles[chosen] / read[some, None].astype(np.float32)
        users[lo : lo + m] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return users


def compare(T: np.ndarray, fraction: float) -> None:
    """Print exemplars, net similarity and seconds of the dense engine, calibrated, and of the others beside it."""
    begun = time.perf_counter()
    problem = DenseProblem(similarities(T), random_state=0)
    ready = time.perf_counter()
    dense = calibrate_preference(problem, fraction=fraction, settings=SETTINGS).result
    calibrated = time.perf_counter()
    print(
        f"{len(T)} users, {len(dense.exemplars)} exemplars wanted and found by the dense engine at preference "
        f"{dense.preference:.3f}: similarities {ready - begun:.1f} s, calibration {calibrated - ready:.1f} s"
    )
    wanted = round(fraction * len(T))
    engines: dict[str, Any] = {
        f"{k} neighbours": lambda k=k: SparseProblem(T, neighbours=k)
        for k in sorted({32, 64, 64 if fraction >= FRACTION else round(2 / fraction)})
    }
    if fraction < FRACTION:
        engines["in two steps"] = lambda: HierarchicalProblem(T, wanted=wanted)
    for name, make in engines.items():
        begun = time.perf_counter()
        sparse: Problem = make()
        ready = time.perf_counter()
        result = sparse.run(dense.preference, SETTINGS, None)
        done = time.perf_counter()
        lost = (dense.net_similarity - result.net_similarity) / abs(dense.net_similarity)
        more = len(result.exemplars) / len(dense.exemplars) - 1
        print(
            f"  {name:14} {len(result.exemplars):5} exemplars ({more:+6.1%}), "
            f"net similarity worse by {lost:+.4%}, graph {ready - begun:.1f} s, run {done - ready:.2f} s, "
            f"{result.n_iter} iterations, converged: {result.converged}"
        )


def measured(n: int, titles: np.ndarray) -> dict[str, Any]:
    """Choose 3 % of n simulated users; what it took."""
    T = simulated_users(n, titles)
    begun, begun_cpu = time.perf_counter(), time.process_time()
    problem = sparse_problem(T, wanted=round(FRACTION * n))
    ready = time.perf_counter()
    found = calibrate_preference(problem, fraction=FRACTION, settings=SETTINGS)
    done, done_cpu = time.perf_counter(), time.process_time()
    return {
        "users": n,
        "width": T.shape[1],
        "seconds": round(done - begun, 2),
        "search_seconds": round(ready - begun, 2),
        "calibration_seconds": round(done - ready, 2),
        "processor_seconds": round(done_cpu - begun_cpu, 2),
        "peak_gb": round(peak_memory(), 3),
        "vectors_gb": round(T.nbytes / 1e9, 3),
        "recall": round(problem.recall, 4),
        "exemplars": len(found.result.exemplars),
        "fraction": found.fraction,
        "preference": found.result.preference,
        "trials": [trial._asdict() for trial in found.trials],
        "n_iter": found.result.n_iter,
        "converged": found.result.converged,
        "net_similarity": found.result.net_similarity,
    }


def scale(arguments: argparse.Namespace) -> None:
    """Measure every size that the file lacks, each in a process of its own, and append it."""
    curve = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    for n in sorted(set(arguments.sizes) - {point["users"] for point in curve}):
        command = [sys.executable, "-m", __spec__.name, "--dataset", str(arguments.dataset), f"--measure={n}"]
        point = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        curve = sorted([*curve, point], key=lambda known: known["users"])
        arguments.out.write_text(json.dumps(curve, indent=1) + "\n")
        print(
            f"{n:9,} users: {point['seconds']:8.1f} s ({point['search_seconds']:.1f} s search, recall "
            f"{point['recall']:.3f}), {1000 * point['seconds'] / n:6.3f} ms a user, {point['peak_gb']:.2f} GB, "
            f"{point['exemplars']} exemplars ({point['fraction']:.2%})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="prepared dataset: its users, or its titles")
    parser.add_argument("--scale", action="store_true", help="cost at growing numbers of simulated users")
    parser.add_argument("--out", type=Path, help="JSON file to which the curve is appended")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measured(arguments.measure, title_vectors(arguments.dataset))))
    elif arguments.scale:
        if arguments.out is None:
            parser.error("--scale takes --out")
        scale(arguments)
    else:
        T = user_vectors(arguments.dataset)
        order = np.random.default_rng(0).permutation(len(T))
        for n, fraction in ((8000, FRACTION), (8000, 0.01), (16000, FRACTION)):
            if n <= len(T):
                compare(T[np.sort(order[:n])], fraction)
        if len(T) < 8000:
            compare(T, FRACTION)


if __name__ == "__main__":
    main()
