"""Places for labels on a crowded picture: beside what they name, none over another, few points hidden."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_DISTANCES = np.array([8.0, 14, 22, 34, 50, 74, 108, 156, 220])  # from the anchor to the label's edge
_DIRECTIONS = np.stack([f(np.arange(16) * np.pi / 8) for f in (np.cos, np.sin)], axis=1)
# What it costs, in units of length by which a label stands farther off, to hide a point or to meet a leader.
_HIDDEN = 1.5
_CROSSED = 100.0
_CLEARANCE = 6.0  # kept free around anchors
_STEPS = np.linspace(0, 1, 25)[:, None]  # where a leader is tested


class Box(NamedTuple):
    """A label's ``centre`` and ``size``, float64 [2] each."""

    centre: Float64
    size: Float64

    def nearest(self, point: Float64) -> Float64:
        """Where a leader line from ``point`` ends: float64 [2]."""
        return np.clip(point, self.centre - self.size / 2, self.centre + self.size / 2)

    def holds(self, points: Float64, margin: float = 0.0) -> NDArray[np.bool_]:
        """bool [N]: which of ``points``, float64 [N, 2], lie inside, or within ``margin`` of it."""
        inside: NDArray[np.bool_] = np.all(np.abs(points - self.centre) <= self.size / 2 + margin, axis=1)
        return inside

    def inside(self, canvas: Float64) -> bool:
        """Whether it lies between (0, 0) and ``canvas``."""
        return bool((self.centre >= self.size / 2).all() and (self.centre <= canvas - self.size / 2).all())

    def overlaps(self, other: Box) -> bool:
        return bool((np.abs(self.centre - other.centre) < (self.size + other.size) / 2).all())


def place_labels(anchors: Float64, sizes: Float64, *, canvas: Float64, points: Float64) -> list[Box | None]:
    """Place labels one after the other, so the most important first; None where there is no room.

    ``anchors``, ``sizes``: float64 [L, 2], what is named, and the labels' widths and heights. ``canvas``: float64 [2],
    the picture's width and height from (0, 0). ``points``: float64 [P, 2], better not hidden. A label lies within the
    canvas, neither on another nor on an anchor; leaders, the straight lines to the anchors, cross labels only where
    there is no other way.
    """
    placed: list[Box | None] = []
    leaders: list[Float64] = []
    for anchor, size in zip(anchors, sizes, strict=True):
        others = [box for box in placed if box is not None]
        best, least = None, np.inf
        for distance, direction in itertools.product(_DISTANCES, _DIRECTIONS):
            box = Box(anchor + direction * (distance + size / 2), size)
            if not box.inside(canvas) or any(box.overlaps(other) for other in others):
                continue
            if box.holds(anchors, _CLEARANCE).any():
                continue
            leader = _leader(box, anchor)
            met = sum(other.holds(leader).any() for other in others) + sum(box.holds(line).any() for line in leaders)
            cost = distance + _HIDDEN * box.holds(points).sum() + _CROSSED * met
            if cost < least:
                best, least = box, cost
        placed.append(best)
        if best is not None:
            leaders.append(_leader(best, anchor))
    return placed


def _leader(box: Box, anchor: Float64) -> Float64:
    """float64 [steps, 2]: points along the line from the anchor to the label."""
    return anchor + _STEPS * (box.nearest(anchor) - anchor)
