"""``eimf-local reproduce``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from .console import reporting
from .options import DEFAULT_ENCODER, DEFAULT_MODEL, EncoderOption, SetOption


class Protocol(enum.StrEnum):
    """Splits."""

    user_split = "user-split"
    item_order = "item-order"
    global_time = "global-time"


class Loss(enum.StrEnum):
    """Forms of L_R."""

    sampled = "sampled"
    full = "full"


def reproduce(
    out: Annotated[
        Path,
        typer.Option("--out", resolve_path=True, help="Directory of the grid and its report; a stopped grid goes on."),
    ],
    preset: Annotated[str, typer.Argument(help="demo, a packaged preset, or a TOML file.")] = "demo",
    dataset: Annotated[
        Path | None, typer.Option("--dataset", help="A dataset made by 'prepare'; demo has none.")
    ] = None,
    interests: Annotated[
        list[Path] | None, typer.Option("--interests", help="Interests to train with; repeatable.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help=f"What infers interests: a GGUF or a server's URL; {DEFAULT_MODEL} where no --interests are given.",
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="Training seeds; 5 for a claim.")] = None,
    protocol: Annotated[Protocol | None, typer.Option("--protocol", help="How users are split.")] = None,
    loss: Annotated[Loss | None, typer.Option("--loss", help="The backbone's loss.")] = None,
    encoder: EncoderOption = DEFAULT_ENCODER,
    settings: SetOption = None,
) -> None:
    """Run the method beside its backbones, controls and ablations, and write a report with intervals."""
    from eimf_local.config import load_config
    from eimf_local.reproduction.run import Order
    from eimf_local.reproduction.run import reproduce as run_grid

    chosen = {"reproduce.seeds": seeds, "split.protocol": protocol, "loss.kind": loss}
    config = load_config(preset, [*(settings or ()), *(f"{k}={v}" for k, v in chosen.items() if v is not None)])
    if (preset == "demo") != (dataset is None):
        raise typer.BadParameter("'demo' brings its own data; every other preset needs --dataset")
    order = Order(
        out=out,
        config=config,
        dataset=dataset,
        interests=tuple(interests or ()),
        model=model or (None if interests else DEFAULT_MODEL),
        encoder=encoder,
    )
    with reporting() as reporter:
        report = run_grid(order, reporter)
        reporter.say(f"report: {report}")
