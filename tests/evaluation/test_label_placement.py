"""Labels on a crowded picture: inside, apart, beside what they name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from eimf_local.evaluation.label_placement import Box, place_labels

CANVAS = np.array([460.0, 400.0])


def placed(seed: int, labels: int) -> tuple[np.ndarray, list[Box | None]]:
    rng = np.random.default_rng(seed)
    points = rng.random((500, 2)) * CANVAS
    anchors = points[:labels]
    sizes = np.stack([rng.uniform(60, 200, labels), np.full(labels, 15.0)], axis=1)
    return anchors, place_labels(anchors, sizes, canvas=CANVAS, points=points)


@pytest.mark.parametrize("seed", range(20))
def test_labels_lie_inside_apart_and_on_no_anchor(seed: int) -> None:
    anchors, boxes = placed(seed, 10)
    found = [box for box in boxes if box is not None]
    assert len(found) == 10
    for box in found:
        assert (box.centre - box.size / 2 >= 0).all()
        assert (box.centre + box.size / 2 <= CANVAS).all()
        assert not box.holds(anchors).any()
    for one, other in itertools.combinations(found, 2):
        assert (np.abs(one.centre - other.centre) >= (one.size + other.size) / 2).any()


def test_a_lonely_label_stands_close_and_hides_little() -> None:
    anchor = CANVAS[None] / 2
    crowd = anchor + np.random.default_rng(0).random((300, 2)) * (150, 40)  # above, to the right
    (box,) = place_labels(anchor, np.array([[80.0, 15.0]]), canvas=CANVAS, points=crowd)
    assert box is not None
    assert np.linalg.norm(box.nearest(anchor[0]) - anchor[0]) <= 15
    assert not box.holds(crowd).any()


def test_a_label_without_room_is_left_out_and_the_others_stay() -> None:
    anchors = CANVAS * np.array([[0.5, 0.5], [0.2, 0.2]])
    boxes = place_labels(anchors, np.array([[500.0, 15.0], [80.0, 15.0]]), canvas=CANVAS, points=anchors)
    assert boxes[0] is None
    assert boxes[1] is not None


def test_is_deterministic() -> None:
    one, other = placed(3, 10)[1], placed(3, 10)[1]
    assert [tuple(box.centre) for box in one if box] == [tuple(box.centre) for box in other if box]
