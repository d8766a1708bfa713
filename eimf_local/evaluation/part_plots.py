"""Drawings of the paper's figures: metrics over cut-offs, over a figure's axis, and word clouds."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from wordcloud import STOPWORDS, WordCloud

from .plots import CURVE_COLOURS, INK, LINE, MUTED, PAPER, STYLE, svg_of
from .report_analysis import ResultRow
from .report_markdown import clean
from .significance import Float64, Interval

_CLOUD = (560, 330)  # width and height, in the layout's pixels
_WORDS = 60
_WIDEST = "36rem"


def cutoffs_plot(rows: Sequence[ResultRow], metrics: Sequence[str], cutoffs: Sequence[int]) -> str:
    """One panel a metric: each row over the cut-offs with 95% intervals; diamonds are the paper's values."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        for panel, metric in zip(panels, metrics, strict=True):
            for number, row in enumerate(rows):
                _line_over(panel, row, [f"{metric}@{k}" for k in cutoffs], number)
            panel.set_xticks(range(len(cutoffs)), [str(k) for k in cutoffs])
            panel.set(title=metric, xlabel="cut-off")
            panel.set_ylim(bottom=0)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), fontsize=9)
        return svg_of(figure)


def axis_plot(
    points: Sequence[tuple[str, ResultRow]], base: ResultRow | None, metrics: Sequence[str], axis: str,
    published: tuple[str, float] | None,
) -> str:  # fmt: skip
    """One panel a metric over a figure's points; a dashed line is the backbone, a diamond the paper's Recall@50."""
    labels = [label for label, _ in points]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        for panel, metric in zip(panels, metrics, strict=True):
            intervals = [row.metrics[metric] for _, row in points]
            _errorbars(panel, np.arange(len(points), dtype=np.float64), intervals, CURVE_COLOURS[0], "EIMF")
            if base is not None:
                label = clean(base.label, 30)
                panel.axhline(base.metrics[metric].mean, color=MUTED, linestyle="--", linewidth=1.2, label=label)
            if published is not None and metric == "Recall@50" and published[0] in labels:
                panel.plot(labels.index(published[0]), published[1], "D", color=PAPER, markersize=7, label="paper")
            panel.set_xticks(range(len(labels)), labels, fontsize=9)
            panel.margins(x=0.08)
            panel.set(title=metric, xlabel=axis)
        handles, names = panels[-1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(handles), fontsize=9)
        return svg_of(figure)


def word_cloud(phrases: Sequence[str], colour: str = CURVE_COLOURS[0]) -> str | None:
    """The words of some phrases, the larger the more phrases have them; None where there is no word.

    Drawn as outlines, so that it looks the same whatever fonts the reader has.
    """
    counts = Counter(word for phrase in phrases for word in set(_words(phrase)))
    if not counts:
        return None
    width, height = _CLOUD
    font = findfont(FontProperties(family="DejaVu Sans"))
    cloud = WordCloud(
        font_path=font,
        width=width,
        height=height,
        max_words=_WORDS,
        prefer_horizontal=1.0,
        relative_scaling=0.5,
        min_font_size=9,
        max_font_size=64,
        color_func=lambda *_, **__: colour,
        random_state=random.Random(0),
    ).generate_from_frequencies(dict(sorted(counts.items())))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        for (word, weight), size, (top, left), _, _ in cloud.layout_:
            _write(axes, word, size, left, top, font=font, colour=colour, alpha=0.55 + 0.45 * weight)
        return svg_of(figure, widest=_WIDEST)


def _words(phrase: str) -> list[str]:
    found = re.findall(r"[^\W\d_][\w'’-]+", phrase.lower())
    return [word for word in found if word not in STOPWORDS]


def _write(axes: Axes, word: str, size: int, left: int, top: int, *, font: str, colour: str, alpha: float) -> None:
    """Outlines of a word with its upper left corner where the layout put it."""
    outline = TextPath((0, 0), word, size=size, prop=FontProperties(fname=font))
    box = outline.get_extents()
    # y grows downwards here
    place = Affine2D().translate(-box.x0, -box.y1).scale(1, -1).translate(left, top)
    axes.add_patch(PathPatch(place.transform_path(outline), color=colour, alpha=alpha, linewidth=0))


def _line_over(axes: Axes, row: ResultRow, columns: Sequence[str], number: int) -> None:
    places = np.arange(len(columns), dtype=np.float64) + 0.08 * number
    colour = CURVE_COLOURS[number % len(CURVE_COLOURS)]
    _errorbars(axes, places, [row.metrics[column] for column in columns], colour, clean(row.label, 30))
    known = [(place, row.paper[column]) for place, column in zip(places, columns, strict=True) if column in row.paper]
    if known:
        style = {"marker": "D", "markersize": 7, "markeredgecolor": INK, "linestyle": "none"}
        axes.plot(*np.array(known).T, color=colour, label=f"{clean(row.label, 30)}, paper", **style)  # type: ignore[arg-type]


def _errorbars(axes: Axes, places: Float64, intervals: Sequence[Interval], colour: str, label: str) -> None:
    means = np.array([one.mean for one in intervals])
    reach = np.array([[one.mean - one.low, one.high - one.mean] for one in intervals]).T
    axes.plot(places, means, color=colour, linewidth=1.6, marker="o", markersize=5, label=label)
    axes.errorbar(places, means, yerr=np.maximum(reach, 0), fmt="none", ecolor=colour, elinewidth=1.1, capsize=3)
    axes.grid(visible=False, axis="x")
    axes.grid(visible=True, axis="y", color=LINE)
