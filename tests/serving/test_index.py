from __future__ import annotations

import numpy as np
import pytest

from eimf_local.serving.index import InterestIndex


def brute_force(items: np.ndarray, interests: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = np.einsum("nkd,id->nki", interests, items).max(1)
    scores[:, 0] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, 1)


@pytest.mark.parametrize(("n_items", "n_interests", "k"), [(200, 4, 20), (30, 1, 30), (50, 6, 1)])
def test_search_equals_brute_force(n_items: int, n_interests: int, k: int) -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(n_items + 1, 16)).astype(np.float32)
    items[0] = 100  # padding must never be retrieved, whatever its vector
    interests = rng.normal(size=(7, n_interests, 16)).astype(np.float32)
    found, scores = InterestIndex(items).search(interests, k=k)
    expected, expected_scores = brute_force(items, interests, k)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-6)


def test_an_item_that_two_interests_retrieve_appears_once_with_its_best_score() -> None:
    items = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    found, scores = InterestIndex(items).search(np.array([[[1, 0], [3, 1]]], np.float32), k=2)
    assert found.tolist() == [[1, 2]]
    assert scores.tolist() == [[3, 1]]


def test_when_k_exceeds_the_catalogue_all_of_it_is_returned() -> None:
    items = np.eye(4, 3, k=-1, dtype=np.float32)
    found, _ = InterestIndex(items).search(np.ones((1, 2, 3), np.float32), k=10)
    assert found.tolist() == [[1, 2, 3]]


def test_equal_scores_rank_the_lower_item_number_first() -> None:
    items = np.array([[0.0], [1], [2], [2], [2]], np.float32)
    found, _ = InterestIndex(items).search(np.ones((1, 1, 1), np.float32), k=4)
    assert found.tolist() == [[2, 3, 4, 1]]


class TestCompressed:
    def case(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        return rng.normal(size=(40_001, 32)).astype(np.float32), rng.normal(size=(25, 4, 32)).astype(np.float32)

    def test_finds_nearly_all_of_the_exact_best_with_exact_scores(self) -> None:
        items, interests = self.case()
        exact, _ = InterestIndex(items).search(interests, k=20)
        found, scores = InterestIndex(items, compressed=True).search(interests, k=20)
        assert np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]) >= 0.98
        expected = np.einsum("nkd,nid->nki", interests, items[found]).max(1)
        np.testing.assert_allclose(scores, expected, rtol=1e-5)
        assert (np.diff(scores, axis=1) <= 0).all()
        assert all(len(set(row)) == 20 for row in found.tolist())

    def test_padding_is_never_retrieved_and_two_builds_agree(self) -> None:
        items, interests = self.case()
        items = items.copy()
        items[0] = 100
        first, second = (InterestIndex(items, compressed=True).search(interests, k=20)[0] for _ in range(2))
        assert (first > 0).all()
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("dim", [5, 8])
    def test_small_catalogues_and_odd_dimensions(self, dim: int) -> None:
        rng = np.random.default_rng(1)
        items = rng.normal(size=(31, dim)).astype(np.float32)
        interests = rng.normal(size=(3, 2, dim)).astype(np.float32)
        found, _ = InterestIndex(items, compressed=True).search(interests, k=40)
        np.testing.assert_array_equal(found, brute_force(items, interests, 30)[0])
