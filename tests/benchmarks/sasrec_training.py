"""SASRec with full cross-entropy beside RecBole 1.2.1's.

``python -m tests.benchmarks.sasrec_training --dataset DIR --python P``: DIR is a prepared dataset, P the Python of an
environment of its own that RecBole is installed in (``make bench-recbole`` makes one). Both train on the same samples
in the same order and batches, drawn by our sampler, with the same dimensions, layers, dropout, loss and learning rate,
from weights of the same distribution (RecBole's: N(0, .02), biases 0), in turn; RecBole's trainer is handed its batches
ready-made. Then both rank for the test users, and our evaluator judges both. Exit status 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import eimf_local  # noqa: F401  (process-wide switches: before torch loads)

# isort: split
import numpy as np
import torch

from eimf_local.config import LossConfig, load_config
from eimf_local.evaluation.metrics import per_user
from eimf_local.evaluation.protocol import histories_of, labels_of, top_k
from eimf_local.evaluation.significance import mean_interval, paired_difference
from eimf_local.ibim.registry import build_backbone
from eimf_local.stages.datasets import open_dataset
from eimf_local.training.loop import make_optimizer, training_step
from eimf_local.training.memory import keep_freed_memory
from eimf_local.training.objective import build_objective
from eimf_local.training.sampling import Batch, BatchSampler, pack
from tests.benchmarks.bars import Bars

BATCH, LENGTH, ROUND = 128, 20, 50  # samples a step, items of history, steps in a turn


class Worker:
    """RecBole in its own process, spoken to over its stdin and stdout."""

    def __init__(self, python: Path, data: Path, threads: int) -> None:
        command = [str(python.absolute()), str(Path(__file__).with_name("recbole_worker.py")), str(data), str(threads)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=data.parent,
        )
        self._answer_after("ready")

    def ask(self, command: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def _answer_after(self, expected: str) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.strip() == expected:
                return
        raise SystemExit("RecBole did not start: run tests/benchmarks/recbole_worker.py by hand to see why")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    dataset = open_dataset(options.dataset, load_config())
    test = dataset.split.test
    histories = histories_of(dataset.data, test, max_length=LENGTH)
    batches = _draw(pack(dataset.data, dataset.split), options.steps)
    with tempfile.TemporaryDirectory() as folder:
        data, ranking = Path(folder) / "data.npz", Path(folder) / "ranking.npy"
        _store(data, batches, histories, dataset.data.n_items)
        worker = Worker(options.python, data, options.threads)
        ranked, seconds = _train(batches, torch.from_numpy(histories), dataset.data.n_items, worker)
        worker.ask(f"rank {ranking}")
        rankings = {"eimf-local": ranked, "RecBole 1.2.1": np.load(ranking)}
    return _compare(rankings, seconds, labels_of(dataset.data, test))


def _draw(sequences, steps: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    sampler = BatchSampler(sequences, batch_size=BATCH, max_length=LENGTH, generator=generator)
    return [sampler.draw() for _ in range(steps)]


def _store(data: Path, batches: list[Batch], histories: np.ndarray, n_items: int) -> None:
    history = torch.cat([batch.history for batch in batches])
    np.savez(
        data,
        history=history.numpy(),
        length=(history > 0).sum(1).numpy(),
        target=torch.cat([batch.target for batch in batches]).numpy(),
        test_history=histories,
        test_length=(histories > 0).sum(1),
        items=n_items,
    )


def _train(batches: list[Batch], histories: torch.Tensor, n_items: int, worker: Worker):
    """Both in turn; our ranking of the test users, and the seconds a step of each turn by name."""
    torch.manual_seed(0)
    backbone = build_backbone("sasrec", n_items=n_items, dim=64, interests=1, max_length=LENGTH, dropout=0.2)
    with torch.no_grad():
        for parameter in (p for p in backbone.parameters() if p.dim() > 1):
            parameter.normal_(std=0.02)
        backbone.item_embedding.weight[0] = 0
    objective = build_objective(backbone, loss=LossConfig(kind="full").model_dump(), objective={})
    optimizer = make_optimizer(backbone, objective, learning_rate=1e-3)
    generator = torch.Generator().manual_seed(0)
    seconds: dict[str, list[float]] = {"eimf-local": [], "RecBole 1.2.1": []}
    for at in range(0, len(batches), ROUND):
        turn = batches[at : at + ROUND]
        begun = time.perf_counter()
        for batch in turn:
            training_step(backbone, objective, optimizer, batch, generator)
        seconds["eimf-local"].append((time.perf_counter() - begun) / len(turn))
        seconds["RecBole 1.2.1"].append(float(worker.ask(f"train {at} {at + len(turn)}")) / len(turn))
    return top_k(backbone, histories, k=50), seconds


def _compare(rankings: dict[str, np.ndarray], seconds: dict[str, list[float]], labels: list[np.ndarray]) -> int:
    values = {name: per_user(ranked, labels, cutoffs=(20, 50)) for name, ranked in rankings.items()}
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        found = {metric: mean_interval(values[name][metric][None]) for metric in ("Recall@20", "Recall@50", "HR@50")}
        told = ", ".join(f"{metric} {i.mean:.4f} [{i.low:.4f}, {i.high:.4f}]" for metric, i in found.items())
        print(f"{name:13s} {median * 1e3:6.1f} ms a step, {BATCH / median:6.0f} samples/s; {told}")
    bars = Bars()
    turns = zip(seconds["RecBole 1.2.1"], seconds["eimf-local"], strict=True)
    bars.at_least("training throughput over RecBole's", statistics.median(a / b for a, b in turns), 2, "times")
    for metric in ("Recall@50", "HR@50"):
        difference = paired_difference(*(values[name][metric][None] for name in rankings))
        print(f"{metric}: ours less RecBole's {difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]")
        bars.at_least(f"{metric}, upper end of that interval", difference.high, 0, "(not below by more than noise)")
    return bars.exit_status()


if __name__ == "__main__":
    sys.exit(main())
