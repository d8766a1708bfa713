from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eimf_local.data.dataset import NO_TIME, Dataset
from eimf_local.data.prepare import build_dataset, prepare
from eimf_local.data.raw import LineCount, RawInteractions
from eimf_local.errors import InputError

from ..reference.preparation import prepare_rows
from .sources import write_table

# Ten users who all buy the same five items; "p" buys four frequent items and a rare one; "edge" is frequent only
# thanks to p.
BASE = [(f"u{user}", f"i{item}") for user in range(10) for item in range(5)]
EXTRA = [(user, "edge") for user in ("u0", "u1", "u2", "u3", "p")] + [
    (user, "rare") for user in ("u0", "u1", "u2", "p")
]
EXAMPLE = [*BASE, *EXTRA, ("p", "i0"), ("p", "i1"), ("p", "i2")]


def raw_of(rows: list[tuple[Any, ...]], titles: dict[str, str] | None = None) -> RawInteractions:
    """Rows of user, item and, optionally, position and timestamp."""
    filled = [(*row, *[None] * (4 - len(row))) for row in rows]
    schema = {"user": pl.String, "item": pl.String, "position": pl.Float64, "timestamp": pl.Int64}
    events = pl.DataFrame(filled, schema=schema, orient="row")
    if titles is None:
        titles = {row[1]: f"Title of {row[1]}" for row in rows}
    return RawInteractions(events, titles, order="test", blank_ids=0, lines=LineCount(read=len(rows)))


def items_of(dataset: Dataset, user: str) -> list[str]:
    return [dataset.items[number - 1] for number in dataset.history(dataset.users.index(user))]


def tens(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows for the user "a", and nine more users, so that there are enough to split."""
    return [*rows, *((f"z{user}", row[1], *row[2:]) for user in range(9) for row in rows)]


def test_five_core_of_one_pass_equals_hand_computed_counts() -> None:
    dataset = build_dataset(raw_of(EXAMPLE))
    assert dataset.statistics["read"] == {"users": 11, "items": 7, "interactions": 62}
    assert dataset.statistics["dropped"] == {
        "rare_items": 1,
        "rare_item_interactions": 4,
        "short_users": 1,
        "short_user_interactions": 4,
    }
    assert dataset.statistics["kept"] == {"users": 10, "items": 6, "interactions": 54}
    assert "edge" in dataset.items  # with four interactions: the filter is one pass
    assert int((dataset.sequence == dataset.items.index("edge") + 1).sum()) == 4


def test_iterating_reaches_the_five_core_by_hand() -> None:
    dataset = build_dataset(raw_of(EXAMPLE), iterate=True)
    assert dataset.statistics["kept"] == {"users": 10, "items": 5, "interactions": 50}
    assert dataset.statistics["dropped"]["rare_item_interactions"] == 8


@pytest.mark.parametrize("iterate", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_equals_reference(seed: int, iterate: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        (f"u{rng.integers(30)}", f"i{int(rng.integers(40) ** 1.3)}", float(rng.integers(6)))
        for _ in range(int(rng.integers(200, 500)))
    ]
    minimum = {"min_item_count": int(rng.integers(1, 6)), "min_user_count": int(rng.integers(1, 6))}
    dataset = build_dataset(raw_of(rows), iterate=iterate, **minimum)
    users, items, histories = prepare_rows(rows, iterate=iterate, **minimum)
    assert list(dataset.users) == users
    assert list(dataset.items) == items
    assert [dataset.history(row).tolist() for row in range(dataset.n_users)] == histories
    assert dataset.offsets.dtype == np.int64
    assert dataset.sequence.dtype == np.int32


@pytest.mark.parametrize("seed", range(5))
def test_is_invariant_to_the_interleaving_of_users(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [(f"u{rng.integers(20)}", f"i{rng.integers(15)}", float(rng.integers(4)), 7) for _ in range(400)]
    dataset = build_dataset(raw_of(rows))
    # A random merge of the users' rows: each user's own rows keep their order.
    keys = rng.random(len(rows))
    slots = {
        user: iter(sorted(key for row, key in zip(rows, keys, strict=True) if row[0] == user)) for user, *_ in rows
    }
    shuffled = [row for _, row in sorted(((next(slots[row[0]]), row) for row in rows), key=lambda pair: pair[0])]
    assert shuffled != rows
    again = build_dataset(raw_of(shuffled))
    assert (again.users, again.items, again.titles) == (dataset.users, dataset.items, dataset.titles)
    np.testing.assert_array_equal(again.sequence, dataset.sequence)
    np.testing.assert_array_equal(again.offsets, dataset.offsets)
    assert again.statistics == dataset.statistics


def test_users_are_sorted_as_strings() -> None:
    rows = [
        (user, f"i{item}") for user in ["10", "9", "1", "é", "Z", "a", "2", "\U0001f600", "b", "c"] for item in range(5)
    ]
    assert build_dataset(raw_of(rows)).users == ("1", "10", "2", "9", "Z", "a", "b", "c", "é", "\U0001f600")


def test_ties_keep_input_order() -> None:
    rows = [("a", f"i{item}", position) for item, position in zip("12345", (3, 1, 3, 1, 2), strict=True)]
    assert items_of(build_dataset(raw_of(tens(rows))), "a") == ["i2", "i4", "i5", "i1", "i3"]


def test_items_are_numbered_by_count_then_first_appearance() -> None:
    rows = [(f"u{user}", f"i{item}", item) for user in range(10) for item in (4, 3, 2, 1, 0)]
    dataset = build_dataset(raw_of([*rows, ("u9", "i3", 9)]))
    assert dataset.items == ("i3", "i0", "i1", "i2", "i4")


def test_an_interaction_may_be_repeated() -> None:
    dataset = build_dataset(raw_of(tens([("a", "i0", place) for place in range(5)])))
    assert dataset.n_items == 1
    assert dataset.history(0).tolist() == [1] * 5


def test_an_unknown_position_takes_the_one_before_it() -> None:
    positions = (None, 5, None, 2, 9)
    rows = [("a", f"i{item}", position) for item, position in enumerate(positions)]
    assert items_of(build_dataset(raw_of(tens(rows))), "a") == ["i3", "i0", "i1", "i2", "i4"]


def test_an_unknown_time_takes_the_users_previous_one() -> None:
    times = (None, 50, None, 70, None)
    rows = tens([("a", f"i{item}", item, time) for item, time in enumerate(times)])
    untimed = [("b", f"i{item}", item, None) for item in range(5)]
    dataset = build_dataset(raw_of([*rows, *untimed]))
    assert dataset.timestamps is not None
    assert dataset.timestamps[:10].tolist() == [50, 50, 50, 70, 70] + [NO_TIME] * 5
    assert dataset.timestamps.dtype == np.int64
    assert dataset.statistics["timestamps"] == {"known": 20, "filled_from_the_user": 30, "tied_share": 0.0}


def test_without_any_time_there_are_no_timestamps() -> None:
    dataset = build_dataset(raw_of(EXAMPLE))
    assert dataset.timestamps is None
    assert dataset.statistics["timestamps"]["tied_share"] is None


def test_share_of_tied_timestamps_equals_hand_computed_fraction() -> None:
    # Of six timed rows of a user, three share second 1 and two share second 2; another user's times are no ties.
    rows = [("a", f"i{item}", item, time) for item, time in enumerate((1, 1, 1, 2, 2, 3, None))]
    assert build_dataset(raw_of(tens(rows))).statistics["timestamps"]["tied_share"] == pytest.approx(5 / 6)


def test_a_missing_or_blank_title_falls_back_to_the_id() -> None:
    titles = {"i0": "Caf&eacute;  Press", "i1": " \t", "i2": "&nbsp;"}
    dataset = build_dataset(raw_of(BASE, titles))
    assert dict(zip(dataset.items, dataset.titles, strict=True)) == {
        "i0": "Café Press",
        "i1": "i1",
        "i2": "i2",
        "i3": "i3",
        "i4": "i4",
    }
    assert dataset.statistics["titles_missing"] == 4


@pytest.mark.parametrize("titles", [{"other": "Title"}, dict.fromkeys(["i0", "i1"], " ")])
def test_when_titles_fit_no_item_one_named_error(titles: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"titles were found, but none for the 5 items that are kept .*--titles"):
        build_dataset(raw_of(BASE, titles))


def test_without_any_titles_items_are_called_by_their_ids() -> None:
    dataset = build_dataset(raw_of(BASE, {}))
    assert dataset.titles == dataset.items
    assert dataset.statistics["titles_missing"] == dataset.n_items


@pytest.mark.parametrize("users", [1, 9])
def test_when_too_few_users_remain_error_gives_the_counts(users: int) -> None:
    rows = [row for row in BASE if int(row[0][1:]) < users]
    with pytest.raises(InputError, match=rf"of {users} users, \d+ of 5 items and \d+ of {5 * users} interactions"):
        build_dataset(raw_of(rows), min_item_count=1)


def test_when_the_filter_leaves_nothing_error_says_which_settings() -> None:
    with pytest.raises(InputError, match=r"0 of 10 users, 0 of 5 items.*min_item_count"):
        build_dataset(raw_of(BASE), min_item_count=11)


def test_statistics_tell_format_filter_and_digests_of_the_sources(tmp_path: Path) -> None:
    file = write_table(tmp_path, [(user, item, 1) for user, item in BASE], {"i0": "Zero"})
    statistics = prepare(tmp_path, format="table", min_item_count=4, iterate=True).statistics
    assert statistics["format"] == "table"
    assert statistics["filter"] == {"min_item_count": 4, "min_user_count": 5, "iterate": True}
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert statistics["sources"][0] == {"file": file.name, "sha256": digest}
    assert [source["file"] for source in statistics["sources"]] == [file.name, "items.tsv.gz"]
    assert statistics["order"] == "timestamp"


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: text.replace("\t", ",")])
def test_any_damage_to_a_table_is_prepared_or_refused_by_name(tmp_path: Path, damage: Callable[[str], str]) -> None:
    rng = np.random.default_rng(0)
    lines = ["user\titem\ttimestamp\ttitle"] + [f"{user}\t{item}\t5\tTitle {item}" for user, item in BASE]
    path = tmp_path / "log.tsv"
    refusals = []
    for _ in range(60):
        text = list(damage("\n".join(lines)))
        for place in rng.integers(len(text), size=rng.integers(1, 12)):
            text[place] = chr(int(rng.integers(0, 400)))
        path.write_text("".join(text))
        try:
            assert prepare(path, format="table", min_item_count=1, min_user_count=1).n_users >= 10
        except InputError as error:
            refusals.append(str(error))
    assert all(str(path) in refusal and refusal.isprintable() for refusal in refusals)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "users", "items", "interactions", "tied", "untitled"),
    [
        ("amazon2014-office", 4_905, 2_420, 53_258, None, 3),
        ("amazon2014-beauty", 22_363, 12_101, 198_502, 0.58, 7),
        ("ml-1m", 6_040, 3_416, 999_611, 0.77, 0),
    ],
)
def test_counts_equal_the_papers_table_3(
    shared_data: Path, name: str, users: int, items: int, interactions: int, tied: float | None, untitled: int
) -> None:
    dataset = prepare(shared_data / name, format="table")
    assert (dataset.n_users, dataset.n_items, len(dataset.sequence)) == (users, items, interactions)
    assert dataset.statistics["order"] == "seq_pos"
    assert dataset.statistics["titles_missing"] == untitled
    share = dataset.statistics["timestamps"]["tied_share"]
    assert share is tied is None or round(share, 2) == tied
    assert not any(re.search(r"&\w+;|\s\s", title) for title in dataset.titles)
