"""The report of a synthetic grid: stored numbers come out, hostile text does not, damage is named."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

import eimf_local.evaluation.report_words as words
from eimf_local.errors import ArtifactError
from eimf_local.evaluation.report import write_report, write_results_page
from eimf_local.evaluation.report_analysis import Results, analyse
from eimf_local.evaluation.report_data import load_grid, numbers_digest, parse
from eimf_local.evaluation.significance import Interval, holm, mean_interval, paired_difference

from .grids import build_grid

VOID = {"meta", "br", "link", "img"}


@pytest.fixture(scope="module")
def grid_folder(tmp_path_factory):
    folder = build_grid(tmp_path_factory.mktemp("grid"))
    write_report(folder)
    return folder


@pytest.fixture
def small_grid(tmp_path):
    return build_grid(tmp_path, n_users=30, seeds=(0, 1))


@pytest.fixture(scope="module")
def results(grid_folder):
    path = grid_folder / "metrics.json"
    return parse(Results, json.loads(path.read_text()), path)


class Page(HTMLParser):
    """Collects text and attributes, and checks that elements nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.attributes, self.names = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def stored_values(folder, condition, column, seeds=(0, 1, 2)):
    tables = [pl.read_parquet(folder / f"runs/{condition}/seed-{seed}/per_user.parquet") for seed in seeds]
    return np.array([table[column].to_numpy() for table in tables])


def markdown_row(text, label, column, table_mark):
    """Cell of the first table whose header holds ``table_mark``."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|") and table_mark in line)
    header = [cell.strip() for cell in lines[start].strip("|").split("|")]
    row = next(line for line in lines[start:] if line.startswith(f"| {label} "))
    return [cell.strip() for cell in row.strip("|").split("|")][header.index(column)]


def test_numbers_in_the_tables_are_the_stored_ones(grid_folder):
    text = (grid_folder / "report.md").read_text()
    page = "".join(Page((grid_folder / "report.html").read_text()).text)
    for condition, label in [
        ("remi", "REMI"),
        ("eimf", "EIMF (REMI)"),
        ("text-init", "REMI, item table from text"),
    ]:
        for column in ("Recall@20", "NDCG@50", "ndcg_setorder@20"):
            expected = mean_interval(stored_values(grid_folder, condition, column))
            cell = f"{expected.mean:.4f} [{expected.low:.4f}, {expected.high:.4f}]"
            assert markdown_row(text, label, column, column) == cell
            assert f"{expected.mean:.4f}" in page
            assert f"[{expected.low:.4f}, {expected.high:.4f}]" in page


def test_metrics_json_holds_every_interval_and_difference(grid_folder, results):
    values = {name: stored_values(grid_folder, name, "HR@50") for name in ("remi", "eimf")}
    assert results.row("remi").metrics["HR@50"] == mean_interval(values["remi"])
    expected = paired_difference(values["eimf"], values["remi"])
    found = results.comparison("eimf", "remi", "HR@50")
    assert (found.mean, found.low, found.high, found.p_value) == pytest.approx(
        (expected.mean, expected.low, expected.high, expected.p_value)
    )
    for group in ("method", "control", "ablation"):
        family = [one for one in results.comparisons if results.row(one.name).group == group]
        assert family
        assert [one.p_holm for one in family] == holm([one.p_value for one in family])
    assert found.relative == pytest.approx(expected.mean / values["remi"].mean())
    assert found.paper_relative == pytest.approx(0.3503 / 0.2973 - 1)


def test_every_model_stands_beside_the_method(grid_folder, results):
    found = {one.name: one for one in results.rivals if one.metric == "Recall@50"}
    assert {one.method for one in results.rivals} == {"eimf"}
    assert {"remi", "eimf-reference"} <= set(found) <= {row.name for row in results.rows}
    assert not {"eimf", "eimf-shuffled", "text-init", "no-align"} & set(found)
    values = (stored_values(grid_folder, name, "Recall@50") for name in ("remi", "eimf"))
    told, expected = found["remi"].difference, paired_difference(*values)
    assert (told.mean, told.low, told.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert [one.p_holm for one in results.rivals] == holm([one.difference.p_value for one in results.rivals])
    text = (grid_folder / "report.md").read_text()
    cell = markdown_row(text.split("## Other models beside EIMF (REMI)")[1], "REMI", "Recall@50", "Recall@50")
    assert cell.startswith(f"{told.mean:+.4f} [{told.low:+.4f}, {told.high:+.4f}], p ")
    assert found["remi"].seeds == 3


def test_every_condition_is_compared_with_its_backbone_and_two_llms_only_on_equal_exemplars(small_grid):
    found = {(one.name, one.against) for one in analyse(load_grid(small_grid), "").comparisons}
    expected = {("eimf", "remi"), ("eimf-reference", "remi"), ("eimf-shuffled", "eimf"), ("text-init", "remi"),
                ("gamma-0", "eimf"), ("no-align", "eimf")}  # fmt: skip
    assert found == expected
    edit_grid(small_grid, lambda grid: [one.update(exemplars_digest="x") for one in grid["interests"]])
    found = {(one.name, one.against) for one in analyse(load_grid(small_grid), "").comparisons}
    assert found == expected | {("eimf", "eimf-reference")}


def test_controls_tell_the_share_of_the_gain_they_keep(grid_folder, results):
    means = {name: stored_values(grid_folder, name, "Recall@50").mean() for name in ("remi", "eimf", "eimf-shuffled")}
    finding = next(one for one in results.controls if (one.control, one.metric) == ("eimf-shuffled", "Recall@50"))
    share = (means["eimf-shuffled"] - means["remi"]) / (means["eimf"] - means["remi"])
    assert (finding.method, finding.backbone) == ("eimf", "remi")
    assert finding.share.mean == pytest.approx(share)
    assert finding.share.low < share < finding.share.high
    text = joined(grid_folder / "report.md")
    assert f"Keeps {share:.0%} [" in text
    assert "This control gives more than EIMF (REMI)" in text  # the text-initialised table


def test_a_difference_that_covers_zero_is_called_not_distinguishable(tmp_path):
    same = (
        ("remi", "REMI", "baseline", None, None, 0.2),
        ("eimf", "EIMF", "method", "remi", None, 0.2),
        ("shuffled", "shuffled", "control", "eimf", None, 0.2),
    )
    write_report(build_grid(tmp_path, n_users=40, conditions=same))
    text = joined(tmp_path / "report.md")
    assert "Not distinguishable: the interval covers zero." in text
    assert "no gain to share out" in text
    assert "| not distinguishable |" in text


def test_paper_values_stand_beside_ours_and_models_not_run_are_listed(grid_folder, results):
    text = (grid_folder / "report.md").read_text()
    assert "paper 0.1072" in text
    assert markdown_row(text, "SASRec", "Seeds", "Recall@50") == "not run"
    assert markdown_row(text, "SASRec", "Recall@50", "Recall@50") == "paper 0.1963"
    assert {row.model for row in results.not_run} >= {"DNN", "MIND", "EIMF(MIND)"}
    assert results.row("eimf-shuffled").paper == {}


def test_what_does_not_reproduce_is_exactly_what_lies_outside_the_interval(results):
    outside = {
        (row.name, metric)
        for row in results.rows
        for metric in ("Recall@20", "Recall@50", "HR@20", "HR@50")
        if metric in row.paper and not row.metrics[metric].covers(row.paper[metric])
    }
    assert {(one.name, one.metric) for one in results.mismatches} == outside
    assert 0 < len(outside) < results.n_published


def test_a_data_set_that_the_paper_does_not_have_is_reported_without_it(tmp_path):
    write_report(build_grid(tmp_path, name="demo", n_users=30, seeds=(0,)))
    text = (tmp_path / "report.md").read_text()
    assert "The paper has no value" in text
    assert "paper 0." not in text
    assert "not run" not in text


def test_llm_seeds_commit_machine_and_provisional_mark_are_named(grid_folder):
    for text in (joined(grid_folder / "report.md"), (grid_folder / "report.html").read_text()):
        for fact in ("eimf-tiny-qwen2 (own training)", "hosted", "0123abc", "2 cores", "ab" * 32, "user-split"):
            assert fact in text
        assert "Provisional: 3 training seeds" in text


def test_five_seeds_are_not_provisional(tmp_path):
    write_report(build_grid(tmp_path, n_users=20, seeds=range(5)))
    assert "Provisional" not in (tmp_path / "report.md").read_text()


def test_html_is_one_well_formed_file_without_script_or_outside_reference(grid_folder):
    text = (grid_folder / "report.html").read_text()
    page = Page(text)
    assert page.names.count("svg") == 7  # results, curves of four groups, losses of two methods
    assert not {"script", "link", "iframe", "object", "img", "b"} & set(page.names)
    references = [value for name, value in page.attributes if name in ("href", "src", "xlink:href", "data", "action")]
    assert references
    assert all(value.startswith("#") for value in references)
    # The one address is text of a hostile title, not a reference.
    assert re.findall(r"https?://\S+?(?=\))", text) == ["http://evil.example/x"] * 2
    assert not re.search(r"@import|url\((?!#)", text)


def test_hostile_titles_are_escaped_in_both_reports(grid_folder):
    html, markdown = (grid_folder / "report.html").read_text(), (grid_folder / "report.md").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; | **bold**" in html
    assert r'\<script>alert("x")\</script> \| \*\*bold\*\* [a\](http' in markdown
    assert not set("\u202e\x07") & set(html + markdown)


def test_interest_quality_and_examples_are_shown(grid_folder):
    text = joined(grid_folder / "report.md")
    assert "0.612 [0.590, 0.634]" in text
    assert "100 constrained, 3 retry, 2 salvage" in text
    assert "Ink pens" in text
    assert "writing" in text
    assert "0.333" in text
    assert "AUC against titles as interests**: +0.0046 [-0.0101, +0.0193], paired, 2,000 users; not dist" in text


def test_is_deterministic(small_grid):
    names = ("report.md", "report.html", "metrics.json")
    write_report(small_grid)
    first = [(small_grid / name).read_bytes() for name in names]
    write_report(small_grid)
    assert [(small_grid / name).read_bytes() for name in names] == first


def test_missing_and_failed_runs_are_named_and_the_rest_is_reported(small_grid):
    remove(small_grid / "runs/eimf/seed-1")
    for seed in (0, 1):
        remove(small_grid / f"runs/text-init/seed-{seed}")
    edit_grid(small_grid, lambda grid: grid["conditions"][2]["failed"].append({"seed": 7, "error": "out of memory"}))
    write_report(small_grid)
    text = joined(small_grid / "report.md")
    assert "runs/eimf/seed-1 is not there" in text
    assert "seed 7 failed: out of memory" in text
    results = analyse(load_grid(small_grid), "")
    assert results.row("eimf").seeds == [0]
    assert results.row("text-init").metrics == {}
    assert results.comparison("text-init", "remi", "Recall@20") is None
    found = results.comparison("eimf", "remi", "Recall@20")  # over the one seed that both have
    expected = paired_difference(*(stored_values(small_grid, name, "Recall@20", [0]) for name in ("eimf", "remi")))
    assert found.mean == pytest.approx(expected.mean)


def test_an_ablation_stands_beside_the_relative_change_that_the_paper_names(small_grid):
    edit_grid(small_grid, lambda grid: grid["dataset"].update(users=22363, items=12101))
    results = analyse(load_grid(small_grid), "")
    assert results.comparison("no-align", "eimf", "Recall@20").paper_relative == -0.07
    assert results.comparison("no-align", "eimf", "Recall@50").paper_relative is None
    assert results.comparison("eimf-shuffled", "eimf", "Recall@20").paper_relative is None


def test_models_without_training_have_no_curves(small_grid):
    for path in small_grid.glob("runs/*/*/curves.jsonl"):
        path.unlink()
    write_report(small_grid)
    assert Page((small_grid / "report.html").read_text()).names.count("svg") == 1


def test_titles_of_any_length_and_any_label_pass(small_grid):
    def edit(grid):
        grid["interests"][0]["examples"][0]["titles"] = ["x" * 10_000, "", "שלום", "🙂" * 50, "a\nb"] * 30
        grid["conditions"][0]["label"] = "$x_1$ | <i>"

    edit_grid(small_grid, edit)
    write_report(small_grid)
    assert "x" * 200 not in (small_grid / "report.html").read_text()
    assert "and 130 more" in (small_grid / "report.md").read_text()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "grid.json").unlink(), "grid.json is missing"),
        (lambda f: (f / "grid.json").write_text("{"), "grid.json is unreadable"),
        (lambda f: (f / "grid.json").write_text("{}"), "grid.json is damaged: dataset"),
        (lambda f: (f / "runs/remi/seed-0/per_user.parquet").unlink(), "seed-0/per_user.parquet is missing"),
        (lambda f: (f / "runs/remi/seed-0/per_user.parquet").write_bytes(b"PAR1"), "per_user.parquet is unreadable"),
        (lambda f: rewrite(f / "runs/remi/seed-0", lambda t: t.drop("HR@10")), "lacks the column HR@10"),
        (lambda f: rewrite(f / "runs/remi/seed-0", lambda t: t.reverse()), "rank for different users"),
        (lambda f: rewrite(f / "runs/remi/seed-0", lambda t: t.head(0)), "no users or no numbers"),
        (lambda f: rewrite(f / "runs/eimf/seed-0", lambda t: t.with_columns(pl.lit(0.9).alias("HR@5"))), "HR@5 = "),
        (lambda f: (f / "runs/remi/seed-0/metrics.json").write_text("[]"), "metrics.json is damaged"),
        (lambda f: (f / "runs/remi/seed-0/curves.jsonl").write_text('{"step": 1}\n'), "line 1 is damaged: seconds"),
        (lambda f: (f / "runs/remi/seed-0/curves.jsonl").write_text("\nx\n"), "line 1 is not JSON"),
        (lambda f: remove(f / "runs"), "no finished run"),
        (lambda f: edit_grid(f, lambda grid: grid["conditions"][2]["runs"].append("runs/remi")), "not name a seed"),
    ],
)
def test_when_the_grid_folder_is_damaged(small_grid, damage, message):
    damage(small_grid)
    with pytest.raises(ArtifactError, match=re.escape(message)) as caught:
        write_report(small_grid)
    assert "reproduce" in caught.value.hint or "--out" in caught.value.hint
    assert not (small_grid / "report.md").exists()


def test_results_page_has_one_section_for_each_data_set_and_names_what_was_not_run(grid_folder, tmp_path):
    demo = build_grid(tmp_path / "demo", name="demo", n_users=20, seeds=(0,))
    write_report(demo)
    by_time = build_grid(tmp_path / "by-time", name="demo", n_users=20, seeds=(0,))
    edit_grid(by_time, lambda grid: grid["dataset"].update(split="global-time"))
    write_report(by_time)
    write_results_page([grid_folder, demo, by_time], tmp_path / "results.md")
    text = joined(tmp_path / "results.md")
    for heading in (
        "# Results",
        "## amazon2014-office",
        "## demo",
        "## demo, global-time",
        "## Grocery",
        "## Beauty",
        "## ML-1M",
    ):
        assert f"\n{heading}\n" in f"\n{(tmp_path / 'results.md').read_text()}"
    assert "## Office" not in text
    expected = mean_interval(stored_values(grid_folder, "eimf", "Recall@50"))
    assert f"{expected.mean:.4f} [{expected.low:.4f}, {expected.high:.4f}]" in text
    assert "Provisional: 3 training seeds" in text
    assert "eimf-tiny-qwen2 (own training)" in text
    assert "0.2964" in text  # the paper's EIMF on Grocery


def test_results_page_when_a_grid_has_no_report_or_an_older_one(small_grid, tmp_path):
    with pytest.raises(ArtifactError, match=r"metrics\.json is missing"):
        write_results_page([small_grid], tmp_path / "results.md")
    write_report(small_grid)
    edit_grid(small_grid, lambda grid: grid.update(seeds=[7]))
    with pytest.raises(ArtifactError, match=r"another grid\.json"):
        write_results_page([small_grid], tmp_path / "results.md")
    assert not (tmp_path / "results.md").exists()


def test_when_where_and_how_fast_a_grid_was_run_is_no_part_of_its_numbers(grid_folder):
    record = json.loads((grid_folder / "grid.json").read_text())
    digest = numbers_digest(record)
    circumstances = {"date": "2030-01-01", "commit": "f" * 12, "machine": "another", "stages": [], "command": "x"}
    assert numbers_digest({**record, **circumstances}) == digest
    conditions = [{**one, "seconds": 1e6} for one in record["conditions"]]
    interests = [{**one, "folder": "../elsewhere"} for one in record["interests"]]
    assert numbers_digest({**record, "conditions": conditions, "interests": interests}) == digest
    assert numbers_digest({**record, "seeds": [7]}) != digest


def joined(path):
    """The text with its wrapping undone."""
    return re.sub(r"\s+", " ", path.read_text())


def edit_grid(folder, edit):
    grid = json.loads((folder / "grid.json").read_text())
    edit(grid)
    (folder / "grid.json").write_text(json.dumps(grid))


def rewrite(run, edit):
    edit(pl.read_parquet(run / "per_user.parquet")).write_parquet(run / "per_user.parquet")


def remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()


def test_trainings_that_were_cut_off_while_they_improved_are_named(results):
    trained = [row for row in results.rows if row.steps and row.group != "sweep"]
    late = [replace(row, best_step=row.steps) if row is trained[0] else row for row in results.rows]
    early = [replace(row, best_step=row.steps / 2) if row.steps else row for row in results.rows]
    (sentence,) = words.cut_off(replace(results, rows=late))
    assert trained[0].label in sentence
    assert words.cut_off(replace(results, rows=early)) == []


def test_trainings_that_learned_nothing_are_named_with_their_seeds(results):
    assert words.unlearned(results) == []
    first, *others = results.rows
    (sentence,) = words.unlearned(replace(results, rows=[replace(first, guessing=[1, 2]), *others]))
    assert f"{first.label} (seed 1, 2)" in sentence


def test_all_that_share_the_highest_mean_are_named(results):
    first, second, *others = [row for row in results.rows if row.metrics]
    best = Interval(0.9, 0.8, 1.0)
    rows = [replace(row, metrics={**row.metrics, "Recall@50": best}) for row in (first, second)] + others
    told = words.highest(replace(results, rows=rows), ["Recall@50"])
    assert f"{first.label} and {second.label} (0.9000)" in told


def test_collapsed_interests_are_told_beside_the_backbones(results):
    rows = [replace(row, interest_cosine=0.999) if row.name in ("eimf", "remi") else row for row in results.rows]
    (sentence,) = words.collapsed(replace(results, rows=rows), ["eimf"])
    assert "(mean cosine 0.999; REMI alone 0.999)" in sentence
