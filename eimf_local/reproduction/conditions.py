"""What is compared: baselines, the method, its controls and its ablations (SPEC sections 4, 5 and 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ..config import Config, TunedConfig, build_config

Group = Literal["baseline", "method", "control", "ablation", "sweep"]
# Whose interests a condition trains with: nobody's ("none"), the method's ("method"), or those of other exemplars
# ("kmeans", "random", "fraction-80" ...).
Source = str
FRACTIONS = (100, 80, 50, 20, 5)  # per cent of the training users; the method's own choice is about 3


@dataclass(frozen=True)
class Condition:
    """One row of the comparison.

    ``overrides`` maps sections to the settings that make it; ``against`` names the condition it is compared with;
    ``per_llm`` tells whether it is run for each language model's interests or for the first one's alone. ``tuned_as``
    names the condition whose searched settings it takes (:class:`~eimf_local.config.TunedConfig`); None: its own if it
    is a baseline or the method, else those of the condition that it is compared with.
    """

    name: str
    label: str
    group: Group
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    interests: Source = "none"
    against: str | None = None
    per_llm: bool = False
    tuned_as: str | None = None

    @property
    def model(self) -> str:
        """The condition whose searched settings this one takes."""
        own = self.group in ("baseline", "method") or self.against is None
        return self.tuned_as or (self.name if own else str(self.against))

    @property
    def needs_text(self) -> bool:
        """Whether it trains on titles or interests."""
        item_text = self.overrides.get("semantics", {}).get("source") == "item-text"
        return self.interests != "none" or item_text or self.overrides.get("model", {}).get("item_init") == "text"

    def apply(self, config: Config, *, seed: int) -> Config:
        """``config`` under the searched settings of its model, this condition, and a training seed."""
        values = config.model_dump()
        if self.model in config.tuned:
            for path, value in config.tuned[self.model].settings.items():
                section, _, key = path.partition(".")
                values[section][key] = value
        for section, changes in self.overrides.items():
            values[section].update(changes)
        values["train"]["seed"] = seed
        return build_config(values)


ALPHA_BETA = ((0.1, 0.4), (0.2, 0.3), (0.3, 0.2), (0.4, 0.1))
GAMMAS = (0.01, 0.03, 0.05, 0.1, 0.2)

_REMI = {"model": {"backbone": "remi"}}


def _baseline(backbone: str, label: str) -> Condition:
    return Condition(backbone, label, "baseline", {"model": {"backbone": backbone}})


def _eimf(name: str, label: str, group: Group, *, per_llm: bool = False, **overrides: Any) -> Condition:
    against = "remi" if group == "method" else "eimf"
    return Condition(name, label, group, {**_REMI, **overrides}, "method", against, per_llm)


def _eimf_on(backbone: str, label: str) -> Condition:
    """The method on another backbone than REMI."""
    overrides = {"model": {"backbone": backbone}}
    return Condition(f"eimf-{backbone}", f"EIMF ({label})", "method", overrides, "method", backbone, per_llm=True)


def _share(share: int) -> str:
    return "every user an exemplar" if share == 100 else f"{share} % exemplars"


def _text_init(backbone: str, label: str) -> Condition:
    """The backbone alone on the item table that the texts initialise; BERT4Rec's is LLM2BERT4Rec."""
    overrides = {"model": {"backbone": backbone, "item_init": "text"}}
    name, label = f"text-init-{backbone}", f"{label}, item table initialised from text, no ESIM"
    return Condition(name, label, "control", overrides, against=backbone)


_ALL = (
    _baseline("pop", "Pop"),
    _baseline("pop-targets", "Pop, by sampled targets"),
    _baseline("item-knn", "Item-KNN"),
    _baseline("ease", "EASE"),
    _baseline("dnn", "DNN"),
    _baseline("gru4rec", "GRU4Rec"),
    _baseline("sasrec", "SASRec"),
    Condition(
        "sasrec-full",
        "SASRec, full cross-entropy",
        "baseline",
        {"model": {"backbone": "sasrec"}, "loss": {"kind": "full"}},
    ),
    _baseline("bert4rec", "BERT4Rec"),
    Condition("llm2bert4rec", "LLM2BERT4Rec", "baseline", {"model": {"backbone": "bert4rec", "item_init": "text"}}),
    _baseline("mind", "MIND"),
    _baseline("comirec-dr", "ComiRec-DR"),
    _baseline("comirec-sa", "ComiRec-SA"),
    _baseline("remi", "REMI"),
    _eimf("eimf", "EIMF (REMI)", "method", per_llm=True),
    _eimf_on("bert4rec", "BERT4Rec"),
    _eimf_on("mind", "MIND"),
    _eimf_on("comirec-sa", "ComiRec-SA"),
    _eimf(
        "shuffled",
        "EIMF, interests shuffled between clusters",
        "control",
        per_llm=True,
        semantics={"shuffled": True},
    ),
    _eimf("titles", "EIMF, exemplars' titles as interests", "control", semantics={"source": "titles"}),
    Condition("kmeans", "EIMF, k-means exemplars", "control", _REMI, "kmeans", "eimf"),
    Condition("random", "EIMF, random exemplars", "control", _REMI, "random", "eimf"),
    Condition(
        "gamma-zero",
        "REMI, soft readout (gamma = 0)",
        "control",
        {**_REMI, "loss": {"readout": "soft"}},
        against="remi",
    ),
    Condition(
        "item-text",
        "REMI, soft readout and item-text alignment alone",
        "control",
        {
            **_REMI,
            "semantics": {"source": "item-text"},
            "objective": {"predict": False, "align_users": False, "align_items": True},
        },
        against="remi",
    ),
    Condition(
        "wide-init",
        "REMI, item table initialised with deviation .125",
        "control",
        {"model": {"backbone": "remi", "item_std": 0.125}},
        against="remi",
    ),
    Condition(
        "text-init",
        "REMI, item table initialised from text, no ESIM",
        "control",
        {"model": {"backbone": "remi", "item_init": "text"}},
        against="remi",
    ),
    _text_init("dnn", "DNN"),
    _text_init("gru4rec", "GRU4Rec"),
    _text_init("sasrec", "SASRec"),
    _text_init("mind", "MIND"),
    _text_init("comirec-dr", "ComiRec-DR"),
    _text_init("comirec-sa", "ComiRec-SA"),
    Condition(
        "text-init-eimf",
        "EIMF on the text-initialised table",
        "control",
        {"model": {"backbone": "remi", "item_init": "text"}},
        interests="method",
        against="text-init",
        tuned_as="eimf",
    ),
    _eimf("wo-align", "EIMF w/o Align", "ablation", objective={"align_users": False, "align_items": False}),
    _eimf("wo-predict", "EIMF w/o Predict", "ablation", objective={"predict": False}),
    _eimf("wo-tar", "EIMF w/o Tar", "ablation", objective={"target_aware": False}),
    *(
        Condition(f"fraction-{share}", f"EIMF, {_share(share)}", "sweep", _REMI, f"fraction-{share}", "eimf")
        for share in FRACTIONS
    ),
    *(
        _eimf(f"alpha-{alpha}", f"EIMF, alpha {alpha}, beta {beta}", "sweep", objective={"alpha": alpha, "beta": beta})
        for alpha, beta in ALPHA_BETA
    ),
    *(_eimf(f"gamma-{gamma}", f"EIMF, gamma {gamma}", "sweep", objective={"gamma": gamma}) for gamma in GAMMAS),
)
CONDITIONS: Mapping[str, Condition] = MappingProxyType({condition.name: condition for condition in _ALL})


def searched(config: Config, *, semantic: bool) -> TunedConfig | None:
    """What a search (``config.tuned``) found for the baseline that ``config`` describes; None if it was not searched.

    ``semantic``: for the method on that backbone. Of several that fit, the one that says most of itself counts:
    SASRec's full cross-entropy before SASRec.
    """
    group, values = "method" if semantic else "baseline", config.model_dump()
    own = [
        {(section, key, value) for section, settings in one.overrides.items() for key, value in settings.items()}
        for one in _ALL
    ]
    fitting = [
        (len(settings), one.name)
        for one, settings in zip(_ALL, own, strict=True)
        if one.group == group and all(values[section][key] == value for section, key, value in settings)
    ]
    return config.tuned.get(max(fitting, key=lambda one: one[0])[1]) if fitting else None
