"""Time of a training step on synthetic data of Beauty's shape: ``python -m tests.benchmarks.training_step``.

REMI and EIMF(REMI) in alternating rounds, at each thread count and, where there is one, on a CUDA device. Beside them:
their matrix products alone, taken from a step and repeated, and the same step over almost nothing (8 samples, 16
negatives, 8 dimensions), which is what Python and dispatch cost, and all that several seeds in one run could share.
Then REMI's step over larger catalogues, with Adam over the whole item table and with deferred updates, and the steps of
the sequence models over real positions only and over padding, too. Exit status 1 if a bar is missed. Needs quiet cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import eimf_local  # noqa: F401  (process-wide switches: before torch loads)

# isort: split
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from eimf_local.alignment.semantic_inputs import SemanticInputs
from eimf_local.config import LossConfig, ObjectiveConfig
from eimf_local.ibim import gru4rec, positions
from eimf_local.ibim.registry import build_backbone
from eimf_local.training.loop import make_optimizer, training_step
from eimf_local.training.memory import keep_freed_memory
from eimf_local.training.objective import build_objective
from eimf_local.training.sampling import BatchSampler, PackedSequences
from tests.benchmarks.bars import Bars

# Milliseconds of a REMI step, and how many of them an EIMF(REMI) step may take.
BARS = {"cpu": (6.0, 2.5), "cuda": (0.4, 1.5)}
PRODUCTS = ("_linear_pointwise", "::mm", "::bmm", "::addmm", "::baddbmm")
CATALOGUES = (12_101, 50_000, 200_000, 1_000_000)
TINY = {"batch": 8, "negatives": 16, "dim": 8, "items": 200, "text_dim": 8}

Step = Callable[[], object]


def main() -> int:
    """Measure, print, and compare with the bars."""
    options = _options()
    keep_freed_memory()
    bars = Bars()
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        best: dict[str, float] = {}
        for threads in options.threads if device == "cpu" else [1]:
            torch.set_num_threads(threads)
            times = _measure(options, device)
            _tell(f"{device}, {threads} thread{'s' * (threads > 1)}", times)
            best = {name: min(value, best.get(name, value)) for name, value in times.items()}
        limit, factor = BARS[device]
        bars.at_most(f"{device}: REMI step", best["remi"], limit, "ms")
        bars.at_most(f"{device}: EIMF(REMI) over REMI", best["eimf"] / best["remi"], factor, "times")
    _compare_optimizers(options)
    _compare_padding(options)
    if not torch.cuda.is_available():
        print("no CUDA device at hand: its bars were not checked")
    return bars.exit_status()


def _tell(where: str, times: dict[str, float]) -> None:
    for name, label in (("remi", "REMI"), ("eimf", "EIMF(REMI)")):
        whole, products, tiny = (times[f"{name}{part}"] for part in ("", " products", " tiny"))
        print(
            f"{where}: {label:10s} {whole:6.2f} ms a step; its matrix products alone {products:5.2f} ms "
            f"({products / whole:4.0%}); over almost nothing {tiny:5.2f} ms ({tiny / whole:4.0%})"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {
        "users": 17890, "items": 12101, "length": 20, "mean-history": 9, "exemplars": 372, "interests": 12,
        "text-dim": 384, "dim": 64, "batch": 128, "negatives": 1280, "steps": 60, "rounds": 5,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    return parser.parse_args()


def _measure(options: argparse.Namespace, device: str) -> dict[str, float]:
    """Median milliseconds over all rounds: "remi", "eimf", and of each " products" and " tiny"."""
    tiny = argparse.Namespace(**vars(options) | TINY)
    steps: dict[str, Step] = {}
    for name, semantic in (("remi", False), ("eimf", True)):
        steps[name] = _stepper(options, device, semantic=semantic)
        steps[f"{name} products"] = _products(steps[name])
        steps[f"{name} tiny"] = _stepper(tiny, device, semantic=semantic)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(20):
            step()
    for _ in range(options.rounds):
        for name, step in steps.items():
            for _ in range(options.steps):
                times[name].append(_seconds(step, device))
    return {name: statistics.median(values) * 1e3 for name, values in times.items()}


def _seconds(step: Step, device: str) -> float:
    begin = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _products(step: Step) -> Step:
    """The matrix products of one step, on the tensors it had: what no trainer can do without."""
    calls: list[tuple[Any, Any, Any]] = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if any(name in func.name() for name in PRODUCTS):
                calls.append((func, args, kwargs or {}))
            return func(*args, **(kwargs or {}))

    step()
    with Recorder():
        step()

    def repeat() -> None:
        with torch.no_grad():
            for func, args, kwargs in calls:
                func(*args, **kwargs)

    return repeat


def _compare_optimizers(options: argparse.Namespace) -> None:
    """Print the step with Adam over all rows and over those that are read, whose crossing is DEFERRED_FROM."""
    torch.set_num_threads(1)
    for n_items in CATALOGUES:
        larger = argparse.Namespace(**vars(options) | {"items": n_items})
        steps = {deferred: _stepper(larger, "cpu", semantic=False, deferred=deferred) for deferred in (False, True)}
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(10):
            for deferred, step in steps.items():
                times[deferred] += [_seconds(step, "cpu") for _ in range(3)]
        whole, deferred = (statistics.median(times[key][6:]) * 1e3 for key in (False, True))
        print(f"N = {n_items:,}: REMI step, Adam over all rows {whole:.2f} ms, deferred {deferred:.2f} ms")


def _compare_padding(options: argparse.Namespace) -> None:
    """Print the steps of sequence models with padding left out, as the CPU does, and computed, as devices do."""
    steps = {name: _stepper(options, "cpu", semantic=False, name=name) for name in ("gru4rec", "sasrec", "bert4rec")}
    for name, step in steps.items():
        times: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(10):
            for pays in times:
                with (
                    mock.patch.multiple(positions, packing_pays=lambda device, pays=pays: pays),
                    mock.patch.multiple(gru4rec, packing_pays=lambda device, pays=pays: pays),
                ):
                    times[pays] += [_seconds(step, "cpu") for _ in range(5)]
        packed, padded = (statistics.median(times[pays][10:]) * 1e3 for pays in (True, False))
        print(f"{name}: step {packed:.2f} ms over real positions, {padded:.2f} ms over padding, too")


def _stepper(
    options: argparse.Namespace, device: str, *, semantic: bool, deferred: bool = False, name: str = "remi"
) -> Step:
    backbone = build_backbone(name, n_items=options.items, dim=options.dim, interests=4, max_length=options.length)
    objective = build_objective(
        backbone,
        loss=LossConfig(negatives=options.negatives).model_dump(),
        objective=ObjectiveConfig().model_dump(),
        semantic_inputs=_semantic_inputs(options) if semantic else None,
        seed=0,
    )
    backbone.to(device), objective.to(device)
    generator = torch.Generator(device).manual_seed(0)
    sequences = _sequences(options).to(device)
    sampler = BatchSampler(sequences, batch_size=options.batch, max_length=options.length, generator=generator)
    optimizer = make_optimizer(backbone, objective, learning_rate=1e-3, deferred=deferred)
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
    """Exemplars with half as many interests as there may be, or more, as the reference interests have."""
    generator = torch.Generator().manual_seed(2)
    interests = torch.randn(options.exemplars, options.interests, options.text_dim, generator=generator)
    counts = torch.randint(options.interests // 2, options.interests + 1, (options.exemplars, 1), generator=generator)
    return SemanticInputs(
        item_text=torch.randn(options.items + 1, options.text_dim, generator=generator) * options.text_dim**-0.5,
        interests=interests * options.text_dim**-0.5,
        mask=torch.arange(options.interests) < counts,
        cluster=torch.randint(0, options.exemplars, (options.users,), generator=generator),
    )


if __name__ == "__main__":
    sys.exit(main())
