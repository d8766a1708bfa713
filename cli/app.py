"""Assembles the command line: ``eimf-local COMMAND``. Heavy imports stay inside the commands, so --help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from . import data, doctor, interests, models, reproduction, serving, training, verification
from .errors import OneLineErrors

app = typer.Typer(
    name="eimf-local",
    help="LLM-based multi-interest recommendation (EIMF), run offline on one machine.",
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from eimf_local import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """LLM-based multi-interest recommendation (EIMF), run offline on one machine."""
    context.obj = {"debug": debug}


app.command("prepare")(data.prepare)
app.command("infer-interests")(interests.infer_interests)
app.command("import-interests")(interests.import_interests)
app.command("train")(training.train)
app.command("evaluate")(training.evaluate)
app.command("recommend")(serving.recommend)
app.command("reproduce")(reproduction.reproduce)
app.command("verify")(verification.verify)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
