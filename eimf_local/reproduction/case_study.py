"""Figures 8 and 9: interests inferred from users' own clicks beside those of their exemplars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ..data.dataset import Float32, Int64
from ..esim.prompts import shown_items
from ..stages.interest_artifact import Interests
from .interest_sets import Workshop, users_of

FOLDER = "case-study"
USERS = 12  # whose words make the clouds
SHOWN = 3  # of them as cases
FEW = 10  # clicks at most: the paper's user has 6, its exemplar 43
ALIKE = 0.6  # cosine of titles from which on two items count as similar


def case_study(
    shop: Workshop, method: Interests, item_text: Float32, known: Sequence[Interests] = ()
) -> dict[str, Any] | None:
    """What report and clouds need, as JSON; None where no user is fit.

    Users with few visible clicks and exemplars with at least twice as many, each of another cluster, those first whose
    texts are nearest to their exemplar's.
    ``item_text``: float32 [N + 1, T], unit rows. ``known``: interests that may answer for the users.
    """
    rows = _fit_users(shop, method)
    if not rows:
        return None
    split, data = shop.dataset.split, shop.dataset.data
    users = [data.users[int(split.train_users[row])] for row in rows]
    own = shop.infer(FOLDER, shop.config, users, [method, *known])
    by_user = {record.user: list(record.interests) for record in own.records}
    row_of = {data.users[int(user)]: row for row, user in enumerate(split.train_users)}
    cases = []
    for row, user in zip(rows, users, strict=True):
        exemplar = method.records[int(method.cluster[row])]
        mine, theirs = _shown(shop, row), _shown(shop, row_of[exemplar.user])
        alike = (item_text[theirs] @ item_text[mine].T).max(axis=1) >= ALIKE  # [len(theirs)]
        titles = [data.titles[item - 1] for item in theirs]
        cases.append(
            {
                "user": user,
                "exemplar": exemplar.user,
                "clicks": [data.titles[item - 1] for item in mine],
                "similar": [title for title, near in zip(titles, alike, strict=True) if near],
                "other": [title for title, near in zip(titles, alike, strict=True) if not near],
                "own_interests": by_user[user],
                "exemplar_interests": list(exemplar.interests),
            }
        )
    return {"llm": own.llm, "exemplar_llm": method.llm, "shown": SHOWN, "cases": cases}


def _fit_users(shop: Workshop, method: Interests) -> list[int]:
    """Rows of ``split.train_users``."""
    assigned = pl.read_parquet(method.artifact.file("assignment.parquet"))
    similarity = assigned["similarity"].to_numpy()
    split, names = shop.dataset.split, assigned["user"].to_list()
    row_of = {name: row for row, name in enumerate(names)}
    exemplars = users_of(method)
    found: dict[int, int] = {}
    for row in np.argsort(-similarity, kind="stable").tolist():
        cluster, clicks = int(method.cluster[row]), int(split.visible_ends[row])
        theirs = int(split.visible_ends[row_of[exemplars[cluster]]])
        if clicks <= FEW and theirs >= 2 * clicks:
            found.setdefault(cluster, row)
        if len(found) == USERS:
            break
    return list(found.values())


def _shown(shop: Workshop, row: int) -> Int64:
    split = shop.dataset.split
    items = shown_items(
        shop.dataset.data,
        int(split.train_users[row]),
        int(split.visible_ends[row]),
        max_titles=shop.config.prompt.max_titles,
    )
    return np.array(items, dtype=np.int64)
