"""The paper's published numbers (paper_results.csv in this folder): what our own are put beside."""

from __future__ import annotations

import csv
import importlib.resources
from functools import lru_cache

# Where a value is printed twice, the first of these wins. They agree but for rounding, except BERT4Rec on Beauty
# (SPEC section 8).
TABLES = ("table4", "table5", "figure3")
DATASETS = ("Beauty", "Grocery", "Office", "ML-1M")
# (users, items) after preparation, the paper's Table 3: a data set is known by its counts, not by its folder's name.
_TABLE_3 = {
    (22363, 12101): "Beauty",
    (14681, 8713): "Grocery",
    (4905, 2420): "Office",
    (6040, 3416): "ML-1M",
}


# Where the text of section 5.4 finds the best Recall@50, by figure and data set: the label of our axis' point.
_PEAKS = {
    "fig5": {"Office": "80 %", "Grocery": "50 %", "Beauty": "5 %"},
    "fig6": {"Office": "0.4, 0.1", "Grocery": "0.1, 0.4", "Beauty": "0.4, 0.1"},
    "fig7": {"Office": "0.1", "Grocery": "0.1", "Beauty": "0.1"},
}


def paper_value(table: str, dataset: str, model: str, metric: str) -> float | None:
    """The value the paper prints, or None where it prints none.

    ``table`` is one of the csv's sources ("table4", "table5", "figure3" ...); ``dataset``, ``model`` and ``metric``
    are spelt as there ("Office", "EIMF(REMI)", "Recall@20").

    >>> paper_value("table4", "Office", "REMI", "Recall@20")
    0.1072
    """
    return _values().get((table, dataset, model, metric))


def published(dataset: str, model: str, metric: str) -> float | None:
    """The value in the first of :data:`TABLES` that has one. EIMF without a backbone's name is EIMF(REMI)."""
    names = {"EIMF": ("EIMF", "EIMF(REMI)"), "EIMF(REMI)": ("EIMF", "EIMF(REMI)")}.get(model, (model,))
    found = (paper_value(table, dataset, name, metric) for table in TABLES for name in names)
    return next((value for value in found if value is not None), None)


def paper_dataset(*, users: int, items: int, split: str) -> str | None:
    """The paper's name of a data set; None if it is not one of its four, or was split by time.

    Of the two splits into users, its text describes user-split, and its numbers are those of item-order.

    >>> paper_dataset(users=4905, items=2420, split="user-split")
    'Office'
    >>> paper_dataset(users=4905, items=2420, split="global-time")
    """
    return _TABLE_3.get((users, items)) if split in ("user-split", "item-order") else None


def paper_models(dataset: str) -> list[str]:
    """Models with values for ``dataset``, in the paper's order; EIMF(REMI) is listed as EIMF(REMI) only."""
    rows = [model for table, name, model, _ in _values() if name == dataset and table in TABLES]
    return list(dict.fromkeys("EIMF(REMI)" if model == "EIMF" else model for model in rows))


def paper_model(name: str) -> str | None:
    """The paper's spelling of a model's name; None if the paper has no such model.

    >>> paper_model("comirec-sa"), paper_model("eimf"), paper_model("EIMF (MIND)"), paper_model("w/o Tar")
    ('ComiRec-SA', 'EIMF(REMI)', 'EIMF(MIND)', None)
    """
    known = {_plain(model): model for dataset in DATASETS for model in paper_models(dataset)}
    return {**known, "eimf": "EIMF(REMI)", _plain("pop-targets"): "Pop"}.get(_plain(name))  # the counts that fit it


def table_models(table: str, dataset: str) -> list[str]:
    """Models that one table lists for ``dataset``, in its order; EIMF is EIMF(REMI)."""
    rows = [model for source, name, model, _ in _values() if (source, name) == (table, dataset)]
    return list(dict.fromkeys("EIMF(REMI)" if model == "EIMF" else model for model in rows))


def table_3(dataset: str) -> tuple[int, int] | None:
    """Users and items that Table 3 prints."""
    return next((counts for counts, name in _TABLE_3.items() if name == dataset), None)


def peak(figure: str, dataset: str | None) -> tuple[str, float | None] | None:
    """The point at which the text finds a figure's best Recall@50, and the value if it prints one; or None.

    >>> peak("fig5", "Office"), peak("fig7", "Office"), peak("fig7", "ML-1M")
    (('80 %', 0.2492), ('0.1', None), None)
    """
    label = _PEAKS.get(figure, {}).get(dataset or "")
    if label is None:
        return None
    source = f"figure{figure.removeprefix('fig')}"
    printed = [
        value for (table, name, _, metric), value in _values().items()
        if (table, name, metric) == (source, dataset, "Recall@50")
    ]  # fmt: skip
    return label, printed[0] if printed else None


def paper_relative_change(dataset: str, ablation: str) -> tuple[str, float] | None:
    """Metric and relative change that the paper's text names for an ablation, told by its label; or None.

    >>> paper_relative_change("Beauty", "EIMF w/o Align")
    ('Recall@20', -0.07)
    """
    for (_, name, model, metric), value in _values().items():
        kind, _, rest = model.partition(", ")
        if name == dataset and rest == "relative change" and kind in ablation:
            return metric, value
    return None


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


@lru_cache(maxsize=1)
def _values() -> dict[tuple[str, str, str, str], float]:
    text = importlib.resources.files(__package__).joinpath("paper_results.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return {(row["source"], row["dataset"], row["model"], row["metric"]): float(row["value"]) for row in rows}
