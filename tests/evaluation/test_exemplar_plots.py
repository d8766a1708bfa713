"""Drawings of exemplars: everything stored is drawn, titles from data stay text, sizes of any kind pass."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from eimf_local.evaluation.exemplar_data import Choice, DrawnMap, ExemplarSet, Trial
from eimf_local.evaluation.exemplar_plots import NAMED, map_plot, preference_plot, sizes_plot
from eimf_local.evaluation.plots import CURVE_COLOURS

TRIALS = [
    Trial(-0.4, 0.05, True, 0.5, 1000),
    Trial(-0.9, 0.021, False, 0.5, 1000),
    Trial(-0.88, 0.0321, False, 0.75, 8000),
    Trial(-1.45, 0.0176, True, 0.75, 8000),
    Trial(-0.91, 0.0301, True, 0.75, 8000),
]
CHOICE = Choice("affinity-propagation", 8000, 240, 0.0301, -0.91, 0.75, True, TRIALS)


def drawn_map(users: int, titles: list[str], seed: int = 0) -> ExemplarSet:
    """As many clusters as titles; the first users are their exemplars."""
    rng = np.random.default_rng(seed)
    clusters = len(titles)
    cluster = np.concatenate([np.arange(clusters), rng.integers(0, clusters, users - clusters)])
    is_exemplar = np.arange(users) < clusters
    places = 8 * rng.normal(size=(clusters, 2))[cluster] + rng.normal(size=(users, 2))
    drawn = DrawnMap(places, cluster, is_exemplar, [*titles, *[None] * (users - clusters)])
    return ExemplarSet(Choice("given"), np.bincount(cluster), drawn)


def texts(svg: str | None) -> list[str]:
    """What the drawing says; it must be well-formed."""
    assert svg is not None
    tree = ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
    return ["".join(element.itertext()) for element in tree.iter("text")]


def markers(svg: str, fill: str) -> int:
    """Markers with this beginning of a style, in any trial's colour."""
    colours = "|".join(CURVE_COLOURS)
    return len(re.findall(rf'<use [^>]*style="{fill}[^"]*stroke: (?:{colours})', svg))


def test_every_trial_is_drawn_and_unconverged_ones_are_hollow() -> None:
    svg = preference_plot(ExemplarSet(CHOICE, np.array([1]), None))
    said = texts(svg)
    assert svg is not None
    in_legend = ["damping 0.5", "damping 0.75"]
    assert markers(svg, "fill-opacity: 0;") == 2
    assert markers(svg, "fill: #") == 3 + len(in_legend)
    assert {*in_legend, "on a sample", "not converged", "chosen", "wanted", "−preference (log scale)"} <= set(said)


def test_a_plain_calibration_has_a_plain_legend() -> None:
    trials = [Trial(-1.0, 0.03, True, 0.5), Trial(-2.0, 0.01, True, 0.5, 8000)]
    choice = Choice("affinity-propagation", 8000, 240, 0.03, -1.0, 0.5, True, trials)
    said = texts(preference_plot(ExemplarSet(choice, np.array([1]), None)))
    assert said[-3:] == ["damping 0.5", "chosen", "wanted"]


def test_a_given_preference_is_one_point_and_no_preference_no_plot() -> None:
    given = Choice("affinity-propagation", 100, 3, 0.2, -2.0, 0.5, False)
    svg = preference_plot(ExemplarSet(given, np.array([1]), None))
    assert svg is not None
    assert markers(svg, "fill-opacity: 0;") == 1
    assert "wanted" not in texts(svg)
    assert preference_plot(ExemplarSet(Choice("kmeans", 100, 3, 0.03), np.array([1]), None)) is None


def test_a_trial_stopped_without_exemplars_is_drawn_at_the_bottom() -> None:
    choice = replace(CHOICE, trials=[*TRIALS, Trial(-26.0, 0.0, False, 0.5, 8000)])
    svg = preference_plot(ExemplarSet(choice, np.array([1]), None))
    assert svg is not None
    assert markers(svg, "fill-opacity: 0;") == 3
    assert "no exemplars" in texts(svg)


def test_preferences_of_both_signs_have_a_plain_axis() -> None:
    trials = [Trial(0.1, 0.9, True, 0.5), Trial(-0.2, 0.4, True, 0.5)]
    choice = Choice("affinity-propagation", 10, 9, 0.9, 0.1, 0.5, True, trials)
    assert "preference" in texts(preference_plot(ExemplarSet(choice, np.array([1]), None)))


@pytest.mark.parametrize("sizes", [[1], [5], [3, 3], [1, 7, 2, 9, 9], list(range(1, 200))])
def test_sizes_of_any_kind_and_their_median(sizes: list[int]) -> None:
    assert f"median {np.median(sizes):g}" in texts(sizes_plot(ExemplarSet(Choice("random"), np.array(sizes), None)))


def test_a_long_tail_of_clusters_stays_a_small_drawing() -> None:
    sizes = np.random.default_rng(0).geometric(0.1, size=30_000)
    assert len(sizes_plot(ExemplarSet(Choice("random"), sizes, None))) < 50_000


def test_the_largest_clusters_are_named_in_their_colours() -> None:
    found = drawn_map(300, [f"Title {number}" for number in range(12)])
    svg = map_plot(found)
    largest = np.argsort(-found.sizes, kind="stable")[:NAMED]
    assert sorted(texts(svg)) == sorted(f"Title {cluster}" for cluster in largest)
    assert svg is not None
    for cluster, colour in list(zip(largest, CURVE_COLOURS, strict=True))[:-1]:  # black goes without saying
        swatch, exemplar = 1, 1
        assert svg.count(f'style="fill: {colour}') == found.sizes[cluster] - 1 + swatch + exemplar
    assert svg.count("<use ") == 300 + NAMED


def test_no_label_covers_another() -> None:
    svg = map_plot(drawn_map(400, ["A title of thirty characters " * 2] * 8, seed=1))
    assert svg is not None
    boxes = [
        np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", path), float)
        for path in re.findall(r'<path d="([^"]*)"[^>]*opacity: 0.8', svg)
    ]
    assert len(boxes) == 8
    for one, other in itertools.combinations(boxes, 2):
        assert (one.max(0) <= other.min(0) + 1e-6).any() or (other.max(0) <= one.min(0) + 1e-6).any()


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("<script>alert(1)</script> & ]]>", "<script>alert(1)</script> & ]]>"),
        ("\u202egnp.exe\u2066 \u200fa\x07b", "gnp.exe a b"),
        ("$x_1$ <b>&amp;", "$x_1$ <b>&amp;"),
        ("日本語の題名" * 5, "日本語の題名日本語の題名日本語の題…"),
        ("שלום עולם", "שלום עולם"),
    ],
)
def test_titles_are_text_of_about_thirty_characters(title: str, shown: str) -> None:
    svg = map_plot(drawn_map(20, [title]))
    assert texts(svg) == [shown]
    assert svg is not None
    assert "<script" not in svg
    assert not set("\u202e\u2066\u200f\x07") & set(svg)


def test_drawings_refer_to_nothing_outside_and_are_the_same_each_time() -> None:
    found = drawn_map(50, ["a", "b"])
    found = ExemplarSet(CHOICE, found.sizes, found.map)
    for draw in (preference_plot, sizes_plot, map_plot):
        svg = draw(found)
        assert svg == draw(found)
        assert svg is not None
        assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', svg))
        assert not re.search(r"https?:|@import|url\((?!#)", svg)


@pytest.mark.parametrize("users", [1, 2, 30])
def test_users_all_in_one_place_and_few_ones(users: int) -> None:
    drawn = DrawnMap(
        np.zeros((users, 2)), np.zeros(users, np.int64), np.arange(users) == 0, ["x", *[None] * (users - 1)]
    )
    assert texts(map_plot(ExemplarSet(Choice("given"), np.array([users]), drawn))) == ["x"]
    assert map_plot(ExemplarSet(Choice("given"), np.array([users]), None)) is None
