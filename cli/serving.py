"""``eimf-local recommend``."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import print_json, print_table
from .options import JsonOption

if TYPE_CHECKING:
    from eimf_local.serving.recommend import Recommendation


def recommend(
    run: Annotated[Path, typer.Option("--run", help="A trained run.")],
    user: Annotated[str | None, typer.Option("--user", help="A user of the run's dataset.")] = None,
    history: Annotated[str | None, typer.Option("--history", help="Item ids, oldest first, by comma.")] = None,
    users_file: Annotated[Path | None, typer.Option("--users-file", help="A file of user ids, one a line.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many items.")] = 20,
    exclude_seen: Annotated[bool, typer.Option("--exclude-seen", help="Leave out items of the history.")] = False,
    json: JsonOption = False,
) -> None:
    """Recommend items for known users or a raw history. No LLM and no text model are loaded."""
    gc.disable()  # loading torch makes objects that stay; to look for garbage among them takes a sixth of the answer
    from eimf_local.data.user_list import read_user_list
    from eimf_local.serving.recommend import Recommender

    gc.enable()
    if sum(choice is not None for choice in (user, history, users_file)) != 1:
        raise typer.BadParameter("give exactly one of --user, --history and --users-file")
    users = [] if history is not None else [user] if user is not None else read_user_list(users_file or Path())
    recommender = Recommender.load(run, expected_users=len(users))
    if history is not None:
        names: list[str | None] = [None]
        items = [item.strip() for item in history.split(",") if item.strip()]
        lists = recommender.for_histories([items], k=k, exclude_seen=exclude_seen)
    else:
        names = list(users)
        lists = recommender.for_users(users, k=k, exclude_seen=exclude_seen)
    _show(names, lists, json=json)


def _show(names: list[str | None], lists: list[list[Recommendation]], *, json: bool) -> None:
    if json:
        print_json(
            [
                {"user": name, "items": [{"item": r.item, "title": r.title, "score": r.score} for r in chosen]}
                for name, chosen in zip(names, lists, strict=True)
            ]
        )
        return
    for name, chosen in zip(names, lists, strict=True):
        rows = [(str(rank), r.item, r.title, f"{r.score:.3f}") for rank, r in enumerate(chosen, start=1)]
        print_table(("rank", "item", "title", "score"), rows, title=f"user {name}" if name else "")
