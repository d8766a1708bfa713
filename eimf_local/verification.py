"""Every problem of the artefacts in a folder: altered records and files, inputs that are not theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .artifacts import Artifact, damaged_files, find_records, read_record
from .errors import ArtifactError
from .versions import changed_versions

GRID = "grid.json"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """What was found at ``path``; ``artifact`` is None where its record cannot be used.

    ``problems`` are what makes it not the artefact that was written; ``remarks`` are worth knowing and no fault.
    """

    path: Path
    artifact: Artifact | None
    problems: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def examine_folder(folder: Path, callback: Progress | None = None) -> list[Finding]:
    """Every artefact at or below ``folder``, and the runs that its grid names; nothing stops at the first problem.

    Inputs are known by their fingerprints, so a folder can be moved. Raises :class:`ArtifactError` where there is no
    artefact at all.
    """
    places = find_records(folder)
    if not places:
        what = "holds no artefact" if folder.is_dir() else "is no directory"
        raise ArtifactError(f"{folder} {what}", hint="give a directory that eimf-local wrote")
    findings = []
    for done, place in enumerate(places, start=1):
        findings.append(_examine(place))
        if callback:
            callback(done, len(places))
    missing = tuple(f"names {run}, which is not here" for run in _runs_of_grid(folder) if folder / run not in places)
    return findings + ([Finding(folder / GRID, None, missing)] if missing else [])


def usable(findings: Sequence[Finding]) -> list[Artifact]:
    """The artefacts without a problem."""
    return [finding.artifact for finding in findings if finding.artifact and not finding.problems]


def _examine(place: Path) -> Finding:
    try:
        artifact = read_record(place)
    except ArtifactError as error:
        return Finding(place, None, (f"{error.message} — {error.hint}",))
    problems = [*damaged_files(artifact), *_foreign_text(artifact)]
    changed = changed_versions(artifact.packages)
    remarks = [f"computed with other versions: {', '.join(changed)}"] if changed else []
    return Finding(place, artifact, tuple(problems), tuple(remarks))


def _foreign_text(artifact: Artifact) -> Iterator[str]:
    """Embedded titles lie within their dataset; those of another one would be taken for its own."""
    if artifact.kind != "text":
        return
    try:
        dataset = read_record(artifact.path.parent)
    except ArtifactError:
        return  # told of the dataset itself
    if artifact.inputs.get("dataset") != dataset.fingerprint:
        yield "embeds the titles of another dataset than the one in which it lies"


def _runs_of_grid(folder: Path) -> list[str]:
    try:
        grid = json.loads((folder / GRID).read_text("utf-8"))
        return [str(run) for condition in grid["conditions"] for run in condition["runs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
