"""Interest AUC and its controls, keyphrases and recovery: hand cases, a pairwise oracle, chance level."""

import doctest

import numpy as np
import pytest

import eimf_local.evaluation.interest_quality as module
from eimf_local.errors import InputError
from eimf_local.evaluation.interest_quality import (
    draw_negatives,
    interest_auc,
    paired_auc_difference,
    recovery,
    shuffled_auc,
    tfidf_phrases,
)

T, N, G, M, U = 16, 120, 12, 5, 150


def random_interests(seed=0):
    generator = np.random.default_rng(seed)
    interests = generator.normal(size=(G, M, T)).astype(np.float32)
    mask = generator.random((G, M)) < 0.7
    mask[:, 0] = True
    cluster = generator.integers(0, G, U)
    item_text = generator.normal(size=(N + 1, T)).astype(np.float32)
    item_text[0] = 0
    later = [generator.choice(N, generator.integers(1, 6), replace=False) + 1 for _ in range(U)]
    return interests, mask, cluster, item_text, later


def informative_interests(seed=0):
    """Each cluster's interests are the titles of the items that its users choose later, with noise."""
    interests, mask, cluster, item_text, later = random_interests(seed)
    generator = np.random.default_rng(seed + 1)
    by_cluster = generator.permutation(N)[: G * M].reshape(G, M) + 1
    interests = item_text[by_cluster] + 0.3 * generator.normal(size=(G, M, T)).astype(np.float32)
    later = [generator.choice(by_cluster[g], 3, replace=False) for g in cluster]
    return interests, np.ones_like(mask), cluster, item_text, later


def slow_auc(interests, mask, cluster, item_text, later, negatives):
    def cosine(a, b):
        return float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))

    result = []
    for user, own in enumerate(later):
        mine = [vector for vector, real in zip(interests[cluster[user]], mask[cluster[user]], strict=True) if real]
        score = {i: max(cosine(vector, item_text[i]) for vector in mine) for i in {*own, *negatives[user]}}
        pairs = [(score[i], score[j]) for i in own for j in negatives[user]]
        result.append(np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs]))
    return result


def test_docstring_examples_hold():
    result = doctest.testmod(module)
    assert result.attempted >= 6
    assert result.failed == 0


def test_equals_pairwise_reference():
    given = random_interests()
    negatives = draw_negatives(given[-1], per_user=9)
    auc = interest_auc(*given, negatives=negatives)
    np.testing.assert_allclose(auc.per_user, slow_auc(*given, negatives), atol=1e-9)
    assert auc.mean == pytest.approx(auc.per_user.mean())
    assert auc.low < auc.mean < auc.high


def test_random_interests_are_at_chance_and_informative_ones_above_it():
    given = random_interests()
    auc = interest_auc(*given, negatives=draw_negatives(given[-1]))
    assert auc.mean == pytest.approx(0.5, abs=0.05)
    given = informative_interests()
    assert interest_auc(*given, negatives=draw_negatives(given[-1])).low > 0.8


def test_shuffled_interests_fall_to_chance_and_the_paired_difference_says_so():
    given = informative_interests()
    negatives = draw_negatives(given[-1])
    real, shuffled = interest_auc(*given, negatives=negatives), shuffled_auc(*given, negatives=negatives)
    assert shuffled.mean == pytest.approx(0.5, abs=0.06)  # 1 of 12 exchanges leaves a cluster its own
    difference = paired_auc_difference(real, shuffled)
    assert difference.mean == pytest.approx(real.mean - shuffled.mean)
    assert difference.distinguishable
    assert not paired_auc_difference(real, real).distinguishable


def test_is_invariant_to_scaling_padding_and_repeating_later_items():
    interests, mask, cluster, item_text, later = random_interests()
    negatives = draw_negatives(later)
    auc = interest_auc(interests, mask, cluster, item_text, later, negatives=negatives)
    spoilt = np.where(mask[:, :, None], 4 * interests, 1e3).astype(np.float32)
    twice = [np.concatenate([items, items]) for items in later]
    again = interest_auc(spoilt, mask, cluster, 2 * item_text, twice, negatives=negatives)
    np.testing.assert_allclose(again.per_user, auc.per_user, atol=1e-9)


def test_a_user_without_later_items_is_left_out_and_one_without_interests_is_at_chance():
    interests, mask, cluster, item_text, later = random_interests()
    mask[3] = False
    cluster[:2] = 3
    later[0] = np.array([], dtype=np.int64)
    auc = interest_auc(interests, mask, cluster, item_text, later, negatives=draw_negatives(later))
    assert np.isnan(auc.per_user[0])
    assert auc.per_user[1] == 0.5
    assert auc.mean == pytest.approx(np.nanmean(auc.per_user))


def test_negatives_are_fixed_by_seed_never_own_and_drawn_as_often_as_chosen():
    later = [[1], [2, 3], [2], [2], [2], [4]]
    negatives = draw_negatives(later, per_user=4000)
    np.testing.assert_array_equal(negatives, draw_negatives(later, per_user=4000))
    assert not np.array_equal(negatives, draw_negatives(later, per_user=4000, seed=1))
    assert not any(np.isin(row, own).any() for row, own in zip(negatives, later, strict=True))
    share = np.bincount(negatives[0], minlength=5) / 4000
    assert share == pytest.approx([0, 0, 4 / 6, 1 / 6, 1 / 6], abs=0.03)


@pytest.mark.parametrize("later", [[[1, 2]], [[1, 2], [2]], [[], []]])
def test_when_no_negative_exists(later):
    with pytest.raises(InputError, match="later items of other users"):
        draw_negatives(later)


def test_when_nobody_has_later_items():
    interests, mask, cluster, item_text, _ = random_interests()
    empty = [np.array([], dtype=np.int64)] * U
    with pytest.raises(InputError, match="no user has items"):
        interest_auc(interests, mask, cluster, item_text, empty, negatives=np.ones((U, 3), dtype=np.int64))


def test_keyphrases_stay_inside_titles_and_drop_stop_words():
    phrases = tfidf_phrases([["red tea", "pot of ink"], ["ink jet"]], top=50)
    assert set(phrases[0]) == {"red", "tea", "red tea", "pot", "ink", "pot ink"}
    assert "tea pot" not in phrases[0]
    assert phrases[0][-1] == "ink"  # the one phrase that both users have weighs least


def test_keyphrases_are_deterministic_and_at_most_top():
    titles = [["alpha beta gamma delta"], ["epsilon zeta"]]
    assert tfidf_phrases(titles, top=3) == tfidf_phrases(titles, top=3)
    assert [len(one) for one in tfidf_phrases(titles, top=3)] == [3, 3]
    assert tfidf_phrases(titles, top=2)[0] == ["alpha", "alpha beta"]


def test_keyphrases_when_titles_hold_no_words():
    assert tfidf_phrases([["!!"], ["the of"]]) == [[], []]
    assert tfidf_phrases([["!!"], ["green tea"]])[0] == []


def test_recovery_is_hand_computed_over_users():
    e = np.eye(4, dtype=np.float32)
    predicted = [e[[0, 1, 1]], e[[2]], np.empty((0, 4), dtype=np.float32)]
    true = [e[[1, 0]], e[[3, 0]], e[[0]]]
    result = recovery(predicted, true)  # 2 matches of 4 predicted, 5 true
    assert (result.precision, result.recall, result.f1) == (2 / 4, 2 / 5, 4 / 9)


def test_recovery_takes_the_largest_matching_not_the_greedy_one():
    # The first prediction is closest to the first truth, but is the only one that the second truth can have.
    predicted = np.array([[1.0, 0.9], [1.0, 0.0]], dtype=np.float32)
    true = np.array([[1.0, 0.7], [0.0, 1.0]], dtype=np.float32)
    assert recovery([predicted], [true]).f1 == 1.0


def test_recovery_threshold_includes_equality():
    a, b = np.array([[1.0, 0.0]], dtype=np.float32), np.array([[0.6, 0.8]], dtype=np.float32)
    assert recovery([a], [b]).f1 == 1.0
    assert recovery([a], [b], threshold=0.61).f1 == 0.0


def test_recovery_of_nothing_is_zero():
    assert recovery([], []).f1 == 0.0
