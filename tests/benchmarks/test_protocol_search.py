"""The search's pieces against numbers worked out by hand, and what it found against the paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eimf_local.data.dataset import Dataset
from eimf_local.data.prepare import prepare
from eimf_local.evaluation.paper import paper_value

from .catalogue_order import recovered_places
from .protocol_search import (
    CUTOFFS,
    FOLDERS,
    IDENTIFIED,
    TEST_USERS,
    WINDOWS,
    Events,
    Hits,
    Parts,
    catalogue_places,
    events_of,
    hits,
    labels_of,
    misfit,
    ndcg,
    orders,
    p_value,
    published_values,
    ranks,
    splits,
    unseen_ranks,
    values,
)


def dataset_of(sequences: list[list[int]], items: list[str]) -> Dataset:
    lengths = [len(sequence) for sequence in sequences]
    return Dataset(
        users=tuple(f"u{user:03d}" for user in range(len(sequences))),
        items=tuple(items),
        titles=tuple(items),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        sequence=np.concatenate(sequences).astype(np.int32),
        timestamps=None,
    )


def test_orders_stay_within_users() -> None:
    dataset = dataset_of([[2, 1, 3], [3, 2]], ["b", "a", "c"])
    found = orders(dataset, np.array([1, 0, 2]))
    sequences = {name: dataset.sequence[rows].tolist() for name, rows in found.items() if name != "random"}
    assert sequences == {
        "time": [2, 1, 3, 3, 2],
        "reversed time": [3, 1, 2, 2, 3],
        "item id": [2, 1, 3, 2, 3],
        "reversed item id": [3, 1, 2, 3, 2],
        "popular last": [3, 2, 1, 3, 2],
    }
    assert sorted(found["random"][:3].tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("kept", "items"), [("all", [0, 1, 2, 3, 4]), ("first 2", [0, 1, 3, 4]), ("last 2", [1, 2, 3, 4])]
)
def test_events_keep_an_end_of_each_sequence(kept: str, items: list[int]) -> None:
    dataset = dataset_of([[1, 2, 3], [4, 5]], list("abcde"))
    events = events_of(dataset, np.arange(5), kept)
    assert events.items.tolist() == items
    assert events.position.tolist()[-2:] == [0, 1]
    assert events.length.tolist()[-1] == 2


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        ("last 20 %", [1, 2, 2, 2, 2, 2, 3, 4]),
        ("last 20 %, rounded", [1, 1, 1, 2, 2, 2, 2, 3]),
        ("last 20 %, fewest", [1, 1, 1, 1, 1, 2, 2, 3]),
        ("last 10 %", [1, 1, 1, 1, 1, 1, 2, 2]),
        ("middle tenth", [1, 1, 1, 1, 1, 1, 1, 2]),
        ("fifth on", [1, 2, 3, 4, 5, 6, 7, 12]),
    ],
)
def test_windows_have_hand_computed_sizes(labels: str, numbers: list[int]) -> None:
    lengths = [5, 6, 7, 8, 9, 10, 11, 16]
    window = WINDOWS[labels]
    assert [int(window(np.arange(n), np.full(n, n)).sum()) for n in lengths] == numbers


def test_ends_of_an_order_train_and_test_apart() -> None:
    dataset = dataset_of([[1 + user % 7] * 5 for user in range(20)], list("abcdefg"))
    for name, parts in splits(dataset, np.arange(7)).items():
        for part, trained in enumerate(parts.trained):
            tested = parts.part == part
            assert not (tested & trained).any(), name
            assert tested.sum() == 2
    last = splits(dataset, np.arange(7))["lowest item, last"]
    assert np.flatnonzero(last.part == 0).tolist() == [6, 13]  # the users of item 7


# Two users trained on, one tested; the tested user's labels are 3 and 1.
PARTS = Parts(np.array([-1, -1, 0]), np.array([[True, True, False]]))
EVENTS = Events(
    users=np.array([0] * 6 + [1] * 5 + [2] * 6),
    items=np.array([0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 2, 4, 5, 3, 1]),
    position=np.array([*range(6), *range(5), *range(6)]),
    length=np.array([6] * 6 + [5] * 5 + [6] * 6),
)


def test_ranks_equal_hand_computed_counts() -> None:
    assert ranks(EVENTS, "sequences", PARTS, 6).tolist() == [[0, 1, 2, 3, 4, 5]]
    # Targets from the fifth item on: 1 has 1/2 + 1, 2 has 1/2, ties in the order of items.
    assert ranks(EVENTS, "sampled targets", PARTS, 6).tolist() == [[2, 0, 1, 3, 4, 5]]


def test_hits_equal_hand_computed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.benchmarks.protocol_search.CUTOFFS", (1, 2))
    place = np.arange(6)[None]
    labels = labels_of(EVENTS, "last 20 %", PARTS)
    assert (labels.numbers.tolist(), labels.items.tolist()) == ([2], [3, 1])
    rank = place[labels.part, labels.items]
    assert [count.tolist() for count in hits(labels, rank).found] == [[0], [1]]
    unseen = unseen_ranks(labels, place, EVENTS, "last 20 %", PARTS)
    assert unseen.tolist() == [1, 0]  # without 0, 2, 4 and 5 the first are 1 and 3
    assert [count.tolist() for count in hits(labels, unseen).found] == [[1], [2]]


def test_ndcg_divides_by_the_ideal_of_the_hits() -> None:
    labels = labels_of(EVENTS, "last 20 %", PARTS)
    assert ndcg(labels, np.array([3, 1]), 2) == pytest.approx(1 / np.log2(3))
    assert ndcg(labels, np.array([3, 1]), 4) == pytest.approx((1 / np.log2(5) + 1 / np.log2(3)) / (1 + 1 / np.log2(3)))
    assert ndcg(labels, np.array([3, 1]), 1) == 0


def test_values_average_users_or_labels() -> None:
    found = Hits(np.array([1.0, 3.0]), (np.array([1.0, 0.0]), np.array([1.0, 1.0])))
    assert values(found, "users").mean(axis=0) == pytest.approx([1 / 2, 2 / 3, 1 / 2, 1])
    assert values(found, "labels").mean(axis=0) == pytest.approx([1 / 4, 1 / 2, 1 / 2, 1])


def test_misfit_is_a_chi_square_on_four_degrees() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(20_000, 4)) @ rng.normal(size=(4, 4))
    draws = [misfit(table, table[rng.integers(0, len(table), 400)].mean(axis=0), 400) for _ in range(400)]
    assert np.mean(draws) == pytest.approx(4, abs=0.5)
    assert np.mean([p_value(draw) < 0.05 for draw in draws]) == pytest.approx(0.05, abs=0.03)
    assert p_value(9.487729) == pytest.approx(0.05, abs=1e-6)  # the quantile of every table


def test_the_order_of_ids_is_recovered_from_ties() -> None:
    rng = np.random.default_rng(0)
    number_of = rng.permutation(60)  # item number of each id
    sequences = []
    for _ in range(600):
        halves = (np.sort(rng.choice(60, size=4, replace=False)) for _ in range(2))
        sequences.append((number_of[np.concatenate(list(halves))] + 1).tolist())
    places = recovered_places(dataset_of(sequences, [str(item) for item in range(60)]))
    assert sorted(places.tolist()) == list(range(60))
    assert np.corrcoef(places[number_of], np.arange(60))[0, 1] > 0.95


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "least_p", "ndcg_within"), [("Beauty", 0.9, 0.0003), ("Office", 0.05, 0.02)])
def test_pop_equals_the_papers_under_the_identified_protocol(
    shared_data: Path, name: str, least_p: float, ndcg_within: float
) -> None:
    dataset = prepare(shared_data / FOLDERS[name], format="table")
    places = catalogue_places(dataset)
    events = events_of(dataset, orders(dataset, places)[IDENTIFIED.order], IDENTIFIED.kept)
    parts = splits(dataset, places)[IDENTIFIED.split]
    labels = labels_of(events, IDENTIFIED.labels, parts)
    rank = ranks(events, IDENTIFIED.counts, parts, dataset.n_items)[labels.part, labels.items]
    table = values(hits(labels, rank), IDENTIFIED.average)
    assert len(table) == TEST_USERS[name]
    assert p_value(misfit(table, published_values(name), TEST_USERS[name])) > least_p
    for cutoff in CUTOFFS:  # not searched on
        published = paper_value("table4", name, "Pop", f"NDCG@{cutoff}")
        assert ndcg(labels, rank, cutoff) == pytest.approx(published, abs=ndcg_within)
