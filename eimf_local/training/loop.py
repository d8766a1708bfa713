"""The training loop: Adam, early stopping on valid Recall@50, checkpoints from which a run resumes bit for bit.

Two runs of equal (configuration, data, seed, threads, device, torch version) give equal bits, interrupted or not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError, TrainingError
from ..ibim.backbone import Backbone
from .checkpoint import Checkpoint, damaged, load_checkpoint, save_checkpoint
from .deferred_adam import DeferredAdam
from .objective import JointObjective, Terms
from .sampling import Batch, BatchSampler, PackedSequences

CRITERION = "Recall@50"
DEFERRED_FROM = 100_000  # items from which a step over the rows it touches is quicker than one over all
REPORT_EVERY = 20  # steps between progress reports, and between checks that the loss is finite
GUESSING = 0.01  # relative distance from the loss of guessing within which nothing has been learned yet

Validate = Callable[[Backbone], Mapping[str, float]]
StoppedBy = Literal["patience", "max_steps", "guessing", "closed form"]


class Progress(NamedTuple):
    """What a callback learns, every :data:`REPORT_EVERY` steps and at every evaluation point.

    ``terms``: mean loss terms since the last evaluation point; ``valid``: metrics at an evaluation point, else None.
    """

    step: int
    max_steps: int
    terms: dict[str, float]
    valid: dict[str, float] | None


@dataclass(frozen=True)
class TrainingResult:
    """How training went; the backbone carries the weights of ``best_step``.

    ``best_valid``: the metrics there. ``steps``: steps taken. ``stopped_by``: "guessing" where the recommendation loss
    was still that of equal scores for all items after the last of ``max_steps``. ``curves``: per evaluation point a
    dict of "step", "seconds" (since the start, over all resumptions), "terms" (mean loss terms since the point before)
    and "valid".
    """

    best_step: int
    best_valid: dict[str, float]
    steps: int
    stopped_by: StoppedBy
    curves: list[dict[str, Any]]


@dataclass
class Counters:
    """The part of a run's state that is no tensor."""

    step: int = 0
    best_step: int = 0
    best_valid: dict[str, float] = field(default_factory=dict)
    evaluations_since_best: int = 0
    seconds: float = 0.0
    curves: list[dict[str, Any]] = field(default_factory=list)


def fit(  # noqa: PLR0913  (keyword-only: the settings of TrainConfig by name)
    *,
    backbone: Backbone,
    objective: JointObjective | None,
    sequences: PackedSequences,
    validate: Validate,
    learning_rate: float,
    batch_size: int,
    max_steps: int,
    evaluate_every: int,
    patience: int,
    seed: int,
    device: str,
    work: Path,
    identity: str,
    callback: Callable[[Progress], None] | None = None,
) -> TrainingResult:
    """Train ``backbone`` in place, resuming from ``work`` if it holds a checkpoint of ``identity``.

    Args:
        backbone: moved to ``device``; at the end it carries the best weights. One that is not trainable is fitted in
            closed form and evaluated once.
        objective: its loss; None only for a backbone that is not trainable.
        sequences: the training users'.
        validate: metrics of the valid users, with "Recall@50" among them. Called in evaluation mode without
            gradients; it must not depend on anything but the backbone.
        learning_rate, batch_size: Adam's, and B.
        max_steps, evaluate_every, patience: stop after so many steps, or after ``patience`` evaluation points in a
            row without a strictly better Recall@50. Points before the recommendation loss leaves that of guessing do
            not count: a narrow item table can stay there for thousands of steps while the alignment draws it, and
            what recall there is until then is chance.
        seed: of batches, negatives and dropout. The initial weights are the caller's.
        work: folder of this run's checkpoints alone. It stays; delete it once the result is stored.
        identity: digest of everything that determines the run, the initial weights and the data included.
        callback: receives :class:`Progress`.

    Raises:
        ArtifactError: the checkpoint in ``work`` is damaged or another run's.
        ConfigError: this machine has no such ``device``.
        InputError: no user can be trained on.
        StorageError: a checkpoint could not be written; the one before stands.
        TrainingError: the loss is not finite.
        KeyboardInterrupt: passed on; a later call goes on from the last evaluation point.
    """
    place = usable_device(device)
    backbone.to(place)
    if objective is None or not backbone.trainable:
        return _fit_statistics(backbone, sequences.to(place), validate)
    objective.to(place)
    report = callback or _ignore
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):  # the run owns dropout's generator
        torch.manual_seed(seed)
        generator = torch.Generator(place).manual_seed(seed)
        sampler = BatchSampler(
            sequences.to(place), batch_size=batch_size, max_length=backbone.max_length, generator=generator
        )
        run = _Run(backbone, objective, sampler, generator, learning_rate)
        run.resume(load_checkpoint(work, identity))
        while run.counters.step < max_steps and run.counters.evaluations_since_best < patience:
            until = min(max_steps, (run.counters.step // evaluate_every + 1) * evaluate_every)
            terms = run.advance(until, lambda step, terms: report(Progress(step, max_steps, terms, None)))
            run.evaluate(validate, terms)
            save_checkpoint(work, identity=identity, step=until, tensors=run.tensors(), counters=asdict(run.counters))
            report(Progress(until, max_steps, terms, run.counters.curves[-1]["valid"]))
        return run.finish(patience)


def usable_device(name: str) -> torch.device:
    """The device of that name, tried out; a :class:`~eimf_local.errors.ConfigError` where this machine has none."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(f"no usable device {name!r} on this machine", hint="set train.device to cpu") from None
    return device


def make_optimizer(
    backbone: Backbone, objective: JointObjective, *, learning_rate: float, deferred: bool | None = None
) -> torch.optim.Adam:
    """Adam over both modules, fused: a third of the time of the other forms on the CPU.

    ``deferred`` leaves the item table's untouched rows alone (:class:`DeferredAdam`); by default where the loss is
    sampled and the table has at least :data:`DEFERRED_FROM` rows.
    """
    parameters = [p for module in (backbone, objective) for p in module.parameters() if p.requires_grad]
    if deferred is None:
        deferred = objective.recommendation.kind == "sampled" and backbone.n_items >= DEFERRED_FROM
    if not deferred:
        return torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    optimizer = DeferredAdam(parameters, table=backbone.item_embedding.weight, lr=learning_rate)
    backbone.before_lookup = optimizer.refresh
    return optimizer


def training_step(
    backbone: Backbone,
    objective: JointObjective,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    generator: torch.Generator,
) -> Terms:
    """One update; returns the detached loss terms, still on the device."""
    total, terms = objective(backbone, batch, generator)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    optimizer.step()
    return dict(terms)


class _Run:
    """A run's whole state: modules, optimiser, generators, best weights, counters."""

    def __init__(
        self,
        backbone: Backbone,
        objective: JointObjective,
        sampler: BatchSampler,
        generator: torch.Generator,
        learning_rate: float,
    ) -> None:
        self.backbone = backbone.train()
        self.objective = objective.train()
        self.sampler = sampler
        self.generator = generator
        self.optimizer = make_optimizer(backbone, objective, learning_rate=learning_rate)
        self.best: dict[str, Tensor] = {}
        self.counters = Counters()
        self._guess = objective.recommendation.of_guessing(backbone.n_items)

    def advance(self, until: int, report: Callable[[int, dict[str, float]], None]) -> dict[str, float]:
        """Train up to step ``until``; returns the mean loss terms."""
        begin, first = time.perf_counter(), self.counters.step
        sums: dict[str, float] = {}
        while self.counters.step < until:
            rows = self._train(min(REPORT_EVERY, until - self.counters.step))
            for name, values in rows.items():
                sums[name] = sums.get(name, 0.0) + sum(values)
            means = {name: value / (self.counters.step - first) for name, value in sums.items()}
            report(self.counters.step, means)
        if isinstance(self.optimizer, DeferredAdam):
            self.optimizer.settle()
        self.counters.seconds += time.perf_counter() - begin
        return means

    def evaluate(self, validate: Validate, terms: dict[str, float]) -> None:
        """Metrics of the current weights; remembers them if they are the best so far."""
        begin, counters = time.perf_counter(), self.counters
        self.backbone.eval()
        with torch.no_grad():
            valid = {name: float(value) for name, value in validate(self.backbone).items()}
        self.backbone.train()
        if not self._guesses(terms):
            counters.evaluations_since_best += 1
        if not counters.best_valid or valid[CRITERION] > counters.best_valid[CRITERION]:
            counters.best_step, counters.best_valid, counters.evaluations_since_best = counters.step, valid, 0
            self.best = {name: tensor.clone() for name, tensor in self._weights().items()}
        counters.seconds += time.perf_counter() - begin
        point = {"step": counters.step, "seconds": counters.seconds, "terms": terms, "valid": valid}
        counters.curves.append(point)

    def finish(self, patience: int) -> TrainingResult:
        """Put the best weights in place."""
        stopped_by: StoppedBy = "max_steps"
        if self.counters.evaluations_since_best >= patience:
            stopped_by = "patience"
        elif self._guesses(self.counters.curves[-1]["terms"]):
            stopped_by = "guessing"
        self.backbone.before_lookup = None
        self._load_weights(self.best)
        self.backbone.eval()
        found = self.counters
        return TrainingResult(found.best_step, found.best_valid, found.step, stopped_by, found.curves)

    def tensors(self) -> dict[str, Tensor]:
        """Everything to be stored, by name."""
        stored = {f"now.{name}": tensor for name, tensor in self._weights().items()}
        stored |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            stored |= {f"adam.{index}.{name}": tensor for name, tensor in state.items()}
        stored["generator.batches"] = self.generator.get_state()
        stored["generator.global"] = torch.get_rng_state()
        if self.generator.device.type == "cuda":
            stored["generator.cuda"] = torch.cuda.get_rng_state(self.generator.device)
        return stored

    def resume(self, checkpoint: Checkpoint | None) -> None:
        """Take a stored state over; one that does not fit is an :class:`~eimf_local.errors.ArtifactError`."""
        if checkpoint is None:
            return
        try:
            stored = checkpoint.tensors
            self._load_weights(_part(stored, "now."))
            self.best = {name: tensor.to(self.generator.device) for name, tensor in _part(stored, "best.").items()}
            self._load_adam(_part(stored, "adam."))
            self.generator.set_state(stored["generator.batches"])
            torch.set_rng_state(stored["generator.global"])
            if self.generator.device.type == "cuda":
                torch.cuda.set_rng_state(stored["generator.cuda"], self.generator.device)
            self.counters = Counters(**checkpoint.counters)
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise damaged(checkpoint.path) from None

    def _guesses(self, terms: Mapping[str, float]) -> bool:
        """Whether the mean recommendation loss is still that of equal scores for all items."""
        return math.isclose(terms["recommendation"], self._guess, rel_tol=GUESSING)

    def _train(self, count: int) -> dict[str, list[float]]:
        """``count`` steps; their loss terms. Read from the device once, so that it is not stalled at every step."""
        rows = []
        for _ in range(count):
            terms = training_step(self.backbone, self.objective, self.optimizer, self.sampler.draw(), self.generator)
            rows.append(torch.stack(list(terms.values())))
        columns = dict(zip(terms, torch.stack(rows).T.tolist(), strict=True))
        _check_finite(columns, self.counters.step)
        self.counters.step += count
        return columns

    def _weights(self) -> dict[str, Tensor]:
        parts = {"backbone": self.backbone, "objective": self.objective}
        return {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}

    def _load_weights(self, weights: Mapping[str, Tensor]) -> None:
        self.backbone.load_state_dict(_part(weights, "backbone."))
        self.objective.load_state_dict(_part(weights, "objective."))

    def _load_adam(self, stored: Mapping[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in stored.items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = tensor
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})


def _fit_statistics(backbone: Backbone, sequences: PackedSequences, validate: Validate) -> TrainingResult:
    """A backbone without gradient descent: fitted from counts, evaluated once, at step 0."""
    begin = time.perf_counter()
    backbone.fit_statistics(sequences.sequence, sequences.starts, sequences.lengths)
    backbone.eval()
    with torch.no_grad():
        valid = {name: float(value) for name, value in validate(backbone).items()}
    seconds = time.perf_counter() - begin
    curves: list[dict[str, Any]] = [{"step": 0, "seconds": seconds, "terms": {}, "valid": valid}]
    return TrainingResult(best_step=0, best_valid=valid, steps=0, stopped_by="closed form", curves=curves)


def _check_finite(columns: Mapping[str, list[float]], before: int) -> None:
    """Raise for the first step of a report whose loss is no finite number."""
    for row, loss in enumerate(columns["loss"]):
        if not math.isfinite(loss):
            broken = [name for name, values in columns.items() if name != "loss" and not math.isfinite(values[row])]
            raise TrainingError(
                f"the loss is {loss} at step {before + row + 1} (term: {', '.join(broken) or 'their sum'})",
                hint="lower train.learning_rate, or loss.routing_weight and loss.hard_negative_beta, and train again",
            )


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _ignore(progress: Progress) -> None:
    """The callback of a caller who wants none."""
