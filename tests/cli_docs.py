"""Writes docs/cli.md from --help and the settings' models; ``--check`` fails where the file is not what they say."""

from __future__ import annotations

import sys
from pathlib import Path

from eimf_local_cli.app import app
from typer.testing import CliRunner

from eimf_local.config import Config, preset_names

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"
COMMANDS = (
    [],
    ["prepare"],
    ["infer-interests"],
    ["import-interests"],
    ["train"],
    ["evaluate"],
    ["recommend"],
    ["reproduce"],
    ["verify"],
    ["models"],
    ["models", "list"],
    ["models", "verify"],
    ["models", "add"],
    ["models", "remove"],
)
INTRODUCTION = """# The command line

Generated from `--help` by `make docs`; `make check` fails where it is out of date.

People's output, progress bars and logs go to stderr; `--json` prints one JSON document on stdout and nothing else.
Exit status: 0 done, 1 a named error (one line: what, where, what to do; `eimf-local --debug ...` shows the traceback),
2 wrong usage, 130 interrupted with the finished work kept.
"""


def build() -> str:
    """The whole page."""
    runner = CliRunner()
    parts = [INTRODUCTION]
    for command in COMMANDS:
        words = " ".join(["eimf-local", *command])
        result = runner.invoke(
            app, [*command, "--help"], prog_name="eimf-local", env={"COLUMNS": "110", "TERMINAL_WIDTH": "110"}
        )
        parts.append(f"## {words}\n\n```\n{result.stdout.strip()}\n```\n")
    parts.append(settings())
    return "\n".join(parts)


def settings() -> str:
    """Every setting with its default, by section."""
    presets = ", ".join(f"`{name}`" for name in preset_names())
    lines = [
        "## Settings",
        "",
        f"Given by a preset ({presets}, or a TOML file of yours) and by `--set section.key=value`.",
        "",
        "| setting | default |",
        "|---|---|",
    ]
    for section, field in Config.model_fields.items():
        if section == "tuned":  # no section of settings, but one a model
            continue
        for name, value in field.default.model_dump().items():
            lines.append(f"| `{section}.{name}` | `{value}` |")
    lines += ["", "`[tuned.MODEL]` in a preset holds what `reproduce --search` found for a model."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or compare it."""
    page = build()
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text("utf-8") != page:
            sys.exit(f"{TARGET.name} is out of date: run 'make docs'")
        return
    TARGET.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
