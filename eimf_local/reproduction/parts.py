"""The tables and figures of the paper, and what each is made of: conditions, and the points of a figure's axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ..config import Config, ReproduceConfig
from ..errors import unknown_name
from .conditions import ALPHA_BETA, CONDITIONS, FRACTIONS, GAMMAS, Condition

METHOD = "eimf"


@dataclass(frozen=True)
class Point:
    """A place on a figure's axis: its label, and the condition whose value stands there."""

    label: str
    condition: str


@dataclass(frozen=True)
class Part:
    """A table or a figure. ``points``: of a figure with an axis; ``conditions``: all that it needs to be trained."""

    name: str
    title: str
    conditions: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()


_BASE = ("remi", METHOD)
_FIG5 = (*(Point("all" if share == 100 else f"{share} %", f"fraction-{share}") for share in FRACTIONS),
         Point("the method's", METHOD))  # fmt: skip
_FIG6 = tuple(Point(f"{alpha}, {beta}", f"alpha-{alpha}") for alpha, beta in ALPHA_BETA)
_FIG7 = tuple(Point(str(gamma), f"gamma-{gamma}") for gamma in GAMMAS)


def _swept(points: Iterable[Point]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*_BASE, *(point.condition for point in points)]))


_ALL = (
    Part("table2", "Table 2: cost"),
    Part("table3", "Table 3: data"),
    Part(
        "table4",
        "Table 4: the method beside the baselines",
        ("pop", "pop-targets", "dnn", "gru4rec", "sasrec", "bert4rec", "llm2bert4rec", "mind", "comirec-sa", *_BASE,
         "item-knn", "ease", "sasrec-full", "comirec-dr"),
    ),
    Part(
        "table5",
        "Table 5: the method on other backbones",
        ("bert4rec", "eimf-bert4rec", "mind", "eimf-mind", *_BASE, "comirec-sa", "eimf-comirec-sa"),
    ),
    Part("fig3", "Figure 3: cut-offs", _BASE),
    Part("fig4", "Figure 4: ablations", (*_BASE, "wo-align", "wo-predict", "wo-tar")),
    Part("fig5", "Figure 5: share of exemplars", _swept(_FIG5), _FIG5),
    Part("fig6", "Figure 6: alpha and beta", _swept(_FIG6), _FIG6),
    Part("fig7", "Figure 7: gamma", _swept(_FIG7), _FIG7),
    Part("fig8", "Figure 8: case study"),
    Part("fig9", "Figure 9: word clouds"),
    Part(
        "controls",
        "Controls",
        (*_BASE, "shuffled", "titles", "kmeans", "random", "gamma-zero", "item-text", "wide-init", "text-init",
         "text-init-eimf"),
    ),
    Part(
        "text-tables",
        "Item tables initialised from text",
        tuple(name for name, one in CONDITIONS.items() if one.group != "sweep" and "text-init" in name),
    ),
)  # fmt: skip
PARTS: Mapping[str, Part] = MappingProxyType({part.name: part for part in _ALL})


@dataclass(frozen=True)
class Choice:
    """What a grid shows, and what is trained for it, both in the order of the tables."""

    parts: tuple[Part, ...]
    conditions: tuple[Condition, ...]


def chosen(config: Config) -> Choice:
    """Parts and conditions of ``config.reproduce``; a point that is the method's own setting is the method itself.

    Raises :class:`~eimf_local.errors.ConfigError` for an unknown name, with the nearest.
    """
    wanted: ReproduceConfig = config.reproduce
    for known, names, what in ((PARTS, wanted.parts, "table or figure"), (CONDITIONS, wanted.conditions, "condition")):
        unknown = [name for name in names if name not in known]
        if unknown:
            raise unknown_name(what, unknown[0], known)
    taken = _method_points(config)
    parts = tuple(_resolved(part, taken) for part in _ALL if not wanted.parts or part.name in wanted.parts)
    needed = {name for part in parts for name in part.conditions}
    if wanted.conditions:
        needed &= set(wanted.conditions)
    return Choice(parts, tuple(one for name, one in CONDITIONS.items() if name in needed))


def selected(choice: Choice, only: Sequence[str]) -> Choice:
    """The part of ``choice`` that ``--only`` names by parts, conditions, or both; nothing named: all of it.

    Raises :class:`~eimf_local.errors.ConfigError` for a name that is neither, with the nearest.
    """
    if not only:
        return choice
    unknown = [name for name in only if name not in PARTS and name not in CONDITIONS]
    if unknown:
        raise unknown_name("table, figure or model", unknown[0], [*PARTS, *CONDITIONS])
    parts = tuple(part for part in choice.parts if part.name in only)
    named = {*only, *(name for part in parts for name in part.conditions)}
    return Choice(parts, tuple(one for one in choice.conditions if one.name in named))


def _method_points(config: Config) -> set[str]:
    """Conditions of sweeps that are the method itself under this config."""
    own = CONDITIONS[METHOD].apply(config, seed=0)
    swept = [one for one in CONDITIONS.values() if one.group == "sweep" and one.interests == "method"]
    return {one.name for one in swept if one.apply(config, seed=0) == own}


def _resolved(part: Part, taken: set[str]) -> Part:
    points = tuple(Point(one.label, METHOD if one.condition in taken else one.condition) for one in part.points)
    return Part(part.name, part.title, tuple(name for name in part.conditions if name not in taken), points)
