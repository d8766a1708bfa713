"""Stage ``interests``: users' texts, exemplars, the LLM (or a file of interests inferred elsewhere), embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifacts import check_output, holds_another, is_current, sha256_file, write
from ..config import Config
from ..data.dataset import Float32, Int64
from ..disk import unfinished_work
from ..errors import InputError
from ..esim.encoder import TextEncoder, user_embeddings, user_texts
from ..esim.exemplars import Exemplars, assign_to, choose_exemplars
from ..esim.interests import (
    InterestRecord,
    infer_interests,
    inference_identity,
    path_counts,
    read_interests,
    seconds_taken,
)
from ..esim.journal import Journal
from ..esim.llm import LocalLLM, check_loads
from ..esim.model_files import LanguageModel, ModelFile
from ..esim.prompts import Prompt, PromptTemplate, interests_schema, shown_titles
from ..esim.propagation import Settings
from ..esim.sparse_propagation import Engine, choose_engine
from ..progress import Reporter
from .datasets import OpenDataset, embed_items
from .inference_progress import InferenceProgress
from .interest_artifact import Interests, contents, open_interests
from .propagation_progress import PropagationProgress

if TYPE_CHECKING:
    from ..esim.llm_server import ServerLLM

_SPEED = {"threads", "parallel"}  # settings of the LLM that change its speed, not its answers


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
    if not restart and is_current(out, "interests", settings, inputs):
        reporter.say(f"{out} is up to date")
        return open_interests(out, dataset, config, encoder)
    if isinstance(model, ModelFile) and not model.pinned:
        check_loads(model)  # before the clustering, which may take minutes; a pinned one was loaded when it was added
    if holds_another(out):
        reporter.say(f"{out} holds interests with other settings or inputs: they will be replaced by these")
    _, item_text = embed_items(dataset, encoder, reporter)
    if untitled := int(dataset.data.statistics["titles_missing"]):
        reporter.say(f"{untitled:,} of {dataset.data.n_items:,} items have no title: their ids stand in the prompts")
    texts = _embed_users(dataset, encoder, item_text, config)
    exemplars = _exemplars_of(dataset, texts, users, config, reporter)
    prompts = _prompts(dataset, exemplars.rows, config)
    identity = inference_identity(
        model.sha256, schema=interests_schema(config.llm.max_interests), **config.llm.model_dump(exclude=_SPEED)
    )
    with unfinished_work(out, identity, restart=restart) as work:
        answered = _answered(known, settings)
        asked = [prompt for prompt in prompts if prompt.user not in answered]
        seconds: dict[str, float] = {}
        if asked:
            journal = Journal(work / "journal.jsonl")
            new = _ask_llm(asked, model, journal, config, reporter)
            answered |= {record.user: record for record in new}
            seconds = seconds_taken(asked, journal)
        records = [answered[prompt.user] for prompt in prompts]
        write(out, "interests", settings, inputs, contents(dataset, exemplars, records, seconds, encoder, texts))
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
    write(out, "interests", settings, inputs, contents(dataset, exemplars, records, {}, encoder, texts))
    return open_interests(out, dataset, config, encoder)


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
        f"({100 * len(chosen.rows) / len(texts):.1f} %), chosen by {record['method']}"
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
    row_of = dataset.training_rows
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


def _known_users(
    dataset: OpenDataset,
    file: Path,
    read: list[tuple[str, tuple[str, ...]]],
    *,
    drop_unknown: bool,
    reporter: Reporter,
) -> list[tuple[str, tuple[str, ...]]]:
    training = dataset.training_rows
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
