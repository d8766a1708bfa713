"""Recommendation beside torch brute force, in one run: ``python -m tests.benchmarks.serving [--run RUN]``.

A REMI of K = 4 over 12,101 and over a million items, its vectors and the users' histories drawn at random: the hardest
case for an approximate index, since nothing clusters. Ours is the whole of ``Recommender.for_users``, from user id to
titles; brute force is the same encoder, all scores, their maximum over interests, and ``torch.topk``, without titles.
Both have the same threads. One user: medians and 99th percentiles, calls in turn. Batch: users a second, best of three.
With --run, the command line on that run, from start to answer. Exit status 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import eimf_local  # noqa: F401  (process-wide switches: before torch loads)

# isort: split
import faiss
import numpy as np
import polars as pl
import torch

from eimf_local.data.dataset import Int64
from eimf_local.ibim.backbone import Backbone
from eimf_local.ibim.registry import build_backbone
from eimf_local.serving.recommend import CATALOGUE, Recommender
from eimf_local.training.memory import keep_freed_memory
from tests.benchmarks.bars import Bars
from tests.benchmarks.machine import peak_memory

K, LENGTH = 20, 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", type=Path, help="a trained run, to time the command line on")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    keep_freed_memory()  # for brute force: its scores are freed and wanted again with every call
    bars = Bars()
    _compare(12_101, bars, singles=300, batch=1024, faster=None)
    _compare(1_000_000, bars, singles=100, batch=128, faster=10)
    print(f"peak memory {peak_memory():.2f} GB")
    if options.run:
        bars.at_most("the command line, from start to answer", _command_line(options.run), 2, "s")
    return bars.exit_status()


def _compare(n_items: int, bars: Bars, *, singles: int, batch: int, faster: float | None) -> None:
    backbone = build_backbone("remi", n_items=n_items, dim=64, interests=4, max_length=LENGTH).eval()
    histories = np.random.default_rng(0).integers(1, n_items + 1, size=(batch, LENGTH))
    names = [str(item) for item in range(1, n_items + 1)]
    begun = time.perf_counter()
    users = {str(user): history.tolist() for user, history in enumerate(histories)}
    recommender = Recommender(backbone, names, names, users, expected_users=batch)
    print(f"N = {n_items:,}: ready in {time.perf_counter() - begun:.1f} s")

    def ours(chosen: list[int]) -> Int64:
        found = recommender.for_users([str(user) for user in chosen], k=K)
        return np.array([[int(r.item) for r in row] for row in found])

    def brute(chosen: list[int]) -> Int64:
        return _brute_force(backbone, histories[chosen])

    everyone = list(range(batch))
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(brute(everyone), ours(everyone), strict=True)])
    calls = {"eimf-local": ours, "brute force": brute}
    single: dict[str, list[float]] = {name: [] for name in calls}
    for user in range(singles):
        for name, call in calls.items():
            single[name].append(_seconds(call, [user % batch]))
    rates = {name: batch / min(_seconds(call, everyone) for _ in range(3)) for name, call in calls.items()}
    for name, times in single.items():
        p50, p99 = np.percentile(times, [50, 99]) * 1e3
        print(f"  {name:11s} one user p50 {p50:6.2f} ms, p99 {p99:6.2f} ms; {batch} users: {rates[name]:7.0f} users/s")
    ratio = np.median(single["brute force"]) / np.median(single["eimf-local"])
    bars.at_least("  in batch, users/s over brute force's", rates["eimf-local"] / rates["brute force"], 1, "times")
    bars.at_least("  recall of the exact top 20", float(recall), 0.98, "of them")
    if faster is None:
        print(f"  one user, brute force's time over ours: {ratio:.2f} (no bar)")
    else:
        bars.at_least("  one user, brute force's time over ours", float(ratio), faster, "times")


@torch.no_grad()
def _brute_force(backbone: Backbone, histories: Int64) -> Int64:
    padded = torch.from_numpy(histories)
    interests, items = backbone.encode(padded, padded > 0), backbone.item_vectors()[1:]  # [n, 4, D], [N, D]
    scores = interests[:, 0] @ items.T
    for interest in interests.unbind(1)[1:]:
        torch.maximum(scores, interest @ items.T, out=scores)
    return scores.topk(K).indices.numpy() + 1


def _seconds(call: Callable[[list[int]], Int64], users: list[int]) -> float:
    begun = time.perf_counter()
    call(users)
    return time.perf_counter() - begun


def _command_line(run: Path) -> float:
    """Best of three: seconds of ``eimf-local recommend --history`` of one item, in a process of its own."""
    item = pl.read_parquet(run / CATALOGUE)["item"][0]
    command = [sys.executable, "-m", "eimf_local_cli", "recommend", "--run", str(run), "--history", item, "--json"]
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


if __name__ == "__main__":
    sys.exit(main())
