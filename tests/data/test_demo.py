from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from eimf_local.data.dataset import Dataset
from eimf_local.data.demo import DemoData, demo_dataset, write_demo_source
from eimf_local.data.demo_words import demo_interests
from eimf_local.data.prepare import prepare
from eimf_local.data.splits import PROTOCOLS, make_split
from eimf_local.data.storage import load_true_interests
from eimf_local.errors import ConfigError


@pytest.fixture(scope="module")
def demo() -> DemoData:
    return demo_dataset()


@pytest.fixture(scope="module")
def phrases(demo: DemoData) -> list[str]:
    """The interest that each item was made for, told by the longest product noun in its title; [0] is padding."""
    nouns = sorted(
        ((noun.name, interest.phrase) for interest in demo_interests() for noun in interest.nouns),
        key=lambda pair: -len(pair[0]),
    )
    return ["", *(next(phrase for noun, phrase in nouns if noun in title) for title in demo.dataset.titles)]


def test_size_is_about_a_thousand_users_and_six_hundred_items(demo: DemoData) -> None:
    assert demo.dataset.n_users == 1000
    assert 590 <= demo.dataset.n_items <= 600
    assert demo.dataset.lengths.min() >= 5
    assert demo.dataset.lengths.max() <= 40
    assert 12 <= np.median(demo.dataset.lengths) <= 20
    assert len(set(demo.dataset.titles)) == demo.dataset.n_items
    assert demo.dataset.statistics["titles_missing"] == 0


def test_five_core_holds(demo: DemoData) -> None:
    assert np.bincount(demo.dataset.sequence)[1:].min() >= 5
    assert demo.dataset.statistics["filter"] == {"min_item_count": 5, "min_user_count": 5, "iterate": False}


def test_users_have_two_to_five_interests_of_the_catalogue(demo: DemoData) -> None:
    known = {interest.phrase for interest in demo_interests()}
    sizes = Counter(len(interests) for interests in demo.true_interests.values())
    assert sorted(sizes) == [2, 3, 4, 5]
    assert min(sizes.values()) >= 50
    assert all(set(interests) <= known for interests in demo.true_interests.values())
    assert all(len(set(interests)) == len(interests) for interests in demo.true_interests.values())
    assert sorted(demo.true_interests) == list(demo.dataset.users)


def test_about_a_tenth_of_the_clicks_is_noise(demo: DemoData, phrases: list[str]) -> None:
    own = [
        phrases[item] in demo.true_interests[user]
        for row, user in enumerate(demo.dataset.users)
        for item in demo.dataset.history(row)
    ]
    assert 0.88 <= np.mean(own) <= 0.94


def test_the_first_true_interest_is_the_strongest_in_most_cases(demo: DemoData, phrases: list[str]) -> None:
    ranks = []
    for row, user in enumerate(demo.dataset.users):
        counts = Counter(phrases[item] for item in demo.dataset.history(row))
        clicks = [counts[phrase] for phrase in demo.true_interests[user]]
        ranks.append(sum(count > clicks[0] for count in clicks))
    assert np.mean(np.array(ranks) == 0) > 0.6


def test_interests_come_in_runs_and_drift(demo: DemoData, phrases: list[str]) -> None:
    stays, drifts = [], []
    for row in range(demo.dataset.n_users):
        sequence = [phrases[item] for item in demo.dataset.history(row)]
        stays += [now == then for then, now in itertools.pairwise(sequence)]
        half = len(sequence) // 2
        first, second = (Counter(part).most_common(1)[0][0] for part in (sequence[:half], sequence[half:]))
        drifts.append(first != second)
    assert 0.4 <= np.mean(stays) <= 0.8
    assert 0.3 <= np.mean(drifts) <= 0.8


def test_popularity_is_skewed_among_items_and_inside_interests(demo: DemoData, phrases: list[str]) -> None:
    counts = np.bincount(demo.dataset.sequence)[1:]
    assert counts[: len(counts) // 10].sum() / counts.sum() > 0.2
    for phrase in set(phrases[1:]):
        shelf = [count for count, name in zip(counts, phrases[1:], strict=True) if name == phrase]
        assert max(shelf) > 1.5 * np.median(shelf)


def test_what_was_bought_together_foretells_twice_as_much_as_popularity(demo: DemoData) -> None:
    dataset = demo.dataset
    split = make_split(dataset, protocol="user-split", seed=1230)
    together = np.zeros((dataset.n_items + 1, dataset.n_items + 1))
    for user in split.train_users:
        items = np.unique(dataset.history(int(user)))
        together[np.ix_(items, items)] += 1
    popularity = np.diag(together).copy()
    np.fill_diagonal(together, 0)
    together /= np.sqrt(np.outer(popularity, popularity)) + 1
    by_popularity, by_history = [], []
    for user, end in zip(split.test.users, split.test.history_ends, strict=True):
        history = dataset.history(int(user))
        labels = set(history[end:].tolist())
        for recalls, scores in ((by_popularity, popularity), (by_history, together[history[:end]].sum(axis=0))):
            recalls.append(len(set(np.argsort(-scores)[:20].tolist()) & labels) / len(labels))
    assert np.mean(by_history) > 2 * np.mean(by_popularity)
    assert np.mean(by_popularity) < 0.2


def test_titles_tell_the_interest(demo: DemoData, phrases: list[str]) -> None:
    words = [set(title.lower().replace(",", " ").split()) for title in demo.dataset.titles]
    frequency = Counter(word for title in words for word in title)
    vocabulary = {word: column for column, word in enumerate(frequency)}
    bags = np.zeros((len(words), len(vocabulary)))
    for row, title in enumerate(words):
        for word in title:
            bags[row, vocabulary[word]] = np.log(len(words) / frequency[word])
    bags /= np.linalg.norm(bags, axis=1, keepdims=True)
    likeness = bags @ bags.T
    np.fill_diagonal(likeness, -1)
    same = [phrases[row + 1] == phrases[int(nearest) + 1] for row, nearest in enumerate(likeness.argmax(axis=1))]
    assert np.mean(same) > 0.6


def test_ids_tell_neither_interest_nor_popularity(demo: DemoData, phrases: list[str]) -> None:
    by_id = np.argsort(demo.dataset.items)
    assert abs(np.corrcoef(by_id, np.arange(len(by_id)))[0, 1]) < 0.15
    neighbours = [phrases[int(a) + 1] == phrases[int(b) + 1] for a, b in itertools.pairwise(by_id)]
    assert np.mean(neighbours) < 0.1


def test_every_protocol_applies(demo: DemoData) -> None:
    for protocol in PROTOCOLS:
        assert len(make_split(demo.dataset, protocol=protocol, seed=1230).test.users) >= 100


def same(first: Dataset, second: Dataset) -> bool:
    return (
        (first.users, first.items, first.titles) == (second.users, second.items, second.titles)
        and np.array_equal(first.sequence, second.sequence)
        and np.array_equal(first.offsets, second.offsets)
    )


def test_is_deterministic_for_a_seed_and_differs_between_seeds(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("one", "two", "other")}
    for name, folder in folders.items():
        write_demo_source(folder, users=50, items=200, seed=9 if name != "other" else 10)
    names = sorted(path.name for path in folders["one"].iterdir())
    assert names == ["interactions.csv", "items.csv", "true_interests.jsonl"]
    for name in names:
        blobs = [(folder / name).read_bytes() for folder in folders.values()]
        assert blobs[0] == blobs[1] != blobs[2]


def test_the_source_files_go_through_the_same_door(tmp_path: Path) -> None:
    write_demo_source(tmp_path, users=200, items=300, seed=4)
    demo = demo_dataset(users=200, items=300, seed=4)
    assert same(prepare(tmp_path, format="table"), demo.dataset)
    assert load_true_interests(tmp_path / "true_interests.jsonl") == demo.true_interests


@pytest.mark.parametrize("seed", range(1, 4))
def test_other_seeds_keep_nearly_every_user_and_item(seed: int) -> None:
    dataset = demo_dataset(seed=seed).dataset
    assert dataset.n_users >= 995
    assert dataset.n_items >= 585


@pytest.mark.parametrize(("users", "items"), [(9, 600), (1000, 60)])
def test_when_too_small_error_names_the_least(users: int, items: int) -> None:
    with pytest.raises(ConfigError, match="ask for at least 10 users and 108 items"):
        demo_dataset(users=users, items=items)
