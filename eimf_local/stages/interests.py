"""Stage ``interests``: users' texts, exemplars, the LLM (or a file of interests inferred elsewhere), embeddings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from ..artifacts import (
    TIMING,
    Artifact,
    check_output,
    holds_another,
    is_current,
    load,
    sha256_file,
    storage_errors,
    unfinished_work,
    work_folder,
    write,
    write_json,
    write_text,
)
from ..config import Config
from ..data.dataset import Bool, Float32, Int64
from ..errors import ArtifactError, InputError
from ..esim.encoder import TextEncoder, user_embeddings, user_texts
from ..esim.exemplars import Exemplars, assign_to, choose_exemplars
from ..esim.interests import (
    InterestRecord,
    embed_interests,
    from_jsonl,
    infer_interests,
    inference_identity,
    path_counts,
    read_interests,
    seconds_taken,
    to_jsonl,
)
from ..esim.journal import Journal
from ..esim.llm import LocalLLM
from ..esim.model_files import LanguageModel, ModelFile
from ..esim.prompts import Prompt, PromptTemplate, interests_schema, shown_items, shown_titles
from ..esim.propagation import Settings
from ..esim.sparse_propagation import Engine, choose_engine
from ..esim.user_map import UserMap, map_users
from ..progress import Reporter
from .datasets import OpenDataset, embed_items
from .inference_progress import InferenceProgress
from .propagation_progress import PropagationProgress

if TYPE_CHECKING:
    from ..esim.llm_server import ServerLLM

_SPEED = {"threads", "parallel"}  # settings of the LLM that change its speed, not its answers


@dataclass(frozen=True)
class Interests:
    """A loaded interests artefact.

    ``records``: one an exemplar, in cluster order. ``embeddings`` float32 [G, M, T], ``mask`` bool [G, M].
    ``cluster`` int64 [U]: each training user's exemplar, in the order of ``split.train_users``.
    ``choice``: how the exemplars were chosen (method, preference, fraction, convergence ...).
    """

    artifact: Artifact
    records: list[InterestRecord]
    embeddings: Float32
    mask: Bool
    cluster: Int64
    choice: dict[str, Any]

    @property
    def name(self) -> str:
        """The artefact's folder name, by which reports call it."""
        return self.artifact.path.resolve().name

    @property
    def llm(self) -> str:
        """The model that inferred the interests."""
        return self.records[0].model


def infer(
    dataset: OpenDataset,
    *,
    encoder: TextEncoder,
    model: LanguageModel,
    users: Sequence[str] | None,
    out: Path,
    config: Config,
    reporter: Reporter,
    restart: bool = False,
    known: Sequence[Interests] = (),
) -> Interests:
    """Choose exemplars (or take ``users``), infer their interests with the LLM, embed them.

    ``known``: interests whose records are taken over where model, prompt and decoding are the same.

    Work in progress lives in ``OUT.work`` (the journal of answers, one for each model and decoding), so that a killed
    run goes on where it stopped; a finished run is a no-op. ``restart`` forgets both.
    """
    check_output(out, "interests")
    settings = _inference_settings(config, encoder, model, users, len(dataset.split.train_users))
    inputs = {"dataset": dataset.artifact.fingerprint}
    if restart:
        with storage_errors(out):
            shutil.rmtree(work_folder(out), ignore_errors=True)
    elif is_current(out, "interests", settings, inputs):
        reporter.say(f"{out} is up to date")
        return open_interests(out, dataset, config, encoder)
    if holds_another(out):
        reporter.say(f"{out} holds interests with other settings or inputs: they will be replaced by these")
    _, item_text = embed_items(dataset, encoder, reporter)
    texts = _embed_users(dataset, encoder, item_text, config)
    exemplars = _exemplars_of(dataset, texts, users, config, reporter)
    prompts = _prompts(dataset, exemplars.rows, config)
    identity = inference_identity(
        model.sha256, schema=interests_schema(config.llm.max_interests), **config.llm.model_dump(exclude=_SPEED)
    )
    with unfinished_work(out, identity) as work:
        answered = _answered(known, settings)
        asked = [prompt for prompt in prompts if prompt.user not in answered]
        seconds: dict[str, float] = {}
        if asked:
            journal = Journal(work / "journal.jsonl")
            new = _ask_llm(asked, model, journal, config, reporter)
            answered |= {record.user: record for record in new}
            seconds = seconds_taken(asked, journal)
        records = [answered[prompt.user] for prompt in prompts]
        write(out, "interests", settings, inputs, _contents(dataset, exemplars, records, seconds, encoder, texts))
    return open_interests(out, dataset, config, encoder)


def import_file(
    dataset: OpenDataset,
    file: Path,
    *,
    encoder: TextEncoder,
    llm: str | None,
    drop_unknown: bool,
    out: Path,
    config: Config,
    reporter: Reporter,
) -> Interests:
    """Take interests inferred elsewhere: their users become the exemplars, every training user its most similar one.

    ``llm`` says what inferred them, for the reports; None names the file. Users who are not training users under the
    current split are refused with their number (they would leak test users into training), or left out with
    ``drop_unknown``.
    """
    read = read_interests(file)
    settings: dict[str, Any] = {
        "split": config.split.model_dump(),
        "exemplars": {"method": "imported", "user_text": config.exemplars.user_text},
        "file": sha256_file(file),
        "llm": llm or f"imported from {file.name}",
        "drop_unknown": drop_unknown,
        "encoder_digest": encoder.digest,
    }
    inputs = {"dataset": dataset.artifact.fingerprint}
    if is_current(out, "interests", settings, inputs):
        reporter.say(f"{out} is up to date")
        return open_interests(out, dataset, config, encoder)
    if config.split.protocol == "global-time":
        raise InputError(
            f"{file} does not tell from when its interests are; under global-time they could come from after the cut",
            hint="infer them here with 'eimf-local infer-interests', which sees only what came before",
        )
    known = _known_users(dataset, file, read, drop_unknown=drop_unknown, reporter=reporter)
    _, item_text = embed_items(dataset, encoder, reporter)
    texts = _embed_users(dataset, encoder, item_text, config)
    exemplars = _given_exemplars(dataset, texts, [user for user, _ in known])
    digest = sha256_file(file)
    records = [
        InterestRecord(
            user=user,
            interests=interests,
            path="imported",
            model=settings["llm"],
            model_sha256=digest,
            prompt_tokens=0,
            tokens=0,
            titles_dropped=0,
        )
        for user, interests in known
    ]
    write(out, "interests", settings, inputs, _contents(dataset, exemplars, records, {}, encoder, texts))
    return open_interests(out, dataset, config, encoder)


def open_interests(path: Path, dataset: OpenDataset, config: Config, encoder: TextEncoder) -> Interests:
    """Load interests; refuse those of another dataset, split or encoder, with the command that rebuilds them."""
    artifact = load(path, "interests")
    if artifact.inputs["dataset"] != dataset.artifact.fingerprint:
        raise ArtifactError(
            f"{path} was inferred from another dataset than {dataset.artifact.path}",
            hint="run 'eimf-local infer-interests' (or import-interests) on this dataset",
        )
    if artifact.config["split"] != config.split.model_dump():
        raise ArtifactError(
            f"{path} was inferred under {_named(artifact.config['split'])}, not {_named(config.split.model_dump())}; "
            "its exemplars could be test users here",
            hint="infer the interests again under this split, or train under theirs",
        )
    if artifact.config["encoder_digest"] != encoder.digest:
        raise ArtifactError(
            f"{path} was embedded by another encoder than {encoder.name}; titles and interests need the same",
            hint="give the --encoder that the interests were made with, or infer them again with this one",
        )
    arrays = load_file(artifact.file("embeddings.safetensors"))
    return Interests(
        artifact=artifact,
        records=from_jsonl(artifact.file("interests.jsonl").read_text("utf-8")),
        embeddings=arrays["interests"],
        mask=arrays["mask"],
        cluster=pl.read_parquet(artifact.file("assignment.parquet"))["cluster"].to_numpy().astype(np.int64),
        choice=json.loads(artifact.file("exemplars.json").read_text("utf-8")),
    )


def exemplar_items(dataset: OpenDataset, interests: Interests, config: Config) -> list[list[int]]:
    """The item numbers that each exemplar's prompt showed, oldest first, in cluster order."""
    row_of = _training_rows(dataset)
    split = dataset.split
    return [
        shown_items(
            dataset.data,
            int(split.train_users[row_of[record.user]]),
            int(split.visible_ends[row_of[record.user]]),
            max_titles=shown_per_exemplar(interests, config),
        )
        for record in interests.records
    ]


def shown_per_exemplar(interests: Interests, config: Config) -> int:
    """How many titles of an exemplar the LLM was shown at most; imported interests do not say, so the config does."""
    return int(interests.artifact.config.get("prompt", {}).get("max_titles", config.prompt.max_titles))


def exemplar_titles(dataset: OpenDataset, interests: Interests, config: Config) -> list[list[str]]:
    """The titles of :func:`exemplar_items`."""
    return [[dataset.data.titles[item - 1] for item in items] for items in exemplar_items(dataset, interests, config)]


def _named(split: dict[str, Any]) -> str:
    return f"{split['protocol']} with seed {split['seed']}"


def _inference_settings(
    config: Config, encoder: TextEncoder, model: LanguageModel, users: Sequence[str] | None, training_users: int
) -> dict[str, Any]:
    llm = config.llm.model_dump(exclude=_SPEED)
    return {
        "split": config.split.model_dump(),
        "exemplars": {"method": "given", "users": list(users)} if users else _exemplar_settings(config, training_users),
        "prompt": {**config.prompt.model_dump(), "digest": _template_digest(config)},
        "llm": llm,
        "model": model.name,
        "model_sha256": model.sha256,
        "encoder_digest": encoder.digest,
    }


def _exemplar_settings(config: Config, training_users: int) -> dict[str, Any]:
    """The settings on which the choice depends: the engine itself, not what it was chosen by."""
    settings = config.exemplars.model_dump(exclude={"memory_gb"})
    return {**settings, "engine": _engine(config, training_users)}


def _answered(known: Sequence[Interests], settings: dict[str, Any]) -> dict[str, InterestRecord]:
    """Records by user of those artefacts that asked the same model in the same way."""
    same = ("split", "prompt", "llm", "model_sha256")
    return {
        record.user: record
        for interests in known
        if all(interests.artifact.config.get(key) == settings[key] for key in same)
        for record in interests.records
    }


def _template_digest(config: Config) -> str:
    template = PromptTemplate.read(config.prompt.template)
    return template.render(user="", titles=[], max_interests=config.llm.max_interests).digest


def _embed_users(dataset: OpenDataset, encoder: TextEncoder, item_text: Float32, config: Config) -> Float32:
    split = dataset.split
    if config.exemplars.user_text == "concat":
        return encoder.encode(user_texts(dataset.data, split.train_users, split.visible_ends))
    return user_embeddings(dataset.data, split.train_users, split.visible_ends, item_text)


def _exemplars_of(
    dataset: OpenDataset, texts: Float32, users: Sequence[str] | None, config: Config, reporter: Reporter
) -> Exemplars:
    if users:
        return _given_exemplars(dataset, texts, users)
    wanted = config.exemplars
    progress = PropagationProgress(reporter, wanted.max_iterations)
    chosen = choose_exemplars(
        texts,
        **wanted.model_dump(include={"method", "fraction", "preference", "seed", "device"}),
        settings=Settings(wanted.damping, wanted.max_iterations, wanted.convergence_iterations),
        engine=_engine(config, len(texts)),
        callback=progress,
        search_callback=lambda done, total: reporter.progress("search neighbours", done, total),
    )
    progress.finish()
    record = chosen.record
    reporter.say(
        f"{len(chosen.rows)} exemplars of {len(texts)} training users "
        f"({100 * len(chosen.rows) / len(texts):.2g} %), chosen by {record['method']}"
        + (f", {record['engine']} engine" if "engine" in record else "")
    )
    if record.get("converged") is False:
        reporter.say("affinity propagation did not converge, at any damping tried: exemplars.json has its trials")
    return chosen


def _engine(config: Config, users: int) -> Engine:
    """The engine as set, or the one for so many users in the memory allowed."""
    if config.exemplars.engine != "auto":
        return config.exemplars.engine
    return choose_engine(users, memory_bytes=config.exemplars.memory_gb * 1e9 or None)


def _given_exemplars(dataset: OpenDataset, texts: Float32, users: Sequence[str]) -> Exemplars:
    """Exemplars named by the user; raises :class:`InputError` for one who is not a training user."""
    row_of = _training_rows(dataset)
    unknown = [user for user in users if user not in row_of]
    if unknown:
        raise InputError(
            f"{len(unknown)} of the {len(users)} users are not training users, for example {unknown[0]!r}",
            hint="leave them out: interests of valid or test users would leak into training",
        )
    rows = np.array([row_of[user] for user in users], dtype=np.int64)
    assignment, similarity = assign_to(texts[rows], texts, rows=rows)
    record = {"method": "given", "preference": None, "fraction": len(rows) / len(texts), "converged": None}
    return Exemplars(rows=rows, assignment=assignment, similarity=similarity, record=record)


def _training_rows(dataset: OpenDataset) -> dict[str, int]:
    return {dataset.data.users[int(user)]: row for row, user in enumerate(dataset.split.train_users)}


def _known_users(
    dataset: OpenDataset,
    file: Path,
    read: list[tuple[str, tuple[str, ...]]],
    *,
    drop_unknown: bool,
    reporter: Reporter,
) -> list[tuple[str, tuple[str, ...]]]:
    training = _training_rows(dataset)
    known = [(user, interests) for user, interests in read if user in training]
    unknown = [user for user, _ in read if user not in training]
    if (unknown and not drop_unknown) or not known:
        raise InputError(
            f"{file}: {len(unknown)} of its {len(read)} users are not training users of this dataset and split, "
            f"for example {unknown[0]!r}",
            hint="check --dataset and the split, or leave them out with --drop-unknown",
        )
    if unknown:
        reporter.say(f"left out {len(unknown)} of {len(read)} users who are not training users")
    return known


def _title_settings(config: Config) -> dict[str, Any]:
    return config.prompt.model_dump(include={"max_titles", "title_characters", "with_ids"})


def _prompts(dataset: OpenDataset, rows: Int64, config: Config) -> list[Prompt]:
    template = PromptTemplate.read(config.prompt.template)
    prompts = []
    for row in rows:
        user, end = int(dataset.split.train_users[row]), int(dataset.split.visible_ends[row])
        titles = shown_titles(dataset.data, user, end, **_title_settings(config))
        prompts.append(
            template.render(user=dataset.data.users[user], titles=titles, max_interests=config.llm.max_interests)
        )
    return prompts


def _ask_llm(
    prompts: list[Prompt], model: LanguageModel, journal: Journal, config: Config, reporter: Reporter
) -> list[InterestRecord]:
    with _connect(model, config) as llm:
        records = infer_interests(
            llm,
            prompts,
            journal=journal,
            model=model.name,
            model_sha256=model.sha256,
            max_interests=config.llm.max_interests,
            decoding=config.llm.model_dump(include={"max_tokens", "temperature", "seed"}),
            callback=InferenceProgress(reporter, known=sum(prompt.digest in journal for prompt in prompts)),
        )
    if isinstance(model, ModelFile) and not model.pinned:
        reporter.say(f"{model.path} is not pinned; 'eimf-local models add' records its digest for the next time")
    counts = ", ".join(f"{count} {path}" for path, count in path_counts(records).items())
    reporter.say(f"interests of {len(records)} exemplars by {model.name}: {counts}")
    return records


def _connect(model: LanguageModel, config: Config) -> LocalLLM | ServerLLM:
    schema = interests_schema(config.llm.max_interests)
    if isinstance(model, ModelFile):
        return LocalLLM(
            model, schema=schema, **config.llm.model_dump(include={"context", "threads", "parallel", "gpu_layers"})
        )
    return model.connect(schema=schema, parallel=config.llm.parallel)


def _contents(
    dataset: OpenDataset,
    exemplars: Exemplars,
    records: list[InterestRecord],
    seconds: dict[str, float],
    encoder: TextEncoder,
    texts: Float32,
) -> Callable[[Path], None]:
    """What fills an interests artefact; ``texts``: float32 [U, T], the training users'.

    Times are in a file of their own, so that all others are the same for the same work.
    """
    embeddings, mask = embed_interests(records, encoder)
    training = [dataset.data.users[int(user)] for user in dataset.split.train_users]
    names = [record.user for record in records]
    assignment = pl.DataFrame(
        {
            "user": training,
            "exemplar": [names[int(cluster)] for cluster in exemplars.assignment],
            "cluster": exemplars.assignment,
            "similarity": exemplars.similarity,
        }
    )
    user_map = _map_table(dataset, exemplars, map_users(texts, exemplars))
    choice = {**exemplars.record, "encoder": encoder.name, "exemplars": len(records)}

    def fill(folder: Path) -> None:
        with storage_errors(folder):
            write_text(folder / "interests.jsonl", to_jsonl(records))
            write_json(folder / TIMING, {"users": seconds})
            write_text(folder / "exemplars.json", json.dumps(choice, indent=1) + "\n")
            assignment.write_parquet(folder / "assignment.parquet")
            user_map.write_parquet(folder / "map.parquet")
            save_file({"interests": embeddings, "mask": mask}, folder / "embeddings.safetensors")

    return fill


def _map_table(dataset: OpenDataset, exemplars: Exemplars, user_map: UserMap) -> pl.DataFrame:
    """The map's users with their clusters; exemplars have the title of the newest item that ESIM sees of them."""
    data, split = dataset.data, dataset.split
    newest = {
        row: data.history(int(split.train_users[row]), int(split.visible_ends[row]))[-1] for row in exemplars.rows
    }
    return pl.DataFrame(
        {
            "user": [data.users[split.train_users[row]] for row in user_map.rows],
            "x": user_map.positions[:, 0],
            "y": user_map.positions[:, 1],
            "cluster": exemplars.assignment[user_map.rows],
            "exemplar": [row in newest for row in user_map.rows],
            "title": [data.titles[newest[row] - 1] if row in newest else None for row in user_map.rows],
        }
    )
