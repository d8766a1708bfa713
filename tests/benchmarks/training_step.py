"""Median time of a training step on synthetic data of a data set's shape: ``python -m tests.benchmarks.training_step``.

Prints REMI and EIMF(REMI) at 1 and 2 threads, in alternating rounds; the defaults have the shape of Office. Exit
status 1 if a limit (15 ms, 45 ms, best thread count) is missed. Needs quiet cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import eimf_local  # noqa: F401  (process-wide switches: before torch loads)

# isort: split
import torch

from eimf_local.alignment.semantic_inputs import SemanticInputs
from eimf_local.config import LossConfig, ObjectiveConfig
from eimf_local.ibim.registry import build_backbone
from eimf_local.training.loop import make_optimizer, training_step
from eimf_local.training.objective import build_objective
from eimf_local.training.sampling import BatchSampler, PackedSequences

LIMITS_MS = {"remi": 15.0, "eimf(remi)": 45.0}


def main() -> int:
    """Measure, print one line per model and thread count, and compare with the limits."""
    options = _options()
    best: dict[str, float] = {}
    for threads in options.threads:
        torch.set_num_threads(threads)
        for name, milliseconds in _measure(options).items():
            print(f"{name:12s} threads {threads}  {milliseconds:7.2f} ms/step")
            best[name] = min(best.get(name, milliseconds), milliseconds)
    print(f"ratio {best['eimf(remi)'] / best['remi']:.2f}")
    missed = [name for name, limit in LIMITS_MS.items() if best[name] > limit]
    print(f"limits {LIMITS_MS}: {'missed by ' + ', '.join(missed) if missed else 'kept'}")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {
        "users": 3924, "items": 2420, "length": 20, "mean-history": 11, "exemplars": 105, "interests": 12,
        "text-dim": 384, "dim": 64, "batch": 128, "negatives": 1280, "steps": 100, "rounds": 5,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> dict[str, float]:
    """Median milliseconds of a step of each model, over all rounds."""
    steps = {"remi": _stepper(options, None), "eimf(remi)": _stepper(options, _semantic_inputs(options))}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(20):
            step()
    for _ in range(options.rounds):
        for name, step in steps.items():
            for _ in range(options.steps):
                begin = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) * 1e3 for name, values in times.items()}


def _stepper(options: argparse.Namespace, inputs: SemanticInputs | None) -> Callable[[], object]:
    backbone = build_backbone("remi", n_items=options.items, dim=options.dim, interests=4, max_length=options.length)
    loss = LossConfig(negatives=options.negatives).model_dump()
    objective = build_objective(
        backbone, loss=loss, objective=ObjectiveConfig().model_dump(), semantic_inputs=inputs, seed=0
    )
    generator = torch.Generator().manual_seed(0)
    sampler = BatchSampler(
        _sequences(options), batch_size=options.batch, max_length=options.length, generator=generator
    )
    optimizer = make_optimizer(backbone, objective, learning_rate=1e-3)
    return lambda: training_step(backbone, objective, optimizer, sampler.draw(), generator)


def _sequences(options: argparse.Namespace) -> PackedSequences:
    """Lengths of at least 5 with an exponential tail, items by a power law: the shape of a 5-core Amazon set."""
    generator = torch.Generator().manual_seed(1)
    tail = torch.empty(options.users).exponential_(1 / max(options.mean_history - 5.0, 1e-3), generator=generator)
    lengths = 5 + tail.long()
    popularity = torch.arange(1, options.items + 1, dtype=torch.float64) ** -0.7
    sequence = 1 + torch.multinomial(popularity, int(lengths.sum()), replacement=True, generator=generator)
    return PackedSequences(sequence, lengths.cumsum(0) - lengths, lengths)


def _semantic_inputs(options: argparse.Namespace) -> SemanticInputs:
    generator = torch.Generator().manual_seed(2)
    interests = torch.randn(options.exemplars, options.interests, options.text_dim, generator=generator)
    counts = torch.randint(1, options.interests + 1, (options.exemplars, 1), generator=generator)
    return SemanticInputs(
        item_text=torch.randn(options.items + 1, options.text_dim, generator=generator) * options.text_dim**-0.5,
        interests=interests * options.text_dim**-0.5,
        mask=torch.arange(options.interests) < counts,
        cluster=torch.randint(0, options.exemplars, (options.users,), generator=generator),
    )


if __name__ == "__main__":
    sys.exit(main())
