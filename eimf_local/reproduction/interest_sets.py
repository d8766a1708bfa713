"""The sets of interests that a grid trains with: the method's, and those of other exemplars."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..config import Config
from ..errors import EimfError, InputError
from ..esim.encoder import TextEncoder
from ..esim.model_files import LanguageModel
from ..progress import Reporter
from ..stages.datasets import OpenDataset
from ..stages.interest_artifact import Interests, open_interests
from ..stages.interests import infer
from .conditions import Source


@dataclass(frozen=True)
class InterestSets:
    """``method``: on the method's exemplars, one artefact a language model. ``others``: by source.

    ``missing``: why a source has none, one line each; ``failed``: those of them that an error stopped.
    """

    method: list[Interests]
    others: dict[Source, Interests]
    missing: dict[Source, str] = field(default_factory=dict)
    failed: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Workshop:
    """What every inference of a grid needs."""

    folder: Path
    dataset: OpenDataset
    encoder: TextEncoder
    model: LanguageModel | None
    config: Config
    reporter: Reporter

    def infer(self, name: str, config: Config, users: Sequence[str] | None, known: Sequence[Interests]) -> Interests:
        """Interests in ``folder/name``; answers in ``known`` to the same prompts are taken over."""
        assert self.model is not None  # callers say what is missing without one
        return infer(
            self.dataset,
            encoder=self.encoder,
            model=self.model,
            users=users,
            out=self.folder / name,
            config=config,
            reporter=self.reporter,
            known=known,
        )


def method_interests(shop: Workshop, given_paths: Sequence[Path]) -> list[Interests]:
    """The given artefacts, then the local model's: on their exemplars if any are given, else on its own choice."""
    given = [open_interests(path, shop.dataset, shop.config, shop.encoder) for path in given_paths]
    _check_comparable(given, shop.model)
    if shop.model is None:
        if not given:
            raise InputError("no interests and no model", hint="give --interests DIR or --model NAME")
        return given
    return [*given, shop.infer(shop.model.name, shop.config, users_of(given[0]) if given else None, ())]


def interest_sets(shop: Workshop, method: list[Interests], wanted: Sequence[Source]) -> InterestSets:
    """Interests of every wanted source, by the local model; one that cannot be had is named with its reason.

    "kmeans" and "random": as many exemplars as the method has. "fraction-N": N per cent of the training users.
    """
    others: dict[Source, Interests] = {}
    missing: dict[Source, str] = {}
    failed: list[Source] = []
    for source in wanted:  # fraction-100 comes first of the fractions: it answers for all others
        if shop.model is None:
            missing[source] = "no local model was given to infer the interests of its exemplars (--model)"
            continue
        known = [*others.values(), *(one for one in method if one.llm == shop.model.name)]
        try:
            users = _everyone(shop.dataset) if source == "fraction-100" else None
            others[source] = shop.infer(source, _config_of(source, method[0], shop.config), users, known)
        except EimfError as error:
            missing[source] = str(error)
            failed.append(source)
        if source in missing:
            shop.reporter.say(f"failed: interests of {source}: {missing[source]}")
    return InterestSets(method, others, missing, tuple(failed))


def planned_sets(shop: Workshop, method: list[Interests], wanted: Sequence[Source]) -> InterestSets:
    """For a plan, without asking a model: where a source's interests are not there, the method's stand in for them.

    A cell takes no longer with the one than with the other.
    """
    others = {}
    for source in wanted if shop.model is not None else ():
        others[source] = method[0]
        with suppress(EimfError):
            others[source] = open_interests(shop.folder / source, shop.dataset, shop.config, shop.encoder)
    return InterestSets(method, others)


def users_of(interests: Interests) -> list[str]:
    """The exemplars, in cluster order."""
    return [record.user for record in interests.records]


def _config_of(source: Source, reference: Interests, config: Config) -> Config:
    values = config.model_dump()
    kind, _, share = source.partition("-")
    if kind == "fraction":
        values["exemplars"] |= {"fraction": int(share) / 100, "preference": None}
    else:
        fraction = len(reference.records) / len(reference.cluster)
        values["exemplars"] |= {"method": source, "fraction": fraction, "preference": None}
    return Config.model_validate(values)


def _everyone(dataset: OpenDataset) -> list[str]:
    return [dataset.data.users[int(user)] for user in dataset.split.train_users]


def _check_comparable(given: Sequence[Interests], model: LanguageModel | None) -> None:
    """Rows are told apart by the artefacts' folder names, and LLMs compared on the same exemplars only."""
    names = [interests.name for interests in given] + ([model.name] if model else [])
    if len(set(names)) < len(names):
        raise InputError(f"two sets of interests have one name ({', '.join(names)})", hint="rename their folders")
    if any(sorted(users_of(other)) != sorted(users_of(given[0])) for other in given):
        raise InputError(
            "the interests given are not of the same exemplars", hint="compare two LLMs on the same exemplars only"
        )
