"""Preparation in plain Python, written from SPEC section 2 and not from the package's code."""

from __future__ import annotations

from collections import Counter

Rows = list[tuple[str, str, float]]  # user, item, position


def prepare_rows(
    rows: Rows, *, min_item_count: int, min_user_count: int, iterate: bool
) -> tuple[list[str], list[str], list[list[int]]]:
    """Users, items by number from 1, and each user's item numbers, oldest first."""
    while True:
        before = len(rows)
        items = Counter(item for _, item, _ in rows)
        rows = [row for row in rows if items[row[1]] >= min_item_count]
        users = Counter(user for user, _, _ in rows)
        rows = [row for row in rows if users[row[0]] >= min_user_count]
        if not iterate or len(rows) == before:
            break
    histories: dict[str, list[tuple[float, int, str]]] = {}
    for place, (user, item, position) in enumerate(rows):
        histories.setdefault(user, []).append((position, place, item))
    ordered = {user: [item for _, _, item in sorted(histories[user])] for user in sorted(histories)}
    appearance = [item for history in ordered.values() for item in history]
    counts = Counter(appearance)
    names = sorted(counts, key=lambda item: (-counts[item], appearance.index(item)))
    number = {item: place for place, item in enumerate(names, start=1)}
    return list(ordered), names, [[number[item] for item in history] for history in ordered.values()]
