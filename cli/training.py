"""``eimf-local train`` and ``eimf-local evaluate``."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from .console import print_json, print_table, reporting
from .options import DEFAULT_ENCODER, DatasetOption, EncoderOption, JsonOption, OutOption, PresetOption, SetOption


def train(
    dataset: DatasetOption,
    out: OutOption,
    interests: Annotated[Path | None, typer.Option("--interests", help="Interests; without them, no EIMF.")] = None,
    backbone: Annotated[str | None, typer.Option("--backbone", help="The model: remi, mind, sasrec, ease ...")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Training seed.")] = None,
    encoder: EncoderOption = DEFAULT_ENCODER,
    preset: PresetOption = None,
    settings: SetOption = None,
) -> None:
    """Train one model; with --interests, under the joint objective. An interrupted run goes on."""
    from eimf_local.config import load_config
    from eimf_local.esim.encoder import load_encoder
    from eimf_local.reproduction.conditions import searched
    from eimf_local.stages.datasets import open_dataset
    from eimf_local.stages.interest_artifact import open_interests
    from eimf_local.stages.training import train as train_run

    chosen = {"model.backbone": backbone, "train.seed": seed}
    overrides = [*(settings or ()), *(f"{k}={v}" for k, v in chosen.items() if v is not None)]
    config = load_config(preset, overrides)
    found = searched(config, semantic=interests is not None)
    said = {override.partition("=")[0].strip() for override in overrides}
    taken = [f"{key}={dumps(value)}" for key, value in (found.settings if found else {}).items() if key not in said]
    config = load_config(preset, [*taken, *overrides])
    with reporting() as reporter:
        opened, text_encoder = open_dataset(dataset, config), load_encoder(encoder)
        if found and taken:
            where = found.elsewhere(opened.artifact.fingerprint)
            reporter.say(f"settings that a search found{f' on {where}' if where else ''}: {', '.join(taken)}")
        train_run(
            opened,
            interests=open_interests(interests, opened, config, text_encoder) if interests else None,
            encoder=text_encoder,
            out=out,
            config=config,
            reporter=reporter,
        )
    evaluate([out])


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Runs; the first is what the others are compared with.")],
    json: JsonOption = False,
) -> None:
    """Test metrics with 95 % intervals; for several runs, paired differences from the first."""
    from eimf_local.stages.evaluation import REPORTED, evaluate_runs

    results = evaluate_runs(runs)
    if json:
        print_json(
            [
                {
                    "run": str(result.run),
                    "backbone": result.backbone,
                    "users": result.users,
                    "metrics": {name: asdict(value) for name, value in result.metrics.items()},
                    "differences": {name: asdict(value) for name, value in result.differences.items()},
                }
                for result in results
            ]
        )
        return
    rows = []
    for name in REPORTED:
        for place, result in enumerate(results):
            value, change = result.metrics[name], result.differences.get(name)
            rows.append(
                (
                    "" if place else name,
                    result.run.name,
                    f"{value.mean:.4f} [{value.low:.4f}, {value.high:.4f}]",
                    f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]" if change else "",
                )
            )
    columns = ("metric", "run", "mean [95 %]", "difference from the first" if len(results) > 1 else "")
    print_table(columns, rows, title=f"{results[0].users} test users, intervals over users")
