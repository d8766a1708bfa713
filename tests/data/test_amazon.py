from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from eimf_local.data.amazon import read_amazon
from eimf_local.data.sources import MAX_LINE_BYTES
from eimf_local.errors import InputError

from .sources import ROWS, TITLES, gzipped, write_amazon


def review(**fields: Any) -> str:
    return json.dumps({"reviewerID": "u", "asin": "i", "unixReviewTime": 3} | fields)


def read_reviews(folder: Path, *lines: str) -> Any:
    return read_amazon(gzipped(folder / "reviews_X_5.json.gz", "\n".join(lines) + "\n"), titles=None)


def test_bad_review_lines_are_counted_and_the_first_is_told(tmp_path: Path) -> None:
    raw = read_reviews(tmp_path, review(), "", "{'single': 'quotes'}", review(asin="j"), "[1]", '{"cut": ')
    assert raw.events["item"].to_list() == ["i", "j"]
    assert (raw.lines.read, raw.lines.unparsable, raw.lines.first_unparsable) == (5, 3, 3)


def test_a_line_over_the_limit_is_counted_not_loaded(tmp_path: Path) -> None:
    raw = read_reviews(tmp_path, review(), review(reviewText="x" * (3 * MAX_LINE_BYTES)), review(user="v"))
    assert raw.events.height == 2
    assert (raw.lines.read, raw.lines.unparsable, raw.lines.first_unparsable) == (3, 1, 2)


def test_the_longest_allowed_line_is_read(tmp_path: Path) -> None:
    padding = MAX_LINE_BYTES - len(review(reviewText=""))
    assert read_reviews(tmp_path, review(reviewText="x" * padding)).lines.unparsable == 0


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1405296000, 1405296000),
        ("1405296000", 1405296000),
        (2.9, 2),
        *((bad, None) for bad in (None, "soon", True, float("nan"), float("inf"), 10**30, 10**400, [1])),
    ],
)
def test_time_is_whole_seconds_or_unknown(tmp_path: Path, time: object, expected: int | None) -> None:
    assert read_reviews(tmp_path, review(unixReviewTime=time)).events["timestamp"].to_list() == [expected]


@pytest.mark.parametrize("user", [None, "", " ", True, 1.5, ["u"], {"u": 1}, "\ud800"])
def test_an_id_that_is_no_id_is_a_blank_one(tmp_path: Path, user: object) -> None:
    raw = read_reviews(tmp_path, review(), review(reviewerID=user))
    assert raw.events["user"].to_list() == ["u"]
    assert raw.blank_ids == 1


def test_a_number_is_read_as_an_id(tmp_path: Path) -> None:
    assert read_reviews(tmp_path, review(asin=7)).events["item"].to_list() == ["7"]


def test_when_a_field_never_occurs_error_names_it_and_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'reviewerID'; its columns are 'user_id', 'asin'"):
        read_reviews(tmp_path, '{"user_id": "u", "asin": "i"}')


def test_when_no_line_is_an_object_error_names_the_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of its 2 lines is a JSON object \(the first bad one is line 1\)"):
        read_reviews(tmp_path, "user,item", "u,i")


def test_metadata_is_never_executed(tmp_path: Path) -> None:
    write_amazon(tmp_path, ROWS, {})
    marker = tmp_path / "executed"
    lines = [
        f"__import__('os').system('touch {marker}')",
        f"{{'asin': 'i1', 'title': open({str(marker)!r}, 'w').name}}",
        "{'asin': 'i1', 'title': 'a' * 1000000000}",
        "{'asin': 'i1', 'title': 'x'.upper()}",
        "(" * 5000,
        "-" * 100_000 + "1",
        "{[]: 1}",
        "{'asin': 'i2', 'title': 'Kept'}",
        "{'asin': 'i3', 'title': 'C:\\d'}",
    ]
    gzipped(tmp_path / "meta_Office_Products.json.gz", "\n".join(lines))
    raw = read_amazon(tmp_path, titles=None)
    assert raw.titles == {"i2": "Kept", "i3": "C:\\d"}
    assert not os.path.lexists(marker)
    assert (raw.title_lines.read, raw.title_lines.unparsable, raw.title_lines.first_unparsable) == (9, 7, 1)


def test_metadata_is_json_tolerant_of_python_only(tmp_path: Path) -> None:
    # Metadata lines are Python literals: None and single quotes are read, JSON's null is not.
    write_amazon(tmp_path, ROWS, {})
    lines = ["{'asin': 'i1', 'title': 'One', 'brand': None}", '{"asin": "i2", "title": "Two", "brand": null}']
    gzipped(tmp_path / "meta_Office_Products.json.gz", "\n".join(lines))
    assert read_amazon(tmp_path, titles=None).titles == {"i1": "One"}


def test_metadata_of_other_items_or_without_a_title_is_left_out(tmp_path: Path) -> None:
    write_amazon(tmp_path, ROWS, {})
    lines = [
        "{'asin': 'other', 'title': 'x'}",
        "{'asin': 'i1'}",
        "{'asin': 'i1', 'title': ''}",
        "{'asin': 'i2', 'title': 3}",
    ]
    gzipped(tmp_path / "meta_Office_Products.json.gz", "\n".join([*lines, "{'asin': 'i1', 'title': 'First'}"]))
    assert read_amazon(tmp_path, titles=None).titles == {"i1": "First"}


def test_metadata_of_the_same_category_is_preferred(tmp_path: Path) -> None:
    write_amazon(tmp_path, ROWS, TITLES)
    gzipped(tmp_path / "meta_Beauty.json.gz", "{'asin': 'i1', 'title': 'Wrong'}")
    assert read_amazon(tmp_path, titles=None).titles == TITLES


def test_when_all_metadata_is_unreadable_error_names_the_file(tmp_path: Path) -> None:
    write_amazon(tmp_path, ROWS, TITLES)
    gzipped(tmp_path / "meta_Office_Products.json.gz", "asin,title\n1,2\n")
    with pytest.raises(InputError, match=r"meta_Office_Products.json.gz: none of its 2 lines"):
        read_amazon(tmp_path, titles=None)


def test_when_several_review_files_are_there_error_lists_them(tmp_path: Path) -> None:
    for name in ("reviews_A_5.json.gz", "reviews_B_5.json.gz"):
        gzipped(tmp_path / name, review())
    with pytest.raises(InputError, match=r"several interactions files: reviews_A_5.json.gz, reviews_B_5.json.gz"):
        read_amazon(tmp_path, titles=None)
