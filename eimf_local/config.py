"""Settings: preset TOML, then ``--set section.key=value``, then frozen models that refuse what they do not know.

One model per stage. A stage hands its values on as flat keyword arguments; no module sees another's config.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import ConfigError, unknown_name


class Section(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PrepareConfig(Section):
    """Filtering (SPEC section 2): minimum counts, one pass each unless ``iterate``."""

    min_item_count: int = Field(5, ge=1)
    min_user_count: int = Field(5, ge=1)
    iterate: bool = False


class SplitConfig(Section):
    """Who is trained on and who is evaluated (SPEC section 2)."""

    protocol: Literal["user-split", "item-order", "global-time"] = "user-split"
    seed: int = 1230


class ExemplarConfig(Section):
    """Choice of the users whose interests the LLM infers (SPEC section 3.2).

    ``fraction`` calibrates the affinity-propagation preference unless ``preference`` gives it. ``method`` other than
    affinity propagation is a control with as many exemplars. ``engine``: affinity propagation over all pairs of users
    (dense, exact), or over each one's nearest neighbours (sparse); auto is dense where ``memory_gb`` is enough for it.
    """

    method: Literal["affinity-propagation", "kmeans", "random"] = "affinity-propagation"
    fraction: float = Field(0.03, gt=0, le=1)
    preference: float | None = None
    damping: float = Field(0.5, ge=0.5, lt=1)
    max_iterations: int = Field(200, ge=1)
    convergence_iterations: int = Field(15, ge=1)
    engine: Literal["auto", "dense", "sparse"] = "auto"
    memory_gb: float = Field(0, ge=0, description="for the dense engine; 0: half of what is available")
    device: str = Field("cpu", description="of the dense engine: cpu, cuda ...")
    user_text: Literal["mean", "concat"] = "mean"
    seed: int = Field(0, ge=0, lt=2**32)


class PromptConfig(Section):
    """What the LLM reads (SPEC section 3.3). ``template`` is a file; None is the packaged one."""

    max_titles: int = Field(20, ge=1)
    title_characters: int = Field(110, ge=8)
    with_ids: bool = False
    template: str | None = None


class LLMConfig(Section):
    """How the LLM decodes. ``temperature`` 0 is greedy; the retry after an unusable answer samples at .7.

    ``max_interests``: more cost tokens and bring no interest AUC on the reference interests (docs/decisions).
    """

    max_interests: int = Field(6, ge=1, le=20)
    max_tokens: int = Field(256, ge=16)
    context: int = Field(2048, ge=256)
    temperature: float = Field(0.0, ge=0)
    seed: int = Field(0, ge=0, lt=2**31)
    threads: int = Field(0, ge=0, description="0: every core")
    parallel: int = Field(0, ge=0, le=64, description="prompts decoded at once; 0: what memory and cores allow")
    gpu_layers: int = Field(0, ge=-1, description="layers on a GPU, if llama.cpp was built for one; -1: all")


class ModelConfig(Section):
    """The implicit-interest backbone (SPEC section 4).

    From ``dropout`` on, each setting acts on the backbones that name it among their options, and is recorded for them
    only: ``dropout`` on GRU4Rec, SASRec and BERT4Rec, ``cloze_ratio`` on BERT4Rec, ``capsule_axis`` (what the coupling
    softmax runs over) on MIND and ComiRec-DR.
    """

    backbone: str = "remi"
    dim: int = Field(64, ge=2)
    interests: int = Field(4, ge=1)
    max_length: int = Field(20, ge=1)
    item_init: Literal["random", "text"] = "random"
    item_std: float = Field(0.02, gt=0, description="standard deviation of the initial item table")
    dropout: float = Field(0.2, ge=0, lt=1)
    cloze_ratio: float = Field(0.2, gt=0, lt=1)
    capsule_axis: Literal["interests", "positions"] = "interests"
    knn_neighbours: int = Field(100, ge=1)
    ease_regularisation: float = Field(100.0, gt=0)


class LossConfig(Section):
    """L_R: the backbone's own loss (SPEC section 4).

    ``hard_negative_beta`` and ``routing_weight`` act on REMI only. ``reference_hits`` keeps accidental hits among the
    negatives, as the reference code does.
    """

    kind: Literal["sampled", "full"] = "sampled"
    negatives: int = Field(1280, ge=1, le=1_000_000)
    hard_negative_beta: float = Field(0.1, ge=0)
    routing_weight: float = Field(100.0, ge=0)
    routing_reduction: Literal["sum", "mean"] = "sum"
    reference_hits: bool = False
    readout: Literal["hard", "soft"] = "hard"


class ObjectiveConfig(Section):
    """L_S and L_A: what the semantic interests teach (SPEC section 5). Used only where interests are given.

    The booleans are the ablations: ``predict`` (w/o Predict), ``align_users`` and ``align_items`` (w/o Align when both
    are off; item-text alignment alone when only ``align_items`` and nothing else is on), ``target_aware`` (w/o Tar).
    """

    gamma: float = Field(0.1, ge=0)
    alpha: float = Field(0.4, ge=0)
    beta: float = Field(0.1, ge=0)
    temperature: float = Field(0.1, gt=0)
    predict: bool = True
    align_users: bool = True
    align_items: bool = True
    target_aware: bool = True
    semantic_space: Literal["model", "text"] = "model"
    full_softmax_up_to: int = Field(5000, ge=0)

    @model_validator(mode="after")
    def _weights_sum(self) -> ObjectiveConfig:
        if abs(2 * (self.alpha + self.beta) - 1) > 1e-6:
            raise ValueError("2 (alpha + beta) must be 1 (eq. 12)")
        return self


class SemanticsConfig(Section):
    """Which semantic inputs the joint objective takes: the method's, or a control's (SPEC section 7).

    ``source`` "interests" are the LLM's; "titles" the exemplar's own visible titles in their place; "item-text" none
    at all, only the items' titles (needs no interests). ``shuffled`` permutes the interests between clusters.
    """

    source: Literal["interests", "titles", "item-text"] = "interests"
    shuffled: bool = False


class TrainConfig(Section):
    """The training loop. Early stopping on valid Recall@50."""

    learning_rate: float = Field(1e-3, gt=0)
    batch_size: int = Field(128, ge=1)
    max_steps: int = Field(20_000, ge=1)
    evaluate_every: int = Field(500, ge=1)
    patience: int = Field(10, ge=1)
    seed: int = Field(0, ge=0, lt=2**32)
    threads: int = Field(1, ge=1)
    device: str = "cpu"


class ReproduceConfig(Section):
    """The grid: which tables and figures, for which models, under which training seeds, how many at once.

    ``parts``: tables and figures (``eimf_local.reproduction.parts``), none named: all. ``conditions``: the parts'
    models that are run, none named: all. ``seeds``: how many, or which.
    """

    parts: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    seeds: int | tuple[int, ...] = 3
    workers: int = Field(0, ge=0, description="0: one per core")

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The training seeds."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @model_validator(mode="after")
    def _seeds_are_distinct(self) -> ReproduceConfig:
        named = self.seed_list
        if not named or any(not 0 <= seed < 2**32 for seed in named):
            raise ValueError("seeds: at least one is needed, each from 0 to 2^32 - 1")
        twice = [seed for seed in named if named.count(seed) > 1]
        if twice:
            raise ValueError(f"seeds: {twice[0]} is listed {named.count(twice[0])} times; list each seed once")
        return self


class TunedConfig(Section):
    """What a search on validation users found for one model, and at which cost.

    ``settings``: by section.key. ``trials``: trainings that were compared. ``recall_50``: the best one's Recall@50 of
    the validation users. ``found_on``: the data set whose users they were; ``dataset``: how its fingerprint begins, by
    which settings that come from other data are told.
    """

    trials: int = Field(ge=1)
    recall_50: float = Field(ge=0, le=1)
    found_on: str | None = None
    dataset: str | None = None
    settings: dict[str, bool | int | float | str] = {}

    def elsewhere(self, fingerprint: str) -> str | None:
        """The data set that it was found on, if that is not the one of this ``fingerprint``."""
        if self.dataset is None:
            return self.found_on
        return None if fingerprint.startswith(self.dataset) else self.found_on or "other data"


class Config(Section):
    """Everything, by stage."""

    prepare: PrepareConfig = PrepareConfig()
    split: SplitConfig = SplitConfig()
    exemplars: ExemplarConfig = ExemplarConfig()
    prompt: PromptConfig = PromptConfig()
    llm: LLMConfig = LLMConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    semantics: SemanticsConfig = SemanticsConfig()
    train: TrainConfig = TrainConfig()
    reproduce: ReproduceConfig = ReproduceConfig()
    tuned: dict[str, TunedConfig] = {}


def load_config(preset: str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a preset (a packaged name or a TOML file), apply ``section.key=value`` overrides, and validate.

    Raises :class:`ConfigError` with every mistake listed at once.
    """
    values = _read_preset(preset) if preset else {}
    for override in overrides:
        _apply(values, override)
    return build_config(values)


def build_config(values: Mapping[str, Any]) -> Config:
    """Validate nested values; every mistake is named in one :class:`ConfigError`."""
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise ConfigError(f"invalid settings: {problems}", hint="see docs/cli.md for the settings") from None


def preset_names() -> list[str]:
    """Names of the packaged presets."""
    folder = importlib.resources.files("eimf_local.presets")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _read_preset(preset: str) -> dict[str, Any]:
    try:
        if preset in preset_names():
            text = importlib.resources.files("eimf_local.presets").joinpath(f"{preset}.toml").read_text("utf-8")
        else:
            text = Path(preset).read_text("utf-8")
        return tomllib.loads(text)
    except OSError:
        raise unknown_name("preset or TOML file", preset, preset_names()) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"preset {preset}: {error}", hint="mend the TOML") from None


def _apply(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    section, _, key = path.strip().partition(".")
    if not (equals and section and key):
        raise ConfigError(f"--set {override!r} is not section.key=value", hint="for example train.learning_rate=1e-3")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    existing = values.setdefault(section, {})
    if isinstance(existing, dict):
        existing[key] = value


def _describe(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {place}"
    return f"{place}: {problem['msg']} (got {problem['input']!r})"
