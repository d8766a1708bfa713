"""``verify --recompute``: interests and runs computed again in a temporary place, and compared with what is stored.

The dataset is the start: its files are compared with their digests, not made again from the raw logs, which are no part
of it. Times apart, everything must be equal. That holds on one machine with the same package versions; others may round
differently, which is why a difference is told with both values.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from ..artifacts import Artifact, find_records, read_record, sha256_file
from ..config import Config, build_config
from ..disk import storage_errors
from ..errors import ArtifactError, EimfError
from ..esim.encoder import TextEncoder
from ..esim.interests import InterestRecord, from_jsonl
from ..esim.model_files import ModelFile, list_models, verify_model
from ..progress import Reporter
from ..stages.datasets import open_dataset
from ..stages.interest_artifact import open_interests
from ..stages.interests import infer
from ..stages.training import train
from ..verification import Finding

_ABOVE = 3  # levels above the folder at which inputs are looked for: those of a grid's run lie there


class Recomputation:
    """Computes the artefacts of ``folder`` again, each once; ``place`` is an empty folder for the results."""

    def __init__(self, folder: Path, place: Path, encoder: TextEncoder, reporter: Reporter) -> None:
        self._folder = folder
        self._place = place
        self._encoder = encoder
        self._reporter = reporter
        self._datasets: dict[str, Path] = {}
        self._interests: dict[str, Path] = {}

    def interests(self, stored: Artifact) -> list[str]:
        """Infer again; returns the differences. Imported interests have nothing to compute: they are taken as given."""
        if stored.config["exemplars"]["method"] == "imported":
            self._interests[stored.fingerprint] = stored.path
            self._reporter.say(f"{stored.path}: imported, not computed here; taken as it is")
            return []
        config = _interests_config(stored)
        again = infer(
            open_dataset(self._dataset(stored), config),
            encoder=self._same_encoder(stored.config["encoder_digest"]),
            model=_model(stored),
            users=stored.config["exemplars"].get("users"),
            out=self._place / f"interests-{len(self._interests)}",
            config=config,
            reporter=self._reporter,
        ).artifact
        self._interests[stored.fingerprint] = again.path
        return [*_other_work(stored, again), *_interest_differences(stored, again)]

    def run(self, stored: Artifact) -> list[str]:
        """Train and evaluate again, on the interests computed again; returns the differences."""
        config = _run_config(stored)
        dataset = open_dataset(self._dataset(stored), config)
        if "encoder" in stored.inputs:
            self._same_encoder(stored.inputs["encoder"])
        interests = None
        if "interests" in stored.inputs:
            interests = open_interests(self._interests_of(stored), dataset, config, self._encoder)
        out = self._place / "run"
        again = train(
            dataset, interests=interests, encoder=self._encoder, out=out, config=config, reporter=self._reporter
        )
        differences = [*_other_work(stored, again), *_run_differences(stored, again)]
        shutil.rmtree(out)
        return differences

    def _dataset(self, stored: Artifact) -> Path:
        """A copy of the dataset, so that embedded titles are computed again too."""
        wanted = stored.inputs["dataset"]
        if wanted not in self._datasets:
            found = self._input("dataset", wanted)
            copy = self._place / f"dataset-{len(self._datasets)}"
            with storage_errors(copy):
                shutil.copytree(found.path, copy, ignore=shutil.ignore_patterns("text-*"))
            self._datasets[wanted] = copy
        return self._datasets[wanted]

    def _interests_of(self, stored: Artifact) -> Path:
        wanted = stored.inputs["interests"]
        if wanted not in self._interests:
            for difference in self.interests(self._input("interests", wanted)):
                self._reporter.say(f"the interests of {stored.path}, computed again: {difference}")
        return self._interests[wanted]

    def _input(self, kind: str, fingerprint: str) -> Artifact:
        for place in _places(self._folder):
            try:
                found = read_record(place)
            except ArtifactError:
                continue
            if (found.kind, found.fingerprint) == (kind, fingerprint):
                return found
        raise ArtifactError(
            f"its {kind} ({fingerprint[:12]}) lies neither in {self._folder} nor beside it",
            hint=f"put the {kind} directory beside it",
        )

    def _same_encoder(self, digest: str) -> TextEncoder:
        if self._encoder.digest != digest:
            raise ArtifactError(
                f"it was computed with another encoder (digest {digest[:12]}) than {self._encoder.name}",
                hint="give that one with --encoder",
            )
        return self._encoder


def recompute(folder: Path, artifacts: Iterable[Artifact], encoder: TextEncoder, reporter: Reporter) -> list[Finding]:
    """Compute the interests, then the runs, among ``artifacts`` again; what differs, or why one cannot be computed."""
    ordered = sorted(artifacts, key=lambda artifact: artifact.kind)  # interests before runs
    findings = []
    with tempfile.TemporaryDirectory(prefix="eimf-local-") as place:
        again = Recomputation(folder, Path(place), encoder, reporter)
        steps = {"interests": again.interests, "run": again.run}
        for artifact in ordered:
            if artifact.kind not in steps:
                continue
            try:
                problems = steps[artifact.kind](artifact)
            except EimfError as error:
                problems = [f"cannot be computed again: {error}"]
            findings.append(Finding(artifact.path, artifact, tuple(problems)))
    return findings


def _places(folder: Path) -> Iterator[Path]:
    """Artefacts in the folder, then those beside it and beside its parents."""
    yield from find_records(folder)
    for parent in folder.resolve().parents[:_ABOVE]:
        for pattern in ("*/artifact.json", "*/*/artifact.json"):
            yield from (record.parent for record in sorted(parent.glob(pattern)))


def _interests_config(stored: Artifact) -> Config:
    """The settings under which the stored interests were inferred."""
    recorded = stored.config
    given = recorded["exemplars"]["method"] == "given"
    return build_config(
        {
            "split": recorded["split"],
            "exemplars": {} if given else recorded["exemplars"],
            "prompt": {key: value for key, value in recorded["prompt"].items() if key != "digest"},
            "llm": recorded["llm"],
        }
    )


def _run_config(stored: Artifact) -> Config:
    """The settings under which the stored run was trained."""
    values = {section: dict(settings) for section, settings in stored.config.items()}
    shown = values.get("semantics", {}).pop("max_titles", None)
    if shown is not None:
        values["prompt"] = {"max_titles": shown}
    return build_config(values)


def _model(stored: Artifact) -> ModelFile:
    name, digest = stored.config["model"], stored.config["model_sha256"]
    for entry in list_models():
        if entry.sha256 == digest:
            found = verify_model(entry)
            return ModelFile(name=name, path=found.path, sha256=digest, pinned=True)
    raise ArtifactError(
        f"its model {name} (SHA-256 {digest[:12]}) is not here", hint="pin its file with 'eimf-local models add FILE'"
    )


def _other_work(stored: Artifact, again: Artifact) -> Iterator[str]:
    """Settings that could not be taken over from the record: another prompt template, settings of another version."""
    for name in sorted({*stored.config, *again.config}):
        if stored.config.get(name) != again.config.get(name):
            yield f"is computed with other settings of {name!r} here; what follows compares unlike with like"


def _interest_differences(stored: Artifact, again: Artifact) -> Iterator[str]:
    old, new = (_records(artifact) for artifact in (stored, again))
    if list(old) != list(new):
        yield f"has other exemplars when computed again: {len(set(old) & set(new))} of {len(old)} are the same"
    changed = [user for user in old if user in new and old[user] != new[user]]
    if changed:
        user = changed[0]
        yield (
            f"has other interests of {len(changed)} of {len(old)} exemplars when computed again; "
            f"{user}: {old[user]['interests']}, now {new[user]['interests']}"
        )
    yield from _other_files(stored, again, ("embeddings.safetensors", "assignment.parquet"))


def _records(artifact: Artifact) -> dict[str, dict[str, Any]]:
    """What was inferred of each exemplar."""
    records: list[InterestRecord] = from_jsonl(artifact.file("interests.jsonl").read_text("utf-8"))
    return {record.user: asdict(record) for record in records}


def _run_differences(stored: Artifact, again: Artifact) -> Iterator[str]:
    old, new = (_metrics(artifact) for artifact in (stored, again))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"has {name} {old.get(name)}, computed again {new.get(name)}"
    frames = [pl.read_parquet(artifact.file("per_user.parquet")) for artifact in (stored, again)]
    try:
        assert_frame_equal(*frames, check_exact=True)
    except AssertionError:
        yield "has other values of single users when computed again (per_user.parquet)"
    yield from _other_files(stored, again, ("model.safetensors",))


def _metrics(artifact: Artifact) -> dict[str, Any]:
    values: Mapping[str, Any] = json.loads(artifact.file("metrics.json").read_text("utf-8"))
    flat = {key: value for key, value in values.items() if not isinstance(value, dict)}
    for part in ("test", "valid"):
        flat |= {f"{part} {name}": value for name, value in values[part].items()}
    return flat


def _other_files(stored: Artifact, again: Artifact, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name in stored.files and sha256_file(again.file(name)) != stored.files[name]:
            yield f"has a {name} that is not byte for byte the one computed again"
