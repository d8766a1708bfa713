"""``eimf-local infer-interests`` and ``eimf-local import-interests``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import reporting
from .options import (
    DEFAULT_ENCODER,
    DEFAULT_MODEL,
    DatasetOption,
    EncoderOption,
    ModelOption,
    OutOption,
    PresetOption,
    SetOption,
)

if TYPE_CHECKING:
    from eimf_local.progress import Reporter
    from eimf_local.stages.interest_artifact import Interests


def infer_interests(
    dataset: DatasetOption,
    out: OutOption,
    model: ModelOption = DEFAULT_MODEL,
    encoder: EncoderOption = DEFAULT_ENCODER,
    exemplar_fraction: Annotated[
        float | None, typer.Option(help="Share of training users to become exemplars; finds the preference.")
    ] = None,
    preference: Annotated[float | None, typer.Option(help="The affinity-propagation preference itself.")] = None,
    users: Annotated[Path | None, typer.Option(help="A file of exemplar users, one id a line.")] = None,
    parallel: Annotated[
        str, typer.Option(metavar="N|auto", help="Exemplars asked at once; auto: what memory and cores allow.")
    ] = "auto",
    restart: Annotated[bool, typer.Option("--restart", help="Forget earlier work in OUT and OUT.work.")] = False,
    preset: PresetOption = None,
    settings: SetOption = None,
) -> None:
    """Cluster the training users, and let a local LLM infer the interests of each cluster's exemplar."""
    from eimf_local.config import load_config
    from eimf_local.data.user_list import read_user_list
    from eimf_local.esim.encoder import load_encoder
    from eimf_local.esim.model_files import resolve_llm
    from eimf_local.stages.datasets import open_dataset
    from eimf_local.stages.interests import infer

    if sum(choice is not None for choice in (exemplar_fraction, preference, users)) > 1:
        raise typer.BadParameter("give only one of --exemplar-fraction, --preference and --users")
    chosen = {"fraction": exemplar_fraction, "preference": preference}
    overrides = [f"exemplars.{key}={value}" for key, value in chosen.items() if value is not None]
    if parallel != "auto":
        overrides.append(f"llm.parallel={parallel}")
    config = load_config(preset, [*(settings or ()), *overrides])
    with reporting() as reporter:
        interests = infer(
            open_dataset(dataset, config),
            encoder=load_encoder(encoder),
            model=resolve_llm(model),
            users=read_user_list(users) if users else None,
            out=out,
            config=config,
            reporter=reporter,
            restart=restart,
        )
        _show(interests, reporter)


def import_interests(
    file: Annotated[Path, typer.Argument(help="JSONL with user and interests.")],
    dataset: DatasetOption,
    out: OutOption,
    encoder: EncoderOption = DEFAULT_ENCODER,
    llm: Annotated[str | None, typer.Option("--llm", help="What inferred them, as reports shall name it.")] = None,
    drop_unknown: Annotated[
        bool, typer.Option("--drop-unknown", help="Leave out users who are not training users.")
    ] = False,
    preset: PresetOption = None,
    settings: SetOption = None,
) -> None:
    """Take interests inferred elsewhere: their users are the exemplars of this dataset."""
    from eimf_local.config import load_config
    from eimf_local.esim.encoder import load_encoder
    from eimf_local.stages.datasets import open_dataset
    from eimf_local.stages.interests import import_file

    config = load_config(preset, settings or ())
    with reporting() as reporter:
        interests = import_file(
            open_dataset(dataset, config),
            file,
            encoder=load_encoder(encoder),
            llm=llm,
            drop_unknown=drop_unknown,
            out=out,
            config=config,
            reporter=reporter,
        )
        _show(interests, reporter)


def _show(interests: Interests, reporter: Reporter) -> None:
    reporter.say(f"{len(interests.records)} exemplars for {len(interests.cluster)} training users")
    for record in interests.records[:3]:
        reporter.say(f"  user {record.user}: {'; '.join(record.interests[:6])}")
