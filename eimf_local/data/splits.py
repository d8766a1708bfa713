"""Who is trained on and who is evaluated: the protocols of SPEC section 2."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from ..errors import ConfigError, InputError
from .dataset import NO_TIME, Dataset, EvaluationUsers, Int64, Split

# Fewer users leave validation or test empty, or a metric that one user decides.
MIN_USERS = 10
# The first interaction of a user that is a training target or a label, 0-based: at least four precede it.
FIRST_TARGET = 4
MIN_EVENTS = FIRST_TARGET + 1


def make_split(dataset: Dataset, *, protocol: str = "user-split", seed: int = 1230) -> Split:
    """Split ``dataset`` by one of ``PROTOCOLS``; ``seed`` matters to ``user-split`` only.

    Raises :class:`ConfigError` for an unknown protocol, :class:`InputError` where the data cannot be split by it.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}", hint=f"choose one of: {', '.join(PROTOCOLS)}")
    if dataset.n_users < MIN_USERS:
        raise InputError(
            f"{dataset.n_users} users are too few to split into training, validation and test",
            hint=f"give a dataset of at least {MIN_USERS} users",
        )
    split = PROTOCOLS[protocol](dataset, seed)
    sizes = {"training": split.train_users, "validation": split.valid.users, "test": split.test.users}
    if not all(len(users) for users in sizes.values()):
        counts = ", ".join(f"{len(users)} {part}" for part, users in sizes.items())
        raise InputError(f"{protocol} leaves {counts} users", hint="give more data or choose another protocol")
    return split


def user_split(dataset: Dataset, seed: int) -> Split:
    """Disjoint users: sorted as strings, ``random.Random(seed).shuffle``, cut at int(.8 n) and int(.9 n).

    Training users are seen whole. Evaluation: the first int(.8 len) interactions are history, the rest labels. Users
    with fewer than ``MIN_EVENTS`` interactions, which the default filter never leaves, keep their place in the shuffle
    but are not used.
    """
    shuffled = list(range(dataset.n_users))  # the rows of users sorted as strings
    random.Random(seed).shuffle(shuffled)
    return _cut_users(dataset, np.array(shuffled, dtype=np.int64), protocol="user-split", seed=seed)


def item_order(dataset: Dataset, seed: int = 0) -> Split:
    """:func:`user_split` without its shuffle: users by their lowest raw item id (as strings), ties by user id.

    That is the order in which users first appear in an Amazon review file, which is sorted by ASIN. The last tenth,
    the test users, bought nothing but items of the highest ids, mostly recent ones. It is the protocol whose Pop equals
    the paper's on Beauty (docs/decisions/2026-11-27-protocol-calibration.md). Raises :class:`InputError` where no item
    id has a letter: plain numbers were given by somebody else, in another order than the catalogue's.
    """
    if all(item.isdigit() for item in dataset.items):
        raise InputError(
            "every item id is a plain number, and protocol item-order needs the catalogue's own ids, such as ASINs",
            hint="prepare it from a source with the original item ids, or use protocol user-split",
        )
    places = np.argsort(np.argsort(np.array(dataset.items)))  # [N]: of item number i + 1 among the sorted ids
    lowest = np.minimum.reduceat(places[dataset.sequence - 1], dataset.offsets[:-1])  # [U]
    return _cut_users(dataset, np.argsort(lowest, kind="stable"), protocol="item-order", seed=seed)


def global_time(dataset: Dataset, seed: int = 0) -> Split:
    """One clock for all: train before the first cut, validate between the cuts, test after the second.

    The cuts are the order statistics of rank int(.8 n) and int(.9 n), from 0, of the n known interaction times; an
    interaction *at* a cut is after it. Training: users with at least ``MIN_EVENTS`` interactions before cut 1, of which
    the trainer sees those and ESIM the first int(.8 ...). Validation: history before cut 1, labels from cut 1 to before
    cut 2; test: history before cut 2, labels from there on; users with at least 4 before and 1 label.

    Times run along each user's order: one that steps back counts as the latest so far, so that a history is always
    a beginning of the sequence. Preparation gives a blank time the user's previous one; users without any (``NO_TIME``)
    take no part. Raises :class:`InputError` where the dataset has no times.
    """
    if dataset.timestamps is None or bool((dataset.timestamps == NO_TIME).all()):
        raise InputError(
            "the dataset has no timestamps, which protocol global-time needs",
            hint="prepare it from a source whose times are in a column named timestamp, or use protocol user-split",
        )
    owners = np.repeat(np.arange(dataset.n_users), dataset.lengths)
    times = dataset.timestamps
    known = np.sort(times[times != NO_TIME])
    cuts = [int(known[int(share * len(known))]) for share in (0.8, 0.9)]
    before = [_before(dataset, times, owners, cut) for cut in cuts]
    ends = np.where(times[dataset.offsets[:-1]] == NO_TIME, 0, dataset.lengths)
    train = np.flatnonzero((before[0] >= MIN_EVENTS) & (ends > 0))
    return Split(
        protocol="global-time",
        seed=seed,
        train_users=train,
        train_ends=before[0][train],
        visible_ends=_four_fifths(before[0][train]),
        valid=_between(before[0], before[1], ends),
        test=_between(before[1], ends, ends),
    )


PROTOCOLS: Mapping[str, Callable[[Dataset, int], Split]] = MappingProxyType(
    {"user-split": user_split, "item-order": item_order, "global-time": global_time}
)


def _cut_users(dataset: Dataset, rows: Int64, *, protocol: str, seed: int) -> Split:
    """Disjoint users of int64 [U] ``rows``, cut at int(.8 U) and int(.9 U) into training, validation and test."""
    first, second = int(0.8 * len(rows)), int(0.9 * len(rows))
    lengths = dataset.lengths
    train, valid, test = (part[lengths[part] >= MIN_EVENTS] for part in np.split(rows, [first, second]))
    train = np.sort(train)
    return Split(
        protocol=protocol,
        seed=seed,
        train_users=train,
        train_ends=lengths[train],
        visible_ends=_four_fifths(lengths[train]),
        valid=_evaluation(np.sort(valid), lengths),
        test=_evaluation(np.sort(test), lengths),
    )


def _four_fifths(lengths: Int64) -> Int64:
    return (0.8 * lengths).astype(np.int64)  # the same double as Python's int(.8 * n)


def _evaluation(users: Int64, lengths: Int64) -> EvaluationUsers:
    return EvaluationUsers(users=users, history_ends=_four_fifths(lengths[users]), label_ends=lengths[users])


def _before(dataset: Dataset, times: Int64, owners: Int64, cut: int) -> Int64:
    """int64 [U]: interactions of each user before its first one at or after ``cut``."""
    ends = dataset.lengths.copy()
    late = np.flatnonzero(times >= cut)
    np.minimum.at(ends, owners[late], late - dataset.offsets[owners[late]])
    return ends


def _between(history: Int64, labels: Int64, lengths: Int64) -> EvaluationUsers:
    users = np.flatnonzero((history >= MIN_EVENTS - 1) & (labels > history) & (lengths > 0))
    return EvaluationUsers(users=users, history_ends=history[users], label_ends=labels[users])
