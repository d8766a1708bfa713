from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eimf_local.data.dataset import NO_TIME, Dataset
from eimf_local.data.prepare import prepare
from eimf_local.data.splits import PROTOCOLS, make_split
from eimf_local.errors import ConfigError, InputError


def dataset_of(lengths: list[int], times: list[list[int]] | None = None) -> Dataset:
    """A dataset whose users have that many interactions, all with item 1."""
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return Dataset(
        users=tuple(sorted(f"u{user:04d}" for user in range(len(lengths)))),
        items=("i",),
        titles=("Item",),
        offsets=offsets,
        sequence=np.ones(offsets[-1], dtype=np.int32),
        timestamps=None if times is None else np.array([time for user in times for time in user], dtype=np.int64),
    )


@pytest.mark.parametrize("users", [10, 11, 37, 491])
def test_user_split_equals_the_recipe(users: int) -> None:
    names = [f"u{user:04d}" for user in range(users)]
    random.Random(7).shuffle(names)
    expected = names[: int(0.8 * users)], names[int(0.8 * users) : int(0.9 * users)], names[int(0.9 * users) :]
    dataset = dataset_of([5] * users)
    split = make_split(dataset, protocol="user-split", seed=7)
    for rows, part in zip((split.train_users, split.valid.users, split.test.users), expected, strict=True):
        assert [dataset.users[row] for row in rows] == sorted(part)
        assert rows.dtype == np.int64


def test_user_split_gives_every_user_one_role() -> None:
    split = make_split(dataset_of([6] * 103), protocol="user-split", seed=3)
    roles = np.concatenate((split.train_users, split.valid.users, split.test.users))
    assert sorted(roles.tolist()) == list(range(103))


def test_user_split_ends_equal_hand_computed_numbers() -> None:
    lengths = [5, 6, 9, 10, 14, 15, 16, 35, 99, 100] * 10
    four_fifths = dict(zip(lengths[:10], [4, 4, 7, 8, 11, 12, 12, 28, 79, 80], strict=True))
    split = make_split(dataset_of(lengths), protocol="user-split", seed=1230)
    assert split.train_ends.tolist() == [lengths[user] for user in split.train_users]
    assert split.visible_ends.tolist() == [four_fifths[lengths[user]] for user in split.train_users]
    for part in (split.valid, split.test):
        assert part.history_ends.tolist() == [four_fifths[lengths[user]] for user in part.users]
        assert part.label_ends.tolist() == [lengths[user] for user in part.users]


def test_user_split_depends_on_the_seed_alone() -> None:
    dataset = dataset_of([5] * 50)
    first, again, other = (make_split(dataset, protocol="user-split", seed=seed).test.users for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_user_split_leaves_out_users_too_short_for_a_label() -> None:
    split = make_split(dataset_of([4, 5] * 50), protocol="user-split", seed=0)
    roles = np.concatenate((split.train_users, split.valid.users, split.test.users))
    assert sorted(roles.tolist()) == list(range(1, 100, 2))


def with_items(sequences: list[list[int]], items: list[str]) -> Dataset:
    """A dataset of the given sequences over items of the given raw ids."""
    sequence = np.array([number for user in sequences for number in user], dtype=np.int32)
    names = tuple(items)
    return replace(dataset_of([len(user) for user in sequences]), items=names, titles=names, sequence=sequence)


def test_item_order_equals_hand_computed_parts() -> None:
    # Items 1..4 are C, A, D, B. The users' lowest: B but for users 2 (A), 5 (C) and 7 (D); ties by user id.
    others = [[1, 4, 3, 4, 4]] * 10
    sequences = [*others[:2], [1, 4, 2, 3, 4], *others[:2], [1, 1, 3, 3, 1], others[0], [3] * 5, *others[:2]]
    split = make_split(with_items(sequences, ["C", "A", "D", "B"]), protocol="item-order", seed=0)
    assert split.train_users.tolist() == [0, 1, 2, 3, 4, 6, 8, 9]
    assert split.valid.users.tolist() == [5]
    assert split.test.users.tolist() == [7]
    assert split.visible_ends.tolist() == [4] * 8
    assert (split.test.history_ends.tolist(), split.test.label_ends.tolist()) == ([4], [5])


@pytest.mark.parametrize("seed", range(5))
def test_item_order_equals_first_appearance_in_a_file_sorted_by_item(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"B00{number:03d}" for number in rng.permutation(40)]
    sequences = [(rng.permutation(40)[: rng.integers(5, 12)] + 1).tolist() for _ in range(57)]
    lines = sorted((names[number - 1], user) for user, row in enumerate(sequences) for number in row)
    order = list(dict.fromkeys(user for _, user in lines))
    split = make_split(with_items(sequences, names), protocol="item-order", seed=seed)
    assert split.train_users.tolist() == sorted(order[:45])
    assert split.valid.users.tolist() == sorted(order[45:51])
    assert split.test.users.tolist() == sorted(order[51:])


def test_item_order_is_invariant_to_the_seed_and_to_the_numbering_of_items() -> None:
    rng = np.random.default_rng(0)
    names, renumbered = [f"a{number:02d}" for number in range(30)], rng.permutation(30)
    sequences = [(rng.permutation(30)[:6] + 1).tolist() for _ in range(50)]
    again = [[int(renumbered[number - 1]) + 1 for number in row] for row in sequences]
    moved = [names[number] for number in np.argsort(renumbered)]
    first = make_split(with_items(sequences, names), protocol="item-order", seed=1)
    second = make_split(with_items(again, moved), protocol="item-order", seed=2)
    assert first.test.users.tolist() == second.test.users.tolist()


def test_when_item_ids_are_plain_numbers_item_order_is_refused() -> None:
    dataset = with_items([[1, 2, 1, 2, 1]] * 10, ["17", "4"])
    with pytest.raises(InputError, match=r"plain number.*catalogue's own ids.*original item ids, or use .*user-split"):
        make_split(dataset, protocol="item-order", seed=0)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_when_users_are_too_few_error_gives_their_number(protocol: str) -> None:
    with pytest.raises(InputError, match="9 users are too few"):
        make_split(dataset_of([5] * 9, [[1, 2, 3, 4, 5]] * 9), protocol=protocol, seed=0)


def test_when_the_protocol_is_unknown_error_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'leave-one-out' .* user-split, item-order, global-time"):
        make_split(dataset_of([5] * 10), protocol="leave-one-out", seed=0)


# Ten users at times 1..10 each: 100 times, so cut 1 is the 81st smallest, 9, and cut 2 the 91st, 10.
REGULAR = [list(range(1, 11))] * 10


def test_global_time_equals_hand_computed_cuts() -> None:
    split = make_split(dataset_of([10] * 10, REGULAR), protocol="global-time", seed=0)
    assert split.train_users.tolist() == list(range(10))
    assert split.train_ends.tolist() == [8] * 10
    assert split.visible_ends.tolist() == [6] * 10  # int(.8 * 8)
    assert split.valid.history_ends.tolist() == [8] * 10
    assert split.valid.label_ends.tolist() == [9] * 10
    assert split.test.history_ends.tolist() == [9] * 10
    assert split.test.label_ends.tolist() == [10] * 10


def test_global_time_needs_four_before_and_one_after() -> None:
    times = [*REGULAR, [5, 6, 7, 8, 9], [6, 7, 8, 9, 9], [1, 2, 3, 4, 8], [7, 7, 7, 9, 10], [1, 2, 3, 10, 10]]
    split = make_split(dataset_of([len(user) for user in times], times), protocol="global-time", seed=0)
    # 125 times: the 101st smallest is 9, the 113th 10.
    assert split.train_users.tolist() == [*range(10), 12]
    assert split.valid.users.tolist() == [*range(10), 10]
    assert split.test.users.tolist() == [*range(10), 13]
    assert (split.valid.history_ends[-1], split.valid.label_ends[-1]) == (4, 5)
    assert (split.test.history_ends[-1], split.test.label_ends[-1]) == (4, 5)


def test_global_time_leaves_out_users_without_any_time() -> None:
    times = [*REGULAR, [NO_TIME] * 10]
    split = make_split(dataset_of([10] * 11, times), protocol="global-time", seed=0)
    for users in (split.train_users, split.valid.users, split.test.users):
        assert users.tolist() == list(range(10))
    assert set(split.train_ends.tolist()) == {8}  # nor do they move the cuts


def test_global_time_counts_a_step_back_as_the_latest_time_so_far() -> None:
    backwards = [1, 2, 3, 4, 9, 1, 1, 1, 10, 2]
    split = make_split(dataset_of([10] * 21, [*REGULAR, *REGULAR, backwards]), protocol="global-time", seed=0)
    assert 20 not in split.train_users.tolist()
    assert split.valid.history_ends[-1] == 4
    assert split.valid.label_ends[-1] == split.test.history_ends[-1] == 8
    assert split.test.label_ends[-1] == 10


@pytest.mark.parametrize("seed", range(10))
def test_global_time_equals_reference_and_never_looks_ahead(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = [sorted(rng.integers(0, 60, size=rng.integers(5, 25)).tolist()) for _ in range(60)]
    split = make_split(dataset_of([len(user) for user in times], times), protocol="global-time", seed=0)
    every = sorted(time for user in times for time in user)
    first, second = every[int(0.8 * len(every))], every[int(0.9 * len(every))]
    train = {user: sum(time < first for time in row) for user, row in enumerate(times)}
    assert dict(zip(split.train_users.tolist(), split.train_ends.tolist(), strict=True)) == {
        user: count for user, count in train.items() if count >= 5
    }
    for part, start, stop in ((split.valid, first, second), (split.test, second, 61)):
        expected = [
            (user, sum(time < start for time in row), sum(time < stop for time in row))
            for user, row in enumerate(times)
        ]
        found = list(zip(part.users.tolist(), part.history_ends.tolist(), part.label_ends.tolist(), strict=True))
        assert found == [entry for entry in expected if entry[1] >= 4 and entry[2] > entry[1]]
    for user, end in zip(split.train_users, split.train_ends, strict=True):
        assert max(times[user][:end]) < first


@pytest.mark.parametrize("times", [None, [[NO_TIME] * 10] * 10])
def test_when_there_are_no_times_error_says_what_to_do(times: list[list[int]] | None) -> None:
    with pytest.raises(InputError, match=r"no timestamps.*column named timestamp, or use protocol user-split"):
        make_split(dataset_of([10] * 10, times), protocol="global-time", seed=0)


def test_when_all_happens_at_once_error_gives_the_sizes() -> None:
    with pytest.raises(InputError, match=r"global-time leaves 0 training, 0 validation, 0 test users"):
        make_split(dataset_of([10] * 10, [[7] * 10] * 10), protocol="global-time", seed=0)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "training", "valid", "test"),
    [
        ("amazon2014-office", 3_924, 490, 491),
        ("amazon2014-beauty", 17_890, 2_236, 2_237),
        ("ml-1m", 4_832, 604, 604),
    ],
)
def test_reference_exemplars_are_training_users(
    shared_data: Path, name: str, training: int, valid: int, test: int
) -> None:
    dataset = prepare(shared_data / name, format="table")
    split = make_split(dataset, protocol="user-split", seed=1230)
    assert (len(split.train_users), len(split.valid.users), len(split.test.users)) == (training, valid, test)
    record = json.loads((shared_data / name / "reference-exemplars.json").read_text())
    assert record["training_users"] == training
    assert set(record["exemplars"]) <= {dataset.users[row] for row in split.train_users}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["amazon2014-beauty", "ml-1m"])
def test_global_time_on_real_data_never_trains_on_the_future(shared_data: Path, name: str) -> None:
    dataset = prepare(shared_data / name, format="table")
    split = make_split(dataset, protocol="global-time", seed=1230)
    assert dataset.timestamps is not None
    starts = dataset.offsets
    trained = max(
        dataset.timestamps[starts[user] + split.train_ends[i] - 1] for i, user in enumerate(split.train_users)
    )
    tested = dataset.timestamps[starts[split.test.users] + split.test.history_ends].min()
    assert trained < tested
    assert len(split.test.users) >= 100


@pytest.mark.shared_data
def test_item_order_on_beauty_tests_users_of_the_highest_ids(shared_data: Path) -> None:
    dataset = prepare(shared_data / "amazon2014-beauty", format="table")
    split = make_split(dataset, protocol="item-order", seed=0)
    assert (len(split.train_users), len(split.valid.users), len(split.test.users)) == (17_890, 2_236, 2_237)
    lowest = [min(dataset.items[number - 1] for number in dataset.history(user)) for user in range(dataset.n_users)]
    trained, tested = (max(lowest[user] for user in split.train_users), min(lowest[user] for user in split.test.users))
    assert trained < tested


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["amazon2014-office", "ml-1m"])
def test_renumbered_items_have_no_item_order(shared_data: Path, name: str) -> None:
    with pytest.raises(InputError, match="plain number"):
        make_split(prepare(shared_data / name, format="table"), protocol="item-order", seed=0)


@pytest.mark.shared_data
def test_office_has_no_global_time(shared_data: Path) -> None:
    with pytest.raises(InputError, match="no timestamps"):
        make_split(prepare(shared_data / "amazon2014-office", format="table"), protocol="global-time", seed=0)
