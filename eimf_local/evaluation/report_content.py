"""What a report says, section by section: the grid and its numbers laid out as blocks.

The same sections make report.md, report.html and, fewer of them, each data set's part of docs/results.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from . import report_words as words
from .metrics import COMPATIBILITY_METRICS
from .report_analysis import CONTROL_METRICS, PaperRow, ResultRow, Results
from .report_blocks import Block, Card, Column, Facts, Heading, Items, Note, Paragraph, Row, Table
from .report_data import DatasetRecord, GridRecord, InterestRecord
from .report_markdown import clean
from .significance import RESAMPLES, Interval

TITLE_CHARACTERS = 120
LISTED = 20
AUC_OF = {
    "interests": "inferred interests",
    "titles": "titles as interests",
    "tfidf": "TF-IDF keyphrases",
    "shuffled": "shuffled",
}


def summary(grid: GridRecord, results: Results) -> Iterator[Block]:
    """The answer first: method against backbone, and how much of the paper comes out."""
    yield Heading(2, "In short")
    every = [row.name for row in results.rows if row.group == "method"]
    # Of a second language model the method itself is told here; its rows on other backbones are in the tables.
    methods = [name for name in every if "@" not in name or _form(name) == _form(every[0])]
    told = [one for one in results.comparisons if one.name in methods and one.metric in CONTROL_METRICS]
    found = [one for one in told if one.against in methods or one.against not in every]
    sentences = [words.compared(results, one) for one in found]
    kept = (words.shares(results, method, metric) for method in methods for metric in CONTROL_METRICS)
    sentences += [sentence for sentence in kept if sentence]
    sentences += [words.highest(results, CONTROL_METRICS), *words.collapsed(results, methods)]
    sentences += [
        *words.worse_than_titles(grid),
        *words.unlearned(results),
        *words.cut_off(results),
        words.reproduced(results),
    ]
    yield Items([("", sentence) for sentence in sentences])


def _form(name: str) -> str:
    """The form of the method that a row is, whatever language model's interests it has."""
    return name.partition("@")[0]


def what_was_run(grid: GridRecord, results: Results) -> Iterator[Block]:
    """Data, split, seeds, LLMs, machine; and what is missing."""
    yield Heading(2, "What was run")
    if grid.provisional:
        yield Note(words.provisional(grid))
    yield Facts([*_data_facts(grid.dataset), *_run_facts(grid, results)])
    missing = [(row.label, line) for row in results.rows for line in row.missing]
    if missing:
        yield Heading(3, "Missing runs")
        yield Paragraph("These runs are not in the numbers below; the same command with the same --out redoes them.")
        yield Items(missing)


def results_tables(
    results: Results, rows: Sequence[ResultRow], cutoffs: Sequence[int], absent: Sequence[PaperRow] = ()
) -> Iterator[Block]:
    """One table a cut-off: these rows, each with its paired difference; then ``absent``, models of the paper alone."""
    for k in cutoffs:
        metrics = [f"{metric}@{k}" for metric in ("Recall", "HR", "NDCG")]
        searched = any(row.trials for row in rows)
        tested = any(results.comparison_of(row.name, f"Recall@{k}") for row in rows)
        names = ["Seeds", *(["Trials"] if searched else []), *metrics]
        columns = [Column("Condition", "left"), *(Column(name) for name in names)]
        columns += [Column(f"Difference in Recall@{k}")] if tested else []
        table = [_result_row(row, metrics) for row in rows]
        table = [
            _tested(cells, results, row, f"Recall@{k}") if tested else cells
            for cells, row in zip(table, rows, strict=True)
        ]
        table += [
            Row([one.model, "not run", *_paper_cells(one.paper, metrics)[2:], *([""] if tested else [])], tone="absent")
            for one in absent
            if any(metric in one.paper for metric in metrics)
        ]
        if searched:
            trials = ["" if row.trials is None else str(row.trials) for row in rows] + [""] * (len(table) - len(rows))
            table = [_with_trials(cells, number) for cells, number in zip(table, trials, strict=True)]
        yield Table(_results_caption(rows, k, metrics, tested=tested), columns, table)


def _results_caption(rows: Sequence[ResultRow], k: int, metrics: Sequence[str], *, tested: bool) -> str:
    known = any(metric in row.paper for row in rows for metric in metrics)
    paired = " The difference is paired over users and seeds; p by Holm." if tested else ""
    beneath = f"; the paper's value beneath, {words.AGREES} where it lies inside ours" if known else ""
    return f"Cut-off {k}: mean over test users and seeds, 95% bootstrap interval{beneath}.{paired}"


def _with_trials(row: Row, trials: str) -> Row:
    """The table's row with the number of trials after that of seeds."""
    wider = [None if cells is None else [*cells[:2], "", *cells[2:]] for cells in (row.details, row.under)]
    return replace(row, cells=[*row.cells[:2], trials, *row.cells[2:]], details=wider[0], under=wider[1])


def _tested(cells: Row, results: Results, row: ResultRow, metric: str) -> Row:
    """The table's row with a last cell: the paired difference against what the condition is compared with."""
    found = results.comparison_of(row.name, metric)
    blank = [""] * len(cells.cells)
    if found is None:
        details, under = cells.details or blank, cells.under
        return replace(cells, cells=[*cells.cells, ""], details=[*details, ""], under=[*under, ""] if under else None)
    published = "" if found.paper_relative is None else f", paper {words.percent(found.paper_relative)}"
    against = clean(results.row(found.against).label, 32)
    told = f"{words.percent(found.relative)}{published}; p {words.p_value(found.p_holm)} against {against}"
    return replace(
        cells,
        cells=[*cells.cells, f"{found.mean:+.4f}"],
        details=[*(cells.details or blank), f"[{found.low:+.4f}, {found.high:+.4f}]"],
        under=[*(cells.under or blank), told],
    )


def differences(results: Results) -> Iterator[Block]:
    """Paired differences, each condition against the one it is compared with."""
    shown = [one for one in results.comparisons if results.row(one.name).group != "sweep"]
    if not shown:
        return
    yield Heading(2, "Differences")
    titles = ("Metric", "Difference", "95% interval", "Relative", "Paper", "p", "p (Holm)")
    rows = [
        Row(
            [
                f"{results.row(one.name).label} {words.MINUS} {results.row(one.against).label}",
                one.metric,
                f"{one.mean:+.4f}",
                f"[{one.low:+.4f}, {one.high:+.4f}]",
                words.percent(one.relative),
                words.percent(one.paper_relative),
                words.p_value(one.p_value),
                words.p_value(one.p_holm),
                words.verdict(one),
            ],
            tone=one.verdict.replace(" ", "-"),
        )
        for one in shown
    ]
    caption = (
        f"Paired over the same test users and seeds; bootstrap of {RESAMPLES:,} resamples. Holm's adjustment runs over "
        "all rows of a group: the method's, the controls', the ablations'. An interval that covers zero: not "
        "distinguishable."
    )
    columns = [Column("Comparison", "left"), *(Column(title) for title in titles), Column("Verdict", "left")]
    yield Table(caption, columns, rows)


def rivals(results: Results) -> Iterator[Block]:
    """Baselines and the method's other forms beside the method, the best first by the last metric."""
    if not results.rivals:
        return
    method = results.row(results.rivals[0].method).label
    yield Heading(2, f"Other models beside {method}")
    found = {(one.name, one.metric): one for one in results.rivals}
    names = dict.fromkeys(one.name for one in results.rivals)

    def cell(name: str, metric: str) -> str:
        rival = found[name, metric]
        return f"{words.difference(rival.difference)}, p {words.p_value(rival.p_holm)}"

    rows = [
        Row(
            [
                results.row(name).label,
                str(found[name, CONTROL_METRICS[0]].seeds),
                *(cell(name, m) for m in CONTROL_METRICS),
            ]
        )
        for name in sorted(names, key=lambda name: -found[name, CONTROL_METRICS[-1]].difference.mean)
    ]
    yield Table(
        f"Baselines and other forms of the method {words.MINUS} {method}, by {CONTROL_METRICS[-1]}; paired over test "
        "users and the seeds that both have. Intervals are 95%, unadjusted; p by Holm's adjustment over this table, a "
        "family of its own.",
        [Column("Model", "left"), Column("Seeds"), *(Column(metric) for metric in CONTROL_METRICS)],
        rows,
    )


def controls(results: Results) -> Iterator[Block]:
    """What each control leaves of the method's gain, in words."""
    if not results.controls:
        return
    yield Heading(2, "What the controls say")
    yield Paragraph(
        "A control keeps part of the method and takes the meaning of the LLM's interests away, or gives text to the "
        "model without them. What a control keeps of the gain is not owed to the interests. Intervals of this section "
        "are 95% each, unadjusted."
    )
    for name in dict.fromkeys(one.control for one in results.controls):
        yield Heading(3, results.row(name).label)
        yield Items([(one.metric, words.control(results, one)) for one in results.controls if one.control == name])


def reproduction(grid: GridRecord, results: Results) -> Iterator[Block]:
    """Published values and gains outside our intervals, peaks elsewhere, and the paper's models that were not run."""
    yield Heading(2, "What does not reproduce")
    yield Paragraph(words.reproduced(results))
    if results.n_published:
        yield Note(words.comparable(grid.dataset.split))
    if results.mismatches:
        columns = [Column("Condition", "left"), Column("Paper's model", "left"), Column("Metric"), Column("Paper"),
                   Column("Here"), Column("95% interval"), Column("Here / paper")]  # fmt: skip
        rows = [
            Row([results.row(one.name).label, one.paper_model, one.metric, words.number(one.paper),
                 words.number(one.mean), words.interval(Interval(one.mean, one.low, one.high)),
                 f"{one.mean / one.paper:.2f}"])
            for one in results.mismatches
        ]  # fmt: skip
        yield Table("Published Recall and HR values outside our 95% interval.", columns, rows)
    gains = [one for one in results.comparisons if one.paper_disagrees]
    told = [one for one in results.comparisons if one.paper_relative is not None]
    if told:
        yield Paragraph(words.gains(told, gains))
        yield Items([("", words.gain(results, one)) for one in gains])
    yield from (Paragraph(words.peak(one)) for one in results.peaks if words.peak_fails(one))
    if results.not_run:
        yield Paragraph(f"Not run: {', '.join(one.model for one in results.not_run)}.")


def interest_quality(grid: GridRecord) -> Iterator[Block]:
    """Where the interests come from, and how well they foretell what their users choose later."""
    if not grid.interests:
        return
    yield Heading(2, "Interest quality")
    yield Table(
        "Interest AUC: the chance that an item the user chose later scores above one that others chose later, by the "
        "nearest interest; 0.5 is chance. Mean over users with 95% bootstrap interval.",
        [Column("Interests", "left"), *(Column(title) for title in AUC_OF.values())],
        [_auc_row(one) for one in grid.interests],
    )
    recovered = [(one.name, one.recovery) for one in grid.interests if one.recovery]
    if recovered:
        yield Table(
            "Recovery of the generator's true interests: one-to-one matches at cosine 0.6 or more.",
            [Column("Interests", "left"), Column("Precision"), Column("Recall"), Column("F1")],
            [Row([name, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}"]) for name, one in recovered],
        )
    for one in grid.interests:
        yield Heading(3, one.name)
        yield Facts(_interest_facts(one))


def examples(grid: GridRecord) -> Iterator[Block]:
    """A few exemplars: titles, interests, and the true ones where they are known."""
    sets = [one for one in grid.interests if one.examples]
    if not sets:
        return
    yield Heading(2, "Example interests")
    for one in sets:
        yield Paragraph(f"{one.name}, inferred by {one.llm}.")
        for example in one.examples or []:
            lists = [("Titles seen, oldest first", example.titles), ("Inferred interests", example.interests)]
            lists += [("True interests", example.true)] if example.true else []
            yield Card(f"User {clean(str(example.user), 60)}", [(name, _shortened(lines)) for name, lines in lists])


def training(record: GridRecord, results: Results) -> Iterator[Block]:
    """What training took, condition by condition."""
    seconds = {one.name: one.seconds for one in record.conditions}
    titles = ("Parameters", "Best step", "Steps", "Time a run", "Time a step", "Cosine of interests")
    rows = [
        Row(
            [
                row.label,
                f"{row.n_parameters:,}",
                f"{row.best_step:,.0f}" if row.steps and row.best_step is not None else words.NONE,
                f"{row.steps:,.0f}" if row.steps else words.NONE,
                words.seconds(seconds[row.name]),
                f"{1000 * seconds[row.name] / row.steps:.1f} ms" if row.steps else words.NONE,
                words.NONE if row.interest_cosine is None else f"{row.interest_cosine:.3f}",
            ]
        )
        for row in results.rows
        if row.metrics
    ]
    caption = (
        "Means over seeds. A step's time has its share of the evaluations. Where Steps is train.max_steps, the budget "
        "ended training and not the patience. Cosine of interests: between the K interests of a test user; at 1 they "
        "are one and the same, and the model is multi-interest in name only."
    )
    yield Table(caption, [Column("Condition", "left"), *(Column(title) for title in titles)], rows)


def stages(grid: GridRecord) -> Iterator[Block]:
    """Measured cost of every stage."""
    if not grid.stages:
        return
    yield Heading(2, "Time by stage")
    rows = [Row([one.stage, words.stage_time(one.seconds)]) for one in grid.stages]
    total = sum(one.seconds for one in grid.stages)
    rows.append(Row(["all", words.seconds(total)]))
    yield Table(f"Measured on {grid.machine}.", [Column("Stage", "left"), Column("Time")], rows)


def compatibility(results: Results) -> Iterator[Block]:
    """The NDCG variants of published code, beside the paper's NDCG."""
    yield Heading(2, "Compatibility columns")
    yield Paragraph(
        "Not NDCG. ndcg_hits divides by an ideal over the hits found instead of the labels there are (ComiRec's "
        "evaluator). ndcg_setorder besides takes an item's place in a hash table for its rank (REMI's evaluator); "
        "the paper's NDCG values bear that signature, so its NDCG stands under ndcg_setorder here."
    )
    metrics = [f"{metric}@{k}" for k in (20, 50) for metric in COMPATIBILITY_METRICS]
    rows = []
    for row in results.rows:
        published = {f"ndcg_setorder@{k}": row.paper[f"NDCG@{k}"] for k in (20, 50) if f"NDCG@{k}" in row.paper}
        rows.append(_result_row(row, metrics, published))
    columns = [Column("Condition", "left"), Column("Seeds"), *(Column(metric) for metric in metrics)]
    yield Table("Mean, 95% interval; the paper's NDCG beneath.", columns, rows)


def _data_facts(dataset: DatasetRecord) -> list[tuple[str, str]]:
    ties = "no timestamps" if dataset.tied_timestamps is None else f"{dataset.tied_timestamps:.0%} of timestamps tied"
    size = f"{dataset.users:,} users, {dataset.items:,} items, {dataset.interactions:,} interactions; {ties}"
    split = f"{dataset.split}: {dataset.valid_users:,} validation users, {dataset.test_users:,} test users"
    return [("Data set", dataset.name), ("Size", size), ("Digest", dataset.digest), ("Split", split)]


def _run_facts(grid: GridRecord, results: Results) -> list[tuple[str, str]]:
    llms = [(f"LLM of {name}", llm) for name, llm in words.llm_of(grid, results.rows)]
    return [
        *(llms or [("LLM", "none: no condition uses interests")]),
        ("Seeds", ", ".join(str(seed) for seed in grid.seeds)),
        (
            "Settings",
            ", ".join(f"{name} = {value}" for name, value in grid.settings.items()) or "all at their defaults",
        ),
        ("Commit of this report", grid.commit),
        ("Version", f"eimf-local {grid.version}"),
        ("Machine", grid.machine),
        ("Date", grid.date),
    ]


def _result_row(row: ResultRow, metrics: Sequence[str], published: dict[str, float] | None = None) -> Row:
    intervals = [row.metrics.get(metric) for metric in metrics]
    values = row.paper if published is None else published
    shown = any(metric in values for metric in metrics)
    return Row(
        cells=[row.label, _seeds(row),
               *(words.number(one.mean if one else None) for one in intervals)],
        details=["", "", *(words.interval(one) for one in intervals)],
        under=_paper_cells(values, metrics, row.metrics) if shown else None,
        tone=row.group if row.metrics else "absent",
    )  # fmt: skip


def _paper_cells(
    values: dict[str, float], metrics: Sequence[str], ours: dict[str, Interval] | None = None
) -> list[str]:
    """The paper's values, those inside our interval marked."""
    cells = []
    for metric in metrics:
        inside = metric in values and bool(ours and metric in ours and ours[metric].covers(values[metric]))
        cells.append(f"paper {values[metric]:.4f}{f' {words.AGREES}' if inside else ''}" if metric in values else "")
    return ["", "", *cells]


def _seeds(row: ResultRow) -> str:
    failed = f", {len(row.missing)} failed" if row.missing else ""
    return f"{len(row.seeds) or 'none'}{failed}"


def _auc_row(one: InterestRecord) -> Row:
    values = [(one.auc or {}).get(name) for name in AUC_OF]
    cells = [words.NONE if value is None else f"{value.mean:.3f}" for value in values]
    details = ["" if value is None else f"[{value.low:.3f}, {value.high:.3f}]" for value in values]
    return Row([one.name, *cells], details=["", *details])


def _interest_facts(one: InterestRecord) -> list[tuple[str, str]]:
    exemplars = f"{one.exemplars:,}"
    exemplars += "" if one.fraction is None else f" ({one.fraction:.1%} of training users)"
    exemplars += "" if one.preference is None else f", preference {one.preference:.4g}"
    if one.converged is not None:
        exemplars += f"; affinity propagation {'converged' if one.converged else 'did NOT converge'}"
    return [
        ("LLM", one.llm),
        ("Digest", one.llm_digest or "not stated"),
        ("Encoder", one.encoder),
        ("Exemplars", exemplars),
        ("Answers by path", ", ".join(f"{count} {path}" for path, count in one.path_counts.items() if count) or "none"),
        *_auc_differences(one),
    ]


def _auc_differences(one: InterestRecord) -> list[tuple[str, str]]:
    users = "" if one.judged_users is None else f", {one.judged_users:,} users"
    return [
        (f"AUC against {AUC_OF.get(name, name)}", f"{words.difference(value)}, paired{users}; {words.judged(value)}")
        for name, value in (one.auc_differences or {}).items()
        if value is not None
    ]


def _shortened(lines: Sequence[str]) -> list[str]:
    kept = [clean(line, TITLE_CHARACTERS) for line in lines[:LISTED]]
    return kept if len(lines) <= LISTED else [*kept, f"and {len(lines) - LISTED} more"]
