"""A synthetic grid folder of the shape that reproduction writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from eimf_local.artifacts import write
from eimf_local.evaluation.metrics import per_user

HOSTILE = '<script>alert("x")</script> | **bold** [a](http://evil.example/x) <|im_end|> \u202egnp.exe\x07'
N_ITEMS = 400
# name, label, group, compared with, interests, how good (how often a label is put on top)
CONDITIONS = (
    ("pop", "Pop", "baseline", None, None, 0.01),
    ("comirec-sa", "ComiRec-SA", "baseline", None, None, 0.08),
    ("remi", "REMI", "baseline", None, None, 0.10),
    ("eimf", "EIMF (REMI)", "method", "remi", "tiny", 0.25),
    ("eimf-reference", "EIMF (REMI)", "method", "remi", "reference", 0.27),
    ("eimf-shuffled", "EIMF, interests shuffled", "control", "eimf", "tiny", 0.20),
    ("text-init", "REMI, item table from text", "control", "remi", None, 0.40),
    ("gamma-0", "EIMF, gamma = 0", "control", "eimf", None, 0.10),
    ("no-align", "EIMF w/o Align", "ablation", "eimf", "tiny", 0.20),
)


def build_grid(folder: Path, *, name="amazon2014-office", n_users=120, seeds=(0, 1, 2), conditions=CONDITIONS) -> Path:
    """Write a whole grid; condition quality differs, users are hard or easy alike for every condition."""
    generator = np.random.default_rng(0)
    labels = [np.sort(generator.choice(N_ITEMS, generator.integers(1, 5), replace=False) + 1) for _ in range(n_users)]
    ease = generator.random(n_users)
    for number, (condition, *_, quality) in enumerate(conditions):
        for seed in seeds:
            ranked = _ranking(np.random.default_rng([number, seed]), labels, ease, quality)
            write_run(folder / "runs" / condition / f"seed-{seed}", per_user(ranked, labels))
    record = grid_record(name=name, n_users=n_users, seeds=seeds, conditions=conditions)
    (folder / "grid.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def write_run(path: Path, values, *, users=None, curve=True) -> None:
    path.mkdir(parents=True)
    n_users = len(next(iter(values.values())))
    table = pl.DataFrame({"user": users or [f"U{number}" for number in range(n_users)], **values})
    table.write_parquet(path / "per_user.parquet")
    test = {column: float(column_values.mean()) for column, column_values in values.items()}
    metrics = {"test": test, "valid": test, "best_step": 600, "steps": 800}
    metrics |= {"stopped_by": "patience", "n_parameters": 123456}
    (path / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    points = [
        {
            "step": step,
            "seconds": step / 80,
            "loss": {"recommendation": 6 * 0.997**step + 2, "routing": 0.4, "semantic": 3.0, "alignment": 1.5},
            "valid": {"Recall@50": test["Recall@50"] * (1 - 0.99**step)},
        }
        for step in range(200, 1000, 200)
    ]
    if curve:
        (path / "curves.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points), encoding="utf-8")


def grid_record(*, name, n_users, seeds, conditions):
    return {
        "dataset": {
            "name": name,
            "digest": "ab" * 32,
            "users": 4905 if name == "amazon2014-office" else 1000,
            "items": 2420 if name == "amazon2014-office" else N_ITEMS,
            "interactions": 53258,
            "tied_timestamps": 0.58,
            "split": "user-split",
            "valid_users": n_users,
            "test_users": n_users,
        },
        "interests": [
            interest_record("tiny", "eimf-tiny-qwen2 (own training)"),
            interest_record("reference", "hosted"),
        ],
        "commit": "0123abc",
        "machine": "2 cores",
        "date": "2026-01-02",
        "version": "0.1.0",
        "provisional": len(seeds) < 5,
        "seeds": list(seeds),
        "stages": [{"stage": "prepare", "seconds": 1.5}, {"stage": "train", "seconds": 3700.0}],
        "conditions": [
            {
                "name": condition,
                "label": label,
                "group": group,
                "backbone": backbone,
                "interests": interests,
                "runs": [f"runs/{condition}/seed-{seed}" for seed in seeds],
                "failed": [],
                "seconds": 12.5,
            }
            for condition, label, group, backbone, interests, _ in conditions
        ],
    }


def interest_record(name, llm):
    auc = {"mean": 0.6123, "low": 0.5901, "high": 0.6345}
    return {
        "name": name,
        "llm": llm,
        "llm_digest": "cd" * 32,
        "encoder": "all-MiniLM-L6-v2",
        "exemplars": 105,
        "fraction": 0.027,
        "preference": -1.03,
        "converged": True,
        "path_counts": {"constrained": 100, "retry": 3, "salvage": 2, "imported": 0},
        "auc": {
            "interests": auc,
            "titles": {**auc, "mean": 0.6077},
            "tfidf": None,
            "shuffled": {**auc, "mean": 0.4987},
        },
        "auc_differences": {"titles": {"mean": 0.0046, "low": -0.0101, "high": 0.0193}, "tfidf": None},
        "judged_users": 2000,
        "recovery": {"precision": 0.5, "recall": 0.25, "f1": 0.333},
        "examples": [{"user": "A1<b>", "titles": [HOSTILE, "Pens"], "interests": ["Ink pens"], "true": ["writing"]}],
    }


def _ranking(generator, labels, ease, quality):
    """Random rankings; a label comes first with a chance that depends on the user and the condition."""
    rows = []
    for items, easy in zip(labels, ease, strict=True):
        scores = generator.random(N_ITEMS + 1)
        lifted = items[generator.random(len(items)) < 2 * quality * easy]
        scores[lifted] += 0.95
        scores[0] = -1
        rows.append(np.argsort(-scores)[:50])
    return np.array(rows)


def write_interests(path: Path, *, choice=None, titles=("Pens", "Ink"), with_map=True, drawn=None) -> None:
    """An interests artefact with what a report reads of one: 30 users, a cluster a title, ``drawn`` rows on its map."""
    rng = np.random.default_rng(0)
    cluster = np.concatenate([np.arange(len(titles)), rng.integers(0, len(titles), 30 - len(titles))])
    users = pl.DataFrame({"user": [f"U{number}" for number in range(30)], "cluster": cluster})
    x, y = rng.normal(size=(2, 30)).astype(np.float32)
    columns = {"x": x, "y": y, "exemplar": np.arange(30) < len(titles)}
    user_map = users.with_columns(**columns, title=pl.Series([*titles, *[None] * (30 - len(titles))]))

    def fill(folder: Path) -> None:
        (folder / "exemplars.json").write_text(json.dumps({"method": "given", **(choice or {})}), encoding="utf-8")
        users.write_parquet(folder / "assignment.parquet")
        if with_map:
            user_map[drawn or list(range(30))].write_parquet(folder / "map.parquet")

    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, "interests", {}, {"dataset": "0" * 64}, fill)
