"""Affinity propagation beside scikit-learn's, in one run on one machine.

``python -m tests.benchmarks.affinity_propagation [--n 8000] [--dataset DIR]``: DIR is a prepared dataset, whose users
(the text vectors of those in training) are clustered; without it, points drawn around centres. Seconds per iteration
are medians over the rounds, engines in turn, so that other work on the machine hits all of them. Ours is timed by its
callback; scikit-learn has none, but each of its iterations begins with one call of ``np.argmax``, which is made to note
the time. Noise, the first iteration (fresh memory) and the final refinement count for neither; whole runs have them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from sklearn.cluster import affinity_propagation as scikit_learn

from eimf_local.esim.affinity_propagation import DenseProblem, affinity_propagation, similarities
from eimf_local.esim.device_messages import pass_messages_on
from eimf_local.esim.message_passing import Messages, pass_messages
from eimf_local.esim.preference import calibrate_preference
from eimf_local.esim.propagation import Settings
from tests.benchmarks.machine import peak_memory, triad_bandwidth
from tests.benchmarks.users import user_vectors

ITERATIONS = 40  # none converges sooner: that is asked of more iterations than there are
FRACTION = 0.03


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
        settle=False,
        callback=lambda iteration, exemplars: stamps.append(time.perf_counter()),
    )
    return median(np.diff(stamps))


def matrix_seconds(S: np.ndarray, preference: float) -> float:
    """Median seconds of one iteration of ours over the full matrices, as where little can be pruned."""
    S = S.copy()
    np.fill_diagonal(S, preference)
    stamps = []
    with closing(pass_messages(Messages(S, np.zeros_like(S), np.zeros_like(S)), damping=0.5)) as evidences:
        for _ in islice(evidences, 10):
            stamps.append(time.perf_counter())
    return median(np.diff(stamps))


def scikit_learn_seconds(S: np.ndarray, preference: float) -> float:
    """Median seconds of one iteration of scikit-learn's."""
    stamps: list[float] = []
    argmax = np.argmax

    def stamping_argmax(*arguments: Any, **options: Any) -> Any:
        stamps.append(time.perf_counter())
        return argmax(*arguments, **options)

    with mock.patch.object(np, "argmax", stamping_argmax):
        scikit_learn(S, preference=preference, max_iter=10, convergence_iter=10, random_state=0)
    return median(np.diff(stamps[1:11]))


def compare_iterations(S32: np.ndarray, preference: float, rounds: int) -> None:
    """Print seconds per iteration, their share of the machine's bandwidth, and the ratios."""
    engines: dict[str, Callable[[np.ndarray, float], float]] = {
        "eimf-local": our_seconds,
        "full matrices": matrix_seconds,
        "scikit-learn": scikit_learn_seconds,
    }
    S = {"float32": S32, "float64": S32.astype(np.float64)}
    for matrix in S.values():
        affinity_propagation(matrix[:600, :600], preference, max_iter=20, settle=False)  # compiled before it is timed
    bandwidth = triad_bandwidth()
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for dtype, matrix in S.items():
            for engine, seconds_of in engines.items():
                times.setdefault((engine, dtype), []).append(seconds_of(matrix, preference))
    medians = {key: median(values) for key, values in times.items()}
    print(f"seconds per iteration, n = {len(S32)}, medians of {rounds} rounds; triad {bandwidth:.1f} GB/s")
    for (engine, dtype), seconds in medians.items():
        rate = 5 * S[dtype].nbytes / seconds / 1e9  # S, R, A read and R, A written
        print(
            f"  {engine:13} {dtype}  {seconds:8.5f}  as if 5 arrays of n x n at {rate:6.1f} GB/s: "
            f"{rate / bandwidth:5.0%} of triad"
        )
    for dtype in S:
        for other in S:
            ratio = medians["scikit-learn", other] / medians["eimf-local", dtype]
            print(f"  eimf-local {dtype} is {ratio:5.0f} times as fast as scikit-learn {other}")


def compare_runs(S32: np.ndarray, preference: float) -> None:
    """Print the time of whole runs, noise, convergence and refinement included, and that their answers are equal."""
    S = S32.astype(np.float64)
    begun = time.perf_counter()
    ours = affinity_propagation(S, preference)
    ours_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    centres, labels, n_iter = scikit_learn(S, preference=preference, random_state=0, return_n_iter=True)
    seconds = time.perf_counter() - begun
    equal = np.array_equal(ours.exemplars, centres) and np.array_equal(ours.labels, labels) and ours.n_iter == n_iter
    print(
        f"whole run in float64, {len(centres)} exemplars, {n_iter} iterations: eimf-local {ours_seconds:.2f} s, "
        f"scikit-learn {seconds:.2f} s, {seconds / ours_seconds:.1f} times; exemplars and labels equal: {equal}"
    )


def all_users(T: np.ndarray, preference: float | None) -> None:
    """Print what clustering all users takes; in a process of its own, for its peak memory."""
    begun = time.perf_counter()
    problem = DenseProblem(similarities(T), random_state=0)
    ready = time.perf_counter()
    settings = Settings(0.5, 200, 15)
    if preference is None:
        found = calibrate_preference(problem, fraction=FRACTION, settings=settings)
        result, what = found.result, f"calibrated to {FRACTION:.0%} in {len(found.trials)} trials"
    else:
        result, what = problem.run(preference, settings, None), f"preference {preference}"
    done = time.perf_counter()
    print(
        f"n = {len(T)}, {what}: {done - begun:.1f} s ({ready - begun:.1f} s of them similarities and noise), "
        f"{len(result.exemplars)} exemplars ({len(result.exemplars) / len(T):.2%}), {result.n_iter} iterations, "
        f"converged: {result.converged}, peak memory {peak_memory():.2f} GB"
    )


def on_accelerator(S: np.ndarray, preference: float) -> None:
    """Print seconds per iteration and the share of the device's copy bandwidth, or that there is no device."""
    if not torch.cuda.is_available():
        print("no accelerator at hand: its engine was not timed")
        return
    S = S.copy()
    np.fill_diagonal(S, preference)
    source = torch.from_numpy(S).cuda()
    seconds: dict[str, list[float]] = {"copy": [], "iteration": []}
    with closing(pass_messages_on("cuda", S, damping=0.5)) as evidences:
        for _ in range(30):
            for name, work in (("copy", source.clone), ("iteration", lambda: next(evidences))):
                torch.cuda.synchronize()
                begun = time.perf_counter()
                work()
                torch.cuda.synchronize()
                seconds[name].append(time.perf_counter() - begun)
    copy, iteration = (median(seconds[name][5:]) for name in ("copy", "iteration"))
    share = (5 * S.nbytes / iteration) / (2 * S.nbytes / copy)
    print(f"{torch.cuda.get_device_name()}: {iteration:.6f} s per iteration, {share:.0%} of its copy bandwidth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=8000, help="points")
    parser.add_argument("--dataset", type=Path, help="prepared dataset whose users are clustered")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all", metavar="PREFERENCE", help=argparse.SUPPRESS)  # a number, or "calibrated"
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn warns that it did not converge: it was not meant to
    vectors = user_vectors(arguments.dataset) if arguments.dataset else clustered_points(arguments.n)
    if arguments.all:
        all_users(vectors, None if arguments.all == "calibrated" else float(arguments.all))
        return
    some = np.random.default_rng(0).permutation(len(vectors))[: arguments.n]
    S = similarities(vectors[some])
    preference = -1.0
    compare_iterations(S, preference, arguments.rounds)
    compare_runs(S, preference)
    on_accelerator(S, preference)
    if arguments.dataset:
        for choice in ("-1", "calibrated"):
            subprocess.run(
                [sys.executable, "-m", __spec__.name, "--dataset", str(arguments.dataset), f"--all={choice}"],
                check=True,
            )


if __name__ == "__main__":
    main()
