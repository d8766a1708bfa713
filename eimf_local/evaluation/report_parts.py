"""The report's tables and figures, one section each, as the paper numbers them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from . import paper, part_plots, plots
from . import report_words as words
from .report_analysis import ResultRow, Results
from .report_blocks import Block, Card, Column, Figure, Heading, Paragraph, Row, Table
from .report_content import TITLE_CHARACTERS, results_tables
from .report_data import CaseStudy, GridRecord, PartRecord
from .report_markdown import clean

CUTOFFS = (5, 10, 20)
_AXES = {"fig5": "share of training users who are exemplars", "fig6": "alpha, beta", "fig7": "gamma"}
_SWEPT = ("Recall@20", "Recall@50")
# What the paper's Table 2 says of our stages; |U| users, L length, d_t text width, I iterations, G exemplars, d_l and P
# the LLM's width and parameters, E epochs, N items.
_COMPLEXITY = {
    "encode titles": "O(|U| L d_t): text encoding",
    "infer interests": "O(I |U|^2): clustering; O(G L d_l P): inference",
    "infer interests of other exemplars": "none: controls",
    "train and evaluate": "O(E (|U| N d + |U| N d_t + P |U|)): training",
}
_LISTED = 25  # titles of a case


def parts(grid: GridRecord, results: Results) -> Iterator[Block]:
    """Every table and figure that has something to show; without parts, one table of all conditions."""
    if not grid.parts:
        yield Heading(2, "Results")
        yield from results_tables(results, results.rows, (20, 50), absent=results.not_run)
        return
    by_name = {row.name: row for row in results.rows}
    for part in grid.parts:
        blocks = list(_SECTIONS.get(part.name, _table)(part, grid, results, by_name))
        if blocks:
            yield Heading(2, part.title)
            yield from blocks


def _rows(part: PartRecord, results: Results) -> list[ResultRow]:
    """The part's rows in its own order, those of a second language model beside the first's."""
    place = {name: number for number, name in enumerate(part.conditions)}
    mine = [row for row in results.rows if row.name.partition("@")[0] in place]
    return sorted(mine, key=lambda row: place[row.name.partition("@")[0]])


def _table(part: PartRecord, grid: GridRecord, results: Results, by_name: dict[str, ResultRow]) -> Iterator[Block]:
    rows = _rows(part, results)
    if not any(row.metrics for row in rows):
        return
    listed = paper.table_models(part.name, grid.dataset.paper_name or "")
    absent = [one for one in results.not_run if one.model in listed]
    yield from results_tables(results, rows, (20, 50), absent=absent)


def _costs(part: PartRecord, grid: GridRecord, results: Results, by_name: dict[str, ResultRow]) -> Iterator[Block]:
    if not grid.stages:
        return
    rows = [Row([one.stage, _COMPLEXITY.get(one.stage, ""), words.stage_time(one.seconds)]) for one in grid.stages]
    rows.append(Row(["all", "", words.seconds(sum(one.seconds for one in grid.stages))]))
    columns = [Column("Stage", "left"), Column("The paper's dominant terms", "left"), Column("Measured")]
    yield Table(
        f"Seconds by the clock on {grid.machine}, all workers together, over resumed runs. The paper prints "
        "complexities only. Training by model is under Training.",
        columns,
        rows,
    )


def _data(part: PartRecord, grid: GridRecord, results: Results, by_name: dict[str, ResultRow]) -> Iterator[Block]:
    data = grid.dataset
    mean = data.interactions / data.users
    sparsity = 1 - data.interactions / (data.users * data.items)
    cells = [
        data.name,
        f"{data.users:,}",
        f"{data.items:,}",
        f"{data.interactions:,}",
        f"{mean:.2f}",
        f"{sparsity:.2%}",
    ]
    published = paper.table_3(data.paper_name) if data.paper_name else None
    under = None if published is None else ["", *(f"paper {count:,} {words.AGREES}" for count in published), "", "", ""]
    columns = [Column("Data set", "left"), Column("Users"), Column("Items"), Column("Interactions"),
               Column("Mean length"), Column("Sparsity")]  # fmt: skip
    yield Table("After preparation.", columns, [Row(cells, under=under)])


def _cutoffs(part: PartRecord, grid: GridRecord, results: Results, by_name: dict[str, ResultRow]) -> Iterator[Block]:
    rows = [row for row in _rows(part, results) if row.metrics]
    if not rows:
        return
    drawn = {f"{metric}@{k}" for metric in ("Recall", "NDCG") for k in CUTOFFS}
    known = "Diamonds: the paper." if any(drawn & set(row.paper) for row in rows) else _NO_VALUE
    yield Figure(
        part_plots.cutoffs_plot(rows, ("Recall", "NDCG"), CUTOFFS),
        f"Recall and NDCG at 5, 10 and 20, mean over seeds with 95% intervals. {known}",
    )
    yield from results_tables(results, rows, CUTOFFS)


def _ablations(part: PartRecord, grid: GridRecord, results: Results, by_name: dict[str, ResultRow]) -> Iterator[Block]:
    rows = [row for row in _rows(part, results) if row.metrics]
    if not any(row.group == "ablation" for row in rows):
        return
    yield Figure(
        plots.results_plot(rows, ("Recall@20", "NDCG@20")),
        "Each part of the method left out, mean over seeds with 95% intervals. The paper prints no values here; its "
        "text names some drops, which stand beside ours in the table.",
    )
    yield from results_tables(results, rows, (20, 50))


def _sweep(part: PartRecord, grid: GridRecord, results: Results, by_name: dict[str, ResultRow]) -> Iterator[Block]:
    points = [(one.label, by_name[one.condition]) for one in part.points if one.condition in by_name]
    points = [(label, row) for label, row in points if row.metrics]
    if not any(row.group == "sweep" for _, row in points):
        return
    base = by_name.get("remi")
    named = paper.peak(part.name, grid.dataset.paper_name)
    published = (named[0], named[1]) if named and named[1] is not None else None
    dashed = " The dashed line is the backbone alone." if base is not None and base.metrics else ""
    caption = f"Recall over {_AXES[part.name]}, mean over seeds with 95% intervals.{dashed}"
    drawn = part_plots.axis_plot(
        points, base if base is not None and base.metrics else None, _SWEPT, _AXES[part.name], published
    )
    yield Figure(drawn, f"{caption} {_NO_VALUE if published is None else 'Diamond: the paper.'}")
    yield from (Paragraph(words.peak(one)) for one in results.peaks if one.part == part.name)
    labelled = [replace(row, label=f"{_AXES_SHORT[part.name]} {label}", paper={}) for label, row in points]
    yield from results_tables(results, labelled, (20, 50))


def _case(part: PartRecord, grid: GridRecord, results: Results, by_name: dict[str, ResultRow]) -> Iterator[Block]:
    study = grid.case_study
    if study is None:
        return
    yield Paragraph(
        f"Users with few clicks, each beside the exemplar whose interests it takes. {_llms(study)} Items are called "
        "similar where the cosine of their titles with one of the user's is .6 or more."
    )
    for case in study.cases[: study.shown]:
        lists = [
            (f"Clicks of the user ({len(case.clicks)})", case.clicks),
            (f"The exemplar's clicks similar to them ({len(case.similar)})", case.similar or ["none"]),
            (f"The exemplar's other clicks ({len(case.other)})", case.other or ["none"]),
            ("Interests from the user's own clicks", case.own_interests),
            ("Interests of the exemplar", case.exemplar_interests),
        ]
        title = f"User {clean(str(case.user), 40)} and exemplar {clean(str(case.exemplar), 40)}"
        yield Card(
            title, [(name, [clean(line, TITLE_CHARACTERS) for line in lines[:_LISTED]]) for name, lines in lists]
        )


def _clouds(part: PartRecord, grid: GridRecord, results: Results, by_name: dict[str, ResultRow]) -> Iterator[Block]:
    study = grid.case_study
    if study is None:
        return
    sides = (
        ("a", "inferred from the users' own clicks", [case.own_interests for case in study.cases], "#0072b2"),
        ("b", "of their exemplars", [case.exemplar_interests for case in study.cases], "#b34d00"),
    )
    yield Paragraph(f"Interests of {len(study.cases)} users with few clicks. {_llms(study)}")
    for letter, what, phrases, colour in sides:
        flat = [phrase for group in phrases for phrase in group]
        drawn = part_plots.word_cloud(flat, colour)
        if drawn is not None:
            several = len({word for phrase in flat for word in phrase.lower().split()})
            yield Figure(drawn, f"({letter}) Interests {what}: {len(flat)} phrases, {several} different words.")


def _llms(study: CaseStudy) -> str:
    if study.llm == study.exemplar_llm:
        return f"Both sides by {study.llm}."
    return f"From own clicks by {study.llm}, the exemplars' by {study.exemplar_llm}."


def not_run(grid: GridRecord) -> Iterator[Block]:
    """What was not trained, why, and the command that trains it."""
    if not grid.not_run:
        return
    yield Heading(2, "Not run")
    rows = [Row([one.label, ", ".join(str(seed) for seed in one.seeds), one.reason, one.name]) for one in grid.not_run]
    columns = [Column("Condition", "left"), Column("Seeds", "left"), Column("Why", "left"), Column("Name", "left")]
    yield Table("Not in the numbers above.", columns, rows)
    names = ",".join(dict.fromkeys(one.name for one in grid.not_run))
    yield Paragraph(f"To run all of it: {grid.command} --only {names}")


def searched(grid: GridRecord) -> Iterator[Block]:
    """What the search on validation users found for each model."""
    if not grid.tuned:
        return
    yield Heading(2, "Searched settings")
    found_on = sorted({one.found_on for one in grid.tuned.values() if one.found_on})
    elsewhere = (
        f" Nothing was searched on these data where another data set is named ({', '.join(found_on)}): the "
        "settings were found there."
        if found_on
        else ""
    )
    rows = [
        Row([name, str(one.trials), words.number(one.recall_50) + (f" ({one.found_on})" if one.found_on else ""),
             ", ".join(f"{key} = {value}" for key, value in one.settings.items())])
        for name, one in grid.tuned.items()
    ]  # fmt: skip
    yield Table(
        "Each model's settings with the highest Recall@50 of the validation users among so many trials, one training "
        "seed each. Controls, ablations and sweeps take those of the model that they are compared with; a model that "
        "is not listed has the preset's." + elsewhere,
        [Column("Model", "left"), Column("Trials"), Column("Valid Recall@50"), Column("Settings", "left")],
        rows,
    )


_NO_VALUE = "The paper prints no value here."
_AXES_SHORT = {"fig5": "exemplars:", "fig6": "alpha, beta =", "fig7": "gamma ="}
_SECTIONS = {
    "table2": _costs,
    "table3": _data,
    "fig3": _cutoffs,
    "fig4": _ablations,
    "fig5": _sweep,
    "fig6": _sweep,
    "fig7": _sweep,
    "fig8": _case,
    "fig9": _clouds,
}
