"""The paper's tables and figures in a synthetic grid's report."""

import json
import re

import pytest

from eimf_local.evaluation import part_plots
from eimf_local.evaluation.report import write_report, write_results_page
from eimf_local.evaluation.report_analysis import analyse
from eimf_local.evaluation.report_data import load_grid
from eimf_local.evaluation.significance import holm

from .grids import HOSTILE, build_grid

CONDITIONS = (
    ("remi", "REMI", "baseline", None, None, 0.10),
    ("eimf", "EIMF (REMI)", "method", "remi", "tiny", 0.25),
    ("wo-align", "EIMF w/o Align", "ablation", "eimf", "tiny", 0.20),
    ("wo-tar", "EIMF w/o Tar", "ablation", "eimf", "tiny", 0.24),
    ("gamma-0.01", "EIMF, gamma 0.01", "sweep", "eimf", "tiny", 0.12),
    ("gamma-0.2", "EIMF, gamma 0.2", "sweep", "eimf", "tiny", 0.60),
    ("fraction-80", "EIMF, 80 % exemplars", "sweep", "eimf", None, 0.30),
)
PARTS = [
    {"name": "table2", "title": "Table 2: cost", "conditions": []},
    {"name": "table3", "title": "Table 3: data", "conditions": []},
    {"name": "table4", "title": "Table 4", "conditions": ["remi", "eimf"]},
    {"name": "fig3", "title": "Figure 3: cut-offs", "conditions": ["remi", "eimf"]},
    {"name": "fig4", "title": "Figure 4: ablations", "conditions": ["remi", "eimf", "wo-align", "wo-tar"]},
    {
        "name": "fig5",
        "title": "Figure 5: share of exemplars",
        "conditions": ["remi", "eimf", "fraction-80", "fraction-50"],
        "points": [
            {"label": "80 %", "condition": "fraction-80"},
            {"label": "50 %", "condition": "fraction-50"},
            {"label": "the method's", "condition": "eimf"},
        ],
    },
    {
        "name": "fig7",
        "title": "Figure 7: gamma",
        "conditions": ["remi", "eimf", "gamma-0.01", "gamma-0.2"],
        "points": [
            {"label": "0.01", "condition": "gamma-0.01"},
            {"label": "0.1", "condition": "eimf"},
            {"label": "0.2", "condition": "gamma-0.2"},
        ],
    },
    {"name": "fig6", "title": "Figure 6: alpha and beta", "conditions": ["remi", "eimf"], "points": []},
    {"name": "fig8", "title": "Figure 8: case study", "conditions": []},
    {"name": "fig9", "title": "Figure 9: word clouds", "conditions": []},
]
CASE = {
    "user": "U7",
    "exemplar": "U1",
    "clicks": [HOSTILE, "Gel pens"],
    "similar": ["Fine gel pens"],
    "other": ["Laminator", "Label tape"],
    "own_interests": ["gel pens and ink"],
    "exemplar_interests": ["laminating office paper", HOSTILE],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = build_grid(tmp_path_factory.mktemp("parts"), n_users=60, conditions=CONDITIONS)
    record = json.loads((made / "grid.json").read_text())
    record["conditions"][1]["trials"] = 8
    record |= {
        "parts": PARTS,
        "not_run": [
            {"name": "mind", "label": "MIND", "seeds": [0, 1, 2], "reason": "it did not fit into the budget"},
            {"name": "fraction-50", "label": "EIMF, 50 % exemplars", "seeds": [2], "reason": "not chosen"},
        ],
        "command": "eimf-local reproduce paper-office --out g",
        "tuned": {
            "eimf": {"trials": 8, "recall_50": 0.31, "settings": {"train.learning_rate": 0.003}},
            "remi": {"trials": 8, "recall_50": 0.25, "settings": {}, "found_on": "elsewhere"},
        },
        "case_study": {"llm": "tiny", "exemplar_llm": "large", "shown": 1, "cases": [CASE, CASE]},
    }
    (made / "grid.json").write_text(json.dumps(record))
    write_report(made)
    return made


@pytest.fixture(scope="module")
def results(folder):
    return analyse(load_grid(folder), "")


def section(folder, heading):
    """The text of one section of report.md, its wrapping undone."""
    text = (folder / "report.md").read_text()
    body = re.split(r"^## ", text.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]
    return re.sub(r"\s+", " ", body)


def test_every_part_with_something_to_show_has_its_section_and_no_other(folder):
    html = (folder / "report.html").read_text()
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", html)
    assert [part["title"] for part in PARTS if part["name"] != "fig6"] == [
        one for one in headings if one.startswith(("Table", "Figure"))
    ]


def test_a_table_has_the_paired_test_the_papers_gain_and_a_mark_where_it_agrees(folder, results):
    text = section(folder, "Table 4")
    found = results.comparison("eimf", "remi", "Recall@20")
    assert f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]" in text
    assert "paper +14.0%; p" in text
    assert "against REMI |" in text
    for row in (results.row("remi"), results.row("eimf")):
        for metric in ("Recall@20", "HR@50"):
            inside = row.metrics[metric].covers(row.paper[metric])
            assert (f"paper {row.paper[metric]:.4f} ✓" in text) == inside
    assert "MIND | not run" in text  # the paper's, without ours


def test_trials_of_the_search_stand_beside_the_result_and_what_they_found_below(folder):
    assert re.search(r"\| EIMF \(REMI\) +\| +3 +\| +8 +\|", (folder / "report.md").read_text())
    assert "| eimf | 8 | 0.3100 | train.learning" in section(folder, "Searched settings")
    assert "| remi | 8 | 0.2500 (elsewhere) |" in section(folder, "Searched settings")


def test_cost_and_data_stand_beside_the_papers(folder):
    assert "train | | 1 h 1 min" in section(folder, "Table 2: cost")
    assert "paper 4,905 ✓" in section(folder, "Table 3: data")


def test_an_ablation_and_its_named_drop(folder, results):
    found = results.comparison("wo-tar", "eimf", "Recall@20")
    assert found.paper_relative == -0.035
    assert "paper -3.5%; p" in section(folder, "Figure 4: ablations")


def test_a_sweeps_peak_is_put_beside_the_papers_and_told_where_it_does_not_come_out(folder, results):
    peak = next(one for one in results.peaks if one.part == "fig7")
    assert (peak.ours, peak.paper) == ("0.2", "0.1")
    means = {name: results.row(name).metrics["Recall@50"].mean for name in ("gamma-0.2", "eimf")}
    assert peak.difference.mean == pytest.approx(means["gamma-0.2"] - means["eimf"])
    assert peak.difference.distinguishable
    sentence = "Figure 7: Recall@50 is best at 0.2 here, at 0.1 in the paper"
    assert sentence in section(folder, "Figure 7: gamma")
    assert sentence in section(folder, "What does not reproduce")
    # a peak that is the paper's, at the point that is printed
    agreeing = next(one for one in results.peaks if one.part == "fig5")
    assert (agreeing.ours, agreeing.paper, agreeing.difference) == ("80 %", "80 %", None)
    assert "Figure 5" not in section(folder, "What does not reproduce")


def test_relative_gains_that_do_not_come_out_are_told_and_no_others(folder, results):
    text = section(folder, "What does not reproduce")
    for one in results.comparisons:
        if one.paper_relative is not None:
            low, high = (bound / (one.mean / one.relative) for bound in (one.low, one.high))
            assert one.paper_disagrees == (not low <= one.paper_relative <= high)
            told = f"{results.row(one.name).label} against {results.row(one.against).label}, {one.metric}:"
            assert (told in text) == one.paper_disagrees


def test_sweeps_have_a_holm_family_of_their_own(results):
    family = [one for one in results.comparisons if results.row(one.name).group == "sweep"]
    assert len(family) == 12
    assert [one.p_holm for one in family] == holm([one.p_value for one in family])


def test_what_was_not_run_is_told_with_reason_and_command(folder):
    text = section(folder, "Not run")
    assert "| MIND | 0, 1, 2 | it did not fit into the budget | mind |" in text
    assert "eimf-local reproduce paper-office --out g --only mind,fraction-50" in text


def test_the_case_study_and_its_clouds_are_shown_and_hostile_titles_escaped(folder):
    text = section(folder, "Figure 8: case study")
    assert "From own clicks by tiny, the exemplars' by large." in text
    assert text.count("User U7 and exemplar U1") == 1
    for line in ("Clicks of the user (2)", "Fine gel pens", "other clicks (2)", "laminating office paper"):
        assert line in text
    html = (folder / "report.html").read_text()
    assert "<script" not in html
    clouds = html.split('id="figure-9--word-clouds"')[1].split("<h2")[0]
    assert clouds.count("<svg") == 2


def test_the_results_page_has_the_parts_as_tables_without_drawings(folder, tmp_path):
    write_results_page([folder], tmp_path / "results.md")
    text = (tmp_path / "results.md").read_text()
    assert "### Figure 7: gamma" in text
    assert "Drawn in report.html" not in text
    assert "--only mind,fraction-50" in re.sub(r"\s+", " ", text)


def test_a_word_cloud_is_the_same_every_time_and_made_of_outlines_alone():
    phrases = ["gel pens", "gel ink", "paper <b>"]
    drawn = part_plots.word_cloud(phrases)
    assert drawn == part_plots.word_cloud(phrases)
    assert "<text" not in drawn
    assert drawn.count("<path") >= 4
    assert part_plots.word_cloud(["the of and", "12 7"]) is None
