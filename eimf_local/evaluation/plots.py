"""Drawings of a report as inline SVG: results with intervals, validation curves, loss terms.

Figures are built and rendered as objects, without pyplot and its global state; the SVG carries no prologue, no
metadata and no name space address, so that a page holding it refers to nothing outside itself.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .report_analysis import ResultRow
from .report_data import Condition
from .report_markdown import clean

INK, MUTED, LINE, PAPER = "#1d2330", "#5d6675", "#d9dde4", "#d9822b"
GROUP_COLOURS = {
    "baseline": "#9aa5b4",
    "method": "#1f5fa8",
    "control": "#8fb8de",
    "ablation": "#b9a3cf",
    "sweep": "#c9cfd8",
}
# Okabe and Ito's colours, which colour-blind readers can tell apart.
CURVE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#000000")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "eimf-local",
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9.0,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
}


def results_plot(rows: Sequence[ResultRow], metrics: Sequence[str]) -> str:
    """Bars with 95% intervals, one panel a metric; a diamond marks the paper's value."""
    shown = [row for row in rows if row.metrics]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 1.5 + 0.34 * len(shown)), layout="constrained")
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for panel, metric in zip(panels, metrics, strict=True):
            _bars(panel, shown, metric)
        panels[0].set_yticks(range(len(shown)), [clean(row.label, 60) for row in shown])
        panels[0].set_ylim(len(shown) - 0.4, -0.6)
        _results_legend(figure, shown)
        return svg_of(figure)


def curves_plot(conditions: Sequence[Condition], metric: str = "Recall@50") -> str | None:
    """Validation curves: thin lines are runs, thick ones means over the seeds still running; None without any."""
    trained = [condition for condition in conditions if any(_points(condition, metric))]
    if not trained:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.6), layout="constrained")
        axes = figure.subplots()
        for number, condition in enumerate(trained):
            colour = CURVE_COLOURS[number % len(CURVE_COLOURS)]
            dash = ("-", "--", ":")[number // len(CURVE_COLOURS) % 3]
            _curves(axes, _points(condition, metric), colour, dash, clean(condition.record.label, 44))
        axes.set(xlabel="training step", ylabel=f"{metric}, validation users", title=f"{metric} while training")
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside right upper")
        return svg_of(figure)


def losses_plot(condition: Condition) -> str | None:
    """Each loss term of one condition over its runs, one panel a term; None without curves."""
    runs = [run for run in condition.runs if run.curve]
    terms = list(dict.fromkeys(term for run in runs for point in run.curve for term in point.loss))
    if not terms:
        return None
    columns = min(4, len(terms))
    height = -(-len(terms) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 0.5 + 2.1 * height), layout="constrained")
        panels = figure.subplots(height, columns, squeeze=False).ravel()
        for panel, term in zip(panels, terms, strict=False):
            for run, colour in zip(runs, CURVE_COLOURS * len(runs), strict=False):
                points = [(point.step, point.loss[term]) for point in run.curve if term in point.loss]
                panel.plot(*np.array(points).T, color=colour, linewidth=1.4)
            panel.set_title(clean(term, 30))
            panel.tick_params(labelsize=8)
        for panel in panels[len(terms) :]:
            panel.set_visible(False)
        figure.supxlabel("training step", fontsize=10)
        return svg_of(figure)


def _bars(axes: Axes, rows: Sequence[ResultRow], metric: str) -> None:
    intervals = [row.metrics[metric] for row in rows]
    means = np.array([one.mean for one in intervals])
    reach = np.array([[one.mean - one.low, one.high - one.mean] for one in intervals]).T
    places = np.arange(len(rows))
    colours = [GROUP_COLOURS[row.group] for row in rows]
    axes.barh(places, means, height=0.66, color=colours)
    axes.errorbar(means, places, xerr=np.maximum(reach, 0), fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    published = [(row.paper[metric], place) for row, place in zip(rows, places, strict=True) if metric in row.paper]
    if published:
        axes.plot(*np.array(published).T, "D", color=PAPER, markersize=6, markeredgecolor="white")
    axes.set_title(metric)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _results_legend(figure: Figure, rows: Sequence[ResultRow]) -> None:
    groups = dict.fromkeys(row.group for row in rows)
    handles: list[Patch | Line2D] = [Patch(color=GROUP_COLOURS[group], label=group) for group in groups]
    handles.append(Line2D([], [], color=INK, linewidth=1.1, label="95% interval"))
    if any(row.paper for row in rows):
        marker = {"marker": "D", "markersize": 6, "markeredgecolor": "white"}
        handles.append(Line2D([], [], color=PAPER, linestyle="none", label="paper", **marker))  # type: ignore[arg-type]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9)


def _points(condition: Condition, metric: str) -> list[list[tuple[int, float]]]:
    curves = [
        [(point.step, point.valid[metric]) for point in run.curve if metric in point.valid]
        for run in condition.runs
        if run.metrics.steps
    ]
    return [curve for curve in curves if curve]


def _curves(axes: Axes, curves: Sequence[Sequence[tuple[int, float]]], colour: str, dash: str, label: str) -> None:
    by_step: dict[int, list[float]] = {}
    for curve in curves:
        if len(curves) > 1:
            axes.plot(*np.array(curve).T, color=colour, alpha=0.28, linewidth=0.8)
        for step, value in curve:
            by_step.setdefault(step, []).append(value)
    # Early stopping ends runs at different steps; a mean over fewer of them would jump.
    whole = [(step, float(np.mean(values))) for step, values in sorted(by_step.items()) if len(values) == len(curves)]
    whole = whole or list(curves[0])
    axes.plot(*np.array(whole).T, color=colour, linestyle=dash, linewidth=2, marker="o", markersize=3, label=label)


def svg_of(figure: Figure, *, widest: str | None = None) -> str:
    """The figure as an <svg> element for an HTML page; ``widest``: a CSS length that it does not grow beyond."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'<g id="[^"]*"', "<g", text).strip()  # names that several drawings would share
    return text if widest is None else text.replace("<svg ", f'<svg style="max-width: {widest}" ', 1)
