"""Options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DatasetOption = Annotated[Path, typer.Option("--dataset", help="A dataset made by 'prepare'.")]
OutOption = Annotated[
    Path, typer.Option("--out", resolve_path=True, help="Directory to write; work in progress lives in OUT.work.")
]
PresetOption = Annotated[
    str | None, typer.Option("--preset", help="A packaged preset (demo, paper-office, ...) or a TOML file.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one setting; repeatable.")
]
EncoderOption = Annotated[
    str, typer.Option("--encoder", help="The packaged all-MiniLM-L6-v2, or a sentence-transformers folder.")
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="A model of 'eimf-local models list', a .gguf file, or an OpenAI-compatible server's URL (.../v1).",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
DEFAULT_MODEL = "eimf-tiny-qwen2"
