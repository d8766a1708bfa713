"""``eimf-local reproduce``."""

from __future__ import annotations

import enum
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from .console import reporting
from .options import DEFAULT_ENCODER, DEFAULT_MODEL, EncoderOption, SetOption

_CHOSEN_ANEW = ("--only", "--budget", "--search")


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
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            help="Tables, figures and models to run now (table4,fig5,eimf,...); the report has all that is finished.",
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="How many training seeds (5 for a claim), or which: 0,1,2.")
    ] = None,
    protocol: Annotated[Protocol | None, typer.Option("--protocol", help="How users are split.")] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            min=0,
            help="Minutes: print the plan, run what fits. 0 infers the method's interests and prints the plan alone.",
        ),
    ] = None,
    search: Annotated[
        int,
        typer.Option(
            "--search",
            min=0,
            max=8,
            help="Instead of the grid, compare so many settings of each model on validation users, and write a preset.",
        ),
    ] = 0,
    loss: Annotated[Loss | None, typer.Option("--loss", help="The backbone's loss.")] = None,
    encoder: EncoderOption = DEFAULT_ENCODER,
    settings: SetOption = None,
) -> None:
    """Run the method beside its backbones, controls and ablations, and write a report with intervals."""
    from eimf_local.config import load_config
    from eimf_local.reproduction.ground import Order
    from eimf_local.reproduction.run import reproduce as run_grid

    chosen = {"reproduce.seeds": _seeds(seeds), "split.protocol": protocol, "loss.kind": loss}
    config = load_config(preset, [*(settings or ()), *(f"{k}={v}" for k, v in chosen.items() if v is not None)])
    if preset == "demo" and dataset is not None:
        raise typer.BadParameter("'demo' brings its own data; for yours name another preset, such as own-data")
    if preset != "demo" and dataset is None:
        raise typer.BadParameter(f"{preset} needs --dataset; demo alone brings its own data")
    order = Order(
        out=out,
        config=config,
        dataset=dataset,
        interests=tuple(interests or ()),
        model=model or (None if interests else DEFAULT_MODEL),
        encoder=encoder,
        only=tuple(name.strip() for name in (only or "").split(",") if name.strip()),
        budget=budget,
        trials=search,
        command=_command(),
    )
    with reporting() as reporter:
        written = run_grid(order, reporter)
        if written is not None:
            reporter.say(f"{'preset' if search else 'report'}: {written}")


def _seeds(text: str | None) -> str | None:
    """As a setting: a number stays one, a list becomes one of TOML's."""
    if text and not all(number.strip().isdigit() for number in text.split(",")):
        raise typer.BadParameter(f"--seeds {text}: give a number of seeds, or their list as 0,1,2")
    return f"[{text}]" if text and "," in text else text


def _command() -> str:
    """This command as it was typed, without what the next call chooses anew."""
    words, kept = sys.argv[1:], ["eimf-local"]
    skip = False
    for word in words:
        if not skip and word.partition("=")[0] not in _CHOSEN_ANEW:
            kept.append(word)
        skip = word in _CHOSEN_ANEW
    return shlex.join(kept)
