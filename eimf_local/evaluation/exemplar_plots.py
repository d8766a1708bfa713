"""Drawings of how exemplars were chosen: the search for a preference, cluster sizes, a map of users.

They are half as wide as a report's other drawings, so that they can be read on a phone too.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from .exemplar_data import Choice, DrawnMap, ExemplarSet, Float64, Int64, Trial
from .label_placement import Box, place_labels
from .plots import CURVE_COLOURS, INK, MUTED, STYLE, svg_of
from .report_markdown import clean
from .report_words import MINUS

NAMED = len(CURVE_COLOURS)  # clusters in colour and with a label on the map: as many as colours can be told apart
_TITLE = 32 * 0.58  # width of a title, in units of its font's size: about 30 characters
_WIDTH = 6.4  # inches
_WIDEST = "42rem"  # on the page, where the text of the drawings is as large as the page's
_FONT = 11.0
_STYLE = STYLE | {"font.size": _FONT}
_SWATCH = 12.0  # before a label, the colour of its cluster
_MARGIN = np.array([8.0, 30.0])  # around the users of the map, in points; above and below, labels find room
_HEIGHTS = 240.0, 420.0  # of the map, between which it follows the users
_CROWD = "#c6ccd5"


def preference_plot(exemplars: ExemplarSet) -> str | None:
    """Exemplar fraction against preference, over the trials; None where no preference was at work."""
    choice = exemplars.choice
    preference, fraction, wanted = choice.preference, choice.fraction, choice.wanted_fraction
    if preference is None or fraction is None:
        return None
    trials = choice.runs()
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.6), layout="constrained")
        axes = figure.subplots()
        colours = dict(zip(dict.fromkeys(trial.damping for trial in trials), CURVE_COLOURS, strict=False))
        negative = all(trial.preference < 0 for trial in trials)
        sign = -1 if negative else 1
        fractions = [*(trial.fraction for trial in trials if trial.fraction), fraction, wanted or fraction]
        bottom, top = _around(fractions)
        axes.set(yscale="log", ylim=(bottom, top))
        _plain_ticks(axes.yaxis, _percent)
        for trial in trials:
            look = _look(trial, colours[trial.damping], rehearsal=choice.is_rehearsal(trial))
            axes.plot(sign * trial.preference, trial.fraction or bottom, linestyle="none", clip_on=False, **look)
        axes.plot(sign * preference, fraction, "o", markersize=15, markeredgecolor=INK, fillstyle="none")
        if wanted is not None:
            axes.axhline(wanted, color=MUTED, linestyle="--", linewidth=1.2, zorder=1)
        if negative:
            axes.set(xscale="log", xlim=_around([-preference, *(-trial.preference for trial in trials)]))
            _plain_ticks(axes.xaxis, _plain)
        axes.set(
            xlabel=f"{MINUS}preference (log scale)" if negative else "preference", ylabel="exemplars, share of users"
        )
        _legend(figure, choice, colours)
        return svg_of(figure, widest=_WIDEST)


def sizes_plot(exemplars: ExemplarSet) -> str:
    """Users a cluster, the largest first, on logarithmic scales; a line at the median."""
    sizes = np.sort(exemplars.sizes)[::-1]
    # A long tail is many ranks of one size: the ends of each run are enough.
    turns = np.flatnonzero(np.diff(sizes))
    ranks = np.unique(np.concatenate([[0], turns, turns + 1, [len(sizes) - 1]]))
    median = float(np.median(sizes))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.plot(ranks + 1, sizes[ranks], color=CURVE_COLOURS[0], linewidth=1.6, marker="o", markersize=3)
        axes.axhline(median, color=MUTED, linestyle="--", linewidth=1.2, zorder=1)
        axes.annotate(
            f"median {median:g}", (0, median), (4, 4), xycoords=("axes fraction", "data"), textcoords="offset points"
        )
        axes.set(xscale="log", yscale="log", xlim=_around([1, len(sizes)]), ylim=_around([sizes[0], sizes[-1]]))
        _plain_ticks(axes.xaxis, _plain, integer=True)
        _plain_ticks(axes.yaxis, _plain, integer=True)
        axes.set(xlabel="clusters, the largest first", ylabel="users in the cluster")
        return svg_of(figure, widest=_WIDEST)


def map_plot(exemplars: ExemplarSet) -> str | None:
    """The map of users, the largest clusters in colour and named by their exemplars' titles; None without a map."""
    drawn = exemplars.map
    if drawn is None:
        return None
    places, canvas = _on_canvas(drawn.positions)
    largest = np.argsort(-exemplars.sizes, kind="stable")[:NAMED]
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Text is text in the drawing: what matplotlib's own font lacks, the reader's has.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = Figure(figsize=(canvas[0] / 72, canvas[1] / 72))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, canvas[0]), ylim=(0, canvas[1]))
        axes.set_axis_off()
        _users(axes, drawn, places, largest)
        _names(axes, drawn, places, largest, canvas)
        return svg_of(figure, widest=_WIDEST)


def _look(trial: Trial, colour: str, *, rehearsal: bool) -> dict[str, Any]:
    """Squares are rehearsals, triangles at the bottom were stopped without exemplars; hollow: not converged."""
    return {
        "marker": "v" if trial.fraction == 0 else "s" if rehearsal else "o",
        "markersize": 6 if rehearsal else 8,
        "color": colour,
        "alpha": 0.6 if rehearsal else 1.0,
        "fillstyle": "full" if trial.converged else "none",
    }


def _legend(figure: Figure, choice: Choice, colours: dict[float | None, str]) -> None:
    trials = choice.runs()
    handles = [
        Line2D([], [], marker="o", linestyle="none", color=colour, label=f"damping {damping:g}")
        for damping, colour in colours.items()
        if damping is not None
    ]
    if any(choice.is_rehearsal(trial) for trial in trials):
        handles.append(Line2D([], [], marker="s", linestyle="none", color=MUTED, label="on a sample"))
    if not all(trial.fraction for trial in trials):
        handles.append(
            Line2D([], [], marker="v", linestyle="none", color=MUTED, fillstyle="none", label="no exemplars")
        )
    if not all(trial.converged for trial in trials):
        handles.append(
            Line2D([], [], marker="o", linestyle="none", color=MUTED, fillstyle="none", label="not converged")
        )
    handles.append(
        Line2D([], [], marker="o", markersize=12, linestyle="none", color=INK, fillstyle="none", label="chosen")
    )
    if choice.wanted_fraction is not None:
        handles.append(Line2D([], [], linestyle="--", color=MUTED, label="wanted"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=_FONT)


def _around(values: Sequence[float]) -> tuple[float, float]:
    return min(values) / 1.2, max(values) * 1.2


def _plain_ticks(axis: Axis, label: Callable[[float], str], *, integer: bool = False) -> None:
    """Plain numbers on a logarithmic axis, also where it spans less than a decade."""
    low, high = axis.get_view_interval()
    many = LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,))
    few = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=integer)
    axis.set_major_locator(many if high / low > 10 else few)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))


def _plain(value: float) -> str:
    return f"{value:,.9g}"


def _percent(value: float) -> str:
    return f"{100 * value:.6g}%"


def _on_canvas(positions: Float64) -> tuple[Float64, Float64]:
    """Positions in points of the drawing, in the same scale on both axes, and the drawing's width and height."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    extent = high - low
    room = np.array([72 * _WIDTH, _HEIGHTS[1]]) - 2 * _MARGIN
    scale = (room / np.maximum(extent, 1e-9)).min() if extent.any() else 1.0
    height = np.clip(scale * extent[1] + 2 * _MARGIN[1], *_HEIGHTS)
    canvas = np.array([72 * _WIDTH, height])
    return canvas / 2 + scale * (positions - (low + high) / 2), canvas


def _users(axes: Axes, drawn: DrawnMap, places: Float64, largest: Int64) -> None:
    """Dots: users; rings: exemplars; large rings: those of the largest clusters."""
    others = ~np.isin(drawn.cluster, largest)
    axes.plot(*places[others & ~drawn.is_exemplar].T, "o", color=_CROWD, markersize=2.8, markeredgewidth=0)
    for cluster, colour in zip(largest, CURVE_COLOURS, strict=False):
        members = (drawn.cluster == cluster) & ~drawn.is_exemplar
        axes.plot(*places[members].T, "o", color=colour, markersize=4, markeredgewidth=0)
    ring = {"markeredgecolor": MUTED, "markerfacecolor": "white", "markeredgewidth": 0.8}
    axes.plot(*places[others & drawn.is_exemplar].T, "o", markersize=4, **ring)  # type: ignore[arg-type]
    for cluster, colour in zip(largest, CURVE_COLOURS, strict=False):
        exemplar = (drawn.cluster == cluster) & drawn.is_exemplar
        axes.plot(*places[exemplar].T, "o", color=colour, markersize=9, markeredgecolor=INK, markeredgewidth=1.4)


def _names(axes: Axes, drawn: DrawnMap, places: Float64, largest: Int64, canvas: Float64) -> None:
    """The exemplars' titles, each beside its exemplar on a light ground."""
    of_cluster = {int(drawn.cluster[row]): int(row) for row in np.flatnonzero(drawn.is_exemplar)}
    rows = [of_cluster[cluster] for cluster in largest if cluster in of_cluster]
    titles = [_shortened(drawn.titles[row] or "") for row in rows]
    sizes = np.array([[_SWATCH + _FONT * _ems(title), 1.3 * _FONT] for title in titles])
    boxes = place_labels(places[rows], sizes, canvas=canvas, points=places)
    colour_of = dict(zip(largest, CURVE_COLOURS, strict=False))
    for row, title, box in zip(rows, titles, boxes, strict=True):
        if box is not None:
            _name(axes, title, colour_of[drawn.cluster[row]], places[row], box)


def _name(axes: Axes, title: str, colour: str, place: Float64, box: Box) -> None:
    axes.plot(*np.array([place, box.nearest(place)]).T, color=INK, linewidth=0.9)
    left, bottom = box.centre - box.size / 2
    axes.add_patch(Rectangle((left, bottom), *box.size, facecolor="white", alpha=0.8, linewidth=0, zorder=3))
    axes.plot(left + _SWATCH / 2, box.centre[1], "o", color=colour, markersize=7, zorder=4)
    axes.text(left + _SWATCH, box.centre[1] - 0.36 * _FONT, title, va="baseline", zorder=4)


def _shortened(title: str) -> str:
    text = clean(title)
    while _ems(text) > _TITLE:
        text = text[:-2].rstrip() + "…"
    return text


def _ems(text: str) -> float:
    """A width that hardly any sans-serif exceeds, in units of the font's size; the reader's font is not known."""
    return sum(
        1.0 if one in "MW" or unicodedata.east_asian_width(one) in "WF" else 0.74 if one.isupper() else 0.58
        for one in text
    )
