"""Full evaluation of a prepared data set's test users: ``python -m tests.benchmarks.evaluation --dataset DIR``.

A REMI of K = 4 with its initial weights ranks the whole catalogue for every test user, and all metrics at all cut-offs
are computed: medians of five, and beside it the same ranking over one users x items matrix. Then ``eimf-local train``
with each backbone in --backbones in a process of its own, for its peak memory. Exit status 1 if a bar is missed; the
bars are for Beauty.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import eimf_local  # noqa: F401  (process-wide switches: before torch loads)

# isort: split
import torch

from eimf_local.config import load_config
from eimf_local.evaluation.metrics import per_user
from eimf_local.evaluation.protocol import histories_of, labels_of, top_k
from eimf_local.ibim.registry import build_backbone
from eimf_local.stages.datasets import open_dataset
from eimf_local.training.memory import keep_freed_memory
from tests.benchmarks.bars import Bars
from tests.benchmarks.machine import peak_memory

PEAK = """
import sys
from eimf_local_cli.app import app
from tests.benchmarks.machine import peak_memory
try:
    app()
finally:
    print(peak_memory())
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backbones", nargs="*", default=["remi"], help="those trained for their peak memory")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    bars = Bars()
    dataset = open_dataset(options.dataset, load_config())
    test, data = dataset.split.test, dataset.data
    backbone = build_backbone("remi", n_items=data.n_items, dim=64, interests=4, max_length=20).eval()
    histories, labels = torch.from_numpy(histories_of(data, test, max_length=20)), labels_of(data, test)
    ranked = top_k(backbone, histories, k=50)
    seconds = {
        "ranking in blocks": _median(lambda: top_k(backbone, histories, k=50)),
        "metrics": _median(lambda: per_user(ranked, labels)),
    }
    print(f"peak memory so far {peak_memory():.2f} GB")
    seconds["ranking over one users x items matrix"] = _median(
        lambda: top_k(backbone, histories, k=50, block=len(labels))
    )
    print(f"peak memory with the matrix {peak_memory():.2f} GB")
    for name, value in seconds.items():
        print(f"{name}: {value:.3f} s")
    whole = seconds["ranking in blocks"] + seconds["metrics"]
    bars.at_most(f"full evaluation of {len(labels):,} test users over {data.n_items:,} items", whole, 1.5, "s")
    for name in options.backbones:
        bars.at_most(f"peak memory of training and evaluating {name}", _training_peak(options.dataset, name), 3, "GB")
    return bars.exit_status()


def _median(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def _training_peak(dataset: Path, backbone: str) -> float:
    """GB of a short training run, whose parts are those of a long one."""
    with tempfile.TemporaryDirectory() as folder:
        steps = [f"--set=train.{name}=50" for name in ("max_steps", "evaluate_every")]
        arguments = ["train", "--dataset", str(dataset), "--backbone", backbone, *steps, "--out", f"{folder}/run"]
        run = subprocess.run(
            [sys.executable, "-c", PEAK, *arguments],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    return float(run.stdout.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
