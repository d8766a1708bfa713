"""``eimf-local verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import reporting
from .options import DEFAULT_ENCODER, EncoderOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eimf_local.progress import Reporter
    from eimf_local.verification import Finding


def verify(
    folder: Annotated[Path, typer.Argument(help="An artefact, or a folder that holds some.")],
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Also infer and train again in a temporary place, and compare.")
    ] = False,
    encoder: EncoderOption = DEFAULT_ENCODER,
) -> None:
    """Compare every file of the artefacts in a folder with the digest recorded when it was written."""
    from eimf_local.verification import examine_folder, usable

    with reporting() as reporter:
        findings = examine_folder(folder, lambda done, total: reporter.progress("verify", done, total))
        _tell(findings, "as recorded", reporter)
        if recompute:
            from eimf_local.esim.encoder import load_encoder
            from eimf_local.reproduction.recompute import recompute as compute_again

            again = compute_again(folder, usable(findings), load_encoder(encoder), reporter)
            _tell(again, "as computed again", reporter)
            findings += again
    _refuse_problems(folder, findings)


def _tell(findings: Sequence[Finding], agreed: str, reporter: Reporter) -> None:
    for finding in findings:
        for problem in finding.problems:
            reporter.say(f"{finding.path}: {problem}")
        if finding.artifact and not finding.problems:
            reporter.say(f"{finding.path}: {finding.artifact.kind}, {len(finding.artifact.files)} files {agreed}")
        for remark in finding.remarks:
            reporter.say(f"{finding.path}: {remark}")


def _refuse_problems(folder: Path, findings: Sequence[Finding]) -> None:
    from eimf_local.errors import ArtifactError

    problems = sum(len(finding.problems) for finding in findings)
    if problems:
        raise ArtifactError(
            f"{folder}: {problems} problem{'s' if problems > 1 else ''}, listed above",
            hint="restore what differs from a copy, or build it again with the command of its kind",
        )
