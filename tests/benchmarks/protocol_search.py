"""Under which protocol does Pop equal the paper's? ``python -m tests.benchmarks.protocol_search --data DIR``.

DIR holds amazon2014-beauty and amazon2014-office (``--format table``). Pop needs no training, so it tells protocols
apart: every combination of who is tested (:func:`splits`), the order of a user's items (:func:`orders`), the items
kept, which of them are labels (:data:`WINDOWS`), what popularity counts (:data:`COUNTS`), whether seen items are
filtered, and whether users or labels are averaged. Recall and HR at 20 and 50 are compared with the paper's by
chi-square on 4 degrees of freedom, with the covariance between users for as many test users as the paper has.

Prints Markdown: the best fits of both data sets at once and of each alone, and :data:`IDENTIFIED` in full.
Deterministic; minutes on one core.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eimf_local.data.dataset import Bool, Dataset, Int64
from eimf_local.data.prepare import prepare
from eimf_local.data.splits import make_split
from eimf_local.evaluation.paper import paper_value

from .catalogue_order import recovered_places

Float64 = npt.NDArray[np.float64]
CUTOFFS = (20, 50)
METRICS = ("Recall@20", "Recall@50", "HR@20", "HR@50")
FOLDERS = {"Beauty": "amazon2014-beauty", "Office": "amazon2014-office"}
TEST_USERS = {"Beauty": 2_237, "Office": 491}  # the paper's: its HRs are multiples of 1 / these
# Least interactions of an item and of a user, and whether both are applied until nothing changes. The files are 5-core
# as they come, so iterating at 5 changes nothing.
FILTERS = {"5, one pass": (5, False), "10, iterated": (10, True)}
KEPT = ("all", "first 6", "first 10", "first 20", "last 6", "last 10", "last 20")

# Position of an item in its user's sequence (from 0) and the sequence's length -> is it a label?
WINDOWS: Mapping[str, Callable[[Int64, Int64], Bool]] = {
    "last 20 %": lambda p, n: p >= (0.8 * n).astype(np.int64),
    "last 20 %, rounded": lambda p, n: p >= np.round(0.8 * n),
    "last 20 %, fewest": lambda p, n: p >= np.ceil(0.8 * n - 1e-9),
    "last 10 %": lambda p, n: p >= np.minimum((0.9 * n).astype(np.int64), n - 1),
    "middle tenth": lambda p, n: (
        (p >= (0.8 * n).astype(np.int64)) & (p < np.maximum((0.9 * n).astype(np.int64), (0.8 * n).astype(np.int64) + 1))
    ),
    "last 50 %": lambda p, n: p >= (0.5 * n).astype(np.int64),
    "last two": lambda p, n: p >= n - 2,
    "last one": lambda p, n: p == n - 1,
    "next one after 80 %": lambda p, n: p == (0.8 * n).astype(np.int64),
    "first 20 %": lambda p, n: p < np.maximum((0.2 * n).astype(np.int64), 1),
    "fifth on": lambda p, n: p >= 4,
    "all": lambda p, n: p >= 0,
}
# The same -> how much does it count towards its item's popularity, if its user is trained on?
COUNTS: Mapping[str, Callable[[Int64, Int64], Float64]] = {
    "sequences": lambda p, n: np.ones(len(p)),
    "histories": lambda p, n: (p < (0.8 * n).astype(np.int64)) * 1.0,
    "labels": lambda p, n: (p >= (0.8 * n).astype(np.int64)) * 1.0,
    "sampled targets": lambda p, n: (p >= 4) / np.maximum(n - 4, 1),
    "fifth on": lambda p, n: (p >= 4) * 1.0,
    "last items": lambda p, n: (p == n - 1) * 1.0,
    "users": lambda p, n: 1 / n,
}


class Protocol(NamedTuple):
    """One point of the search, each field by its name in the tables."""

    filter: str
    split: str
    order: str
    kept: str
    labels: str
    counts: str
    seen: str
    average: str


IDENTIFIED = Protocol(
    "5, one pass", "lowest item, last", "time", "all", "last 20 %", "sampled targets", "ranked", "users"
)


class Events(NamedTuple):
    """Users' sequences after ordering and cutting: int64 [n] each; ``position`` is from 0, of ``length``."""

    users: Int64
    items: Int64
    position: Int64
    length: Int64


class Parts(NamedTuple):
    """Who is tested on whose popularity: ``part`` int64 [U], -1 where not tested; ``trained`` bool [P, U]."""

    part: Int64
    trained: Bool


class Labels(NamedTuple):
    """What is to be found: int64 [m] label by label, its tested user's row, its item, and the user's part.

    ``numbers`` float64 [n]: labels of each tested user.
    """

    rows: Int64
    items: Int64
    part: Int64
    numbers: Float64


class Hits(NamedTuple):
    """``labels`` float64 [n]: of each tested user; ``found`` float64 [n] each: those of them within each cut-off."""

    labels: Float64
    found: tuple[Float64, ...]


def events_of(dataset: Dataset, order: Int64, kept: str) -> Events:
    """``order`` int64 [total]: the places of ``dataset.sequence``, user by user; ``kept`` is one of :data:`KEPT`."""
    lengths = dataset.lengths
    users = np.repeat(np.arange(dataset.n_users), lengths)
    position = np.arange(len(users)) - dataset.offsets[users]
    which, _, number = kept.partition(" ")
    if which == "all":
        stays = np.ones(len(users), dtype=bool)
    elif which == "first":
        stays = position < int(number)
    else:
        stays = position >= lengths[users] - int(number)
    users, items = users[stays], dataset.sequence[order][stays].astype(np.int64) - 1
    lengths = np.bincount(users, minlength=dataset.n_users)
    starts = np.cumsum(lengths) - lengths
    return Events(users, items, np.arange(len(users)) - starts[users], lengths[users])


def orders(dataset: Dataset, places: Int64) -> dict[str, Int64]:
    """Orders of a user's items; ``places`` int64 [N]: of item number i + 1 in the catalogue. Item numbers are ranks."""
    users = np.repeat(np.arange(dataset.n_users), dataset.lengths)
    time_order = np.arange(len(users))
    catalogue = places[dataset.sequence - 1]
    keys: dict[str, npt.NDArray[np.generic]] = {
        "time": time_order,
        "reversed time": -time_order,
        "random": np.random.default_rng(0).random(len(users)),
        "item id": catalogue,
        "reversed item id": -catalogue,
        "popular last": -dataset.sequence,
    }
    return {name: np.lexsort((key, users)) for name, key in keys.items()}


def splits(dataset: Dataset, places: Int64) -> dict[str, Parts]:
    """Train on 80 % and test on 10 % of the users: shuffled, or cut from either end of an order of users.

    "tenfold": every user is tested once, on the popularity of the others: what a shuffle gives on average.
    """
    n_users = dataset.n_users
    fold = np.empty(n_users, dtype=np.int64)
    fold[np.random.default_rng(1).permutation(n_users)] = np.arange(n_users) % 10
    found = {"tenfold": Parts(fold, fold != np.arange(10)[:, None])}
    split = make_split(dataset, seed=1230)
    found["shuffled, 1230"] = _parts(n_users, split.train_users, split.test.users)
    ids = places[dataset.sequence - 1]
    keys = {
        "user id": np.arange(n_users),
        "lowest item": np.minimum.reduceat(ids, dataset.offsets[:-1]),
        "highest item": np.maximum.reduceat(ids, dataset.offsets[:-1]),
        "length": dataset.lengths,
    }
    for name, key in keys.items():
        rows = np.argsort(key, kind="stable")
        for end, way in (("last", rows), ("first", rows[::-1])):
            found[f"{name}, {end}"] = _parts(n_users, way[: int(0.8 * n_users)], way[int(0.9 * n_users) :])
    return found


def _parts(n_users: int, train: Int64, test: Int64) -> Parts:
    part, trained = np.full(n_users, -1), np.zeros((1, n_users), dtype=bool)
    part[test] = 0
    trained[0, train] = True
    return Parts(part, trained)


def ranks(events: Events, counts: str, parts: Parts, n_items: int) -> Int64:
    """int64 [P, N]: each item's place by popularity (from 0) among the users trained on; ties by item number."""
    weights = COUNTS[counts](events.position, events.length)
    found = np.empty((len(parts.trained), n_items), dtype=np.int64)
    for row, trained in zip(found, parts.trained, strict=True):
        popularity = np.bincount(events.items, weights=weights * trained[events.users], minlength=n_items)
        row[np.argsort(-popularity, kind="stable")] = np.arange(n_items)
    return found


def labels_of(events: Events, window: str, parts: Parts) -> Labels:
    """The labels of tested users under one of :data:`WINDOWS`."""
    chosen = WINDOWS[window](events.position, events.length) & (parts.part[events.users] >= 0)
    users = events.users[chosen]
    rows = (np.cumsum(parts.part >= 0) - 1)[users]
    numbers = np.bincount(rows, minlength=int((parts.part >= 0).sum())).astype(np.float64)
    return Labels(rows, events.items[chosen], parts.part[users], numbers)


def hits(labels: Labels, rank: Int64) -> Hits:
    """What Pop finds; ``rank`` int64 [m]: of each label."""
    counts = (np.bincount(labels.rows[rank < k], minlength=len(labels.numbers)).astype(np.float64) for k in CUTOFFS)
    return Hits(labels.numbers, tuple(counts))


def unseen_ranks(labels: Labels, place: Int64, events: Events, window: str, parts: Parts) -> Int64:
    """int64 [m]: the labels' ranks with each user's other items taken out. No user may have an item twice."""
    other = ~WINDOWS[window](events.position, events.length) & (parts.part[events.users] >= 0)
    users = events.users[other]
    rows, width = (np.cumsum(parts.part >= 0) - 1)[users], place.shape[1]
    seen = np.sort(rows * width + place[parts.part[users], events.items[other]])
    rank = place[labels.part, labels.items]
    above = np.searchsorted(seen, labels.rows * width + rank) - np.searchsorted(seen, labels.rows * width)
    return rank - above


def ndcg(labels: Labels, rank: Int64, cutoff: int) -> float:
    """The reference's: by rank, over the ideal of the number of hits; the mean over users."""
    rows, rank = labels.rows[rank < cutoff], rank[rank < cutoff]
    gain = np.bincount(rows, weights=1 / np.log2(rank + 2), minlength=len(labels.numbers))
    ideal = np.concatenate(([1.0], np.cumsum(1 / np.log2(np.arange(2, cutoff + 2)))))  # of no hit: any number but 0
    return float((gain / ideal[np.bincount(rows, minlength=len(labels.numbers))]).mean())


def values(found: Hits, average: str) -> Float64:
    """float64 [n, 4]: per user, numbers whose means are :data:`METRICS`.

    ``average`` "users": hits / labels. "labels": hits over all labels of all users, its deviations to first order.
    """
    columns = []
    for hit in found.found:
        if average == "users":
            columns.append(hit / np.maximum(found.labels, 1))
        else:
            share = hit.sum() / found.labels.sum()
            columns.append(share + (hit - share * found.labels) / found.labels.mean())
    return np.stack([*columns, *(hit > 0 for hit in found.found)], axis=1).astype(np.float64)


def misfit(table: Float64, published: Float64, test_users: int) -> float:
    """Chi-square on 4 degrees of freedom of ``published`` [4] under the means and covariance of ``table`` [n, 4].

    The covariance is that of a mean over ``test_users`` users, plus half a user's worth for what four digits hide.
    """
    mean = table.mean(axis=0)
    covariance = (table.T @ table / len(table) - np.outer(mean, mean)) / test_users
    covariance += np.eye(len(mean)) * (0.5 / test_users) ** 2
    return float((published - mean) @ np.linalg.solve(covariance, published - mean))


class Found(NamedTuple):
    """Means of :data:`METRICS` float64 [4], and their chi-square."""

    mean: Float64
    chi2: float


def search(name: str, dataset: Dataset, filtered: str) -> Iterator[tuple[Protocol, Found]]:
    """Every protocol on one data set. Seen items are filtered in whole sequences in the order of time only."""
    published, places = published_values(name), catalogue_places(dataset)
    ways = splits(dataset, places)
    for (order, order_rows), kept in itertools.product(orders(dataset, places).items(), KEPT):
        events = events_of(dataset, order_rows, kept)
        for split, parts in ways.items():
            popular = {counts: ranks(events, counts, parts, dataset.n_items) for counts in COUNTS}
            chosen = {window: labels_of(events, window, parts) for window in WINDOWS}
            for (window, labels), (counts, place) in itertools.product(chosen.items(), popular.items()):
                found = {"ranked": hits(labels, place[labels.part, labels.items])}
                if (order, kept) == ("time", "all"):
                    found["filtered"] = hits(labels, unseen_ranks(labels, place, events, window, parts))
                for (seen, hit), average in itertools.product(found.items(), ("users", "labels")):
                    table = values(hit, average)
                    protocol = Protocol(filtered, split, order, kept, window, counts, seen, average)
                    yield protocol, Found(table.mean(axis=0), misfit(table, published, TEST_USERS[name]))


def published_values(name: str) -> Float64:
    """float64 [4]: the paper's Pop."""
    return np.array([paper_value("table4", name, "Pop", metric) for metric in METRICS], dtype=np.float64)


def catalogue_places(dataset: Dataset) -> Int64:
    """int64 [N]: the place of item number i + 1 by its raw id; where ids are plain numbers, as recovered."""
    if all(item.isdigit() for item in dataset.items):
        return recovered_places(dataset)
    return np.argsort(np.argsort(np.array(dataset.items)))


def _search_filters(name: str, folder: Path) -> dict[Protocol, Found]:
    found: dict[Protocol, Found] = {}
    for filtered, (least, iterate) in FILTERS.items():
        dataset = prepare(folder, format="table", min_item_count=least, min_user_count=least, iterate=iterate)
        found.update(search(name, dataset, filtered))
    return found


def main() -> int:
    """Search and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--top", type=int, default=10)
    options = parser.parse_args()
    started = time.perf_counter()
    found = {name: _search_filters(name, options.data / folder) for name, folder in FOLDERS.items()}
    _print(found, options.top)
    print(f"\n{time.perf_counter() - started:.0f} s")
    return 0


def p_value(chi_square: float) -> float:
    """The chance of a larger chi-square on 4 degrees of freedom."""
    return float(np.exp(-chi_square / 2) * (1 + chi_square / 2))


def _print(found: dict[str, dict[Protocol, Found]], top: int) -> None:
    first, second = found.values()
    fitting = [{p for p in each if p_value(each[p].chi2) > 0.05} for each in (first, second)]
    numbers = ", ".join(f"{name} {len(each)}" for name, each in zip(found, fitting, strict=True))
    print(f"{len(first):,} protocols; with p > .05: {numbers}, both {len(fitting[0] & fitting[1])}")
    _print_table("Both", sorted(first, key=lambda p: first[p].chi2 + second[p].chi2)[:top], found)
    for name, each in found.items():
        _print_table(f"{name} alone", sorted(each, key=lambda p: each[p].chi2)[:top], found)
    _print_table("Identified", [IDENTIFIED], found)


def _print_table(title: str, protocols: list[Protocol], found: dict[str, dict[Protocol, Found]]) -> None:
    heads = [head for name in found for head in (f"{name}: {', '.join(METRICS)}", "chi-square (p)")]
    print(f"\n### {title}\n")
    _print_row(*Protocol._fields, *heads)
    _print_row(*["---"] * (len(Protocol._fields) + len(heads)))
    for protocol in protocols:
        results = [each[protocol] for each in found.values()]
        cells = [
            cell
            for one in results
            for cell in (" ".join(f"{value:.3f}" for value in one.mean), f"{one.chi2:.1f} ({p_value(one.chi2):.2g})")
        ]
        _print_row(*protocol, *cells)


def _print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(main())
