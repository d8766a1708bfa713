"""Numbers in plain words: one sentence for each difference, control and reproduction count."""

from __future__ import annotations

from collections.abc import Sequence

from .report_analysis import Comparison, ControlFinding, Peak, ResultRow, Results
from .report_data import GridRecord
from .significance import Difference, Interval

ALPHA = 0.05
NONE = "–"
AGREES = "✓"  # beside a value of the paper that lies inside our interval
MINUS = "−"  # between names: a hyphen would open a list where a line is wrapped
COLLAPSED = 0.99  # mean cosine from which on a user's K interests count as one


def number(value: float | None) -> str:
    """Four decimals; a dash where there is none."""
    return NONE if value is None else f"{value:.4f}"


def interval(value: Interval | None) -> str:
    """[low, high]."""
    return "" if value is None else f"[{value.low:.4f}, {value.high:.4f}]"


def difference(value: Difference | Comparison | Interval) -> str:
    """Mean and interval, signed."""
    return f"{value.mean:+.4f} [{value.low:+.4f}, {value.high:+.4f}]"


def judged(value: Interval) -> str:
    """What the interval of a difference says."""
    return "not distinguishable" if value.covers(0.0) else "higher" if value.mean > 0 else "lower"


def percent(value: float | None) -> str:
    """A signed relative change."""
    return NONE if value is None else f"{value:+.1%}"


def p_value(value: float) -> str:
    """Three decimals, or the bound."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float) -> str:
    """A duration in the unit that reads best.

    >>> seconds(4.21), seconds(75), seconds(7260)
    ('4.2 s', '1 min 15 s', '2 h 1 min')
    """
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def stage_time(value: float) -> str:
    """The seconds of a stage; one without any found its work done.

    >>> stage_time(75), stage_time(0.02)
    ('1 min 15 s', 'done before')
    """
    return seconds(value) if value >= 0.05 else "done before"


def verdict(value: Comparison) -> str:
    """The verdict, and whether "higher" or "lower" outlasts Holm's adjustment."""
    if value.verdict == "not distinguishable" or value.p_holm < ALPHA:
        return value.verdict
    return f"{value.verdict}, but not after Holm"


def compared(results: Results, value: Comparison) -> str:
    """One sentence on one difference, beside the paper's relative one where it has one."""
    row, against = results.row(value.name), results.row(value.against)
    paper = "" if value.paper_relative is None else f"; the paper: {percent(value.paper_relative)}"
    conclusion = {"not distinguishable": "not distinguishable: the interval covers zero"}.get(
        value.verdict, f"{verdict(value)}, adjusted p {p_value(value.p_holm)}"
    )
    return (
        f"{row.label} against {against.label}, {value.metric}: {difference(value)}, "
        f"{percent(value.relative)}{paper}. {_capital(conclusion)}."
    )


def control(results: Results, finding: ControlFinding) -> str:
    """What one control says about one gain."""
    method, backbone = results.row(finding.method).label, results.row(finding.backbone).label
    gain = f"the difference {method} {MINUS} {backbone}"
    if finding.share is None:
        start = f"{_capital(gain)} is {_without_gain(finding.gain)} ({difference(finding.gain)}): no gain to share out."
    else:
        kept = f"{finding.kept.mean:+.4f} of {finding.gain.mean:+.4f}"
        start = f"Keeps {_share(finding.share)} of {gain} ({kept})."
    return f"{start} {_against_method(finding.lost, method)}"


def gains(told: Sequence[Comparison], failing: Sequence[Comparison]) -> str:
    """How many of the paper's relative differences come out."""
    return (
        f"Of {len(told)} relative differences that the paper prints or that follow from its tables, {len(failing)} "
        f"{'lies' if len(failing) == 1 else 'lie'} outside ours (95% interval over the mean of what is compared with)."
    )


def gain(results: Results, value: Comparison) -> str:
    """One relative difference that does not come out."""
    low, high = value.relative_interval or (0.0, 0.0)
    names = f"{results.row(value.name).label} against {results.row(value.against).label}"
    ours = f"{percent(value.relative)} [{percent(low)}, {percent(high)}]"
    return f"{names}, {value.metric}: {ours} here, {percent(value.paper_relative)} in the paper."


def peak(value: Peak) -> str:
    """Where a figure's best point is, here and in the paper."""
    figure = value.part.replace("fig", "Figure ")
    start = f"{figure}: Recall@50 is best at {value.ours} here, at {value.paper} in the paper"
    if value.difference is None:
        return f"{start}." if value.ours == value.paper else f"{start}, which was not run here."
    return f"{start}; the difference between the two, here: {difference(value.difference)}, {_than(value.difference)}."


def peak_fails(value: Peak) -> bool:
    """Whether our best point is distinguishably better than the paper's."""
    return value.difference is not None and value.difference.distinguishable


def shares(results: Results, method: str, metric: str) -> str | None:
    """How much of one method's gain each control keeps, in one sentence; None without a gain or a control."""
    kept = [one for one in results.controls if (one.method, one.metric) == (method, metric) and one.share]
    if not kept:
        return None
    parts = [f"{results.row(one.control).label} {_share(one.share)}" for one in kept if one.share]
    gain = f"{results.row(method).label} {MINUS} {results.row(kept[0].backbone).label}"
    return f"Of the difference {gain} in {metric}, the controls keep: {'; '.join(parts)}."


def reproduced(results: Results) -> str:
    """How many published values come out."""
    if not results.n_published:
        return "The paper has no value for this data set and these models."
    inside = results.n_published - len(results.mismatches)
    return (
        f"Of {results.n_published} published Recall and HR values with a counterpart here, {inside} "
        f"{'lies' if inside == 1 else 'lie'} inside our 95% interval and {len(results.mismatches)} outside."
    )


def comparable(split: str) -> str:
    """Whether the paper's absolute values may be set beside values under ``split``."""
    record = "docs/decisions/2026-11-27-protocol-calibration.md"
    if split == "item-order":
        return (
            f"Absolute values may be compared: the paper's come out under item-order where that was tried ({record})."
        )
    return (
        f"Absolute values are not comparable under {split}, only relative gains are: the paper's come out under "
        f"protocol item-order, which does not shuffle the users, where that was tried ({record})."
    )


def highest(results: Results, metrics: Sequence[str]) -> str:
    """Which condition has the highest mean of each metric, whatever it is compared with."""
    run = [row for row in results.rows if row.metrics]
    named = []
    for metric in metrics:
        value = max(row.metrics[metric].mean for row in run)
        best = [row.label for row in run if row.metrics[metric].mean == value]
        named.append(f"{metric}, {' and '.join(best)} ({number(value)})")
    return f"Highest here: {'; '.join(named)}."


def collapsed(results: Results, methods: Sequence[str]) -> list[str]:
    """A sentence for each method whose K interests are one and the same."""
    rows = [results.row(name) for name in methods]
    return [
        f"The interests of a user under {row.label} are one and the same (mean cosine {row.interest_cosine:.3f}"
        f"{_as_alone(results, row)}): it is multi-interest in name only."
        for row in rows
        if row.interest_cosine is not None and row.interest_cosine > COLLAPSED
    ]


def _as_alone(results: Results, row: ResultRow) -> str:
    """What the backbone alone has, so that nobody blames the method for it."""
    against = next((one.against for one in results.comparisons if one.name == row.name), None)
    backbone = next((other for other in results.rows if other.name == against), None)
    if backbone is None or backbone.interest_cosine is None:
        return ""
    return f"; {backbone.label} alone {backbone.interest_cosine:.3f}"


def worse_than_titles(grid: GridRecord) -> list[str]:
    """A sentence for each set of interests that tells later items worse than the exemplars' bare titles do."""
    found = []
    for one in grid.interests:
        change = (one.auc_differences or {}).get("titles")
        if change is not None and change.high < 0:
            found.append(
                f"As words, {one.name}'s interests tell later items from others worse than the exemplars' bare titles "
                f"(difference in AUC {difference(change)})."
            )
    return found


def cut_off(results: Results) -> list[str]:
    """A sentence where training ended while it still improved."""
    late = [row.label for row in results.rows if row.steps and row.best_step == row.steps and row.group != "sweep"]
    if not late:
        return []
    return [
        f"Still improving when training ended, in every run: {', '.join(late)}. Their numbers are of too short a "
        "training (train.max_steps)."
    ]


def unlearned(results: Results) -> list[str]:
    """A sentence where training ended before it had learned anything."""
    rows = [f"{row.label} (seed {', '.join(map(str, row.guessing))})" for row in results.rows if row.guessing]
    if not rows:
        return []
    return [
        "Nothing learned: at the end of training the recommendation loss was still that of guessing in "
        f"{', '.join(rows)}. Their numbers say nothing of the model (model.item_std, train.max_steps)."
    ]


def provisional(grid: GridRecord) -> str:
    """The mark for results on too few seeds."""
    seeds = f"{len(grid.seeds)} training seed{'s' if len(grid.seeds) != 1 else ''}"
    return f"Provisional: {seeds}; a published claim needs five."


def llm_of(grid: GridRecord, rows: Sequence[ResultRow]) -> list[tuple[str, str]]:
    """Each set of interests in use with the LLM that inferred it."""
    used = {row.interests for row in rows}
    return [(one.name, one.llm) for one in grid.interests if one.name in used]


def _than(value: Difference) -> str:
    return "higher" if value.distinguishable else "not distinguishable"


def _share(share: Interval) -> str:
    return f"{share.mean:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _without_gain(gain: Difference) -> str:
    return "not distinguishable from zero" if not gain.distinguishable else "negative"


def _against_method(lost: Difference, method: str) -> str:
    if not lost.distinguishable:
        return f"Itself not distinguishable from {method} ({method} {MINUS} control: {difference(lost)})."
    if lost.mean > 0:
        return f"{method} is higher than this control ({difference(lost)})."
    return f"This control gives more than {method} ({method} {MINUS} control: {difference(lost)})."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
