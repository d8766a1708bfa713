"""Write a grid's report (report.md, report.html, metrics.json), and the results page over several grids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from ..disk import write_json, write_text
from ..errors import ArtifactError
from . import (
    paper,
    plots,
    report_content,
    report_exemplars,
    report_html,
    report_markdown,
    report_parts,
    report_words,
)
from .report_analysis import Results, analyse, not_run_rows
from .report_blocks import Block, Card, Column, Figure, Heading, Note, Paragraph, Row, Table
from .report_data import REMEDY, Grid, GridRecord, load_grid, load_record, numbers_digest, parse, read_json

_GROUPS = {"baseline": "Baselines", "method": "The method", "control": "Controls", "ablation": "Ablations",
           "sweep": "Sweeps"}  # fmt: skip
PLOTTED = ("Recall@20", "Recall@50")


def write_report(grid_folder: Path) -> None:
    """Analyse the runs of a grid folder and write report.md, report.html and metrics.json into it.

    The files are the same for the same folder content, metrics.json also for the same work done at another time; each
    appears whole or not at all.

    Raises:
        ArtifactError: ``grid.json`` or a run is damaged, or no run has finished; the message names the file, the
            hint says that ``eimf-local reproduce`` goes on from there.
        StorageError: the files cannot be written.
    """
    grid = load_grid(grid_folder)
    results = analyse(grid, numbers_digest(read_json(grid_folder / "grid.json")))
    blocks = list(_report(grid_folder, grid, results))
    write_text(grid_folder / "report.md", report_markdown.render(blocks))
    write_text(grid_folder / "report.html", report_html.render(blocks))
    write_json(grid_folder / "metrics.json", asdict(results))


def write_results_page(grid_folders: list[Path], out: Path, sections: Sequence[Path] = ()) -> None:
    """Write docs/results.md from grids that have their reports: one section a data set, then what was not run.

    ``sections``: Markdown files that follow as they are, such as the benchmarks'.

    Raises:
        ArtifactError: a folder's ``grid.json`` or ``metrics.json`` is missing or damaged, or they do not belong
            together.
        StorageError: the page cannot be written.
    """
    grids = [_stored(folder) for folder in grid_folders]
    page = report_markdown.render(_results_page(grids))
    write_text(out, "\n".join([page, *(section.read_text("utf-8") for section in sections)]))


def _stored(folder: Path) -> tuple[GridRecord, Results]:
    record, path = load_record(folder), folder / "metrics.json"
    results = parse(Results, read_json(path), path)
    if results.grid_digest != numbers_digest(read_json(folder / "grid.json")):
        raise ArtifactError(f"{path} was computed from another grid.json than the one beside it", hint=REMEDY)
    return record, results


def _report(grid_folder: Path, grid: Grid, results: Results) -> Iterator[Block]:
    record = grid.record
    yield Heading(1, f"EIMF on {record.dataset.title}")
    yield from report_content.summary(record, results)
    yield from report_content.what_was_run(record, results)
    diamonds = "; diamonds are the paper's values" if results.n_published else ""
    caption = f"{' and '.join(PLOTTED)} on test users, mean over seeds with 95% intervals{diamonds}."
    yield Heading(2, "All models")
    yield Figure(plots.results_plot([row for row in results.rows if row.group != "sweep"], PLOTTED), caption)
    yield from report_parts.parts(record, results)
    yield from report_content.differences(results)
    yield from report_content.rivals(results)
    yield from report_content.controls(results)
    yield from report_content.reproduction(record, results)
    yield from report_parts.not_run(record)
    yield from report_parts.searched(record)
    yield from report_content.interest_quality(record)
    yield from report_exemplars.exemplars(grid_folder, record)
    yield from report_content.examples(record)
    yield from _training(grid, results)
    if record.part("table2") is None:
        yield from report_content.stages(record)
    yield from report_content.compatibility(results)
    yield Heading(2, "Cut-offs 5 and 10")
    yield from report_content.results_tables(results, results.rows, (5, 10))


def _training(grid: Grid, results: Results) -> Iterator[Block]:
    yield Heading(2, "Training")
    told = "Recall@50 of validation users; thin lines are single runs. Stopping is decided on it."
    for group in dict.fromkeys(condition.record.group for condition in grid.conditions):
        curves = plots.curves_plot([one for one in grid.conditions if one.record.group == group])
        if curves is not None:
            yield Figure(curves, f"{_GROUPS[group]}: {told}")
    for condition in grid.conditions:
        losses = plots.losses_plot(condition) if condition.record.group == "method" else None
        if losses is not None:
            label = results.row(condition.record.name).label
            yield Figure(losses, f"Loss terms of {label}, one line a seed.")
    yield from report_content.training(grid.record, results)


def _results_page(grids: list[tuple[GridRecord, Results]]) -> Iterator[Block]:
    yield Heading(1, "Results")
    yield Paragraph(
        "Generated from stored runs by eimf-local; nothing here is typed by hand. Intervals are 95% bootstrap "
        "intervals over test users and training seeds. Recall and HR are the reproduction targets; why NDCG is not is "
        "said in each run's report."
    )
    for record, results in grids:
        yield Heading(2, record.dataset.title)
        if record.provisional:
            yield Note(report_words.provisional(record))
        for block in _dataset_section(record, results):
            # Sections of a report become parts of the data set's section.
            yield Heading(block.level + 1, block.text) if isinstance(block, Heading) else block
    covered = {record.dataset.paper_name for record, _ in grids}
    for dataset in paper.DATASETS:
        if dataset not in covered:
            yield from _unseen(dataset)


def _dataset_section(record: GridRecord, results: Results) -> Iterator[Block]:
    yield from (block for block in report_content.what_was_run(record, results) if not isinstance(block, Note))
    if record.parts:
        yield from (block for block in report_parts.parts(record, results) if not isinstance(block, Figure | Card))
    else:
        yield Heading(2, "Method and controls beside the paper")
        yield from report_content.results_tables(results, results.rows, (20, 50), absent=results.not_run)
    yield from report_content.differences(results)
    yield from report_content.rivals(results)
    yield from report_content.controls(results)
    yield from report_content.reproduction(record, results)
    yield from report_parts.not_run(record)
    yield from report_parts.searched(record)
    yield from report_content.interest_quality(record)
    yield Heading(2, "Training")
    yield from report_content.training(record, results)
    yield from report_content.stages(record)


def _unseen(dataset: str) -> Iterator[Block]:
    metrics = ("Recall@20", "Recall@50", "HR@20", "HR@50")
    rows = [
        Row([one.model, "not run", *(report_words.number(one.paper.get(metric)) for metric in metrics)])
        for one in not_run_rows(dataset, set())
    ]
    yield Heading(2, dataset)
    columns = [Column("Model", "left"), Column("Here"), *(Column(f"paper {metric}") for metric in metrics)]
    yield Table("Not run: the paper's values only.", columns, rows)
