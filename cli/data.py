"""``eimf-local prepare``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from .console import reporting
from .options import OutOption, PresetOption, SetOption


class Format(enum.StrEnum):
    """Raw formats."""

    amazon = "amazon"
    movielens = "movielens"
    recbole = "recbole"
    table = "table"


def prepare(
    source: Annotated[Path, typer.Argument(help="The interactions: a file, or a folder in the format's usual layout.")],
    format: Annotated[Format, typer.Option("--format", help="How the source is written.")],
    out: OutOption,
    titles: Annotated[Path | None, typer.Option("--titles", help="The title file, where it is not beside.")] = None,
    user_column: Annotated[str, typer.Option(help="table: the user's column.")] = "user",
    item_column: Annotated[str, typer.Option(help="table: the item's column.")] = "item",
    order_column: Annotated[
        str | None, typer.Option(help="table: the order; default seq_pos, else timestamp, else the file's order.")
    ] = None,
    title_column: Annotated[str, typer.Option(help="table: the title's column.")] = "title",
    preset: PresetOption = None,
    settings: SetOption = None,
) -> None:
    """Read raw logs and titles; filter, order and number them; report what was read, dropped and kept."""
    from eimf_local.config import load_config
    from eimf_local.stages.datasets import describe, open_dataset, prepare_dataset

    for setting in settings or ():
        if not setting.strip().startswith("prepare."):
            raise typer.BadParameter(f"--set {setting}: prepare has the settings prepare.* alone")
    config = load_config(preset, settings or ())
    columns = {
        "user_column": user_column,
        "item_column": item_column,
        "order_column": order_column,
        "title_column": title_column,
    }
    with reporting() as reporter:
        prepare_dataset(
            source, format=format.value, titles=titles, columns=columns, out=out, config=config, reporter=reporter
        )
        for line in describe(open_dataset(out, config)):
            reporter.say(line)
