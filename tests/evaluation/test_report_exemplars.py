"""The report's section on exemplars: what is stored is shown, what is not is said."""

import json
import re

import pytest

from eimf_local.errors import ArtifactError
from eimf_local.evaluation.report import write_report

from .grids import CONDITIONS, HOSTILE, build_grid, write_interests

CALIBRATED = {
    "method": "affinity-propagation",
    "users": 30,
    "wanted": 2,
    "fraction": 2 / 30,
    "preference": -0.91,
    "damping": 0.75,
    "converged": True,
    "monotone": False,
    "trials": [
        {"preference": -0.7, "fraction": 0.1, "converged": False, "damping": 0.5, "points": 10},
        {"preference": -0.8, "fraction": 0.1, "converged": False, "damping": 0.5, "points": 30},
        {"preference": -0.91, "fraction": 2 / 30, "converged": True, "damping": 0.75, "points": 30},
    ],
}


@pytest.fixture
def grid(tmp_path):
    return build_grid(tmp_path / "grid", n_users=20, seeds=(0,), conditions=CONDITIONS[2:5])


def edit_reference(grid, **values):
    path = grid / "grid.json"
    record = json.loads(path.read_text())
    record["interests"][1].update(values)
    path.write_text(json.dumps(record))


def section(folder):
    """Of report.md with its wrapping undone, and of report.html."""
    write_report(folder)
    markdown = (folder / "report.md").read_text().split("\n## Exemplars\n")[1].split("\n## ")[0]
    html = (folder / "report.html").read_text().split('<h2 id="exemplars">')[1].split("<h2 ")[0]
    return re.sub(r"\s+", " ", markdown), html


def test_a_calibrated_set_has_three_drawings_with_their_numbers(grid):
    write_interests(grid / "interests" / "tiny", choice=CALIBRATED)
    markdown, html = section(grid)
    assert html.count("<svg") == 3
    assert "3 trials, 1 on a sample of the users. Wanted: 6.67%. Chosen: preference -0.91" in markdown
    assert "Hollow: not converged. A larger preference did not always make more exemplars." in markdown
    assert "30 users in 2 clusters, median 15, largest" in markdown
    assert "Map of all 30 users" in markdown
    assert "Pens" in html


def test_imported_sets_are_read_where_they_lie_and_have_no_preference(grid, tmp_path):
    write_interests(tmp_path / "elsewhere" / "reference", titles=("Stapler", "Glue", "Tape"))
    edit_reference(grid, folder="../elsewhere/reference")
    markdown, html = section(grid)
    assert html.count("<svg") == 2
    assert "Stapler" in html
    assert "Exemplar fraction" not in markdown


def test_what_is_missing_is_said(grid):
    write_interests(grid / "interests" / "reference", with_map=False)
    markdown, html = section(grid)
    assert "### tiny Nothing is drawn: these interests are not stored with the grid." in markdown
    assert "There is no map: these interests were stored by a version that did not make one." in markdown
    assert html.count("<svg") == 1


def test_equal_exemplars_are_drawn_once(grid):
    for name in ("tiny", "reference"):
        write_interests(grid / "interests" / name)
    assert section(grid)[1].count("<svg") == 4
    record = json.loads((grid / "grid.json").read_text())
    for one in record["interests"]:
        one["exemplars_digest"] = "ab"
    (grid / "grid.json").write_text(json.dumps(record))
    markdown, html = section(grid)
    assert html.count("<svg") == 2
    assert "The same exemplars as those of tiny." in markdown


@pytest.mark.parametrize(
    ("drawn", "caption"),
    [
        ([0, 1, 5, 9], "Map of 4 of 30 users, all exemplars and some others drawn at random"),
        ([1], "Map of 1 of 30 users, the exemplars of the largest clusters"),
    ],
)
def test_a_map_of_a_sample_says_whom_it_shows(grid, drawn, caption):
    write_interests(grid / "interests" / "tiny", drawn=drawn)
    assert caption in section(grid)[0]


def test_when_an_artefact_is_damaged(grid):
    write_interests(grid / "interests" / "tiny")
    (grid / "interests" / "tiny" / "map.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match=r"tiny has a map\.parquet that was changed or damaged"):
        write_report(grid)
    assert not (grid / "report.html").exists()


def test_hostile_titles_stay_text(grid):
    write_interests(grid / "interests" / "tiny", titles=(HOSTILE, "a & b <b>"))
    _, html = section(grid)
    assert "<script" not in html
    assert "&lt;script&gt;alert(" in html
    assert "a &amp; b &lt;b&gt;" in html
    assert not set("\u202e\x07") & set(html)


def test_without_interests_there_is_no_section(grid):
    record = json.loads((grid / "grid.json").read_text())
    record["interests"] = []
    (grid / "grid.json").write_text(json.dumps(record))
    write_report(grid)
    assert "## Exemplars" not in (grid / "report.md").read_text()


def test_the_other_sections_do_not_depend_on_it(grid):
    before = others(grid)
    write_interests(grid / "interests" / "tiny", choice=CALIBRATED)
    assert others(grid) == before


def others(folder):
    """report.md without the section."""
    write_report(folder)
    text = (folder / "report.md").read_text()
    start = text.index("\n## Exemplars\n")
    return text[:start] + text[text.index("\n## ", start + 1) :]
