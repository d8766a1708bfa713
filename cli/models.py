"""``eimf-local models list | verify | add | remove``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import print_json, reporting
from .options import JsonOption

if TYPE_CHECKING:
    from eimf_local.esim.model_files import ModelEntry, UpstreamModel

app = typer.Typer(help="The GGUF models that infer interests.", no_args_is_help=True)


@app.command("list")
def list_all(json: JsonOption = False) -> None:
    """List the bundled models, those you added, and official ones that you can add."""
    from eimf_local.esim.model_files import list_models, list_upstream

    here, upstream = list_models(), list_upstream()
    if json:
        nowhere = {"path": None, "sha256": None, "size": None, "source": "upstream"}
        print_json(
            [{**asdict(entry), "path": str(entry.path), "url": None} for entry in here]
            + [{**nowhere, **asdict(model)} for model in upstream]
        )
        return
    with reporting() as reporter:
        for entry in here:
            facts = f"{entry.size / 1e6:.1f} MB, {_terms(entry)}, sha256 {entry.sha256[:12]}"
            reporter.say(f"{entry.name}: {entry.source}, {facts}\n  {entry.description}")
        for model in upstream:
            reporter.say(f"{model.name}: not here, {_terms(model)}\n  {model.description}\n  get it from {model.url}")
        reporter.say(
            "To use one that is not here: get its GGUF, then 'eimf-local models add FILE --name NAME'; "
            "the digest is pinned on first use."
        )


@app.command("verify")
def verify_all() -> None:
    """Compare every model's file with its pinned digest."""
    from eimf_local.errors import ModelFileError
    from eimf_local.esim.model_files import list_models, verify_model

    problems = []
    with reporting() as reporter:
        for entry in list_models():
            try:
                verify_model(entry)
                reporter.say(f"{entry.name}: as pinned ({entry.sha256[:12]})")
            except ModelFileError as problem:
                problems.append(problem)
    if problems:
        hints = dict.fromkeys(problem.hint for problem in problems)
        raise ModelFileError("; ".join(problem.message for problem in problems), hint="; ".join(hints))


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="A GGUF of a Qwen2, Qwen2.5 or Qwen3 chat model.")],
    name: Annotated[str | None, typer.Option(help="What to call it; default: the file's name.")] = None,
) -> None:
    """Pin a GGUF file of yours by its digest, to use it by name. The file stays where it is."""
    from eimf_local.esim.llm import check_loads
    from eimf_local.esim.model_files import add_model, unpinned_model

    model = unpinned_model(file)
    check_loads(model)
    entry = add_model(model, name=name)
    with reporting() as reporter:
        reporter.say(
            f"{entry.name}: pinned {entry.path} ({entry.size / 1e6:.1f} MB, sha256 {entry.sha256[:12]}, "
            f"licence: {entry.licence})"
        )
        reporter.say(f"use it with --model {entry.name}")


@app.command("remove")
def remove(name: Annotated[str, typer.Argument(help="A model that you added.")]) -> None:
    """Forget a model that you added. Its file stays."""
    from eimf_local.esim.model_files import remove_model

    entry = remove_model(name)
    with reporting() as reporter:
        reporter.say(f"{entry.name}: no longer pinned; {entry.path} stays")


def _terms(model: ModelEntry | UpstreamModel) -> str:
    return model.licence + (f", context {model.context}" if model.context else "")
