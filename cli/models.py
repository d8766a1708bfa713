"""``eimf-local models list | verify | add``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import print_json, print_table, reporting
from .options import JsonOption

app = typer.Typer(help="The GGUF models that infer interests.", no_args_is_help=True)


@app.command("list")
def list_all(json: JsonOption = False) -> None:
    """List the bundled models and those you added."""
    from eimf_local.esim.model_files import list_models

    entries = list_models()
    if json:
        fields = ("name", "sha256", "size", "licence", "source", "description")
        print_json(
            [{**{field: getattr(entry, field) for field in fields}, "path": str(entry.path)} for entry in entries]
        )
        return
    rows = [
        (entry.name, f"{entry.size / 1e6:.1f} MB", entry.source, entry.sha256[:12], entry.description)
        for entry in entries
    ]
    print_table(("name", "size", "source", "sha256", "what it is"), rows)


@app.command("verify")
def verify_all() -> None:
    """Compare every model's file with its pinned digest."""
    from eimf_local.esim.model_files import list_models, verify_model

    with reporting() as reporter:
        for entry in list_models():
            verify_model(entry)
            reporter.say(f"{entry.name}: as pinned ({entry.sha256[:12]})")


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="A GGUF of a Qwen2, Qwen2.5 or Qwen3 chat model.")],
    name: Annotated[str | None, typer.Option(help="What to call it; default: the file's name.")] = None,
) -> None:
    """Pin a GGUF file of yours by its digest, to use it by name. The file stays where it is."""
    from eimf_local.esim.llm import check_loads
    from eimf_local.esim.model_files import ModelFile, add_model, check_gguf_header

    check_gguf_header(file)
    check_loads(ModelFile(name=file.stem, path=file, sha256="", pinned=False))
    entry = add_model(file, name=name)
    with reporting() as reporter:
        reporter.say(f"{entry.name}: pinned {entry.path} ({entry.size / 1e6:.1f} MB, sha256 {entry.sha256[:12]})")
        reporter.say(f"use it with --model {entry.name}")
